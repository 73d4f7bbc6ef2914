//! `https-token`, "Sending": order, settling, and messages at fault.

use std::sync::Arc;

use crate::{
    link::{
        event::{Event, Fact},
        peer::Peer,
        settings::Settings,
        testing::{Bench, answered, at, mail, mail_until, settings},
    },
    wire::{answer::Answer, record::Seq},
};

fn at_fault(index: usize) -> Event {
    Event::Sent(Ok(Answer { index: Some(index), ..Answer::bare(400) }))
}

/// Answers packets as a peer that finds these messages at fault: what went out and what came of it.
fn run(bench: &mut Bench, first: Vec<String>, bad: &[u64], status: u16) -> Vec<String> {
    let mut all = first.clone();
    let mut todo: std::collections::VecDeque<_> = first.into();
    for _ in 0..200 {
        let Some(did) = todo.pop_front() else { return all };
        let Some(seqs) = did.strip_prefix("send t1 ") else { continue };
        let seqs: Vec<u64> = serde_json::from_str(seqs).unwrap();
        let fault = seqs.iter().any(|seq| bad.contains(seq));
        let next = bench.on(answered(if fault { status } else { 204 }));
        all.extend(next.iter().cloned());
        todo.extend(next);
    }
    panic!("it does not end");
}

fn dead(did: &[String]) -> Vec<&String> {
    did.iter().filter(|did| did.starts_with("dead")).collect()
}

//= HT-SEND-02, HT-SEND-04
#[test]
fn messages_go_first_in_first_sent_and_share_packets_one_at_a_time() {
    let mut bench = Bench::sending([1, 2]);
    assert_eq!(bench.did.last().unwrap(), "send t1 [1, 2]");
    assert!(bench.queue([3, 4]).is_empty());
    assert_eq!(bench.on(answered(204)), ["delivered [1, 2]", "send t1 [3, 4]"]);
}

//= HT-SEND-04
#[test]
fn packets_follow_the_settings_as_they_are_now() {
    let mut bench = Bench::sending([1]);
    bench.queue([2, 3, 4]);
    bench.peer.renew(Settings { packet_messages: 2, ..settings() }.into());
    assert_eq!(bench.on(answered(204)), ["delivered [1]", "send t1 [2, 3]"]);
}

#[test]
fn order_holds_across_failures() {
    let mut bench = Bench::sending([1, 2, 3]);
    bench.on(answered(500));
    bench.queue([4]);
    assert_eq!(bench.pass(2), ["send t1 [1]"]);
    assert_eq!(bench.on(answered(204)), ["delivered [1]", "send t1 [2, 3, 4]"]);
}

//= HT-SEND-13
#[test]
fn a_message_that_the_problem_names_is_dead_and_the_rest_goes_on() {
    let mut bench = Bench::sending([1, 2, 3]);
    assert_eq!(bench.on(at_fault(1)), ["dead [2]", "send t1 [1, 3]"]);
    assert!(bench.has_fact(|fact| matches!(fact, Fact::MailDead { messages: 1, .. })));
    assert_eq!(bench.peer.health().tries, 1);
}

#[test]
fn an_index_that_points_nowhere_is_as_none() {
    let mut bench = Bench::sending([1, 2, 3, 4]);
    assert_eq!(bench.on(at_fault(4)), ["send t1 [1, 2]"]);
}

//= HT-SEND-13
#[test]
fn halving_finds_the_message_at_fault_and_only_that() {
    for status in [400, 409, 422] {
        for bad in 1..=9 {
            let mut bench = Bench::linked();
            let first = bench.queue(1..=9);
            let did = run(&mut bench, first, &[bad], status);
            assert_eq!(dead(&did), [&format!("dead [{bad}]")], "{status} {bad}");
            assert!(did.len() < 20);
            assert_eq!(bench.outbox, Some(Vec::new()));
        }
    }
}

//= HT-SEND-12
#[test]
fn too_large_is_halved_and_a_single_one_is_dead() {
    let mut bench = Bench::linked();
    let first = bench.queue(1..=8);
    let did = run(&mut bench, first, &[6], 413);
    assert_eq!(dead(&did), ["dead [6]"]);
    assert_eq!(bench.outbox, Some(Vec::new()));
}

#[test]
fn a_message_that_was_too_large_does_not_make_the_next_packets_small() {
    let mut bench = Bench::linked();
    let first = bench.queue(1..=8);
    run(&mut bench, first, &[1], 413);
    assert_eq!(bench.queue(11..=14), ["send t1 [11, 12, 13, 14]"]);
}

