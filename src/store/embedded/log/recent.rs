//! The newest of what was written, as it was written: it is mostly what is read next, and never has to come from the disk.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use super::{blocks::Buffer, record::Place};

/// Bytes that are kept, and one more commit.
const BYTES: usize = 8 * 1024 * 1024;

/// See above.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By the place where each begins.
    runs: VecDeque<(u64, Arc<Buffer>)>,
    bytes: usize,
}

impl Recent {
    /// Keeps what was written at a place; what it takes the room of, where nobody reads it.
    pub(crate) fn keep(&self, at: u64, run: Buffer) -> Option<Buffer> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut spare = None;
        while kept.bytes > BYTES {
            let Some((_, old)) = kept.runs.pop_front() else { break };
            kept.bytes = kept.bytes.saturating_sub(old.room());
            spare = Arc::into_inner(old).or(spare);
        }
        kept.bytes += run.room();
        kept.runs.push_back((at, Arc::new(run)));
        drop(kept);
        spare
    }

    /// The value at a place, where it is among them.
    pub(crate) fn read(&self, place: Place) -> Option<Vec<u8>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = kept.runs.partition_point(|(at, _)| *at <= place.at);
        let (at, run) = kept.runs.get(next.checked_sub(1)?)?;
        let (at, run) = (*at, run.clone());
        drop(kept);
        let from = usize::try_from(place.at - at).ok()?;
        let value = run.get().get(from..from.checked_add(usize::try_from(place.length).ok()?)?)?;
        place.is(value).then(|| value.to_vec())
    }
}
