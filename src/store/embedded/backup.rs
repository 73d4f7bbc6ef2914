//! A copy of a store that runs.
//!
//! ```text
//! picture of all keys -> .NAME.RANDOM.unfinished/ beside DIR, a data folder of its own -> synced -> renamed to DIR
//! ```
//!
//! The picture is taken in one moment between two commits, so that all that was acknowledged before is in it and of each
//! commit all or nothing. It holds up nobody: the writer goes on, and what it removes meanwhile stays readable for the copy.
//!
//! An unfinished copy is removed where the copying fails. One that a crash leaves has another name than the one that was asked
//! for, and a `format` that no version reads. A finished one is marked (`folder::BACKUP`) until a node has taken it over.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, TryLockError},
};

use tempfile::TempDir;

use super::{
    disk::Disk,
    folder::{Folder, free_bytes},
    shared::Shared,
    tables::caught,
};
use crate::store::{
    Backup, StoreError,
    engine::{
        bundle::{arrived, posted},
        codec::{Small, damaged, split_place},
        index::Slot,
        kv::{Change, Kv as _, Space},
    },
};

/// Bytes of keys and values in one commit of the copy.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// ... and keys.
const CHUNK_KEYS: usize = 16 * 1024;
/// What the copy's database may write between two looks at the free space: its journal, and what it gathers in memory.
const ROOM_BYTES: u64 = 64 * 1024 * 1024;

/// Copies the store into `dir`; `go_on` is asked before each commit of the copy.
pub(super) fn make(shared: &Shared, dir: &Path, go_on: &dyn Fn() -> bool) -> Result<Backup, StoreError> {
    let one = match shared.copying.try_lock() {
        Ok(one) => one,
        Err(TryLockError::Poisoned(one)) => one.into_inner(),
        Err(TryLockError::WouldBlock) => return Err(refused(dir, "another backup is under way")),
    };
    let parent = parent(shared, dir)?;
    let staging = staging(&parent, dir).map_err(|cause| refused(dir, cause))?;
    let made = fill(shared, dir, staging.path(), go_on)?;
    if !go_on() {
        return Err(StoreError::Closed);
    }
    sync_all(staging.path())
        .and_then(|()| fs::rename(staging.path(), dir))
        .map_err(|cause| refused(dir, cause))?;
    // It has another name now.
    let _ = staging.keep();
    if let Err(cause) = File::open(&parent).and_then(|parent| parent.sync_all()) {
        // What is told as not made must not stand there.
        let _ = fs::remove_dir_all(dir);
        return Err(refused(dir, cause));
    }
    drop(one);
    Ok(made)
}

fn refused(dir: &Path, why: impl ToString) -> StoreError {
    StoreError::Backup { dir: dir.display().to_string().into(), why: why.to_string().into() }
}

/// What went wrong with the copy: nothing of ours is damaged.
fn at_target(dir: &Path, error: StoreError) -> StoreError {
    if let StoreError::Damaged(what) = &error { refused(dir, what) } else { refused(dir, error) }
}

/// The folder that `dir` is to lie in, where it can be made there.
fn parent(shared: &Shared, dir: &Path) -> Result<PathBuf, StoreError> {
    if !dir.is_absolute() {
        return Err(refused(dir, "the path is not absolute"));
    }
    let (Some(parent), Some(_)) = (dir.parent(), dir.file_name()) else {
        return Err(refused(dir, "the path names no folder"));
    };
    let in_parent = |cause: io::Error| refused(dir, format!("{}: {cause}", parent.display()));
    let parent = parent.canonicalize().map_err(in_parent)?;
    let own = shared.folder.path().canonicalize().map_err(in_parent)?;
    if parent.starts_with(own) {
        return Err(refused(dir, "it lies in the data folder"));
    }
    match fs::symlink_metadata(dir) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(parent),
        Err(cause) => Err(refused(dir, cause)),
        Ok(found) if !found.is_dir() => Err(refused(dir, "it is there, and is no folder")),
        Ok(_) => match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
            Ok(true) => Ok(parent),
            Ok(false) => Err(refused(dir, "the folder is not empty")),
            Err(cause) => Err(refused(dir, cause)),
        },
    }
}

/// A folder beside `dir`, for its owner only; removed when it is dropped.
fn staging(parent: &Path, dir: &Path) -> io::Result<TempDir> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    tempfile::Builder::new().prefix(&format!(".{name}.")).suffix(".unfinished").tempdir_in(parent)
}

