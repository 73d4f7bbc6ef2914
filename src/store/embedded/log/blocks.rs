//! A file in whole blocks, past the system's page cache where the file system can do that.
//!
//! What is written so is written once, from where it lies: the page cache would take a page for each block and copy into it, and
//! for a node that takes much those pages cost more than the disk does. What is read so is what the disk has.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::OFlags;

/// What disks and file systems write at once.
pub(crate) const BLOCK: u64 = 4096;
const BLOCK_BYTES: usize = BLOCK as usize;
/// Bytes that are read, or made zero, at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// Bytes that begin where a block may.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    lead: usize,
}

impl Buffer {
    /// With room for the blocks of so many bytes.
    pub(crate) fn new(room: usize) -> Self {
        let mut bytes = Vec::<u8>::with_capacity(room.next_multiple_of(BLOCK_BYTES) + BLOCK_BYTES);
        let lead = bytes.as_ptr().align_offset(BLOCK_BYTES).min(BLOCK_BYTES);
        bytes.resize(lead, 0);
        Self { bytes, lead }
    }

    /// Bytes that have room.
    pub(crate) fn room(&self) -> usize {
        self.bytes.capacity().saturating_sub(self.lead)
    }

    /// Nothing in the same room.
    pub(crate) fn emptied(mut self) -> Self {
        self.bytes.truncate(self.lead);
        self
    }

    /// To be written at the end of; beyond its room it moves, and is written the slower way.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Zeros up to the next block; the bytes there were before.
    pub(crate) fn pad(&mut self) -> usize {
        let used = self.get().len();
        self.bytes.resize(self.lead + used.next_multiple_of(BLOCK_BYTES), 0);
        used
    }

    pub(crate) fn get(&self) -> &[u8] {
        self.bytes.get(self.lead..).unwrap_or_default()
    }
}

/// See above.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: File,
    /// The same file past the page cache.
    direct: Option<File>,
    /// Whether it was found that this does not work here.
    refused: AtomicBool,
}

impl Blocks {
    /// A file that there is, for reading and writing.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let open = |flags| OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
        let direct = i32::try_from(OFlags::DIRECT.bits()).ok().and_then(|flags| open(flags).ok());
        Ok(Self { file: open(0)?, direct, refused: AtomicBool::new(false) })
    }

    fn direct(&self) -> Option<&File> {
        self.direct.as_ref().filter(|_| !self.refused.load(Ordering::Relaxed))
    }

    /// Bytes of the file.
    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Writes whole blocks to where a block begins.
    pub(crate) fn write(&self, buffer: &Buffer, at: u64) -> io::Result<()> {
        #[cfg(test)]
        faults::meet(|part| self.file.write_all_at(buffer.get().get(..part).unwrap_or_default(), at))?;
        self.either(|file| file.write_all_at(buffer.get(), at))
    }

    /// Past the page cache, and through it where that is refused as such.
    fn either<T>(&self, run: impl Fn(&File) -> io::Result<T>) -> io::Result<T> {
        if let Some(direct) = self.direct() {
            match run(direct) {
                Err(cause) if cause.kind() == io::ErrorKind::InvalidInput => {
                    self.refused.store(true, Ordering::Relaxed);
                }
                done => return done,
            }
        }
        run(&self.file)
    }

    /// Makes blocks zero.
    pub(crate) fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        let mut at = from;
        while at < to {
            let mut zeros = Buffer::new(CHUNK_BYTES);
            let length = usize::try_from(to - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            zeros.bytes.resize(zeros.lead + length, 0);
            self.write(&zeros, at)?;
            at += length as u64;
        }
        Ok(())
    }

    /// So many bytes from a place on, or what there is of them.
    pub(crate) fn read(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let (start, skip) = (at - at % BLOCK, usize::try_from(at % BLOCK).unwrap_or(0));
        let wanted = (skip + length).next_multiple_of(BLOCK_BYTES);
        let read = |file: &File| {
            let mut buffer = Buffer::new(wanted);
            buffer.bytes.resize(buffer.lead + wanted, 0);
            let mut had = 0;
            while had < wanted {
                let room = buffer.bytes.get_mut(buffer.lead + had..).unwrap_or_default();
                match file.read_at(room, start + had as u64) {
                    // What ends within a block is the end of the file.
                    Ok(more) if more % BLOCK_BYTES != 0 || more == 0 => {
                        had += more;
                        break;
                    }
                    Ok(more) => had += more,
                    Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                    Err(cause) => return Err(cause),
                }
            }
            Ok(buffer.get().get(skip..had.min(skip + length)).unwrap_or_default().to_vec())
        };
        self.either(read)
    }

    /// Brings what was written to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        faults::meet(|_| Ok(()))?;
        self.file.sync_data()
    }

    /// ... with all that is known of the file.
    pub(crate) fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Reads on in such a file.
