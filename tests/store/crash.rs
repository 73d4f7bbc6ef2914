//! What holds when a commit fails, when the queue or the disk is full, and when the engine is closed.

use ymp::{
    store::{Inbox, Outbox, Settings, Store, StoreError, Vault, memory::Memory},
    wire::{
        cursor::Cursor,
        record::{InboxBatch, OutboxBatch, OutboxItem, Seq, Settlement},
        time::Wall,
    },
};

use crate::house::{House, host, service, settings};

fn refused_by_all(store: &dyn Store, is: impl Fn(&StoreError) -> bool) {
    let settlement = Settlement {
        host: host("b.test"),
        now: Wall(0),
        tries: 0,
        delivered: vec![],
        dead: vec![],
        marks: vec![],
    };
    assert!(Inbox::append(store, InboxBatch::default()).is_err_and(|e| is(&e)));
    assert!(Outbox::append(store, OutboxBatch { items: vec![], queued: Wall(0) }).is_err_and(|e| is(&e)));
    assert!(store.acknowledge("x", &service(), Cursor(0)).is_err_and(|e| is(&e)));
    assert!(store.trim(&service(), &[], Wall(0)).is_err_and(|e| is(&e)));
    assert!(store.settle(settlement).is_err_and(|e| is(&e)));
    assert!(store.revive("x", Wall(0), Wall(0), 0).is_err_and(|e| is(&e)));
    assert!(store.bury("x", Wall(0)).is_err_and(|e| is(&e)));
    assert!(store.prune(Wall(0)).is_err_and(|e| is(&e)));
    assert!(Vault::commit(store, vec![]).is_err_and(|e| is(&e)));
    assert!(store.healthy().is_err_and(|e| is(&e)));
}

fn is_doubt(error: &StoreError) -> bool {
    matches!(error, StoreError::Doubt(_))
}

crate::promises! {
    //= HT-PKT-15, HT-CRASH-06
    fn a_failed_commit_ends_in_doubt_and_takes_back_its_entries(house) {
        house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap();
        house.fail_next_commit();
        assert!(house.arrive(house.packet("beta.test", &[("2", "b")])).is_err_and(|e| is_doubt(&e)));
        refused_by_all(house.store(), is_doubt);
        assert_eq!(house.store().figures().window_entries, 1);
        house.recover();
        let answer = house.arrive(house.packet("beta.test", &[("1", "a"), ("2", "b")])).unwrap();
        assert_eq!((answer.kept, answer.repeats), (1, 1));
        assert_eq!(house.inbox(), ["a", "b"]);
        assert_eq!(house.store().figures().failed_commits, 1);
    }

    //= HT-PKT-15
    fn a_commit_that_was_told_as_failed_may_be_there_and_then_is_recognised(house) {
        house.doubt_next_commit();
        assert!(house.arrive(house.packet("beta.test", &[("1", "a")])).is_err_and(|e| is_doubt(&e)));
        house.recover();
        assert_eq!(house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap().repeats, 1);
        assert_eq!(house.inbox(), ["a"]);
    }

    fn a_failed_commit_leaves_counts_and_places_as_they_were(house) {
        house.with(|settings| settings.outbox.messages = 2);
        house.queue("beta.test", &["a"]);
        house.fail_next_commit();
        assert!(house.send(vec![house.mail("beta.test", "b")]).is_err_and(|e| is_doubt(&e)));
        assert_eq!(house.store().waiting_for(&host("beta.test")).unwrap().messages, 1);
        house.recover();
        assert_eq!(house.store().status("b").unwrap(), None);
        house.queue("beta.test", &["b"]);
        assert_eq!(house.outbox("beta.test"), ["a", "b"]);
        house.fail_next_commit();
        let (delivered, dead, marks) = (vec![Seq(1)], vec![], vec![]);
        let settlement = Settlement { host: host("beta.test"), now: house.now(), tries: 0, delivered, dead, marks };
        assert!(house.store().settle(settlement).unwrap().wait().is_err_and(|e| is_doubt(&e)));
        house.recover();
        assert_eq!(house.outbox("beta.test"), ["a", "b"]);
    }

    //= HT-PKT-14
    fn a_caller_that_goes_away_does_not_take_its_batch_back(house) {
        drop(Inbox::append(house.store(), house.packet("beta.test", &[("1", "a")])).unwrap());
        house.restart();
        assert_eq!(house.inbox(), ["a"]);
    }

    fn closing_commits_what_was_handed_over_and_refuses_all_after_it(house) {
        let handed: Vec<_> = (0..200)
            .map(|n| Inbox::append(house.store(), house.packet("beta.test", &[(&n.to_string(), "m")])).unwrap())
            .collect();
        house.store().close();
        house.store().close();
        assert!(handed.into_iter().all(|receipt| receipt.wait().is_ok()));
        refused_by_all(house.store(), |e| matches!(e, StoreError::Closed));
        assert!(matches!(Inbox::read(house.store(), &service(), Cursor(0), 1, 1), Err(StoreError::Closed)));
        assert!(matches!(house.store().status("x"), Err(StoreError::Closed)));
        house.restart();
        assert_eq!(house.inbox().len(), 200);
    }

    fn many_that_wait_share_a_commit_and_come_out_in_order(house) {
        let handed: Vec<_> = (0..1000)
            .map(|n| Inbox::append(house.store(), house.packet("beta.test", &[(&n.to_string(), &n.to_string())])).unwrap())
            .collect();
        assert!(handed.into_iter().all(|receipt| receipt.wait().is_ok()));
        let figures = house.store().figures();
        assert!(figures.batches == 1000 && figures.commits <= 1000, "{figures:?}");
        let sorted: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        assert_eq!(house.inbox(), sorted);
    }

    fn a_name_that_cannot_be_written_spoils_nobody_elses_commit(house) {
        let long = OutboxItem { id: "x".repeat(70_000).into(), ..house.mail("beta.test", "x") };
        let before = Outbox::append(house.store(), OutboxBatch { items: vec![house.mail("beta.test", "a")], queued: Wall(0) });
        let bad = Outbox::append(house.store(), OutboxBatch { items: vec![house.mail("beta.test", "b"), long], queued: Wall(0) });
        let after = Outbox::append(house.store(), OutboxBatch { items: vec![house.mail("beta.test", "c")], queued: Wall(0) });
        assert!(matches!(bad.unwrap().wait(), Err(StoreError::Io { .. })));
        assert!(before.unwrap().wait().is_ok() && after.unwrap().wait().is_ok());
        assert_eq!(house.outbox("beta.test"), ["a", "c"]);
        assert!(house.store().healthy().is_ok());
    }

    fn a_receipt_can_be_awaited(house) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let packet = house.packet("beta.test", &[("1", "a")]);
        let answer = runtime.block_on(async { Inbox::append(house.store(), packet).unwrap().await });
        assert_eq!(answer.unwrap().kept, 1);
    }
}

