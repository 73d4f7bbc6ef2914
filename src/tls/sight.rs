//! What can be seen of the certificates' files without reading them, to tell renewed ones.
//!
//! A file that was written anew has another time or size, one that was put in its place another inode, and so has what a
//! symbolic link leads to when it is changed. A file that is away is seen as that.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// Some files as they lay there at one moment. Equal where nobody touched them between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight(Vec<Option<Seen>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Sight {
    /// Looks at these files.
    pub fn of<'a>(paths: impl Iterator<Item = &'a Path>) -> Self {
        Self(paths.map(seen).collect())
    }
}

fn seen(path: &Path) -> Option<Seen> {
    let found = fs::metadata(path).ok()?;
    Some(Seen {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
    })
}
