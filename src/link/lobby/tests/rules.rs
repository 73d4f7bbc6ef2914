//! Turns, bounds, and what each answer to a grant means.

use std::time::Duration;

use crate::link::lobby::{Action, Asked, Dropped, Forgot, Grant};
use crate::{
    link::testing::{host, trouble},
    wire::{
        answer::{Answer, CallStage},
        exchange::TokenRequest,
        host::PeerHost,
        secret::Digest,
    },
};

use super::table::*;

//= SEED-REQ-3, HT-ASK-04
#[test]
fn a_request_is_offered_on_disk_then_granted_then_taken() {
    let mut table = Table::new(8);
    assert_eq!(table.ask("b.test", "192.0.2.1", true).unwrap(), ["offer b.test"]);
    assert_eq!(table.kept("b.test", true), ["grant b.test in 30 s"]);
    assert_eq!(table.status("b.test", 204), ["take b.test"]);
    assert!(table.finished("b.test", true).is_empty());
    assert_eq!(table.lobby.under_way(), 0);
}

//= NODE-API-31
#[test]
fn what_is_offered_to_a_host_that_is_forgotten_is_withdrawn_whatever_it_answers() {
    let forgotten = ["withdraw b.test: forgotten"];
    let mut table = Table::new(8);
    let ask = |table: &mut Table| table.ask("b.test", "192.0.2.1", true).unwrap();
    ask(&mut table);
    let forget = |table: &mut Table| {
        let now = table.now();
        table.lobby.forget(&host("b.test"), now)
    };
    assert_eq!(forget(&mut table), Forgot::Offered);
    assert_eq!(table.kept("b.test", true), forgotten, "before the grant leaves");
    for (status, did) in
        [(204, forgotten), (404, forgotten), (503, forgotten), (401, ["withdraw b.test: misused"])]
    {
        ask(&mut table);
        table.kept("b.test", true);
        assert_eq!(forget(&mut table), Forgot::Offered);
        assert_eq!(table.status("b.test", status), did);
    }
    ask(&mut table);
    table.kept("b.test", true);
    assert!(table.status("b.test", 503).is_empty(), "it rests");
    assert_eq!(forget(&mut table), Forgot::Offered);
    assert_eq!(table.lobby.under_way(), 0);
    assert_eq!(forget(&mut table), Forgot::Nothing);
    ask(&mut table);
    table.kept("b.test", true);
    assert_eq!(table.status("b.test", 204), ["take b.test"], "what is asked afterwards is a new one");
    assert_eq!(forget(&mut table), Forgot::Taking, "on its way into the link");
    assert!(table.finished("b.test", true).is_empty());
    assert_eq!(forget(&mut table), Forgot::Nothing, "the link stands, or does not");
}

//= SEED-REQ-2
#[test]
fn what_a_request_offers_is_handed_on_only_after_the_grants_204() {
    for status in [200, 202, 400, 401, 403, 404, 429, 500] {
        let mut table = Table::new(8);
        table.ask("b.test", "192.0.2.1", true).unwrap();
        table.kept("b.test", true);
        assert!(table.status("b.test", status).iter().all(|did| !did.starts_with("take")), "{status}");
    }
}

//= HT-SEND-17
#[test]
fn the_same_grant_goes_again_no_sooner_than_the_host_asks_and_not_at_all_after_its_time() {
    let told = |seconds| Ok(Answer { retry_after: Some(Duration::from_secs(seconds)), ..Answer::bare(503) });
    let mut table = Table::new(8);
    table.ask("b.test", "192.0.2.1", true).unwrap();
    table.kept("b.test", true);
    assert!(table.answered("b.test", &told(20)).is_empty());
    assert!(table.pass(19).is_empty());
    assert_eq!(table.pass(1), ["grant b.test in 10 s"]);
    assert_eq!(table.answered("b.test", &told(20)), ["withdraw b.test: unanswered"]);
}

#[test]
fn more_slots_begin_what_waits_and_fewer_end_nothing() {
    let mut table = Table::new(2);
    for n in 1..=4 {
        table.ask(&format!("b{n}.test"), &format!("192.0.2.{n}"), true).unwrap();
    }
    assert_eq!(table.lobby.under_way(), 2);
    let renew = |table: &mut Table, slots| {
        let now = table.now();
        table.lobby.renew(settings(slots), now);
        table.lobby.under_way()
    };
    assert_eq!(renew(&mut table, 3), 3);
    assert_eq!(renew(&mut table, 1), 3);
    assert_eq!(renew(&mut table, 64), 4);
}

//= HT-ASK-09, HT-ASK-29
#[test]
fn a_stranger_has_ten_seconds() {
    let mut table = Table::new(8);
    table.ask("b.test", "192.0.2.1", false).unwrap();
    assert_eq!(table.kept("b.test", true), ["grant b.test in 10 s, a stranger"]);
}

