//! What is written, in which order, and what a crash or a failing disk leaves (`https-token`, "A crash between two
//! steps").

use std::{sync::Arc, time::Duration};

use crate::{
    link::{
        event::{Action, Change, Event, Fact},
        peer::Peer,
        testing::{Bench, answered, fresh, offer, settings},
    },
    token::family::{Family, NewPair},
    wire::{
        family::FamilyRecord,
        record::{LinkRecord, VaultWrite},
        secret::Digest,
    },
};

/// What the disk holds after these writes.
#[derive(Default)]
struct Disk {
    link: Option<LinkRecord>,
    families: Vec<FamilyRecord>,
}

impl Disk {
    fn write(&mut self, writes: Vec<VaultWrite>) {
        for write in writes {
            match write {
                VaultWrite::PutLink(link) => self.link = Some(*link),
                VaultWrite::PutFamily(family) => {
                    self.families.retain(|known| known.id != family.id);
                    self.families.push(*family);
                }
                VaultWrite::DropFamily { id, .. } => self.families.retain(|known| known.id != id),
                VaultWrite::DropLink(_) => *self = Self::default(),
            }
        }
    }

    /// The process dies and another begins.
    fn restart(&self, bench: &mut Bench) {
        let link = self.link.clone().unwrap_or_else(|| LinkRecord::new(bench.peer.host().clone()));
        let families = self.families.clone().into_iter();
        bench.peer = Peer::from_record(link, None, families, Arc::new(settings()), &mut bench.dice);
    }
}

fn taken(n: u64) -> (Event, Change) {
    let name = format!("t{n}");
    let pair = pair(&name);
    let offer = offer(&name);
    let change = crate::link::asking::taken(Some(&offer), false, n, pair, crate::link::testing::at(0));
    (Event::GrantTaken { family: n, pair, offer: Some(offer), likely: false }, change)
}

fn pair(name: &str) -> NewPair {
    let hour = Duration::from_secs(3600);
    let now = crate::link::testing::at(0).wall;
    NewPair::new(
        Digest::of(format!("a-{name}").as_bytes()),
        hour,
        Digest::of(format!("r-{name}").as_bytes()),
        hour,
        now,
    )
}

//= HT-ASK-07, HT-GRANT-10
#[test]
fn a_change_and_the_link_with_it_are_one_commit_and_come_back_after_a_restart() {
    let (mut bench, mut disk) = (Bench::new(), Disk::default());
    let (event, change) = taken(1);
    bench.on(event);
    disk.write(bench.peer.writes(&change, bench.now()));
    disk.restart(&mut bench);
    assert!(bench.opens(&pair("t1").access));
    assert_eq!(bench.queue([1]), ["send t1 [1]"]);
}

//= HT-GRANT-10
#[test]
fn what_is_written_is_what_the_machine_becomes() {
    let (mut bench, mut disk) = (Bench::new(), Disk::default());
    for n in 1..=7 {
        let (event, change) = taken(n);
        bench.on(event);
        disk.write(bench.peer.writes(&change, bench.now()));
        bench.on(Event::Kept);
        let mut families: Vec<_> = bench.peer.families().iter().map(Family::to_record).collect();
        families.sort_by_key(|family| family.id);
        disk.families.sort_by_key(|family| family.id);
        assert_eq!(disk.families, families);
        let mut link = bench.peer.record();
        // Heard and succeeded are news of the commit itself.
        let written = disk.link.as_ref().unwrap();
        (link.heard, link.succeeded) = (written.heard, written.succeeded);
        assert_eq!(*written, link);
    }
}

#[test]
fn a_family_that_is_used_between_hand_over_and_commit_is_not_the_one_that_makes_room() {
    let (mut bench, mut disk) = (Bench::new(), Disk::default());
    for n in 1..=5 {
        let (event, change) = taken(n);
        bench.on(event);
        disk.write(bench.peer.writes(&change, bench.now()));
        if n == 5 {
            // Family 1 made room at the hand-over: it opens nothing from there, and 2 may be used.
            assert!(!bench.opens(&pair("t1").access));
            assert!(bench.opens(&pair("t2").access));
        }
        bench.on(Event::Kept);
    }
    let mut on_disk: Vec<_> = disk.families.iter().map(|family| family.id).collect();
    let mut in_memory: Vec<_> = bench.peer.families().iter().map(Family::id).collect();
    on_disk.sort_unstable();
    in_memory.sort_unstable();
    assert_eq!(on_disk, in_memory);
}

