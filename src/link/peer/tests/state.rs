//! R3 ("state"), and how the peer is spoken to: looked up, followed, and what it announces.

use crate::{
    link::{
        event::{Change, Event, Fact, GrantKey, Granted},
        peer::{Peer, Standing},
        testing::{Bench, answered, fresh, host, offer, parameters, settings, state_grant, token, trouble},
    },
    token::family::NewPair,
    wire::{
        answer::{Answer, CallStage, Refreshed},
        exchange::StateGrant,
        parameters::{Form, Found, PinnedPaths, Published, Revision},
        record::LinkRecord,
        secret::Digest,
        time::Wall,
    },
};

fn found(form: Form) -> Found {
    Found::pinned(parameters(form))
}

/// A peer that speaks R3, asked because there is mail.
fn asked() -> Bench {
    let mut bench = Bench::new();
    bench.found = Some(Ok(found(Form::State)));
    assert_eq!(bench.queue([1]), ["ask with a state"]);
    bench
}

/// ... and granted, its request answered.
fn linked(seconds: u64) -> Bench {
    let mut bench = asked();
    bench.grant_state("t1", seconds);
    bench.on(Event::Kept);
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.on(answered(204));
    bench
}

fn single(name: &str, unsure: bool, now: Wall) -> NewPair {
    NewPair::single(Digest::of(name.as_bytes()), std::time::Duration::from_secs(3600), unsure, now)
}

/// The peer answered our R3 grant with 204.
fn give(bench: &mut Bench, family: u64, unsure: bool) -> Vec<String> {
    let pair = single(&format!("a{family}"), unsure, bench.now().wall);
    let mut did = bench.on(Event::GrantTaken { family, pair, offer: None, likely: false });
    if did == ["keep taken"] {
        did.extend(bench.on(Event::Kept));
    }
    did
}

//= HT-REV-16, HT-GRANT-06
#[test]
fn a_state_is_granted_before_the_request_is_answered_and_gives_one_direction() {
    let mut bench = asked();
    assert_eq!(bench.grant_state("t1", 3600), ["keep grant t1"]);
    assert_eq!(bench.on(Event::Kept), ["answer 1: 204", "send t1 [1]"]);
    assert!(bench.on(Event::Asked(Ok(Answer::bare(204)))).is_empty());
    assert_eq!(bench.peer.families().iter().count(), 0);
    let look = bench.peer.look(bench.now());
    assert_eq!((look.held_by, look.given_by), (Some(Revision::R3), None));
    assert!(bench.peer.is_linked());
}

//= HT-REV-12, HT-GRANT-04, HT-GRANT-06, HT-GRANT-07, HT-GRANT-08, HT-GRANT-11
#[test]
fn the_table_of_r3_grants() {
    let mut bench = asked();
    let state = bench.state.unwrap();
    let grant = |state, name: &str| Granted::State(state_grant(state, name, 60));
    assert_eq!(bench.arrives(grant(Digest::of(b"x"), "t9")), ["answer 1: state-unknown"]);
    let elsewhere = Granted::State(StateGrant { host: host("c.test"), ..state_grant(state, "t9", 60) });
    assert_eq!(bench.arrives(elsewhere), ["answer 2: grant-other-host"]);
    // The state is no bearer, and with a bearer the state counts for nothing.
    assert_eq!(bench.grant_under(state, offer("t9")), ["answer 3: token-unknown"]);
    assert_eq!(bench.arrives(grant(state, "t1")), ["keep grant t1"]);
    assert_eq!(bench.arrives(grant(state, "t2")), ["answer 5: grant-altered"]);
    bench.on(Event::Kept);
    assert_eq!(bench.arrives(grant(state, "t1")), ["answer 6: 204"]);
    assert_eq!(bench.arrives(grant(state, "t2")), ["answer 7: grant-altered"]);
    let record = bench.peer.record();
    bench.peer = Peer::from_record(record, None, [].into_iter(), settings().into(), &mut bench.dice);
    assert_eq!(bench.arrives(grant(state, "t1")), ["answer 8: 204"]);
    bench.pass(61);
    bench.on(Event::Woken);
    assert_eq!(bench.arrives(grant(state, "t1")), ["answer 9: state-unknown"]);
}

//= HT-GRANT-16
#[test]
fn a_state_is_taken_for_five_minutes_and_no_longer() {
    let mut bench = asked();
    let state = bench.state.unwrap();
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.pass(299);
    let late = Granted::State(state_grant(state, "t1", 60));
    assert_eq!(bench.arrives(late.clone()).last().unwrap(), "keep grant t1");
    bench.on(Event::NotKept);
    bench.pass(1);
    assert_eq!(bench.arrives(late).last().unwrap(), "answer 2: state-unknown");
    assert!(!bench.peer.grant_keys().any(|known| known == GrantKey::State(state)));
}

