//! The window of repeats: which messages of which host have come lately.
//!
//! In memory, since an index of random keys on disk would cost several times the append itself; on disk only a list in
//! order of arrival, from which it is built at start. An entry takes 45 to 65 bytes: a keyed 128-bit hash of host and
//! id, which strangers cannot make collide, a 64-bit hash of the content, when it came, its place in its peer's queue and in a
//! hash table.
//!
//! On disk entries lie in runs: those of one peer that came with one commit. A run is deleted when all of it has left, and since a
//! peer's entries leave in order, at most one run of each peer has left in part. What has left of it comes back with a restart,
//! and leaves again by the same bounds.
//!
//! Bounds: an age; entries per peer, whose own oldest goes first; entries in all, where the oldest of the peer with the
//! most entries goes first. So a flood by one peer costs that peer's memory of itself and nobody else's.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::{store::Settings, wire::time::Wall};

mod entries;
mod marks;
mod table;

use entries::{Chain, Entries, is_older};
pub(crate) use marks::{HashKey, Mark, Sighting};
pub(crate) use table::Table;

/// Entries of a peer that lie together on disk, under the arrival of the last of them.
#[derive(Clone, Copy, Debug)]
struct Run {
    last: u64,
    /// How many of them are in the window: they leave in order.
    live: u32,
}

/// What is known of one peer, oldest first.
#[derive(Debug, Default)]
struct Queue {
    chain: Chain,
    runs: VecDeque<Run>,
}

impl Queue {
    /// So many of its oldest have left: the runs of which none is left.
    fn left(&mut self, mut count: usize) -> Vec<u64> {
        let mut empty = Vec::new();
        while let Some(run) = self.runs.front_mut().filter(|_| count > 0) {
            let of_run = usize::try_from(run.live).unwrap_or(usize::MAX).min(count);
            count -= of_run;
            run.live -= u32::try_from(of_run).unwrap_or(run.live);
            if run.live > 0 {
                break;
            }
            empty.push(run.last);
            self.runs.pop_front();
        }
        empty
    }
}

/// The window.
pub(crate) struct Window {
    pub(crate) key: HashKey,
    per_peer: usize,
    total: usize,
    entries: Entries,
    queues: HashMap<u32, Queue>,
    /// Peers by number of entries.
    sizes: BTreeSet<(usize, u32)>,
    /// Nothing that is here is older.
    oldest: Wall,
    last_arrival: u64,
    evicted: u64,
    /// Runs to be deleted on disk with the next commit, by the arrival of their last.
    stale: Vec<u64>,
}

impl Window {
    pub(crate) fn new(key: HashKey, settings: &Settings) -> Self {
        Self {
            key,
            per_peer: settings.dedupe_per_peer.max(1),
            total: settings.dedupe_total.clamp(1, Entries::MAX),
            entries: Entries::default(),
            queues: HashMap::new(),
            sizes: BTreeSet::new(),
            oldest: Wall(u64::MAX),
            last_arrival: 0,
            evicted: 0,
            stale: Vec::new(),
        }
    }

    /// The content hash of a message that has come before.
    #[cfg(test)]
    fn find(&self, mark: &Mark) -> Option<u64> {
        self.find_all(&[*mark])[0]
    }

    /// The content hashes of those messages that have come before. Each lies far from the others in memory: nothing else is done
    /// between the look-ups, so that they overlap.
    pub(crate) fn find_all(&self, marks: &[Mark]) -> Vec<Option<u64>> {
        marks.iter().map(|mark| self.entries.content(mark)).collect()
    }

    pub(crate) fn last_arrival(&self) -> u64 {
        self.last_arrival
    }

    pub(crate) fn entries(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Runs that left the window and still lie on disk, by the arrival of their last.
    pub(crate) fn stale(&self, max: usize) -> &[u64] {
        &self.stale[..self.stale.len().min(max)]
    }

    /// The first `count` of them have been deleted.
    pub(crate) fn swept(&mut self, count: usize) {
        self.stale.drain(..count.min(self.stale.len()));
    }

    /// Takes a run of one peer that is on disk; what exceeds the bounds leaves.
    pub(crate) fn insert(&mut self, run: &[Sighting]) {
        let Some((last, peer)) = run.last().map(|seen| (seen.arrival, seen.peer)) else { return };
        self.last_arrival = self.last_arrival.max(last);
        let queue = self.queues.entry(peer).or_default();
        let before = queue.chain.len;
        queue.runs.push_back(Run { last, live: u32::try_from(run.len()).unwrap_or(u32::MAX) });
        self.entries.append(&mut queue.chain, run);
        let size = queue.chain.len;
        self.oldest = run.iter().map(|seen| seen.received).fold(self.oldest, Wall::min);
        self.resize(peer, before, size);
        //= HT-PKT-17: its own oldest first
        self.evict(peer, size.saturating_sub(self.per_peer));
        while let Some(over) = self.entries.len().checked_sub(self.total).filter(|over| *over > 0) {
            let mut largest = self.sizes.iter().rev();
            let Some(&(most, peer)) = largest.next() else { break };
            // It is the largest until it is no larger than the next.
            let lead = largest.next().map_or(most, |next| most - next.0).max(1);
            self.evict(peer, over.min(lead));
        }
    }

    /// All that lies on disk has been inserted: what came back and left again was counted when it left first.
    pub(crate) fn built(&mut self) {
        self.evicted = 0;
    }

    fn evict(&mut self, peer: u32, count: usize) {
        self.evicted += count as u64;
        self.drop_oldest(peer, count);
    }

    fn resize(&mut self, peer: u32, before: usize, size: usize) {
        self.sizes.remove(&(before, peer));
        if size > 0 {
            self.sizes.insert((size, peer));
        } else {
            self.queues.remove(&peer);
        }
    }

    fn drop_oldest(&mut self, peer: u32, count: usize) {
        let Some(queue) = self.queues.get_mut(&peer).filter(|_| count > 0) else { return };
        let before = queue.chain.len;
        self.entries.drop_oldest(&mut queue.chain, count);
        let size = queue.chain.len;
        // Behind one that came before the clock was set back there may be older ones.
        let first = self.entries.first_received(&queue.chain);
        self.oldest = first.map_or(self.oldest, |first| self.oldest.min(first));
        self.stale.extend(queue.left(before - size));
        self.resize(peer, before, size);
    }

    /// Drops what was received before `oldest`.
    pub(crate) fn expire(&mut self, oldest: Wall) {
        if !is_older(self.oldest, oldest) {
            return;
        }
        let older = |(peer, queue): (&u32, &Queue)| (*peer, self.entries.older(&queue.chain, oldest));
        let older: Vec<_> = self.queues.iter().map(older).filter(|(_, count)| *count > 0).collect();
        older.into_iter().for_each(|(peer, count)| self.drop_oldest(peer, count));
        let firsts = self.queues.values().filter_map(|queue| self.entries.first_received(&queue.chain));
        self.oldest = firsts.min().unwrap_or(Wall(u64::MAX));
    }
}

#[cfg(test)]
mod tests;