//= HT-ASK-08, HT-ASK-09
#[test]
fn the_very_same_grant_is_sent_again_until_its_time_is_over() {
    for reply in [
        Ok(Answer::bare(408)),
        Ok(Answer::bare(429)),
        Ok(Answer::bare(503)),
        Err(trouble(CallStage::Connect)),
    ] {
        let mut table = Table::new(8);
        table.ask("b.test", "192.0.2.1", true).unwrap();
        let now = table.now();
        table.lobby.kept(&host("b.test"), true, now);
        let (mut pairs, mut ended) = (Vec::<Digest>::new(), Vec::new());
        for _ in 0..100 {
            for action in table.actions() {
                match &action {
                    Action::Grant { grant, .. } => {
                        let Grant::Tokens { pair, .. } = grant else { panic!("{grant:?}") };
                        pairs.push(pair.token.digest());
                        let now = table.now();
                        table.lobby.answered(&host("b.test"), &reply, now);
                    }
                    Action::LookUp { .. }
                    | Action::Drop { .. }
                    | Action::Offer { .. }
                    | Action::Take { .. }
                    | Action::Withdraw { .. } => ended.push(short(&action)),
                }
            }
            table.ms += 1000;
            let now = table.now();
            table.lobby.woken(now);
        }
        assert_eq!(ended, ["withdraw b.test: unanswered"]);
        assert!(pairs.len() >= 4, "{}", pairs.len());
        assert!(pairs.iter().all(|pair| *pair == pairs[0]));
    }
}

//= HT-ASK-10, HT-ASK-11
#[test]
fn any_other_status_drops_both_sides_tokens_and_401_and_403_are_told_apart() {
    for (status, ended) in
        [(401, "misused"), (403, "misused"), (400, "refused"), (404, "refused"), (200, "refused")]
    {
        let mut table = Table::new(8);
        table.ask("b.test", "192.0.2.1", true).unwrap();
        table.kept("b.test", true);
        assert_eq!(table.status("b.test", status), [format!("withdraw b.test: {ended}")]);
        assert!(table.pass(60).is_empty());
    }
}

//= HT-ASK-04
#[test]
fn what_cannot_be_kept_is_withdrawn() {
    let mut table = Table::new(8);
    table.ask("b.test", "192.0.2.1", true).unwrap();
    assert_eq!(table.kept("b.test", false), ["withdraw b.test: not kept"]);
    table.ask("b.test", "192.0.2.1", true).unwrap();
    table.kept("b.test", true);
    table.status("b.test", 204);
    assert_eq!(table.finished("b.test", false), ["withdraw b.test: not kept"]);
}

//= HT-ASK-26, HT-ASK-27
#[test]
fn one_grant_is_in_flight_for_a_host_and_the_waiting_take_turns() {
    let mut table = Table::new(64);
    table.ask("b.test", "192.0.2.1", true).unwrap();
    assert!(table.ask("b.test", "192.0.2.2", true).unwrap().is_empty());
    table.kept("b.test", true);
    assert_eq!(table.status("b.test", 401), ["withdraw b.test: misused", "offer b.test"]);
}

#[test]
fn the_same_request_again_is_dropped_while_it_is_answered() {
    let mut table = Table::new(8);
    table.ask("b.test", "192.0.2.1", true).unwrap();
    assert_eq!(table.ask("b.test", "192.0.2.1", true), Err(Dropped::Repeat));
    // R2: where the lifetime is a moment, less of it is left.
    let mut later = asked("b.test", "192.0.2.1", true);
    let TokenRequest::Tokens(offer) = &mut later.request else { panic!("it offers tokens") };
    offer.lifetime -= Duration::from_secs(1);
    assert_eq!(table.ask_as(later), Err(Dropped::Repeat));
}

//= HT-ASK-27, HT-ASK-28
#[test]
fn eight_client_addresses_wait_for_a_host_and_one_replaces_only_its_own_request() {
    let mut table = Table::new(64);
    table.ask("b.test", "192.0.2.100", true).unwrap();
    for n in 1..=8 {
        table.ask("b.test", &format!("192.0.2.{n}"), true).unwrap();
    }
    assert_eq!(table.ask("b.test", "192.0.2.9", true), Err(Dropped::HostFull));
    assert!(table.ask("b.test", "192.0.2.8", true).unwrap().is_empty());
    let likely = Asked { likely: true, ..asked("b.test", "192.0.2.50", true) };
    assert!(table.ask_as(likely.clone()).unwrap().is_empty());
    // The likely one has the next turn.
    table.kept("b.test", true);
    table.status("b.test", 401);
    table.kept("b.test", true);
    let now = table.now();
    table.lobby.answered(&host("b.test"), &Ok(Answer::bare(204)), now);
    let Some(Action::Take { offer, .. }) = table.lobby.actions().next() else { panic!("it is not taken") };
    assert_eq!(offer.map(TokenRequest::Tokens), Some(likely.request));
}

