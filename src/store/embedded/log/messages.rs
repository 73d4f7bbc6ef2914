//! Values that lie in the log, read by their places.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{blocks::Blocks, recent::Recent, record::Place, segment};
use crate::store::{StoreError, embedded::folder};

/// Files that are kept open for reading.
const FILES: usize = 16;

/// See above.
#[derive(Debug)]
pub(crate) struct Messages {
    folder: PathBuf,
    recent: Arc<Recent>,
    /// By segment, the one that was used last at the end.
    files: Mutex<Vec<(u64, Arc<File>)>>,
}

impl Messages {
    pub(crate) fn new(folder: &Path, recent: Arc<Recent>) -> Self {
        Self { folder: folder.to_owned(), recent, files: Mutex::default() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The value at a place; `None` where its segment has gone, since it is not needed any more or lies elsewhere now.
    pub(crate) fn read(&self, place: Place) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(value) = self.recent.read(place) {
            return Ok(Some(value));
        }
        let (number, at) = segment::split(place.at);
        let path = segment::path(&self.folder, number);
        let damaged = || folder::damaged(&path, &format!("what lies at byte {at} cannot be read"));
        let length = usize::try_from(place.length).map_err(|_| damaged())?;
        let read = || -> io::Result<_> {
            let mut value = vec![0; length];
            self.file(number)?.read_exact_at(&mut value, at)?;
            if !place.is(&value) {
                // What the page cache has may be older than what was written past it.
                value = Blocks::open(&path)?.read(at, length)?;
            }
            Ok(value)
        };
        match read() {
            Ok(value) if place.is(&value) => Ok(Some(value)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) if cause.kind() != io::ErrorKind::UnexpectedEof => {
                Err(folder::io("reading", &path)(cause))
            }
            _ => Err(damaged()),
        }
    }

    fn file(&self, number: u64) -> io::Result<Arc<File>> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = files.iter().rposition(|(found, _)| *found == number) {
            let last = files.len() - 1;
            files.swap(found, last);
            return files.last().map(|(_, file)| file.clone()).ok_or_else(|| io::ErrorKind::NotFound.into());
        }
        let file = Arc::new(File::open(segment::path(&self.folder, number))?);
        if files.len() >= FILES {
            files.remove(0);
        }
        files.push((number, file.clone()));
        Ok(file)
    }

    /// Removes a segment: nothing in it is needed.
    pub(crate) fn remove(&self, number: u64) -> io::Result<()> {
        // A reader that comes with an old place finds it before or not at all: opened between the two it would stay open.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|(found, _)| *found != number);
        std::fs::remove_file(segment::path(&self.folder, number))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;
    use crate::store::embedded::log::segment::Shape;

    #[test]
    fn a_segment_that_was_removed_is_not_kept_open_by_a_reader_that_came_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        let shape = Shape { segment: 64 * 1024, growth: 4096 };
        let messages = Messages::new(dir.path(), Arc::default());
        for number in 0..1000 {
            segment::make(dir.path(), number, shape, 7).unwrap();
            let ready = Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    ready.wait();
                    (0..number % 40 * 10).for_each(|_| std::hint::spin_loop());
                    drop(messages.file(number));
                });
                ready.wait();
                messages.remove(number).unwrap();
            });
            assert!(messages.files.lock().unwrap().is_empty(), "{number}");
        }
    }
}
