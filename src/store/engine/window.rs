//! The window of repeats: which messages of which host have come lately.
//!
//! In memory, since an index of random keys on disk would cost several times the append itself; on disk only a list in
//! order of arrival, from which it is built at start. An entry takes about 60 bytes: a keyed 128-bit hash of host and
//! id, which strangers cannot make collide, a 64-bit hash of the content, and its place in its peer's queue.
//!
//! On disk entries lie in runs: those of one peer that came with one commit. A run is deleted when all of it has left, and since a
//! peer's entries leave in order, at most one run of each peer has left in part. What has left of it comes back with a restart,
//! and leaves again by the same bounds.
//!
//! Bounds: an age; entries per peer, whose own oldest goes first; entries in all, where the oldest of the peer with the
//! most entries goes first. So a flood by one peer costs that peer's memory of itself and nobody else's.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    hash::{BuildHasherDefault, Hash, Hasher},
};

use siphasher::sip128::{Hasher128 as _, SipHasher13, SipHasher24};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::codec::{Put, Take};
use crate::{
    store::Settings,
    wire::{host::PeerHost, time::Wall},
};

/// How exactly an entry's age is known.
const MARK_MS: u64 = 1000;

/// Entries that are looked for together before they are removed.
const TOGETHER: usize = 64;

/// Keyed hash of host and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) [u64; 2]);

impl Hash for Mark {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The half that is not looked at here is compared.
        state.write_u64(self.0[0]);
    }
}

/// What is found by its mark.
pub(crate) type ByMark<T> = HashMap<Mark, T, BuildHasherDefault<AsItIs>>;

/// One message that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    /// Order of arrival, unique.
    pub(crate) arrival: u64,
    pub(crate) mark: Mark,
    pub(crate) peer: u32,
    pub(crate) received: Wall,
    /// Keyed hash of the whole message.
    pub(crate) content: u64,
}

impl Sighting {
    pub(crate) fn write(&self, put: &mut Put) {
        self.mark.0.iter().for_each(|half| put.u64(*half));
        put.u32(self.peer);
        put.u64(self.received.0);
        put.u64(self.content);
    }

    pub(crate) fn read(arrival: u64, take: &mut Take<'_>) -> Option<Self> {
        let mark = Mark([take.u64()?, take.u64()?]);
        Some(Self { arrival, mark, peer: take.u32()?, received: Wall(take.u64()?), content: take.u64()? })
    }
}

/// The key of both hashes; random, kept on disk.
#[derive(Clone, Copy)]
pub(crate) struct HashKey(pub(crate) [u8; 16]);

impl HashKey {
    //= HT-PKT-03: by sender host and id
    /// What a message is recognised by.
    pub(crate) fn mark(&self, from: &PeerHost, id: &str) -> Mark {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(from.as_str().as_bytes());
        hasher.write(&[0]);
        hasher.write(id.as_bytes());
        let hash = hasher.finish128();
        Mark([hash.h1, hash.h2])
    }

    /// What its content is compared by: who makes two that look alike has but the first of them kept, as anybody has.
    pub(crate) fn content(&self, raw: &[u8]) -> u64 {
        let seed = self.0.first_chunk().map_or(0, |half| u64::from_be_bytes(*half));
        xxh3_64_with_seed(raw, seed)
    }

    /// Whether this is the content of a message that came first; what is remembered of long ago was made in another way.
    pub(crate) fn is_content(&self, first: u64, content: u64, raw: &[u8]) -> bool {
        first == content || first == SipHasher13::new_with_key(&self.0).hash(raw).h1
    }
}

/// An entry in its peer's queue.
#[derive(Clone, Copy, Debug)]
struct Place {
    mark: Mark,
    arrival: u64,
}

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
    places: VecDeque<Place>,
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

/// What is known of a message by its mark.
#[derive(Clone, Copy, Debug)]
struct Content {
    hash: u64,
    arrival: u64,
}

