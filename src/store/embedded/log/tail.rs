//! The end of the log, where records are written.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    blocks::{BLOCK, Blocks, Buffer},
    recent::Recent,
    record::{self, Entry, Logged, Noted},
    segment::{self, HEADER, Shape},
};
use crate::store::{
    StoreError,
    embedded::folder::{self, chance},
};

/// The least room of a buffer, and what a commit takes at most that leaves its buffer to another.
const BUFFER_BYTES: usize = 8 * 1024;
const SPARE_BYTES: usize = 8 * 1024 * 1024;

/// How far the log goes, or the tables have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Where the last record begins.
    pub(crate) last: u64,
    /// Where it ends.
    pub(crate) end: u64,
}

impl Reach {
    /// No record.
    pub(crate) const NONE: Self = Self { last: HEADER, end: HEADER };
}

/// See above.
#[derive(Debug)]
pub(crate) struct Tail {
    folder: PathBuf,
    pub(crate) shape: Shape,
    pub(crate) number: u64,
    pub(crate) blocks: Arc<Blocks>,
    seed: u64,
    pub(crate) reach: Reach,
    /// Where the next record begins: where the last one ends, or in the next segment; a block begins there.
    at: u64,
    /// Bytes of the file: zeros from `at` on.
    filled: u64,
    pub(crate) recent: Arc<Recent>,
    spare: Option<Buffer>,
}

impl Tail {
    /// A new segment, at the end of a log that reaches so far.
    pub(crate) fn make(folder: &Path, shape: Shape, number: u64, reach: Reach) -> Result<Self, StoreError> {
        let seed = u64::from_be_bytes(chance()?);
        let blocks = segment::make(folder, number, shape, seed)
            .map_err(folder::io("making", &segment::path(folder, number)))?;
        let at = segment::start(number) + BLOCK;
        Self::go_on(folder, shape, (number, Arc::new(blocks), seed), (reach, at..at))
    }

    /// In a segment that there is, from the start of a range on which is made zero.
    ///
    /// The last record is written again: after a write or a sync that failed, what is read of it may not be on the disk. All before
    /// it was synced before it was written. Where an earlier version ended within a block, another segment is begun.
    pub(crate) fn go_on(
        folder: &Path,
        shape: Shape,
        (number, blocks, seed): (u64, Arc<Blocks>, u64),
        (reach, rest): (Reach, Range<u64>),
    ) -> Result<Self, StoreError> {
        let start = segment::start(number);
        let within = rest.start - start;
        let go_on = || {
            let first = reach.last.saturating_sub(start).min(within);
            let first = first - first % BLOCK;
            let last = blocks.read(first, usize::try_from(within - first).unwrap_or(0))?;
            let mut buffer = Buffer::new(last.len());
            buffer.end().extend(&last);
            buffer.pad();
            blocks.write(&buffer, first)?;
            blocks.zero(within.next_multiple_of(BLOCK), (rest.end - start).next_multiple_of(BLOCK))?;
            blocks.sync()?;
            Ok(blocks.length()?.next_multiple_of(BLOCK))
        };
        let filled = go_on().map_err(folder::io("writing", &segment::path(folder, number)))?;
        if !within.is_multiple_of(BLOCK) {
            return Self::make(folder, shape, number + 1, reach);
        }
        Ok(Self {
            folder: folder.to_owned(),
            shape,
            number,
            blocks,
            seed,
            reach,
            at: rest.start,
            filled,
            recent: Arc::default(),
            spare: None,
        })
    }

    /// Writes a commit and syncs it. After an error the log must be opened again: what it left there is not known.
    pub(crate) fn append(&mut self, entries: Vec<Entry>) -> Result<Vec<Logged>, StoreError> {
        let (head, values) = record::sizes(&entries);
        let bytes = (head + values).next_multiple_of(BLOCK as usize);
        let length = bytes as u64;
        if BLOCK + length > segment::BYTES_MAX {
            let cause = format!("a commit of {length} bytes is more than the log takes");
            return Err(StoreError::Io { what: "writing".into(), cause: cause.into() });
        }
        let (_, within) = segment::split(self.at);
        if within > BLOCK && within + length > self.shape.segment {
            let (recent, spare) = (self.recent.clone(), self.spare.take());
            *self = Self::make(&self.folder, self.shape, self.number + 1, self.reach)?;
            (self.recent, self.spare) = (recent, spare);
        }
        let spare = self.spare.take().filter(|spare| spare.room() >= bytes);
        let new = || Buffer::new(bytes.next_power_of_two().max(BUFFER_BYTES));
        let mut buffer = spare.map_or_else(new, Buffer::emptied);
        let too_long = || StoreError::Io { what: "writing".into(), cause: "a name is too long".into() };
        let logged = record::encode(entries, bytes, (self.at, self.reach.end), self.seed, buffer.end())
            .ok_or_else(too_long)?;
        self.write(buffer, logged.iter().any(|logged| matches!(logged.value, Noted::AtEnd(_))))
            .map_err(folder::io("writing", &segment::path(&self.folder, self.number)))?;
        self.reach = Reach { last: self.at, end: self.at + length };
        self.at = self.reach.end;
        Ok(logged)
    }

    fn write(&mut self, buffer: Buffer, has_messages: bool) -> io::Result<()> {
        let (_, start) = segment::split(self.at);
        let length = buffer.get().len() as u64;
        let end = start + length;
        if end > self.filled {
            let filled = (end + self.shape.growth).min(self.shape.segment.max(end));
            // Without them it is slower, no more: what does not fit is told by the write.
            let made = length <= self.shape.growth && self.blocks.zero(self.filled, filled).is_ok();
            self.filled = if made { filled } else { end };
        }
        self.blocks.write(&buffer, start)?;
        self.blocks.sync()?;
        let spare = match has_messages {
            true => self.recent.keep(self.at, buffer),
            false => Some(buffer),
        };
        // A buffer is somewhat larger than what it was made for.
        self.spare = spare.filter(|spare| spare.room() < 2 * SPARE_BYTES);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::engine::kv::Space;

    #[test]
    fn a_large_commit_leaves_its_room_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let shape = Shape { segment: 64 * 1024 * 1024, growth: 1024 * 1024 };
        let mut tail = Tail::make(dir.path(), shape, 0, Reach::NONE).unwrap();
        let mut write = |key: u8| {
            let value = Some(vec![key; 6 * 1024 * 1024]);
            tail.append(vec![Entry { space: Space::Inbox, key: vec![key], value, frees: None }]).unwrap();
            tail.spare.as_ref().map(|spare| spare.get().as_ptr())
        };
        assert_eq!(write(1), None, "it is kept for readers");
        let rooms: Vec<_> = (2..6).map(&mut write).collect();
        assert!(rooms[1..].iter().all(Option::is_some), "{rooms:?}");
        assert_eq!(rooms[1], rooms[3], "two take turns");
    }
}
