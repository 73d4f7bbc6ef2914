//! Steps in words, for a trace that a person can read: `a3` is the fourth throw of A's dice.

use crate::wire::exchange::TokenRequest;

use super::{moves::Move, naming::shown, world::*};

impl World {
    /// A step in words.
    pub(super) fn describe(&self, step: Move) -> String {
        let host = |place: Place| ["A", "B", "M"][place];
        let flight = |place: usize| match &self.flights[place].cargo {
            Cargo::Call(call, _) => describe_call(self.flights[place].from, self.flights[place].to, call),
            Cargo::Answer(back, answered) => {
                let Flight { from, to, .. } = &*self.flights[place];
                format!("{} -> {}: {:?}: {}", host(*from), host(*to), back.of, describe_answer(answered))
            }
        };
        match step {
            Move::Deliver(place) => format!("arrives: {}", flight(place)),
            Move::Rebuff(place) => format!("refused by Mallory: {}", flight(place)),
            Move::Lose(place, loss) => format!("lost ({loss:?}): {}", flight(place)),
            Move::Commit(place) => format!("{}: the write is on disk", host(place)),
            Move::Stumble(place) => format!("{}: the write fails", host(place)),
            Move::Crash(place) => format!("{}: restarts", host(place)),
            Move::Tick => format!("the clock goes on to {} ms", self.next_wake_ms().unwrap_or(self.ms)),
            Move::Connect(place) => format!("{}: an operator wants an exchange", host(place)),
            Move::Tryst(place) => {
                format!("{}: an operator wants an exchange with Mallory's host", host(place))
            }
            Move::Mail(place) => format!("{}: an app hands in a message", host(place)),
            Move::Evil(evil) => self.mallory.describe(evil),
            Move::Later(ms) => format!("at {ms} ms each has a message for the other"),
        }
    }
}

fn describe_answer(answered: &Answered) -> String {
    match answered {
        Answered::Status(status) => status.to_string(),
        Answered::Fresh(reply) => format!("200 with {}", shown(&reply.token.digest())),
        Answered::Nothing(stage) => format!("no answer ({stage:?})"),
    }
}

/// A call in words.
pub(super) fn describe_call(from: Place, to: Place, call: &Call) -> String {
    let what = match call {
        Call::Request(TokenRequest::Tokens(offer)) => {
            format!("request in the name of {} with token {}", offer.host, shown(&offer.token.digest()))
        }
        Call::Request(TokenRequest::State(request)) => {
            format!("request in the name of {} with state {}", request.host, shown(&request.state.digest()))
        }
        Call::Grant(bearer, offer) => format!(
            "grant under {} of {}, brings {}",
            shown(bearer),
            offer.host,
            shown(&offer.token.digest())
        ),
        Call::StateGrant(grant) => format!(
            "grant with state {} of {}, brings {}",
            shown(&grant.state),
            grant.host,
            shown(&grant.token.digest())
        ),
        Call::Refresh(token) => format!("refresh with {}", shown(&token.digest())),
        Call::Packet(token, mail) => {
            format!("packet of {} under {}", mail.len(), shown(&token.digest()))
        }
    };
    format!("{} -> {}: {what}", ["A", "B", "M"][from], ["A", "B", "M"][to])
}
