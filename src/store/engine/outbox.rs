//! The outbox: what is done to it in a commit.

use std::collections::{BTreeMap, HashMap};

use super::{
    bundle::posted::{Delivered, ENDED_RUN, Ended, Posted, Settled, each_mail, ended_run_key, mail_in},
    codec::{
        self, Arrived, Known, Put, Queued, damaged, ended_key, place, split_at, split_place, status_key,
        status_key_of,
    },
    fallen::Fallen,
    job::{Step, Task},
    kv::{Kv, Space},
    queues::QueueChange,
    room::Room,
    txn::{CHUNK, Txn},
    vault,
};
use crate::{
    store::StoreError,
    wire::{
        host::PeerHost,
        record::{Accepted, Mail, MessageState, MessageStatus, OutboxBatch, OutboxItem, Seq, Settlement},
        time::Wall,
    },
};

/// Messages from an app.
pub(crate) struct Append {
    pub(crate) batch: OutboxBatch,
    /// Held until it is done. Where there is none: why; then all of them must be repeats.
    pub(crate) room: Result<Room, StoreError>,
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
                let before = read_known(txn, &item.id)?.map(|known| (known.content, state_of(txn, &known)));
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
        if let (Some(_), Err(full)) = (fresh.first(), &self.room) {
            return Err(full.clone());
        }
        let fresh_count = fresh.len();
        for item in fresh {
            keep(txn, item, self.batch.queued);
        }
        let states = self.batch.items.iter().filter_map(|item| known.get(&*item.id).map(|(_, state)| *state));
        Ok(Step::Done(Accepted::All { states: states.collect(), fresh: fresh_count }))
    }
}

/// Where a message is that was accepted before; what the same commit does to it is not looked at.
fn state_of(txn: &Txn<'_>, known: &Known) -> MessageState {
    let (state, host) = (known.status.state, &known.status.host);
    let ended = known.place <= txn.index.seq && !txn.index.queues.has(host, known.place);
    if state == MessageState::Queued && ended { MessageState::Delivered } else { state }
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
        txn.deliver(service, &[Arrived { received: queued, from: item.host.as_str(), raw: &item.raw }]);
        known.status.ended = Some(queued);
        note_end(txn, queued, ended_key(queued, &item.id), &[]);
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
    let seq = txn.post(number, mail);
    let (queued, expires) = (mail.queued, mail.expires);
    txn.effects.queue.push(QueueChange::Add { host: host.clone(), seq, queued, expires });
    seq
}

/// What waits for a peer at these places, in order, up to so many bytes beyond the first message.
pub(crate) fn load(
    kv: &dyn Kv,
    number: u32,
    waiting: &[u64],
    bytes_max: usize,
) -> Result<Vec<Mail>, StoreError> {
    let (Some(first), Some(last)) = (waiting.first(), waiting.last()) else { return Ok(Vec::new()) };
    let (mut mails, mut bytes) = (Vec::new(), 0usize);
    kv.scan(Space::Outbox, &place(number, *first), &place(number, u64::MAX), &mut |key, value| {
        let all = each_mail(key, value, &mut |Posted { seq, mail, .. }| {
            if waiting.binary_search(&seq).is_err() {
                return Ok(seq < *last);
            }
            bytes = bytes.saturating_add(mail.raw.len() + 1);
            if !mails.is_empty() && bytes > bytes_max {
                return Ok(false);
            }
            let (id, raw) = (mail.id.into(), codec::owned(mail.raw));
            mails.push(Mail { seq: Seq(seq), id, raw, expires: mail.expires });
            Ok(seq < *last)
        })?;
        Ok(all)
    })?;
    Ok(mails)
}

fn read_known(txn: &Txn<'_>, id: &str) -> Result<Option<Known>, StoreError> {
    let key = status_key(id);
    let Some(value) = txn.get(Space::Status, &key)? else { return Ok(None) };
    Known::decode(id, &value).map(Some).ok_or_else(|| damaged(Space::Status, &key))
}

