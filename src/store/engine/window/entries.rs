//! The entries of the window: where they lie, which follows which, and how they are found.

use super::{Mark, Sighting, Table};
use crate::wire::time::Wall;

/// Entries that are looked for together before anything is done with them.
const TOGETHER: usize = 64;

/// How exactly an entry's age is known.
const SECOND_MS: u64 = 1000;

/// No entry.
const NONE: u32 = u32::MAX;

/// One message that came: 32 bytes, of which there may be millions.
#[derive(Clone, Copy, Debug)]
struct Entry {
    mark: Mark,
    content: u64,
    /// The one that came after it from its peer; of a free one, the next that is free.
    next: u32,
    received_s: u32,
}

/// Those of one peer, oldest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    first: u32,
    last: u32,
    pub(super) len: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE, len: 0 }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Entries {
    all: Vec<Entry>,
    /// The first of those that are free.
    free: u32,
    len: usize,
    table: Table,
}

impl Default for Entries {
    fn default() -> Self {
        Self { all: Vec::new(), free: NONE, len: 0, table: Table::default() }
    }
}

impl Entries {
    /// So many there can be, and as many more for a moment.
    pub(super) const MAX: usize = (NONE / 2) as usize;

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Places that were ever taken.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.all.len()
    }

    fn at(&self, mark: &Mark) -> Option<u32> {
        self.table.find(mark, |at| self.all[at as usize].mark == *mark)
    }

    /// The content hash of a message that is known.
    pub(super) fn content(&self, mark: &Mark) -> Option<u64> {
        self.at(mark).map(|at| self.all[at as usize].content)
    }

    /// Puts them at the end of their peer's.
    pub(super) fn append(&mut self, chain: &mut Chain, run: &[Sighting]) {
        self.table.reserve(run.len());
        for seen in run.chunks(TOGETHER) {
            // Each lies far from the others: they are asked for together, so that the look-ups overlap, and are near afterwards.
            let mut known = [None; TOGETHER];
            known.iter_mut().zip(seen).for_each(|(known, seen)| *known = self.at(&seen.mark));
            for (seen, known) in seen.iter().zip(known) {
                let at = self.place(seen);
                match known {
                    // It had left before a restart, and came again: the later one counts.
                    Some(before) => self.table.replace(&seen.mark, before, at),
                    None => self.table.insert(&seen.mark, at),
                }
                self.link(chain, at);
            }
        }
    }

    fn place(&mut self, seen: &Sighting) -> u32 {
        let received_s = u32::try_from(seen.received.0 / SECOND_MS).unwrap_or(u32::MAX);
        let entry = Entry { mark: seen.mark, content: seen.content, next: NONE, received_s };
        self.len += 1;
        match self.all.get_mut(self.free as usize) {
            Some(free) => {
                let at = std::mem::replace(&mut self.free, free.next);
                *free = entry;
                at
            }
            None => {
                self.all.push(entry);
                u32::try_from(self.all.len() - 1).unwrap_or(NONE)
            }
        }
    }

    fn link(&mut self, chain: &mut Chain, at: u32) {
        match self.all.get_mut(chain.last as usize) {
            Some(last) => last.next = at,
            None => chain.first = at,
        }
        chain.last = at;
        chain.len += 1;
    }

    /// Takes so many of a peer's oldest, as far as there are so many.
    pub(super) fn drop_oldest(&mut self, chain: &mut Chain, mut count: usize) {
        count = count.min(chain.len);
        while count > 0 {
            let mut oldest = [NONE; TOGETHER];
            let oldest = &mut oldest[..count.min(TOGETHER)];
            for place in oldest.iter_mut() {
                *place = chain.first;
                chain.first = self.all[chain.first as usize].next;
            }
            self.forget(oldest);
            count -= oldest.len();
            chain.len -= oldest.len();
        }
        if chain.len == 0 {
            *chain = Chain::default();
        }
    }

    fn forget(&mut self, gone: &[u32]) {
        self.len -= gone.len();
        // As where they are appended: asked for together first.
        let mut ours = [false; TOGETHER];
        for (ours, at) in ours.iter_mut().zip(gone) {
            let mark = &self.all[*at as usize].mark;
            *ours = self.table.find(mark, |found| found == *at).is_some();
        }
        for (at, ours) in gone.iter().zip(ours) {
            let entry = &mut self.all[*at as usize];
            if ours {
                self.table.remove(&entry.mark, *at);
            }
            entry.next = std::mem::replace(&mut self.free, *at);
        }
    }

    /// How many of a peer's oldest were all received before `bound`.
    pub(super) fn older(&self, chain: &Chain, bound: Wall) -> usize {
        let (mut at, mut count) = (chain.first, 0);
        while let Some(entry) = self.all.get(at as usize).filter(|entry| is_older(entry.received(), bound)) {
            (at, count) = (entry.next, count + 1);
        }
        count
    }

    /// When a peer's oldest that is there was received.
    pub(super) fn first_received(&self, chain: &Chain) -> Option<Wall> {
        self.all.get(chain.first as usize).map(Entry::received)
    }
}

impl Entry {
    /// As exactly as it is known.
    fn received(&self) -> Wall {
        Wall(u64::from(self.received_s) * SECOND_MS)
    }
}

/// Whether what was received then was surely received before `bound`.
pub(super) fn is_older(received: Wall, bound: Wall) -> bool {
    (received.0 / SECOND_MS + 1).saturating_mul(SECOND_MS) <= bound.0
}
