//! The engine for tests and simulation: the same promise, kept in trees that stand for the disk.
//!
//! Without a word it commits each batch within the call that hands it over, so that a run is the same each time.
//! Its switches:
//!
//! - `hold`: batches gather and wait, as behind a slow disk; `release` makes one commit of them.
//! - `crash`: loses what is not committed (its receipts end in `Closed`) and reads itself again, as after a power cut.
//! - `fail_next_commit`: the next commit ends in `Doubt` and is not on the disk; `doubt_next_commit`: it is, though
//!   nobody is told. Until `recover` all is refused.
//! - `refuse_space`: says that the disk is full.

use std::{
    collections::BTreeMap,
    fmt, mem,
    ops::Bound,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use super::{
    Backup, Figures, Settings, Store, StoreError,
    engine::{
        Engine,
        index::Index,
        job::{Job, plan_all},
        kv::{Change, Each, Kv, Space},
        room::Rooms,
        seal::Seal,
        txn::Txn,
        window::HashKey,
    },
};
use crate::wire::time::Wall;

type Tree = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

/// Stands for the disk.
#[derive(Default)]
struct Trees(RwLock<Tree>);

impl Kv for Trees {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).get(&(space, key.to_vec())).cloned())
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], each: Each<'_>) -> Result<(), StoreError> {
        let mut next = Bound::Included((space, from.to_vec()));
        let end = (space, to.to_vec());
        // One step at a time: `each` may read, too.
        loop {
            let tree = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if matches!(&next, Bound::Included(start) | Bound::Excluded(start) if *start > end) {
                return Ok(());
            }
            let found =
                tree.range((next, Bound::Unbounded)).next().map(|(key, value)| (key.clone(), value.clone()));
            drop(tree);
            let Some((key, value)) = found.filter(|(key, _)| *key <= end) else { return Ok(()) };
            if !each(&key.1, &value)? {
                return Ok(());
            }
            next = Bound::Excluded(key);
        }
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let tree = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let last = tree.range((space, from.to_vec())..=(space, to.to_vec())).next_back();
        Ok(last.map(|((_, key), _)| key.clone()))
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut tree = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for Change { space, key, value } in changes {
            match value {
                Some(value) => drop(tree.insert((space, key), value)),
                None => drop(tree.remove(&(space, key))),
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    Lost,
    Kept,
}

struct Inner {
    index: Index,
    waiting: Vec<Box<dyn Job>>,
    held: bool,
    fault: Fault,
    doubt: Option<Arc<str>>,
    no_space: bool,
    closed: bool,
    figures: Figures,
}

/// See above.
pub struct Memory {
    disk: Trees,
    inner: Mutex<Inner>,
    rooms: Rooms,
    settings: Settings,
    seal: Seal,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

const KEY: HashKey = HashKey(*b"memory no chance");

impl Memory {
    /// An empty one.
    ///
    /// # Errors
    /// `Io` where the system's cryptography refuses a key.
    pub fn new(settings: Settings) -> Result<Self, StoreError> {
        let disk = Trees::default();
        let index = Index::build(&disk, &settings, KEY)?;
        let seal = Seal::new(&[0; 32])
            .map_err(|_| StoreError::Io { what: "making a key".into(), cause: "refused".into() })?;
        let inner = Inner {
            index,
            waiting: Vec::new(),
            held: false,
            fault: Fault::None,
            doubt: None,
            no_space: false,
            closed: false,
            figures: Figures::default(),
        };
        Ok(Self { disk, inner: Mutex::new(inner), rooms: Rooms::new(settings.outbox), settings, seal })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on batches gather and wait for `release`.
    pub fn hold(&self) {
        self.lock().held = true;
    }

    /// Makes one commit of what has gathered, and commits at once from now on.
    pub fn release(&self) {
        let mut inner = self.lock();
        inner.held = false;
        self.flush(&mut inner);
    }

    /// Loses what is not committed and reads itself again. Their receipts end in `Closed`. Switches are as at start.
    pub fn crash(&self) {
        let mut inner = self.lock();
        inner.waiting.clear();
        (inner.held, inner.fault, inner.no_space, inner.closed) = (false, Fault::None, false, false);
        self.read_again(&mut inner);
    }

    /// The next commit fails and is not on the disk.
    pub fn fail_next_commit(&self) {
        self.lock().fault = Fault::Lost;
    }

    /// The next commit fails, and is on the disk all the same.
    pub fn doubt_next_commit(&self) {
        self.lock().fault = Fault::Kept;
    }

    /// Ends a doubt: reads itself again.
    pub fn recover(&self) {
        self.read_again(&mut self.lock());
    }

    /// Whether appends are refused with `Space`.
    pub fn refuse_space(&self, refuse: bool) {
        self.lock().no_space = refuse;
    }

    fn read_again(&self, inner: &mut Inner) {
        match Index::build(&self.disk, &self.settings, KEY) {
            Ok(index) => {
                inner.index = index;
                inner.doubt = None;
            }
            Err(error) => inner.doubt = Some(error.to_string().into()),
        }
    }

    fn flush(&self, inner: &mut Inner) {
        let mut jobs = mem::take(&mut inner.waiting);
        while !jobs.is_empty() {
            jobs = self.commit(inner, jobs);
        }
    }

    /// One commit. Answers the jobs that have more to do.
    fn commit(&self, inner: &mut Inner, mut jobs: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let txn = plan_all(&mut jobs, || Txn::new(&self.disk, &inner.index, &self.seal));
        let (changes, effects) = txn.finish();
        let fault = mem::take(&mut inner.fault);
        let doubt: Arc<str> = "as a test wanted".into();
        if fault != Fault::Lost
            && let Err(error) = self.disk.commit(changes)
        {
            jobs.into_iter().for_each(|job| job.failed(error.clone()));
            return Vec::new();
        }
        if fault != Fault::None {
            inner.figures.failed_commits += 1;
            inner.doubt = Some(doubt.clone());
            jobs.into_iter().for_each(|job| job.failed(StoreError::Doubt(doubt.clone())));
            return Vec::new();
        }
        inner.figures.commits += 1;
        let newest = effects.runs.iter().flatten().map(|seen| seen.received).max().unwrap_or(Wall(0));
        inner.index.apply(effects);
        inner.index.expire(newest, &self.settings);
        let batches = jobs.len();
        let unfinished: Vec<_> = jobs.into_iter().filter_map(Job::kept).collect();
        inner.figures.batches += (batches - unfinished.len()) as u64;
        unfinished
    }

    fn check(inner: &Inner) -> Result<(), StoreError> {
        if inner.closed {
            return Err(StoreError::Closed);
        }
        inner.doubt.clone().map_or(Ok(()), |why| Err(StoreError::Doubt(why)))
    }
}

impl Engine for Memory {
    fn submit(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let mut inner = self.lock();
        Self::check(&inner)?;
        if inner.waiting.len() >= self.settings.queue_batches {
            return Err(StoreError::Full);
        }
        inner.waiting.push(job);
        if !inner.held {
            self.flush(&mut inner);
        }
        Ok(())
    }

    fn space(&self) -> Result<(), StoreError> {
        let inner = self.lock();
        Self::check(&inner)?;
        let min_bytes = self.settings.free_space_min;
        if inner.no_space { Err(StoreError::Space { min_bytes }) } else { Ok(()) }
    }

    fn index<T>(&self, look: impl FnOnce(&Index) -> T) -> Result<T, StoreError> {
        let inner = self.lock();
        if inner.closed { Err(StoreError::Closed) } else { Ok(look(&inner.index)) }
    }

    fn disk<T>(&self, read: impl FnOnce(&dyn Kv) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.lock().closed { Err(StoreError::Closed) } else { read(&self.disk) }
    }

    fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    fn seal(&self) -> &Seal {
        &self.seal
    }
}

impl Store for Memory {
    fn healthy(&self) -> Result<(), StoreError> {
        self.space()
    }

    /// It has no clock and keeps no time.
    fn last_seen(&self) -> Option<Wall> {
        None
    }

    fn figures(&self) -> Figures {
        let inner = self.lock();
        let window = &inner.index.window;
        Figures { window_entries: window.entries() as u64, window_evicted: window.evicted(), ..inner.figures }
    }

    /// It has nothing to copy.
    fn backup(&self, dir: &Path, _: &dyn Fn() -> bool) -> Result<Backup, StoreError> {
        let why = "this engine keeps nothing on disk".into();
        Err(StoreError::Backup { dir: dir.display().to_string().into(), why })
    }

    fn close(&self) {
        let mut inner = self.lock();
        self.flush(&mut inner);
        inner.closed = true;
    }
}

#[cfg(test)]
mod tests;
