//! The outbox: what is done to it in a commit.

use std::collections::HashMap;

use super::{
    codec::{
        self, Arrived, Fallen, Known, Put, Queued, damaged, ended_key, place, split_at, status_key,
        status_key_of,
    },
    job::{Step, Task},
    kv::Space,
    queues::QueueChange,
    room::Room,
    txn::{CHUNK, Txn},
    vault,
};
use crate::{
    store::StoreError,
    wire::{
        host::PeerHost,
        record::{Accepted, MessageState, MessageStatus, OutboxBatch, OutboxItem, Seq, Settlement},
        time::Wall,
    },
};

/// Messages from an app.
pub(crate) struct Append {
    pub(crate) batch: OutboxBatch,
    /// Held until it is done.
    pub(crate) _room: Room,
}

impl Task for Append {
    type Answer = Accepted;

    fn weight(&self) -> usize {
        self.batch.items.iter().map(|item| item.raw.len() + 256).sum()
    }

    fn plan(&self, txn: &mut Txn<'_>, _: u64) -> Result<Step<Accepted>, StoreError> {
        let mut known: HashMap<&str, ([u8; 32], MessageState)> = HashMap::new();
        let mut fresh = Vec::new();
        for (at, item) in self.batch.items.iter().enumerate() {
            //= NODE-API-13: sent once
            if !known.contains_key(&*item.id) {
                let before = read_known(txn, &item.id)?.map(|known| (known.content, known.status.state));
                if before.is_none() {
                    fresh.push(item);
                }
                known.insert(&item.id, before.unwrap_or((item.content, first_state(item))));
            }
            if known.get(&*item.id).is_some_and(|(content, _)| *content != item.content) {
                //= NODE-API-14: 409
                return Ok(Step::Done(Accepted::Conflict(at)));
            }
        }
        for item in fresh {
            keep(txn, item, self.batch.queued);
        }
        let states = self.batch.items.iter().filter_map(|item| known.get(&*item.id).map(|(_, state)| *state));
        Ok(Step::Done(Accepted::All(states.collect())))
    }
}

fn first_state(item: &OutboxItem) -> MessageState {
    if item.own.is_some() { MessageState::Delivered } else { MessageState::Queued }
}

fn keep(txn: &mut Txn<'_>, item: &OutboxItem, queued: Wall) {
    let mut known = Known {
        content: item.content,
        place: 0,
        status: MessageStatus {
            id: item.id.clone(),
            host: item.host.clone(),
            sender: item.sender.clone(),
            state: first_state(item),
            tries_before: item.tries_before,
            attempts: 0,
            last_error: None,
            queued,
            ended: None,
        },
    };
    if let Some(service) = &item.own {
        txn.deliver(service, &Arrived { received: queued, from: item.host.as_str(), raw: &item.raw });
        known.status.ended = Some(queued);
        note_end(txn, queued, &item.id);
    } else {
        known.place =
            enqueue(txn, &item.host, &Queued { queued, expires: item.expires, id: &item.id, raw: &item.raw });
    }
    write_known(txn, &known);
}

//= HT-SEND-04: at the tail
/// Puts a message at the tail of its peer.
fn enqueue(txn: &mut Txn<'_>, host: &PeerHost, mail: &Queued<'_>) -> u64 {
    let number = txn.peer(host);
    txn.effects.seq += 1;
    let seq = txn.effects.seq;
    txn.put(Space::Outbox, place(number, seq), mail.encode());
    let (queued, expires) = (mail.queued, mail.expires);
    txn.effects.queue.push(QueueChange::Add { host: host.clone(), seq, queued, expires });
    seq
}

fn read_known(txn: &Txn<'_>, id: &str) -> Result<Option<Known>, StoreError> {
    let key = status_key(id);
    let Some(value) = txn.get(Space::Status, &key)? else { return Ok(None) };
    Known::decode(id, &value).map(Some).ok_or_else(|| damaged(Space::Status, &key))
}

/// Remembers that a message has ended, for pruning; also where the clock was set back.
fn note_end(txn: &mut Txn<'_>, at: Wall, id: &str) {
    txn.put(Space::Ended, ended_key(at, id), Vec::new());
    let low = txn.effects.ended_low.unwrap_or(txn.index.ended_low);
    if at.0 < low {
        txn.effects.ended_low = Some(at.0);
    }
}

fn write_known(txn: &mut Txn<'_>, known: &Known) {
    txn.put(Space::Status, status_key(&known.status.id), known.encode());
}

/// What came of sending.
pub(crate) struct Settle(pub(crate) Settlement);

impl Task for Settle {
    type Answer = ();

    fn plan(&self, txn: &mut Txn<'_>, _: u64) -> Result<Step<()>, StoreError> {
        for seq in &self.0.delivered {
            self.end(txn, *seq, None)?;
        }
        for (seq, reason) in &self.0.dead {
            self.end(txn, *seq, Some(reason))?;
        }
        vault::write(txn, &self.0.marks)?;
        Ok(Step::Done(()))
    }
}

