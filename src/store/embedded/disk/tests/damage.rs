//! What can only be told, and what looks like damage and is none.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{SMALL, all, copy, journal_of, open, paths, put, remove, turn, why};
use crate::store::{
    embedded::{
        disk::Disk,
        folder::Paths,
        log::{
            replay::{Reader, replay},
            segment,
        },
        tables::Tables,
    },
    engine::kv::{Kv as _, Space},
};

/// Gets the folder, the file that the commit before the last lies in, and where it begins there.
type Spoil<'a> = &'a dyn Fn(&Path, &Path, u64);

/// Some commits over some segments, closed in good order; which file the commit before the last lies in, and where.
fn closed(dir: &Path) -> (PathBuf, u64) {
    let disk = open(dir).unwrap();
    let mut spot = (PathBuf::new(), 0);
    for key in 0..52u64 {
        disk.commit(vec![put(Space::Inbox, key, &[key as u8; 1500])]).unwrap();
        if key == 50 {
            let last = disk.writing().0.tail.reach.last;
            let (number, within) = segment::split(last);
            spot = (segment::path(&paths(dir).log, number), within);
        }
    }
    spot
}

#[test]
fn a_log_that_lost_what_it_had_is_damaged_and_names_the_file() {
    let spoil: [(&str, Spoil<'_>); 5] = [
        ("log: the log is missing", &|dir, _, _| fs::remove_dir_all(paths(dir).log).unwrap()),
        ("0000000000.log: it is missing", &|dir, _, _| {
            fs::remove_file(segment::path(&paths(dir).log, 0)).unwrap()
        }),
        ("its last commit cannot be read", &|_, file, at| {
            fs::OpenOptions::new().write(true).open(file).unwrap().set_len(at + 1600).unwrap();
        }),
        ("its beginning cannot be read", &|_, file, _| turn(file, 9)),
        ("it is missing", &|_, file, _| fs::remove_file(file).unwrap()),
    ];
    for (what, spoil) in spoil {
        let dir = tempfile::tempdir().unwrap();
        let (file, at) = closed(dir.path());
        spoil(dir.path(), &file, at);
        assert!(why(dir.path()).contains(what), "{what}: {}", why(dir.path()));
    }
}

#[test]
fn a_commit_that_cannot_be_read_and_has_others_after_it_is_damage_and_nothing_is_taken_off() {
    // Of the head, of its end, of the value.
    for byte in [0, 5, 20, 60, 90, 1000] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        let image = tempfile::tempdir().unwrap();
        copy(dir.path(), image.path());
        let (file, at) = closed(dir.path());
        // The tables are as they were at first: all comes from the log.
        fs::remove_dir_all(paths(image.path()).log).unwrap();
        copy(&paths(dir.path()).log, &paths(image.path()).log);
        let file = paths(image.path()).log.join(file.file_name().unwrap());
        turn(&file, at + byte);
        let before = fs::read(&file).unwrap();
        assert!(why(image.path()).contains("cannot be read, and others follow"), "{byte}");
        assert!(fs::read(&file).unwrap() == before);
        turn(&file, at + byte);
        assert_eq!(all(&open(image.path()).unwrap()).len(), 52, "{byte}");
    }
}

#[test]
fn a_segment_that_ends_before_the_next_one_begins_is_damage() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(open(dir.path()).unwrap());
    copy(dir.path(), image.path());
    closed(dir.path());
    let first = segment::path(&paths(image.path()).log, 0);
    fs::remove_dir_all(paths(image.path()).log).unwrap();
    copy(&paths(dir.path()).log, &paths(image.path()).log);
    let mut reader = Reader::open(&paths(image.path()).log, segment::HEADER).unwrap();
    let mut last = reader.at;
    while let (at, Some(_)) = (reader.at, reader.next(&mut |_, _| Ok(())).unwrap()) {
        last = at;
    }
    let length = fs::metadata(&first).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&first).unwrap();
    file.write_all_at(&vec![0; (length - last) as usize], last).unwrap();
    assert!(why(image.path()).contains("a commit is missing"), "{}", why(image.path()));
}

#[test]
fn a_message_that_cannot_be_read_is_damage_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let (file, at) = closed(dir.path());
    turn(&file, at + 1000);
    let disk = open(dir.path()).unwrap();
    let get = |key: u64| disk.get(Space::Inbox, &key.to_be_bytes());
    let error = get(50).unwrap_err();
    assert!(error.to_string().contains(".log: what lies at byte"), "{error}");
    assert_eq!(get(51).unwrap(), Some(vec![51; 1500]));
}

#[test]
fn a_segment_that_a_crash_left_unfinished_or_empty_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    let log = paths(dir.path()).log;
    let newest = *segment::list(&log).unwrap().last().unwrap();
    fs::write(log.join(format!("{:010}.new", newest + 1)), b"half").unwrap();
    assert_eq!(all(&open(dir.path()).unwrap()).len(), 52);
    assert!(!log.join(format!("{:010}.new", newest + 1)).exists());
    segment::make(&log, newest + 1, SMALL, 77).unwrap();
    let disk = open(dir.path()).unwrap();
    assert_eq!(disk.writing().0.tail.number, newest + 1);
    disk.commit(vec![put(Space::Inbox, 52, b"more")]).unwrap();
    drop(disk);
    assert_eq!(all(&open(dir.path()).unwrap()).len(), 53);
}

