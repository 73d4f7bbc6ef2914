//! What a peer announces, and what is looked up before anything is decided on it.

use crate::{
    link::{
        event::{Event, Fact},
        testing::{Bench, answered, mail, offer, parameters, trouble},
    },
    wire::{
        answer::{Answer, CallStage},
        parameters::{Form, Found, Parameters, PinnedPaths, Published},
        path::UrlPath,
        record::Mail,
        time::Wall,
    },
};

/// The same host under another packet and request path.
fn moved() -> Found {
    let path = |text: &str| UrlPath::parse(text).unwrap();
    let (request_path, packet_path) = (path("/moved/request"), path("/moved/packet"));
    Found::pinned(Parameters { request_path, packet_path, ..parameters(Form::Tokens) })
}

//= HT-SEND-15
#[test]
fn a_packet_that_finds_nobody_is_sent_again_at_once_where_the_path_is_another_by_now() {
    for status in [404, 405, 410] {
        let mut bench = Bench::sending([1, 2]);
        bench.found = None;
        assert_eq!(bench.on(answered(status)), ["look up"]);
        // Nothing is sent, and nothing else begins meanwhile.
        assert!(bench.queue([3]).is_empty());
        assert!(bench.pass(100).is_empty());
        assert_eq!(bench.on(Event::Found(Ok(moved()))), ["send t1 [1, 2]"]);
        assert!(bench.peer.look(bench.now()).rests_until.is_none());
        // ... once: under the same parameters it is refused.
        assert_eq!(bench.on(answered(status)), ["look up"]);
        assert!(bench.on(Event::Found(Ok(moved()))).is_empty());
        assert!(bench.peer.look(bench.now()).rests_until.is_some());
        assert!(bench.has_fact(|fact| matches!(fact, Fact::LinkRefused(_))));
    }
}

//= HT-SEND-15
#[test]
fn a_packet_that_finds_nobody_is_refused_where_nothing_is_found_out() {
    let mut bench = Bench::sending([1]);
    bench.found = Some(Err(trouble(CallStage::Connect)));
    assert!(bench.on(answered(404)).is_empty());
    assert_eq!(bench.peer.health().failed.as_ref().unwrap().reason, "packet: answered 404");
    assert_eq!(bench.peer.health().tries, 1);
    assert_eq!(bench.pass(2), ["load after 0", "send t1 [1]"][1..]);
}

//= HT-GRANT-14
#[test]
fn a_request_that_finds_nobody_is_made_again_in_time_where_the_path_is_another_by_now() {
    for status in [404, 405] {
        let mut bench = Bench::new();
        assert_eq!(bench.queue([1]), ["ask"]);
        let first = bench.ask.clone().unwrap().token.digest();
        bench.found = Some(Ok(moved()));
        assert!(bench.on(Event::Asked(Ok(Answer::bare(status)))).is_empty());
        assert!(bench.peer.look(bench.now()).rests_until.is_none());
        // Not sooner than 2 s after the first.
        assert!(bench.pass_ms(1999).is_empty());
        assert_eq!(bench.pass_ms(1), ["ask"]);
        // The first one's grant is taken all the same.
        assert_eq!(bench.grant_under(first, offer("t1")), ["keep grant t1"]);
    }
}

/// A peer that announces these bounds, with a token.
fn announcing(packet_bytes: Option<usize>, packet_messages: Option<usize>) -> Bench {
    let mut bench = Bench::linked();
    let bounds = Parameters { packet_bytes, packet_messages, ..parameters(Form::Tokens) };
    bench.on(Event::Found(Ok(Found::pinned(bounds))));
    bench
}

