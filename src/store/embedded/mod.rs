//! The engine on disk, the default: a log with tables behind it, one writer thread above them.
//!
//! - A commit is a record in a log of our own, and so are messages; keys and small state lie in fjall (`log`, `tables`, `disk`;
//!   `standing`: how far these have that).
//! - A batch is handed to a bounded queue; the writer makes one commit of what waits, syncs it once and then answers.
//! - Messages lie in order by inbox and by peer; the window of repeats is in memory and on disk only a list.
//! - Readers go to the tables and the log beside the writer and see what is committed.
//! - After a failed commit all is refused with `Doubt` until the writer has closed the database, opened it and read
//!   everything again, which it tries until it works; a full disk recovers by itself when there is room.
//! - Nothing expires by a clock that is not believed: after a jump, or a start far from the last time seen, for an hour.
//! - Tokens are sealed; every file is readable by its owner only. Opening sets the process's umask to 0077.

mod backup;
mod clock;
mod disk;
mod folder;
mod journal;
mod log;
mod pen;
mod reclaim;
mod shared;
mod standing;
mod tables;
mod writer;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use self::{
    clock::Clock,
    disk::Disk,
    folder::Folder,
    shared::{FAULT_KEPT, FAULT_LOST, Shared, State},
    tables::caught,
    writer::Writer,
};
use super::{
    Backup, Figures, Settings, Store, StoreError,
    engine::{
        Engine, codec,
        index::Index,
        job::Job,
        kv::{Change, Kv, Space},
        room::Rooms,
        seal::Seal,
        window::HashKey,
    },
};
use crate::{
    telemetry::histogram::Histogram,
    wire::time::{ReadClock, Wall},
};

/// The engine on disk.
pub struct Embedded {
    shared: Arc<Shared>,
    queue: RwLock<Option<SyncSender<Box<dyn Job>>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("folder", &self.shared.folder.path()).finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the store in `dir`, which is made where it does not exist, and reads what must be in memory: some hundred
    /// milliseconds for a million entries. `now` tells the age of entries and when to ask for the free space; where it
    /// is more than `STRANGE_START` away from `last_seen`, nothing expires for an hour. Sets the process's umask to 0077.
    ///
    /// # Errors
    /// `Locked` where another process has the folder, `Newer`, `Damaged`, `Io`.
    pub fn open(dir: &Path, settings: Settings, now: ReadClock) -> Result<Self, StoreError> {
        let mut folder = Folder::open(dir)?;
        let seal =
            Seal::new(&folder.seal_key()?).map_err(|_| StoreError::Damaged("seal.key is no key".into()))?;
        let disk = Disk::open(&folder.paths()).map_err(|error| folder::when_full(dir, error))?;
        let (key, mut index, last_seen) = caught("reading", || {
            let key = hash_key(&disk)?;
            Ok((key, Index::build(&disk, &settings, key)?, clock::read(&disk)?))
        })?;
        folder.finish().map_err(|error| folder::when_full(dir, error))?;
        let clock = Clock::start(now(), last_seen);
        if let Some(now) = clock.believed() {
            index.expire(now.wall, &settings);
        }
        let (sender, queue) = sync_channel(settings.queue_batches.max(1));
        let shared = Arc::new(Shared {
            state: RwLock::new(State { disk: Some(Arc::new(disk)), index }),
            doubt: Mutex::new(None),
            closed: AtomicBool::new(false),
            rooms: Rooms::new(settings.outbox),
            settings,
            seal,
            key,
            now,
            last_seen,
            folder,
            copying: Mutex::new(()),
            faults: AtomicU8::new(0),
            commits: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            failed_commits: AtomicU64::new(0),
            damaged_reads: AtomicU64::new(0),
            commit_time: Histogram::default(),
            space_asked: AtomicU64::new(0),
            space_taken: AtomicU64::new(0),
            space_low: AtomicBool::new(false),
        });
        let writer = Writer::new(shared.clone(), queue, clock);
        let writer = thread::Builder::new().name("store".into()).spawn(move || writer.run());
        let writer = writer.map_err(|cause| StoreError::Io {
            what: "starting the writer".into(),
            cause: cause.to_string().into(),
        })?;
        Ok(Self { shared, queue: RwLock::new(Some(sender)), writer: Mutex::new(Some(writer)) })
    }

    /// Refuses the data of another host in `dir`, before anything there is touched.
    ///
    /// # Errors
    /// `Io`.
    pub fn check_host(dir: &Path, host: &str) -> Result<(), StoreError> {
        folder::check_host(dir, host)
    }

    /// Whether a backup lies in `dir`, which holds tokens as they were: `take_over` ends that. Nothing there is touched.
    #[must_use]
    pub fn is_backup(dir: &Path) -> bool {
        folder::is_backup(dir)
    }

