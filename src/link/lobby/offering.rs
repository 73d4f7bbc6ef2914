//! What we offer in answer to one request: made once, sent until it is answered.

use std::time::Duration;

use super::{Asked, action::Grant};
use crate::{
    link::{
        dice::{Dice, number, secret},
        peer::Standing,
    },
    token::{family::NewPair, fault::fault},
    wire::{
        exchange::{FreshAccess, FreshPair, TokenRequest},
        parameters::{Form, Parameters},
        path::UrlPath,
        time::{Mono, Now},
    },
};

const RETRY_FIRST: Duration = Duration::from_secs(1);

/// What the lobby must know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Grants under way at once.
    pub slots: usize,
    /// Life of the access tokens that we give.
    pub token_lifetime: Duration,
    /// Life of the refresh tokens that we give.
    pub refresh_lifetime: Duration,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// On its way to the disk.
    Offering,
    /// The call is open.
    Calling,
    /// It got no answer that counts.
    Resting { until: Mono },
    /// Nobody was found under the grant path, for this reason: it is looked up whether it is another by now.
    Seeking { reason: String },
    /// Answered with 204: the link is on its way to the disk.
    Taking,
}

/// Our tokens as they are sent.
#[derive(Clone, Debug, Hash)]
enum Fresh {
    Pair(FreshPair),
    Single(FreshAccess),
}

/// The machine of one grant.
#[derive(Clone, Debug, Hash)]
pub(super) struct Offering {
    pub(super) family: u64,
    pub(super) pair: NewPair,
    pub(super) step: Step,
    pub(super) give_up: Mono,
    /// The host was forgotten meanwhile: it is withdrawn, whatever it is answered.
    pub(super) forgotten: bool,
    fresh: Fresh,
    path: UrlPath,
    tries: u32,
}

impl Offering {
    pub(super) fn new(
        asked: &Asked,
        parameters: &Parameters,
        settings: &Settings,
        now: Now,
        dice: &mut dyn Dice,
    ) -> Self {
        let (token, made, lifetime) = (secret(dice), now.wall, settings.token_lifetime);
        let access = token.digest();
        //= HT-REV-13: of its own kind
        let (fresh, pair) = match asked.request.form() {
            Form::Tokens => {
                let refresh = secret(dice);
                let pair = NewPair::new(access, lifetime, refresh.digest(), settings.refresh_lifetime, made);
                (Fresh::Pair(FreshPair { token, refresh, lifetime, made }), pair)
            }
            Form::State => {
                let pair = NewPair::single(access, lifetime, !asked.likely && !fault!(UnsureIsSure), made);
                (Fresh::Single(FreshAccess { token, lifetime, made }), pair)
            }
        };
        let (family, path) = (number(dice), parameters.grant_path.clone());
        Self {
            family,
            pair,
            step: Step::Offering,
            give_up: now.mono,
            forgotten: false,
            fresh,
            path,
            tries: 0,
        }
    }

    /// The grant for this request.
    pub(super) fn grant(&self, request: &TokenRequest) -> Option<Grant> {
        match (&self.fresh, request) {
            (Fresh::Pair(pair), TokenRequest::Tokens(offer)) => {
                //= HT-REV-05: bearer = the request's token
                Some(Grant::Tokens { bearer: offer.token.clone(), pair: pair.clone() })
            }
            (Fresh::Single(access), TokenRequest::State(asked)) => {
                //= HT-REV-06: the request's state, no bearer
                Some(Grant::State { state: asked.state.clone(), access: access.clone() })
            }
            (Fresh::Pair(_), TokenRequest::State(_)) | (Fresh::Single(_), TokenRequest::Tokens(_)) => None,
        }
    }

    /// It got no answer that counts: rests, not less than the peer asked for, unless its time would be over by then.
    pub(super) fn rest(&mut self, asked: Option<Duration>, now: Now) -> bool {
        let own = RETRY_FIRST.saturating_mul(1 << self.tries.min(5));
        let until = now.mono.plus(own.max(asked.unwrap_or_default()));
        self.tries += 1;
        let in_time = until < self.give_up;
        if in_time {
            self.step = Step::Resting { until };
        }
        in_time
    }

    /// Whether the grant path is another one by now; it is taken.
    pub(super) fn follow(&mut self, parameters: &Parameters, now: Now) -> bool {
        let elsewhere = parameters.grant_path != self.path && now.mono < self.give_up;
        self.path = parameters.grant_path.clone();
        elsewhere
    }
}

/// Why a request is not granted, as its host's parameters and its standing are.
pub(super) fn misfit(asked: &Asked, form: Form, standing: Standing) -> Option<&'static str> {
    match (asked.request.form(), form) {
        //= HT-REV-14: R1 or R2 in the name of an R3 host
        (Form::Tokens, Form::State) if !fault!(AnyForm) => {
            Some("it asks with tokens (R1, R2) in the name of a host whose parameters have no refresh-path")
        }
        //= HT-REV-15: R3 in the name of a host whose token we hold
        (Form::State, Form::Tokens) if standing.holds => Some(
            "it asks with a state (R3) in the name of a host that has a refresh-path and whose token we hold",
        ),
        (Form::State, Form::State | Form::Tokens) if !asked.likely && !standing.has_room => {
            Some("anybody could have sent it, and no token that is in use makes room for such")
        }
        //= HT-REF-11: a peer may always ask anew
        (Form::Tokens, Form::Tokens | Form::State) | (Form::State, Form::State | Form::Tokens) => None,
    }
}
