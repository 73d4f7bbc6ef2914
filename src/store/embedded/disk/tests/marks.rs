//! The tables beside a log: what one of them lacks, and what a version without marks left.

use std::{fs, path::Path};

use super::{SMALL, all, copy, journal_of, live_is_right, open, paths, put, remove, turn};
use crate::store::{
    StoreError,
    embedded::{
        disk::Disk,
        log::{
            replay::replay,
            segment::{self, Shape},
            tail::Reach,
        },
        standing::Standing,
        tables::Tables,
    },
    engine::{
        codec,
        kv::{Change, Kv as _, Space},
    },
};

/// So large that all of the log stays in one segment.
const ROOMY: Shape = Shape { segment: 16 * 1024 * 1024, growth: 1024 * 1024 };

/// Commits to one space until it alone is written to the disk in order: how far the log reaches after each of them.
fn fill(disk: &Disk, space: Space) -> Vec<Reach> {
    let commit = |key: u64| {
        disk.commit(vec![put(space, 1000 + key % 3, &[7; 300_000])]).unwrap();
        disk.tidy().unwrap();
        disk.writing().0.tail.reach
    };
    let reaches = (0..40).map(commit).collect();
    for _ in 0..4000 {
        if disk.tables.written_in_order(space) > 0 {
            assert!(
                [Space::Small, Space::Status]
                    .iter()
                    .all(|other| { *other == space || disk.tables.written_in_order(*other) == 0 })
            );
            return reaches;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("it is not written");
}

/// The log ends at a place, which some of the tables have passed: that is no torn end.
fn is_told_where_the_log_ends(dir: &Path, place: u64) {
    let (number, at) = segment::split(place);
    let log = segment::path(&paths(dir).log, number);
    fs::OpenOptions::new().write(true).open(log).unwrap().set_len(at).unwrap();
    let Err(error) = Disk::open_as(&paths(dir), ROOMY) else { panic!("it opens") };
    assert!(error.to_string().contains("last commit cannot be read"), "{error}");
}

#[test]
fn what_one_of_the_tables_lost_and_another_has_comes_from_the_log_again_or_is_told() {
    // In a batch, its tag; with all of the log, and without its beginning.
    for (byte, forgets) in [(60, false), (0, false), (60, true), (0, true)] {
        let shape = if forgets { SMALL } else { ROOMY };
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open_as(&paths(dir.path()), shape).unwrap();
        let mut spot = 0;
        for key in 0..50u64 {
            let beside = put(Space::Status, key, &[key as u8; 700]);
            disk.commit(vec![
                put(Space::Inbox, key, &[key as u8; 700]),
                beside,
                put(Space::Small, key, b"s"),
            ])
            .unwrap();
            disk.tables.persist().unwrap();
            if key == 24 {
                spot = journal_of(dir.path()).1;
            }
        }
        if forgets {
            (0..50).for_each(|key| disk.commit(vec![remove(Space::Inbox, key)]).unwrap());
            disk.tidy().unwrap();
        }
        let reaches = fill(&disk, Space::Small);
        let expected = all(&disk);
        drop(disk);
        turn(&journal_of(dir.path()).0, spot + byte);
        if !forgets {
            let image = tempfile::tempdir().unwrap();
            copy(dir.path(), image.path());
            is_told_where_the_log_ends(image.path(), reaches[10].last);
        }
        match Disk::open_as(&paths(dir.path()), shape) {
            Err(error) => assert!(forgets && error.to_string().contains("missing"), "{error}"),
            Ok(disk) => {
                assert!(!forgets && all(&disk) == expected);
                live_is_right(&disk, dir.path());
                drop(disk);
                assert!(all(&Disk::open_as(&paths(dir.path()), shape).unwrap()) == expected);
            }
        }
    }
}

/// As a version wrote it that had a log and no marks.
fn without_marks(dir: &Path) {
    let (tables, _) = Tables::open(&paths(dir).tables).unwrap();
    let reach = tables.get(Space::Small, codec::REACH_KEY).unwrap().unwrap();
    let reach = [&[1u8][..], &reach[1..17]].concat();
    let change = |space, key: &[u8], value| Change { space, key: key.to_vec(), value };
    let mut changes = vec![change(Space::Small, codec::REACH_KEY, Some(reach))];
    let marked = Space::ALL.into_iter().filter(|space| *space != Space::Small);
    changes.extend(marked.map(|space| change(space, codec::MARK_KEY, None)));
    tables.apply(changes).unwrap();
    tables.persist().unwrap();
}

/// Opens so far that two commits are brought to the tables, as where the process is killed then.
fn killed_in_the_replay(dir: &Path, shape: Shape) {
    let (tables, cut) = Tables::open(&paths(dir).tables).unwrap();
    let (mut standing, mut count) = (Standing::read(&tables).unwrap(), 0);
    let done = replay(&paths(dir).log, shape, standing.had(), &mut |logged, reach| {
        count += 1;
        if count > 2 { Err(StoreError::Closed) } else { standing.apply(&tables, logged, reach) }
    });
    assert!(done.is_err() && count == 3, "{count}");
    tables.persist().unwrap();
    cut.map_or(Ok(()), |cut| cut.keep()).unwrap();
}

#[test]
fn a_store_without_marks_is_taken_over_also_where_that_is_killed_at_first() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = open(dir.path()).unwrap();
    for key in 0..100u64 {
        disk.commit(vec![put(Space::Inbox, key, &[key as u8; 1500]), put(Space::Status, key, b"s")]).unwrap();
        if key > 0 {
            disk.commit(vec![remove(Space::Inbox, key - 1)]).unwrap();
        }
        disk.tidy().unwrap();
    }
    assert!(!segment::path(&paths(dir.path()).log, 0).exists());
    disk.tables.persist().unwrap();
    copy(&paths(dir.path()).tables, &paths(image.path()).tables);
    (200..205).for_each(|key| disk.commit(vec![put(Space::Small, key, b"x")]).unwrap());
    let expected = all(&disk);
    drop(disk);
    copy(&paths(dir.path()).log, &paths(image.path()).log);
    without_marks(image.path());
    killed_in_the_replay(image.path(), SMALL);
    for _ in 0..2 {
        let disk = open(image.path()).unwrap();
        assert!(all(&disk) == expected);
        live_is_right(&disk, image.path());
    }
}

#[test]
fn a_space_that_is_further_than_a_log_that_lost_its_end_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open_as(&paths(dir.path()), ROOMY).unwrap();
    disk.commit(vec![put(Space::Inbox, 0, b"i"), put(Space::Status, 0, b"s"), put(Space::Small, 0, b"s")])
        .unwrap();
    disk.tables.persist().unwrap();
    let spot = journal_of(dir.path()).1;
    (0..10).for_each(|key| disk.commit(vec![put(Space::Small, key, b"s")]).unwrap());
    let reaches = fill(&disk, Space::Status);
    drop(disk);
    turn(&journal_of(dir.path()).0, spot + 60);
    is_told_where_the_log_ends(dir.path(), reaches[3].end);
}

#[test]
fn a_space_that_has_more_than_another_keeps_it_where_the_replay_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open_as(&paths(dir.path()), ROOMY).unwrap();
    disk.commit(vec![put(Space::Status, 0, b"s"), put(Space::Small, 0, b"old")]).unwrap();
    disk.tables.persist().unwrap();
    let spot = journal_of(dir.path()).1;
    disk.commit(vec![put(Space::Small, 7, b"older")]).unwrap();
    disk.commit(vec![put(Space::Status, 1, b"s")]).unwrap();
    disk.commit(vec![put(Space::Small, 7, b"newer")]).unwrap();
    fill(&disk, Space::Small);
    let expected = all(&disk);
    drop(disk);
    turn(&journal_of(dir.path()).0, spot + 60);
    killed_in_the_replay(dir.path(), ROOMY);
    assert!(all(&Disk::open_as(&paths(dir.path()), ROOMY).unwrap()) == expected);
}