#[test]
fn nothing_is_brought_to_the_tables_before_it_is_known_to_be_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    let mut ends = vec![];
    for key in 0..3 {
        disk.commit(vec![put(Space::Inbox, key, &[7; 100])]).unwrap();
        ends.push(disk.writing().0.tail.reach.end);
    }
    drop(disk);
    let log = paths(dir.path()).log;
    let brought = || {
        let mut brought = vec![];
        let done = replay(&log, SMALL, None, &mut |_, reach| {
            brought.push(reach.end);
            Ok(())
        });
        (brought, done.is_ok())
    };
    assert_eq!(brought(), (ends.clone(), true));
    // The end of the log cannot be made sure of.
    turn(&segment::path(&log, 0), ends[0] + 20);
    assert_eq!(brought(), (vec![], false));
}

#[test]
fn after_a_failed_write_nothing_more_is_written_until_it_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    disk.commit(vec![put(Space::Inbox, 1, b"one")]).unwrap();
    // As after a failed sync: what is on the disk is not known.
    disk.writing().0.sound = false;
    assert!(disk.commit(vec![put(Space::Inbox, 2, b"two")]).is_err());
    disk.tidy().unwrap();
    assert_eq!(all(&disk).len(), 1);
    drop(disk);
    let disk = Disk::reopen_as(&paths(dir.path()), SMALL).unwrap();
    disk.commit(vec![put(Space::Inbox, 2, b"two")]).unwrap();
    assert_eq!(all(&disk).len(), 2);
}

/// A store as it was before there was a log: a synced journal, values beside their keys.
fn of_an_earlier_version(dir: &Path, commits: u64) -> Vec<u64> {
    fs::create_dir_all(dir).unwrap();
    let (tables, _) = Tables::open(&paths(dir).tables).unwrap();
    let mut ends = vec![];
    for key in 0..commits {
        tables.apply(vec![put(Space::Inbox, key, &[1; 700]), put(Space::Small, key, b"s")]).unwrap();
        tables.persist().unwrap();
        ends.push(journal_of(dir).1);
    }
    ends
}

#[test]
fn a_store_of_an_earlier_version_reads_on_and_its_last_commit_alone_may_be_torn() {
    let fresh = |commits| {
        let dir = tempfile::tempdir().unwrap();
        let ends = of_an_earlier_version(dir.path(), commits);
        (dir, ends)
    };
    let (dir, _) = fresh(3);
    let disk = open(dir.path()).unwrap();
    assert_eq!(all(&disk).len(), 6);
    disk.commit(vec![remove(Space::Inbox, 0), put(Space::Inbox, 9, b"new")]).unwrap();
    drop(disk);
    assert_eq!(all(&open(dir.path()).unwrap()).len(), 6);

    let (dir, ends) = fresh(3);
    turn(&journal_of(dir.path()).0, ends[1] + 300);
    assert_eq!(all(&open(dir.path()).unwrap()).len(), 4);

    let (dir, ends) = fresh(3);
    let journal = journal_of(dir.path()).0;
    turn(&journal, ends[0] + 300);
    let before = fs::read(&journal).unwrap();
    assert!(why(dir.path()).contains("others follow"), "{}", why(dir.path()));
    assert!(fs::read(&journal).unwrap() == before);
}

#[test]
fn what_an_earlier_version_wrote_needs_no_journal_once_it_is_taken_over() {
    // In a value; the tag of a batch, where fjall ends without a word.
    for byte in [300, 0] {
        let dir = tempfile::tempdir().unwrap();
        let ends = of_an_earlier_version(dir.path(), 10);
        let disk = open(dir.path()).unwrap();
        for key in 100..110 {
            disk.commit(vec![put(Space::Inbox, key, &[2; 700])]).unwrap();
            disk.tidy().unwrap();
        }
        let expected = all(&disk);
        assert_eq!(expected.len(), 30);
        drop(disk);
        turn(&journal_of(dir.path()).0, ends[4] + byte);
        assert!(all(&open(dir.path()).unwrap()) == expected, "{byte}");
    }
}

#[test]
fn a_store_of_an_earlier_version_that_was_not_taken_over_to_the_end_may_not_lose_its_journal() {
    let dir = tempfile::tempdir().unwrap();
    let ends = of_an_earlier_version(dir.path(), 10);
    // As after a crash in the first opening: there is a log, and the format is still the earlier one.
    fs::create_dir(paths(dir.path()).log).unwrap();
    segment::make(&paths(dir.path()).log, 0, SMALL, 7).unwrap();
    turn(&journal_of(dir.path()).0, ends[4] + 300);
    let paths = Paths { unlogged: true, ..paths(dir.path()) };
    let Err(error) = Disk::open_as(&paths, SMALL) else { panic!("it opens") };
    assert!(error.to_string().contains("others follow"), "{error}");
}

#[test]
fn a_cut_that_a_crash_left_undecided_is_not_taken_for_right() {
    let dir = tempfile::tempdir().unwrap();
    let ends = of_an_earlier_version(dir.path(), 10);
    turn(&journal_of(dir.path()).0, ends[4] + 300);
    assert!(why(dir.path()).contains("others follow"));
    // Killed while it opens, twice.
    for _ in 0..2 {
        let (tables, cut) = Tables::open(&paths(dir.path()).tables).unwrap();
        assert!(!cut.unwrap().last);
        drop(tables);
        assert!(why(dir.path()).contains("others follow"));
    }
}
