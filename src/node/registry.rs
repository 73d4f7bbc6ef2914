//! The live peers, and the index from a shown token's digest to what it may open.
//!
//! The index is a cache of the machines: `reindex` brings it in step after each change, under the machine's lock.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dashmap::{DashMap, mapref::entry::Entry};
use tokio::sync::{oneshot, watch};

use super::{views::FailureView, watching::Watchers};
use crate::{
    link::{
        admission::Bucket,
        event::GrantKey,
        lobby::{Origin, Took},
        peer::{Peer, issued},
    },
    telemetry::metrics::Counter,
    token::family::{Door, NewPair},
    wire::{
        answer::{Answer, HttpVersion, TlsVersion},
        host::PeerHost,
        secret::Digest,
        time::Mono,
    },
};

/// The door that a shown token is looked up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum At {
    /// Grants of R1 and R2: ask tokens, and bearers of accepted grants.
    Grant,
    /// Grants of R3: states.
    State,
    /// Packets.
    Access,
    /// Refreshes.
    Refresh,
}

impl From<Door> for At {
    fn from(door: Door) -> Self {
        match door {
            Door::Access => Self::Access,
            Door::Refresh => Self::Refresh,
        }
    }
}

impl From<GrantKey> for (At, Digest) {
    fn from(key: GrantKey) -> Self {
        match key {
            GrantKey::Bearer(digest) => (At::Grant, digest),
            GrantKey::State(digest) => (At::State, digest),
        }
    }
}

/// What a digest may open.
#[derive(Clone)]
pub(super) enum Opens {
    /// Something of this peer: its machine decides.
    Peer(Arc<Slot>),
    /// Offered with a grant under way: ends when that is settled.
    Offered(watch::Receiver<()>),
}

/// A verb of an operator that waits for an outcome: `Err` names the step and the reason.
pub(super) type Outcome = Result<(), (&'static str, String)>;

/// Verbs that wait on one machine.
#[derive(Default)]
pub(super) struct Waiters {
    pub(super) connect: Vec<oneshot::Sender<Outcome>>,
    pub(super) refresh: Vec<oneshot::Sender<Outcome>>,
}

/// Operators that wait for an exchange or a refresh of a peer are told.
pub(super) fn tell(waiting: &mut Vec<oneshot::Sender<Outcome>>, outcome: &Outcome) {
    for waiter in waiting.drain(..) {
        // An operator that went away needs no answer.
        let _ = waiter.send(outcome.clone());
    }
}

/// What went to a peer and came from it, since the machine was made.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) messages_in: Counter,
    pub(super) messages_out: Counter,
}

/// What a call went over.
pub(super) type Over = (HttpVersion, Option<TlsVersion>);

/// One peer's machine and what the shell keeps beside it.
pub(super) struct Slot {
    peer: Mutex<Peer>,
    indexed: Mutex<HashSet<(At, Digest)>>,
    waiters: Mutex<Waiters>,
    takes: Mutex<Vec<(u64, oneshot::Sender<Took>)>>,
    pub(super) bucket: Mutex<Option<Bucket>>,
    pub(super) traffic: Traffic,
    pub(super) watchers: Watchers,
    /// What the last answered call went over.
    over: Mutex<Option<Over>>,
    /// Why the last request in its name came to nothing; none since a grant was taken.
    ungranted: Mutex<Option<FailureView>>,
    /// Client addresses that showed its bearer, newest last.
    origins: Mutex<Vec<(Origin, Mono)>>,
}

