//! What the node is at this moment, for the metrics: queues, links, grants; and series of single peers, for those alone that the
//! configuration lists (`metrics.peers`), so that no stranger can make one.

use super::{shell::Shell, showing::sending_state, views::DirectionState};
use crate::{
    telemetry::exposition::{Exposition, Kind},
    wire::{
        host::PeerHost,
        record::Waiting,
        time::{Now, Wall},
    },
};

/// Writes them.
pub(super) fn write(shell: &Shell, text: &mut Exposition) {
    let now = shell.now();
    write_queues(shell, text, now);
    write_links(shell, text, now);
    let help = "Grants that were sent and not answered.";
    text.gauge("ymp_grants_under_way", help, shell.lobby().under_way());
    write_peers(shell, text, now);
}

fn write_queues(shell: &Shell, text: &mut Exposition, now: Now) {
    let waiting = shell.store.waiting();
    let messages: u64 = waiting.iter().map(|waiting| waiting.messages).sum();
    let oldest = waiting.iter().map(|waiting| waiting.oldest).min();
    text.gauge("ymp_outbox_messages", "Messages that wait for peers.", messages);
    text.gauge("ymp_outbox_peers", "Peers that messages wait for.", waiting.len());
    let help = "How long the oldest of the messages that wait has waited; 0 where none does.";
    text.gauge("ymp_outbox_oldest_age_seconds", help, age(oldest, now));
    let dead = shell.store.dead_count();
    text.gauge("ymp_dead_messages", "Messages that were set aside and are kept.", dead);
}

/// In the order of `of_state`.
const STATES: [&str; 6] = ["none", "asking", "linked", "backing-off", "paused", "refused"];

fn of_state(state: DirectionState) -> usize {
    match state {
        DirectionState::None | DirectionState::Offered => 0,
        DirectionState::Asking => 1,
        DirectionState::Linked => 2,
        DirectionState::BackingOff => 3,
        DirectionState::Paused => 4,
        DirectionState::Refused => 5,
    }
}

fn write_links(shell: &Shell, text: &mut Exposition, now: Now) {
    let settings = shell.settings();
    let mut counts = [0_u64; STATES.len()];
    for slot in shell.registry.slots() {
        let state = {
            let peer = slot.lock();
            sending_state(&peer.look(now), settings.policy.allows(peer.host()))
        };
        counts.get_mut(of_state(state)).into_iter().for_each(|count| *count += 1);
    }
    let help = "Links by their state, we to the peer: `linked` can be sent to, `backing-off` failed and is tried again, \
                `paused` by an operator, `refused` by the policy.";
    let mut links = text.family("ymp_links", Kind::Gauge, help);
    for (state, count) in STATES.iter().zip(counts) {
        links.sample(&[("state", state)], count);
    }
}

/// A listed peer as it is now: nothing but zeros where nothing is known of it yet.
#[derive(Default)]
struct Listed {
    host: String,
    linked: bool,
    held_until: Option<Wall>,
    failures: u32,
    succeeded: Option<Wall>,
    heard: Option<Wall>,
    waiting: Option<Waiting>,
    messages_in: u64,
    messages_out: u64,
}

impl Listed {
    fn of(shell: &Shell, host: &PeerHost, now: Now) -> Self {
        let unknown = Self { host: host.to_string(), ..Self::default() };
        let Some(slot) = shell.registry.find(host) else { return unknown };
        let (look, health) = {
            let peer = slot.lock();
            (peer.look(now), peer.health().clone())
        };
        Self {
            linked: sending_state(&look, shell.settings().policy.allows(host)) == DirectionState::Linked,
            held_until: look.held_until,
            failures: health.failures,
            succeeded: health.succeeded,
            heard: health.heard,
            waiting: shell.store.waiting_for(host),
            messages_in: slot.traffic.messages_in.value(),
            messages_out: slot.traffic.messages_out.value(),
            ..unknown
        }
    }
}

/// One series of each listed peer.
type Series = (&'static str, Kind, &'static str, fn(&Listed, Now) -> f64);

const SERIES: &[Series] = &[
    ("ymp_peer_linked", Kind::Gauge, "Whether the peer can be sent to now: 1 or 0.", |peer, _| {
        f64::from(u8::from(peer.linked))
    }),
    ("ymp_peer_outbox_messages", Kind::Gauge, "Messages that wait for the peer.", |peer, _| {
        peer.waiting.as_ref().map_or(0.0, |waiting| number(waiting.messages))
    }),
    (
        "ymp_peer_outbox_oldest_age_seconds",
        Kind::Gauge,
        "How long the oldest of them has waited; 0 where none does.",
        |peer, now| age(peer.waiting.as_ref().map(|waiting| waiting.oldest), now),
    ),
    (
        "ymp_peer_failures",
        Kind::Gauge,
        "Failed calls to the peer since the last one that succeeded.",
        |peer, _| f64::from(peer.failures),
    ),
    (
        "ymp_peer_last_success_timestamp_seconds",
        Kind::Gauge,
        "When a packet or an exchange last succeeded, in seconds since 1970; 0 if never.",
        |peer, _| seconds(peer.succeeded),
    ),
    (
        "ymp_peer_last_heard_timestamp_seconds",
        Kind::Gauge,
        "When something authenticated last came from the peer, in seconds since 1970; 0 if never.",
        |peer, _| seconds(peer.heard),
    ),
    (
        "ymp_peer_token_expires_timestamp_seconds",
        Kind::Gauge,
        "When the token that we hold of the peer runs out, in seconds since 1970; 0 without one.",
        |peer, _| seconds(peer.held_until),
    ),
    ("ymp_peer_messages_in_total", Kind::Counter, "Messages of the peer that were kept.", |peer, _| {
        number(peer.messages_in)
    }),
    ("ymp_peer_messages_out_total", Kind::Counter, "Messages that the peer answered with 204.", |peer, _| {
        number(peer.messages_out)
    }),
];

fn write_peers(shell: &Shell, text: &mut Exposition, now: Now) {
    let settings = shell.settings();
    let listed: Vec<_> = settings.metrics_peers.iter().map(|host| Listed::of(shell, host, now)).collect();
    if listed.is_empty() {
        return;
    }
    for (name, kind, help, value) in SERIES {
        let mut family = text.family(name, *kind, help);
        for peer in &listed {
            family.sample(&[("peer", &peer.host)], value(peer, now));
        }
    }
}

fn age(oldest: Option<Wall>, now: Now) -> f64 {
    oldest.map_or(0.0, |oldest| now.wall.since(oldest).as_secs_f64())
}

fn seconds(at: Option<Wall>) -> f64 {
    at.map_or(0.0, Wall::as_seconds)
}

/// Metrics are floating-point numbers: exact up to 2^53.
fn number(count: u64) -> f64 {
    count as f64
}
