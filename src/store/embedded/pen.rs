//! What writes: the log's end, and the tables behind it.
//!
//! How far the tables have the log stands in each batch that they get, and so does how many bytes of messages are live in each
//! segment that the batch touches; so both are true of the tables whatever of them a crash leaves.

use std::{collections::BTreeMap, path::Path};

use super::{
    folder::{self, io},
    log::{
        record::{Entry, Freed, Logged, Noted, Place},
        replay::replay,
        segment::{self, Shape},
        tail::{Reach, Tail},
    },
    tables::Tables,
};
use crate::store::{
    StoreError,
    engine::{
        codec::{self, Put, Take, damaged},
        kv::{Change, Space},
    },
};

/// Entries in a segment that the tables have and may not have on the disk: what an opening after a crash brings to them again.
const BEHIND_ENTRIES: usize = 50_000;

/// See above.
pub(super) struct Pen {
    pub(super) tail: Tail,
    /// By segment, bytes of messages that are needed.
    pub(super) live: BTreeMap<u64, u64>,
    /// What the tables have on the disk.
    pub(super) safe: Reach,
    /// Entries since then.
    behind: usize,
    /// Whether log and tables are as they should be: not after a failure, until both are opened again.
    pub(super) sound: bool,
}

impl Pen {
    /// Brings the tables up to the end of the log.
    pub(super) fn open(tables: &Tables, folder: &Path, shape: Shape) -> Result<Self, StoreError> {
        let (from, mut live) = (read_reach(tables)?, read_live(tables)?);
        let tail = replay(folder, shape, from, &mut |logged, reach| apply(tables, &mut live, logged, reach))?;
        tables.persist()?;
        let there = segment::list(folder).map_err(io("reading", folder))?;
        let gone = live.iter().find(|(number, bytes)| **bytes > 0 && there.binary_search(number).is_err());
        if let Some((number, _)) = gone {
            return Err(folder::damaged(&segment::path(folder, *number), "it is missing"));
        }
        live = there.iter().map(|number| (*number, live.get(number).copied().unwrap_or(0))).collect();
        Ok(Self { safe: tail.reach, tail, live, behind: 0, sound: true })
    }

    /// Writes a commit: on the disk when it returns.
    pub(super) fn write(&mut self, tables: &Tables, entries: Vec<Entry>) -> Result<(), StoreError> {
        if !std::mem::replace(&mut self.sound, false) {
            return Err(StoreError::Io { what: "writing".into(), cause: "an earlier write failed".into() });
        }
        self.behind += entries.len();
        let logged = self.tail.append(entries)?;
        self.live.entry(self.tail.number).or_default();
        apply(tables, &mut self.live, logged, self.tail.reach)?;
        self.sound = true;
        Ok(())
    }

    /// Brings the tables to the disk where that is due.
    pub(super) fn keep_up(&mut self, tables: &Tables) -> Result<(), StoreError> {
        let in_segment = segment::split(self.safe.end).0 == self.tail.number;
        if in_segment && self.behind < BEHIND_ENTRIES { Ok(()) } else { self.settle(tables) }
    }

    /// Brings the tables to the disk.
    pub(super) fn settle(&mut self, tables: &Tables) -> Result<(), StoreError> {
        if !self.sound || self.safe == self.tail.reach {
            return Ok(());
        }
        self.sound = false;
        tables.persist()?;
        (self.sound, self.safe, self.behind) = (true, self.tail.reach, 0);
        Ok(())
    }
}

/// What the removal of a key frees in the log.
pub(super) fn freed(tables: &Tables, space: Space, key: &[u8]) -> Result<Option<Freed>, StoreError> {
    let value = tables.get(space, key)?;
    let place = value.as_deref().and_then(Place::decode);
    Ok(place.map(|place| Freed { at: place.at, length: place.length }))
}

/// Brings what is in the log to the tables.
fn apply(
    tables: &Tables,
    live: &mut BTreeMap<u64, u64>,
    logged: Vec<Logged>,
    reach: Reach,
) -> Result<(), StoreError> {
    let mut changes = Vec::with_capacity(logged.len() + 4);
    let mut touched = BTreeMap::<u64, i128>::new();
    for Logged { space, key, value, frees } in logged {
        if let Some(freed) = frees {
            *touched.entry(segment::split(freed.at).0).or_default() -= i128::from(freed.length);
        }
        let value = match value {
            Noted::Removed => None,
            Noted::Beside(value) => Some(value),
            Noted::AtEnd(place) => {
                *touched.entry(segment::split(place.at).0).or_default() += i128::from(place.length);
                Some(place.encode())
            }
        };
        changes.push(Change { space, key, value });
    }
    for (number, more) in touched {
        let bytes = live.entry(number).or_default();
        *bytes = u64::try_from(i128::from(*bytes) + more).unwrap_or(0);
        let value = (*bytes > 0).then(|| bytes.to_be_bytes().to_vec());
        changes.push(Change { space: Space::Small, key: live_key(number), value });
    }
    let mut put = Put::new(16);
    put.u64(reach.last);
    put.u64(reach.end);
    changes.push(Change { space: Space::Small, key: codec::REACH_KEY.to_vec(), value: Some(put.0) });
    tables.apply(changes)
}

fn live_key(number: u64) -> Vec<u8> {
    [codec::LIVE_KEY, &number.to_be_bytes()].concat()
}

fn read_reach(tables: &Tables) -> Result<Option<Reach>, StoreError> {
    let Some(value) = tables.get(Space::Small, codec::REACH_KEY)? else { return Ok(None) };
    let read = || {
        let mut take = Take::new(&value)?;
        Some(Reach { last: take.u64()?, end: take.u64()? })
    };
    read().map(Some).ok_or_else(|| damaged(Space::Small, codec::REACH_KEY))
}

fn read_live(tables: &Tables) -> Result<BTreeMap<u64, u64>, StoreError> {
    let mut live = BTreeMap::new();
    tables.scan(Space::Small, &live_key(0), &live_key(u64::MAX), &mut |key, value| {
        let read = || {
            let number = key.strip_prefix(codec::LIVE_KEY)?.try_into().ok().map(u64::from_be_bytes)?;
            Some((number, u64::from_be_bytes(value.try_into().ok()?)))
        };
        live.extend([read().ok_or_else(|| damaged(Space::Small, key))?]);
        Ok(true)
    })?;
    Ok(live)
}
