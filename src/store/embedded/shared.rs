//! What callers and the writer share: the disk and what is known of it, whether anything is taken, and figures.
//!
//! The writer alone changes `State`; callers read it, shortly for the index, and with a handle of their own for the
//! disk, so that a long read holds up no commit.

use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use super::{disk::Disk, folder::Folder};
use crate::{
    store::{
        Settings, StoreError,
        engine::{index::Index, room::Rooms, seal::Seal, window::HashKey},
    },
    telemetry::histogram::Histogram,
    wire::time::{ReadClock, Wall},
};

/// A commit that is to fail and not to reach the disk.
pub(super) const FAULT_LOST: u8 = 1;
/// A commit that is to reach the disk and to be told as failed.
pub(super) const FAULT_KEPT: u8 = 2;
/// The free space is asked for once in this time ...
const SPACE_MS: u64 = 1000;
/// ... and whenever so much was handed over, or a sixteenth of the least that must be free, whichever is less: a disk can be
/// filled within a second.
const SPACE_BYTES: u64 = 16 * 1024 * 1024;

/// What lies on disk, and what is known of it.
pub(super) struct State {
    /// None while it is opened again, and when closed.
    pub(super) disk: Option<Arc<Disk>>,
    /// Of the last commit that was kept.
    pub(super) index: Index,
}

/// What callers and the writer share.
pub(super) struct Shared {
    pub(super) state: RwLock<State>,
    pub(super) doubt: Mutex<Option<Arc<str>>>,
    pub(super) closed: AtomicBool,
    pub(super) rooms: Rooms,
    pub(super) settings: Settings,
    pub(super) seal: Seal,
    pub(super) key: HashKey,
    pub(super) now: ReadClock,
    /// As found at open.
    pub(super) last_seen: Option<Wall>,
    pub(super) folder: Folder,
    /// Held while a backup is made: one at a time.
    pub(super) copying: Mutex<()>,
    pub(super) faults: AtomicU8,
    pub(super) commits: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) failed_commits: AtomicU64,
    pub(super) damaged_reads: AtomicU64,
    pub(super) commit_time: Histogram,
    pub(super) space_asked: AtomicU64,
    /// Bytes that were handed over since: they may not be on the disk yet.
    pub(super) space_taken: AtomicU64,
    pub(super) space_low: AtomicBool,
}

impl Shared {
    pub(super) fn set_doubt(&self, why: Option<Arc<str>>) {
        *self.doubt.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let doubt = self.doubt.lock().unwrap_or_else(PoisonError::into_inner).clone();
        doubt.map_or(Ok(()), |why| Err(StoreError::Doubt(why)))
    }

    pub(super) fn check_space(&self) -> Result<(), StoreError> {
        let now = (self.now)().mono.0.saturating_add(1);
        let (asked, min_bytes) = (self.space_asked.load(Ordering::Relaxed), self.settings.free_space_min);
        let is_long_ago = asked == 0 || now.saturating_sub(asked) >= SPACE_MS;
        if is_long_ago || is_much(self.space_taken.load(Ordering::Relaxed), min_bytes) {
            self.space_asked.store(now, Ordering::Relaxed);
            let taken = self.space_taken.swap(0, Ordering::Relaxed);
            match self.folder.free_bytes() {
                Ok(free) => self.found_free(free.saturating_sub(taken)),
                Err(cause) => tracing::warn!(%cause, "the free space is not known"),
            }
        }
        //= NODE-CONF-13: nothing more is taken
        if self.space_low.load(Ordering::Relaxed) { Err(StoreError::Space { min_bytes }) } else { Ok(()) }
    }

    /// Says it where that changes what is taken.
    fn found_free(&self, free: u64) {
        let (min, folder) = (self.settings.free_space_min, self.folder.path().display());
        let low = is_low(free, min, self.space_low.load(Ordering::Relaxed));
        match (self.space_low.swap(low, Ordering::Relaxed), low) {
            (false, true) => tracing::warn!(
                %folder, free, min,
                "the disk is nearly full: nothing more is taken until there is more room than limits.free-space-min"
            ),
            (true, false) => tracing::info!(%folder, free, min, "there is room on the disk again"),
            (false, false) | (true, true) => {}
        }
    }
}

/// Whether so much was handed over that the free space may be another by now.
fn is_much(taken: u64, min: u64) -> bool {
    min > 0 && taken > SPACE_BYTES.min(min / 16)
}

/// Whether there is too little free space; once there is, a sixteenth more than the least ends it, so that a disk on the
/// edge is not opened and closed each second.
fn is_low(free: u64, min: u64, was: bool) -> bool {
    let margin = if was { min / 16 } else { 0 };
    free < min.saturating_add(margin)
}

#[cfg(test)]
mod tests {
    use super::*;

    //= NODE-CONF-13
    #[test]
    fn the_free_space_is_asked_for_again_before_much_of_it_can_be_gone() {
        let mib = 1024 * 1024;
        assert!(is_much(17 * mib, 1024 * mib) && !is_much(16 * mib, 1024 * mib));
        assert!(is_much(mib / 4 + 1, 4 * mib) && !is_much(mib / 4, 4 * mib));
        assert!(!is_much(u64::MAX, 0) && !is_much(0, 1));
    }

    //= NODE-CONF-13
    #[test]
    fn a_disk_on_the_edge_does_not_come_and_go() {
        assert!(is_low(159, 160, false) && !is_low(160, 160, false));
        assert!(is_low(160, 160, true) && is_low(169, 160, true));
        assert!(!is_low(170, 160, true) && !is_low(169, 160, false));
        assert!(!is_low(0, 0, true) && !is_low(0, 0, false));
        assert!(is_low(u64::MAX - 1, u64::MAX, true));
    }
}
