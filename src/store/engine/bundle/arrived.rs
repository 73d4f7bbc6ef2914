//! Bundles of what came: messages in an inbox, and sightings in the window of repeats.
//!
//! ```text
//! inbox    2 | count u32 | received u64, from text, length u32, the message | ...
//! seen     2 | count u32 | hash 16, peer u32, received u64, content u64 | ...
//! ```
//!
//! Places are consecutive, so that the first follows from the key and the count.

use super::{MANY, many};
use crate::{
    store::{
        StoreError,
        engine::{
            codec::{self, Arrived, Put, Take, damaged, place, split_at, split_place},
            kv::{Change, Space},
            window::Sighting,
        },
    },
    wire::time::Wall,
};

/// What a bundle takes at first.
const FIRST_BYTES: usize = 4 * 1024;
/// What a bundle mostly takes when it is full: the last message goes beyond.
const FULL_BYTES: usize = super::BYTES + 4 * 1024;
/// Sightings in a bundle: each stays on disk until the last of them has left the window.
pub(crate) const SIGHTINGS: usize = 512;

/// Messages for one inbox, in the making.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    count: u32,
    put: Put,
}

impl Messages {
    /// These come next: they, or as many of them as it takes, find their room at once.
    pub(crate) fn expect(&mut self, all: &[Arrived<'_>]) {
        let bytes: usize = all.iter().map(|arrived| 16 + arrived.from.len() + arrived.raw.len()).sum();
        self.put.0.reserve(bytes.min(FULL_BYTES.saturating_sub(self.put.0.len())));
    }

    /// One more, at the next place.
    pub(crate) fn push(&mut self, arrived: &Arrived<'_>) {
        if self.count == 0 {
            self.put.0.reserve(FIRST_BYTES.max(64 + arrived.raw.len()));
            self.put.bytes(&[MANY]);
            self.put.u32(0);
        }
        self.count += 1;
        self.put.u64(arrived.received.0);
        self.put.text(arrived.from);
        self.put.u32(u32::try_from(arrived.raw.len()).unwrap_or(u32::MAX));
        self.put.bytes(arrived.raw);
    }

    /// Whether another should begin.
    pub(crate) fn is_full(&self) -> bool {
        self.put.0.len() >= super::BYTES
    }

    /// The bundle whose last message has this cursor; nothing where it is empty. What follows begins another.
    pub(crate) fn close(&mut self, inbox: u32, last: u64) -> Option<Change> {
        let mut value = std::mem::take(&mut self.put.0);
        let count = std::mem::take(&mut self.count);
        value.get_mut(1..5)?.copy_from_slice(&count.to_be_bytes());
        Some(Change { space: Space::Inbox, key: place(inbox, last), value: Some(value) })
    }
}

/// Each message of a bundle with its cursor, in order; `false` ends it, and is handed on.
pub(crate) fn each_message(
    key: &[u8],
    value: &[u8],
    each: &mut dyn FnMut(u64, Arrived<'_>) -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    let broken = || damaged(Space::Inbox, key);
    let (_, last) = split_place(key).ok_or_else(broken)?;
    let Some((count, mut take)) = many(value) else {
        return each(last, Arrived::decode(value).ok_or_else(broken)?);
    };
    let first = last.checked_sub(u64::from(count)).ok_or_else(broken)? + 1;
    for cursor in first..=last {
        let mut read = || {
            let (received, from) = (Wall(take.u64()?), take.text()?);
            let length = usize::try_from(take.u32()?).ok()?;
            Some(Arrived { received, from, raw: take.slice(length)? })
        };
        if !each(cursor, read().ok_or_else(broken)?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How many messages a value of an inbox holds.
pub(crate) fn messages_in(value: &[u8]) -> u64 {
    many(value).map_or(1, |(count, _)| u64::from(count))
}

/// The bundle of consecutive sightings.
pub(crate) fn sightings(all: &[Sighting]) -> Option<Change> {
    let last = all.last()?.arrival;
    let mut put = Put::bare(Vec::with_capacity(5 + all.len() * 36));
    put.bytes(&[MANY]);
    put.u32(u32::try_from(all.len()).ok()?);
    all.iter().for_each(|seen| seen.write(&mut put));
    Some(Change { space: Space::Seen, key: last.to_be_bytes().to_vec(), value: Some(put.0) })
}

/// The sightings of a bundle, in order.
pub(crate) fn read_sightings(key: &[u8], value: &[u8]) -> Result<Vec<Sighting>, StoreError> {
    let read = || {
        let last = split_at(key)?;
        let (count, mut take) = match many(value) {
            Some(many) => many,
            None => (1, Take::new(value)?),
        };
        let first = last.checked_sub(u64::from(count))? + 1;
        (first..=last).map(|arrival| Sighting::read(arrival, &mut take)).collect::<Option<Vec<_>>>()
    };
    read().ok_or_else(|| codec::damaged(Space::Seen, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::engine::window::Mark;

    fn arrived(raw: &'static [u8]) -> Arrived<'static> {
        Arrived { received: Wall(7), from: "a.test", raw }
    }

    fn read(key: &[u8], value: &[u8]) -> Result<Vec<(u64, String, Vec<u8>)>, StoreError> {
        let mut all = Vec::new();
        each_message(key, value, &mut |cursor, arrived| {
            all.push((cursor, arrived.from.to_owned(), arrived.raw.to_vec()));
            Ok(true)
        })?;
        Ok(all)
    }

    #[test]
    fn messages_read_back_with_their_cursors_and_a_value_of_one_as_before() {
        let mut messages = Messages::default();
        assert!(messages.close(3, 8).is_none());
        [&b"{}"[..], b"", b"{\"n\":1}"].iter().for_each(|raw| messages.push(&arrived(raw)));
        let Change { key, value, .. } = messages.close(3, 12).unwrap();
        let value = value.unwrap();
        let all = read(&key, &value).unwrap();
        let cursors: Vec<_> = all.iter().map(|(cursor, ..)| *cursor).collect();
        assert_eq!((cursors, messages_in(&value)), (vec![10, 11, 12], 3));
        assert_eq!(all[2], (12, "a.test".to_owned(), b"{\"n\":1}".to_vec()));
        assert!(messages.close(3, 12).is_none(), "what was closed begins anew");

        let mut one = Put::new(16);
        one.u64(7);
        one.text("a.test");
        one.bytes(b"{}");
        assert_eq!(read(&place(3, 5), &one.0).unwrap(), [(5, "a.test".to_owned(), b"{}".to_vec())]);
        assert_eq!(messages_in(&one.0), 1);
    }

    #[test]
    fn a_bundle_that_ends_early_or_counts_more_than_there_can_be_is_damaged() {
        let mut messages = Messages::default();
        [&b"{}"[..], b"{}"].iter().for_each(|raw| messages.push(&arrived(raw)));
        let Change { key, value, .. } = messages.close(3, 2).unwrap();
        let value = value.unwrap();
        for end in 0..value.len() {
            assert!(read(&key, &value[..end]).is_err(), "{end}");
        }
        assert!(read(&place(3, 1), &value).is_err(), "there is no place before the first");
        assert!(read(&key[..11], &value).is_err());
    }

    #[test]
    fn sightings_read_back_and_a_value_of_one_as_before() {
        let seen =
            |arrival| Sighting { arrival, mark: Mark([arrival, 1]), peer: 2, received: Wall(3), content: 4 };
        let all: Vec<_> = (5..=9).map(seen).collect();
        let Change { key, value, .. } = sightings(&all).unwrap();
        let value = value.unwrap();
        let back = read_sightings(&key, &value).unwrap();
        assert_eq!(back.iter().map(|seen| seen.arrival).collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
        assert_eq!((back[4].mark, back[4].peer, back[4].content), (Mark([9, 1]), 2, 4));
        for end in 0..value.len() {
            assert!(read_sightings(&key, &value[..end]).is_err(), "{end}");
        }
        let mut one = Put::new(36);
        seen(6).write(&mut one);
        assert_eq!(read_sightings(&6u64.to_be_bytes(), &one.0).unwrap()[0].mark, Mark([6, 1]));
        assert!(sightings(&[]).is_none());
    }
}
