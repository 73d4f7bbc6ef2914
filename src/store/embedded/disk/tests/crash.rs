//! Crashes at every commit, torn in every way that a disk may tear, beside a plain model.

use std::{fs, ops::Range, os::unix::fs::FileExt as _, path::Path};

use tempfile::TempDir;

use super::{Model, SMALL, all, copy, journal_of, live_is_right, open, paths, put};
use crate::store::{
    embedded::{
        disk::Disk,
        log::{
            blocks::faults,
            record::{self, Entry},
            segment,
        },
    },
    engine::kv::{Change, Kv as _, Space},
};

/// What a disk writes whole; what it was writing when the power went may be lost.
const SECTOR: u64 = 512;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// What was torn is gone.
fn nothing_follows(disk: &Disk) {
    let tail = &disk.writing().0.tail;
    let (number, end) = segment::split(tail.reach.end);
    let end = if number == tail.number { end } else { segment::HEADER };
    let rest = tail.blocks.read(end, 3 * SMALL.segment as usize).unwrap();
    assert!(rest.iter().all(|byte| *byte == 0));
}

/// Some sectors of a part of a file are as they were before it was written: `old` bytes. Whether that changed anything.
fn tear(file: &Path, part: Range<u64>, old: u8, dice: &mut Dice) -> bool {
    let target = fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
    let (mut at, mut torn) = (part.start, false);
    let many = 1 + dice.roll(4);
    while at < part.end {
        let next = (at / SECTOR + 1) * SECTOR;
        if dice.roll(many) == 0 {
            let mut bytes = vec![old; (next.min(part.end) - at) as usize];
            target.read_exact_at(&mut bytes, at).unwrap();
            torn |= bytes.iter().any(|byte| *byte != old);
            bytes.fill(old);
            target.write_all_at(&bytes, at).unwrap();
        }
        at = next;
    }
    torn
}

/// A store with a model of what it must have.
struct Walk {
    dice: Dice,
    disk: Disk,
    dir: TempDir,
    model: Model,
    /// Before the last commit.
    before: Model,
    next: u64,
    /// What of the tables' journal is on the disk.
    synced: u64,
}

impl Walk {
    fn begin(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = open(dir.path()).unwrap();
        let synced = journal_of(dir.path()).1;
        Self { dice: Dice(seed), disk, dir, model: Model::new(), before: Model::new(), next: 1, synced }
    }

    fn commit(&mut self) {
        let changes = self.changes();
        self.disk.commit(changes).unwrap();
    }

    /// What is to be committed next, done to the model.
    fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for _ in 0..=self.dice.roll(4) {
            let bulk = [Space::Inbox, Space::Outbox][self.dice.roll(2) as usize];
            self.next += 1;
            let value = vec![self.dice.roll(256) as u8; self.dice.roll(3000) as usize + 1];
            changes.push(put(bulk, self.next, &value));
            changes.push(put(Space::Small, self.dice.roll(40), &self.next.to_be_bytes()));
        }
        let mut gone: Vec<_> = self.model.keys().filter(|_| self.dice.roll(9) == 0).cloned().collect();
        gone.truncate(6);
        changes.retain(|change| !gone.contains(&(change.space, change.key.clone())));
        changes.extend(gone.into_iter().map(|(space, key)| Change { space, key, value: None }));
        self.before = self.model.clone();
        for Change { space, key, value } in changes.clone() {
            match value {
                Some(value) => drop(self.model.insert((space, key), value)),
                None => drop(self.model.remove(&(space, key))),
            }
        }
        changes
    }

    fn tidy(&mut self) {
        let before = self.disk.writing().0.safe;
        self.disk.tidy().unwrap();
        if self.disk.writing().0.safe != before {
            self.synced = journal_of(self.dir.path()).1;
        }
    }

    /// What a crash leaves right now: the last commit torn or not, of the tables what was synced and any part of the rest.
    fn crash(&mut self, torn: bool) {
        let image = tempfile::tempdir().unwrap();
        copy(self.dir.path(), image.path());
        let (journal, used) = journal_of(image.path());
        let reach = self.disk.writing().0.tail.reach;
        if self.dice.roll(3) > 0 && used > self.synced {
            // fjall looks no further where a commit begins with what is none.
            tear(&journal, self.synced..used, 0, &mut self.dice);
        }
        let mut expected = &self.model;
        if torn {
            // The tables get a commit when it is on the disk.
            fs::OpenOptions::new().write(true).open(&journal).unwrap().set_len(self.synced).unwrap();
            let (number, _) = segment::split(reach.last);
            let (log, start) = (segment::path(&paths(image.path()).log, number), segment::start(number));
            if tear(&log, reach.last - start..reach.end - start, 0, &mut self.dice) {
                expected = &self.before;
            }
        }
        let disk = open(image.path()).unwrap();
        assert_eq!(all(&disk), *expected);
        live_is_right(&disk, image.path());
        nothing_follows(&disk);
        // It goes on from there, and opens again.
        let more = [put(Space::Outbox, u64::MAX, &[7; 5000]), put(Space::Small, 1, b"after")];
        disk.commit(more.to_vec()).unwrap();
        disk.tidy().unwrap();
        let after = all(&disk);
        assert_eq!(
            after.len(),
            expected.len()
                + 1
                + usize::from(!expected.contains_key(&(Space::Small, 1u64.to_be_bytes().to_vec())))
        );
        drop(disk);
        let disk = open(image.path()).unwrap();
        assert_eq!(all(&disk), after);
        live_is_right(&disk, image.path());
    }
}

