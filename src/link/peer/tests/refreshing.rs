//! `https-token`, "Refreshing", our own side; and the cure for 401 ("Sending").

use std::time::Duration;

use crate::{
    link::{
        event::{Event, Fact},
        testing::{Bench, answered, fresh, parameters, trouble},
    },
    wire::{
        answer::{Answer, CallStage, Refreshed},
        parameters::{Form, Found},
    },
};

fn refused(status: u16) -> Event {
    Event::Refreshed(Refreshed::Answered(Answer::bare(status)))
}

fn unanswered() -> Event {
    Event::Refreshed(Refreshed::Failed(trouble(CallStage::Timeout)))
}

/// Linked, and something was delivered just now.
fn lively() -> Bench {
    let mut bench = Bench::sending([1]);
    bench.on(answered(204));
    bench
}

/// ... and the refresh is due.
fn renewing() -> Bench {
    let mut bench = lively();
    assert_eq!(bench.pass(2701), ["refresh with refresh-t1"]);
    bench
}

//= HT-REF-14
#[test]
fn a_link_that_is_used_is_refreshed_at_three_quarters_of_the_lifetime_or_a_little_earlier() {
    let mut bench = lively();
    assert!(bench.pass(3600 * 64 / 100).is_empty());
    assert_eq!(bench.pass(3600 * 12 / 100), ["refresh with refresh-t1"]);
}

//= HT-REF-15
#[test]
fn packets_go_on_with_the_old_token_while_a_refresh_runs_and_there_is_one_refresh() {
    let mut bench = renewing();
    assert_eq!(bench.queue([2, 3]), ["send t1 [2, 3]"]);
    assert!(bench.on(Event::RefreshWanted).is_empty());
    assert!(bench.pass(60).is_empty());
    assert_eq!(bench.on(Event::Refreshed(fresh("t2", 3600))), ["keep refresh t2"]);
    assert!(bench.pass(60).is_empty());
}

//= HT-REF-17
#[test]
fn new_tokens_are_used_when_they_are_on_disk_and_not_before() {
    let mut bench = renewing();
    bench.on(Event::Refreshed(fresh("t2", 3600)));
    assert_eq!(bench.queue([2]), ["send t1 [2]"]);
    bench.on(Event::Kept);
    bench.on(answered(204));
    bench.queue([3]);
    assert_eq!(bench.did.last().unwrap(), "send t2 [3]");
}

//= HT-CRASH-04
#[test]
fn a_refresh_that_could_not_be_kept_is_repeated_with_the_old_token() {
    let mut bench = renewing();
    bench.on(Event::Refreshed(fresh("t2", 3600)));
    assert!(bench.on(Event::NotKept).is_empty());
    assert_eq!(bench.pass(4), ["refresh with refresh-t1"]);
}

//= HT-REF-19
#[test]
fn no_answer_and_429_and_5xx_leave_the_old_refresh_token_good() {
    for reply in [unanswered(), refused(429), refused(500), refused(503)] {
        let mut bench = renewing();
        assert!(bench.on(reply).is_empty());
        assert_eq!(bench.pass(4), ["refresh with refresh-t1"]);
        bench.on(unanswered());
        assert!(bench.pass_ms(1400).is_empty());
        assert_eq!(bench.pass(2), ["refresh with refresh-t1"]);
    }
}

fn told_to_wait(seconds: u64) -> Event {
    let wait = Some(Duration::from_secs(seconds));
    Event::Refreshed(Refreshed::Answered(Answer { retry_after: wait, ..Answer::bare(429) }))
}

//= HT-SEND-17
#[test]
fn the_peers_wait_before_another_refresh_is_kept_whatever_is_heard_and_mail_goes_on() {
    let mut bench = renewing();
    assert!(bench.on(told_to_wait(60)).is_empty());
    assert!(bench.on(Event::Heard).is_empty());
    assert_eq!(bench.queue([2]), ["send t1 [2]"]);
    bench.on(answered(204));
    assert!(bench.pass(59).is_empty());
    assert_eq!(bench.pass(16), ["refresh with refresh-t1"]);
    bench.on(told_to_wait(60));
    assert_eq!(bench.on(Event::RetryWanted), ["refresh with refresh-t1"], "an operator does not wait");
}

