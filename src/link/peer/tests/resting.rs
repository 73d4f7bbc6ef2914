//! `https-token`, "Sending": back-off, `Retry-After`, signs of life.

use std::time::Duration;

use crate::{
    link::{
        event::{Event, Fact},
        testing::{Bench, answered, pause, trouble},
    },
    wire::answer::{Answer, CallStage},
};

fn rest(bench: &Bench) -> Option<Duration> {
    let now = bench.now();
    bench.peer.look(now).rests_until.map(|until| until.since(now.mono))
}

fn down() -> Bench {
    let mut bench = Bench::lasting();
    bench.queue([1, 2, 3]);
    assert!(bench.on(answered(500)).is_empty());
    bench
}

//= HT-SEND-24
#[test]
fn a_link_that_fails_rests_and_tries_again_with_one_message_then_the_flow_grows() {
    let mut bench = Bench::sending(1..=100);
    bench.on(answered(502));
    assert!(bench.pass_ms(700).is_empty());
    assert_eq!(bench.pass(1), ["send t1 [1]"]);
    let grown = format!("send t1 {:?}", (2..=33).collect::<Vec<_>>());
    assert_eq!(bench.on(answered(204)), ["delivered [1]".to_owned(), grown]);
    bench.on(answered(204));
    assert_eq!(bench.did.last().unwrap(), &format!("send t1 {:?}", (34..=100).collect::<Vec<_>>()));
}

//= HT-SEND-20
#[test]
fn waits_grow_up_to_a_quarter_of_an_hour_for_a_peer_that_was_heard_from() {
    let mut bench = down();
    bench.on(Event::Heard);
    for _ in 0..20 {
        bench.on(answered(500));
        bench.pass_until("send");
    }
    bench.on(answered(500));
    assert!(rest(&bench).unwrap() <= Duration::from_secs(900));
    assert!(rest(&bench).unwrap() >= Duration::from_secs(675));
}

#[test]
fn an_exchange_that_fails_backs_off() {
    let mut bench = Bench::new();
    bench.queue([1]);
    let mut before = Duration::ZERO;
    for tries in 1..8_u32 {
        bench.on(Event::Asked(Err(trouble(CallStage::Connect))));
        assert_eq!(bench.peer.health().failures, tries);
        let wait = rest(&bench).unwrap();
        assert!(wait > before, "{tries}: {wait:?}");
        before = wait;
        // Doubling with at most a quarter of jitter: the plain wait is at least 4/5 of what is seen.
        assert!(bench.pass_ms(u64::try_from(wait.as_millis()).unwrap() - 1).is_empty());
        assert_eq!(bench.pass(2), ["ask"]);
    }
}

//= HT-SEND-17
#[test]
fn a_retry_after_is_waited_out_with_jitter_upward_only() {
    for status in [408, 425, 429, 503] {
        let mut bench = Bench::sending([1]);
        bench.on(pause(status, 100));
        let wait = rest(&bench).unwrap();
        assert!(wait >= Duration::from_secs(100) && wait <= Duration::from_secs(125), "{wait:?}");
        assert!(bench.pass(99).is_empty());
        bench.on(Event::Heard);
        assert!(bench.pass_ms(999).is_empty());
        assert_eq!(bench.pass(30), ["send t1 [1]"]);
    }
}

//= HT-SEND-17
#[test]
fn a_retry_after_is_followed_for_an_hour_at_most() {
    let mut bench = Bench::sending([1]);
    bench.on(pause(503, 1_000_000));
    assert!(rest(&bench).unwrap() <= Duration::from_secs(4500));
}

#[test]
fn a_retry_after_of_nothing_is_not_followed_without_a_pause() {
    let mut bench = Bench::sending([1]);
    let mut sends = 0;
    for _ in 0..600 {
        sends += bench.on(pause(429, 0)).len() + bench.pass_ms(100).len();
    }
    assert!((10..=61).contains(&sends), "{sends}");
}

#[test]
fn our_own_trouble_does_not_shorten_a_rest_that_the_peer_asked_for() {
    let mut bench = Bench::sending([1]);
    bench.on(pause(503, 1000));
    bench.on(Event::NotSettled);
    bench.on(Event::MailNotLoaded("disk".to_owned()));
    assert!(rest(&bench).unwrap() >= Duration::from_secs(1000));
}

//= HT-SEND-22
#[test]
fn a_sign_of_life_brings_one_probe_forward_and_not_more() {
    let mut bench = down();
    for _ in 0..8 {
        bench.pass_until("send");
        bench.on(answered(500));
    }
    let full = rest(&bench).unwrap();
    assert!(full > Duration::from_secs(60));
    // Whether this rest may be cut depends on the one before: none was.
    assert_eq!(bench.on(Event::Heard), ["send t1 [1]"]);
    assert!(bench.on(answered(500)).is_empty());
    let failures = bench.peer.health().failures;
    for _ in 0..50 {
        assert!(bench.on(Event::Heard).is_empty());
    }
    assert!(rest(&bench).unwrap() > Duration::from_secs(60));
    assert_eq!(bench.peer.health().failures, failures);
}

#[test]
fn a_sign_of_life_hurries_a_refresh_that_rests_too() {
    let mut bench = Bench::linked();
    bench.pass(4000);
    bench.queue([1]);
    bench.on(Event::Refreshed(crate::wire::answer::Refreshed::Failed(trouble(CallStage::Timeout))));
    bench.pass(10);
    bench.on(Event::Refreshed(crate::wire::answer::Refreshed::Failed(trouble(CallStage::Timeout))));
    bench.pass_ms(100);
    assert_eq!(bench.on(Event::Heard), ["refresh with refresh-t1"]);
}

//= HT-SEND-23
#[test]
fn only_the_probes_success_clears_the_history() {
    let mut bench = down();
    bench.on(Event::Heard);
    assert_eq!(bench.peer.health().failures, 1);
    bench.on(answered(204));
    assert_eq!(bench.peer.health().failures, 0);
    assert!(bench.has_fact(|fact| *fact == Fact::LinkUp));
}

//= HT-SEND-22
#[test]
fn a_grant_is_a_sign_of_life() {
    let mut bench = Bench::new();
    bench.queue([1]);
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.pass(30);
    assert!(rest(&bench).is_some());
    bench.grant("t1");
    assert_eq!(bench.on(Event::Kept), ["answer 1: 204", "send t1 [1]"]);
}

//= HT-SEND-16, HT-SEND-19
#[test]
fn a_refusal_is_told_as_one_and_mail_stays_queued() {
    for status in [402, 403, 404, 405, 410, 415, 421, 451] {
        let mut bench = Bench::sending([1]);
        assert!(bench.on(answered(status)).is_empty());
        assert!(bench.has_fact(|fact| matches!(fact, Fact::LinkRefused(_))), "{status}");
        assert_eq!(bench.pass(2), ["send t1 [1]"], "{status}");
    }
    for status in [200, 302, 500, 502, 504] {
        let mut bench = Bench::sending([1]);
        bench.on(answered(status));
        assert!(!bench.has_fact(|fact| matches!(fact, Fact::LinkRefused(_))), "{status}");
        assert_eq!(bench.pass(2), ["send t1 [1]"], "{status}");
    }
}

#[test]
fn a_link_without_mail_wants_no_wake_while_it_rests() {
    let mut bench = Bench::new();
    bench.on(Event::ConnectWanted);
    bench.on(Event::Asked(Err(trouble(CallStage::Connect))));
    bench.pass(300);
    assert_eq!(bench.wait(), None);
}