#[test]
fn a_size_that_a_peer_taught_is_kept_for_a_while() {
    let mut bench = Bench::sending(1..=8);
    assert_eq!(bench.on(answered(413)), ["send t1 [1, 2, 3, 4]"]);
    assert_eq!(bench.on(answered(204)).last().unwrap(), "send t1 [5, 6, 7, 8]");
    bench.on(answered(204));
    assert_eq!(bench.queue(9..=14), ["send t1 [9, 10, 11, 12]"]);
    bench.on(answered(204));
    bench.on(answered(204));
    bench.pass(600);
    assert_eq!(bench.queue(15..=20), ["send t1 [15, 16, 17, 18, 19, 20]"]);
}

//= HT-SEND-14
#[test]
fn after_ten_condemned_in_a_row_nothing_more_is_condemned_until_a_204() {
    let mut bench = Bench::sending(1..=30);
    for n in 1..=10 {
        assert_eq!(bench.on(at_fault(0)).first().unwrap(), &format!("dead [{n}]"));
    }
    for _ in 0..5 {
        assert!(bench.on(at_fault(0)).is_empty());
        assert!(bench.has_fact(|fact| matches!(fact, Fact::LinkRefused(_))));
        assert_eq!(bench.pass(100), ["send t1 [11]"]);
    }
    bench.on(answered(204));
    assert_eq!(bench.on(at_fault(0)).first().unwrap(), "dead [12]");
}

//= HT-SEND-14
#[test]
fn what_was_condemned_in_a_row_counts_over_a_restart() {
    let mut bench = Bench::sending(1..=30);
    for n in 1..=10 {
        assert_eq!(bench.on(at_fault(0)).first().unwrap(), &format!("dead [{n}]"));
        assert!(bench.peer.take_dirty(), "it is written with the settlement");
    }
    let record = bench.peer.record();
    bench.peer = Peer::from_record(record, None, std::iter::empty(), Arc::new(settings()), &mut bench.dice);
    assert_eq!(
        bench.on(Event::MailQueued),
        ["send t1 [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]"]
    );
    assert!(bench.on(at_fault(0)).is_empty());
    assert_eq!(bench.pass(100), ["send t1 [11]"]);
    bench.on(answered(204));
    assert_eq!(bench.peer.record().condemned, 0);
}

//= HT-SEND-26
#[test]
fn time_to_live_is_over_in_every_state() {
    // Nothing is held, nothing is loaded.
    let mut bench = Bench::new();
    assert_eq!(bench.on(Event::MailExpired(vec![Seq(1)])), ["dead [1]"]);
    // While it is read.
    let mut bench = Bench::linked();
    bench.outbox = None;
    bench.on(Event::MailQueued);
    assert_eq!(bench.on(Event::MailExpired(vec![Seq(1)])), ["dead [1]"]);
    bench.on(Event::Settled);
    // In flight: looked at when its packet is answered.
    let mut bench = Bench::linked();
    bench.outbox = Some(vec![mail_until(1, at(5).wall.0), mail_until(2, u64::MAX)]);
    bench.on(Event::MailQueued);
    assert!(bench.on(Event::MailExpired(vec![Seq(1)])).is_empty());
    bench.pass(5);
    bench.on(answered(500));
    // While the link rests.
    assert_eq!(bench.on(Event::MailExpired(vec![Seq(1)])), ["dead [1]"]);
    assert_eq!(bench.pass(2), ["send t1 [2]"]);
    // And where nobody said so: what is over is not sent.
    let mut bench = Bench::linked();
    bench.outbox = Some(vec![mail_until(1, at(0).wall.0), mail_until(2, u64::MAX)]);
    assert_eq!(bench.on(Event::MailQueued), ["dead [1]", "send t1 [2]"]);
}

#[test]
fn what_is_being_settled_is_not_set_aside_once_more() {
    let mut bench = Bench::linked();
    bench.outbox = None;
    let expired = |seqs: &[u64]| Event::MailExpired(seqs.iter().copied().map(Seq).collect());
    bench.on(Event::MailQueued);
    bench.on(Event::MailLoaded(mail([1])));
    assert_eq!(bench.on(answered(204)), ["delivered [1]", "load after 1"]);
    // The disk is slow: the outbox says again and again what it has not been told yet.
    assert_eq!(bench.on(expired(&[1, 2])), ["dead [2]"]);
    assert!(bench.on(expired(&[1, 2])).is_empty());
    let purged = Event::MailPurged(vec![Seq(1), Seq(2), Seq(3)], "purged".to_owned());
    assert!(bench.on(purged).contains(&"dead [3]".to_owned()));
    for _ in 0..3 {
        bench.on(Event::Settled);
    }
    // One that could not be settled is another matter.
    assert_eq!(bench.on(expired(&[4])), ["dead [4]"]);
    bench.on(Event::NotSettled);
    assert_eq!(bench.on(expired(&[4])), ["dead [4]"]);
}