/// Marks are keyed hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not called for a mark, which gives a number.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// The window.
pub(crate) struct Window {
    pub(crate) key: HashKey,
    per_peer: usize,
    total: usize,
    contents: ByMark<Content>,
    queues: HashMap<u32, Queue>,
    /// Peers by number of entries.
    sizes: BTreeSet<(usize, u32)>,
    /// What arrived from `.0` up to the next mark was received less than `MARK_MS` after `.1`.
    ages: VecDeque<(u64, Wall)>,
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
            total: settings.dedupe_total.max(1),
            contents: HashMap::default(),
            queues: HashMap::new(),
            sizes: BTreeSet::new(),
            ages: VecDeque::new(),
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
        marks.iter().map(|mark| self.contents.get(mark).map(|content| content.hash)).collect()
    }

    pub(crate) fn last_arrival(&self) -> u64 {
        self.last_arrival
    }

    pub(crate) fn entries(&self) -> usize {
        self.contents.len()
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
        let queue = self.queues.entry(peer).or_default();
        let before = queue.places.len();
        queue.runs.push_back(Run { last, live: u32::try_from(run.len()).unwrap_or(u32::MAX) });
        queue.places.extend(run.iter().map(|seen| Place { mark: seen.mark, arrival: seen.arrival }));
        let size = queue.places.len();
        self.resize(peer, before, size);
        run.iter().for_each(|seen| self.remember(seen));
        //= HT-PKT-17: its own oldest first
        self.evict(peer, size.saturating_sub(self.per_peer));
        while self.contents.len() > self.total {
            let Some(&(_, largest)) = self.sizes.last() else { break };
            self.evict(largest, 1);
        }
    }

    /// All that lies on disk has been inserted: what came back and left again was counted when it left first.
    pub(crate) fn built(&mut self) {
        self.evicted = 0;
    }

    fn remember(&mut self, seen: &Sighting) {
        self.last_arrival = self.last_arrival.max(seen.arrival);
        // Where the message is known it had left before the restart, and came again: the later one counts.
        self.contents.insert(seen.mark, Content { hash: seen.content, arrival: seen.arrival });
        let newest = self.ages.back().map_or(Wall(0), |age| age.1);
        if seen.received.0 >= newest.0.saturating_add(MARK_MS) || self.ages.is_empty() {
            self.ages.push_back((seen.arrival, seen.received));
        }
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
        let before = queue.places.len();
        let gone: Vec<Place> = queue.places.drain(..count.min(before)).collect();
        self.stale.extend(queue.left(gone.len()));
        let size = queue.places.len();
        self.resize(peer, before, size);
        for gone in gone.chunks(TOGETHER) {
            // As in `find_all`: asked together first, they are near when they are removed.
            let ours = |place: &Place| {
                self.contents.get(&place.mark).is_some_and(|content| content.arrival == place.arrival)
            };
            let ours: Vec<bool> = gone.iter().map(ours).collect();
            for (place, _) in gone.iter().zip(ours).filter(|(_, ours)| *ours) {
                self.contents.remove(&place.mark);
            }
        }
    }

    /// Drops what was received before `oldest`.
    pub(crate) fn expire(&mut self, oldest: Wall) {
        let mut bound = None;
        while self.ages.front().is_some_and(|age| age.1.0.saturating_add(MARK_MS) <= oldest.0) {
            self.ages.pop_front();
            bound = Some(self.ages.front().map_or(self.last_arrival.saturating_add(1), |age| age.0));
        }
        let Some(bound) = bound else { return };
        let peers: HashSet<u32> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.places.front().is_some_and(|place| place.arrival < bound))
            .map(|(peer, _)| *peer)
            .collect();
        for peer in peers {
            let old = |queue: &Queue| queue.places.partition_point(|place| place.arrival < bound);
            self.drop_oldest(peer, self.queues.get(&peer).map_or(0, old));
        }
    }
}

#[cfg(test)]
mod tests;
