//! What all engines share: everything but where the keys lie and when a commit is made.
//!
//! ```text
//! Inbox, Outbox, Vault  -> a Task with its receipt (job)  -> Engine::submit
//!     -> planned with others into one Txn (reads the Kv and the Index, changes neither)
//!     -> Kv::commit -> Index::apply -> receipts
//! ```
//!
//! An engine implements `Engine` and gets the three traits from here; so all engines keep the same promise in the same
//! words, and differ only in what a crash leaves.

pub(crate) mod bundle;
pub(crate) mod codec;
mod fallen;
pub(crate) mod inbox;
pub(crate) mod index;
pub(crate) mod job;
pub(crate) mod kv;
pub(crate) mod outbox;
pub(crate) mod queues;
pub(crate) mod room;
pub(crate) mod seal;
pub(crate) mod txn;
pub(crate) mod vault;
pub(crate) mod window;

use self::{
    bundle::posted,
    codec::{Known, damaged, split_at, status_key},
    fallen::Fallen,
    index::Index,
    job::{Job, Task, job},
    kv::{Kv, Space},
    room::Rooms,
    seal::Seal,
};
use crate::{
    store::{Inbox, Outbox, OutboxBounds, Receipt, StoreError, Vault},
    wire::{
        cursor::Cursor,
        host::PeerHost,
        limits::INBOX_READ_BYTES,
        packet::ServiceKey,
        record::{
            Accepted, Appended, DeadFilter, DeadMail, InboxBatch, InboxEntry, Mail, MessageState,
            MessageStatus, OutboxBatch, OutboxItem, Seq, Settlement, VaultContents, VaultWrite, Waiting,
        },
        time::Wall,
    },
};

/// What an engine brings.
pub(crate) trait Engine: Send + Sync {
    /// Takes a job into the queue to the disk.
    fn submit(&self, job: Box<dyn Job>) -> Result<(), StoreError>;

    /// Whether there is room for more: asked before anything is taken that is not housekeeping.
    fn space(&self) -> Result<(), StoreError>;

    /// Looks at the index, shortly.
    fn index<T>(&self, look: impl FnOnce(&Index) -> T) -> Result<T, StoreError>;

    /// Reads from the disk.
    fn disk<T>(&self, read: impl FnOnce(&dyn Kv) -> Result<T, StoreError>) -> Result<T, StoreError>;

    /// The room in the outbox that is held.
    fn rooms(&self) -> &Rooms;

    /// What opens the tokens.
    fn seal(&self) -> &Seal;
}

fn hand_over<T: Task>(engine: &impl Engine, task: T) -> Result<Receipt<T::Answer>, StoreError> {
    let (job, receipt) = job(task);
    engine.submit(job)?;
    Ok(receipt)
}

fn known(kv: &dyn Kv, id: &str) -> Result<Option<Known>, StoreError> {
    let key = status_key(id);
    let Some(value) = kv.get(Space::Status, &key)? else { return Ok(None) };
    Known::decode(id, &value).map(Some).ok_or_else(|| damaged(Space::Status, &key))
}

impl<E: Engine> Inbox for E {
    fn append(&self, batch: InboxBatch) -> Result<Receipt<Appended>, StoreError> {
        if batch.from.is_none() && !batch.items.is_empty() {
            return Err(StoreError::Io { what: "keeping messages".into(), cause: "of no sender".into() });
        }
        self.space()?;
        hand_over(self, inbox::Append(batch))
    }

    fn read(
        &self,
        service: &ServiceKey,
        after: Cursor,
        max: usize,
        bytes_max: usize,
    ) -> Result<Vec<InboxEntry>, StoreError> {
        let Some(slot) = self.index(|index| index.slots.get(service).copied())? else {
            return Ok(Vec::new());
        };
        self.disk(|kv| inbox::read(kv, slot, after, max, bytes_max))
    }

    fn acknowledged(&self, app: &str, service: &ServiceKey) -> Result<Cursor, StoreError> {
        let Some(slot) = self.index(|index| index.slots.get(service).copied())? else { return Ok(Cursor(0)) };
        self.disk(|kv| inbox::acknowledged(kv, app, slot))
    }

    fn acknowledge(
        &self,
        app: &str,
        service: &ServiceKey,
        cursor: Cursor,
    ) -> Result<Receipt<bool>, StoreError> {
        hand_over(self, inbox::Acknowledge { app: app.to_owned(), service: service.clone(), cursor })
    }

    fn last(&self, service: &ServiceKey) -> Result<Cursor, StoreError> {
        self.index(|index| Cursor(index.slots.get(service).map_or(0, |slot| slot.last)))
    }

    fn trim(
        &self,
        service: &ServiceKey,
        apps: &[String],
        keep_from: Wall,
    ) -> Result<Receipt<u64>, StoreError> {
        hand_over(self, inbox::Trim { service: service.clone(), apps: apps.to_vec(), keep_from })
    }

    fn services(&self) -> Result<Vec<ServiceKey>, StoreError> {
        self.index(|index| inbox::services(&index.slots))
    }
}