//= HT-SEND-17
#[test]
fn the_peers_wait_is_kept_also_where_the_token_runs_out_or_is_refused_meanwhile() {
    for refused in [false, true] {
        let mut bench = renewing();
        bench.on(told_to_wait(1800));
        bench.queue([2]);
        if refused {
            assert!(bench.on(answered(401)).is_empty());
        } else {
            bench.on(answered(204));
            bench.pass(1000);
            assert!(bench.queue([3]).is_empty(), "the token is over");
        }
        assert!(bench.pass(799).is_empty());
        bench.pass_until("refresh with refresh-t1");
        assert!(bench.ms >= (2701 + 1800) * 1000, "{}", bench.ms);
    }
}

//= HT-SEND-17
#[test]
fn with_no_token_left_mail_waits_as_long_as_the_peer_asks_before_another_refresh() {
    let mut bench = Bench::sending([1]);
    bench.pass(3);
    assert_eq!(bench.on(answered(401)), ["refresh with refresh-t1"]);
    assert!(bench.on(told_to_wait(60)).is_empty());
    assert!(bench.on(Event::Heard).is_empty());
    assert!(bench.pass(59).is_empty());
    assert_eq!(bench.pass(16), ["refresh with refresh-t1"]);
    // A token that comes otherwise is used after the link's own pause.
    assert!(bench.on(told_to_wait(600)).is_empty());
    bench.on(Event::ConnectWanted);
    bench.pass(2);
    bench.grant("t2");
    bench.on(Event::Kept);
    assert!(
        bench.did.last().unwrap() == "send t2 [1]" || bench.pass(10) == ["send t2 [1]"],
        "{:?}",
        bench.did
    );
}

//= HT-REF-20
#[test]
fn a_refused_refresh_is_an_exchange_anew_and_mail_stays() {
    for status in [200, 400, 401, 403, 404] {
        let mut bench = renewing();
        assert_eq!(bench.queue([2]), ["send t1 [2]"]);
        assert_eq!(bench.pass(3), [""; 0]);
        assert_eq!(bench.on(refused(status)), ["ask"], "{status}");
        assert!(!bench.has_fact(|fact| matches!(fact, Fact::MailDead { .. })));
    }
}

//= HT-REF-21
#[test]
fn the_chain_holds_for_any_number_of_refreshes() {
    let mut bench = lively();
    for n in 2..200 {
        assert_eq!(bench.pass(2701), [format!("refresh with refresh-t{}", n - 1)]);
        bench.on(Event::Refreshed(fresh(&format!("t{n}"), 3600)));
        bench.on(Event::Kept);
        bench.queue([n]);
        assert_eq!(bench.did.last().unwrap(), &format!("send t{n} [{n}]"));
        bench.on(answered(204));
    }
}

//= HT-REF-16
#[test]
fn a_link_that_sent_nothing_for_a_day_is_refreshed_when_there_is_mail() {
    let mut bench = Bench::linked();
    assert!(bench.pass(30 * 24 * 3600).is_empty());
    assert_eq!(bench.queue([1]), ["refresh with refresh-t1"]);
    bench.on(Event::Refreshed(fresh("t2", 3600)));
    assert_eq!(bench.on(Event::Kept), ["send t2 [1]"]);
}

#[test]
fn a_refresh_path_that_only_fails_does_not_hold_the_mail_for_ever() {
    let mut bench = Bench::linked();
    bench.pass(4000);
    bench.queue([1]);
    for _ in 0..10 {
        if bench.did.last().unwrap().starts_with("refresh") {
            bench.on(refused(500));
        }
        bench.pass(60);
    }
    assert_eq!(bench.did.iter().filter(|did| did.starts_with("refresh")).count(), 3);
    assert_eq!(bench.did.last().unwrap(), "ask");
}

