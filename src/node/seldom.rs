//! Log lines that a peer or a stranger can cause at will: each kind is said at most once in ten seconds, with the count
//! of those that were not said. The metrics hold them all.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::wire::time::Mono;

/// One kind of line is said at most once in this time.
const SELDOM: Duration = Duration::from_secs(10);

/// One kind of line.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<(Option<Mono>, u64)>);

impl Seldom {
    /// `Some` says that the line may be written, and how many were not since the last one.
    pub(super) fn say(&self, now: Mono) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, unsaid) = &mut *state;
        if last.is_some_and(|last| now.since(last) < SELDOM) {
            *unsaid += 1;
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(unsaid))
    }
}

/// The kinds.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Messages for services that do not run here.
    pub(super) ignored: Seldom,
    /// Repeats with another content.
    pub(super) altered: Seldom,
    /// Requests in the name of a host that does not know of them.
    pub(super) misused: Seldom,
    /// Requests in configured peers' names that are not granted.
    pub(super) dropped: Seldom,
    /// Grants that are refused.
    pub(super) refused: Seldom,
    /// Calls of hosts that the policy refuses, and packets that are refused whole.
    pub(super) denied: Seldom,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_once_in_ten_seconds_with_the_count_of_the_others() {
        let line = Seldom::default();
        let said: Vec<_> = [0, 1, 9_999, 10_000, 10_001, 20_000].map(|at| line.say(Mono(at))).into();
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
