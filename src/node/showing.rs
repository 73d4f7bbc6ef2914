//! A link as operators see it.

use std::sync::Arc;

use super::{
    registry::Slot,
    shell::Shell,
    views::{DirectionState, FailureView, NegotiationView, PeerView, QueueView, ReceivingView, SendingView},
};
use crate::{
    link::peer::{Look, Peer},
    wire::{
        host::PeerHost,
        parameters::{Form, Found, Revision, Source},
        time::Now,
    },
};

//= NODE-API-28: never a token
/// A link as operators see it; of a peer without a machine what is configured.
pub(super) fn view(shell: &Shell, host: &PeerHost, slot: Option<&Arc<Slot>>) -> PeerView {
    let (now, settings) = (shell.now(), shell.settings());
    let blank;
    let guard;
    let peer: &Peer = if let Some(slot) = slot {
        guard = slot.lock();
        &guard
    } else {
        blank = Peer::new(host.clone(), shell.link(), &mut Shell::dice());
        &blank
    };
    let (look, health, allowed) = (peer.look(now), peer.health(), settings.policy.allows(host));
    let found = shell.directory.current(host, &settings.pins(host));
    let waiting = shell.store.waiting_for(host);
    let over = slot.and_then(|slot| slot.over());
    PeerView {
        host: host.clone(),
        configured: settings.pin(host).is_some(),
        allowed,
        revision: found.as_ref().map(|found| spoken(found, &look)),
        negotiation: negotiation(found.as_ref()),
        http: over.map(|(http, _)| http),
        tls: over.and_then(|(_, tls)| tls),
        sending: sending(&look, allowed, now),
        receiving: receiving(&look, allowed, slot),
        queue: QueueView {
            messages: waiting.as_ref().map_or(0, |waiting| waiting.messages),
            in_flight: look.in_flight,
            oldest_at: waiting.map(|waiting| waiting.oldest),
        },
        failures: health.failures,
        last_success_at: health.succeeded,
        last_failure: health
            .failed
            .clone()
            .map(|failed| FailureView { at: failed.at, reason: failed.reason }),
        last_heard_at: health.heard,
    }
}

/// R2 is known by what the peer writes; its parameters are those of R1.
fn spoken(found: &Found, look: &Look) -> Revision {
    match (found.parameters.form(), look.held_by) {
        (Form::State, _) => Revision::R3,
        (Form::Tokens, Some(Revision::R2)) => Revision::R2,
        (Form::Tokens, Some(Revision::R1 | Revision::R3) | None) => Revision::R1,
    }
}

/// We to the peer, in one word.
pub(super) fn sending_state(look: &Look, allowed: bool) -> DirectionState {
    match (look.held_until, look.rests_until, look.asking) {
        _ if !allowed => DirectionState::Refused,
        _ if look.paused => DirectionState::Paused,
        (_, Some(_), _) => DirectionState::BackingOff,
        (Some(_), None, _) => DirectionState::Linked,
        (None, None, true) => DirectionState::Asking,
        (None, None, false) => DirectionState::None,
    }
}

fn sending(look: &Look, allowed: bool, now: Now) -> SendingView {
    let state = sending_state(look, allowed);
    let reason = match look.held_by {
        Some(Revision::R1) => Some("the peer gave a token and a refresh token, with `expires-in`"),
        Some(Revision::R2) => Some("the peer gave a token and a refresh token, with `expires` alone"),
        Some(Revision::R3) => Some("the peer granted our state: a token without a refresh token"),
        None => None,
    };
    SendingView {
        state,
        expires_at: look.held_until,
        next_try_at: look.rests_until.map(|until| now.wall.plus(until.since(now.mono))),
        revision: look.held_by,
        reason,
    }
}

fn receiving(look: &Look, allowed: bool, slot: Option<&Arc<Slot>>) -> ReceivingView {
    let state = match (look.given_until, look.given_surely) {
        _ if !allowed => DirectionState::Refused,
        (Some(_), true) => DirectionState::Linked,
        (Some(_), false) => DirectionState::Offered,
        (None, _) => DirectionState::None,
    };
    let reason = match (look.given_by, look.given_surely) {
        (Some(Revision::R3), true) => Some("the peer asked with a state, and has shown the token since"),
        (Some(Revision::R3), false) => {
            Some("somebody asked with a state in the peer's name, and it has not shown the token yet")
        }
        (Some(Revision::R1 | Revision::R2), _) => Some("tokens for both directions came of one exchange"),
        (None, _) => None,
    };
    ReceivingView {
        state,
        expires_at: look.given_until,
        families: look.families,
        revision: look.given_by,
        reason,
        last_failure: slot.and_then(|slot| slot.ungranted().clone()),
    }
}

fn negotiation(found: Option<&Found>) -> NegotiationView {
    let Some(found) = found else {
        let reason = "neither pinned nor found yet: the host information is looked up when it is needed";
        return NegotiationView { reason: reason.to_owned(), ..NegotiationView::default() };
    };
    let published = found.published.as_ref();
    let at = published.map_or(String::new(), |published| format!(" at {}", published.path));
    let by = match found.source {
        Source::Pinned => "what is pinned".to_owned(),
        Source::Published => format!("its host information{at}"),
        Source::Both => format!("its host information{at}, with what is pinned,"),
    };
    let form = match found.parameters.form() {
        Form::Tokens => "has a refresh-path (R2 where it writes `expires` alone)",
        Form::State => "has no refresh-path",
    };
    NegotiationView {
        source: Some(found.source),
        reason: format!("{by} {form}"),
        fetched_at: published.map(|published| published.fetched),
        fresh_until: published.map(|published| published.fresh_until),
        parameters: Some(found.parameters.clone()),
    }
}
