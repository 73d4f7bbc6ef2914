//! Room in the outbox: counted when a batch is handed over, so that the caller is told at once.
//!
//! What waits for the disk is held as `Room`; when its job ends, however it ends, the room is given back. By then the
//! queues count what was kept, so that for a moment a message may count twice and never not at all. A repeat counts as
//! new here: whether it is one is known only later.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::queues::Queues;
use crate::{
    store::{OutboxBounds, StoreError},
    wire::host::PeerHost,
};

#[derive(Debug)]
struct Held {
    bounds: OutboxBounds,
    total: u64,
    per_peer: HashMap<PeerHost, u64>,
}

/// What is held in all.
#[derive(Clone, Debug)]
pub(crate) struct Rooms(Arc<Mutex<Held>>);

/// Room for some messages; given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    rooms: Rooms,
    wanted: HashMap<PeerHost, u64>,
}

impl Rooms {
    /// Nothing is held yet.
    pub(crate) fn new(bounds: OutboxBounds) -> Self {
        Self(Arc::new(Mutex::new(Held { bounds, total: 0, per_peer: HashMap::new() })))
    }

    /// Other bounds from here on; what is held stays held.
    pub(crate) fn bound(&self, bounds: OutboxBounds) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bounds = bounds;
    }

    /// Takes room for messages to `hosts`, one each.
    pub(crate) fn take<'a>(
        &self,
        hosts: impl Iterator<Item = &'a PeerHost>,
        queues: &Queues,
    ) -> Result<Room, StoreError> {
        let mut wanted: HashMap<PeerHost, u64> = HashMap::new();
        for host in hosts {
            match wanted.get_mut(host) {
                Some(count) => *count += 1,
                None => drop(wanted.insert(host.clone(), 1)),
            }
        }
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = wanted.values().sum::<u64>();
        let max = held.bounds.messages;
        if all > 0 && queues.total() + held.total + all > max {
            return Err(StoreError::OutboxFull(format!("limits.outbox-messages = {max}{}", never(all, max))));
        }
        let max = held.bounds.messages_per_peer;
        for (host, count) in &wanted {
            if queues.count(host) + held.per_peer.get(host).copied().unwrap_or(0) + count > max {
                return Err(StoreError::OutboxFull(format!(
                    "limits.outbox-messages-per-peer = {max} for {host}{}",
                    never(*count, max)
                )));
            }
        }
        held.total += all;
        for (host, count) in &wanted {
            *held.per_peer.entry(host.clone()).or_default() += count;
        }
        drop(held);
        Ok(Room { rooms: self.clone(), wanted })
    }
}

/// More than there may ever be: to wait does not help.
fn never(wanted: u64, max: u64) -> String {
    if wanted > max { format!(", and the batch has {wanted}: send fewer at once") } else { String::new() }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut held = self.rooms.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (host, count) in self.wanted.drain() {
            held.total = held.total.saturating_sub(count);
            if let Some(of_peer) = held.per_peer.get_mut(&host) {
                *of_peer = of_peer.saturating_sub(count);
                if *of_peer == 0 {
                    held.per_peer.remove(&host);
                }
            }
        }
    }
}
