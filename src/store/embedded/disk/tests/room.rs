//! What goes and what moves.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{SMALL, all, live_is_right, open, paths, put, remove};
use crate::store::{
    embedded::{
        disk::{Disk, Picture},
        log::segment,
    },
    engine::kv::{Kv as _, Space},
};

#[test]
fn room_is_given_back_and_what_waits_long_moves_on() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    let segments = || segment::list(&paths(dir.path()).log).unwrap().len() as u64;
    let value = |key: u64| vec![key as u8; 1000];
    // Of each ten one stays, as in an inbox that nobody reads beside busy ones.
    let (mut most, mut stays) = (0, 0u64);
    for key in 0..2000u64 {
        disk.commit(vec![put(Space::Inbox, key, &value(key))]).unwrap();
        if key % 10 != 0 {
            disk.commit(vec![remove(Space::Inbox, key)]).unwrap();
        } else {
            stays += 1000;
        }
        disk.tidy().unwrap();
        most = most.max(segments() as i64 - 2 * (stays / SMALL.segment) as i64);
    }
    assert!(most <= 4 + 3, "{most} more than twice what is needed");
    let numbers = segment::list(&paths(dir.path()).log).unwrap();
    assert!(numbers.first().is_some_and(|first| *first > 20), "{numbers:?}");
    let is_there = |disk: &Disk| {
        let all = all(disk);
        assert_eq!(all.len(), 200);
        for key in (0..2000u64).step_by(10) {
            assert_eq!(all.get(&(Space::Inbox, key.to_be_bytes().to_vec())), Some(&value(key)));
        }
    };
    is_there(&disk);
    live_is_right(&disk, dir.path());
    drop(disk);
    let disk = open(dir.path()).unwrap();
    is_there(&disk);
    live_is_right(&disk, dir.path());
    for key in (0..2000u64).step_by(10) {
        disk.commit(vec![remove(Space::Inbox, key)]).unwrap();
        disk.tidy().unwrap();
    }
    disk.tidy().unwrap();
    assert_eq!(segments(), 1, "nothing is needed, and the last is written to");
}

#[test]
fn what_a_picture_shows_stays_until_it_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    let fill = |from: u64| {
        for key in from..from + 100 {
            disk.commit(vec![put(Space::Outbox, key, &[key as u8; 2000])]).unwrap();
            disk.tidy().unwrap();
        }
    };
    let empty = |from: u64| {
        for key in from..from + 100 {
            disk.commit(vec![remove(Space::Outbox, key)]).unwrap();
            disk.tidy().unwrap();
        }
    };
    fill(0);
    let picture = disk.picture();
    empty(0);
    fill(100);
    let seen = |picture: &Picture| {
        let mut seen = 0u64;
        disk.scan_picture(picture, Space::Outbox, &mut |key, value| {
            assert_eq!((key, value), (&seen.to_be_bytes()[..], &vec![seen as u8; 2000][..]));
            seen += 1;
            Ok(true)
        })
        .unwrap();
        disk.scan_picture(picture, Space::Small, &mut |key, _| panic!("{key:?} is ours")).unwrap();
        seen
    };
    assert_eq!(seen(&picture), 100);
    let before = segment::list(&paths(dir.path()).log).unwrap();
    drop(picture);
    disk.tidy().unwrap();
    let after = segment::list(&paths(dir.path()).log).unwrap();
    assert!(after.len() < before.len(), "{before:?} {after:?}");
    assert_eq!(all(&disk).len(), 100);
}

#[test]
fn readers_find_what_moves_and_goes_while_they_read() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    let stays: Vec<u64> = (0..40).map(|at| at * 25).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for key in 0..1000 {
                disk.commit(vec![put(Space::Inbox, key, &[key as u8; 1500])]).unwrap();
                if !stays.contains(&key) {
                    disk.commit(vec![remove(Space::Inbox, key)]).unwrap();
                }
                disk.tidy().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut most = 0;
        while !done.load(Ordering::Relaxed) {
            let mut found = Vec::new();
            disk.scan(Space::Inbox, &[], &[0xff; 8], &mut |key, value| {
                let key = u64::from_be_bytes(key.try_into().unwrap());
                assert_eq!(value, vec![key as u8; 1500]);
                found.push(key);
                Ok(true)
            })
            .unwrap();
            let of_those = stays.iter().filter(|key| found.contains(key)).count();
            assert!(of_those >= most, "what stays is seen from then on");
            most = of_those;
        }
    });
    assert_eq!(all(&disk).len(), stays.len());
}

