//! Look-ups and grants under way, as limits count them.

use std::collections::{HashMap, hash_map};

use super::{Asked, Origin};

/// Grants under way, as limits count them.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pub(super) all: usize,
    pub(super) strangers: usize,
    pub(super) by_origin: HashMap<Origin, usize>,
}

impl Slots {
    //= HT-ASK-32: a look-up holds a slot
    pub(super) fn occupy(&mut self, asked: &Asked) {
        self.all += 1;
        self.strangers += usize::from(!asked.known);
        *self.by_origin.entry(asked.origin).or_default() += 1;
    }

    pub(super) fn release(&mut self, asked: &Asked) {
        self.all -= 1;
        self.strangers -= usize::from(!asked.known);
        if let hash_map::Entry::Occupied(mut count) = self.by_origin.entry(asked.origin) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    //= HT-ASK-30: an eighth, and half
    pub(super) fn has_room(&self, asked: &Asked, all: usize) -> bool {
        let from_there = self.by_origin.get(&asked.origin).copied().unwrap_or(0);
        let room = self.all < all && (asked.known || self.strangers < (all / 2).max(1));
        room && from_there < (all / 8).max(1)
    }
}