    /// Notes that the data is this host's, where that is not noted.
    ///
    /// # Errors
    /// `Io`.
    pub fn claim(&self, host: &str) -> Result<(), StoreError> {
        if self.shared.folder.host()?.is_some() { Ok(()) } else { self.shared.folder.claim(host) }
    }

    /// What must not be used again has been dropped: from here on it is a data folder as any other.
    ///
    /// # Errors
    /// `Io`.
    pub fn take_over(&self) -> Result<(), StoreError> {
        self.shared.folder.take_over()
    }

    /// For tests: the next commit fails and does not reach the disk.
    #[doc(hidden)]
    pub fn fail_next_commit(&self) {
        self.shared.faults.store(FAULT_LOST, Ordering::Relaxed);
    }

    /// For tests: the next commit reaches the disk and is told as failed.
    #[doc(hidden)]
    pub fn doubt_next_commit(&self) {
        self.shared.faults.store(FAULT_KEPT, Ordering::Relaxed);
    }
}

fn hash_key(disk: &Disk) -> Result<HashKey, StoreError> {
    if let Some(value) = disk.get(Space::Small, codec::HASH_KEY)? {
        let key = value.try_into().map_err(|_| codec::damaged(Space::Small, codec::HASH_KEY))?;
        return Ok(HashKey(key));
    }
    let key: [u8; 16] = folder::chance()?;
    let (space, value) = (Space::Small, Some(key.to_vec()));
    disk.commit(vec![Change { space, key: codec::HASH_KEY.to_vec(), value }])?;
    Ok(HashKey(key))
}

impl Engine for Embedded {
    fn submit(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        self.shared.check()?;
        let queue = self.queue.read().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or(StoreError::Closed)?;
        self.shared.space_taken.fetch_add(job.weight() as u64, Ordering::Relaxed);
        queue.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => StoreError::Full,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }

    fn space(&self) -> Result<(), StoreError> {
        self.shared.check()?;
        self.shared.check_space()
    }

    fn index<T>(&self, look: impl FnOnce(&Index) -> T) -> Result<T, StoreError> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        Ok(look(&self.shared.state.read().unwrap_or_else(PoisonError::into_inner).index))
    }

    fn disk<T>(&self, read: impl FnOnce(&dyn Kv) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let disk = self.shared.state.read().unwrap_or_else(PoisonError::into_inner).disk.clone();
        match disk {
            Some(disk) => caught("reading", || read(&*disk)).inspect_err(|error| {
                if let StoreError::Damaged(_) = error {
                    self.shared.damaged_reads.fetch_add(1, Ordering::Relaxed);
                }
            }),
            None if self.shared.closed.load(Ordering::Acquire) => Err(StoreError::Closed),
            None => Err(StoreError::Io {
                what: "reading".into(),
                cause: "the store reads itself again after a failed commit".into(),
            }),
        }
    }

    fn rooms(&self) -> &Rooms {
        &self.shared.rooms
    }

    fn seal(&self) -> &Seal {
        &self.shared.seal
    }
}

impl Store for Embedded {
    fn healthy(&self) -> Result<(), StoreError> {
        self.space()
    }

    fn last_seen(&self) -> Option<Wall> {
        self.shared.last_seen
    }

    fn figures(&self) -> Figures {
        let (disk, window_entries, window_evicted) = {
            let state = self.shared.state.read().unwrap_or_else(PoisonError::into_inner);
            (state.disk.clone(), state.index.window.entries() as u64, state.index.window.evicted())
        };
        // Without the lock: commits wait for it, and these ask the file system.
        Figures {
            commits: self.shared.commits.load(Ordering::Relaxed),
            batches: self.shared.batches.load(Ordering::Relaxed),
            failed_commits: self.shared.failed_commits.load(Ordering::Relaxed),
            damaged_reads: self.shared.damaged_reads.load(Ordering::Relaxed),
            commit_time: self.shared.commit_time.spread(),
            free_bytes: self.shared.folder.free_bytes().ok(),
            free_bytes_min: self.shared.settings.free_space_min,
            log: disk.and_then(|disk| disk.log_figures().ok()),
            window_entries,
            window_evicted,
        }
    }

    fn backup(&self, dir: &Path, go_on: &dyn Fn() -> bool) -> Result<Backup, StoreError> {
        backup::make(&self.shared, dir, go_on)
    }

    fn close(&self) {
        drop(self.queue.write().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the store's writer gave up");
        }
        self.shared.closed.store(true, Ordering::Release);
        let disk = self.shared.state.write().unwrap_or_else(PoisonError::into_inner).disk.take();
        writer::release(disk);
        self.shared.folder.release();
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}
