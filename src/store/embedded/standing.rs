//! How the tables stand to the log: how far they have it, and how many bytes of messages are live in each segment.
//!
//! Both stand in each batch that the tables get; so both are true of them whatever of them a crash leaves.
//!
//! fjall brings each space to the disk by itself, and where its journal is damaged one space may lack what another has. So each
//! space has a mark of the last commit that changed it, and beside how far the tables reach stands which marks there must be.
//! What a space lacks it gets from the log again; where the log does not go back so far, it is damage.

use std::collections::BTreeMap;

use super::{
    log::{
        record::{Logged, Noted},
        replay::Had,
        segment,
        tail::Reach,
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

/// The layout of how far the tables reach.
const LAYOUT: u8 = 2;
/// ... as an earlier version wrote it, and as it is written until all spaces have marks.
const UNMARKED: u8 = 1;

type Marks = [Reach; Space::ALL.len()];

/// See above.
pub(super) struct Standing {
    /// Whether they had anything of a log when they were read.
    had_log: bool,
    /// By space, the last commit that changed it and that it has. The mark of the small keys is how far all reach.
    marks: Marks,
    /// ... and that it must have; `None` where an earlier version did not note it.
    wanted: Option<Marks>,
    /// By segment, bytes of messages that are needed.
    pub(super) live: BTreeMap<u64, u64>,
}

impl Standing {
    /// Bytes of messages that are needed.
    pub(super) fn needed(&self) -> u64 {
        self.live.values().sum()
    }

    /// As the tables have it.
    pub(super) fn read(tables: &Tables) -> Result<Self, StoreError> {
        let (all, wanted) = match tables.get(Space::Small, codec::REACH_KEY)? {
            None if tables.is_empty()? => (None, Some([Reach::NONE; Space::ALL.len()])),
            None => (None, None),
            Some(value) => decode(&value).ok_or_else(|| damaged(Space::Small, codec::REACH_KEY))?,
        };
        let mut marks = [all.unwrap_or(Reach::NONE); Space::ALL.len()];
        if wanted.is_some() {
            for space in Space::ALL.into_iter().filter(|space| *space != Space::Small) {
                let mark = tables.get(space, codec::MARK_KEY)?;
                let read = |value: Vec<u8>| read_reach(&mut Take::new(&value)?);
                let mark = mark.map(|value| read(value).ok_or_else(|| damaged(space, codec::MARK_KEY)));
                marks[space as usize] = mark.transpose()?.unwrap_or(Reach::NONE);
            }
        }
        Ok(Self { had_log: all.is_some(), marks, wanted, live: read_live(tables)? })
    }

    /// What of the log the tables have.
    pub(super) fn had(&self) -> Option<Had> {
        // One may be further than all, where the small keys lost something: to write behind it would be to write what it has.
        let to = self.marks.into_iter().max_by_key(|mark| mark.end).filter(|_| self.had_log)?;
        let wanted = self.wanted.unwrap_or(self.marks);
        let lacking = self.marks.iter().zip(wanted).filter(|(mark, wanted)| mark.end < wanted.end);
        let from = lacking.map(|(mark, _)| *mark).min_by_key(|mark| mark.end);
        if from.is_some() {
            tracing::warn!("the tables lack commits that they had: they are brought again from the log");
        }
        Some(Had { from: from.unwrap_or(self.all()), to })
    }

    /// What an earlier version wrote is in no log, or has no marks: brings all that there is to the disk in order, with marks.
    pub(super) fn adopt(&mut self, tables: &Tables) -> Result<(), StoreError> {
        if self.wanted.is_some() {
            return Ok(());
        }
        let mut changes = Vec::new();
        for space in Space::ALL {
            self.mark(space, self.marks[space as usize], &mut changes);
        }
        tables.apply(changes)?;
        tables.flush()?;
        // Not before: a crash meanwhile leaves them to be adopted again.
        self.wanted = Some(self.marks);
        let mut changes = Vec::new();
        self.reach(self.all(), &mut changes);
        tables.apply(changes)
    }

    /// Brings what a commit logged to the tables: to each space what it does not have yet.
    pub(super) fn apply(
        &mut self,
        tables: &Tables,
        logged: Vec<Logged>,
        reach: Reach,
    ) -> Result<(), StoreError> {
        let lacks = self.marks.map(|mark| mark.end < reach.end);
        let mut changes = Vec::with_capacity(logged.len() + 8);
        let mut touched = BTreeMap::<u64, i128>::new();
        let mut changed = [false; Space::ALL.len()];
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
            if lacks[space as usize] {
                changed[space as usize] = true;
                changes.push(Change { space, key, value });
            }
        }
        for space in Space::ALL.into_iter().filter(|space| changed[*space as usize]) {
            self.mark(space, reach, &mut changes);
        }
        if lacks[Space::Small as usize] {
            self.count(touched, &mut changes);
            self.reach(reach, &mut changes);
        }
        tables.apply(changes)
    }

    /// How far all of them reach.
    fn all(&self) -> Reach {
        self.marks[Space::Small as usize]
    }

    fn mark(&mut self, space: Space, reach: Reach, changes: &mut Vec<Change>) {
        if space != Space::Small {
            self.marks[space as usize] = reach;
            let mut put = Put::new(16);
            write_reach(&mut put, reach);
            changes.push(Change { space, key: codec::MARK_KEY.to_vec(), value: Some(put.0) });
        }
    }

    fn reach(&mut self, reach: Reach, changes: &mut Vec<Change>) {
        self.marks[Space::Small as usize] = reach;
        let layout = if self.wanted.is_some() { LAYOUT } else { UNMARKED };
        let mut put = Put::bare(vec![layout]);
        write_reach(&mut put, reach);
        if layout == LAYOUT {
            self.marks.iter().for_each(|mark| write_reach(&mut put, *mark));
        }
        changes.push(Change { space: Space::Small, key: codec::REACH_KEY.to_vec(), value: Some(put.0) });
    }

    fn count(&mut self, touched: BTreeMap<u64, i128>, changes: &mut Vec<Change>) {
        for (number, more) in touched {
            let bytes = self.live.entry(number).or_default();
            *bytes = u64::try_from(i128::from(*bytes) + more).unwrap_or(0);
            let value = (*bytes > 0).then(|| bytes.to_be_bytes().to_vec());
            changes.push(Change { space: Space::Small, key: live_key(number), value });
        }
    }
}

fn decode(value: &[u8]) -> Option<(Option<Reach>, Option<Marks>)> {
    if let Some(mut take) = Take::of(value, UNMARKED) {
        return Some((Some(read_reach(&mut take)?), None));
    }
    let mut take = Take::of(value, LAYOUT)?;
    let (all, mut marks) = (read_reach(&mut take)?, [Reach::NONE; Space::ALL.len()]);
    for mark in &mut marks {
        *mark = read_reach(&mut take)?;
    }
    Some((Some(all), Some(marks)))
}

fn read_reach(take: &mut Take<'_>) -> Option<Reach> {
    Some(Reach { last: take.u64()?, end: take.u64()? })
}

fn write_reach(put: &mut Put, reach: Reach) {
    put.u64(reach.last);
    put.u64(reach.end);
}

fn live_key(number: u64) -> Vec<u8> {
    [codec::LIVE_KEY, &number.to_be_bytes()].concat()
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
