//! One commit in the making: reads what is on disk and what it has itself changed, gathers changes and their effects.
//!
//! Nothing here touches the disk for writing or the index. Dropping it undoes it; that is how a failed commit takes
//! back its window entries, its numbers and its counts.

use std::collections::{BTreeMap, HashMap};

use super::{
    bundle::{arrived, posted},
    codec::{self, Put, Small, service_key, small},
    index::{Effects, Index, Slot},
    kv::{Change, Each, KEY_BYTES_MAX, Kv, Space},
    seal::Seal,
    window::{Mark, Sighting, Table},
};
use crate::{
    store::StoreError,
    wire::{host::PeerHost, packet::ServiceKey, time::Wall},
};

/// Entries that one commit deletes for trimming, pruning or sweeping: some milliseconds of work, so that nobody waits.
pub(crate) const CHUNK: usize = 5_000;

/// Bytes of values at which one commit takes no more: what messages weigh that are set aside is known when they are read.
const FULL_BYTES: usize = 8 * 1024 * 1024;

/// A key and its value.
pub(crate) type Found = (Vec<u8>, Vec<u8>);

/// See above.
pub(crate) struct Txn<'a> {
    kv: &'a dyn Kv,
    pub(crate) index: &'a Index,
    pub(crate) seal: &'a Seal,
    changes: Vec<Change>,
    /// Where in `changes` a key that may be read again was changed last, by its space.
    overlay: [BTreeMap<Vec<u8>, usize>; Space::ALL.len()],
    /// Messages that were seen, in order.
    sightings: Vec<Sighting>,
    /// Where they are among them.
    seen: Table,
    /// Messages for inboxes that are not among the changes yet, by the inbox's number, with where they end.
    messages: HashMap<u32, (u64, arrived::Messages)>,
    /// Messages for peers that are not among the changes yet, by the peer's number.
    mail: HashMap<u32, posted::Mail>,
    /// Changes whose keys are known to fit.
    checked: usize,
    /// Bytes of values, but for messages that arrive: their tasks weigh them.
    bytes: usize,
    pub(crate) effects: Effects,
}

impl<'a> Txn<'a> {
    /// Opens one; what has left the window of repeats is deleted with it.
    pub(crate) fn new(kv: &'a dyn Kv, index: &'a Index, seal: &'a Seal) -> Self {
        let effects = Effects { seq: index.seq, death: index.death, ..Effects::default() };
        Self {
            kv,
            index,
            seal,
            changes: Vec::new(),
            overlay: Default::default(),
            sightings: Vec::new(),
            seen: Table::default(),
            messages: HashMap::new(),
            mail: HashMap::new(),
            checked: 0,
            bytes: 0,
            effects,
        }
    }

    /// What is to be committed, and what follows from it. Housekeeping rides along, and is no reason to commit.
    pub(crate) fn finish(mut self) -> (Vec<Change>, Effects) {
        for (inbox, (last, messages)) in &mut self.messages {
            self.changes.extend(messages.close(*inbox, *last));
        }
        for (peer, mail) in &mut self.mail {
            self.changes.extend(mail.close(*peer));
        }
        self.number_sightings();
        self.changes.extend(self.effects.runs.iter().filter_map(|run| arrived::sightings(run)));
        if !self.changes.is_empty() {
            let stale = self.index.window.stale(CHUNK);
            self.effects.swept = stale.len();
            let sweep = |at: &u64| Change { space: Space::Seen, key: at.to_be_bytes().to_vec(), value: None };
            self.changes.extend(stale.iter().map(sweep));
        }
        (self.changes, self.effects)
    }

    /// Those of one peer lie together, so that they leave the window together: in order, since the sort keeps it.
    fn number_sightings(&mut self) {
        let mut all = std::mem::take(&mut self.sightings);
        all.sort_by_key(|seen| seen.peer);
        for (arrival, seen) in (self.index.window.last_arrival() + 1..).zip(&mut all) {
            seen.arrival = arrival;
        }
        let peers = all.chunk_by(|one, next| one.peer == next.peer);
        self.effects.runs =
            peers.flat_map(|peer| peer.chunks(arrived::SIGHTINGS)).map(<[_]>::to_vec).collect();
    }

    /// Whether all keys changed since the last check can be written. A name of that length has passed no door; it must
    /// not spoil the commit of others.
    pub(crate) fn check_keys(&mut self) -> Result<(), StoreError> {
        let new = self.changes.get(self.checked..).unwrap_or_default();
        if new.iter().any(|change| change.key.is_empty() || change.key.len() > KEY_BYTES_MAX) {
            return Err(StoreError::Io { what: "writing".into(), cause: "a name is too long".into() });
        }
        self.checked = self.changes.len();
        Ok(())
    }