impl<E: Engine> Outbox for E {
    fn append(&self, batch: OutboxBatch) -> Result<Receipt<Accepted>, StoreError> {
        let hosts = || batch.items.iter().filter(|item| item.own.is_none()).map(|item| &item.host);
        let room = || self.index(|index| self.rooms().take(hosts(), &index.queues))?;
        let room = match self.space().and_then(|()| room()) {
            Ok(room) => Ok(room),
            Err(full @ (StoreError::Space { .. } | StoreError::OutboxFull(_))) => {
                // Most that come now are new, which the first one tells; where it is a repeat the writer looks at all.
                let first = batch.items.first();
                let is_known = |item: &OutboxItem| self.disk(|kv| Ok(known(kv, &item.id)?.is_some()));
                if first.map(is_known).transpose()? == Some(false) {
                    return Err(full);
                }
                Err(full)
            }
            Err(error) => return Err(error),
        };
        hand_over(self, outbox::Append { batch, room })
    }

    fn load(
        &self,
        host: &PeerHost,
        after: Seq,
        max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Mail>, StoreError> {
        let next =
            self.index(|index| (index.peers.get(host).copied(), index.queues.next(host, after, max)))?;
        let (Some(number), waiting) = next else { return Ok(Vec::new()) };
        self.disk(|kv| outbox::load(kv, number, &waiting, bytes_max))
    }

    fn settle(&self, settlement: Settlement) -> Result<Receipt<()>, StoreError> {
        hand_over(self, outbox::Settle(settlement))
    }

    fn status(&self, id: &str) -> Result<Option<MessageStatus>, StoreError> {
        let Some(Known { place, mut status, .. }) = self.disk(|kv| known(kv, id))? else { return Ok(None) };
        if status.state == MessageState::Queued {
            let host = &status.host;
            let look = |index: &Index| (index.queues.has(host, place), index.peers.get(host).copied());
            let (waits, number) = self.index(look)?;
            // One that was accepted a moment ago is neither here nor there yet.
            if let (false, Some(number)) = (waits, number)
                && let Some((at, tries)) = self.disk(|kv| posted::end_of(kv, number, place))?
            {
                status.state = MessageState::Delivered;
                status.attempts = tries.saturating_sub(status.tries_before);
                status.ended = Some(at);
            }
        }
        Ok(Some(status))
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.index(|index| index.queues.waiting()).unwrap_or_default()
    }

    fn waiting_for(&self, host: &PeerHost) -> Option<Waiting> {
        self.index(|index| index.queues.waiting_for(host)).ok().flatten()
    }

    fn due(&self, now: Wall, max: usize) -> Result<Vec<(PeerHost, Seq)>, StoreError> {
        self.index(|index| index.queues.due(now, max))
    }

    fn dead(&self, filter: &DeadFilter, max: usize) -> Result<Vec<DeadMail>, StoreError> {
        let (mut dead, mut room) = (Vec::new(), INBOX_READ_BYTES);
        let Some(from) = filter.after.checked_add(1).filter(|_| max > 0) else { return Ok(dead) };
        self.disk(|kv| {
            kv.scan(Space::Dead, &from.to_be_bytes(), &[0xff; 8], &mut |key, value| {
                let fallen = Fallen::decode(value).ok_or_else(|| damaged(Space::Dead, key))?;
                // Revived or buried since the scan began: no longer dead, or dead anew further on.
                let known = known(kv, fallen.id)?.filter(|known| Some(known.place) == split_at(key));
                let Some(Known { place, status, .. }) = known else { return Ok(true) };
                if filter.takes(&status) {
                    room = room.saturating_sub(fallen.raw.len());
                    dead.push(DeadMail { place, status, raw: codec::owned(fallen.raw) });
                }
                Ok(dead.len() < max && room > 0)
            })
        })?;
        Ok(dead)
    }

    fn dead_count(&self) -> u64 {
        self.index(|index| index.dead).unwrap_or_default()
    }

    fn dead_last(&self) -> u64 {
        self.index(|index| index.death).unwrap_or_default()
    }

    fn revive(
        &self,
        id: &str,
        now: Wall,
        expires: Wall,
        tries_before: u64,
    ) -> Result<Receipt<bool>, StoreError> {
        self.space()?;
        let host = self.disk(|kv| Ok(known(kv, id)?.map(|known| known.status.host)))?;
        let room = self.index(|index| self.rooms().take(host.iter(), &index.queues))??;
        hand_over(self, outbox::Revive { id: id.to_owned(), now, expires, tries_before, _room: room })
    }

    fn bound(&self, bounds: OutboxBounds) {
        self.rooms().bound(bounds);
    }

    fn bury(&self, id: &str, now: Wall) -> Result<Receipt<bool>, StoreError> {
        hand_over(self, outbox::Bury { id: id.to_owned(), now })
    }

    fn prune(&self, before: Wall) -> Result<Receipt<u64>, StoreError> {
        hand_over(self, outbox::Prune(before))
    }
}

impl<E: Engine> Vault for E {
    fn read(&self) -> Result<VaultContents, StoreError> {
        self.disk(|kv| vault::read(kv, self.seal()))
    }

    fn commit(&self, writes: Vec<VaultWrite>) -> Result<Receipt<()>, StoreError> {
        hand_over(self, vault::Commit(writes))
    }
}
