//! The window of repeats.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ymp::{
    store::{Inbox, Store as _, embedded::Embedded},
    wire::{
        cursor::Cursor,
        record::Appended,
        time::{Mono, Now, Wall},
    },
};

use crate::house::{House, START, clock, open, service, settings};

fn answer(kept: usize, repeats: usize, altered: &[&str]) -> Appended {
    Appended { kept, repeats, altered: altered.iter().map(|id| (*id).into()).collect() }
}

crate::promises! {
    //= HT-PKT-03
    fn a_repeat_is_kept_once_and_recognised_after_a_restart(house) {
        let packet = || house.packet("beta.test", &[("1", "a"), ("2", "b")]);
        assert_eq!(house.arrive(packet()).unwrap(), answer(2, 0, &[]));
        assert_eq!(house.arrive(packet()).unwrap(), answer(0, 2, &[]));
        let more = house.packet("beta.test", &[("2", "b"), ("3", "c")]);
        house.restart();
        assert_eq!(house.arrive(more).unwrap(), answer(1, 1, &[]));
        assert_eq!(house.inbox(), ["a", "b", "c"]);
    }

    //= YMP-MSG-02
    fn the_same_id_of_another_host_is_another_message(house) {
        house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap();
        assert_eq!(house.arrive(house.packet("gamma.test", &[("1", "a")])).unwrap(), answer(1, 0, &[]));
        assert_eq!(house.arrive(house.packet("beta.test:444", &[("1", "a")])).unwrap(), answer(1, 0, &[]));
    }

    fn a_repeat_within_one_packet_is_kept_once(house) {
        let packet = house.packet("beta.test", &[("1", "a"), ("1", "a"), ("1", "z")]);
        assert_eq!(house.arrive(packet).unwrap(), answer(1, 2, &["1"]));
        assert_eq!(house.inbox(), ["a"]);
    }

    //= HT-PKT-04
    fn a_repeat_with_other_content_is_told_and_the_first_stays(house) {
        house.arrive(house.packet("beta.test", &[("1", "a"), ("2", "b")])).unwrap();
        let packet = house.packet("beta.test", &[("3", "c"), ("2", "z")]);
        assert_eq!(house.arrive(packet).unwrap(), answer(1, 1, &["2"]));
        house.restart();
        assert_eq!(house.arrive(house.packet("beta.test", &[("1", "y")])).unwrap(), answer(0, 1, &["1"]));
        assert_eq!(house.inbox(), ["a", "b", "c"]);
    }

    //= HT-PKT-16
    fn a_message_is_recognised_after_it_was_read_and_trimmed(house) {
        house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap();
        house.acknowledge("x", 1);
        house.trim(&["x"], house.now());
        house.restart();
        assert_eq!(house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap(), answer(0, 1, &[]));
    }

    //= HT-PKT-16
    fn a_message_is_recognised_for_its_time_and_then_forgotten(house) {
        house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap();
        house.pass(Duration::from_secs(3));
        house.arrive(house.packet("beta.test", &[("2", "b")])).unwrap();
        house.pass(Duration::from_secs(8 * 24 * 3600 - 10));
        assert_eq!(house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap(), answer(0, 1, &[]));
        house.pass(Duration::from_secs(60));
        house.arrive(house.packet("beta.test", &[("3", "c")])).unwrap();
        house.arrive(house.packet("beta.test", &[("4", "d")])).unwrap();
        assert_eq!(house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap(), answer(1, 0, &[]));
        assert_eq!(house.store().figures().window_evicted, 0);
    }

    //= HT-PKT-17
    fn a_peer_that_fills_its_window_forgets_its_own_oldest_only(house) {
        house.with(|settings| settings.dedupe_per_peer = 2);
        house.arrive(house.packet("gamma.test", &[("1", "g")])).unwrap();
        house.arrive(house.packet("beta.test", &[("1", "a"), ("2", "b"), ("3", "c")])).unwrap();
        let figures = house.store().figures();
        assert_eq!((figures.window_entries, figures.window_evicted), (3, 1));
        house.restart();
        assert_eq!(house.arrive(house.packet("gamma.test", &[("1", "g")])).unwrap(), answer(0, 1, &[]));
        assert_eq!(house.arrive(house.packet("beta.test", &[("3", "c"), ("2", "b")])).unwrap(), answer(0, 2, &[]));
        assert_eq!(house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap(), answer(1, 0, &[]));
    }

    //= HT-PKT-17
    fn over_the_total_the_peer_with_most_entries_forgets_its_oldest(house) {
        house.with(|settings| settings.dedupe_total = 4);
        house.arrive(house.packet("gamma.test", &[("1", "g")])).unwrap();
        house.arrive(house.packet("beta.test", &[("1", "a"), ("2", "b"), ("3", "c"), ("4", "d")])).unwrap();
        assert_eq!(house.store().figures().window_entries, 4);
        assert_eq!(house.arrive(house.packet("gamma.test", &[("1", "g")])).unwrap(), answer(0, 1, &[]));
        assert_eq!(house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap(), answer(1, 0, &[]));
    }

    //= HT-PKT-03
    fn repeats_under_way_together_are_kept_once(house) {
        let handed: Vec<_> = (0..50)
            .map(|_| Inbox::append(house.store(), house.packet("beta.test", &[("1", "a")])).unwrap())
            .collect();
        let kept: usize = handed.into_iter().map(|receipt| receipt.wait().unwrap().kept).sum();
        assert_eq!((kept, house.inbox().len()), (1, 1));
        assert_eq!(Inbox::read(house.store(), &service(), Cursor(1), 9, 99).unwrap(), []);
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

/// Closes, lets time pass, opens again.
fn rest(house: &mut House, time: Duration) {
    house.store().close();
    house.pass(time);
    house.restart();
}

#[test]
fn a_start_far_from_the_last_time_seen_forgets_nothing_for_an_hour() {
    let mut house = House::embedded();
    let packet = |house: &House| house.packet("beta.test", &[("1", "a")]);
    house.arrive(packet(&house)).unwrap();
    rest(&mut house, 40 * DAY);
    assert_eq!(house.arrive(packet(&house)).unwrap(), answer(0, 1, &[]));
    house.pass(50 * MINUTE);
    house.arrive(house.packet("beta.test", &[("2", "b")])).unwrap();
    house.restart();
    house.pass(50 * MINUTE);
    house.arrive(house.packet("beta.test", &[("3", "c")])).unwrap();
    assert_eq!(house.arrive(packet(&house)).unwrap(), answer(0, 1, &[]));
    house.pass(11 * MINUTE);
    house.arrive(house.packet("beta.test", &[("4", "d")])).unwrap();
    assert_eq!(house.arrive(packet(&house)).unwrap(), answer(1, 0, &[]));
}

#[test]
fn a_start_within_a_day_forgets_what_is_too_old_at_once() {
    let mut house = House::embedded();
    let packet = |house: &House| house.packet("beta.test", &[("1", "a")]);
    house.arrive(packet(&house)).unwrap();
    house.pass(7 * DAY + DAY / 2);
    house.arrive(house.packet("beta.test", &[("2", "b")])).unwrap();
    rest(&mut house, DAY - MINUTE);
    assert_eq!(house.arrive(packet(&house)).unwrap(), answer(1, 0, &[]));
}

#[test]
fn the_last_time_seen_is_kept_with_commits_and_at_close() {
    let mut house = House::embedded();
    let first = house.now();
    assert_eq!(house.store().last_seen(), None);
    house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap();
    let crash = |house: &House| {
        let copy = tempfile::tempdir().unwrap();
        copy_all(house.dir(), copy.path());
        open(copy.path(), settings(), &clock()).unwrap().last_seen()
    };
    assert_eq!(crash(&house), Some(first));
    house.pass(MINUTE / 2);
    house.arrive(house.packet("beta.test", &[("2", "b")])).unwrap();
    assert_eq!(crash(&house), Some(first));
    house.pass(MINUTE / 2);
    house.arrive(house.packet("beta.test", &[("3", "c")])).unwrap();
    assert_eq!(crash(&house), Some(first.plus(MINUTE)));
    house.pass(MINUTE / 2);
    rest(&mut house, DAY);
    assert_eq!(house.store().last_seen(), Some(first.plus(MINUTE + MINUTE / 2)));
}

#[test]
fn a_time_that_is_not_believed_is_not_kept() {
    let mut house = House::embedded();
    house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap();
    let seen = Some(house.now());
    rest(&mut house, 40 * DAY);
    house.arrive(house.packet("beta.test", &[("2", "b")])).unwrap();
    house.restart();
    assert_eq!(house.store().last_seen(), seen);
    house.pass(61 * MINUTE);
    let later = Some(house.now());
    house.restart();
    assert_eq!(house.store().last_seen(), later);
}

/// Runs of one store, each told by how far it starts from the last time seen; whether that time was believed.
fn believed(away: i64) -> bool {
    let (dir, memory, clock) = (tempfile::tempdir().unwrap(), House::memory(), clock());
    let start = START + 10 * DAY.as_millis() as u64;
    let run = |at: u64| {
        clock.store(at, Ordering::Relaxed);
        let store = open(dir.path(), settings(), &clock).unwrap();
        Inbox::append(&store, memory.packet("beta.test", &[(&at.to_string(), "a")])).unwrap().wait().unwrap();
        store.last_seen()
    };
    assert_eq!((run(start), run(start)), (None, Some(Wall(start))));
    let strange = start.saturating_add_signed(away);
    run(strange);
    run(strange) == Some(Wall(strange))
}

#[test]
fn a_start_more_than_a_day_away_in_either_direction_is_not_believed() {
    let day = DAY.as_millis() as i64;
    assert!(believed(day) && believed(-day));
    assert!(!believed(day + 1) && !believed(-day - 1));
}

#[test]
fn a_clock_that_jumps_while_running_is_not_kept() {
    let (dir, memory, mono) = (tempfile::tempdir().unwrap(), House::memory(), Arc::new(AtomicU64::new(0)));
    let jumped = Arc::new(AtomicU64::new(0));
    let now = {
        let (mono, jumped) = (mono.clone(), jumped.clone());
        move || {
            let at = mono.load(Ordering::Relaxed);
            Now { mono: Mono(at), wall: Wall(START + at + jumped.load(Ordering::Relaxed)) }
        }
    };
    let store = Embedded::open(dir.path(), settings(), Arc::new(now)).unwrap();
    for (at, jump) in [(0, 0), (61_000, 0), (61_500, 40), (130_000, 40)] {
        mono.store(at, Ordering::Relaxed);
        jumped.store(jump * DAY.as_millis() as u64, Ordering::Relaxed);
        Inbox::append(&store, memory.packet("beta.test", &[(&at.to_string(), "a")])).unwrap().wait().unwrap();
    }
    drop(store);
    let seen = open(dir.path(), settings(), &clock()).unwrap().last_seen();
    assert_eq!(seen, Some(Wall(START + 61_000)));
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
            copy_all(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn a_quiet_peer_does_not_keep_what_a_busy_one_has_left_behind() {
    let mut house = House::embedded();
    house.with(|settings| settings.dedupe_per_peer = 100);
    let packet = |from: &str, first: usize, count: usize| {
        let ids: Vec<_> = (first..first + count).map(|n| n.to_string()).collect();
        house.packet(from, &ids.iter().map(|id| (id.as_str(), "t")).collect::<Vec<_>>())
    };
    for round in 0..40 {
        // Handed over together, so that most of them share a commit.
        let busy = Inbox::append(house.store(), packet("busy.test", round * 300, 300)).unwrap();
        let quiet = Inbox::append(house.store(), packet("quiet.test", round, 1)).unwrap();
        busy.wait().unwrap();
        quiet.wait().unwrap();
    }
    assert_eq!(house.store().figures().window_entries, 140);
    assert_eq!(house.store().figures().window_evicted, 40 * 300 - 100);
    house.restart();
    let figures = house.store().figures();
    assert_eq!((figures.window_entries, figures.window_evicted), (140, 0), "nothing is evicted anew");
    let answer = house.arrive(packet_of(&house, "busy.test", &["11999", "1"])).unwrap();
    assert_eq!((answer.kept, answer.repeats), (1, 1), "the newest is known, the oldest is not");
}

fn packet_of(house: &House, from: &str, ids: &[&str]) -> ymp::wire::record::InboxBatch {
    house.packet(from, &ids.iter().map(|id| (*id, "t")).collect::<Vec<_>>())
}