//= HT-ASK-14
#[test]
fn on_401_the_token_before_the_newest_is_shown_first_and_stays() {
    let mut bench = lively();
    bench.pass(3);
    bench.on(Event::ConnectWanted);
    bench.grant("t2");
    bench.on(Event::Kept);
    assert_eq!(bench.queue([2]), ["send t2 [2]"]);
    assert_eq!(bench.on(answered(401)), ["send t1 [2]"]);
    bench.on(answered(204));
    assert_eq!(bench.peer.record().held.len(), 1);
    assert!(bench.pass(10).is_empty());
}

//= HT-ASK-13
#[test]
fn the_newest_token_drops_the_older_once_a_packet_had_204() {
    let mut bench = lively();
    bench.pass(3);
    bench.on(Event::ConnectWanted);
    bench.grant("t2");
    bench.on(Event::Kept);
    assert_eq!(bench.peer.record().held.len(), 2);
    bench.queue([2]);
    bench.on(answered(204));
    let held = bench.peer.record().held;
    assert_eq!(held.len(), 1);
    assert!(held[0].confirmed && held[0].token.reveal() == "t2");
}

//= HT-SEND-08
#[test]
fn a_401_for_a_token_that_is_no_longer_current_is_sent_again_with_the_current_one() {
    let mut bench = renewing();
    bench.queue([2]);
    bench.on(Event::Refreshed(fresh("t2", 3600)));
    bench.on(Event::Kept);
    assert_eq!(bench.on(answered(401)), ["send t2 [2]"]);
}

//= HT-SEND-09, HT-SEND-10
#[test]
fn on_401_the_link_refreshes_once_then_exchanges_once_then_backs_off() {
    let mut bench = Bench::sending([1]);
    bench.pass(3);
    assert_eq!(bench.on(answered(401)), ["refresh with refresh-t1"]);
    let health = bench.peer.health();
    assert_eq!((health.tries, health.failures), (1, 0));
    assert_eq!(health.failed.as_ref().unwrap().reason, "packet: answered 401", "a try is named");
    bench.on(Event::Refreshed(fresh("t2", 3600)));
    assert_eq!(bench.on(Event::Kept), ["send t2 [1]"]);
    assert!(bench.on(answered(401)).is_empty());
    assert_eq!(bench.pass(2), ["ask"]);
    bench.grant("t3");
    assert_eq!(bench.on(Event::Kept).last().unwrap(), "send t3 [1]");
    assert!(bench.on(answered(401)).is_empty());
    assert_eq!(bench.peer.health().failures, 1);
    assert!(bench.peer.look(bench.now()).rests_until.is_some());
}

#[test]
fn after_the_back_off_one_more_exchange_is_the_probe() {
    let mut bench = Bench::sending([1]);
    bench.pass(3);
    bench.on(answered(401));
    bench.on(refused(401));
    bench.pass(3);
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.grant("t2");
    bench.on(Event::Kept);
    bench.on(answered(401));
    for n in 3..6 {
        bench.pass_until("ask");
        bench.on(Event::Asked(Ok(Answer::bare(204))));
        bench.grant(&format!("t{n}"));
        bench.on(Event::Kept);
        assert_eq!(bench.did.last().unwrap(), &format!("send t{n} [1]"));
        assert!(bench.on(answered(401)).iter().all(|did| !did.starts_with("refresh")));
        assert_eq!(u64::from(bench.peer.health().failures), n - 1);
    }
}

#[test]
fn a_401_while_a_refresh_runs_starts_no_second_one() {
    let mut bench = renewing();
    bench.queue([2]);
    assert!(bench.on(answered(401)).is_empty());
    assert!(bench.pass(60).is_empty());
    bench.on(Event::Refreshed(fresh("t2", 3600)));
    assert_eq!(bench.on(Event::Kept), ["send t2 [2]"]);
    assert!(bench.pass(60).is_empty());
}