impl Settle {
    fn end(&self, txn: &mut Txn<'_>, seq: Seq, dead: Option<&str>) -> Result<(), StoreError> {
        let Some(number) = txn.known_peer(&self.0.host) else { return Ok(()) };
        let key = place(number, seq.0);
        let Some(value) = txn.get(Space::Outbox, &key)? else { return Ok(()) };
        let mail = Queued::decode(&value).ok_or_else(|| damaged(Space::Outbox, &key))?;
        let missing = || damaged(Space::Status, &status_key(mail.id));
        let mut known = read_known(txn, mail.id)?.ok_or_else(missing)?;
        known.status.attempts = self.0.tries.saturating_sub(known.status.tries_before);
        known.status.ended = Some(self.0.now);
        //= HT-SEND-27: kept
        if let Some(reason) = dead {
            txn.effects.death += 1;
            txn.effects.dead += 1;
            known.place = txn.effects.death;
            known.status.state = MessageState::Dead;
            known.status.last_error = Some(reason.to_owned());
            let fallen = Fallen { id: mail.id, raw: mail.raw };
            txn.put(Space::Dead, known.place.to_be_bytes().to_vec(), fallen.encode());
        } else {
            known.place = 0;
            known.status.state = MessageState::Delivered;
            note_end(txn, self.0.now, mail.id);
        }
        write_known(txn, &known);
        txn.remove(Space::Outbox, key);
        let mut put = Put::new(8);
        put.u64(txn.effects.seq);
        // A place is never given again, even when nothing is left that shows it.
        txn.put(Space::Small, codec::SEQ_KEY.to_vec(), put.0);
        txn.effects.queue.push(QueueChange::Remove { host: self.0.host.clone(), seq: seq.0 });
        Ok(())
    }
}

/// A dead message, queued again.
pub(crate) struct Revive {
    pub(crate) id: String,
    pub(crate) now: Wall,
    pub(crate) expires: Wall,
    pub(crate) tries_before: u64,
    /// Held until it is done.
    pub(crate) _room: Room,
}

impl Task for Revive {
    type Answer = bool;

    fn plan(&self, txn: &mut Txn<'_>, _: u64) -> Result<Step<bool>, StoreError> {
        let Some((mut known, value)) = take_dead(txn, &self.id)? else { return Ok(Step::Done(false)) };
        let key = known.place.to_be_bytes();
        let fallen = Fallen::decode(&value).ok_or_else(|| damaged(Space::Dead, &key))?;
        let mail = Queued { queued: self.now, expires: self.expires, id: fallen.id, raw: fallen.raw };
        //= HT-SEND-05: to the tail
        known.place = enqueue(txn, &known.status.host, &mail);
        known.status.state = MessageState::Queued;
        known.status.tries_before = self.tries_before;
        (known.status.attempts, known.status.last_error, known.status.ended) = (0, None, None);
        write_known(txn, &known);
        Ok(Step::Done(true))
    }
}

/// Removes a dead message from among the dead.
fn take_dead(txn: &mut Txn<'_>, id: &str) -> Result<Option<(Known, Vec<u8>)>, StoreError> {
    let Some(known) = read_known(txn, id)?.filter(|known| known.status.state == MessageState::Dead) else {
        return Ok(None);
    };
    let key = known.place.to_be_bytes();
    let value = txn.get(Space::Dead, &key)?.ok_or_else(|| damaged(Space::Dead, &key))?;
    txn.remove(Space::Dead, key.to_vec());
    txn.effects.dead -= 1;
    Ok(Some((known, value)))
}

/// A dead message, deleted.
pub(crate) struct Bury(pub(crate) String);

impl Task for Bury {
    type Answer = bool;

    fn plan(&self, txn: &mut Txn<'_>, _: u64) -> Result<Step<bool>, StoreError> {
        let found = take_dead(txn, &self.0)?.is_some();
        if found {
            txn.remove(Space::Status, status_key(&self.0));
        }
        Ok(Step::Done(found))
    }
}

/// Delivered messages, forgotten.
pub(crate) struct Prune(pub(crate) Wall);

impl Task for Prune {
    type Answer = u64;

    fn plan(&self, txn: &mut Txn<'_>, so_far: u64) -> Result<Step<u64>, StoreError> {
        let low = txn.effects.ended_low.unwrap_or(txn.index.ended_low);
        let (from, to) = (low.to_be_bytes(), self.0.0.to_be_bytes());
        let mut ended = Vec::new();
        txn.scan(Space::Ended, &from, &to, &mut |key, _| {
            ended.push(key.to_vec());
            Ok(ended.len() < CHUNK)
        })?;
        let Some(last) = ended.last().and_then(|key| split_at(key.get(..8)?)) else {
            return Ok(Step::Done(so_far));
        };
        let (count, full) = (ended.len() as u64, ended.len() == CHUNK);
        for key in ended {
            txn.remove(Space::Status, status_key_of(key.get(8..).unwrap_or_default()));
            txn.remove(Space::Ended, key);
        }
        txn.effects.ended_low = Some(last);
        let done = so_far + count;
        Ok(if full { Step::More(done) } else { Step::Done(done) })
    }
}