/// Remembers that a message or a settlement has ended, for pruning; also where the clock was set back.
fn note_end(txn: &mut Txn<'_>, at: Wall, key: Vec<u8>, value: &[u8]) {
    txn.put(Space::Ended, key, value.to_vec());
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
        let delivered = self.0.delivered.iter().map(|seq| (seq.0, None));
        let dead = self.0.dead.iter().map(|(seq, reason)| (seq.0, Some(&**reason)));
        let mut wanted: BTreeMap<u64, Option<&str>> = delivered.chain(dead).collect();
        if let Some(number) = txn.known_peer(&self.0.host) {
            let mut put = Put::new(8);
            put.u64(txn.effects.seq);
            // A place is never given again, even when nothing is left that shows it.
            txn.put(Space::Small, codec::SEQ_KEY.to_vec(), put.0);
            while let Some((first, _)) = wanted.first_key_value() {
                if txn.is_full() && !self.0.dead.is_empty() {
                    // What is done by then is not done again; of what was delivered alone little is written.
                    return Ok(Step::More(0));
                }
                let (from, to) = (place(number, *first), place(number, u64::MAX));
                let Some((key, value)) = txn.first(Space::Outbox, &from, &to)? else { break };
                let last = split_place(&key).ok_or_else(|| damaged(Space::Outbox, &key))?.1;
                // What comes after this bundle is looked for further on.
                let later = last.checked_add(1).map(|after| wanted.split_off(&after)).unwrap_or_default();
                self.settle(txn, number, (&key, &value), &std::mem::replace(&mut wanted, later))?;
            }
        }
        vault::write(txn, &self.0.marks)?;
        Ok(Step::Done(()))
    }
}

impl Settle {
    /// Settles these of a bundle; a place that is settled already, or that it has not, changes nothing.
    fn settle(
        &self,
        txn: &mut Txn<'_>,
        number: u32,
        (key, value): (&[u8], &[u8]),
        wanted: &BTreeMap<u64, Option<&str>>,
    ) -> Result<(), StoreError> {
        let note = Settled::key(key);
        let before = txn.get(Space::Small, &note)?;
        let mut settled = Settled::decode(&note, before.as_deref())?;
        let mut delivered = Delivered::new(self.0.now, self.0.tries);
        each_mail(key, value, &mut |Posted { at, seq, mail }| {
            if let Some(reason) = wanted.get(&seq)
                && settled.note(at)
            {
                match reason {
                    Some(reason) => self.set_aside(txn, &mail, reason)?,
                    None => delivered.push(seq, mail.id),
                }
                txn.effects.queue.push(QueueChange::Remove { host: self.0.host.clone(), seq });
            }
            Ok(true)
        })?;
        if let Some((run, value)) = delivered.close(number) {
            note_end(txn, self.0.now, ended_run_key(self.0.now, &run), ENDED_RUN);
            txn.put(Space::Settled, run, value);
        }
        if settled.count() >= mail_in(value) {
            txn.remove(Space::Outbox, key.to_vec());
            if before.is_some() {
                txn.remove(Space::Small, note);
            }
        } else {
            txn.put(Space::Small, note, settled.encode());
        }
        Ok(())
    }

    //= HT-SEND-27: kept
    /// Among the dead, with the reason.
    fn set_aside(&self, txn: &mut Txn<'_>, mail: &Queued<'_>, reason: &str) -> Result<(), StoreError> {
        let missing = || damaged(Space::Status, &status_key(mail.id));
        let mut known = read_known(txn, mail.id)?.ok_or_else(missing)?;
        txn.effects.death += 1;
        txn.effects.dead += 1;
        known.place = txn.effects.death;
        known.status.attempts = self.0.tries.saturating_sub(known.status.tries_before);
        known.status.ended = Some(self.0.now);
        known.status.state = MessageState::Dead;
        known.status.last_error = Some(reason.to_owned());
        let time_to_live = Some(mail.expires.since(mail.queued));
        let fallen = Fallen { id: mail.id, raw: mail.raw, time_to_live };
        txn.put(Space::Dead, known.place.to_be_bytes().to_vec(), fallen.encode());
        write_known(txn, &known);
        Ok(())
    }
}

