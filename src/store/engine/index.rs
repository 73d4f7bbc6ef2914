//! What an engine keeps in memory of what lies on disk: numbers, the window of repeats, queues, counters.
//!
//! It holds only what is committed: a commit's `Effects` are applied after it, and forgotten when it fails. It can be
//! built again from the disk at any time.

use std::collections::{BTreeMap, HashMap};

use super::{
    bundle::{
        arrived,
        posted::{self, Settled},
    },
    codec::{self, Small, Take, damaged, place, small_range, split_at, split_place},
    kv::{Kv, Space},
    queues::{QueueChange, Queues},
    window::{HashKey, Sighting, Window},
};
use crate::{
    store::{Settings, StoreError},
    wire::{host::PeerHost, packet::ServiceKey, time::Wall},
};

/// One inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) number: u32,
    /// All up to here is gone.
    pub(crate) low: u64,
    /// The last cursor that was given.
    pub(crate) last: u64,
}

impl Slot {
    /// As `Txn::write_slot` writes it.
    pub(crate) fn decode(value: &[u8]) -> Option<(ServiceKey, Self)> {
        let mut take = Take::new(value)?;
        let slot = Self { number: take.u32()?, low: take.u64()?, last: take.u64()? };
        Some((ServiceKey::new(take.text()?, take.text()?), slot))
    }
}

/// What a commit changes in memory.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) slots: HashMap<ServiceKey, Slot>,
    pub(crate) peers: HashMap<PeerHost, u32>,
    /// Sightings of one peer each, as they lie on disk.
    pub(crate) runs: Vec<Vec<Sighting>>,
    pub(crate) queue: Vec<QueueChange>,
    pub(crate) seq: u64,
    pub(crate) death: u64,
    pub(crate) dead: i64,
    pub(crate) ended_low: Option<u64>,
    pub(crate) swept: usize,
}

/// See above.
pub(crate) struct Index {
    pub(crate) slots: BTreeMap<ServiceKey, Slot>,
    pub(crate) peers: HashMap<PeerHost, u32>,
    pub(crate) window: Window,
    pub(crate) queues: Queues,
    /// The last place in the outbox that was given.
    pub(crate) seq: u64,
    /// The last order of death that was given.
    pub(crate) death: u64,
    /// Dead messages.
    pub(crate) dead: u64,
    /// Nothing ended before this time is left to prune.
    pub(crate) ended_low: u64,
}

impl Index {
    /// Reads everything from the disk.
    pub(crate) fn build(kv: &dyn Kv, settings: &Settings, key: HashKey) -> Result<Self, StoreError> {
        let mut index = Self {
            slots: read_slots(kv)?,
            peers: read_peers(kv)?,
            window: Window::new(key, settings),
            queues: Queues::default(),
            seq: read_number(kv, codec::SEQ_KEY)?,
            death: 0,
            dead: 0,
            ended_low: 0,
        };
        index.read_window(kv)?;
        index.read_outbox(kv)?;
        index.read_dead(kv)?;
        Ok(index)
    }

    fn read_window(&mut self, kv: &dyn Kv) -> Result<(), StoreError> {
        kv.scan(Space::Seen, &[0; 8], &[0xff; 8], &mut |key, value| {
            self.window.insert(&arrived::read_sightings(key, value)?);
            Ok(true)
        })?;
        self.window.built();
        Ok(())
    }

    fn read_outbox(&mut self, kv: &dyn Kv) -> Result<(), StoreError> {
        let hosts: HashMap<u32, PeerHost> =
            self.peers.iter().map(|(host, number)| (*number, host.clone())).collect();
        kv.scan(Space::Outbox, &place(0, 0), &place(u32::MAX, u64::MAX), &mut |key, value| {
            let (number, last) = split_place(key).ok_or_else(|| damaged(Space::Outbox, key))?;
            let host = hosts.get(&number).ok_or_else(|| damaged(Space::Outbox, key))?;
            let note = Settled::key(key);
            let settled = Settled::decode(&note, kv.get(Space::Small, &note)?.as_deref())?;
            self.seq = self.seq.max(last);
            posted::each_mail(key, value, &mut |posted| {
                if !settled.has(posted.at) {
                    let (seq, queued, expires) = (posted.seq, posted.mail.queued, posted.mail.expires);
                    self.queues.apply(QueueChange::Add { host: host.clone(), seq, queued, expires });
                }
                Ok(true)
            })
        })
    }

    fn read_dead(&mut self, kv: &dyn Kv) -> Result<(), StoreError> {
        kv.scan(Space::Dead, &[0; 8], &[0xff; 8], &mut |key, _| {
            self.death = self.death.max(split_at(key).ok_or_else(|| damaged(Space::Dead, key))?);
            self.dead += 1;
            Ok(true)
        })
    }

    /// Takes over what a commit has made durable.
    pub(crate) fn apply(&mut self, effects: Effects) {
        self.window.swept(effects.swept);
        self.slots.extend(effects.slots);
        self.peers.extend(effects.peers);
        effects.runs.iter().for_each(|run| self.window.insert(run));
        effects.queue.into_iter().for_each(|change| self.queues.apply(change));
        self.seq = self.seq.max(effects.seq);
        self.death = self.death.max(effects.death);
        self.dead = self.dead.saturating_add_signed(effects.dead);
        self.ended_low = effects.ended_low.unwrap_or(self.ended_low);
    }

    /// Drops from the window what is older than it reaches back.
    pub(crate) fn expire(&mut self, now: Wall, settings: &Settings) {
        let reach = u64::try_from(settings.dedupe.as_millis()).unwrap_or(u64::MAX);
        self.window.expire(Wall(now.0.saturating_sub(reach)));
    }
}

/// A number of the store's own; 0 where there is none yet.
pub(crate) fn read_number(kv: &dyn Kv, key: &[u8]) -> Result<u64, StoreError> {
    let Some(value) = kv.get(Space::Small, key)? else { return Ok(0) };
    Take::new(&value).and_then(|mut take| take.u64()).ok_or_else(|| damaged(Space::Small, key))
}

fn read_peers(kv: &dyn Kv) -> Result<HashMap<PeerHost, u32>, StoreError> {
    let mut peers = HashMap::new();
    let (from, to) = small_range(Small::Peer);
    kv.scan(Space::Small, &from, &to, &mut |key, value| {
        let read = || {
            let host = PeerHost::parse(std::str::from_utf8(key.get(1..)?).ok()?).ok()?;
            Some((host, Take::new(value)?.u32()?))
        };
        let (host, number) = read().ok_or_else(|| damaged(Space::Small, key))?;
        peers.insert(host, number);
        Ok(true)
    })?;
    Ok(peers)
}

fn read_slots(kv: &dyn Kv) -> Result<BTreeMap<ServiceKey, Slot>, StoreError> {
    let mut slots = BTreeMap::new();
    let (from, to) = small_range(Small::Service);
    kv.scan(Space::Small, &from, &to, &mut |key, value| {
        let (service, slot) = Slot::decode(value).ok_or_else(|| damaged(Space::Small, key))?;
        slots.insert(service, slot);
        Ok(true)
    })?;
    for slot in slots.values_mut() {
        let newest = kv.last(Space::Inbox, &place(slot.number, 0), &place(slot.number, u64::MAX))?;
        let newest = newest.as_deref().and_then(split_place).map_or(0, |(_, cursor)| cursor);
        slot.last = slot.last.max(newest);
    }
    Ok(slots)
}
