//! What `Inbox` promises.

use std::time::Duration;

use ymp::{
    store::{Inbox, StoreError},
    wire::{
        cursor::Cursor,
        packet::ServiceKey,
        record::{Appended, InboxBatch},
        time::Wall,
    },
};

use crate::house::{House, host, item, service};

crate::promises! {
    fn messages_come_out_in_the_order_in_which_they_were_handed_over(house) {
        house.arrive(house.packet("beta.test", &[("1", "a"), ("2", "b")])).unwrap();
        house.arrive(house.packet("gamma.test", &[("1", "c")])).unwrap();
        house.arrive(house.packet("beta.test", &[("0", "d")])).unwrap();
        assert_eq!(house.inbox(), ["a", "b", "c", "d"]);
        house.restart();
        assert_eq!(house.inbox(), ["a", "b", "c", "d"]);
    }

    fn an_entry_says_when_it_came_and_from_whom(house) {
        house.arrive(house.packet("beta.test:8443", &[("1", "a")])).unwrap();
        let entry = Inbox::read(house.store(), &service(), Cursor(0), 1, 1).unwrap().remove(0);
        assert_eq!((entry.cursor, entry.received, entry.from), (Cursor(1), house.now(), host("beta.test:8443")));
    }

    fn each_service_has_an_order_of_its_own(house) {
        let mut batch = house.packet("beta.test", &[("1", "a"), ("2", "b")]);
        batch.items.insert(1, item("mail", "tray", "3", "m"));
        house.arrive(batch).unwrap();
        let mail = ServiceKey::new("mail", "tray");
        let entries = Inbox::read(house.store(), &mail, Cursor(0), 10, 1000).unwrap();
        assert_eq!((entries.len(), entries[0].cursor), (1, Cursor(1)));
        assert_eq!(house.inbox(), ["a", "b"]);
        assert_eq!(house.store().services().unwrap(), [service(), mail.clone()]);
        house.restart();
        assert_eq!(house.store().services().unwrap(), [service(), mail]);
    }

    fn reading_goes_on_after_a_cursor_and_stops_at_both_bounds(house) {
        house.arrive(house.packet("beta.test", &[("1", "aaaa"), ("2", "bbbb"), ("3", "cccc")])).unwrap();
        let read = |after, max, bytes| {
            let entries = Inbox::read(house.store(), &service(), Cursor(after), max, bytes).unwrap();
            entries.iter().map(|entry| entry.cursor.0).collect::<Vec<_>>()
        };
        assert_eq!(read(1, 9, 99), [2, 3]);
        assert_eq!(read(0, 2, 99), [1, 2]);
        assert_eq!(read(0, 9, 8), [1, 2]);
        assert_eq!(read(0, 9, 0), [1], "the first comes whatever it weighs");
        assert_eq!(read(0, 0, 99), [0; 0]);
        assert_eq!(read(3, 9, 99), [0; 0]);
        assert_eq!(read(u64::MAX, 9, 99), [0; 0]);
    }

    fn an_inbox_that_never_had_a_message_is_empty(house) {
        assert_eq!(house.inbox(), [""; 0]);
        assert_eq!(house.store().acknowledged("app", &service()).unwrap(), Cursor(0));
        assert!(house.acknowledge("app", 0));
        assert!(!house.acknowledge("app", 1));
        assert_eq!(house.trim(&["app"], Wall(u64::MAX)), 0);
    }

    fn a_packet_without_messages_is_kept_as_one(house) {
        assert_eq!(house.arrive(InboxBatch::default()).unwrap(), Appended::default());
        let nobody = InboxBatch { from: None, ..house.packet("beta.test", &[("1", "a")]) };
        assert!(matches!(house.arrive(nobody), Err(StoreError::Io { .. })));
    }

    //= NODE-API-25
    fn an_acknowledgement_never_moves_backward_nor_beyond_the_last(house) {
        house.arrive(house.packet("beta.test", &[("1", "a"), ("2", "b"), ("3", "c")])).unwrap();
        assert_eq!(house.store().acknowledged("app", &service()).unwrap(), Cursor(0));
        assert!(house.acknowledge("app", 2));
        assert!(house.acknowledge("app", 1));
        assert_eq!(house.store().acknowledged("app", &service()).unwrap(), Cursor(2));
        assert!(!house.acknowledge("app", 4));
        house.restart();
        assert_eq!(house.store().acknowledged("app", &service()).unwrap(), Cursor(2));
        assert_eq!(house.store().acknowledged("other", &service()).unwrap(), Cursor(0));
    }

    //= NODE-CONF-14
    fn trimming_removes_what_every_entitled_app_has_acknowledged(house) {
        house.arrive(house.packet("beta.test", &[("1", "a"), ("2", "b"), ("3", "c")])).unwrap();
        house.acknowledge("x", 3);
        house.acknowledge("y", 1);
        assert_eq!(house.trim(&[], Wall(0)), 0);
        assert_eq!(house.inbox(), ["a", "b", "c"], "nobody entitled: nothing");
        assert_eq!(house.trim(&["x", "y"], Wall(0)), 0);
        assert_eq!(house.inbox(), ["b", "c"]);
        assert_eq!(house.trim(&["x"], Wall(0)), 0);
        assert_eq!(house.inbox(), [""; 0]);
    }

    //= NODE-CONF-14
    fn trimming_removes_what_is_too_old_and_counts_what_was_unread(house) {
        house.arrive(house.packet("beta.test", &[("1", "a"), ("2", "b")])).unwrap();
        house.pass(Duration::from_secs(60));
        house.arrive(house.packet("beta.test", &[("3", "c")])).unwrap();
        house.acknowledge("x", 1);
        assert_eq!(house.trim(&["x"], house.now()), 1);
        assert_eq!(house.inbox(), ["c"]);
        house.restart();
        assert_eq!(house.inbox(), ["c"]);
    }

    fn a_cursor_is_never_given_twice_even_when_all_was_trimmed(house) {
        house.arrive(house.packet("beta.test", &[("1", "a"), ("2", "b")])).unwrap();
        house.acknowledge("x", 2);
        house.trim(&["x"], Wall(0));
        house.restart();
        assert!(house.acknowledge("x", 2), "the last that ever was");
        house.arrive(house.packet("beta.test", &[("3", "c")])).unwrap();
        let entries = Inbox::read(house.store(), &service(), Cursor(2), 9, 99).unwrap();
        assert_eq!(entries[0].cursor, Cursor(3));
        assert!(!house.acknowledge("x", 4));
    }

    fn a_long_trim_goes_on_over_several_commits(house) {
        let ids: Vec<String> = (0..12_000).map(|n| n.to_string()).collect();
        let messages: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "m")).collect();
        house.arrive(house.packet("beta.test", &messages)).unwrap();
        house.acknowledge("x", 11_000);
        house.pass(Duration::from_secs(1));
        assert_eq!(house.trim(&["x"], house.now()), 1000);
        assert_eq!(house.inbox(), [""; 0]);
    }

    fn a_message_of_a_mebibyte_and_of_every_byte_comes_back_as_it_was(house) {
        let mut batch = house.packet("beta.test", &[("1", "")]);
        batch.items[0].raw = (0..1_048_576u32).map(|n| n as u8).collect::<Vec<_>>().into();
        let raw = batch.items[0].raw.clone();
        house.arrive(batch).unwrap();
        house.restart();
        assert!(Inbox::read(house.store(), &service(), Cursor(0), 1, 1).unwrap()[0].raw == raw);
    }
}