//= HT-SEND-03
#[test]
fn a_peer_is_sent_no_more_than_it_announces() {
    let mut bench = announcing(None, Some(2));
    assert_eq!(bench.queue(1..=5), ["send t1 [1, 2]"]);
    assert_eq!(bench.on(answered(204))[1..], ["send t1 [3, 4]"]);
    // The frame has 26 bytes, each message 2, and there are commas between.
    let mut bench = announcing(Some(26 + 2 + 3 + 3), None);
    assert_eq!(bench.queue(1..=5), ["send t1 [1, 2, 3]"]);
    // What was read before they were known is cut too.
    let mut bench = Bench::linked();
    bench.queue(1..=5);
    bench.on(Event::Found(Ok(Found::pinned(Parameters {
        packet_messages: Some(2),
        ..parameters(Form::Tokens)
    }))));
    bench.on(answered(500));
    bench.pass_until("send");
    bench.on(answered(204));
    assert_eq!(bench.did.last().unwrap(), "send t1 [2]");
    bench.on(answered(204));
    assert_eq!(bench.did.last().unwrap(), "send t1 [3, 4]");
}

//= HT-SEND-03
#[test]
fn what_a_peer_announces_never_raises_our_own_bounds() {
    let mut bench = announcing(Some(1 << 40), Some(1 << 30));
    bench.queue(1..=1001);
    assert!(bench.did.last().unwrap().ends_with("1000]"));
}

#[test]
fn a_message_that_is_larger_than_the_peer_takes_is_dead_and_says_why() {
    let mut bench = announcing(Some(100), None);
    bench.outbox = Some(letters([1, 75, 1]));
    assert_eq!(bench.on(Event::MailQueued), ["send t1 [1]"]);
    assert_eq!(bench.on(answered(204)), ["delivered [1]", "dead [2]", "send t1 [3]"]);
    let words =
        "it makes a packet of 101 bytes, and the peer's host information says that it takes 100 at most";
    assert!(bench.has_fact(|fact| matches!(fact, Fact::MailDead { messages: 1, reason } if reason == words)));
}

#[test]
fn what_is_set_aside_for_what_a_peer_announces_counts_over_a_restart() {
    let mut bench = announcing(Some(100), None);
    bench.outbox = Some(letters([1, 1000]));
    bench.on(Event::MailQueued);
    bench.on(answered(204));
    bench.peer.take_dirty();
    let mut late = mail(3..=3);
    late.iter_mut().for_each(|letter| letter.raw = vec![b' '; 1000].into());
    bench.outbox = Some(late);
    assert_eq!(bench.on(Event::MailQueued), ["dead [3]"]);
    assert!(bench.peer.take_dirty(), "it is written with the settlement");
    assert_eq!(bench.peer.record().condemned, 2);
}

/// Messages that weigh so much.
fn letters<const N: usize>(bytes: [usize; N]) -> Vec<Mail> {
    let mut letters = mail(1..=N as u64);
    for (letter, bytes) in letters.iter_mut().zip(bytes) {
        letter.raw = vec![b' '; bytes].into();
    }
    letters
}

#[test]
fn no_more_than_ten_in_a_row_are_set_aside_for_what_a_peer_announces() {
    let mut bench = announcing(Some(100), None);
    bench.outbox = Some(letters([1000; 50]));
    bench.on(Event::MailQueued);
    assert_eq!(bench.did.iter().filter(|did| did.starts_with("dead")).count(), 10);
    assert!(bench.peer.look(bench.now()).rests_until.is_some());
    assert!(bench.has_fact(|fact| matches!(fact, Fact::LinkRefused(_))));
    bench.pass(3600);
    assert_eq!(bench.did.iter().filter(|did| did.starts_with("dead")).count(), 10);
    // One 204 between, and the rule begins anew.
    assert!(bench.peer.health().failures > 3);
}

/// A peer whose document is so old, with a token, and a message that is larger than it said.
fn old_news(fresh_until: u64) -> Bench {
    let mut bench = Bench::lasting();
    bench.found = None;
    let bounds = Parameters { packet_bytes: Some(100), ..parameters(Form::Tokens) };
    let (fetched, fresh_until) = (bench.now().wall, Wall(bench.now().wall.0 + fresh_until));
    let published = Published { parameters: bounds, path: "/.ymp".to_owned(), fetched, fresh_until };
    bench.on(Event::Found(Ok(Found::published(published, &PinnedPaths::default()))));
    bench.outbox = Some(letters([200]));
    bench
}