const ORIGINS_MAX: usize = 8;
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Slot {
    fn new(peer: Peer) -> Self {
        Self {
            peer: Mutex::new(peer),
            indexed: Mutex::default(),
            waiters: Mutex::default(),
            takes: Mutex::default(),
            bucket: Mutex::default(),
            traffic: Traffic::default(),
            watchers: Watchers::default(),
            over: Mutex::default(),
            ungranted: Mutex::default(),
            origins: Mutex::default(),
        }
    }

    /// The verbs that wait on this machine.
    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the last request in its name came to nothing.
    pub(super) fn ungranted(&self) -> MutexGuard<'_, Option<FailureView>> {
        self.ungranted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when the link that a taken grant makes is on disk, or could not be kept.
    pub(super) fn awaits_take(&self, family: u64) -> oneshot::Receiver<Took> {
        let (sender, receiver) = oneshot::channel();
        self.takes.lock().unwrap_or_else(PoisonError::into_inner).push((family, sender));
        receiver
    }

    /// Tells who awaits this take.
    pub(super) fn settle_take(&self, family: u64, took: Took) {
        let mut takes = self.takes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = takes.iter().position(|(id, _)| *id == family) {
            // Who went away drains.
            let _ = takes.swap_remove(place).1.send(took);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Peer> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This client address showed the peer's bearer.
    pub(super) fn saw(&self, from: IpAddr, now: Mono) {
        let origin = Origin::of(from);
        let mut origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        origins.retain(|(known, _)| *known != origin);
        origins.push((origin, now));
        let over = origins.len().saturating_sub(ORIGINS_MAX);
        origins.drain(..over);
    }

    //= HT-ASK-28: showed its bearer in the last day
    /// Whether this client address showed the peer's bearer in the last day (`https-token`, "Being asked").
    pub(super) fn has_seen(&self, origin: Origin, now: Mono) -> bool {
        let origins = self.origins.lock().unwrap_or_else(PoisonError::into_inner);
        origins.iter().any(|(known, at)| *known == origin && now.since(*at) < DAY)
    }

    pub(super) fn heard_over(&self, answer: &Answer) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = Some((answer.version, answer.tls));
    }

    /// What the last answered call went over.
    pub(super) fn over(&self) -> Option<Over> {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The live peers.
#[derive(Default)]
pub(super) struct Registry {
    peers: DashMap<PeerHost, Arc<Slot>>,
    index: DashMap<(At, Digest), Opens>,
    /// Ends of the offers under way, by the access token's digest.
    offers: DashMap<Digest, watch::Sender<()>>,
}

impl Registry {
    pub(super) fn slot(&self, host: &PeerHost, make: impl FnOnce() -> Peer) -> Arc<Slot> {
        if let Some(slot) = self.peers.get(host) {
            return Arc::clone(&slot);
        }
        Arc::clone(&self.peers.entry(host.clone()).or_insert_with(|| Arc::new(Slot::new(make()))))
    }

    pub(super) fn find(&self, host: &PeerHost) -> Option<Arc<Slot>> {
        self.peers.get(host).map(|slot| Arc::clone(&slot))
    }

    /// Drops a machine that nobody else holds at this moment, where `ends` says so: that runs before anybody can get hold of it,
    /// or of another one for this host.
    pub(super) fn forget(&self, host: &PeerHost, slot: &Arc<Slot>, ends: impl FnOnce() -> bool) {
        // One count is the map's, one the caller's.
        self.peers.remove_if(host, |_, own| Arc::ptr_eq(own, slot) && Arc::strong_count(own) <= 2 && ends());
    }

    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.peers.iter().map(|slot| Arc::clone(&slot)).collect()
    }

    //= HT-DOOR-01: by kind and digest
    pub(super) fn look_up(&self, at: At, digest: Digest) -> Option<Opens> {
        self.index.get(&(at, digest)).map(|opens| opens.clone())
    }

    /// Brings the index in step with a machine.
    pub(super) fn reindex(&self, slot: &Arc<Slot>, peer: &Peer) {
        let issued = issued(peer.families()).map(|(door, digest)| (At::from(door), digest));
        let wanted: HashSet<_> = issued.chain(peer.grant_keys().map(Into::into)).collect();
        let mut indexed = slot.indexed.lock().unwrap_or_else(PoisonError::into_inner);
        if *indexed == wanted {
            return;
        }
        for key in wanted.difference(&indexed) {
            self.index.insert(*key, Opens::Peer(Arc::clone(slot)));
        }
        for key in indexed.difference(&wanted) {
            self.index.remove(key);
        }
        *indexed = wanted;
    }

    //= HT-ASK-05: neither valid nor unknown
    /// Tokens are offered with a grant: from here they are neither valid nor unknown.
    pub(super) fn offer(&self, pair: &NewPair) {
        let (sender, receiver) = watch::channel(());
        self.index.insert((At::Access, pair.access), Opens::Offered(receiver.clone()));
        if let Some(refresh) = pair.refresh {
            self.index.insert((At::Refresh, refresh.digest), Opens::Offered(receiver));
        }
        self.offers.insert(pair.access, sender);
    }

    /// The offer is settled: whoever waits looks again.
    pub(super) fn settle_offer(&self, pair: &NewPair) {
        let refresh = pair.refresh.map(|refresh| (At::Refresh, refresh.digest));
        for key in std::iter::once((At::Access, pair.access)).chain(refresh) {
            if let Entry::Occupied(entry) = self.index.entry(key)
                && matches!(entry.get(), Opens::Offered(_))
            {
                entry.remove();
            }
        }
        // Dropping the sender wakes the waiting.
        self.offers.remove(&pair.access);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::testing::{Counter, settings};

    fn slot() -> Slot {
        let host = PeerHost::parse("b.test").unwrap();
        Slot::new(Peer::new(host, Arc::new(settings()), &mut Counter::default()))
    }

    //= HT-ASK-28
    #[test]
    fn an_address_that_showed_the_bearer_is_likely_the_hosts_own_for_a_day() {
        let (slot, day) = (slot(), Mono(24 * 3_600_000));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        slot.saw(address("2001:db8::1"), Mono(0));
        assert!(slot.has_seen(Origin::of(address("2001:db8::2")), Mono(day.0 - 1)), "the same /64");
        assert!(!slot.has_seen(Origin::of(address("2001:db8:0:1::1")), Mono(1)));
        assert!(!slot.has_seen(Origin::of(address("2001:db8::1")), day));
        slot.saw(address("2001:db8::3"), day);
        assert!(slot.has_seen(Origin::of(address("2001:db8::1")), day.plus(Duration::from_secs(3600))));
    }

    #[test]
    fn of_many_addresses_the_last_ones_are_remembered() {
        let slot = slot();
        let origin = |n: u8| Origin::of(IpAddr::from([192, 0, 2, n]));
        (1..=20).for_each(|n| slot.saw([192, 0, 2, n].into(), Mono(u64::from(n))));
        let known = (1..=20).filter(|n| slot.has_seen(origin(*n), Mono(20))).collect::<Vec<_>>();
        assert_eq!(known, (13..=20).collect::<Vec<_>>());
    }
}
