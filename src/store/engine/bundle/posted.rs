//! Bundles of what goes out: messages for one peer, and those of them that one settlement delivered.
//!
//! ```text
//! outbox    2 | count u32 | place u64, queued u64, expires u64, id text, length u32, the message | ...
//! small  m  1 | a bit for each message of a bundle in the outbox, where some of them are settled and others wait
//! settled   2 | count u32 | ended u64, tries u64 | place u64, id text | ...
//! ended     time u64, peer u32, last place u64 -> 2: such a settlement
//! ```
//!
//! A delivered message's status is left as it was written when it was accepted: that it has ended, when, and after how many
//! tries, its settlement says. So a message costs one write of its status and not two, and none of its end.

use super::{BYTES, MANY, many};
use crate::{
    store::{
        StoreError,
        engine::{
            codec::{Put, Queued, Small, Take, damaged, place, small, split_place},
            kv::{Change, Kv, Space},
        },
    },
    wire::time::Wall,
};

/// Messages for one peer, in the making.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    count: u32,
    last: u64,
    put: Put,
}

impl Mail {
    /// One more, at this place: beyond all before it.
    pub(crate) fn push(&mut self, seq: u64, mail: &Queued<'_>) {
        if self.count == 0 {
            self.put = Put::bare(Vec::with_capacity(128 + mail.raw.len()));
            self.put.bytes(&[MANY]);
            self.put.u32(0);
        }
        self.count += 1;
        self.last = seq;
        self.put.u64(seq);
        self.put.u64(mail.queued.0);
        self.put.u64(mail.expires.0);
        self.put.text(mail.id);
        self.put.u32(u32::try_from(mail.raw.len()).unwrap_or(u32::MAX));
        self.put.bytes(mail.raw);
    }

    /// Whether another should begin.
    pub(crate) fn is_full(&self) -> bool {
        self.put.0.len() >= BYTES
    }

    /// The bundle; nothing where it is empty. What follows begins another.
    pub(crate) fn close(&mut self, peer: u32) -> Option<Change> {
        let mut value = std::mem::take(&mut self.put.0);
        let count = std::mem::take(&mut self.count);
        value.get_mut(1..5)?.copy_from_slice(&count.to_be_bytes());
        Some(Change { space: Space::Outbox, key: place(peer, self.last), value: Some(value) })
    }
}

/// A message of a bundle in the outbox.
pub(crate) struct Posted<'a> {
    /// Its place among those of the bundle.
    pub(crate) at: usize,
    /// Its place in the outbox.
    pub(crate) seq: u64,
    pub(crate) mail: Queued<'a>,
}

