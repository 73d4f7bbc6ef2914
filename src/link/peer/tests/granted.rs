//! `https-token`, "Being granted".

use std::time::Duration;

use crate::{
    link::{
        event::{Event, Fact},
        testing::{Bench, answered, fresh, offer, offer_for, parameters, trouble},
    },
    token::family::NewPair,
    wire::{
        answer::{Answer, CallStage},
        exchange::TokenOffer,
        host::PeerHost,
        parameters::{Form, Found},
        secret::Digest,
    },
};

fn asking() -> Bench {
    let mut bench = Bench::new();
    assert_eq!(bench.queue([1]), ["ask"]);
    bench
}

fn bearer(bench: &Bench) -> Digest {
    bench.ask.as_ref().unwrap().token.digest()
}

fn pair(bench: &Bench) -> NewPair {
    let hour = Duration::from_secs(3600);
    NewPair::new(Digest::of(b"a"), hour, Digest::of(b"r"), hour, bench.now().wall)
}

/// Somebody asked in the peer's name, and it took our grant, which opens what `a` and `r` are digests of.
fn brings(bench: &mut Bench, offer: TokenOffer) -> Vec<String> {
    let pair = pair(bench);
    bench.on(Event::GrantTaken { family: 7, pair, offer: Some(offer), likely: false })
}

//= HT-SEND-01
#[test]
fn one_exchange_runs_at_a_time() {
    let mut bench = asking();
    assert!(bench.on(Event::ConnectWanted).is_empty());
    assert!(bench.queue([2]).is_empty());
    assert!(bench.on(Event::Asked(Ok(Answer::bare(204)))).is_empty());
    assert!(bench.pass(29).is_empty());
    bench.grant("t1");
    bench.on(Event::Kept);
    assert_eq!(bench.on(Event::ConnectWanted), ["ask"]);
}

//= SEED-GRANT-1, SEED-GRANT-3, HT-GRANT-10
#[test]
fn a_grant_is_answered_when_it_is_kept_and_then_mail_goes_out() {
    let mut bench = asking();
    assert_eq!(bench.grant("t1"), ["keep grant t1"]);
    assert_eq!(bench.on(Event::Kept), ["answer 1: 204", "send t1 [1]"]);
    let ask = bearer(&bench);
    assert!(bench.opens(&ask));
}

//= HT-GRANT-13
#[test]
fn a_grant_before_our_request_is_answered_is_taken() {
    let mut bench = asking();
    bench.grant("t1");
    assert_eq!(bench.on(Event::Kept), ["answer 1: 204", "send t1 [1]"]);
    assert!(bench.on(Event::Asked(Ok(Answer::bare(404)))).is_empty());
    assert!(!bench.has_fact(|fact| matches!(fact, Fact::AskFailed(_))));
}

#[test]
fn a_request_whose_grant_is_being_kept_cannot_fail() {
    let mut bench = asking();
    bench.grant("t1");
    assert!(bench.on(Event::Asked(Err(trouble(CallStage::Connect)))).is_empty());
    assert_eq!(bench.on(Event::Kept), ["answer 1: 204", "send t1 [1]"]);
    assert!(!bench.has_fact(|fact| matches!(fact, Fact::AskFailed(_))));
}

//= HT-GRANT-02
#[test]
fn the_same_grant_again_is_204_and_changes_nothing() {
    let mut bench = asking();
    bench.grant("t1");
    bench.on(Event::Kept);
    let before = bench.peer.record();
    assert_eq!(bench.grant("t1"), ["answer 2: 204"]);
    assert_eq!(bench.peer.record(), before);
    bench.pass(3000);
    assert_eq!(bench.grant("t1").last().unwrap(), "answer 3: 204");
}

//= HT-GRANT-02
#[test]
fn the_same_grant_again_while_the_first_is_on_its_way_to_the_disk_is_204_and_opens_one_family() {
    let mut bench = asking();
    bench.grant("t1");
    bench.grant("t1");
    assert_eq!(bench.on(Event::Kept), ["answer 1: 204", "keep grant t1", "send t1 [1]"]);
    assert_eq!(bench.on(Event::Kept), ["answer 2: 204"]);
    assert_eq!(bench.peer.families().iter().count(), 1);
    assert_eq!(bench.peer.record().repeats.len(), 1);
}

