//! A line that others can cause at will: said at most once in ten seconds, with the count of those that were not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

const SELDOM: Duration = Duration::from_secs(10);

/// One kind of line. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Seldom(Arc<State>);

#[derive(Debug, Default)]
struct State {
    quiet: AtomicBool,
    unsaid: AtomicU64,
}

impl Seldom {
    /// `Some` says that the line may be written, and how many were not since the last one.
    pub(super) fn say(&self) -> Option<u64> {
        if self.0.quiet.swap(true, Ordering::AcqRel) {
            self.0.unsaid.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let state = Arc::clone(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(SELDOM).await;
            state.quiet.store(false, Ordering::Release);
        });
        Some(self.0.unsaid.swap(0, Ordering::Relaxed))
    }
}