#[test]
fn a_401_that_ends_in_an_exchange_does_not_strand_behind_a_resting_refresh() {
    let mut bench = Bench::sending([1]);
    bench.pass(3);
    bench.on(answered(401));
    bench.on(Event::Refreshed(fresh("t2", 3600)));
    bench.on(Event::Kept);
    bench.pass(3);
    bench.on(Event::RefreshWanted);
    bench.on(unanswered());
    bench.on(answered(401));
    assert!(bench.pass(3).contains(&"ask".to_owned()));
    bench.on(Event::Asked(Err(trouble(CallStage::Connect))));
    assert!(bench.pass(10).contains(&"ask".to_owned()));
}

#[test]
fn a_refused_refresh_of_a_pair_that_is_not_the_newest_asks_for_nothing() {
    let mut bench = renewing();
    bench.pass(3);
    bench.on(Event::ConnectWanted);
    bench.grant("t2");
    bench.on(Event::Kept);
    bench.pass(3);
    assert!(bench.on(refused(401)).is_empty());
    assert!(bench.pass(10).is_empty());
}

//= NODE-API-30
#[test]
fn an_operators_refresh_without_a_token_is_refused_and_with_one_runs() {
    let mut bench = Bench::new();
    assert!(bench.on(Event::RefreshWanted).is_empty());
    assert!(bench.has_fact(|fact| matches!(fact, Fact::RefreshRefused(_))));
    let mut bench = Bench::linked();
    bench.pass(3);
    assert_eq!(bench.on(Event::RefreshWanted), ["refresh with refresh-t1"]);
}

//= HT-SEND-11
#[test]
fn never_more_than_one_refresh_or_exchange_begins_in_two_seconds() {
    let mut bench = Bench::linked();
    assert!(bench.on(Event::RefreshWanted).is_empty());
    assert!(bench.pass_ms(1999).is_empty());
    assert_eq!(bench.pass_ms(1), ["refresh with refresh-t1"]);
    assert!(bench.on(Event::ConnectWanted).is_empty());
    assert!(bench.pass_ms(1999).is_empty());
    assert_eq!(bench.pass_ms(1), ["ask"]);
}

#[test]
fn a_401_before_the_exchange_that_a_refused_refresh_wants_waits_for_that_exchange() {
    let mut bench = Bench::sending([1]);
    bench.pass(3);
    bench.on(Event::RefreshWanted);
    bench.on(refused(401));
    assert!(bench.on(answered(401)).is_empty());
    assert_eq!(bench.peer.health().failures, 0);
    assert_eq!(bench.pass(2), ["ask"]);
}

//= HT-ASK-18
#[test]
fn what_a_refresh_brings_for_a_pair_that_a_newer_one_has_replaced_is_shown_after_that_one() {
    let mut bench = Bench::linked();
    bench.pass(3);
    bench.on(Event::RefreshWanted);
    bench.pass(3);
    bench.on(Event::ConnectWanted);
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.grant("t2");
    bench.on(Event::Kept);
    bench.queue([1]);
    bench.on(answered(204));
    bench.on(Event::Refreshed(fresh("t3", 3600)));
    bench.on(Event::Kept);
    assert_eq!(bench.queue([2]), ["send t2 [2]"]);
    assert_eq!(bench.on(answered(401)), ["send t3 [2]"]);
}

//= HT-REV-18
#[test]
fn a_refresh_that_a_401_wanted_is_forgotten_when_the_new_token_cannot_be_refreshed() {
    let mut bench = Bench::sending([1]);
    bench.pass(3);
    bench.found = Some(Ok(Found::pinned(parameters(Form::State))));
    assert_eq!(bench.on(Event::ConnectWanted), ["ask with a state"]);
    assert!(bench.on(answered(401)).is_empty(), "it may refresh in 2 s");
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.grant_state("s1", 3600);
    assert_eq!(bench.on(Event::Kept), ["answer 2: 204", "send s1 [1]"]);
    bench.on(answered(204));
    assert!(bench.pass(600).is_empty(), "{:?}", bench.did);
}
