//! What writes: the log's end, and the tables behind it.

use std::path::Path;

use super::{
    folder::{self, io},
    log::{
        record::{Entry, Freed, Place},
        replay::replay,
        segment::{self, Shape},
        tail::{Reach, Tail},
    },
    standing::Standing,
    tables::Tables,
};
use crate::store::{StoreError, engine::kv::Space};

/// Entries in a segment that the tables have and may not have on the disk: what an opening after a crash brings to them again.
const BEHIND_ENTRIES: usize = 50_000;

/// See above.
pub(super) struct Pen {
    pub(super) tail: Tail,
    pub(super) standing: Standing,
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
        let mut standing = Standing::read(tables)?;
        let tail = replay(folder, shape, standing.had(), &mut |logged, reach| {
            standing.apply(tables, logged, reach)
        })?;
        standing.adopt(tables)?;
        tables.persist()?;
        let there = segment::list(folder).map_err(io("reading", folder))?;
        let live = &standing.live;
        let gone = live.iter().find(|(number, bytes)| **bytes > 0 && there.binary_search(number).is_err());
        if let Some((number, _)) = gone {
            return Err(folder::damaged(&segment::path(folder, *number), "it is missing"));
        }
        standing.live =
            there.iter().map(|number| (*number, live.get(number).copied().unwrap_or(0))).collect();
        Ok(Self { safe: tail.reach, tail, standing, behind: 0, sound: true })
    }

    /// Writes a commit: on the disk when it returns.
    pub(super) fn write(&mut self, tables: &Tables, entries: Vec<Entry>) -> Result<(), StoreError> {
        if !std::mem::replace(&mut self.sound, false) {
            return Err(StoreError::Io { what: "writing".into(), cause: "an earlier write failed".into() });
        }
        self.behind += entries.len();
        let logged = self.tail.append(entries)?;
        self.standing.live.entry(self.tail.number).or_default();
        self.standing.apply(tables, logged, self.tail.reach)?;
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