#[test]
fn expiry_does_not_begin_the_halving_anew() {
    let mut bench = Bench::sending(1..=8);
    assert_eq!(bench.on(answered(400)), ["send t1 [1, 2, 3, 4]"]);
    bench.on(Event::MailExpired(vec![Seq(8)]));
    assert_eq!(bench.on(answered(400)), ["send t1 [1, 2]"]);
}

//= HT-SEND-07
#[test]
fn what_could_not_be_settled_is_read_and_sent_again() {
    let mut bench = Bench::linked();
    bench.outbox = None;
    bench.on(Event::MailQueued);
    bench.on(Event::MailLoaded(mail([1])));
    assert_eq!(bench.on(answered(204)), ["delivered [1]", "load after 1"]);
    bench.on(Event::MailLoaded(Vec::new()));
    assert!(bench.on(Event::NotSettled).is_empty());
    assert_eq!(bench.pass(2), ["load after 0"]);
    assert_eq!(bench.on(Event::MailLoaded(mail([1]))), ["send t1 [1]"]);
}

#[test]
fn what_was_read_before_a_settlement_failed_hides_nothing() {
    let mut bench = Bench::linked();
    bench.outbox = None;
    bench.on(Event::MailQueued);
    bench.on(Event::MailLoaded(mail([1])));
    assert_eq!(bench.on(answered(204)), ["delivered [1]", "load after 1"]);
    bench.on(Event::NotSettled);
    bench.on(Event::MailLoaded(mail([2])));
    assert_eq!(bench.pass(2), ["load after 0"]);
    assert_eq!(bench.on(Event::MailLoaded(mail([1, 2]))), ["send t1 [1]"]);
}

#[test]
fn the_outbox_is_not_read_anew_while_something_is_being_settled() {
    let mut bench = Bench::linked();
    bench.outbox = None;
    bench.on(Event::MailQueued);
    bench.on(Event::MailLoaded(mail([1, 2])));
    bench.on(Event::Sent(Ok(Answer { index: Some(0), ..Answer::bare(400) })));
    assert!(bench.on(answered(500)).is_empty());
    assert!(bench.pass(5).is_empty());
    assert_eq!(bench.on(Event::Settled), ["load after 0"]);
    assert_eq!(bench.on(Event::MailLoaded(mail([2]))), ["send t1 [2]"]);
}

#[test]
fn a_store_that_fails_is_asked_more_rarely_and_nobody_sleeps_long_past_its_recovery() {
    let mut bench = Bench::linked();
    bench.outbox = None;
    bench.on(Event::MailQueued);
    let mut loads = 0;
    for _ in 0..3600 {
        loads += bench.on(Event::MailNotLoaded("disk".to_owned())).len() + bench.pass(1).len();
    }
    // 1, 2, 4, 8 s and from there 15 s at most: some 250 in an hour.
    assert!((200..=330).contains(&loads), "{loads}");
    assert_eq!(bench.peer.health().failures, 0);
}

/// Mail waits, and is being read.
fn reading() -> Bench {
    let mut bench = Bench::linked();
    bench.outbox = None;
    assert_eq!(bench.on(Event::MailQueued), ["load after 0"]);
    bench
}

#[test]
fn mail_that_is_purged_while_it_is_read_is_dead_and_not_sent() {
    let mut bench = reading();
    assert_eq!(bench.on(Event::MailPurged(vec![Seq(1), Seq(2)], "purged".to_owned())), ["dead [1, 2]"]);
    assert!(bench.on(Event::MailLoaded(mail([1, 2]))).is_empty(), "it waits for the settlement");
    assert_eq!(bench.on(Event::Settled), ["load after 0"]);
    assert_eq!(bench.on(Event::MailLoaded(mail([3]))), ["send t1 [3]"]);
}

#[test]
fn mail_that_is_purged_while_a_packet_is_under_way_is_not_read_before_it_is_set_aside() {
    let mut bench = reading();
    assert_eq!(bench.on(Event::MailLoaded(mail([1]))), ["send t1 [1]"]);
    assert_eq!(bench.on(Event::MailPurged(vec![Seq(1), Seq(2)], "purged".to_owned())), ["dead [2]"]);
    assert_eq!(bench.on(answered(204)), ["delivered [1]"]);
    assert!(bench.on(Event::Settled).is_empty());
    assert_eq!(bench.on(Event::Settled), ["load after 0"], "when both are on disk");
}

#[test]
fn a_link_that_is_paused_or_rests_holds_nothing_that_was_being_read() {
    let mut bench = reading();
    bench.on(Event::PauseWanted(true));
    assert!(bench.on(Event::MailLoaded(mail([1, 2]))).is_empty());
    assert!(bench.peer.state(bench.now()).contains("idle of 0+"), "{}", bench.peer.state(bench.now()));
    assert_eq!(bench.on(Event::PauseWanted(false)), ["load after 0"]);
    assert_eq!(bench.on(Event::MailLoaded(mail([1, 2]))), ["send t1 [1]"]);
}