//= HT-ASK-27
#[test]
fn addresses_of_one_ipv6_network_count_as_one() {
    assert_eq!(origin("2001:db8:1:2:3::4"), origin("2001:db8:1:2:ffff::1"));
    assert_ne!(origin("2001:db8:1:2::1"), origin("2001:db8:1:3::1"));
    assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
}

//= HT-ASK-30
#[test]
fn one_client_address_has_an_eighth_of_the_slots() {
    let mut table = Table::new(16);
    assert_eq!(table.ask("b.test", "192.0.2.1", true).unwrap().len(), 1);
    assert_eq!(table.ask("c.test", "192.0.2.1", true).unwrap().len(), 1);
    assert!(table.ask("d.test", "192.0.2.1", true).unwrap().is_empty());
    assert_eq!(table.ask("e.test", "192.0.2.2", true).unwrap().len(), 1);
    table.kept("b.test", true);
    assert_eq!(table.status("b.test", 401), ["withdraw b.test: misused", "offer d.test"]);
}

//= HT-ASK-30
#[test]
fn half_of_the_slots_are_for_peers_that_we_know() {
    let mut table = Table::new(16);
    let began: usize = (0..16)
        .map(|n| table.ask(&format!("s{n}.test"), &format!("192.0.2.{n}"), false).unwrap().len())
        .sum();
    assert_eq!(began, 8);
    let began: usize = (0..16)
        .map(|n| table.ask(&format!("k{n}.test"), &format!("198.51.100.{n}"), true).unwrap().len())
        .sum();
    assert_eq!(began, 8);
}

//= HT-ASK-33
#[test]
fn the_table_is_bounded_and_one_address_has_an_eighth_of_it() {
    let mut table = Table::new(8);
    let mut taken = 0;
    for n in 0..2000 {
        taken += usize::from(table.ask(&format!("s{n}.test"), "192.0.2.1", false).is_ok());
    }
    assert_eq!(taken, 128);
    for n in 0..2000_u16 {
        let from = format!("10.0.{}.{}", n >> 8, n & 255);
        taken += usize::from(table.ask(&format!("t{n}.test"), &from, false).is_ok());
    }
    assert_eq!(taken, 1024);
    assert_eq!(table.ask("u.test", "203.0.113.1", false), Err(Dropped::TableFull));
    assert!(table.ask("known.test", "203.0.113.1", true).is_ok());
}

//= HT-ASK-33
#[test]
fn who_waits_too_long_is_forgotten() {
    let mut table = Table::new(8);
    table.ask("b.test", "192.0.2.1", true).unwrap();
    table.ask("c.test", "192.0.2.1", true).unwrap();
    assert!(table.pass(31).is_empty());
    table.kept("b.test", true);
    table.status("b.test", 401);
    assert_eq!(table.lobby.under_way(), 0);
    assert_eq!(table.lobby.wake_at(), None);
}

#[test]
fn what_was_offered_lives_from_when_it_was_asked() {
    let mut table = Table::new(8);
    table.ask("b.test", "192.0.2.1", true).unwrap();
    table.ms += 7000;
    table.kept("b.test", true);
    let now = table.now();
    table.lobby.answered(&host("b.test"), &Ok(Answer::bare(204)), now);
    let Some(Action::Take { offer, .. }) = table.lobby.actions().last() else { panic!("it is not taken") };
    assert_eq!(offer.unwrap().lifetime, Duration::from_secs(3593));
}

#[test]
fn every_slot_comes_back_whatever_happens() {
    let mut table = Table::new(16);
    let mut dice = 7_u64;
    for _ in 0..20_000 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let (n, kind) = ((dice >> 33) % 40, (dice >> 50) % 8);
        let name = format!("h{n}.test");
        match kind {
            0 | 1 => drop(table.ask(&name, &format!("192.0.2.{}", n % 7), n % 3 == 0)),
            2 => drop(table.kept(&name, n % 5 != 0)),
            3 => drop(table.status(&name, [204, 401, 503][usize::try_from(dice >> 60).unwrap() % 3])),
            4 => drop(table.finished(&name, n % 4 != 0)),
            _ => drop(table.pass(1)),
        }
    }
    let hosts: Vec<PeerHost> = (0..40).map(|n| host(&format!("h{n}.test"))).collect();
    for _ in 0..200 {
        table.pass(1);
        for name in &hosts {
            table.kept(name.as_str(), true);
            table.status(name.as_str(), 401);
            table.finished(name.as_str(), true);
        }
    }
    assert_eq!(table.lobby.under_way(), 0);
    assert_eq!(table.lobby.wake_at(), None);
    assert!(table.lobby.slots.by_origin.is_empty() && table.lobby.slots.strangers == 0);
}