/// Each message of a bundle in the outbox, in order; `false` ends it, and is handed on.
pub(crate) fn each_mail<'a>(
    key: &[u8],
    value: &'a [u8],
    each: &mut dyn FnMut(Posted<'a>) -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    let broken = || damaged(Space::Outbox, key);
    let (_, last) = split_place(key).ok_or_else(broken)?;
    let Some((count, mut take)) = many(value) else {
        let mail = Queued::decode(value).ok_or_else(broken)?;
        return each(Posted { at: 0, seq: last, mail });
    };
    for at in 0..count as usize {
        let mut read = || {
            let seq = take.u64()?;
            let (queued, expires, id) = (Wall(take.u64()?), Wall(take.u64()?), take.text()?);
            let length = usize::try_from(take.u32()?).ok()?;
            Some(Posted { at, seq, mail: Queued { queued, expires, id, raw: take.slice(length)? } })
        };
        if !each(read().ok_or_else(broken)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How many messages a value of the outbox holds.
pub(crate) fn mail_in(value: &[u8]) -> u64 {
    many(value).map_or(1, |(count, _)| u64::from(count))
}

/// Which messages of a bundle in the outbox are settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled(Vec<u8>);

impl Settled {
    /// The key of it, beside the bundle's.
    pub(crate) fn key(bundle: &[u8]) -> Vec<u8> {
        small(Small::Settled, &[bundle])
    }

    pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, StoreError> {
        let Some(value) = value else { return Ok(Self::default()) };
        let take = Take::new(value).ok_or_else(|| damaged(Space::Small, key))?;
        Ok(Self(take.rest().to_vec()))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut put = Put::new(self.0.len());
        put.bytes(&self.0);
        put.0
    }

    pub(crate) fn has(&self, at: usize) -> bool {
        self.0.get(at / 8).is_some_and(|bits| bits & (1 << (at % 8)) != 0)
    }

    /// Notes one; `false` where it was noted before.
    pub(crate) fn note(&mut self, at: usize) -> bool {
        if self.0.len() <= at / 8 {
            self.0.resize(at / 8 + 1, 0);
        }
        let Some(bits) = self.0.get_mut(at / 8) else { return false };
        let new = *bits & (1 << (at % 8)) == 0;
        *bits |= 1 << (at % 8);
        new
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }
}

/// Messages that one settlement delivered, in the making.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    count: u32,
    last: u64,
    put: Put,
}

impl Delivered {
    /// Of this time, after so many tries to the peer.
    pub(crate) fn new(ended: Wall, tries: u64) -> Self {
        let mut put = Put::bare(vec![MANY, 0, 0, 0, 0]);
        put.u64(ended.0);
        put.u64(tries);
        Self { count: 0, last: 0, put }
    }

    /// One more, in order of their places.
    pub(crate) fn push(&mut self, seq: u64, id: &str) {
        (self.count, self.last) = (self.count + 1, seq);
        self.put.u64(seq);
        self.put.text(id);
    }

    /// Its key and its value; nothing where it is empty.
    pub(crate) fn close(mut self, peer: u32) -> Option<(Vec<u8>, Vec<u8>)> {
        self.put.0.get_mut(1..5)?.copy_from_slice(&self.count.to_be_bytes());
        (self.count > 0).then(|| (place(peer, self.last), self.put.0))
    }
}

/// How delivered messages ended.
pub(crate) struct Ended<'a> {
    pub(crate) at: Wall,
    /// The peer's count of failed tries by then.
    pub(crate) tries: u64,
    /// Places and ids.
    pub(crate) messages: Vec<(u64, &'a str)>,
}

impl<'a> Ended<'a> {
    pub(crate) fn decode(key: &[u8], value: &'a [u8]) -> Result<Self, StoreError> {
        let read = || {
            let (count, mut take) = many(value)?;
            let (at, tries) = (Wall(take.u64()?), take.u64()?);
            let messages = (0..count).map(|_| Some((take.u64()?, take.text()?))).collect::<Option<_>>()?;
            Some(Self { at, tries, messages })
        };
        read().ok_or_else(|| damaged(Space::Settled, key))
    }
}

/// Settlements of one bundle lie near each other, at most one for each of its messages.
const NEAR: usize = 1024;

/// When the message at a place was delivered, and the peer's count of failed tries by then; `None` where no settlement has it.
pub(crate) fn end_of(kv: &dyn Kv, peer: u32, seq: u64) -> Result<Option<(Wall, u64)>, StoreError> {
    let (mut found, mut looked) = (None, 0);
    kv.scan(Space::Settled, &place(peer, seq), &place(peer, u64::MAX), &mut |key, value| {
        let ended = Ended::decode(key, value)?;
        if ended.messages.iter().any(|(at, _)| *at == seq) {
            found = Some((ended.at, ended.tries));
        }
        looked += 1;
        Ok(found.is_none() && looked < NEAR)
    })?;
    Ok(found)
}

/// The key of a settlement among what has ended, by time.
pub(crate) fn ended_run_key(at: Wall, settlement: &[u8]) -> Vec<u8> {
    [&at.0.to_be_bytes()[..], settlement].concat()
}

/// What lies under it.
pub(crate) const ENDED_RUN: &[u8] = &[MANY];

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(id: &'static str, raw: &'static [u8]) -> Queued<'static> {
        Queued { queued: Wall(1), expires: Wall(2), id, raw }
    }

    fn read(key: &[u8], value: &[u8]) -> Result<Vec<(usize, u64, String)>, StoreError> {
        let mut all = Vec::new();
        each_mail(key, value, &mut |posted| {
            all.push((posted.at, posted.seq, posted.mail.id.to_owned()));
            Ok(true)
        })?;
        Ok(all)
    }

    #[test]
    fn mail_reads_back_with_its_places_and_a_value_of_one_as_before() {
        let mut bundle = Mail::default();
        assert!(bundle.close(7).is_none());
        bundle.push(4, &mail("a", b"{}"));
        bundle.push(9, &mail("b", b""));
        let Change { key, value, .. } = bundle.close(7).unwrap();
        let value = value.unwrap();
        assert_eq!((&key, mail_in(&value)), (&place(7, 9), 2));
        assert_eq!(read(&key, &value).unwrap(), [(0, 4, "a".to_owned()), (1, 9, "b".to_owned())]);
        for end in 0..value.len() {
            assert!(read(&key, &value[..end]).is_err(), "{end}");
        }

        let mut one = Put::new(32);
        one.u64(1);
        one.u64(2);
        one.text("c");
        one.bytes(b"{}");
        assert_eq!(read(&place(7, 5), &one.0).unwrap(), [(0, 5, "c".to_owned())]);
    }

    #[test]
    fn what_is_settled_is_noted_once_and_counted() {
        let mut settled = Settled::default();
        let news: Vec<_> = [0, 9, 9, 64].map(|at| settled.note(at)).into();
        assert_eq!((news, settled.count()), (vec![true, true, false, true], 3));
        let back = Settled::decode(b"k", Some(&settled.encode())).unwrap();
        assert_eq!(back, settled);
        assert!(back.has(9) && !back.has(8) && !back.has(1000));
        assert!(Settled::decode(b"k", Some(&[9])).is_err());
    }

    #[test]
    fn a_settlement_reads_back_and_one_that_ends_early_is_damaged() {
        assert!(Delivered::new(Wall(5), 6).close(7).is_none());
        let mut delivered = Delivered::new(Wall(5), 6);
        delivered.push(4, "a");
        delivered.push(9, "b");
        let (key, value) = delivered.close(7).unwrap();
        let ended = Ended::decode(&key, &value).unwrap();
        assert_eq!((ended.at, ended.tries, ended.messages), (Wall(5), 6, vec![(4, "a"), (9, "b")]));
        for end in 0..value.len() {
            assert!(Ended::decode(&key, &value[..end]).is_err(), "{end}");
        }
    }
}
