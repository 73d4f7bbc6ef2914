//! What `Outbox` promises.

use std::time::Duration;

use ymp::{
    store::{Inbox, Outbox, OutboxBounds, StoreError},
    wire::{
        cursor::Cursor,
        family::FamilyRecord,
        packet::ServiceKey,
        record::{Accepted, DeadFilter, MessageState, OutboxBatch, OutboxItem, Seq, Settlement, VaultWrite},
        time::Wall,
    },
};

use crate::{
    house::{House, all, host, service},
    vault::family,
};

const QUEUED: MessageState = MessageState::Queued;
const DELIVERED: MessageState = MessageState::Delivered;

fn to_ourselves(house: &House, id: &str) -> OutboxItem {
    OutboxItem { own: Some(service()), ..house.mail("alpha.test", id) }
}

fn of(sender: ServiceKey) -> DeadFilter {
    DeadFilter { senders: Some(vec![sender]), ..DeadFilter::default() }
}

crate::promises! {
    fn dead_messages_are_listed_by_host_and_page_by_page(house) {
        for (seq, id) in (1..).zip(["a", "b", "c", "d"]) {
            let host = if id == "b" { "gamma.test" } else { "beta.test" };
            house.queue(host, &[id]);
            house.settle(host, &[], &[seq]);
        }
        let ids = |filter: &DeadFilter, max| {
            let found = house.store().dead(filter, max).unwrap();
            (found.iter().map(|dead| dead.status.id.to_string()).collect::<Vec<_>>(), found.last().map(|dead| dead.place))
        };
        let mut beta = DeadFilter { host: Some(host("beta.test")), ..DeadFilter::default() };
        let (first, last) = ids(&beta, 2);
        assert_eq!(first, ["a", "c"]);
        beta.after = last.unwrap();
        assert_eq!(ids(&beta, 2).0, ["d"]);
        beta.after = u64::MAX;
        assert_eq!(ids(&beta, 2).0, Vec::<String>::new());
    }

    //= HT-SEND-04
    fn messages_wait_in_order_per_peer(house) {
        house.queue("beta.test", &["a", "b"]);
        house.queue("gamma.test", &["c"]);
        house.queue("beta.test", &["d"]);
        house.restart();
        assert_eq!(house.outbox("beta.test"), ["a", "b", "d"]);
        assert_eq!(house.outbox("gamma.test"), ["c"]);
        assert_eq!(house.outbox("delta.test"), [""; 0]);
    }

    fn loading_goes_on_after_a_place_and_stops_at_both_bounds(house) {
        house.queue("beta.test", &["aaaa", "bbbb", "cccc"]);
        let load = |after, max, bytes| {
            let mails = house.store().load(&host("beta.test"), Seq(after), max, bytes).unwrap();
            mails.iter().map(|mail| mail.seq.0).collect::<Vec<_>>()
        };
        assert_eq!(load(1, 9, 99), [2, 3]);
        assert_eq!(load(0, 2, 99), [1, 2]);
        assert_eq!(load(0, 9, 10), [1, 2], "each counts one byte more");
        assert_eq!(load(0, 9, 9), [1]);
        assert_eq!(load(0, 9, 0), [1], "the first comes whatever it weighs");
        assert_eq!((load(0, 0, 99), load(u64::MAX, 9, 99)), (vec![], vec![]));
    }

    //= NODE-API-13
    fn an_id_that_is_known_is_not_queued_again_and_keeps_its_state(house) {
        assert_eq!(house.queue("beta.test", &["a", "b"]), all(vec![QUEUED, QUEUED], 2));
        house.settle("beta.test", &[1], &[]);
        house.restart();
        assert_eq!(house.queue("beta.test", &["a", "b", "c"]), all(vec![DELIVERED, QUEUED, QUEUED], 1));
        assert_eq!(house.outbox("beta.test"), ["b", "c"]);
    }

    //= NODE-API-14
    fn an_id_with_other_content_takes_nothing_of_its_batch(house) {
        house.queue("beta.test", &["a"]);
        let other = OutboxItem { content: [99; 32], ..house.mail("beta.test", "a") };
        let batch = vec![house.mail("beta.test", "b"), other];
        assert_eq!(house.send(batch).unwrap(), Accepted::Conflict(1));
        assert_eq!(house.outbox("beta.test"), ["a"]);
        assert_eq!(house.store().status("b").unwrap(), None);
    }

    fn the_same_id_twice_in_a_batch_counts_once_and_with_other_content_is_a_conflict(house) {
        assert_eq!(house.queue("beta.test", &["a", "a"]), all(vec![QUEUED, QUEUED], 1));
        assert_eq!(house.outbox("beta.test"), ["a"]);
        let other = OutboxItem { content: [99; 32], ..house.mail("beta.test", "b") };
        assert_eq!(house.send(vec![house.mail("beta.test", "b"), other]).unwrap(), Accepted::Conflict(1));
        assert_eq!(house.outbox("beta.test"), ["a"]);
    }

    //= NODE-API-16
    fn a_message_to_ourselves_lies_in_the_inbox_at_once(house) {
        let batch = vec![house.mail("beta.test", "out"), to_ourselves(house, "in")];
        assert_eq!(house.send(batch).unwrap(), all(vec![QUEUED, DELIVERED], 2));
        house.restart();
        let entries = Inbox::read(house.store(), &service(), Cursor(0), 9, 99).unwrap();
        assert_eq!((entries.len(), &entries[0].from, entries[0].received), (1, &host("alpha.test"), house.now()));
        assert_eq!(house.store().status("in").unwrap().unwrap().ended, Some(house.now()));
        assert_eq!(house.store().waiting_for(&host("alpha.test")), None);
        assert_eq!(house.send(vec![to_ourselves(house, "in")]).unwrap(), all(vec![DELIVERED], 0));
        assert_eq!(house.inbox(), ["in"]);
    }

    //= NODE-API-20
    fn settling_ends_messages_with_the_tries_they_saw(house) {
        house.queue("beta.test", &["a", "b", "c"]);
        house.pass(Duration::from_secs(9));
        house.settle("beta.test", &[1], &[2]);
        house.restart();
        assert_eq!(house.outbox("beta.test"), ["c"]);
        let a = house.store().status("a").unwrap().unwrap();
        assert_eq!((a.state, a.attempts, a.tries_before, a.last_error, a.ended), (DELIVERED, 3, 2, None, Some(house.now())));
        let b = house.store().status("b").unwrap().unwrap();
        assert_eq!((b.state, b.attempts, b.last_error.as_deref()), (MessageState::Dead, 3, Some("gave up")));
        assert_eq!(b.queued.plus(Duration::from_secs(9)), house.now());
        let c = house.store().status("c").unwrap().unwrap();
        assert_eq!((c.state, c.attempts, c.ended, &*c.id, c.host, c.sender), (QUEUED, 0, None, "c", host("beta.test"), service()));
        assert_eq!(house.store().status("d").unwrap(), None);
    }

    //= HT-SEND-07
    fn settling_twice_changes_nothing(house) {
        house.queue("beta.test", &["a", "b"]);
        house.settle("beta.test", &[1], &[]);
        house.settle("beta.test", &[1, 77], &[1]);
        house.settle("gamma.test", &[2], &[]);
        assert_eq!(house.store().status("a").unwrap().unwrap().state, DELIVERED);
        assert_eq!((house.store().dead_count(), house.outbox("beta.test")), (0, vec!["b".to_owned()]));
    }

    //= HT-SEND-07
    fn settling_commits_its_marks(house) {
        let marks = vec![VaultWrite::PutFamily(Box::new(FamilyRecord { id: 7, ..family("peer:beta.test", 7) }))];
        let (delivered, dead) = (vec![], vec![]);
        let settlement = Settlement { host: host("beta.test"), now: house.now(), tries: 0, delivered, dead, marks };
        house.store().settle(settlement).unwrap().wait().unwrap();
        house.restart();
        assert_eq!(house.vault().families.len(), 1);
    }

    fn many_large_messages_are_set_aside_by_parts_before_what_was_handed_over_later(house) {
        let raw = bytes::Bytes::from(vec![b'x'; 1024 * 1024]);
        let large = |n: u64| OutboxItem { raw: raw.clone(), ..house.mail("beta.test", &format!("m{n}")) };
        (0..24).for_each(|n| drop(house.send(vec![large(n)]).unwrap()));
        let commits = house.store().figures().commits;
        let dead = (1..=24).map(|seq| (Seq(seq), "gave up".to_owned())).collect();
        let settlement =
            Settlement { host: host("beta.test"), now: house.now(), tries: 5, delivered: vec![], dead, marks: vec![] };
        let settled = house.store().settle(settlement).unwrap();
        let batch = OutboxBatch { items: vec![house.mail("gamma.test", "after")], queued: house.now() };
        let after = Outbox::append(house.store(), batch).unwrap();
        after.wait().unwrap();
        assert_eq!((house.store().dead_count(), house.outbox("beta.test").len()), (24, 0));
        settled.wait().unwrap();
        assert!(house.store().figures().commits >= commits + 3, "{commits}");
        house.restart();
        assert_eq!((house.dead().len(), house.outbox("gamma.test")), (8, vec!["after".to_owned()]));
    }

    fn a_place_is_never_given_twice_even_when_all_was_settled(house) {
        house.queue("beta.test", &["a", "b"]);
        house.settle("beta.test", &[1, 2], &[]);
        house.restart();
        house.queue("beta.test", &["c"]);
        assert_eq!(house.store().load(&host("beta.test"), Seq(0), 9, 99).unwrap()[0].seq, Seq(3));
    }

    fn what_waits_is_counted_with_its_oldest(house) {
        house.queue("beta.test", &["a"]);
        let first = house.now();
        house.pass(Duration::from_secs(5));
        house.queue("beta.test", &["b"]);
        for _ in 0..2 {
            let waiting = house.store().waiting_for(&host("beta.test")).unwrap();
            assert_eq!((waiting.messages, waiting.oldest), (2, first));
            assert_eq!(house.store().waiting(), [waiting]);
            house.restart();
        }
        house.settle("beta.test", &[1], &[]);
        assert_eq!(house.store().waiting_for(&host("beta.test")).unwrap().oldest, house.now());
        house.settle("beta.test", &[2], &[]);
        assert_eq!((house.store().waiting_for(&host("beta.test")), house.store().waiting()), (None, vec![]));
    }

    //= HT-SEND-26
    fn what_is_due_is_told_to_the_millisecond(house) {
        house.queue("beta.test", &["a"]);
        house.pass(Duration::from_millis(10));
        house.queue("gamma.test", &["b"]);
        house.restart();
        let due = |at: Wall, max| house.store().due(at, max).unwrap();
        let hour = Duration::from_secs(3600);
        assert_eq!(due(house.now(), 9), []);
        assert_eq!(due(Wall(house.now().plus(hour).0 - 1), 9), [(host("beta.test"), Seq(1))]);
        assert_eq!(due(house.now().plus(hour), 9).len(), 2);
        assert_eq!(due(house.now().plus(hour), 1).len(), 1);
        house.settle("beta.test", &[], &[1]);
        assert_eq!(due(Wall(u64::MAX), 9), [(host("gamma.test"), Seq(2))]);
    }

    //= HT-SEND-27, NODE-API-32
    fn dead_messages_come_in_the_order_of_their_death(house) {
        house.queue("beta.test", &["a", "b", "c"]);
        house.settle("beta.test", &[], &[3]);
        house.settle("beta.test", &[], &[1, 2]);
        house.restart();
        assert_eq!((house.dead(), house.store().dead_count()), (vec!["c".into(), "a".into(), "b".into()], 3));
        assert_eq!(house.store().dead(&DeadFilter::default(), 2).unwrap().len(), 2);
        assert_eq!(house.store().dead(&of(ServiceKey::new("mail", "x")), 9).unwrap(), []);
        let ours = house.store().dead(&of(service()), 9).unwrap();
        assert_eq!((ours.len(), &ours[0].raw[..]), (3, &b"c"[..]));
        let last = house.store().dead_last();
        assert_eq!(house.store().dead(&DeadFilter::default(), 9).unwrap()[2].place, last);
        let revive = house.store().revive("c", house.now(), house.now(), 0).unwrap();
        assert!(revive.wait().unwrap());
        house.settle("beta.test", &[], &[4]);
        assert_eq!((house.dead()[2].as_str(), house.store().dead_last()), ("c", last + 1), "behind what died before");
    }

    //= HT-SEND-05, NODE-API-33
    fn a_dead_message_is_revived_at_the_tail(house) {
        house.queue("beta.test", &["a", "b"]);
        let expires = house.store().load(&host("beta.test"), Seq(0), 1, 99).unwrap()[0].expires;
        house.settle("beta.test", &[], &[1]);
        house.pass(Duration::from_secs(9));
        let later = house.now().plus(Duration::from_secs(77));
        let revive = |id| house.store().revive(id, house.now(), later, 5).unwrap().wait().unwrap();
        assert!(revive("a"));
        assert!(!revive("a"), "it is no longer dead");
        assert!(!revive("b"));
        assert!(!revive("z"));
        let status = house.store().status("a").unwrap().unwrap();
        assert_eq!((status.state, status.tries_before, status.attempts, status.ended), (QUEUED, 5, 0, None));
        house.restart();
        assert_eq!((house.outbox("beta.test"), house.store().dead_count()), (vec!["b".into(), "a".into()], 0));
        assert_eq!(house.store().load(&host("beta.test"), Seq(2), 9, 99).unwrap()[0].expires, expires.plus(Duration::from_secs(9)), "its own time, anew");
    }

    //= NODE-API-33
    fn a_dead_message_is_buried_for_good(house) {
        house.queue("beta.test", &["a", "b"]);
        house.settle("beta.test", &[], &[1]);
        let bury = |house: &House, id| house.store().bury(id, house.now()).unwrap().wait().unwrap();
        assert!(bury(house, "a"));
        assert!(!bury(house, "a"));
        assert!(!bury(house, "b"));
        house.restart();
        assert_eq!((house.dead(), house.store().dead_count()), (vec![], 0));
        let revived = house.store().revive("a", house.now(), house.now(), 0).unwrap().wait().unwrap();
        assert!(!revived && !bury(house, "a"));
    }

    //= NODE-API-14, NODE-API-15
    fn the_id_of_a_buried_message_is_remembered_until_it_is_pruned(house) {
        house.queue("beta.test", &["a", "b"]);
        house.settle("beta.test", &[], &[1, 2]);
        house.pass(Duration::from_secs(9));
        let buried = house.now();
        assert!(house.store().bury("a", buried).unwrap().wait().unwrap());
        house.restart();
        let state = |house: &House, id| house.store().status(id).unwrap().map(|status| status.state);
        assert_eq!(state(house, "a"), Some(MessageState::Dead));
        let mail = house.mail("beta.test", "a");
        assert_eq!(house.send(vec![mail.clone()]).unwrap(), all(vec![MessageState::Dead], 0));
        let other = OutboxItem { content: [9; 32], ..mail };
        assert_eq!(house.send(vec![other]).unwrap(), Accepted::Conflict(0));
        assert!(house.outbox("beta.test").is_empty());
        let prune = |before| house.store().prune(before).unwrap().wait().unwrap();
        assert_eq!(prune(buried), 0);
        assert_eq!(prune(buried.plus(Duration::from_millis(1))), 1);
        assert_eq!((state(house, "a"), state(house, "b")), (None, Some(MessageState::Dead)));
    }

    //= HT-SEND-27, NODE-API-15
    fn pruning_forgets_what_ended_before_and_neither_the_dead_nor_the_queued(house) {
        house.queue("beta.test", &["a", "b", "c", "d"]);
        house.settle("beta.test", &[1], &[2]);
        house.send(vec![to_ourselves(house, "own")]).unwrap();
        house.pass(Duration::from_secs(1));
        house.settle("beta.test", &[3], &[]);
        let prune = |house: &House, at| house.store().prune(at).unwrap().wait().unwrap();
        assert_eq!(prune(house, house.now()), 2);
        assert_eq!(prune(house, house.now()), 0);
        house.restart();
        let known = |id: &str| house.store().status(id).unwrap().is_some();
        assert_eq!(["a", "b", "c", "d", "own"].map(known), [false, true, true, true, false]);
        assert_eq!(prune(house, Wall(u64::MAX)), 1);
    }

    fn pruning_finds_what_ended_while_the_clock_was_set_back(house) {
        house.queue("beta.test", &["a", "b"]);
        house.settle("beta.test", &[1], &[]);
        let prune = |at| house.store().prune(at).unwrap().wait().unwrap();
        assert_eq!(prune(Wall(u64::MAX)), 1);
        let (delivered, now) = (vec![Seq(2)], Wall(5));
        let back = Settlement { host: host("beta.test"), now, tries: 0, delivered, dead: vec![], marks: vec![] };
        house.store().settle(back).unwrap().wait().unwrap();
        assert_eq!(prune(Wall(6)), 1);
    }

    //= NODE-API-06
    fn the_outbox_holds_no_more_than_it_may_and_names_the_setting(house) {
        house.with(|settings| settings.outbox = OutboxBounds { messages: 3, messages_per_peer: 2 });
        house.queue("beta.test", &["a", "b"]);
        let refused = |to: &str, ids: &[&str]| {
            let error = house.send(ids.iter().map(|id| house.mail(to, id)).collect()).unwrap_err();
            let StoreError::OutboxFull(setting) = error else { panic!("{error}") };
            setting
        };
        assert_eq!(refused("beta.test", &["c"]), "limits.outbox-messages-per-peer = 2 for beta.test");
        assert_eq!(refused("gamma.test", &["c", "d"]), "limits.outbox-messages = 3");
        assert_eq!(
            refused("gamma.test", &["c", "d", "e", "f"]),
            "limits.outbox-messages = 3, and the batch has 4: send fewer at once"
        );
        assert_eq!(house.store().status("c").unwrap(), None);
        // What was accepted is known, full or not.
        assert_eq!(house.queue("beta.test", &["b", "a", "b"]), all(vec![QUEUED; 3], 0));
        let other = OutboxItem { content: [99; 32], ..house.mail("beta.test", "a") };
        assert_eq!(house.send(vec![other]).unwrap(), Accepted::Conflict(0));
        refused("beta.test", &["a", "c"]);
        house.queue("gamma.test", &["e"]);
        house.send(vec![to_ourselves(house, "own")]).unwrap();
        house.settle("beta.test", &[1], &[]);
        house.queue("beta.test", &["f"]);
        house.settle("beta.test", &[], &[2]);
        house.queue("beta.test", &["g"]);
        let revived = house.store().revive("b", house.now(), house.now(), 0);
        assert!(matches!(revived, Err(StoreError::OutboxFull(_))));
    }

    fn other_bounds_hold_at_once_and_nothing_queued_is_lost(house) {
        house.queue("beta.test", &["a", "b", "c"]);
        house.store().bound(OutboxBounds { messages: 2, messages_per_peer: 2 });
        let refused = house.send(vec![house.mail("gamma.test", "d")]);
        assert!(matches!(refused, Err(StoreError::OutboxFull(_))));
        assert_eq!(house.store().status("a").unwrap().unwrap().state, QUEUED);
        house.store().bound(OutboxBounds { messages: 4, messages_per_peer: 4 });
        house.queue("gamma.test", &["d"]);
    }

    fn room_that_a_refused_or_repeated_batch_held_is_given_back(house) {
        house.with(|settings| settings.outbox.messages = 2);
        house.queue("beta.test", &["a"]);
        for _ in 0..5 {
            house.queue("beta.test", &["a"]);
            let other = OutboxItem { content: [99; 32], ..house.mail("beta.test", "a") };
            house.send(vec![other]).unwrap();
        }
        house.queue("beta.test", &["b"]);
    }
}
