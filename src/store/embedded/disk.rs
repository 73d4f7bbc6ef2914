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

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable as _};

use super::journal::{self, Cut};
use crate::store::{
    StoreError,
    engine::kv::{Change, Each, KEY_BYTES_MAX, Kv, Space},
};

/// Blocks that are kept for reading: a small node's busy end of the queues.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// What a space gathers in memory before it is written in order: bounds memory and the time of a restart.
const MEMTABLE_BYTES: u64 = 8 * 1024 * 1024;
/// Journals that may wait until what they hold is written in order; the least that fjall allows is 64 MiB.
const JOURNAL_BYTES: u64 = 96 * 1024 * 1024;
/// It writes out and merges. Of several, fjall keeps one for writing out, which throws each merge that it meets back into the
/// queue, without a pause, as long as the others are busy: a whole core for the length of each merge.
const WORKERS: usize = 1;
/// Open files that are kept.
const FILES: usize = 200;
/// Writes that wait for the workers; beyond it fjall would wait without looking whether they still live.
const FLUSHES_MAX: usize = 2;

/// The database.
pub(super) struct Disk {
    spaces: Vec<Keyspace>,
    db: Database,
}

fn trouble(what: &'static str) -> impl Fn(fjall::Error) -> StoreError {
    move |cause| {
        if let fjall::Error::Io(cause) | fjall::Error::Storage(fjall::LsmError::Io(cause)) = cause {
            return StoreError::Io { what: what.into(), cause: cause.to_string().into() };
        }
        StoreError::Damaged(format!("{what}: {cause:?}").into())
    }
}

fn mending(cause: std::io::Error) -> StoreError {
    StoreError::Io { what: "mending the journal".into(), cause: cause.to_string().into() }
}

/// Why the database did not open.
enum Refusal {
    /// A commit in the journal is wrong.
    Torn(StoreError),
    Other(StoreError),
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
    /// Opens or makes it. Takes off a last commit that a power cut has left wrong, of which nobody was told.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        journal::restore(path).map_err(mending)?;
        let torn = match Self::try_open(path) {
            Err(Refusal::Torn(torn)) => torn,
            Err(Refusal::Other(error)) => return Err(error),
            Ok(disk) => return Ok(disk),
        };
        let Some(cut) = Cut::make(path).map_err(mending)? else { return Err(torn) };
        match Self::try_open(path) {
            Ok(disk) => {
                tracing::warn!(bytes = cut.bytes, "took off a last commit that was torn when the power went");
                cut.keep().map_err(mending)?;
                Ok(disk)
            }
            Err(_) => {
                cut.undo().map_err(mending)?;
                Err(torn)
            }
        }
    }

    fn try_open(path: &Path) -> Result<Self, Refusal> {
        let mut torn = false;
        let opened = caught("opening the database", || {
            let db = Database::builder(path)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES)
                .worker_threads(WORKERS)
                .max_cached_files(Some(FILES))
                .manual_journal_persist(true)
                .open()
                .map_err(|cause| {
                    torn = matches!(cause, fjall::Error::JournalRecovery(_));
                    if matches!(cause, fjall::Error::Locked) {
                        return StoreError::Locked(path.display().to_string().into());
                    }
                    trouble("opening the database")(cause)
                })?;
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            let spaces = Space::ALL.iter().map(|space| db.keyspace(space.name(), options));
            let spaces = spaces.collect::<Result<_, _>>().map_err(trouble("opening the database"))?;
            Ok(Self { spaces, db })
        });
        opened.map_err(|error| if torn { Refusal::Torn(error) } else { Refusal::Other(error) })
    }

    /// As `open`, after a failed commit: what is read must first be on the disk.
    pub(super) fn reopen(path: &Path) -> Result<Self, StoreError> {
        journal::rewrite(path).map_err(mending)?;
        Self::open(path)
    }

    fn space(&self, space: Space) -> Result<&Keyspace, StoreError> {
        self.spaces.get(space as usize).ok_or_else(|| StoreError::Damaged("a keyspace is missing".into()))
    }

    /// All keys as they are now, between two commits.
    pub(super) fn picture(&self) -> fjall::Snapshot {
        self.db.snapshot()
    }

    /// Each key of a space as it is in the picture, in order.
    pub(super) fn scan_picture(
        &self,
        picture: &fjall::Snapshot,
        space: Space,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        for guard in picture.iter(self.space(space)?) {
            let (key, value) = guard.into_inner().map_err(trouble("reading"))?;
            if !each(&key, &value)? {
                break;
            }
        }
        Ok(())
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
        if key.len() > KEY_BYTES_MAX {
            // None such was ever written, and fjall panics on it.
            return Ok(None);
        }
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
            match value {
                Some(value) => batch.insert(self.space(space)?, key, value),
                None => batch.remove(self.space(space)?, key),
            }
        }
        batch.commit().map_err(trouble("writing"))
    }
}
