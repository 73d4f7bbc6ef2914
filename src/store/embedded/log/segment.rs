//! The files of the log.
//!
//! ```text
//! log/0000000007.log    magic 8 | number u64 | seed u64 | sum u64 | zeros | record .. | zeros
//! ```
//!
//! Records begin where a block begins. Earlier versions, which the magic tells, had them one after the other from the header on.
//! A place in the log is the segment's number and where in the file. Another segment begins where a record would make one too large;
//! a record that is larger by itself has one of its own. A file appears under its name when its
//! header is on the disk. It grows by blocks of zeros that are written before they are needed: a sync of what takes the place of
//! zeros writes only that, while one that gives the file blocks also writes the file system's journal.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::blocks::{BLOCK, Blocks, Buffer};
use crate::store::{
    embedded::folder::sync_folder,
    engine::codec::{Put, Take},
};

const MAGIC: [u8; 8] = *b"ymp-log\x03";
const EARLIER: [u8; 8] = *b"ymp-log\x02";
/// Bytes of the header.
pub(crate) const HEADER: u64 = 32;
/// Places from the start of a segment to the start of the next: more than a file has bytes.
const SPAN: u64 = 1 << 32;
/// Bytes that a file may have.
pub(crate) const BYTES_MAX: u64 = SPAN - BLOCK;

/// How large the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes beyond which another segment begins: what is given back at once.
    pub(crate) segment: u64,
    /// Bytes by which a file grows: enough that it rarely does, little for a node that does little.
    pub(crate) growth: u64,
}

/// The one that is used.
pub(crate) const SHAPE: Shape = Shape { segment: 64 * 1024 * 1024, growth: 1024 * 1024 };

/// The segment that a place is in, and where in the file.
pub(crate) fn split(place: u64) -> (u64, u64) {
    (place / SPAN, place % SPAN)
}

/// The place where a segment's file begins.
pub(crate) fn start(number: u64) -> u64 {
    number * SPAN
}

/// Where a segment lies.
pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.log"))
}

/// The files in a folder whose names end so.
fn ending(folder: &Path, end: &str) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    paths
        .filter(|path| path.as_ref().map_or(true, |path| path.extension() == Some(OsStr::new(end))))
        .collect()
}

/// The numbers of the segments that there are, in order.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let number = |path: PathBuf| path.file_stem().and_then(OsStr::to_str)?.parse::<u64>().ok();
    let mut numbers: Vec<_> = ending(folder, "log")?.into_iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes what was never finished. Not while segments are made.
pub(crate) fn sweep(folder: &Path) -> io::Result<()> {
    ending(folder, "new")?.iter().try_for_each(fs::remove_file)
}

/// Makes a segment.
pub(crate) fn make(folder: &Path, number: u64, shape: Shape, seed: u64) -> io::Result<Blocks> {
    let draft = folder.join(format!("{number:010}.new"));
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
    let blocks = Blocks::open(&draft)?;
    let mut first = Buffer::new(BLOCK as usize);
    first.end().extend(header(&MAGIC, number, seed));
    first.pad();
    blocks.write(&first, 0)?;
    blocks.zero(BLOCK, shape.growth)?;
    blocks.sync_all()?;
    fs::rename(&draft, path(folder, number))?;
    sync_folder(folder)?;
    Ok(blocks)
}

fn header(magic: &[u8], number: u64, seed: u64) -> Vec<u8> {
    let mut put = Put::bare(magic.to_vec());
    put.u64(number);
    put.u64(seed);
    let sum = xxh3_64(&put.0);
    put.u64(sum);
    put.0
}

/// The header that an earlier version wrote.
#[cfg(test)]
pub(crate) fn earlier(number: u64, seed: u64) -> Vec<u8> {
    header(&EARLIER, number, seed)
}

/// What seeds the sums of its records, and where in it they begin; where the header is whole and it is the segment that it should be.
pub(crate) fn begins(blocks: &Blocks, number: u64) -> io::Result<Option<(u64, u64)>> {
    let bytes = blocks.read(0, HEADER as usize)?;
    let read = |magic: &[u8], first| {
        let mut take = Take::of_magic(&bytes, magic)?;
        take.u64()?;
        Some((take.u64()?, first)).filter(|(seed, _)| header(magic, number, *seed) == bytes)
    };
    Ok(read(&MAGIC, BLOCK).or_else(|| read(&EARLIER, HEADER)))
}
