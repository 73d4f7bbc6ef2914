//! The window of repeats.

use std::time::Duration;

use ymp::{
    store::Inbox,
    wire::record::{Appended, Cursor},
};

use crate::house::{House, service};

fn answer(kept: usize, repeats: usize, altered: &[usize]) -> Appended {
    Appended { kept, repeats, altered: altered.to_vec() }
}

crate::promises! {
    fn a_repeat_is_kept_once_and_recognised_after_a_restart(house) {
        let packet = || house.packet("beta.test", &[("1", "a"), ("2", "b")]);
        assert_eq!(house.arrive(packet()).unwrap(), answer(2, 0, &[]));
        assert_eq!(house.arrive(packet()).unwrap(), answer(0, 2, &[]));
        let more = house.packet("beta.test", &[("2", "b"), ("3", "c")]);
        house.restart();
        assert_eq!(house.arrive(more).unwrap(), answer(1, 1, &[]));
        assert_eq!(house.inbox(), ["a", "b", "c"]);
    }

    fn the_same_id_of_another_host_is_another_message(house) {
        house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap();
        assert_eq!(house.arrive(house.packet("gamma.test", &[("1", "a")])).unwrap(), answer(1, 0, &[]));
        assert_eq!(house.arrive(house.packet("beta.test:444", &[("1", "a")])).unwrap(), answer(1, 0, &[]));
    }

    fn a_repeat_within_one_packet_is_kept_once(house) {
        let packet = house.packet("beta.test", &[("1", "a"), ("1", "a"), ("1", "z")]);
        assert_eq!(house.arrive(packet).unwrap(), answer(1, 2, &[2]));
        assert_eq!(house.inbox(), ["a"]);
    }

    fn a_repeat_with_other_content_is_told_and_the_first_stays(house) {
        house.arrive(house.packet("beta.test", &[("1", "a"), ("2", "b")])).unwrap();
        let packet = house.packet("beta.test", &[("3", "c"), ("2", "z")]);
        assert_eq!(house.arrive(packet).unwrap(), answer(1, 1, &[1]));
        house.restart();
        assert_eq!(house.arrive(house.packet("beta.test", &[("1", "y")])).unwrap(), answer(0, 1, &[0]));
        assert_eq!(house.inbox(), ["a", "b", "c"]);
    }

    fn a_message_is_recognised_after_it_was_read_and_trimmed(house) {
        house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap();
        house.acknowledge("x", 1);
        house.trim(&["x"], house.now());
        house.restart();
        assert_eq!(house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap(), answer(0, 1, &[]));
    }

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

    fn over_the_total_the_peer_with_most_entries_forgets_its_oldest(house) {
        house.with(|settings| settings.dedupe_total = 4);
        house.arrive(house.packet("gamma.test", &[("1", "g")])).unwrap();
        house.arrive(house.packet("beta.test", &[("1", "a"), ("2", "b"), ("3", "c"), ("4", "d")])).unwrap();
        assert_eq!(house.store().figures().window_entries, 4);
        assert_eq!(house.arrive(house.packet("gamma.test", &[("1", "g")])).unwrap(), answer(0, 1, &[]));
        assert_eq!(house.arrive(house.packet("beta.test", &[("1", "a")])).unwrap(), answer(1, 0, &[]));
    }

    fn repeats_under_way_together_are_kept_once(house) {
        let handed: Vec<_> = (0..50)
            .map(|_| Inbox::append(house.store(), house.packet("beta.test", &[("1", "a")])).unwrap())
            .collect();
        let kept: usize = handed.into_iter().map(|receipt| receipt.wait().unwrap().kept).sum();
        assert_eq!((kept, house.inbox().len()), (1, 1));
        assert_eq!(Inbox::read(house.store(), &service(), Cursor(1), 9, 99).unwrap(), []);
    }
}
