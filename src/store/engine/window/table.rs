//! Where something lies that is found by its mark.
//!
//! The thing itself lies elsewhere, in the order in which it came; here are a number of it and a quarter of its mark. So a
//! look-up, which is nowhere near the one before, touches little memory, and the table grows without reading the things.

use hashbrown::HashTable;

use super::Mark;

/// The place of one thing.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Of its mark: enough to tell it from nearly all others, and to find its place when the table grows.
    tag: u32,
    at: u32,
}

/// What hashbrown takes for a hash: it looks for the place by its lowest bits and compares the highest first.
fn spread(tag: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(tag)
}

fn tag(mark: &Mark) -> u32 {
    u32::try_from(mark.0[0] & u64::from(u32::MAX)).unwrap_or_default()
}

/// Numbers of things by their marks.
#[derive(Debug, Default)]
pub(crate) struct Table(HashTable<Held>);

impl Table {
    /// So many more are to come.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.0.reserve(more, |held| spread(held.tag));
    }

    /// The number of the thing of this mark; `is` tells by the number.
    pub(crate) fn find(&self, mark: &Mark, is: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag(mark);
        self.0.find(spread(tag), |held| held.tag == tag && is(held.at)).map(|held| held.at)
    }

    /// One that is not there yet.
    pub(crate) fn insert(&mut self, mark: &Mark, at: u32) {
        let tag = tag(mark);
        self.0.insert_unique(spread(tag), Held { tag, at }, |held| spread(held.tag));
    }

    /// One more, in the place of the one that has its mark.
    pub(crate) fn replace(&mut self, mark: &Mark, before: u32, at: u32) {
        let found = self.0.find_mut(spread(tag(mark)), |held| held.at == before);
        if let Some(held) = found {
            held.at = at;
        }
    }

    /// Removes the thing of this mark if it has this number.
    pub(crate) fn remove(&mut self, mark: &Mark, at: u32) {
        if let Ok(found) = self.0.find_entry(spread(tag(mark)), |held| held.at == at) {
            found.remove();
        }
    }
}
