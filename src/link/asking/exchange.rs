//! Our requests for tokens and the grants that we would take.
//!
//! ```text
//!   Idle --ask--> Asked --grant kept--> Idle
//!                   | grant-wait over, 404, 405, not reached
//!                   +--> Idle, and the ask is late: its grant is taken until 5 min after the request
//! ```
//!
//! One exchange at a time; none begins while the call of the one before is still open. Source: `https-token`, "Being
//! granted", "Sending".

use crate::{
    link::{
        context::Context,
        dice::{number, secret},
        event::{CallId, Change},
    },
    token::family::NewPair,
    wire::{
        exchange::{FreshPair, TokenOffer},
        limits::{FAMILIES_PER_PEER, GRANT_LATE},
        record::RepeatRecord,
        refusal::Refusal,
        secret::Digest,
        time::{Mono, Now},
    },
};

/// A request of ours whose grant we would take.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ask {
    family: u64,
    pair: NewPair,
    accept_until: Mono,
}

impl Ask {
    fn is_open(&self, now: Now) -> bool {
        now.mono < self.accept_until && now.wall < self.pair.access_until
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Asked { ask: Ask, give_up: Mono },
}

/// The exchange under way, and what remains of those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    state: State,
    /// The request has not been answered yet.
    calling: bool,
    late: Vec<Ask>,
    repeats: Vec<RepeatRecord>,
    /// Rises whenever the bearers change.
    version: u64,
}

/// Late asks that are kept at most: with one exchange per 30 s and 5 minutes of patience there are 10.
const LATE_MAX: usize = 16;
/// Accepted grants that are remembered at most. One outlives its use when its family is gone, and of those there are 4.
const REPEATS_MAX: usize = 2 * FAMILIES_PER_PEER;

impl Exchange {
    pub(super) fn new(repeats: Vec<RepeatRecord>) -> Self {
        Self { state: State::Idle, calling: false, late: Vec::new(), repeats, version: 0 }
    }

    pub(super) fn is_asking(&self) -> bool {
        self.state != State::Idle
    }

    /// Whether one may begin.
    pub(super) fn is_free(&self) -> bool {
        self.state == State::Idle && !self.calling
    }

    /// Digests of the ask tokens whose grant would be taken.
    pub(super) fn asks(&self) -> impl Iterator<Item = Digest> + '_ {
        self.current().into_iter().chain(&self.late).map(|ask| ask.pair.access)
    }

    /// Bearers under which a grant was accepted.
    pub(super) fn repeats(&self) -> &[RepeatRecord] {
        &self.repeats
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// When a grant that did not come, or a late ask, is given up.
    pub(super) fn wake_at(&self) -> Option<Mono> {
        let give_up = match &self.state {
            State::Idle => None,
            State::Asked { give_up, .. } => Some(*give_up),
        };
        self.late.iter().map(|ask| ask.accept_until).chain(give_up).min()
    }

    pub(super) fn begin(&mut self, ctx: &mut Context<'_>) -> FreshPair {
        let pair = FreshPair {
            token: secret(ctx.dice),
            refresh: secret(ctx.dice),
            lifetime: ctx.settings.token_lifetime,
            made: ctx.now.wall,
        };
        let (access, refresh) = (pair.token.digest(), pair.refresh.digest());
        let ask = Ask {
            family: number(ctx.dice),
            pair: NewPair::new(access, pair.lifetime, refresh, ctx.settings.refresh_lifetime, ctx.now.wall),
            accept_until: ctx.now.mono.plus(GRANT_LATE),
        };
        self.state = State::Asked { ask, give_up: ctx.now.mono.plus(ctx.settings.grant_wait) };
        self.calling = true;
        self.version += 1;
        pair
    }

    /// The request's call ended. Whether its exchange is still waiting for a grant.
    pub(super) fn on_answered(&mut self) -> bool {
        std::mem::take(&mut self.calling) && self.is_asking()
    }

    /// Whether the grant did not come in time.
    pub(super) fn is_overdue(&self, now: Now) -> bool {
        matches!(&self.state, State::Asked { give_up, .. } if now.mono >= *give_up)
    }

    //= https-token, "Being granted": failed after grant-wait, but its grant is still accepted for 5 min
    pub(super) fn give_up(&mut self) {
        if let State::Asked { ask, .. } = std::mem::replace(&mut self.state, State::Idle) {
            self.late.push(ask);
            let over = self.late.len().saturating_sub(LATE_MAX);
            self.late.drain(..over);
            self.version += 1;
        }
    }

    /// Judges the bearer of a grant of `asked`: what its family would be, or `None` where the grant came before.
    pub(super) fn judge<'a>(
        &self,
        bearer: &Digest,
        offer: &TokenOffer,
        same_host: bool,
        keeping: impl Iterator<Item = &'a RepeatRecord>,
        now: Now,
    ) -> Result<Option<Judged>, Refusal> {
        let brought = (offer.token.digest(), offer.refresh.digest());
        let altered = |repeat: &RepeatRecord| (repeat.token, repeat.refresh) != brought;
        let known = self.repeats.iter().find(|repeat| repeat.ask == *bearer && now.wall < repeat.expires);
        let ask = self.current().into_iter().chain(&self.late).find(|ask| ask.pair.access == *bearer);
        let ask = ask.filter(|ask| ask.is_open(now));
        if known.is_none() && ask.is_none() {
            return Err(Refusal::TokenUnknown);
        }
        if !same_host {
            return Err(Refusal::GrantOtherHost);
        }
        let first = keeping.into_iter().find(|repeat| repeat.ask == *bearer).or(known);
        if first.is_some_and(altered) {
            return Err(Refusal::GrantAltered);
        }
        if known.is_some() {
            return Ok(None);
        }
        let ask = ask.ok_or(Refusal::TokenUnknown)?;
        let (token, refresh) = brought;
        let repeat = RepeatRecord { ask: *bearer, token, refresh, expires: ask.pair.access_until };
        Ok(Some(Judged { repeat, family: ask.family, pair: ask.pair }))
    }

    /// A grant is on disk.
    pub(super) fn on_granted(&mut self, repeat: &RepeatRecord) {
        if self.current().is_some_and(|ask| ask.pair.access == repeat.ask) {
            self.state = State::Idle;
        }
        self.late.retain(|ask| ask.pair.access != repeat.ask);
        if !self.repeats.contains(repeat) {
            self.repeats.push(*repeat);
            let over = self.repeats.len().saturating_sub(REPEATS_MAX);
            self.repeats.drain(..over);
        }
        self.version += 1;
    }

    pub(super) fn sweep(&mut self, now: Now) {
        let before = self.late.len() + self.repeats.len();
        self.late.retain(|ask| now.mono < ask.accept_until);
        self.repeats.retain(|repeat| now.wall < repeat.expires);
        if self.late.len() + self.repeats.len() != before {
            self.version += 1;
        }
    }

    /// No grant is taken any more. A call that is open ends by itself.
    pub(super) fn forget(&mut self) {
        self.state = State::Idle;
        self.late.clear();
        self.repeats.clear();
        self.version += 1;
    }

    fn current(&self) -> Option<&Ask> {
        match &self.state {
            State::Idle => None,
            State::Asked { ask, .. } => Some(ask),
        }
    }
}

/// A grant that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    repeat: RepeatRecord,
    family: u64,
    pair: NewPair,
}

impl Judged {
    pub(super) fn into_change(self, call: CallId, held: crate::wire::record::HeldRecord) -> Change {
        Change::Granted { call, held, repeat: self.repeat, family: self.family, pair: self.pair }
    }
}
