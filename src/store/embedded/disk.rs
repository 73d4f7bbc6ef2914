//! The keys in fjall: one keyspace for each space, one batch and one fdatasync for each commit.
//!
//! fjall writes a batch to its journal with a checksum, syncs the journal, and only then shows the batch to readers; so
//! a reader sees nothing that a crash could take back. What it is asked for may panic in it where files are damaged;
//! that is caught here and told as an error.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
    time::Duration,
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::store::{
    StoreError,
    engine::kv::{Change, Each, Kv, Space},
};

/// Blocks that are kept for reading: a small node's busy end of the queues.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// What a space gathers in memory before it is written in order: bounds memory and the time of a restart.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
/// Journals that may wait until what they hold is written in order; the least that fjall allows is 64 MiB.
const JOURNAL_BYTES: u64 = 96 * 1024 * 1024;
/// One to write out, one to merge.
const WORKERS: usize = 2;
/// Open files that are kept.
const FILES: usize = 200;
/// fjall keeps a key's length in 16 bits.
const KEY_BYTES_MAX: usize = 60_000;
/// Writes that wait for the workers; beyond it fjall would wait without looking whether they still live.
const FLUSHES_MAX: usize = 2;

/// The database.
pub(super) struct Disk {
    spaces: Vec<Keyspace>,
    db: Database,
}

fn trouble(what: &'static str) -> impl Fn(fjall::Error) -> StoreError {
    move |cause| match cause {
        fjall::Error::Io(cause) => StoreError::Io { what: what.into(), cause: cause.to_string().into() },
        other => StoreError::Damaged(format!("{what}: {other:?}").into()),
    }
}

/// Runs what may panic in the database.
pub(super) fn caught<T>(
    what: &'static str,
    run: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(StoreError::Damaged(format!("{what}: the database gave up").into())))
}

impl Disk {
    /// Opens or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        caught("opening the database", || {
            let db = Database::builder(path)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES)
                .worker_threads(WORKERS)
                .max_cached_files(Some(FILES))
                .manual_journal_persist(true)
                .open()
                .map_err(|cause| match cause {
                    fjall::Error::Locked => StoreError::Locked(path.display().to_string().into()),
                    other => trouble("opening the database")(other),
                })?;
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            let spaces = Space::ALL.iter().map(|space| db.keyspace(space.name(), options));
            let spaces = spaces.collect::<Result<_, _>>().map_err(trouble("opening the database"))?;
            Ok(Self { spaces, db })
        })
    }

    fn space(&self, space: Space) -> Result<&Keyspace, StoreError> {
        self.spaces.get(space as usize).ok_or_else(|| StoreError::Damaged("a keyspace is missing".into()))
    }

    /// Waits while the workers are behind, and no longer than they live.
    fn keep_pace(&self) -> Result<(), StoreError> {
        while self.db.outstanding_flushes() > FLUSHES_MAX {
            self.db.persist(PersistMode::Buffer).map_err(trouble("writing"))?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Kv for Disk {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.space(space)?.get(key).map_err(trouble("reading"))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], each: Each<'_>) -> Result<(), StoreError> {
        for guard in self.space(space)?.range(from..=to) {
            let (key, value) = guard.into_inner().map_err(trouble("reading"))?;
            if !each(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(guard) = self.space(space)?.range(from..=to).next_back() else { return Ok(None) };
        guard.key().map(|key| Some(key.to_vec())).map_err(trouble("reading"))
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.keep_pace()?;
        let mut batch = fjall::OwnedWriteBatch::with_capacity(self.db.clone(), changes.len())
            .durability(Some(PersistMode::SyncData));
        for Change { space, key, value } in changes {
            if key.is_empty() || key.len() > KEY_BYTES_MAX {
                return Err(StoreError::Io { what: "writing".into(), cause: "a key is too long".into() });
            }
            match value {
                Some(value) => batch.insert(self.space(space)?, key, value),
                None => batch.remove(self.space(space)?, key),
            }
        }
        batch.commit().map_err(trouble("writing"))
    }
}