#[test]
fn whatever_of_it_a_crash_leaves_all_that_was_promised_is_there_and_nothing_by_half() {
    for seed in 0..12 {
        let mut walk = Walk::begin(seed);
        for round in 0..40 {
            walk.commit();
            let torn = walk.dice.roll(2) == 0;
            if round % 3 == 0 || torn {
                walk.crash(torn);
            }
            walk.tidy();
            if walk.dice.roll(4) == 0 {
                walk.crash(false);
            }
        }
        assert_eq!(all(&walk.disk), walk.model);
        live_is_right(&walk.disk, walk.dir.path());
    }
}

#[test]
fn whatever_write_or_sync_fails_what_was_told_is_there_and_the_rest_whole_or_not_at_all() {
    for seed in 100..112 {
        let (mut walk, mut failed) = (Walk::begin(seed), 0);
        for _ in 0..60 {
            let changes = walk.changes();
            // A commit writes and syncs a few times at most: often none of them fails.
            let fault = |dice: &mut Dice| Some((dice.roll(8) as u32, 512 * dice.roll(20) as usize));
            faults::set(fault(&mut walk.dice));
            let kept = walk.disk.commit(changes);
            if kept.is_ok() && walk.disk.tidy().is_ok() {
                continue;
            }
            failed += 1;
            let Walk { dir, disk, dice, .. } = &mut walk;
            // The failed one gives its files back first.
            *disk = open(tempfile::tempdir().unwrap().path()).unwrap();
            let paths = paths(dir.path());
            faults::set(fault(dice));
            let again = Disk::reopen_as(&paths, SMALL);
            faults::set(None);
            walk.disk = again.or_else(|_| Disk::reopen_as(&paths, SMALL)).unwrap();
            if kept.is_err() && all(&walk.disk) != walk.model {
                walk.model = walk.before.clone();
            }
            assert_eq!(all(&walk.disk), walk.model);
            live_is_right(&walk.disk, walk.dir.path());
            nothing_follows(&walk.disk);
        }
        faults::set(None);
        assert!(failed > 10, "{failed}");
        drop(walk.disk);
        assert_eq!(all(&open(walk.dir.path()).unwrap()), walk.model);
    }
}

#[test]
fn what_was_told_lies_in_no_block_that_is_written_again() {
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = open(dir.path()).unwrap();
    let mut ends = vec![];
    for key in 0..3u64 {
        disk.commit(vec![put(Space::Inbox, key, &[7; 300])]).unwrap();
        ends.push(segment::split(disk.writing().0.tail.reach.end).1);
    }
    copy(dir.path(), image.path());
    // The tables have nothing of it, as after a power cut, and the blocks that were written last are lost whole.
    fs::remove_dir_all(paths(image.path()).tables).unwrap();
    let log = fs::OpenOptions::new().write(true).open(segment::path(&paths(image.path()).log, 0)).unwrap();
    log.write_all_at(&vec![0xaa; (ends[2] - ends[1]).next_multiple_of(4096) as usize], ends[1] / 4096 * 4096)
        .unwrap();
    assert_eq!(all(&open(image.path()).unwrap()).len(), 2);
}

/// A segment as an earlier version wrote it: records one after the other, each with a message. Where each of them ends.
fn packed(dir: &Path, records: u64) -> Vec<usize> {
    let mut bytes = segment::earlier(0, 7);
    let mut ends = vec![bytes.len()];
    for key in 0..records {
        let Change { space, key, value } = put(Space::Inbox, key, &[key as u8; 300]);
        let entries = vec![Entry { space, key, value, frees: None }];
        let (head, values) = record::sizes(&entries);
        let (at, before) = (bytes.len() as u64, *ends.last().unwrap() as u64);
        record::encode(entries, head + values, (at, before), 7, &mut bytes).unwrap();
        ends.push(bytes.len());
    }
    fs::create_dir_all(paths(dir).log).unwrap();
    fs::write(segment::path(&paths(dir).log, 0), [bytes, vec![0; 9000]].concat()).unwrap();
    ends
}

#[test]
fn a_log_of_an_earlier_version_is_read_and_goes_on_in_another_segment() {
    for torn in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let ends = packed(dir.path(), 20);
        let there = if torn { 19 } else { 20 };
        if torn {
            let file =
                fs::OpenOptions::new().write(true).open(segment::path(&paths(dir.path()).log, 0)).unwrap();
            file.write_all_at(&[9; 100], ends[20] as u64 - 100).unwrap();
        }
        let disk = open(dir.path()).unwrap();
        assert_eq!((all(&disk).len(), disk.writing().0.tail.number), (there, 1));
        disk.commit(vec![put(Space::Inbox, 100, b"more")]).unwrap();
        drop(disk);
        let disk = open(dir.path()).unwrap();
        assert_eq!((all(&disk).len(), disk.writing().0.tail.number), (there + 1, 1));
        live_is_right(&disk, dir.path());
    }
}
