//! Keys and values on disk: the log, the tables behind it, and messages read from where they lie.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    folder::{Paths, io, sync_folder},
    journal,
    log::{
        messages::Messages,
        record::{Entry, Place},
        segment::{self, SHAPE, Shape},
    },
    pen::{self, Pen},
    reclaim::Reclaim,
    tables::{Tables, mending},
};
use crate::store::{
    LogFigures, StoreError,
    engine::{
        codec::{self, damaged},
        kv::{Change, Each, Kv, Space},
    },
};

/// How often a message that lies elsewhere by now is looked for again.
const LOOKS: usize = 8;

/// See above.
pub(super) struct Disk {
    tables: Tables,
    messages: Messages,
    writing: Mutex<(Pen, Reclaim)>,
    /// Pictures that are read.
    held: Arc<AtomicUsize>,
    /// Bytes of messages that are needed, after the last commit.
    live: AtomicU64,
}

/// All keys as they were between two commits.
pub(super) struct Picture {
    tables: fjall::Snapshot,
    held: Arc<AtomicUsize>,
}

impl Drop for Picture {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Disk {
    /// Opens or makes them. Takes off a last commit that a power cut has left torn, of which nobody was told.
    pub(super) fn open(paths: &Paths) -> Result<Self, StoreError> {
        Self::open_as(paths, SHAPE)
    }

    /// As `open`, after a failed commit: what is read must first be on the disk.
    pub(super) fn reopen(paths: &Paths) -> Result<Self, StoreError> {
        Self::reopen_as(paths, SHAPE)
    }

    fn reopen_as(paths: &Paths, shape: Shape) -> Result<Self, StoreError> {
        journal::rewrite(&paths.tables).map_err(mending)?;
        Self::open_as(paths, shape)
    }

    fn open_as(paths: &Paths, shape: Shape) -> Result<Self, StoreError> {
        journal::restore(&paths.tables).map_err(mending)?;
        let make = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&paths.log)?;
            paths.log.parent().map_or(Ok(()), sync_folder)?;
            segment::sweep(&paths.log)?;
            segment::list(&paths.log)
        };
        let has_log = !make().map_err(io("making", &paths.log))?.is_empty() && !paths.unlogged;
        let (tables, cut) = Tables::open(&paths.tables)?;
        // Where the log has what was taken off, it brings it again; else only what nobody was told of may go.
        let opened = match &cut {
            Some(cut) if !cut.last && !has_log => Err(cut.refused()),
            _ => Pen::open(&tables, &paths.log, shape),
        };
        match (opened, cut) {
            (Ok(pen), cut) => {
                if let Some(cut) = cut {
                    tracing::warn!(
                        bytes = cut.bytes,
                        "took off the end of a journal that was torn when the power went"
                    );
                    cut.keep().map_err(mending)?;
                }
                let messages = Messages::new(&paths.log, pen.tail.recent.clone());
                let live = pen.standing.needed().into();
                let writing = Mutex::new((pen, Reclaim::default()));
                Ok(Self { tables, messages, writing, held: Arc::default(), live })
            }
            (Err(error), cut) => {
                drop(tables);
                cut.map_or(Ok(()), |cut| cut.undo()).map_err(mending)?;
                Err(error)
            }
        }
    }

    fn writing(&self) -> MutexGuard<'_, (Pen, Reclaim)> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All keys as they are now, between two commits; what it shows stays readable until it is dropped.
    pub(super) fn picture(&self) -> Picture {
        let _still = self.writing();
        self.held.fetch_add(1, Ordering::AcqRel);
        Picture { tables: self.tables.picture(), held: self.held.clone() }
    }

    /// Each key of a space as it is in the picture, in order, but those of our own house-keeping.
    pub(super) fn scan_picture(
        &self,
        picture: &Picture,
        space: Space,
        each: Each<'_>,
    ) -> Result<(), StoreError> {
        self.tables.scan_picture(&picture.tables, space, &mut |key, value| {
            if space == Space::Small && codec::is_of_the_log(key) {
                return Ok(true);
            }
            match Place::decode(value).filter(|_| space.is_bulk()) {
                None => each(key, value),
                Some(place) => each(key, &self.messages.read(place)?.ok_or_else(|| damaged(space, key))?),
            }
        })
    }

    /// What the log takes. Waits for no commit.
    pub(super) fn log_figures(&self) -> std::io::Result<LogFigures> {
        let mut bytes = 0;
        for number in segment::list(self.messages.folder())? {
            // One that has gone meanwhile takes nothing.
            bytes += fs::metadata(segment::path(self.messages.folder(), number)).map_or(0, |file| file.len());
        }
        Ok(LogFigures { bytes, live: self.live.load(Ordering::Relaxed) })
    }

    /// House-keeping between two commits; whether there is more to be done.
    ///
    /// # Errors
    /// As a commit.
    pub(super) fn tidy(&self) -> Result<bool, StoreError> {
        let (pen, reclaim) = &mut *self.writing();
        pen.keep_up(&self.tables)?;
        reclaim.step(pen, &self.tables, &self.messages, self.held.load(Ordering::Acquire) > 0)
    }

    /// The value of a key for which the tables have this.
    fn value(&self, space: Space, key: &[u8], found: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut place) = Place::decode(found) else { return Ok(Some(found.to_vec())) };
        for _ in 0..LOOKS {
            if let Some(value) = self.messages.read(place)? {
                return Ok(Some(value));
            }
            // Moved to the end of the log, or removed, since the tables were asked.
            let Some(found) = self.tables.get(space, key)? else { return Ok(None) };
            match Place::decode(&found) {
                Some(next) if next != place => place = next,
                _ => break,
            }
        }
        Err(damaged(space, key))
    }
}

impl Kv for Disk {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.tables.get(space, key)? {
            Some(found) if space.is_bulk() => self.value(space, key, &found),
            found => Ok(found),
        }
    }

    fn scan(&self, space: Space, from: &[u8], to: &[u8], each: Each<'_>) -> Result<(), StoreError> {
        if !space.is_bulk() {
            return self.tables.scan(space, from, to, each);
        }
        self.tables.scan(space, from, to, &mut |key, found| match self.value(space, key, found)? {
            Some(value) => each(key, &value),
            None => Ok(true),
        })
    }

    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.tables.last(space, from, to)
    }

    fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.tables.keep_pace()?;
        let entry = |Change { space, key, value }| {
            let frees = match &value {
                None if space.is_bulk() => pen::freed(&self.tables, space, &key)?,
                _ => None,
            };
            Ok(Entry { space, key, value, frees })
        };
        let (pen, _) = &mut *self.writing();
        let entries = changes.into_iter().map(entry).collect::<Result<Vec<_>, StoreError>>()?;
        pen.write(&self.tables, entries)?;
        self.live.store(pen.standing.needed(), Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
