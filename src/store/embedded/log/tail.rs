//! The end of the log, where records are written.

use std::{
    fs::File,
    io,
    num::NonZeroU64,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{Advice, fadvise};

use super::{
    record::{self, Entry, Logged},
    segment::{self, BLOCK, HEADER, Shape},
};
use crate::store::StoreError;
use crate::store::embedded::folder::chance;

/// What the buffer shrinks to after a larger commit: few are.
const BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of the newest that stay in the system's page cache: what is read is mostly new. Those before it make room for what
/// comes, so that a log that grows does not push out what others have there, and takes pages that are at hand.
const CACHED_BYTES: u64 = 32 * 1024 * 1024;
/// Bytes that leave it at once.
const UNCACHED_BYTES: u64 = 1024 * 1024;

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
    shape: Shape,
    pub(crate) number: u64,
    pub(crate) file: Arc<File>,
    seed: u64,
    pub(crate) reach: Reach,
    /// Where the next record begins: where the last one ends, or in the next segment.
    at: u64,
    /// Bytes of the file: zeros from `at` on.
    filled: u64,
    /// Up to here the file has left the page cache.
    uncached: u64,
    /// What the block at `at` begins with, and the record that is being written.
    buffer: Vec<u8>,
}

pub(crate) fn writing(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let what = format!("writing {}", path.display());
    move |cause| StoreError::Io { what: what.as_str().into(), cause: cause.to_string().into() }
}

impl Tail {
    /// A new segment, at the end of a log that reaches so far.
    pub(crate) fn make(folder: &Path, shape: Shape, number: u64, reach: Reach) -> Result<Self, StoreError> {
        let seed = u64::from_be_bytes(chance()?);
        let file =
            segment::make(folder, number, shape, seed).map_err(writing(&segment::path(folder, number)))?;
        Self::go_on(folder, shape, (number, Arc::new(file), seed), (reach, number * shape.segment + HEADER))
    }

    /// In a segment that there is; nothing but zeros follows on `at`.
    pub(crate) fn go_on(
        folder: &Path,
        shape: Shape,
        (number, file, seed): (u64, Arc<File>, u64),
        (reach, at): (Reach, u64),
    ) -> Result<Self, StoreError> {
        let path = segment::path(folder, number);
        let read = || {
            let filled = file.metadata()?.len();
            let within = at - number * shape.segment;
            let mut buffer = vec![0; usize::try_from(within % BLOCK).unwrap_or(0)];
            file.read_exact_at(&mut buffer, within - within % BLOCK)?;
            Ok((filled, buffer))
        };
        let (filled, buffer) = read().map_err(writing(&path))?;
        Ok(Self {
            folder: folder.to_owned(),
            shape,
            number,
            file,
            seed,
            reach,
            at,
            filled,
            uncached: 0,
            buffer,
        })
    }

    /// Writes a commit and syncs it. After an error the log must be opened again: what it left there is not known.
    pub(crate) fn append(&mut self, entries: Vec<Entry>) -> Result<Vec<Logged>, StoreError> {
        let (head, values) = record::sizes(&entries);
        let length = (head + values) as u64;
        if self.at + length >= (self.number + 1) * self.shape.segment {
            if HEADER + length >= self.shape.segment {
                let cause = format!("a commit of {length} bytes is more than the log takes");
                return Err(StoreError::Io { what: "writing".into(), cause: cause.into() });
            }
            *self = Self::make(&self.folder, self.shape, self.number + 1, self.reach)?;
        }
        self.buffer.reserve(head + values + BLOCK as usize);
        let too_long = || StoreError::Io { what: "writing".into(), cause: "a name is too long".into() };
        let logged = record::encode(entries, (self.at, self.reach.end), self.seed, &mut self.buffer)
            .ok_or_else(too_long)?;
        self.write().map_err(writing(&segment::path(&self.folder, self.number)))?;
        self.reach = Reach { last: self.at, end: self.at + length };
        self.at = self.reach.end;
        Ok(logged)
    }

    /// Writes whole blocks: those that are not in the page cache need not be read first.
    fn write(&mut self) -> io::Result<()> {
        let used = self.buffer.len();
        self.buffer.resize(used.next_multiple_of(BLOCK as usize), 0);
        let within = self.at - self.number * self.shape.segment;
        let start = within - within % BLOCK;
        let end = start + self.buffer.len() as u64;
        if end > self.filled {
            let path = segment::path(&self.folder, self.number);
            let filled = (end + self.shape.growth).min(self.shape.segment);
            // Without them it is slower, no more: what does not fit is told by the write.
            let made = self.buffer.len() as u64 <= self.shape.growth
                && segment::fill(&path, &self.file, self.filled, filled).is_ok();
            self.filled = if made { filled } else { end };
        }
        self.file.write_all_at(&self.buffer, start)?;
        self.file.sync_data()?;
        if let Some(more) = start.checked_sub(self.uncached + CACHED_BYTES + UNCACHED_BYTES) {
            let length = NonZeroU64::new((more + UNCACHED_BYTES).next_multiple_of(BLOCK));
            // It is but advice.
            let _ = fadvise(&self.file, self.uncached, length, Advice::DontNeed);
            self.uncached += length.map_or(0, NonZeroU64::get);
        }
        let rest = used - used % BLOCK as usize;
        self.buffer.copy_within(rest..used, 0);
        self.buffer.truncate(used - rest);
        if self.buffer.capacity() > BUFFER_BYTES {
            self.buffer.shrink_to(BUFFER_BYTES);
        }
        Ok(())
    }
}
