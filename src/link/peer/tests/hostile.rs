//! A peer that does its worst: what this host does stays bounded, and a machine never spins.

use std::time::Duration;

use proptest::prelude::*;

use crate::{
    link::{
        dice::Dice as _,
        event::Event,
        testing::{Bench, Counter, fresh, mail, offer, pause, trouble},
    },
    token::family::NewPair,
    wire::{
        answer::{Answer, CallStage, Refreshed},
        record::Seq,
        secret::Digest,
    },
};

/// How a peer answers: packets in turn, refreshes.
struct Hostile {
    name: &'static str,
    packets: &'static [u16],
    refresh: Option<u16>,
    grants: bool,
    /// It says something all the time.
    talks: bool,
}

/// Drives a link to it for so many seconds with mail for ever: packets, refreshes and asks.
fn drive(peer: &Hostile, seconds: u64) -> (usize, usize) {
    let mut bench = Bench::linked();
    let (mut turn, mut names, mut seq) = (0, 1, 0);
    let (mut sends, mut tokens) = (0, 0);
    let end = bench.ms + seconds * 1000;
    let mut todo: std::collections::VecDeque<_> = bench.queue(0..50).into();
    seq += 50;
    while bench.ms < end {
        while let Some(did) = todo.pop_front() {
            let next = if did.starts_with("send") {
                sends += 1;
                turn += 1;
                let status = peer.packets[turn % peer.packets.len()];
                seq += 1;
                bench.queue([seq]);
                bench.on(Event::Sent(Ok(Answer::bare(status))))
            } else if did.starts_with("refresh") {
                tokens += 1;
                names += 1;
                match peer.refresh {
                    None => bench.on(Event::Refreshed(fresh(&format!("t{names}"), 1))),
                    Some(status) => bench.on(Event::Refreshed(Refreshed::Answered(Answer::bare(status)))),
                }
            } else if did == "ask" {
                tokens += 1;
                names += 1;
                bench.on(Event::Asked(Ok(Answer::bare(204))));
                if peer.grants { bench.grant(&format!("t{names}")) } else { Vec::new() }
            } else if did.starts_with("keep") {
                bench.on(Event::Kept)
            } else {
                Vec::new()
            };
            todo.extend(next);
            assert!(sends < 100_000, "{}: it spins", peer.name);
        }
        // A round trip is half a second.
        todo.extend(bench.pass_ms(500));
        if peer.talks {
            todo.extend(bench.on(Event::Heard));
        }
    }
    (sends, tokens)
}

//= HT-SEND-11
#[test]
fn no_peer_makes_us_hammer_it() {
    for (packets, refresh, grants) in [
        (&[401][..], Some(401), true),
        (&[401], None, true),
        (&[401], Some(500), true),
        (&[401], Some(500), false),
        (&[400], None, true),
        (&[413], None, true),
        (&[500], None, true),
        (&[403], Some(401), false),
        (&[200], None, true),
    ] {
        let name = "answers the same for ever";
        for talks in [false, true] {
            let peer = Hostile { name, packets, refresh, grants, talks };
            let (sends, tokens) = drive(&peer, 3 * 3600);
            // Probes at most every second retry-max while it talks; the first hour goes by in doublings. Tokens that live
            // a second are renewed while mail waits, never twice in 2 s.
            assert!(sends < 200, "{packets:?} {refresh:?} talks {talks}: {sends} packets");
            assert!(tokens < 300, "{packets:?} {refresh:?} talks {talks}: {tokens} tokens");
        }
    }
}

#[test]
fn a_peer_that_takes_a_packet_and_then_refuses_the_token_costs_one_refresh_or_exchange_in_two_seconds() {
    let seconds = 1800;
    for refresh in [None, Some(401), Some(500)] {
        let packets = &[204, 401];
        let peer = Hostile { name: "204, then 401", packets, refresh, grants: true, talks: false };
        let (sends, tokens) = drive(&peer, seconds);
        assert!(tokens <= 1 + usize::try_from(seconds).unwrap() / 2, "{refresh:?}: {tokens}");
        assert!(sends <= 2 * tokens + 10, "{refresh:?}: {sends} packets for {tokens} tokens");
    }
}

fn random_event(kind: u8, n: u64, bench: &Bench) -> Event {
    let statuses = [204, 200, 400, 401, 403, 404, 413, 429, 500, 503];
    let status = statuses[usize::try_from(n % 10).unwrap()];
    let hour = Duration::from_secs(3600);
    let digest = |name: &str| Digest::of(format!("{name}{n}").as_bytes());
    let pair = NewPair::new(digest("a"), hour, digest("r"), hour, bench.now().wall);
    match kind % 18 {
        0 => Event::MailQueued,
        1 => Event::MailLoaded(if n.is_multiple_of(3) { Vec::new() } else { mail(n..n + n % 4) }),
        2 => Event::MailNotLoaded("x".to_owned()),
        3 => Event::MailExpired(vec![Seq(n)]),
        4 | 5 => Event::Sent(Ok(Answer::bare(status))),
        6 => pause(429, n % 30),
        7 => Event::Settled,
        8 => Event::NotSettled,
        9 => Event::Asked(Ok(Answer::bare(status))),
        10 => Event::Asked(Err(trouble(CallStage::Connect))),
        11 => Event::GrantTaken {
            family: n,
            pair,
            offer: Some(offer(&format!("t{n}"))),
            likely: n.is_multiple_of(2),
        },
        12 => Event::Refreshed(fresh(&format!("f{n}"), 1 + n)),
        13 => Event::Refreshed(Refreshed::Answered(Answer::bare(status))),
        14 => Event::Kept,
        15 => Event::NotKept,
        16 => Event::Heard,
        _ => [Event::ConnectWanted, Event::RefreshWanted, Event::Woken][usize::try_from(n % 3).unwrap()]
            .clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// `pass_ms` fails where a machine that is woken at `wake_at` neither acts nor moves it.
    #[test]
    fn a_machine_that_is_woken_acts_or_moves_its_alarm_whatever_happened_before(
        steps in proptest::collection::vec((any::<u8>(), 0..1000_u64, 0..100_000_u64), 1..60)
    ) {
        let mut bench = Bench::linked();
        bench.outbox = None;
        for (kind, n, wait) in steps {
            if kind % 19 == 0 && bench.ask.is_some() {
                bench.grant(&format!("g{n}"));
            } else if kind == 255 {
                bench.peer.forget();
                bench.on(Event::Woken);
            } else {
                let event = random_event(kind, n, &bench);
                bench.on(event);
            }
            bench.pass_ms(wait / 4);
        }
        prop_assert!(bench.peer.record().held.len() <= 3);
        prop_assert!(bench.peer.record().repeats.len() <= 8);
        prop_assert!(bench.peer.families().iter().count() <= 4);
    }
}

#[test]
fn the_dice_of_tests_never_throw_the_same() {
    let mut dice = Counter::default();
    let thrown: std::collections::HashSet<_> = (0..10_000).map(|_| dice.bytes()).collect();
    assert_eq!(thrown.len(), 10_000);
}
