//! Room in the log: segments of which nothing is needed go, and what little is needed of others moves to the end.
//!
//! Beside what is live the log takes at most as much again and `SLACK` segments: a message that waits for weeks holds up no room but
//! its own.

use super::{
    log::{
        messages::Messages,
        record::{Entry, Freed, Noted, Place},
        replay::Reader,
        segment::{self, HEADER},
    },
    pen::Pen,
    tables::Tables,
};
use crate::store::StoreError;

/// Segments that may be there beside twice what is live.
const SLACK: u64 = 4;
/// Bytes that are moved, or looked through, between two commits.
const STEP_BYTES: u64 = 1024 * 1024;

/// A segment out of which messages are moved.
pub(super) struct Moving {
    number: u64,
    reader: Reader,
}

/// What is under way.
#[derive(Default)]
pub(super) struct Reclaim {
    moving: Option<Moving>,
    /// Segments that could not be emptied: left as they are until the next opening.
    stuck: Vec<u64>,
}

impl Reclaim {
    /// A step between two commits. While somebody reads an older picture of the store, nothing goes (`held`).
    ///
    /// # Errors
    /// As a commit: log and tables must be opened again.
    pub(super) fn step(
        &mut self,
        pen: &mut Pen,
        tables: &Tables,
        messages: &Messages,
        held: bool,
    ) -> Result<(), StoreError> {
        if !held {
            drop_dead(pen, tables, messages)?;
        }
        let moving = self.moving.take();
        let Some(mut moving) = moving.or_else(|| self.choose(pen, messages)) else { return Ok(()) };
        let number = moving.number;
        if !move_some(&mut moving, pen, tables)? {
            self.moving = Some(moving);
        } else if pen.live.get(&number).is_some_and(|live| *live > 0) {
            tracing::error!(segment = number, "messages in the log cannot be moved: its segment stays");
            self.stuck.push(number);
        }
        Ok(())
    }

    /// The segment with the least that is needed, where too much is not.
    fn choose(&mut self, pen: &Pen, messages: &Messages) -> Option<Moving> {
        let closed = || pen.live.iter().filter(|(number, _)| **number < pen.tail.number);
        let (count, live) = closed().fold((0u64, 0u64), |(count, sum), (_, live)| (count + 1, sum + live));
        if count.saturating_sub(SLACK).saturating_mul(pen.tail.shape.segment) <= live.saturating_mul(2) {
            return None;
        }
        let movable = closed().filter(|(number, live)| **live > 0 && !self.stuck.contains(number));
        let number = *movable.min_by_key(|(_, live)| **live)?.0;
        match Reader::open(messages.folder(), segment::start(number) + HEADER) {
            Ok(reader) => Some(Moving { number, reader }),
            Err(cause) => {
                tracing::error!(%cause, "a segment of the log cannot be opened: it stays");
                self.stuck.push(number);
                None
            }
        }
    }
}

/// Segments before the end of which nothing is needed, once the tables have what they say on the disk.
fn drop_dead(pen: &mut Pen, tables: &Tables, messages: &Messages) -> Result<(), StoreError> {
    let dead = |pen: &Pen| {
        let closed = pen.live.iter().filter(|(number, live)| **number < pen.tail.number && **live == 0);
        closed.map(|(number, _)| *number).collect::<Vec<_>>()
    };
    for number in dead(pen) {
        if number >= segment::split(pen.safe.last).0 {
            pen.settle(tables)?;
        }
        if number >= segment::split(pen.safe.last).0 {
            break;
        }
        if let Err(cause) = messages.remove(number) {
            tracing::warn!(%cause, segment = number, "a segment of the log could not be removed");
            break;
        }
        pen.live.remove(&number);
    }
    Ok(())
}

/// Moves some messages to the end; `true` when all of the segment has been looked through.
fn move_some(moving: &mut Moving, pen: &mut Pen, tables: &Tables) -> Result<bool, StoreError> {
    let (begun, mut entries, mut bytes) = (moving.reader.at, Vec::new(), 0u64);
    let mut at_end = false;
    while bytes < STEP_BYTES && moving.reader.at - begun < 4 * STEP_BYTES && !at_end {
        let read = moving.reader.next(&mut |logged, value| {
            let Noted::AtEnd(place) = logged.value else { return Ok(()) };
            let (space, now) = (logged.space, tables.get(logged.space, &logged.key)?);
            if now.as_deref().and_then(Place::decode) == Some(place) {
                bytes += u64::from(place.length);
                let frees = Some(Freed { at: place.at, length: place.length });
                let (key, value) = (logged.key.clone(), Some(value.to_vec()));
                entries.push(Entry { space, key, value, frees });
            }
            Ok(())
        });
        at_end = read
            .inspect_err(|cause| tracing::error!(%cause, "a segment of the log cannot be read on"))
            .map_or(true, |head| head.is_none());
    }
    if !entries.is_empty() {
        pen.write(tables, entries)?;
    }
    Ok(at_end)
}