#[test]
fn nothing_is_set_aside_on_what_a_peer_announced_long_ago() {
    let mut bench = old_news(3_600_000);
    bench.pass(5 * 24 * 3600);
    assert_eq!(bench.on(Event::MailQueued), ["look up"]);
    assert_eq!(bench.on(Event::Found(Ok(Found::pinned(parameters(Form::Tokens))))), ["send t1 [1]"]);
    // Where nothing newer is found what is known counts, and where it says the same.
    let mut bench = old_news(3_600_000);
    bench.pass(5 * 24 * 3600);
    bench.on(Event::MailQueued);
    let known = bench.peer.found().unwrap().clone();
    assert_eq!(bench.on(Event::Found(Ok(known))), ["dead [1]"]);
    let mut bench = old_news(3_600_000);
    assert_eq!(bench.on(Event::MailQueued), ["dead [1]"]);
}

#[test]
fn a_404_of_the_old_path_when_the_new_one_is_known_by_now_is_no_refusal() {
    let mut bench = Bench::sending([1]);
    bench.found = None;
    bench.on(Event::Found(Ok(moved())));
    assert_eq!(bench.on(answered(404)), ["send t1 [1]"]);
    assert!(bench.peer.look(bench.now()).rests_until.is_none());
    assert!(!bench.has_fact(|fact| matches!(fact, Fact::LinkRefused(_))));
    assert_eq!(bench.on(answered(404)), ["look up"]);
}

//= HT-SEND-15
#[test]
fn a_404_with_a_page_is_followed_too_and_refuses_nothing() {
    let page = || Event::Sent(Ok(Answer { page: true, ..Answer::bare(404) }));
    let mut bench = Bench::sending([1]);
    bench.found = Some(Ok(moved()));
    assert_eq!(bench.on(page()), ["send t1 [1]"]);
    assert!(bench.on(page()).is_empty());
    assert!(bench.peer.look(bench.now()).rests_until.is_some());
    assert!(!bench.has_fact(|fact| matches!(fact, Fact::LinkRefused(_))));
}

#[test]
fn a_peer_of_which_tokens_are_held_and_nothing_else_is_known_is_looked_up_before_it_is_sent_to() {
    let record = Bench::linked().peer.record();
    let mut bench = Bench::linked();
    let settings = crate::link::testing::settings().into();
    bench.peer =
        crate::link::peer::Peer::from_record(record, None, [].into_iter(), settings, &mut bench.dice);
    bench.found = None;
    assert_eq!(bench.queue([1]), ["look up"]);
    bench.on(Event::Found(Err(trouble(CallStage::Connect))));
    assert_eq!(bench.peer.health().failed.as_ref().unwrap().reason, "look-up: no answer");
    assert_eq!(bench.pass(2), ["look up"]);
    assert_eq!(bench.on(Event::Found(Ok(moved()))), ["send t1 [1]"]);
}

#[test]
fn parameters_that_changed_end_a_rest_that_may_be_cut() {
    let mut bench = Bench::sending([1]);
    bench.on(answered(500));
    assert!(bench.peer.look(bench.now()).rests_until.is_some());
    assert_eq!(bench.on(Event::Found(Ok(moved()))), ["send t1 [1]"]);
    bench.on(crate::link::testing::pause(503, 60));
    assert!(bench.on(Event::Found(Ok(Found::pinned(parameters(Form::State))))).is_empty());
}

//= HT-SEND-11
#[test]
fn the_pace_counts_from_the_request_and_not_from_the_look_up_before_it() {
    let mut bench = Bench::linked();
    bench.found = None;
    bench.pass(3);
    assert_eq!(bench.on(Event::ConnectWanted), ["look up"]);
    assert_eq!(bench.queue([1]), ["send t1 [1]"]);
    bench.pass(3);
    assert_eq!(bench.on(Event::Found(Ok(Found::pinned(parameters(Form::Tokens))))), ["ask"]);
    assert!(bench.on(answered(401)).is_empty());
    assert!(bench.pass_ms(1999).is_empty());
    assert_eq!(bench.pass_ms(1), ["refresh with refresh-t1"]);
}