//= HT-GRANT-11
#[test]
fn a_repeat_is_recognised_after_a_restart() {
    let mut bench = Bench::linked();
    let record = bench.peer.record();
    let families: Vec<_> =
        bench.peer.families().iter().map(crate::token::family::Family::to_record).collect();
    let settings = std::sync::Arc::new(crate::link::testing::settings());
    bench.peer =
        crate::link::peer::Peer::from_record(record, None, families.into_iter(), settings, &mut bench.dice);
    assert_eq!(bench.grant("t1"), ["answer 2: 204"]);
}

//= SEED-GRANT-2, HT-GRANT-05
#[test]
fn the_same_bearer_with_other_tokens_is_refused_also_while_the_first_is_on_its_way() {
    let mut bench = asking();
    bench.grant("t1");
    assert_eq!(bench.grant("t2"), ["answer 2: grant-altered"]);
    bench.on(Event::Kept);
    assert_eq!(bench.grant("t2"), ["answer 3: grant-altered"]);
    let other_refresh = TokenOffer { refresh: offer("x").refresh, ..offer("t1") };
    let ask = bearer(&bench);
    assert_eq!(bench.grant_under(ask, other_refresh), ["answer 4: grant-altered"]);
}

//= HT-PIC-01, HT-GRANT-04, HT-GRANT-12
#[test]
fn a_bearer_that_was_asked_of_another_host_is_refused_and_the_exchange_goes_on_waiting() {
    let mut bench = asking();
    let ask = bearer(&bench);
    let other = TokenOffer { host: PeerHost::parse("c.test").unwrap(), ..offer("t9") };
    assert_eq!(bench.grant_under(ask, other), ["answer 1: grant-other-host"]);
    assert_eq!(bench.grant("t1"), ["keep grant t1"]);
}

//= HT-GRANT-03
#[test]
fn an_unknown_bearer_is_unknown_whatever_host_is_named() {
    let mut bench = asking();
    let unknown = Digest::of(b"unknown");
    assert_eq!(bench.grant_under(unknown, offer("t9")), ["answer 1: token-unknown"]);
    let other = TokenOffer { host: PeerHost::parse("c.test").unwrap(), ..offer("t9") };
    assert_eq!(bench.grant_under(unknown, other), ["answer 2: token-unknown"]);
    assert_eq!(bench.grant("t1"), ["keep grant t1"]);
}

//= HT-GRANT-15, HT-GRANT-16
#[test]
fn a_grant_that_does_not_come_fails_the_exchange_and_is_taken_for_five_minutes_all_the_same() {
    let mut bench = asking();
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    let ask = bearer(&bench);
    let asked_again = bench.pass(40);
    assert_eq!(asked_again, ["ask"]);
    assert!(bench.has_fact(|fact| matches!(fact, Fact::AskFailed(reason) if reason.starts_with("grant: "))));
    assert_eq!(bench.peer.health().failures, 1);
    bench.pass_ms(300_000 - 40_000 - 1);
    assert_eq!(bench.grant_under(ask, offer("t1")).last().unwrap(), "keep grant t1");
}

//= HT-GRANT-16
#[test]
fn after_five_minutes_the_bearer_of_a_failed_exchange_is_unknown() {
    let mut bench = asking();
    let ask = bearer(&bench);
    bench.pass(300);
    assert_eq!(bench.grant_under(ask, offer("t1")).last().unwrap(), "answer 1: token-unknown");
    assert!(!bench.peer.grant_keys().any(|known| known == crate::link::event::GrantKey::Bearer(ask)));
}

//= HT-GRANT-14
#[test]
fn what_our_request_is_answered_decides_nothing() {
    for status in [200, 204, 400, 401, 403, 413, 429, 500, 503] {
        let mut bench = asking();
        assert!(bench.on(Event::Asked(Ok(Answer::bare(status)))).is_empty(), "{status}");
        assert_eq!(bench.grant("t1"), ["keep grant t1"], "{status}");
        assert!(bench.peer.look(bench.now()).rests_until.is_none());
    }
    for stage in [CallStage::Exchange, CallStage::Timeout] {
        let mut bench = asking();
        bench.on(Event::Asked(Err(trouble(stage))));
        assert!(bench.peer.look(bench.now()).asking, "{stage:?}");
    }
}