//= HT-REV-18
#[test]
fn a_token_without_a_refresh_token_is_followed_by_a_new_request_and_packets_go_on() {
    let mut bench = linked(1000);
    assert!(bench.pass(600).is_empty());
    assert_eq!(bench.pass(150), ["ask with a state"]);
    assert_eq!(bench.queue([2]), ["send t1 [2]"]);
    bench.on(answered(204));
    bench.grant_state("t2", 1000);
    assert_eq!(bench.on(Event::Kept), ["answer 2: 204"]);
    assert_eq!(bench.queue([3]), ["send t2 [3]"]);
}

#[test]
fn a_request_that_is_not_granted_is_made_again_with_pauses_while_the_token_lives() {
    let mut bench = linked(100_000);
    bench.pass_until("ask");
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    let before = bench.did.len();
    for _ in 0..1000 {
        if bench.pass(25).last().is_some_and(|did| did.starts_with("ask")) {
            bench.on(Event::Asked(Ok(Answer::bare(204))));
        }
    }
    let asks = bench.did[before..].iter().filter(|did| did.starts_with("ask")).count();
    // 25,000 s at a pause of at most a quarter of an hour.
    assert!((20..60).contains(&asks), "{asks}");
    assert!(bench.peer.look(bench.now()).rests_until.is_none());
}

#[test]
fn a_link_of_which_the_token_ran_out_does_not_ask_without_end_while_nothing_waits() {
    let mut bench = linked(100);
    bench.found = Some(Err(trouble(CallStage::Connect)));
    bench.facts.clear();
    bench.pass(3600);
    let asks = bench.facts.iter().filter(|fact| **fact == Fact::AskStarted).count();
    assert!((3..30).contains(&asks), "{asks}");
    // After a day without mail nothing is asked any more.
    bench.pass(24 * 3600);
    bench.facts.clear();
    bench.pass(24 * 3600);
    assert_eq!(bench.facts, []);
}

//= HT-SEND-09
#[test]
fn a_401_is_cured_by_one_exchange_and_then_the_link_has_failed() {
    let mut bench = linked(3600);
    bench.pass(3);
    bench.queue([2]);
    assert_eq!(bench.on(answered(401)), ["ask with a state"]);
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.grant_state("t2", 3600);
    assert_eq!(bench.on(Event::Kept), ["answer 2: 204", "send t2 [2]"]);
    bench.pass(3);
    assert!(bench.on(answered(401)).is_empty());
    assert!(bench.peer.look(bench.now()).rests_until.is_some());
}

#[test]
fn an_exchange_that_fails_long_before_the_tokens_end_is_not_made_again_by_itself() {
    let mut bench = linked(400 * 24 * 3600);
    bench.found = Some(Err(trouble(CallStage::Connect)));
    bench.on(Event::ConnectWanted);
    bench.pass(3);
    assert!(bench.has_fact(|fact| matches!(fact, Fact::AskFailed(_))));
    bench.facts.clear();
    bench.pass(3600);
    assert_eq!(bench.facts, []);
}

#[test]
fn a_grant_that_comes_late_ends_the_exchange_that_was_begun_meanwhile() {
    let mut bench = asked();
    let first = bench.state.unwrap();
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.pass_until("ask");
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    let second = bench.state.unwrap();
    bench.arrives(Granted::State(state_grant(first, "t1", 3600)));
    bench.on(Event::Kept);
    assert!(!bench.peer.look(bench.now()).asking);
    // The grant of the second is taken all the same.
    assert_eq!(bench.arrives(Granted::State(state_grant(second, "t2", 3600))), ["keep grant t2"]);
}

//= HT-REV-01
#[test]
fn a_peer_that_goes_from_r3_to_r1_and_back_is_followed() {
    let mut bench = linked(1000);
    bench.found = Some(Ok(found(Form::Tokens)));
    bench.pass_until("ask");
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.grant("t2");
    bench.on(Event::Kept);
    assert_eq!(bench.peer.look(bench.now()).held_by, Some(Revision::R1));
    bench.queue([2]);
    bench.on(answered(204));
    // It has no refresh path any more.
    bench.found = Some(Ok(found(Form::State)));
    assert_eq!(bench.pass(2700), ["refresh with refresh-t2"]);
    bench.on(Event::Refreshed(Refreshed::Unspoken));
    bench.pass(2);
    assert_eq!(bench.did.last().unwrap(), "ask with a state");
}

//= HT-REV-17
#[test]
fn the_204_of_an_r3_peer_for_our_grant_proves_nothing() {
    let mut bench = Bench::new();
    bench.found = Some(Err(trouble(CallStage::Connect)));
    bench.queue([1]);
    let before = bench.peer.health().clone();
    let rests = bench.peer.look(bench.now()).rests_until;
    assert!(rests.is_some());
    assert_eq!(give(&mut bench, 7, true), ["keep taken"]);
    assert_eq!(*bench.peer.health(), before);
    assert_eq!(bench.peer.look(bench.now()).rests_until, rests);
    assert!(!bench.peer.is_linked() && !bench.peer.look(bench.now()).given_surely);
    // Until it sends.
    assert!(bench.opens(&Digest::of(b"a7")));
    assert!(bench.peer.is_linked() && bench.peer.look(bench.now()).given_surely);
}