#[test]
fn on_disk_packets_under_way_together_share_a_sync() {
    let house = House::embedded();
    let handed: Vec<_> = (0..1000)
        .map(|n| Inbox::append(house.store(), house.packet("beta.test", &[(&n.to_string(), "m")])).unwrap())
        .collect();
    assert!(handed.into_iter().all(|receipt| receipt.wait().is_ok()));
    let figures = house.store().figures();
    assert!(figures.commits < figures.batches / 2, "{figures:?}");
}

fn held() -> (Memory, InboxBatch) {
    let house = House::memory();
    let memory = Memory::new(Settings { queue_batches: 2, ..settings() }).unwrap();
    memory.hold();
    (memory, house.packet("beta.test", &[("1", "a")]))
}

#[test]
fn a_full_queue_says_so_at_once() {
    let (memory, packet) = held();
    let first = Inbox::append(&memory, packet.clone()).unwrap();
    let second = Inbox::append(&memory, packet.clone()).unwrap();
    assert!(matches!(Inbox::append(&memory, packet), Err(StoreError::Full)));
    memory.release();
    assert_eq!((first.wait().unwrap().kept, second.wait().unwrap().repeats), (1, 1));
    assert_eq!((memory.figures().commits, memory.figures().batches), (1, 2));
}

#[test]
fn a_crash_loses_what_was_not_committed_and_nothing_else() {
    let (memory, packet) = held();
    memory.release();
    Inbox::append(&memory, packet.clone()).unwrap().wait().unwrap();
    memory.hold();
    let lost = Inbox::append(&memory, InboxBatch { from: Some(host("gamma.test")), ..packet }).unwrap();
    memory.crash();
    assert!(matches!(lost.wait(), Err(StoreError::Closed)));
    assert_eq!(Inbox::read(&memory, &service(), Cursor(0), 9, 99).unwrap().len(), 1);
}

#[test]
fn a_full_disk_refuses_appends_and_lets_settling_and_small_state_go_on() {
    let (memory, packet) = held();
    memory.release();
    memory.refuse_space(true);
    assert!(matches!(Inbox::append(&memory, packet), Err(StoreError::Space { .. })));
    assert!(matches!(memory.healthy(), Err(StoreError::Space { .. })));
    Vault::commit(&memory, vec![]).unwrap().wait().unwrap();
    memory.bury("x", Wall(0)).unwrap().wait().unwrap();
}