#[test]
fn a_request_that_cannot_have_arrived_fails_at_once() {
    let unreached =
        [CallStage::LookUp, CallStage::Resolve, CallStage::Guard, CallStage::Connect, CallStage::Tls];
    let statuses = [404, 405].map(|status| Ok(Answer::bare(status)));
    for reply in unreached.map(|stage| Err(trouble(stage))).into_iter().chain(statuses) {
        let mut bench = asking();
        bench.on(Event::Asked(reply.clone()));
        assert!(!bench.peer.look(bench.now()).asking, "{reply:?}");
        assert!(bench.peer.look(bench.now()).rests_until.is_some(), "{reply:?}");
        assert_eq!(bench.pass(3), ["ask"], "{reply:?}");
    }
}

#[test]
fn the_answer_to_an_older_request_does_not_end_a_newer_exchange() {
    let mut bench = asking();
    // The call of the first request is still open when its grant is given up.
    assert!(bench.pass(60).is_empty());
    assert_eq!(bench.on(Event::Asked(Err(trouble(CallStage::Connect)))), ["ask"]);
    assert!(bench.peer.look(bench.now()).asking);
}

#[test]
fn accepted_grants_that_are_remembered_are_bounded() {
    let mut bench = Bench::new();
    for n in 0..50 {
        bench.pass(3);
        bench.on(Event::ConnectWanted);
        bench.on(Event::Asked(Ok(Answer::bare(204))));
        bench.grant(&format!("t{n}"));
        bench.on(Event::Kept);
    }
    assert!(bench.peer.record().repeats.len() <= 8);
    assert!(bench.peer.record().held.len() <= 2);
    assert_eq!(bench.peer.families().iter().count(), 4);
}

//= SEED-GRANT-4, HT-ASK-07
#[test]
fn the_peer_takes_our_grant_and_we_send_with_what_it_offered() {
    let mut bench = Bench::new();
    bench.queue([1]);
    assert_eq!(brings(&mut bench, offer_for("t1", 60)), ["keep taken t1"]);
    assert!(!bench.opens(&Digest::of(b"a")));
    assert_eq!(bench.on(Event::Kept), ["send t1 [1]"]);
    assert!(bench.opens(&Digest::of(b"a")));
}

//= HT-ASK-13
#[test]
fn a_token_that_is_being_shown_is_not_displaced_by_what_a_request_brings() {
    let mut bench = Bench::sending([1]);
    bench.on(Event::Sent(Ok(Answer::bare(204))));
    bench.pass(3);
    bench.on(Event::ConnectWanted);
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.grant("t2");
    bench.on(Event::Kept);
    assert_eq!(bench.queue([2]), ["send t2 [2]"]);
    brings(&mut bench, offer("t9"));
    bench.on(Event::Kept);
    bench.on(Event::Sent(Ok(Answer::bare(204))));
    assert_eq!(bench.queue([3]), ["send t9 [3]"]);
    assert_eq!(bench.on(Event::Sent(Ok(Answer::bare(401)))), ["send t2 [3]"]);
}

//= HT-REV-15
#[test]
fn what_a_stranger_may_have_brought_stands_against_no_other_request_until_it_has_worked() {
    let mut bench = Bench::new();
    brings(&mut bench, offer("t9"));
    bench.on(Event::Kept);
    assert!(!bench.peer.standing(bench.now()).holds);
    assert_eq!(bench.queue([1]), ["send t9 [1]"]);
    bench.on(answered(204));
    assert!(bench.peer.standing(bench.now()).holds);
}

