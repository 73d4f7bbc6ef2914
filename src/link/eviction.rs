//! Which links end where there are more than may be.
//!
//! A link that never carried a packet costs whoever made it a request and a name: such go first, the oldest of them before
//! the others. Of those in use the one goes that was silent for longest.

use crate::wire::time::Wall;

/// How much a link is worth, the least first: whether it ever carried a packet, then when the peer was last heard from or
/// tokens were exchanged (what is heard is written with what comes next, so after a restart it may be older).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Worth {
    pub(super) used: bool,
    pub(super) last: Option<Wall>,
}

/// Those that are least worth, where there are more than `most`: as many as are too many.
#[must_use]
pub fn surplus<T>(mut links: Vec<(Worth, T)>, most: usize) -> Vec<(Worth, T)> {
    let Some(last) = links.len().checked_sub(most.saturating_add(1)) else { return Vec::new() };
    links.select_nth_unstable_by_key(last, |(worth, _)| *worth);
    links.truncate(last + 1);
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(used: bool, last: Option<u64>) -> Worth {
        Worth { used, last: last.map(Wall) }
    }

    #[test]
    fn as_many_end_as_are_too_many_the_unused_first_then_the_longest_silent() {
        let links = || {
            vec![
                (link(true, Some(5)), "long silent"),
                (link(false, Some(9)), "newest unused"),
                (link(true, Some(8)), "used"),
                (link(false, None), "unknown"),
                (link(false, Some(1)), "oldest unused"),
            ]
        };
        let left = ["unknown", "oldest unused", "newest unused", "long silent", "used"];
        for most in 0..=6 {
            let mut names: Vec<_> = surplus(links(), most).into_iter().map(|(_, name)| name).collect();
            names.sort_by_key(|name| left.iter().position(|one| one == name));
            assert_eq!(names, left[..5usize.saturating_sub(most)], "{most} may be");
        }
        assert!(surplus(links(), usize::MAX).is_empty());
    }
}
