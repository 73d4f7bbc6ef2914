//! Log and tables together.
//!
//! - `crash`: crashes at every commit, torn in every way that a disk may tear, beside a plain model.
//! - `damage`: what can only be told. `marks`: what one of the tables lacks. `room`: what goes and what moves.

mod crash;
mod damage;
mod marks;
mod room;

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Seek as _},
    path::{Path, PathBuf},
};

use super::*;

/// Small, so that a few hundred commits fill many.
const SMALL: Shape = Shape { segment: 32 * 1024, growth: 8 * 1024 };
type Model = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

fn paths(dir: &Path) -> Paths {
    Paths { tables: dir.join("db"), log: dir.join("log"), unlogged: false }
}

fn open(dir: &Path) -> Result<Disk, StoreError> {
    Disk::open_as(&paths(dir), SMALL)
}

fn why(dir: &Path) -> String {
    let Err(error) = open(dir) else { panic!("it opens") };
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
    error.to_string()
}

fn put(space: Space, key: u64, value: &[u8]) -> Change {
    Change { space, key: key.to_be_bytes().to_vec(), value: Some(value.to_vec()) }
}

fn remove(space: Space, key: u64) -> Change {
    Change { space, key: key.to_be_bytes().to_vec(), value: None }
}

fn all(disk: &Disk) -> Model {
    let mut all = Model::new();
    for space in Space::ALL {
        disk.scan(space, &[], &[0xff; 64], &mut |key, value| {
            if space != Space::Small || !codec::is_of_the_log(key) {
                assert_eq!(disk.get(space, key).unwrap().unwrap(), value);
                all.insert((space, key.to_vec()), value.to_vec());
            }
            Ok(true)
        })
        .unwrap();
    }
    all
}

/// What is noted as live is what the tables point to, and its segments are there.
fn live_is_right(disk: &Disk, dir: &Path) {
    let mut live = BTreeMap::<u64, u64>::new();
    for space in Space::ALL.into_iter().filter(|space| space.is_bulk()) {
        let note = &mut |_: &[u8], value: &[u8]| {
            if let Some(place) = Place::decode(value) {
                *live.entry(segment::split(place.at).0).or_default() += u64::from(place.length);
            }
            Ok(true)
        };
        disk.tables.scan(space, &[], &[0xff; 64], note).unwrap();
    }
    let (pen, _) = &*disk.writing();
    assert_eq!(
        pen.standing.live.iter().filter(|(_, bytes)| **bytes > 0).map(|(k, v)| (*k, *v)).collect::<Vec<_>>(),
        live.into_iter().collect::<Vec<_>>()
    );
    assert_eq!(
        pen.standing.live.keys().copied().collect::<Vec<_>>(),
        segment::list(&paths(dir).log).unwrap()
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name))
        } else {
            fs::write(to.join(name), used(&path)).unwrap()
        }
    }
}

/// What a file holds before its first hole: a journal is made long, and without blocks.
fn used(path: &Path) -> Vec<u8> {
    let mut file = fs::File::open(path).unwrap();
    let end = rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)).unwrap_or(0);
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    file.take(end).read_to_end(&mut bytes).unwrap();
    bytes
}

fn turn(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at as usize] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

/// The journal of the tables, and how much of it is used.
fn journal_of(dir: &Path) -> (PathBuf, u64) {
    let files = fs::read_dir(paths(dir).tables).unwrap().map(|entry| entry.unwrap().path());
    let journal = files.filter(|path| path.extension().is_some_and(|end| end == "jnl")).max().unwrap();
    let used = used(&journal).iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1);
    (journal, used)
}
