//! The files of the log.
//!
//! ```text
//! log/0000000007.log    magic 8 | bytes of a segment u64 | number u64 | seed u64 | sum u64 | record .. | zeros
//! ```
//!
//! A place in the log is the segment's number times its bytes, and where in the file. A file appears under its name when its
//! header is on the disk. It grows by blocks of zeros that are written before they are needed: a sync of what takes the place of
//! zeros writes only that, while one that makes the file longer, or gives it blocks, also writes the file system's journal.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use xxhash_rust::xxh3::xxh3_64;

use crate::store::engine::codec::{Put, Take};

const MAGIC: [u8; 8] = *b"ymp-log\x01";
/// Bytes of the header.
pub(crate) const HEADER: u64 = 40;
/// What disks and file systems write at once.
pub(crate) const BLOCK: u64 = 4096;

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
pub(crate) fn make(folder: &Path, number: u64, shape: Shape, seed: u64) -> io::Result<File> {
    let draft = folder.join(format!("{number:010}.new"));
    let file =
        OpenOptions::new().create(true).truncate(true).read(true).write(true).mode(0o600).open(&draft)?;
    fill(&draft, &file, 0, shape.growth.min(shape.segment))?;
    file.write_all_at(&header(number, shape, seed), 0)?;
    file.sync_all()?;
    fs::rename(&draft, path(folder, number))?;
    sync_folder(folder)?;
    Ok(file)
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
pub(crate) fn seed(file: &File, number: u64, shape: Shape) -> io::Result<Option<u64>> {
    let mut bytes = [0; HEADER as usize];
    match file.read_exact_at(&mut bytes, 0) {
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let read = || {
        let mut take = Take::of_magic(&bytes, &MAGIC)?;
        take.u64()?;
        take.u64()?;
        take.u64()
    };
    Ok(read().filter(|seed| header(number, shape, *seed) == bytes))
}

/// Writes zeros from a block's start to a block's end: past the page cache where that is possible, since nobody will read them.
pub(crate) fn fill(path: &Path, file: &File, from: u64, to: u64) -> io::Result<()> {
    let length = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
    let zeros = vec![0; length + BLOCK as usize];
    let start = zeros.as_ptr().align_offset(BLOCK as usize).min(BLOCK as usize);
    let zeros = zeros.get(start..start + length).unwrap_or_default();
    let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0);
    let past = OpenOptions::new().write(true).custom_flags(direct).open(path);
    if past.is_ok_and(|past| past.write_all_at(zeros, from).is_ok()) {
        return Ok(());
    }
    file.write_all_at(zeros, from)
}