//= HT-REV-15
#[test]
fn what_the_host_itself_gave_stands_against_a_request_of_another_form() {
    let mut bench = Bench::linked();
    assert!(bench.peer.standing(bench.now()).holds, "by an exchange that we began");
    bench.pass(3);
    bench.on(Event::RefreshWanted);
    bench.on(Event::Refreshed(fresh("t2", 60)));
    bench.on(Event::Kept);
    assert!(bench.peer.standing(bench.now()).holds, "by a refresh");
    let mut bench = Bench::new();
    let pair = pair(&bench);
    bench.on(Event::GrantTaken { family: 7, pair, offer: Some(offer("t9")), likely: true });
    bench.on(Event::Kept);
    assert!(bench.peer.standing(bench.now()).holds, "with a request from its own address");
}

//= HT-ASK-13
#[test]
fn a_token_whose_first_packet_was_not_answered_is_not_displaced_by_what_a_request_brings() {
    let mut bench = Bench::sending([1]);
    bench.on(Event::Sent(Ok(Answer::bare(204))));
    bench.pass(3);
    bench.on(Event::ConnectWanted);
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.grant("t2");
    bench.on(Event::Kept);
    assert_eq!(bench.queue([2]), ["send t2 [2]"]);
    bench.on(Event::Sent(Err(trouble(CallStage::Timeout))));
    brings(&mut bench, offer("t9"));
    assert_eq!(bench.on(Event::Kept), ["send t9 [2]"]);
    assert_eq!(bench.on(Event::Sent(Ok(Answer::bare(401)))), ["send t2 [2]"]);
}

//= HT-ASK-13
#[test]
fn a_token_that_was_refreshed_works_as_the_one_before_did() {
    let mut bench = Bench::sending([1]);
    bench.on(answered(204));
    bench.pass(3);
    bench.on(Event::RefreshWanted);
    bench.on(Event::Refreshed(fresh("t2", 3600)));
    bench.on(Event::Kept);
    for forged in ["t8", "t9"] {
        brings(&mut bench, offer(forged));
        bench.on(Event::Kept);
    }
    assert_eq!(bench.queue([2]), ["send t9 [2]"]);
    assert_eq!(bench.on(answered(401)), ["send t2 [2]"]);
}

//= HT-ASK-13
#[test]
fn a_refusal_of_what_a_request_brought_says_nothing_of_the_token_that_works() {
    let mut bench = Bench::sending([1]);
    bench.on(answered(204));
    brings(&mut bench, offer("t9"));
    bench.on(Event::Kept);
    assert_eq!(bench.queue([2]), ["send t9 [2]"]);
    assert_eq!(bench.on(answered(403)), ["send t1 [2]"]);
    assert!(bench.on(answered(403)).is_empty());
    assert!(bench.peer.rests_until().is_some(), "that one is refused as well");
}

//= HT-REV-18
#[test]
fn the_same_token_granted_anew_lives_as_long_as_it_is_said_then() {
    let mut bench = Bench::new();
    bench.found = Some(Ok(Found::pinned(parameters(Form::State))));
    bench.queue([1]);
    let mut asks = 0;
    for n in 0..3 {
        if n > 0 {
            bench.pass_until("ask");
        }
        bench.on(Event::Asked(Ok(Answer::bare(204))));
        bench.grant_state("t1", 100);
        bench.on(Event::Kept);
        bench.on(answered(204));
        asks += bench.pass(60).iter().filter(|did| did.starts_with("ask")).count();
        assert!(bench.peer.look(bench.now()).held_until.is_some());
    }
    assert_eq!(asks, 0, "it is renewed at 3/4 of its life");
    assert_eq!(bench.queue([2]), ["send t1 [2]"]);
}

#[test]
fn tokens_that_nobody_will_use_are_forgotten_and_the_link_with_them() {
    let month = 30 * 24 * 3600;
    let mut bench = Bench::new();
    brings(&mut bench, offer_for("t9", 400 * 24 * 3600));
    bench.on(Event::Kept);
    for (seconds, blank) in [(0, false), (month - 10, false), (20, true)] {
        bench.pass(seconds);
        let now = bench.now();
        bench.peer.families_mut().sweep(now.wall);
        bench.peer.forget_old(now);
        assert_eq!(bench.peer.is_blank(now), blank, "{seconds}");
    }
    assert!(!bench.peer.is_linked());
}
