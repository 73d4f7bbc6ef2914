//! The window of repeats: which messages of which host have come lately.
//!
//! In memory, since an index of random keys on disk would cost several times the append itself; on disk only a list in
//! order of arrival, from which it is built at start. An entry takes about 50 bytes: a keyed 128-bit hash of host and
//! id, which strangers cannot make collide, a 64-bit hash of the content, and its place in its peer's queue.
//!
//! Bounds: an age; entries per peer, whose own oldest goes first; entries in all, where the oldest of the peer with the
//! most entries goes first. So a flood by one peer costs that peer's memory of itself and nobody else's.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use siphasher::sip128::{Hasher128 as _, SipHasher13, SipHasher24};
use std::hash::Hasher as _;

use super::codec::{Put, Take};
use crate::{
    store::Settings,
    wire::{host::PeerHost, time::Wall},
};

/// How exactly an entry's age is known.
const MARK_MS: u64 = 1000;

/// Keyed hash of host and id.
pub(crate) type Mark = [u64; 2];

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
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut put = Put::new(44);
        self.mark.iter().for_each(|half| put.u64(*half));
        put.u32(self.peer);
        put.u64(self.received.0);
        put.u64(self.content);
        put.0
    }

    pub(crate) fn decode(arrival: u64, value: &[u8]) -> Option<Self> {
        let mut take = Take::new(value)?;
        let mark = [take.u64()?, take.u64()?];
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
        [hash.h1, hash.h2]
    }

    /// What its content is compared by.
    pub(crate) fn content(&self, raw: &[u8]) -> u64 {
        SipHasher13::new_with_key(&self.0).hash(raw).h1
    }
}

/// An entry in its peer's queue.
#[derive(Clone, Copy, Debug)]
struct Place {
    mark: Mark,
    arrival: u64,
}

/// The window.
pub(crate) struct Window {
    pub(crate) key: HashKey,
    per_peer: usize,
    total: usize,
    contents: HashMap<Mark, u64>,
    queues: HashMap<u32, VecDeque<Place>>,
    /// Peers by number of entries.
    sizes: BTreeSet<(usize, u32)>,
    /// What arrived from `.0` up to the next mark was received less than `MARK_MS` after `.1`.
    ages: VecDeque<(u64, Wall)>,
    last_arrival: u64,
    evicted: u64,
    /// Arrivals to be deleted on disk with the next commit.
    stale: Vec<u64>,
}

impl Window {
    pub(crate) fn new(key: HashKey, settings: &Settings) -> Self {
        Self {
            key,
            per_peer: settings.dedupe_per_peer.max(1),
            total: settings.dedupe_total.max(1),
            contents: HashMap::new(),
            queues: HashMap::new(),
            sizes: BTreeSet::new(),
            ages: VecDeque::new(),
            last_arrival: 0,
            evicted: 0,
            stale: Vec::new(),
        }
    }

    /// The content hash of a message that has come before.
    pub(crate) fn find(&self, mark: &Mark) -> Option<u64> {
        self.contents.get(mark).copied()
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

    /// Arrivals that left the window and still lie on disk, oldest first.
    pub(crate) fn stale(&self, max: usize) -> &[u64] {
        &self.stale[..self.stale.len().min(max)]
    }

    /// The first `count` of them have been deleted.
    pub(crate) fn swept(&mut self, count: usize) {
        self.stale.drain(..count.min(self.stale.len()));
    }

    /// Takes an entry that is on disk; what exceeds the bounds leaves.
    pub(crate) fn insert(&mut self, seen: Sighting) {
        self.last_arrival = self.last_arrival.max(seen.arrival);
        if self.contents.insert(seen.mark, seen.content).is_some() {
            return self.stale.push(seen.arrival);
        }
        let newest = self.ages.back().map_or(Wall(0), |age| age.1);
        if seen.received.0 >= newest.0.saturating_add(MARK_MS) || self.ages.is_empty() {
            self.ages.push_back((seen.arrival, seen.received));
        }
        let queue = self.queues.entry(seen.peer).or_default();
        self.sizes.remove(&(queue.len(), seen.peer));
        queue.push_back(Place { mark: seen.mark, arrival: seen.arrival });
        let size = queue.len();
        self.sizes.insert((size, seen.peer));
        //= HT-PKT-17: its own oldest first
        if size > self.per_peer {
            self.evict(seen.peer);
        }
        while self.contents.len() > self.total {
            let Some(&(_, largest)) = self.sizes.last() else { break };
            self.evict(largest);
        }
    }

    fn evict(&mut self, peer: u32) {
        self.evicted += 1;
        self.drop_oldest(peer);
    }

    fn drop_oldest(&mut self, peer: u32) {
        let Some(queue) = self.queues.get_mut(&peer) else { return };
        self.sizes.remove(&(queue.len(), peer));
        if let Some(place) = queue.pop_front() {
            self.contents.remove(&place.mark);
            self.stale.push(place.arrival);
        }
        if queue.is_empty() {
            self.queues.remove(&peer);
        } else {
            self.sizes.insert((queue.len(), peer));
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
            .filter(|(_, q)| q.front().is_some_and(|p| p.arrival < bound))
            .map(|(peer, _)| *peer)
            .collect();
        for peer in peers {
            while self.queues.get(&peer).and_then(VecDeque::front).is_some_and(|place| place.arrival < bound)
            {
                self.drop_oldest(peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(per_peer: usize, total: usize) -> Window {
        Window::new(
            HashKey([1; 16]),
            &Settings { dedupe_per_peer: per_peer, dedupe_total: total, ..Settings::default() },
        )
    }

    fn seen(arrival: u64, peer: u32, received: u64) -> Sighting {
        Sighting { arrival, mark: [arrival, 0], peer, received: Wall(received), content: arrival }
    }

    //= HT-PKT-17
    #[test]
    fn a_peer_over_its_bound_loses_its_own_oldest() {
        let mut window = window(2, 100);
        window.insert(seen(1, 1, 0));
        window.insert(seen(2, 2, 0));
        window.insert(seen(3, 1, 0));
        window.insert(seen(4, 1, 0));
        assert_eq!((window.find(&[1, 0]), window.find(&[2, 0])), (None, Some(2)));
        assert_eq!((window.stale(9), window.evicted()), (&[1][..], 1));
    }

    //= HT-PKT-17
    #[test]
    fn over_the_total_the_largest_peer_loses_its_oldest() {
        let mut window = window(100, 4);
        for (arrival, peer) in [(1, 1), (2, 2), (3, 2), (4, 2), (5, 1)] {
            window.insert(seen(arrival, peer, 0));
        }
        assert_eq!((window.entries(), window.find(&[2, 0]), window.find(&[1, 0])), (4, None, Some(1)));
    }

    #[test]
    fn what_is_too_old_leaves_and_counts_as_no_eviction() {
        let mut window = window(100, 100);
        for arrival in 1..=10 {
            window.insert(seen(arrival, 1, arrival * 2000));
        }
        window.expire(Wall(9000));
        assert_eq!((window.find(&[4, 0]), window.find(&[5, 0]), window.evicted()), (None, Some(5), 0));
        assert_eq!(window.stale(2), &[1, 2]);
        window.swept(2);
        assert_eq!(window.stale(9), &[3, 4]);
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let entry = seen(7, 3, 11);
        let read = Sighting::decode(7, &entry.encode()).unwrap();
        assert_eq!((read.mark, read.peer, read.received, read.content), ([7, 0], 3, Wall(11), 7));
    }
}
