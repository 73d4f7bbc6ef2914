//! Inboxes: what is done to them in a commit, and how they are read.

use std::collections::BTreeMap;

use super::{
    bundle::arrived::each_message,
    codec::{self, Arrived, Put, Take, app_key, damaged, place},
    index::Slot,
    job::{Step, Task},
    kv::{Kv, Space},
    txn::{CHUNK, Txn},
    vault,
    window::Mark,
};
use crate::{
    store::StoreError,
    wire::{
        cursor::Cursor,
        host::PeerHost,
        packet::ServiceKey,
        record::{Appended, InboxBatch, InboxEntry},
        time::Wall,
    },
};

/// A packet's messages.
pub(crate) struct Append(pub(crate) InboxBatch);

impl Task for Append {
    type Answer = Appended;

    fn weight(&self) -> usize {
        self.0.items.iter().map(|item| item.raw.len() + 128).sum()
    }

    fn plan(&self, txn: &mut Txn<'_>, _: u64) -> Result<Step<Appended>, StoreError> {
        let mut answer = Appended::default();
        if let Some(from) = &self.0.from {
            let peer = if self.0.items.is_empty() { 0 } else { txn.peer(from) };
            let (key, received) = (txn.index.window.key, self.0.received);
            let of = key.marks_of(from);
            let marks: Vec<Mark> = self.0.items.iter().map(|item| of.mark(&item.id)).collect();
            let before = txn.index.window.find_all(&marks);
            txn.expect(marks.len());
            let mut fresh = Vec::with_capacity(self.0.items.len());
            let mut marks = marks.into_iter().zip(before);
            // Most packets are for one service.
            for items in self.0.items.chunk_by(|one, next| one.service == next.service) {
                for (item, (mark, before)) in items.iter().zip(&mut marks) {
                    match before.or_else(|| txn.seen(&mark)) {
                        Some(first) => {
                            answer.repeats += 1;
                            if !key.is_content(first, item.content_sum, &item.raw) {
                                answer.altered.push(item.id.clone());
                            }
                        }
                        None => {
                            txn.see(mark, peer, received, item.content_sum);
                            fresh.push(Arrived { received, from: from.as_str(), raw: &item.raw });
                        }
                    }
                }
                answer.kept += fresh.len();
                if let Some(first) = items.first().filter(|_| !fresh.is_empty()) {
                    txn.deliver(&first.service, &fresh);
                    fresh.clear();
                }
            }
        }
        vault::write(txn, &self.0.marks)?;
        Ok(Step::Done(answer))
    }
}

/// An app's word that it has what came up to a cursor.
pub(crate) struct Acknowledge {
    pub(crate) app: String,
    pub(crate) service: ServiceKey,
    pub(crate) cursor: Cursor,
}

impl Task for Acknowledge {
    type Answer = bool;

    fn plan(&self, txn: &mut Txn<'_>, _: u64) -> Result<Step<bool>, StoreError> {
        let Some(slot) = txn.slot(&self.service) else { return Ok(Step::Done(self.cursor == Cursor(0))) };
        if self.cursor.0 > slot.last {
            return Ok(Step::Done(false));
        }
        let key = app_key(&self.app, slot.number);
        if self.cursor > cursor_of(&key, txn.get(Space::Small, &key)?)? {
            let mut put = Put::new(8);
            put.u64(self.cursor.0);
            txn.put(Space::Small, key, put.0);
        }
        Ok(Step::Done(true))
    }
}

fn cursor_of(key: &[u8], value: Option<Vec<u8>>) -> Result<Cursor, StoreError> {
    let Some(value) = value else { return Ok(Cursor(0)) };
    Take::new(&value).and_then(|mut take| take.u64()).map(Cursor).ok_or_else(|| damaged(Space::Small, key))
}

/// Room made in an inbox: from its start to the first message that is to stay.
pub(crate) struct Trim {
    pub(crate) service: ServiceKey,
    pub(crate) apps: Vec<String>,
    pub(crate) keep_from: Wall,
}