/// Makes a data folder of the picture.
fn fill(shared: &Shared, dir: &Path, staging: &Path, go_on: &dyn Fn() -> bool) -> Result<Backup, StoreError> {
    let key = shared.folder.seal_key()?;
    let at_target = |error| at_target(dir, error);
    let host = shared.folder.host()?;
    let mut folder = Folder::begin_copy(staging, &key, host.as_deref()).map_err(at_target)?;
    let target = Disk::open(&folder.paths()).map_err(at_target)?;
    let mut copy = Copy {
        shared,
        dir,
        staging,
        target: &target,
        go_on,
        chunk: Vec::new(),
        bytes: 0,
        made: Backup::default(),
        firsts: HashMap::new(),
    };
    let copied = caught("reading", || copy.run());
    let made = copied.map(|()| copy.made);
    // The database writes until it is closed.
    caught("closing the copy", || {
        drop(target);
        Ok(())
    })
    .map_err(at_target)?;
    let made = made?;
    folder.finish().map_err(at_target)?;
    folder.release();
    Ok(made)
}

struct Copy<'a> {
    shared: &'a Shared,
    dir: &'a Path,
    staging: &'a Path,
    target: &'a Disk,
    go_on: &'a dyn Fn() -> bool,
    chunk: Vec<Change>,
    /// In the chunk.
    bytes: usize,
    made: Backup,
    /// By inbox the first cursor of the first bundle: what was done of it is known later.
    firsts: HashMap<u32, u64>,
}

impl Copy<'_> {
    fn run(&mut self) -> Result<(), StoreError> {
        let disk = self.source()?;
        let picture = disk.picture();
        for space in Space::ALL {
            disk.scan_picture(&picture, space, &mut |key, value| {
                self.take(space, key, value)?;
                Ok(true)
            })?;
        }
        self.flush()
    }

    /// The database as it is now: held for as long as the copy takes.
    fn source(&self) -> Result<Arc<Disk>, StoreError> {
        self.shared.check()?;
        let state = self.shared.state.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.disk.clone().ok_or(StoreError::Closed)
    }

    fn take(&mut self, space: Space, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let bytes = key.len() + value.len();
        self.bytes += bytes;
        self.made.bytes += bytes as u64;
        match space {
            Space::Inbox => {
                let count = arrived::messages_in(value);
                self.made.inbox += count;
                let (inbox, last) = split_place(key).ok_or_else(|| damaged(space, key))?;
                self.firsts.entry(inbox).or_insert(last.saturating_sub(count) + 1);
            }
            Space::Outbox => self.made.outbox += posted::mail_in(value),
            Space::Dead => self.made.dead += 1,
            // Of an inbox, whose first bundle may be done with in part.
            Space::Small if key.first() == Some(&(Small::Service as u8)) => {
                let slot = Slot::decode(value).ok_or_else(|| damaged(space, key))?.1;
                let first = self.firsts.get(&slot.number).copied().unwrap_or(u64::MAX);
                self.made.inbox -= (slot.low + 1).saturating_sub(first).min(self.made.inbox);
            }
            // Of a bundle in the outbox, which comes before it.
            Space::Small if key.first() == Some(&(Small::Settled as u8)) => {
                let settled = posted::Settled::decode(key, Some(value))?;
                self.made.outbox = self.made.outbox.saturating_sub(settled.count());
            }
            Space::Seen | Space::Status | Space::Ended | Space::Settled | Space::Small => {}
        }
        self.chunk.push(Change { space, key: key.to_vec(), value: Some(value.to_vec()) });
        if self.bytes >= CHUNK_BYTES || self.chunk.len() >= CHUNK_KEYS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        // A store in doubt, or one that closes, waits for its readers: the copy is given up.
        self.shared.check()?;
        if !(self.go_on)() {
            return Err(StoreError::Closed);
        }
        let least = self.shared.settings.free_space_min.saturating_add(ROOM_BYTES);
        let free = free_bytes(self.staging).map_err(|error| at_target(self.dir, error))?;
        if free < least {
            let why = format!("only {free} bytes are free there: {least} are kept free while it is written");
            return Err(refused(self.dir, why));
        }
        self.bytes = 0;
        let chunk = std::mem::take(&mut self.chunk);
        caught("writing", || self.target.commit(chunk)).map_err(|error| at_target(self.dir, error))
    }
}

/// Every file and folder below, and the folder itself.
fn sync_all(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_all(&entry?.path())?;
        }
    }
    File::open(path)?.sync_all()
}