    /// Writes a key.
    pub(crate) fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) {
        self.change(space, key, Some(value));
    }

    /// Removes a key.
    pub(crate) fn remove(&mut self, space: Space, key: Vec<u8>) {
        self.change(space, key, None);
    }

    fn change(&mut self, space: Space, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes += value.as_ref().map_or(0, Vec::len);
        self.overlay[space as usize].insert(key.clone(), self.changes.len());
        self.changes.push(Change { space, key, value });
    }

    /// Whether so much is to be written that what else is to be done should wait for the next commit.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES
    }

    /// What this commit made of a key last.
    fn changed(&self, space: Space, key: &[u8]) -> Option<&Change> {
        self.overlay[space as usize].get(key).and_then(|at| self.changes.get(*at))
    }

    /// Reads a key, changes of this commit included.
    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.changed(space, key) {
            Some(change) => Ok(change.value.clone()),
            None => self.kv.get(space, key),
        }
    }

    /// Reads on in order, without what this commit has removed; what it has added is not seen.
    pub(crate) fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        self.kv.scan(space, from, to, &mut |key, value| {
            let removed = self.changed(space, key).is_some_and(|change| change.value.is_none());
            if removed { Ok(true) } else { each(key, value) }
        })
    }

    /// Keys of one kind that this commit has written so far.
    pub(crate) fn added(&self, space: Space, prefix: &[u8]) -> Vec<Vec<u8>> {
        let ours = self.overlay[space as usize].range(prefix.to_vec()..);
        ours.map(|(key, _)| key.clone()).take_while(|key| key.starts_with(prefix)).collect()
    }

    /// An inbox that there is.
    pub(crate) fn slot(&self, service: &ServiceKey) -> Option<Slot> {
        self.effects.slots.get(service).or_else(|| self.index.slots.get(service)).copied()
    }

    /// An inbox, made where there is none.
    fn slot_or_new(&mut self, service: &ServiceKey) -> Slot {
        if let Some(slot) = self.slot(service) {
            return slot;
        }
        let new = self.effects.slots.keys().filter(|key| !self.index.slots.contains_key(*key)).count();
        let number = u32::try_from(self.index.slots.len() + new + 1).unwrap_or(u32::MAX);
        let slot = Slot { number, low: 0, last: 0 };
        self.write_slot(service, slot);
        slot
    }

    /// Writes what is kept of an inbox itself.
    pub(crate) fn write_slot(&mut self, service: &ServiceKey, slot: Slot) {
        let mut put = Put::new(64);
        put.u32(slot.number);
        put.u64(slot.low);
        put.u64(slot.last);
        put.text(service.protocol());
        put.text(service.service());
        self.put(Space::Small, service_key(service), put.0);
        self.effects.slots.insert(service.clone(), slot);
    }

    /// A peer's number, given where it has none.
    pub(crate) fn peer(&mut self, host: &PeerHost) -> u32 {
        if let Some(number) = self.known_peer(host) {
            return number;
        }
        let number = u32::try_from(self.index.peers.len() + self.effects.peers.len() + 1).unwrap_or(u32::MAX);
        let mut put = Put::new(4);
        put.u32(number);
        self.put(Space::Small, small(Small::Peer, &[host.as_str().as_bytes()]), put.0);
        self.effects.peers.insert(host.clone(), number);
        number
    }

    /// A peer's number, where it has one.
    pub(crate) fn known_peer(&self, host: &PeerHost) -> Option<u32> {
        self.effects.peers.get(host).or_else(|| self.index.peers.get(host)).copied()
    }

    /// Puts messages at the end of an inbox.
    pub(crate) fn deliver(&mut self, service: &ServiceKey, all: &[codec::Arrived<'_>]) {
        let slot = match self.effects.slots.get_mut(service) {
            Some(slot) => slot,
            None => {
                let slot = self.slot_or_new(service);
                self.effects.slots.entry(service.clone()).or_insert(slot)
            }
        };
        let (last, messages) = self.messages.entry(slot.number).or_default();
        messages.expect(all);
        for arrived in all {
            slot.last += 1;
            *last = slot.last;
            messages.push(arrived);
            if messages.is_full() {
                self.changes.extend(messages.close(slot.number, slot.last));
            }
        }
    }

    /// Puts a message at the end of the outbox; its place.
    pub(crate) fn post(&mut self, peer: u32, mail: &codec::Queued<'_>) -> u64 {
        self.effects.seq += 1;
        self.bytes += mail.raw.len();
        let bundle = self.mail.entry(peer).or_default();
        bundle.push(self.effects.seq, mail);
        if bundle.is_full() {
            self.changes.extend(bundle.close(peer));
        }
        self.effects.seq
    }

    /// What is on disk.
    pub(crate) fn kv(&self) -> &'a dyn Kv {
        self.kv
    }

    /// The first key from `from` to `to` and its value, without what this commit has removed or added.
    pub(crate) fn first(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Found>, StoreError> {
        let mut found = None;
        self.scan(space, from, to, &mut |key, value| {
            found = Some((key.to_vec(), value.to_vec()));
            Ok(false)
        })?;
        Ok(found)
    }

    /// So many messages may be seen next.
    pub(crate) fn expect(&mut self, count: usize) {
        self.seen.reserve(count);
        self.sightings.reserve(count);
    }

    /// The content hash of a message that came before in this commit.
    pub(crate) fn seen(&self, mark: &Mark) -> Option<u64> {
        let at = self.seen.find(mark, |at| self.sightings[at as usize].mark == *mark)?;
        Some(self.sightings[at as usize].content)
    }

    //= HT-PKT-15: committed with its message
    /// Remembers a message.
    pub(crate) fn see(&mut self, mark: Mark, peer: u32, received: Wall, content: u64) {
        self.seen.insert(&mark, u32::try_from(self.sightings.len()).unwrap_or(u32::MAX));
        // Numbered at the end, with the others of its peer.
        self.sightings.push(Sighting { arrival: 0, mark, peer, received, content });
    }
}
