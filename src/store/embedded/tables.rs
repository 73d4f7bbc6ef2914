//! The tables in fjall: one keyspace for each space, changed behind the log and not synced with it.
//!
//! fjall writes a batch to its own journal with a checksum, and shows all of it or nothing to readers and to the next opening. Its
//! journal is synced now and then only; what of it is wrong after a power cut is taken off, and comes again from the log. What
//! fjall is asked for may panic in it where files are damaged; that is caught here and told as an error.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
    time::Duration,
};

use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable as _,
};

use super::journal::Cut;
use crate::store::{
    StoreError,
    engine::{
        codec::MARK_KEY,
        kv::{Change, Each, KEY_BYTES_MAX, Space},
    },
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

/// The tables.
pub(super) struct Tables {
    spaces: Vec<Keyspace>,
    db: Database,
}

fn trouble(what: &'static str) -> impl Fn(fjall::Error) -> StoreError {
    move |cause| {
        if let fjall::Error::Io(cause) | fjall::Error::Storage(fjall::LsmError::Io(cause)) = cause {
            return StoreError::Io { what: what.into(), cause: cause.to_string().into() };
        }
        if let fjall::Error::Poisoned = cause {
            return StoreError::Io { what: what.into(), cause: "an earlier write failed".into() };
        }
        StoreError::Damaged(format!("{what}: {cause:?}").into())
    }
}

/// A failed mend of the journal.
pub(super) fn mending(cause: std::io::Error) -> StoreError {
    StoreError::Io { what: "mending the journal".into(), cause: cause.to_string().into() }
}

/// Runs what may panic in the database.
pub(super) fn caught<T>(
    what: &'static str,
    run: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(StoreError::Damaged(format!("{what}: the database gave up").into())))
}

impl Tables {
    /// Opens or makes them; with what of the journal was wrong and is taken off, where anything was. The caller decides on it: it is
    /// right where nobody was told of it, or where the log has it.
    pub(super) fn open(path: &Path) -> Result<(Self, Option<Cut>), StoreError> {
        let torn = match Self::try_open(path) {
            // fjall may also give up at what is torn.
            Err(torn @ StoreError::Damaged(_)) => torn,
            Err(error) => return Err(error),
            Ok(tables) => return Ok((tables, None)),
        };
        let Some(cut) = Cut::make(path).map_err(mending)? else { return Err(torn) };
        match Self::try_open(path) {
            Ok(tables) => Ok((tables, Some(cut))),
            Err(_) => {
                cut.undo().map_err(mending)?;
                Err(torn)
            }
        }
    }

    fn try_open(path: &Path) -> Result<Self, StoreError> {
        caught("opening the database", || {
            let db = Database::builder(path)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES)
                .worker_threads(WORKERS)
                .max_cached_files(Some(FILES))
                .manual_journal_persist(true)
                .journal_compression(CompressionType::None)
                .open()
                .map_err(|cause| {
                    if matches!(cause, fjall::Error::Locked) {
                        return StoreError::Locked(path.display().to_string().into());
                    }
                    trouble("opening the database")(cause)
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
            if &*key != MARK_KEY && !each(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    /// Waits while the workers are behind, and no longer than they live.
    pub(super) fn keep_pace(&self) -> Result<(), StoreError> {
        while self.db.outstanding_flushes() > FLUSHES_MAX {
            self.db.persist(PersistMode::Buffer).map_err(trouble("writing"))?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if key.len() > KEY_BYTES_MAX {
            // None such was ever written, and fjall panics on it.
            return Ok(None);
        }
        let value = self.space(space)?.get(key).map_err(trouble("reading"))?;
        Ok(value.map(|value| value.to_vec()))
    }

    pub(super) fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        for guard in self.space(space)?.range(from..=to) {
            let (key, value) = guard.into_inner().map_err(trouble("reading"))?;
            if &*key != MARK_KEY && !each(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(guard) = self.space(space)?.range(from..=to).next_back() else { return Ok(None) };
        guard.key().map(|key| Some(key.to_vec())).map_err(trouble("reading"))
    }

    /// All changes or none: readers see them when it returns, the disk has them after `persist`.
    pub(super) fn apply(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut batch = OwnedWriteBatch::with_capacity(self.db.clone(), changes.len());
        for Change { space, key, value } in changes {
            match value {
                Some(value) => batch.insert(self.space(space)?, key, value),
                None => batch.remove(self.space(space)?, key),
            }
        }
        batch.commit().map_err(trouble("writing"))
    }

    /// How many tables of a space lie in order on the disk.
    #[cfg(test)]
    pub(super) fn written_in_order(&self, space: Space) -> usize {
        self.space(space).map_or(0, Keyspace::table_count)
    }

    /// Whether they have no key at all.
    pub(super) fn is_empty(&self) -> Result<bool, StoreError> {
        for space in &self.spaces {
            if !space.is_empty().map_err(trouble("reading"))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Brings all that was applied to the disk in order: it is in no journal then.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.persist()?;
        for space in &self.spaces {
            space.rotate_memtable().map_err(trouble("writing"))?;
            while space.sealed_memtable_count() > 0 {
                // Where the workers have given up, this says so.
                self.db.persist(PersistMode::Buffer).map_err(trouble("writing"))?;
                thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// Brings all that was applied to the disk.
    pub(super) fn persist(&self) -> Result<(), StoreError> {
        self.db.persist(PersistMode::SyncAll).map_err(trouble("writing"))
    }
}