pub(crate) struct Stream {
    blocks: Arc<Blocks>,
    at: u64,
    chunk: Vec<u8>,
    used: usize,
}

impl Stream {
    pub(crate) fn new(blocks: Arc<Blocks>, at: u64) -> Self {
        Self { blocks, at, chunk: Vec::new(), used: 0 }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.used == self.chunk.len() {
            // Up to where a block begins, so that the next is read once.
            let length = CHUNK_BYTES - usize::try_from(self.at % BLOCK).unwrap_or(0);
            self.chunk = self.blocks.read(self.at, length)?;
            self.at += self.chunk.len() as u64;
            self.used = 0;
        }
        let rest = self.chunk.get(self.used..).unwrap_or_default();
        let length = rest.len().min(into.len());
        if let (Some(into), Some(from)) = (into.get_mut(..length), rest.get(..length)) {
            into.copy_from_slice(from);
        }
        self.used += length;
        Ok(length)
    }
}

/// A disk that fails when a test wants it.
#[cfg(test)]
pub(crate) mod faults {
    use std::{cell::Cell, io};

    thread_local! {
        /// After so many writes and syncs of this thread one fails, when so many bytes of it are written.
        static NEXT: Cell<Option<(u32, usize)>> = const { Cell::new(None) };
    }

    pub(crate) fn set(next: Option<(u32, usize)>) {
        NEXT.set(next);
    }

    pub(super) fn meet(write: impl FnOnce(usize) -> io::Result<()>) -> io::Result<()> {
        match NEXT.get() {
            None => Ok(()),
            Some((0, part)) => {
                NEXT.set(None);
                write(part)?;
                Err(io::Error::other("as a test wanted"))
            }
            Some((calls, part)) => {
                NEXT.set(Some((calls - 1, part)));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_stays_where_a_block_may_begin_up_to_its_room() {
        for room in [1, 40, 4095, 4096, 5000, 300_000] {
            let mut buffer = Buffer::new(room);
            for length in [room, 1, room] {
                buffer = buffer.emptied();
                buffer.end().extend(vec![7; length]);
                assert_eq!((buffer.pad(), buffer.get().len() % BLOCK_BYTES), (length, 0));
                assert_eq!(buffer.get().as_ptr().align_offset(BLOCK_BYTES), 0, "{room} {length}");
            }
        }
    }

    #[test]
    fn what_is_written_reads_back_from_any_byte_on_with_and_without_the_page_cache() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        File::create(&path).unwrap();
        for refused in [false, true] {
            let blocks = Blocks::open(&path).unwrap();
            blocks.refused.store(refused, Ordering::Relaxed);
            let bytes: Vec<u8> = (0..600_000u32).map(|at| (at / 7) as u8 | 1).collect();
            let mut buffer = Buffer::new(bytes.len());
            buffer.end().extend(&bytes);
            buffer.pad();
            blocks.write(&buffer, BLOCK).unwrap();
            blocks.zero(0, BLOCK).unwrap();
            blocks.sync().unwrap();
            assert_eq!(blocks.refused.load(Ordering::Relaxed), refused || blocks.direct.is_none());
            for (at, length) in [(0, 10), (1, 4095), (4095, 2), (5000, 300_001), (600_000, 99_999)] {
                let expected: Vec<u8> = (at..(at + length).min(blocks.length().unwrap()))
                    .map(|at| match at.checked_sub(BLOCK) {
                        Some(at) => bytes.get(at as usize).copied().unwrap_or(0),
                        None => 0,
                    })
                    .collect();
                assert!(blocks.read(at, length as usize).unwrap() == expected, "{at} {length}");
                let mut streamed = Vec::new();
                let stream = Stream::new(Arc::new(Blocks::open(&path).unwrap()), at);
                stream.take(length).read_to_end(&mut streamed).unwrap();
                assert!(streamed == expected, "{at} {length}");
            }
        }
    }
}