impl Task for Trim {
    type Answer = u64;

    fn plan(&self, txn: &mut Txn<'_>, so_far: u64) -> Result<Step<u64>, StoreError> {
        let Some(slot) = txn.slot(&self.service) else { return Ok(Step::Done(so_far)) };
        let read_by_all = self.read_by_all(txn, slot)?;
        let (mut gone, mut low, mut count, mut unread) = (Vec::new(), None, 0, so_far);
        let from = slot.low.saturating_add(1);
        let (first, end) = (place(slot.number, from), place(slot.number, u64::MAX));
        txn.scan(Space::Inbox, &first, &end, &mut |key, value| {
            let whole = each_message(key, value, &mut |cursor, arrived| {
                if cursor < from {
                    return Ok(true);
                }
                let read = read_by_all.is_some_and(|floor| cursor <= floor.0);
                if !read && arrived.received >= self.keep_from {
                    return Ok(false);
                }
                // Where no app is entitled, none has left it unread.
                unread += u64::from(!read && read_by_all.is_some());
                (low, count) = (Some(cursor), count + 1);
                Ok(true)
            })?;
            if whole {
                gone.push(key.to_vec());
            }
            Ok(whole && count < CHUNK)
        })?;
        let Some(low) = low else { return Ok(Step::Done(unread)) };
        gone.into_iter().for_each(|key| txn.remove(Space::Inbox, key));
        // With the last cursor: it is never given again, even when nothing is left that shows it.
        txn.write_slot(&self.service, Slot { low, ..slot });
        Ok(if count < CHUNK { Step::Done(unread) } else { Step::More(unread) })
    }
}

impl Trim {
    fn read_by_all(&self, txn: &Txn<'_>, slot: Slot) -> Result<Option<Cursor>, StoreError> {
        let mut floor = None;
        for app in &self.apps {
            let key = app_key(app, slot.number);
            let cursor = cursor_of(&key, txn.get(Space::Small, &key)?)?;
            floor = Some(floor.map_or(cursor, |floor: Cursor| floor.min(cursor)));
        }
        Ok(floor)
    }
}

/// Reads on in one inbox.
pub(crate) fn read(
    kv: &dyn Kv,
    slot: Slot,
    after: Cursor,
    max: usize,
    bytes_max: usize,
) -> Result<Vec<InboxEntry>, StoreError> {
    let (mut entries, mut bytes) = (Vec::new(), 0usize);
    let after = after.0.max(slot.low);
    if max == 0 || after >= slot.last {
        return Ok(entries);
    }
    let (first, end) = (place(slot.number, after + 1), place(slot.number, u64::MAX));
    let mut sender: Option<PeerHost> = None;
    kv.scan(Space::Inbox, &first, &end, &mut |key, value| {
        each_message(key, value, &mut |cursor, arrived| {
            if cursor <= after {
                return Ok(true);
            }
            bytes = bytes.saturating_add(arrived.raw.len());
            if !entries.is_empty() && bytes > bytes_max {
                return Ok(false);
            }
            let from = match sender.take().filter(|sender| sender.as_str() == arrived.from) {
                Some(sender) => sender,
                None => PeerHost::parse(arrived.from).map_err(|_| damaged(Space::Inbox, key))?,
            };
            sender = Some(from.clone());
            let raw = codec::owned(arrived.raw);
            entries.push(InboxEntry { cursor: Cursor(cursor), received: arrived.received, from, raw });
            Ok(entries.len() < max)
        })
    })?;
    Ok(entries)
}

/// What an app has acknowledged.
pub(crate) fn acknowledged(kv: &dyn Kv, app: &str, slot: Slot) -> Result<Cursor, StoreError> {
    let key = app_key(app, slot.number);
    cursor_of(&key, kv.get(Space::Small, &key)?)
}

/// All inboxes.
pub(crate) fn services(slots: &BTreeMap<ServiceKey, Slot>) -> Vec<ServiceKey> {
    slots.keys().cloned().collect()
}
