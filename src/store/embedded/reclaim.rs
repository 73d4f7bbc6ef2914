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

/// How far a segment has been looked through.
enum Looked {
    InPart,
    ToItsEnd,
    /// The system refused to read on.
    Refused(StoreError),
}

/// What is under way.
#[derive(Default)]
pub(super) struct Reclaim {
    moving: Option<Moving>,
    /// Segments that could not be emptied: left as they are until the next opening, or, where the system refused, until the log
    /// goes on in another segment than this one.
    stuck: Vec<(u64, Option<u64>)>,
}

impl Reclaim {
    /// A step between two commits; whether there is another to be made. While somebody reads an older picture of the store (`held`),
    /// nothing can go, so that nothing is moved either.
    ///
    /// # Errors
    /// As a commit: log and tables must be opened again.
    pub(super) fn step(
        &mut self,
        pen: &mut Pen,
        tables: &Tables,
        messages: &Messages,
        held: bool,
    ) -> Result<bool, StoreError> {
        if held {
            return Ok(false);
        }
        drop_dead(pen, tables, messages)?;
        let moving = self.moving.take();
        let Some(mut moving) = moving.or_else(|| self.choose(pen, messages)) else { return Ok(false) };
        let number = moving.number;
        let needed = |pen: &Pen| pen.standing.live.get(&number).is_some_and(|live| *live > 0);
        match move_some(&mut moving, pen, tables)? {
            Looked::InPart => self.moving = Some(moving),
            Looked::ToItsEnd if needed(pen) => {
                tracing::error!(segment = number, "messages in the log cannot be read: their segment stays");
                self.stuck.push((number, None));
            }
            Looked::ToItsEnd => {}
            Looked::Refused(cause) => self.refused(pen, number, &cause),
        }
        Ok(true)
    }

    fn refused(&mut self, pen: &Pen, number: u64, cause: &StoreError) {
        tracing::error!(%cause, segment = number, "a segment of the log cannot be read now: it stays for a while");
        self.stuck.push((number, Some(pen.tail.number)));
    }

    /// The segment with the least that is needed, where too much is not.
    fn choose(&mut self, pen: &Pen, messages: &Messages) -> Option<Moving> {
        self.stuck.retain(|(_, until)| until.is_none_or(|until| until == pen.tail.number));
        let stuck = |number: u64| self.stuck.iter().any(|(stuck, _)| *stuck == number);
        // What cannot go, whatever is moved, is no reason to move.
        let movable = || {
            let closed = pen.standing.live.iter().filter(|(number, _)| **number < pen.tail.number);
            closed.filter(|(number, live)| **live > 0 && !stuck(**number))
        };
        let (count, live) = movable().fold((0u64, 0u64), |(count, sum), (_, live)| (count + 1, sum + live));
        if count.saturating_sub(SLACK).saturating_mul(pen.tail.shape.segment) <= live.saturating_mul(2) {
            return None;
        }
        let number = *movable().min_by_key(|(_, live)| **live)?.0;
        match Reader::open(messages.folder(), segment::start(number) + HEADER) {
            Ok(reader) => Some(Moving { number, reader }),
            Err(cause @ StoreError::Io { .. }) => {
                self.refused(pen, number, &cause);
                None
            }
            Err(cause) => {
                tracing::error!(%cause, "a segment of the log cannot be read: it stays");
                self.stuck.push((number, None));
                None
            }
        }
    }
}

/// Segments before the end of which nothing is needed, once the tables have what they say on the disk.
fn drop_dead(pen: &mut Pen, tables: &Tables, messages: &Messages) -> Result<(), StoreError> {
    let dead = |pen: &Pen| {
        let closed =
            pen.standing.live.iter().filter(|(number, live)| **number < pen.tail.number && **live == 0);
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
        pen.standing.live.remove(&number);
    }
    Ok(())
}

/// Moves some messages to the end.
fn move_some(moving: &mut Moving, pen: &mut Pen, tables: &Tables) -> Result<Looked, StoreError> {
    let (begun, mut entries, mut bytes) = (moving.reader.at, Vec::new(), 0u64);
    let mut looked = Looked::InPart;
    while bytes < STEP_BYTES && moving.reader.at - begun < 4 * STEP_BYTES {
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
        match read {
            Ok(Some(_)) => continue,
            Ok(None) => looked = Looked::ToItsEnd,
            Err(cause) => looked = Looked::Refused(cause),
        }
        break;
    }
    if !entries.is_empty() {
        pen.write(tables, entries)?;
    }
    Ok(looked)
}
