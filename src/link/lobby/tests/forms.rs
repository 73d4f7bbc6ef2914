//! How the host is spoken to: looked up first, fitting, followed.

use crate::link::lobby::{Action, Asked, Grant, LookedUp, NotFound};
use crate::{
    link::{
        peer::Standing,
        testing::{at_ms, host},
    },
    wire::{
        answer::Answer,
        exchange::{StateRequest, TokenRequest},
        parameters::Form,
    },
};

use super::table::*;

//= HT-ASK-32
#[test]
fn it_is_looked_up_how_the_host_is_spoken_to_before_anything_is_offered() {
    let mut table = Table::new(8);
    table.found = None;
    assert_eq!(table.ask("b.test", "192.0.2.1", false).unwrap(), ["look up b.test"]);
    assert_eq!(table.lobby.under_way(), 1);
    assert_eq!(table.looked_up("b.test", Ok(found(Form::Tokens))), ["offer b.test"]);
    table.ask("c.test", "192.0.2.2", false).unwrap();
    assert_eq!(
        table.looked_up("c.test", Err(NotFound { reason: "no answer".to_owned(), busy: false })),
        ["drop c.test: no answer"]
    );
    assert_eq!(table.lobby.under_way(), 1);
}

//= HT-ASK-28
#[test]
fn whoever_asks_from_the_hosts_own_address_goes_first_as_soon_as_that_is_known() {
    let mut table = Table::new(64);
    table.found = None;
    table.ask("b.test", "192.0.2.1", true).unwrap();
    table.ask("b.test", "192.0.2.2", true).unwrap();
    let own = asked("b.test", "192.0.2.3", true);
    table.ask_as(own.clone()).unwrap();
    let here = LookedUp { addresses: vec![origin("192.0.2.3")], ..found(Form::Tokens) };
    assert_eq!(table.looked_up("b.test", Ok(here.clone())), ["offer b.test"]);
    table.kept("b.test", true);
    let now = table.now();
    table.lobby.answered(&host("b.test"), &Ok(Answer::bare(204)), now);
    let Some(Action::Take { offer, .. }) = table.lobby.actions().last() else { panic!("it is not taken") };
    assert_eq!(offer.map(TokenRequest::Tokens), Some(own.request));
    // The one whose turn it was has the next.
    assert_eq!(table.finished("b.test", true), ["look up b.test"]);
    table.looked_up("b.test", Ok(here));
    table.kept("b.test", true);
    table.lobby.answered(&host("b.test"), &Ok(Answer::bare(204)), now);
    let Some(Action::Take { offer, .. }) = table.lobby.actions().last() else { panic!("it is not taken") };
    let first = asked("b.test", "192.0.2.1", true);
    assert_eq!(offer.map(TokenRequest::Tokens), Some(first.request));
    assert_eq!(table.lobby.slots.by_origin.len(), 1);
}

//= HT-REV-13, HT-REV-14, HT-REV-15
#[test]
fn a_request_is_granted_in_its_own_form_and_only_where_that_fits_the_host() {
    let ask = |form, holds, has_room, state| {
        let mut table = Table::new(8);
        let standing = Standing { holds, has_room };
        table.found = Some(Ok(LookedUp { standing, ..found(form) }));
        let asked = if state {
            asked_with_a_state("b.test", "192.0.2.1")
        } else {
            asked("b.test", "192.0.2.1", false)
        };
        let did = table.ask_as(asked).unwrap();
        if did == ["offer b.test"] { None } else { Some(did[0].clone()) }
    };
    assert_eq!(ask(Form::Tokens, true, true, false), None);
    assert_eq!(ask(Form::State, false, true, true), None);
    assert_eq!(ask(Form::Tokens, false, true, true), None);
    for (form, holds, has_room, state, words) in [
        (Form::State, false, true, false, "have no refresh-path"),
        (Form::Tokens, true, true, true, "whose token we hold"),
        (Form::State, false, false, true, "anybody could have sent it"),
    ] {
        let why = ask(form, holds, has_room, state).unwrap();
        assert!(why.starts_with("drop b.test: ") && why.contains(words), "{why}");
    }
}

//= HT-REV-06, HT-REV-13
#[test]
fn an_r3_grant_carries_the_state_and_brings_us_nothing() {
    let mut table = Table::new(8);
    table.found = Some(Ok(found(Form::State)));
    let asked = asked_with_a_state("b.test", "192.0.2.1");
    table.ask_as(asked.clone()).unwrap();
    let now = table.now();
    table.lobby.kept(&host("b.test"), true, now);
    let Some(Action::Grant { grant: Grant::State { state, .. }, .. }) = table.actions().pop() else {
        panic!("another grant")
    };
    assert_eq!(TokenRequest::State(StateRequest { host: host("b.test"), state }), asked.request);
    table.lobby.answered(&host("b.test"), &Ok(Answer::bare(204)), now);
    let Some(Action::Take { offer, pair, .. }) = table.actions().pop() else { panic!("it is not taken") };
    assert_eq!((offer, pair.refresh, pair.unsure), (None, None, true));
}

#[test]
fn a_grant_that_finds_nobody_follows_the_path_once_it_is_looked_up_anew() {
    for status in [404, 405, 410] {
        let mut table = Table::new(8);
        table.ask("b.test", "192.0.2.1", true).unwrap();
        table.kept("b.test", true);
        table.found = None;
        assert_eq!(table.status("b.test", status), ["look up b.test"]);
        let mut moved = found(Form::Tokens);
        moved.parameters.grant_path = crate::wire::path::UrlPath::parse("/moved").unwrap();
        assert_eq!(table.looked_up("b.test", Ok(moved.clone())), ["grant b.test in 30 s"]);
        table.status("b.test", status);
        assert_eq!(table.looked_up("b.test", Ok(moved)), ["withdraw b.test: refused"]);
    }
}

#[test]
fn a_look_up_that_our_own_bounds_did_not_let_through_is_made_again_in_its_time() {
    let busy = || Err(NotFound { reason: "busy".to_owned(), busy: true });
    let mut table = Table::new(8);
    table.found = None;
    table.ask("b.test", "192.0.2.1", false).unwrap();
    assert!(table.looked_up("b.test", busy()).is_empty());
    assert_eq!(table.pass(1), ["look up b.test"]);
    assert_eq!(table.looked_up("b.test", Ok(found(Form::Tokens))), ["offer b.test"]);
    table.ask("c.test", "192.0.2.2", false).unwrap();
    let mut did = Vec::new();
    for _ in 0..30 {
        did.extend(table.looked_up("c.test", busy()));
        did.extend(table.pass(1));
    }
    assert_eq!(did.last().unwrap(), "drop c.test: busy");
    assert!((8..=20).contains(&did.len()), "{did:?}");
}

#[test]
fn only_what_is_recent_stands_between_a_stranger_with_tokens_and_a_hosts_name() {
    let mut table = Table::new(8);
    table.found = None;
    let mut look = |asked: Asked| {
        table.lobby.asked(asked, at_ms(0)).unwrap();
        let Some(Action::LookUp { likely, recent, .. }) = table.lobby.actions().last() else {
            panic!("no look-up")
        };
        (likely, recent)
    };
    assert_eq!(look(asked("b.test", "192.0.2.1", false)), (false, true));
    assert_eq!(look(Asked { likely: true, ..asked("c.test", "192.0.2.2", false) }), (true, false));
    assert_eq!(look(asked_with_a_state("d.test", "192.0.2.3")), (false, false));
}