//= HT-ASK-12
#[test]
fn what_anybody_could_have_caused_takes_the_place_of_its_own_kind_only() {
    let mut bench = Bench::new();
    for family in 1..=3 {
        give(&mut bench, family, false);
    }
    give(&mut bench, 4, true);
    give(&mut bench, 5, true);
    assert!(bench.opens(&Digest::of(b"a1")));
    assert!(!bench.opens(&Digest::of(b"a4")));
    // The one that is not in doubt takes the place of the one that is.
    give(&mut bench, 6, false);
    assert_eq!(bench.peer.standing(bench.now()), Standing { holds: false, has_room: false });
    assert_eq!(give(&mut bench, 7, true), ["no place"]);
    for family in [1, 2, 3, 6] {
        assert!(bench.opens(&Digest::of(format!("a{family}").as_bytes())), "{family}");
    }
}

#[test]
fn a_look_up_that_fails_is_a_failed_exchange_and_is_made_again_after_a_pause() {
    let mut bench = Bench::new();
    bench.found = None;
    assert_eq!(bench.queue([1]), ["look up"]);
    bench.on(Event::Found(Err(trouble(CallStage::LookUp))));
    assert!(bench.has_fact(|fact| *fact == Fact::AskFailed("look-up: no answer".to_owned())));
    assert_eq!(bench.peer.health().failures, 1);
    assert_eq!(bench.pass(3), ["look up"]);
    assert_eq!(bench.on(Event::Found(Ok(found(Form::Tokens)))), ["ask"]);
}

#[test]
fn a_grant_that_comes_while_it_is_looked_up_how_to_ask_ends_the_exchange() {
    let mut bench = asked();
    let state = bench.state.unwrap();
    bench.on(Event::Asked(Ok(Answer::bare(204))));
    bench.found = None;
    bench.pass(40);
    assert_eq!(bench.did.last().unwrap(), "look up");
    bench.arrives(Granted::State(state_grant(state, "t1", 3600)));
    bench.on(Event::Kept);
    assert!(bench.on(Event::Found(Ok(found(Form::State)))).iter().all(|did| !did.starts_with("ask")));
    assert!(!bench.peer.look(bench.now()).asking);
}

#[test]
fn what_was_found_is_kept_and_there_after_a_restart() {
    let mut bench = Bench::new();
    let published = Published {
        parameters: parameters(Form::State),
        path: "/.ymp".to_owned(),
        fetched: bench.now().wall,
        fresh_until: bench.now().wall,
    };
    let known = Found::published(published.clone(), &PinnedPaths::default());
    bench.found = Some(Ok(known.clone()));
    bench.queue([1]);
    let record: LinkRecord = bench.peer.record();
    assert_eq!(record.published, Some(published));
    bench.peer =
        Peer::from_record(record, Some(known.clone()), [].into_iter(), settings().into(), &mut bench.dice);
    assert_eq!(bench.peer.found(), Some(&known));
}

//= HT-REV-16
#[test]
fn a_change_of_r3_opens_no_family() {
    let mut bench = asked();
    bench.grant_state("t1", 60);
    let now = bench.now();
    let held = crate::wire::record::HeldRecord {
        token: token("t1"),
        refresh: None,
        dated: true,
        received: now.wall,
        expires: Wall(now.wall.0 + 60_000),
        confirmed: false,
        sure: true,
    };
    let repeat = crate::wire::record::RepeatRecord {
        ask: bench.state.unwrap(),
        token: held.token.digest(),
        refresh: None,
        expires: held.expires,
    };
    let change = Change::Granted { call: crate::link::event::CallId(1), held, repeat, opens: None };
    assert_eq!(bench.peer.writes(&change, now).len(), 1);
    // A refresh that nobody waits for changes nothing.
    assert!(bench.on(Event::Refreshed(fresh("x", 1))).is_empty());
}

#[test]
fn why_a_try_failed_can_be_read_for_an_hour_where_nothing_else_is_known() {
    let mut bench = Bench::new();
    bench.found = Some(Err(trouble(CallStage::Connect)));
    bench.on(Event::ConnectWanted);
    assert!(!bench.peer.is_blank(bench.now()));
    bench.pass(3599);
    assert!(!bench.peer.is_blank(bench.now()));
    bench.pass(1);
    assert!(bench.peer.is_blank(bench.now()));
    bench.on(Event::ConnectWanted);
    bench.peer.forget();
    assert!(bench.peer.is_blank(bench.now()), "unless it is forgotten");
}
