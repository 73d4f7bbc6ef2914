//! What waits in the outbox, by peer, in memory: counts for the metrics and the couriers, deadlines for the watch.
//!
//! Built from the outbox at start, changed after each commit. A queued message takes about 40 bytes here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::wire::{
    host::PeerHost,
    record::{Seq, Waiting},
    time::Wall,
};

/// What a commit changes here.
#[derive(Clone, Debug)]
pub(crate) enum QueueChange {
    /// A message was queued.
    Add { host: PeerHost, seq: u64, queued: Wall, expires: Wall },
    /// A message was settled.
    Remove { host: PeerHost, seq: u64 },
}

/// All queues.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    peers: HashMap<PeerHost, BTreeMap<u64, (Wall, Wall)>>,
    /// Messages by the second of their deadline and their peer.
    deadlines: BTreeMap<(u64, PeerHost), u64>,
    total: u64,
}

fn second(expires: Wall) -> u64 {
    expires.0 / 1000
}

impl Queues {
    pub(crate) fn apply(&mut self, change: QueueChange) {
        match change {
            QueueChange::Add { host, seq, queued, expires } => self.add(host, seq, queued, expires),
            QueueChange::Remove { host, seq } => self.remove(&host, seq),
        }
    }

    fn add(&mut self, host: PeerHost, seq: u64, queued: Wall, expires: Wall) {
        *self.deadlines.entry((second(expires), host.clone())).or_default() += 1;
        self.peers.entry(host).or_default().insert(seq, (queued, expires));
        self.total += 1;
    }

    fn remove(&mut self, host: &PeerHost, seq: u64) {
        let Some(queue) = self.peers.get_mut(host) else { return };
        let Some((_, expires)) = queue.remove(&seq) else { return };
        if queue.is_empty() {
            self.peers.remove(host);
        }
        self.total -= 1;
        let deadline = (second(expires), host.clone());
        if let Some(count) = self.deadlines.get_mut(&deadline) {
            *count -= 1;
            if *count == 0 {
                self.deadlines.remove(&deadline);
            }
        }
    }

    /// Messages in all.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Messages for one peer.
    pub(crate) fn count(&self, host: &PeerHost) -> u64 {
        self.peers.get(host).map_or(0, |queue| queue.len() as u64)
    }

    /// The first places of a peer's queue after `after`, at most `max`.
    pub(crate) fn next(&self, host: &PeerHost, after: Seq, max: usize) -> Vec<u64> {
        let (Some(queue), Some(from)) = (self.peers.get(host), after.0.checked_add(1)) else {
            return Vec::new();
        };
        queue.range(from..).take(max).map(|(seq, _)| *seq).collect()
    }

    /// Whether the message at this place waits.
    pub(crate) fn has(&self, host: &PeerHost, seq: u64) -> bool {
        self.peers.get(host).is_some_and(|queue| queue.contains_key(&seq))
    }

    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        self.peers.keys().filter_map(|host| self.waiting_for(host)).collect()
    }

    pub(crate) fn waiting_for(&self, host: &PeerHost) -> Option<Waiting> {
        let queue = self.peers.get(host)?;
        let (_, (oldest, _)) = queue.first_key_value()?;
        Some(Waiting { host: host.clone(), messages: queue.len() as u64, oldest: *oldest })
    }

    /// Messages whose deadline is reached; looks only at peers that have one.
    pub(crate) fn due(&self, now: Wall, max: usize) -> Vec<(PeerHost, Seq)> {
        let reached = self.deadlines.keys().take_while(|(at, _)| *at <= second(now));
        let hosts: BTreeSet<&PeerHost> = reached.map(|(_, host)| host).collect();
        hosts
            .into_iter()
            .flat_map(|host| self.peers.get(host).into_iter().flatten().map(move |mail| (host, mail)))
            .filter(|(_, (_, (_, expires)))| *expires <= now)
            .map(|(host, (seq, _))| (host.clone(), Seq(*seq)))
            .take(max)
            .collect()
    }
}