//= HT-CRASH-01
#[test]
fn an_ask_is_not_stored_and_its_grant_is_unknown_after_a_restart() {
    let mut bench = Bench::new();
    bench.queue([1]);
    let record = bench.peer.record();
    bench.peer = Peer::from_record(record, None, std::iter::empty(), Arc::new(settings()), &mut bench.dice);
    assert_eq!(bench.grant("t1"), ["answer 1: token-unknown"]);
    assert_eq!(bench.on(Event::MailQueued), ["ask"]);
}

//= HT-GRANT-10
#[test]
fn a_grant_that_could_not_be_kept_is_503_and_may_come_again() {
    let mut bench = Bench::new();
    bench.queue([1]);
    bench.grant("t1");
    assert_eq!(bench.on(Event::NotKept), ["answer 1: 503"]);
    assert_eq!(bench.peer.families().iter().count(), 0);
    assert!(bench.peer.record().held.is_empty());
    assert_eq!(bench.grant("t1"), ["keep grant t1"]);
    assert_eq!(bench.on(Event::Kept), ["answer 2: 204", "send t1 [1]"]);
}

#[test]
fn changes_are_kept_one_after_the_other() {
    let mut bench = Bench::linked();
    bench.pass(3);
    bench.on(Event::RefreshWanted);
    assert_eq!(bench.on(Event::Refreshed(fresh("t2", 3600))), ["keep refresh t2"]);
    assert!(bench.on(taken(9).0).is_empty());
    assert_eq!(bench.on(Event::Kept), ["keep taken t9"]);
    assert!(bench.on(Event::Kept).is_empty());
    assert_eq!(bench.peer.record().held.len(), 2);
}

#[test]
fn nothing_else_of_the_link_is_written_while_a_change_is_on_its_way() {
    let mut bench = Bench::sending([1]);
    bench.pass(3);
    bench.on(Event::ConnectWanted);
    bench.grant("t2");
    bench.peer.handle(answered(500), bench.now(), &mut bench.dice.clone());
    assert!(!bench.peer.actions().any(|action| matches!(action, Action::Save)));
    assert!(!bench.peer.take_dirty());
    bench.peer.handle(Event::NotKept, bench.now(), &mut bench.dice.clone());
    assert!(bench.peer.actions().any(|action| matches!(action, Action::Save)));
    assert!(bench.peer.record().repeats.iter().all(|repeat| repeat.token != offer("t2").token.digest()));
}

#[test]
fn a_failure_is_written_so_that_the_history_survives_a_restart() {
    let mut bench = Bench::sending([1]);
    bench.on(answered(500));
    let record = bench.peer.record();
    assert_eq!((record.failures, record.tries), (1, 1));
    assert!(record.failed.unwrap().reason.contains("500"));
}

//= HT-CRASH-05
#[test]
fn a_link_that_is_forgotten_while_a_grant_is_on_its_way_to_the_disk_stays_forgotten() {
    let mut bench = Bench::new();
    bench.queue([1]);
    let ask = bench.ask.as_ref().unwrap().token.digest();
    bench.grant("t1");
    bench.peer.forget();
    assert_eq!(bench.on(Event::Kept), ["answer 1: 503"]);
    assert!(!bench.opens(&ask));
    assert!(bench.peer.record().held.is_empty());
    assert_eq!(bench.grant_under(ask, offer("t1")), ["answer 2: token-unknown"]);
}

//= HT-CRASH-05
#[test]
fn what_was_offered_before_the_end_of_the_link_finds_no_place_behind_it() {
    let mut bench = Bench::new();
    bench.queue([1]);
    bench.grant("t1");
    let (taken, _) = taken(7);
    assert_eq!(bench.on(taken), [""; 0], "one change at a time");
    bench.peer.forget();
    assert_eq!(bench.on(Event::Kept), ["no place", "answer 1: 503"]);
    assert!(bench.peer.families().iter().next().is_none());
}

#[test]
fn forgetting_ends_what_an_operator_waits_for_and_mail_stays() {
    let mut bench = Bench::new();
    bench.queue([1]);
    bench.peer.forget();
    bench.on(Event::Woken);
    assert!(bench.has_fact(|fact| matches!(fact, Fact::AskFailed(_))));
    // The call of the forgotten request is still open: the next one waits for its end.
    bench.pass(3);
    assert_eq!(
        bench.on(Event::Asked(Err(crate::link::testing::trouble(crate::wire::answer::CallStage::Timeout)))),
        ["ask"]
    );
}

#[test]
fn the_outcome_of_a_refresh_that_was_under_way_when_the_link_was_forgotten_brings_nothing() {
    let mut bench = Bench::linked();
    bench.pass(3);
    bench.on(Event::RefreshWanted);
    bench.peer.forget();
    assert!(bench.on(Event::Refreshed(fresh("t2", 3600))).is_empty());
    assert_eq!(bench.queue([1]), [""; 0]);
    assert_eq!(bench.pass(2), ["ask"]);
}