#[test]
fn a_commit_that_is_larger_than_a_segment_has_one_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    let large = |key: u64| vec![key as u8; 3 * SMALL.segment as usize + 123];
    for key in 0..5 {
        disk.commit(vec![put(Space::Outbox, 10 + key, &[key as u8; 100])]).unwrap();
        let other = vec![7; SMALL.segment as usize];
        disk.commit(vec![put(Space::Inbox, key, &large(key)), put(Space::Inbox, 20 + key, &other)]).unwrap();
        disk.tidy().unwrap();
    }
    let is_there = |disk: &Disk, count| {
        assert_eq!(all(disk).len(), count);
        assert_eq!(disk.get(Space::Inbox, &4u64.to_be_bytes()).unwrap(), Some(large(4)));
        live_is_right(disk, dir.path());
    };
    is_there(&disk, 15);
    drop(disk);
    let disk = open(dir.path()).unwrap();
    is_there(&disk, 15);
    for key in 0..4 {
        disk.commit(vec![remove(Space::Inbox, key), remove(Space::Inbox, 20 + key)]).unwrap();
        disk.tidy().unwrap();
    }
    is_there(&disk, 7);
    let numbers = segment::list(&paths(dir.path()).log).unwrap();
    assert!(numbers.len() < 9, "{numbers:?}");
}

#[test]
fn what_is_left_to_be_done_is_told_until_there_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    for key in 0..600u64 {
        disk.commit(vec![put(Space::Inbox, key, &[1; 1500])]).unwrap();
    }
    let gone = (0..600).filter(|key| key % 10 != 0).map(|key| remove(Space::Inbox, key)).collect();
    disk.commit(gone).unwrap();
    let segments = || segment::list(&paths(dir.path()).log).unwrap().len();
    assert!(segments() > 80, "{}", segments());
    let steps = (0..1000).take_while(|_| disk.tidy().unwrap()).count();
    assert!(steps < 1000 && segments() < 14, "{steps} steps, {}", segments());
    assert_eq!(all(&disk).len(), 60);
    live_is_right(&disk, dir.path());
}

/// The number of the segment that is written to after a while, beside so many bytes that wait.
fn written_beside(waits: u64, held: bool) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    for key in 0..waits / 1500 {
        disk.commit(vec![put(Space::Outbox, key, &[1; 1500])]).unwrap();
        disk.tidy().unwrap();
    }
    let picture = held.then(|| disk.picture());
    for key in 1000..2000u64 {
        disk.commit(vec![put(Space::Inbox, key, &[2; 1500])]).unwrap();
        disk.commit(vec![remove(Space::Inbox, key)]).unwrap();
        disk.tidy().unwrap();
    }
    let number = disk.writing().0.tail.number;
    drop(picture);
    number
}

#[test]
fn while_a_picture_is_held_what_waits_is_not_written_again_and_again() {
    let (without, with) = (written_beside(200_000, false), written_beside(200_000, true));
    assert!(with < without + 8, "{without} segments are written without a picture, {with} with one");
}

#[test]
fn segments_that_cannot_be_emptied_do_not_make_the_others_move_again_and_again() {
    let written = |stuck: bool| {
        let dir = tempfile::tempdir().unwrap();
        let disk = open(dir.path()).unwrap();
        let mut spots = vec![];
        // Sixteen segments of which little is needed.
        for round in 0..16u64 {
            disk.commit(vec![put(Space::Inbox, round, &[1; 100])]).unwrap();
            spots.push(segment::split(disk.writing().0.tail.reach.last));
            for key in 1000 + round * 100..1022 + round * 100 {
                disk.commit(vec![put(Space::Outbox, key, &[1; 1500])]).unwrap();
                disk.commit(vec![remove(Space::Outbox, key)]).unwrap();
            }
        }
        for (number, within) in spots.into_iter().filter(|_| stuck) {
            let path = segment::path(&paths(dir.path()).log, number);
            fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[0; 4], within).unwrap();
        }
        for key in 50_000..50_060u64 {
            disk.commit(vec![put(Space::Outbox, key, &[1; 1500])]).unwrap();
        }
        let before = disk.writing().0.tail.number;
        for key in 0..200u64 {
            disk.commit(vec![put(Space::Small, key, b"one")]).unwrap();
            disk.tidy().unwrap();
        }
        disk.writing().0.tail.number - before
    };
    let (without, with) = (written(false), written(true));
    assert!(with < without + 8, "{without} segments are written, and {with} where some stay");
}