/// A dead message, queued again.
pub(crate) struct Revive {
    pub(crate) id: String,
    pub(crate) now: Wall,
    /// Where it is not known how long it may live.
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
        //= NODE-API-33: its time to live starts anew
        let expires = fallen.time_to_live.map_or(self.expires, |time| self.now.plus(time));
        let mail = Queued { queued: self.now, expires, id: fallen.id, raw: fallen.raw };
        //= HT-SEND-05: to the tail
        known.place = enqueue(txn, &known.status.host, &mail);
        known.status.state = MessageState::Queued;
        known.status.tries_before = self.tries_before;
        (known.status.attempts, known.status.last_error, known.status.ended) = (0, None, None);
        write_known(txn, &known);
        Ok(Step::Done(true))
    }
}

/// The place of a dead message that was deleted: places begin at 1.
const DELETED: u64 = 0;

/// Removes a dead message from among the dead.
fn take_dead(txn: &mut Txn<'_>, id: &str) -> Result<Option<(Known, Vec<u8>)>, StoreError> {
    let kept = |known: &Known| known.status.state == MessageState::Dead && known.place != DELETED;
    let Some(known) = read_known(txn, id)?.filter(kept) else { return Ok(None) };
    let key = known.place.to_be_bytes();
    let value = txn.get(Space::Dead, &key)?.ok_or_else(|| damaged(Space::Dead, &key))?;
    txn.remove(Space::Dead, key.to_vec());
    txn.effects.dead -= 1;
    Ok(Some((known, value)))
}

/// A dead message, deleted. Its id and state are pruned as those of a delivered one: the peer may have taken the message
/// while its answer was lost, and would take other content under the same id for a repeat.
pub(crate) struct Bury {
    pub(crate) id: String,
    pub(crate) now: Wall,
}

impl Task for Bury {
    type Answer = bool;

    fn plan(&self, txn: &mut Txn<'_>, _: u64) -> Result<Step<bool>, StoreError> {
        let Some((mut known, _)) = take_dead(txn, &self.id)? else { return Ok(Step::Done(false)) };
        known.place = DELETED;
        note_end(txn, self.now, ended_key(self.now, &self.id), &[]);
        write_known(txn, &known);
        Ok(Step::Done(true))
    }
}

/// Delivered messages and deleted ones, forgotten.
pub(crate) struct Prune(pub(crate) Wall);

impl Task for Prune {
    type Answer = u64;

    fn plan(&self, txn: &mut Txn<'_>, so_far: u64) -> Result<Step<u64>, StoreError> {
        let low = txn.effects.ended_low.unwrap_or(txn.index.ended_low);
        let (from, to) = (low.to_be_bytes(), self.0.0.to_be_bytes());
        let (mut ended, mut count) = (Vec::new(), 0);
        let kv = txn.kv();
        txn.scan(Space::Ended, &from, &to, &mut |key, value| {
            let ids = ids_of(kv, key, value)?;
            count += ids.len();
            ended.push((key.to_vec(), ids, value == ENDED_RUN));
            Ok(count < CHUNK)
        })?;
        let Some(last) = ended.last().and_then(|(key, ..)| split_at(key.get(..8)?)) else {
            return Ok(Step::Done(so_far));
        };
        for (key, ids, is_run) in ended {
            ids.iter().for_each(|id| txn.remove(Space::Status, status_key_of(id)));
            if is_run {
                txn.remove(Space::Settled, key.get(8..).unwrap_or_default().to_vec());
            }
            txn.remove(Space::Ended, key);
        }
        txn.effects.ended_low = Some(last);
        let done = so_far + count as u64;
        Ok(if count < CHUNK { Step::Done(done) } else { Step::More(done) })
    }
}

/// The ids of what has ended: of one message, or of those of a settlement.
fn ids_of(kv: &dyn Kv, key: &[u8], value: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
    let rest = key.get(8..).unwrap_or_default();
    if value != ENDED_RUN {
        return Ok(vec![rest.to_vec()]);
    }
    let run = kv.get(Space::Settled, rest)?.ok_or_else(|| damaged(Space::Settled, rest))?;
    let ended = Ended::decode(rest, &run)?;
    Ok(ended.messages.iter().map(|(_, id)| id.as_bytes().to_vec()).collect())
}
