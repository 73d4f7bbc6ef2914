//! The one thread that writes: takes what waits, makes one commit of it, syncs once, answers all.
//!
//! ```text
//! queue -> gather -> plan -> commit + fdatasync -> apply -> answer -> tidy -> queue
//!                              | failed
//!                              v
//!                   answer Doubt, refuse all, close and open the store again until it reads
//! ```
//!
//! While one sync runs, the next batches gather: the slower the disk, the more share a sync.

use std::{
    mem,
    sync::{
        Arc, PoisonError, Weak,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    thread,
    time::Duration,
};

use super::{
    clock::{self, Clock},
    disk::Disk,
    shared::{FAULT_LOST, Shared},
    tables::caught,
};
use crate::{
    store::{
        StoreError,
        engine::{
            index::Index,
            job::{Job, plan_all},
            kv::Kv as _,
            txn::Txn,
        },
    },
    telemetry::histogram::Stopwatch,
};

/// Batches in one commit: enough to hide the sync, few enough that the first does not wait long for the last.
const JOBS_MAX: usize = 512;
/// Bytes in one commit.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// House-keeping that is left goes on after so long without a batch: little enough of the disk that nobody notices it.
const QUIET: Duration = Duration::from_millis(20);
/// The first wait before the database is opened again, doubled with each try.
const BACK_OFF: Duration = Duration::from_millis(100);
/// ... up to here.
const BACK_OFF_MAX: Duration = Duration::from_secs(5);

type Jobs = Vec<Box<dyn Job>>;

/// See above.
pub(super) struct Writer {
    shared: Arc<Shared>,
    queue: Receiver<Box<dyn Job>>,
    /// Jobs that have more to do.
    unfinished: Jobs,
    /// Whether there is house-keeping left.
    untidy: bool,
    clock: Clock,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, queue: Receiver<Box<dyn Job>>, clock: Clock) -> Self {
        Self { shared, queue, unfinished: Vec::new(), untidy: false, clock }
    }

    /// Until the queue is closed and empty; then keeps the time.
    pub(super) fn run(mut self) {
        while let Some(jobs) = self.gather() {
            // None are there where the queue was quiet while there is house-keeping to be done.
            let kept = if jobs.is_empty() { Ok(()) } else { self.commit(jobs) };
            if let Err((jobs, cause)) = kept.and_then(|()| self.tidy().map_err(|cause| (Jobs::new(), cause)))
            {
                self.doubt(jobs, &cause);
            }
        }
        if let Err(cause) = self.keep_time() {
            tracing::warn!(%cause, "the time at which the store was closed could not be kept");
        }
    }

    fn keep_time(&mut self) -> Result<(), StoreError> {
        self.clock.tick((self.shared.now)());
        let Some(at) = self.clock.news() else { return Ok(()) };
        // In doubt nothing is written: the database would have to be opened again first.
        self.shared.check()?;
        let disk = self.shared.state.read().unwrap_or_else(PoisonError::into_inner).disk.clone();
        let Some(disk) = disk else { return Err(StoreError::Closed) };
        caught("writing", || disk.commit(vec![clock::change(at)]))
    }

    fn gather(&mut self) -> Option<Jobs> {
        let mut jobs = mem::take(&mut self.unfinished);
        if jobs.is_empty() {
            let next = match self.untidy {
                false => self.queue.recv().map_err(RecvTimeoutError::from),
                true => self.queue.recv_timeout(QUIET),
            };
            match next {
                Ok(job) => jobs.push(job),
                Err(RecvTimeoutError::Timeout) => return Some(jobs),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            // Who else is about to hand something over may do it first: where cores are few a sync saved is worth the turn.
            thread::yield_now();
        }
        let mut bytes = jobs.iter().map(|job| job.weight()).sum::<usize>();
        while jobs.len() < JOBS_MAX && bytes < BYTES_MAX {
            let Ok(job) = self.queue.try_recv() else { break };
            bytes = bytes.saturating_add(job.weight());
            jobs.push(job);
        }
        Some(jobs)
    }

    fn commit(&mut self, mut jobs: Jobs) -> Result<(), (Jobs, StoreError)> {
        let shared = self.shared.clone();
        let state = shared.state.read().unwrap_or_else(PoisonError::into_inner);
        let Some(disk) = state.disk.clone() else { return Err((jobs, StoreError::Closed)) };
        let plan = || Ok(plan_all(&mut jobs, || Txn::new(&*disk, &state.index, &shared.seal)).finish());
        let planned = caught("planning", plan);
        drop(state);
        let (mut changes, effects) = match planned {
            Ok(planned) => planned,
            Err(cause) => return Err((jobs, cause)),
        };
        let written = !changes.is_empty();
        let expire = self.clock.tick((shared.now)());
        let time = self.clock.due().filter(|_| written);
        changes.extend(time.map(clock::change));
        let commit = || {
            let fault = shared.faults.swap(0, Ordering::Relaxed);
            if fault != FAULT_LOST && written {
                let begun = Stopwatch::start();
                disk.commit(changes)?;
                shared.commit_time.observe(begun.elapsed());
            }
            if fault == 0 {
                Ok(())
            } else {
                Err(StoreError::Io { what: "writing".into(), cause: "wanted".into() })
            }
        };
        if let Err(cause) = caught("writing", commit) {
            return Err((jobs, cause));
        }
        drop(disk);
        if let Some(at) = time {
            self.clock.keep(at);
        }
        if written {
            shared.commits.fetch_add(1, Ordering::Relaxed);
        }
        let mut state = shared.state.write().unwrap_or_else(PoisonError::into_inner);
        state.index.apply(effects);
        if let Some(now) = expire {
            state.index.expire(now.wall, &shared.settings);
        }
        drop(state);
        let batches = jobs.len();
        self.unfinished = jobs.into_iter().filter_map(Job::kept).collect();
        shared.batches.fetch_add((batches - self.unfinished.len()) as u64, Ordering::Relaxed);
        Ok(())
    }

    /// House-keeping, when all are answered.
    fn tidy(&mut self) -> Result<(), StoreError> {
        let disk = self.shared.state.read().unwrap_or_else(PoisonError::into_inner).disk.clone();
        self.untidy = disk.map_or(Ok(false), |disk| caught("tidying", || disk.tidy()))?;
        Ok(())
    }

    fn doubt(&mut self, jobs: Jobs, cause: &StoreError) {
        let why: Arc<str> = cause.to_string().into();
        tracing::error!(%cause, "a commit failed: nothing more is taken until the store has read itself again");
        self.shared.failed_commits.fetch_add(1, Ordering::Relaxed);
        self.shared.set_doubt(Some(why.clone()));
        refuse(jobs, &why);
        let mut wait = BACK_OFF;
        loop {
            if !self.refuse_for(wait, &why) {
                return;
            }
            match self.read_again() {
                Ok(()) => {
                    tracing::warn!("the store has read itself again and takes batches");
                    return self.shared.set_doubt(None);
                }
                Err(cause) => tracing::warn!(%cause, "the store cannot read itself again yet"),
            }
            wait = (wait * 2).min(BACK_OFF_MAX);
        }
    }

    /// Answers what comes with the doubt. `false` when the store is closed meanwhile.
    fn refuse_for(&mut self, wait: Duration, why: &Arc<str>) -> bool {
        let (slice, mut left) = (Duration::from_millis(50), wait);
        refuse(mem::take(&mut self.unfinished), why);
        while !left.is_zero() {
            match self.queue.recv_timeout(slice.min(left)) {
                Ok(job) => refuse(vec![job], why),
                Err(RecvTimeoutError::Timeout) => left = left.saturating_sub(slice),
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        loop {
            match self.queue.try_recv() {
                Ok(job) => refuse(vec![job], why),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Closes the database and opens it again; everything in memory is read anew.
    fn read_again(&mut self) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let old = shared.state.write().unwrap_or_else(PoisonError::into_inner).disk.take();
        release(old);
        let disk = Disk::reopen(&shared.folder.paths())?;
        let mut index = caught("reading", || Index::build(&disk, &shared.settings, shared.key))?;
        self.clock.tick((shared.now)());
        if let Some(now) = self.clock.believed() {
            index.expire(now.wall, &shared.settings);
        }
        let mut state = shared.state.write().unwrap_or_else(PoisonError::into_inner);
        state.index = index;
        state.disk = Some(Arc::new(disk));
        Ok(())
    }
}

/// Lets go of the database; ends when the last reader has, too.
pub(super) fn release(disk: Option<Arc<Disk>>) {
    let Some(disk) = disk else { return };
    let left: Weak<Disk> = Arc::downgrade(&disk);
    // A database that gave up may give up once more here.
    let _ = caught("closing the database", || {
        drop(disk);
        Ok(())
    });
    while left.strong_count() > 0 {
        thread::sleep(Duration::from_millis(1));
    }
}

fn refuse(jobs: Jobs, why: &Arc<str>) {
    jobs.into_iter().for_each(|job| job.failed(StoreError::Doubt(why.clone())));
}
