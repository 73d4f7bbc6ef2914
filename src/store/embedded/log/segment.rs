//! The files of the log.
//!
//! ```text
//! log/0000000007.log    magic 8 | bytes of a segment u64 | number u64 | seed u64 | sum u64 | record .. | zeros
//! ```
//!
//! A place in the log is the segment's number times its bytes, and where in the file. A file appears under its name when its
//! header is on the disk. It grows by blocks of zeros that are written before they are needed: a sync of what takes the place of
//! zeros writes only that, while one that gives the file blocks also writes the file system's journal.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::blocks::{BLOCK, Blocks, Buffer};
use crate::store::engine::codec::{Put, Take};

const MAGIC: [u8; 8] = *b"ymp-log\x01";
/// Bytes of the header.
pub(crate) const HEADER: u64 = 40;
/// How large the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes of a segment at most: all that a commit may have, and what is given back at once.
    pub(crate) segment: u64,
    /// Bytes by which a file grows: enough that it rarely does, little for a node that does little.
    pub(crate) growth: u64,
}

/// The one that is used.
pub(crate) const SHAPE: Shape = Shape { segment: 64 * 1024 * 1024, growth: 1024 * 1024 };

/// Where a segment lies.
pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.log"))
}

/// The numbers of the segments that there are, in order. What was never finished is removed.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.extension().and_then(OsStr::to_str) {
            Some("log") => {
                let stem = path.file_stem().and_then(OsStr::to_str);
                numbers.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
            }
            Some("new") => fs::remove_file(&path)?,
            _ => {}
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a segment.
pub(crate) fn make(folder: &Path, number: u64, shape: Shape, seed: u64) -> io::Result<Blocks> {
    let draft = folder.join(format!("{number:010}.new"));
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
    let blocks = Blocks::open(&draft)?;
    let mut first = Buffer::new(BLOCK as usize);
    first.end().extend(header(number, shape, seed));
    first.pad();
    blocks.write(&first, 0)?;
    blocks.zero(BLOCK, shape.growth.min(shape.segment))?;
    blocks.sync_all()?;
    fs::rename(&draft, path(folder, number))?;
    sync_folder(folder)?;
    Ok(blocks)
}

fn header(number: u64, shape: Shape, seed: u64) -> Vec<u8> {
    let mut put = Put::bare(MAGIC.to_vec());
    put.u64(shape.segment);
    put.u64(number);
    put.u64(seed);
    let sum = xxh3_64(&put.0);
    put.u64(sum);
    put.0
}

/// Its seed, where the header is whole and the segment is the one that it should be.
pub(crate) fn seed(blocks: &Blocks, number: u64, shape: Shape) -> io::Result<Option<u64>> {
    let bytes = blocks.read(0, HEADER as usize)?;
    let read = || {
        let mut take = Take::of_magic(&bytes, &MAGIC)?;
        take.u64()?;
        take.u64()?;
        take.u64()
    };
    Ok(read().filter(|seed| header(number, shape, *seed) == bytes))
}
