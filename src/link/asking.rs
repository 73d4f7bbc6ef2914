//! The tokens that a peer gave us, and how we come by new ones.
//!
//! ```text
//!   exchange   Idle --ask--> Asked --grant kept--> Idle          at most one at a time; its grant is taken 5 min long
//!                              | grant-wait over, 404, 405, not reached
//!                              +--------> Idle (failed, backed off by the link)
//!   renewal    Idle --3/4 of the lifetime, 401, wanted--> Running --new tokens kept--> Idle
//!                                                           | no answer, 429, 5xx      | refused: exchange anew
//!                                                           +--> Resting --> Running   +--> Idle
//! ```
//!
//! Held tokens stand newest first. The one before the newest is kept until the newest has had a 204 for a packet; on
//! 401 the node falls back to it first, then refreshes once, then exchanges once, then the link has failed.
//! Source: `https-token`, "Refreshing", "Sending", "Being granted".

use std::{collections::VecDeque, time::Duration};

use super::{
    dice::{Dice, number, secret, thousandths},
    event::{Action, CallId, Change, Fact},
    settings::Settings,
};
use crate::{
    token::family::NewPair,
    wire::{
        exchange::{FreshPair, RefreshReply, TokenOffer},
        limits::{EXCHANGE_PACE, GRANT_LATE},
        record::{HeldRecord, RepeatRecord},
        refusal::Refusal,
        secret::{Digest, HeldToken},
        time::{Mono, Now, Wall},
    },
};

/// What an event's handling needs beside the machine.
pub(super) struct Context<'a> {
    pub(super) now: Now,
    pub(super) dice: &'a mut dyn Dice,
    pub(super) settings: &'a Settings,
    pub(super) out: &'a mut VecDeque<Action>,
}

impl Context<'_> {
    pub(super) fn note(&mut self, fact: Fact) {
        self.out.push_back(Action::Note(fact));
    }
}

/// A pair that the peer gave us.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    record: HeldRecord,
    /// When it is refreshed.
    renew_at: Wall,
    /// It was answered with 401: never shown again.
    rejected: bool,
    /// Its refresh token was refused.
    spent: bool,
}

/// A request of ours whose grant we would take.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ask {
    family: u64,
    pair: NewPair,
    accept_until: Mono,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Exchange {
    Idle,
    Asked { ask: Ask, give_up: Mono },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Renewal {
    Idle,
    Running { old: Digest, tries: u32 },
    Keeping { tries: u32 },
    Resting { until: Mono, tries: u32 },
}

impl Renewal {
    /// Failures since the last success.
    fn tries(&self) -> u32 {
        match self {
            Self::Idle => 0,
            Self::Running { tries, .. } | Self::Keeping { tries } | Self::Resting { tries, .. } => *tries,
        }
    }
}

/// How far the cure for 401 has come since the last 204.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cure {
    None,
    Refreshed,
    Exchanged,
}

/// What to do after a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After401 {
    /// Another token is there: send again.
    SendAgain,
    /// A refresh or an exchange will bring one.
    Wait,
    /// Even a fresh exchange's token was refused.
    Failed,
}

/// What came of a try to get tokens, for the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing that the link must know.
    Quiet,
    /// It failed, and there is no token to go on with.
    Failed(String),
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    held: Vec<Held>,
    exchange: Exchange,
    late: Vec<Ask>,
    renewal: Renewal,
    cure: Cure,
    repeats: Vec<RepeatRecord>,
    started: Option<Mono>,
    connect_wanted: bool,
    refresh_wanted: bool,
    /// Rises whenever the asks change, so that the shell can keep its index.
    version: u64,
}

/// Late asks that are kept at most: with one exchange per 30 s and 5 minutes of patience there are 10.
const LATE_MAX: usize = 16;
/// The newest, and the one that works.
const HELD_MAX: usize = 2;
/// With no token left to send with, a refresh that gets no answer is tried this often before an exchange.
const REFRESH_TRIES: u32 = 3;

impl Asking {
    pub(super) fn new(held: Vec<HeldRecord>, repeats: Vec<RepeatRecord>, dice: &mut dyn Dice) -> Self {
        let held = held.into_iter().map(|record| Held::new(record, dice)).collect();
        Self {
            held,
            exchange: Exchange::Idle,
            late: Vec::new(),
            renewal: Renewal::Idle,
            cure: Cure::None,
            repeats,
            started: None,
            connect_wanted: false,
            refresh_wanted: false,
            version: 0,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Digests of the ask tokens whose grant would be taken.
    pub(super) fn asks(&self) -> impl Iterator<Item = Digest> + '_ {
        self.current_ask().into_iter().chain(&self.late).map(|ask| ask.pair.access)
    }

    /// Bearers under which a grant was accepted.
    pub(super) fn repeats(&self) -> &[RepeatRecord] {
        &self.repeats
    }

    pub(super) fn held_records(&self) -> Vec<HeldRecord> {
        self.held.iter().filter(|held| !held.rejected).map(|held| held.record.clone()).collect()
    }

    /// The token to send with.
    pub(super) fn current(&self, now: Now) -> Option<&HeldToken> {
        self.held.iter().find(|held| held.opens(now.wall)).map(|held| &held.record.token)
    }

    /// When the newest token runs out.
    pub(super) fn held_until(&self, now: Now) -> Option<Wall> {
        self.held.iter().find(|held| held.opens(now.wall)).map(|held| held.record.expires)
    }

    pub(super) fn is_asking(&self) -> bool {
        self.exchange != Exchange::Idle
    }

    fn current_ask(&self) -> Option<&Ask> {
        match &self.exchange {
            Exchange::Idle => None,
            Exchange::Asked { ask, .. } => Some(ask),
        }
    }

    pub(super) fn want_connect(&mut self) {
        self.connect_wanted = !self.is_asking();
    }

    pub(super) fn want_refresh(&mut self, ctx: &mut Context<'_>) {
        match self.renewal {
            Renewal::Running { .. } | Renewal::Keeping { .. } => {}
            Renewal::Idle | Renewal::Resting { .. } if self.renewable().is_none() => {
                ctx.note(Fact::RefreshRefused(
                    "no token of this peer is held that could be refreshed".to_owned(),
                ));
            }
            Renewal::Idle | Renewal::Resting { .. } => self.refresh_wanted = true,
        }
    }

    /// Starts what is due. `mail` says that something waits to be sent, `lively` that something was sent in the last day.
    pub(super) fn drive(&mut self, mail: bool, lively: bool, ctx: &mut Context<'_>) {
        self.sweep(ctx.now);
        let free = self.started.is_none_or(|at| ctx.now.mono >= at.plus(EXCHANGE_PACE));
        if !free {
            return;
        }
        let lacking = mail && self.current(ctx.now).is_none();
        if self.connect_wanted {
            self.ask(ctx);
        } else if self.renewal_is_due(mail || lively, lacking, ctx.now) {
            self.renew(ctx);
        } else if lacking && self.renewal_is_over() {
            self.ask(ctx);
        }
    }

    /// The next moment at which `drive` would find something.
    pub(super) fn wake_at(&self, mail: bool, lively: bool, now: Now) -> Option<Mono> {
        let paced = |at: Mono| self.started.map_or(at, |started| at.max(started.plus(EXCHANGE_PACE)));
        let give_up = match &self.exchange {
            Exchange::Idle => None,
            Exchange::Asked { give_up, .. } => Some(*give_up),
        };
        let lacking = mail && self.current(now).is_none() && !self.is_asking() && self.renewal_is_over();
        let wanted = (self.connect_wanted || self.refresh_wanted || lacking).then(|| paced(now.mono));
        let resting = match self.renewal {
            Renewal::Resting { until, .. } => Some(paced(until)),
            Renewal::Idle | Renewal::Running { .. } | Renewal::Keeping { .. } => None,
        };
        let renew = match (&self.renewal, self.renewable()) {
            (Renewal::Idle, Some(held)) if mail || lively => {
                Some(paced(now.mono.plus(held.renew_at.since(now.wall))))
            }
            _ => None,
        };
        let late = self.late.iter().map(|ask| ask.accept_until).min();
        [give_up, wanted, resting, renew, late].into_iter().flatten().min()
    }

    /// Our request was answered: decides nothing, except where it cannot have reached the peer's grant code.
    pub(super) fn on_asked(&mut self, failure: Option<String>, ctx: &mut Context<'_>) -> Outcome {
        match (failure, &self.exchange) {
            (Some(reason), Exchange::Asked { .. }) => self.give_up(reason, ctx),
            (None, _) | (_, Exchange::Idle) => Outcome::Quiet,
        }
    }

    /// The grant did not come in time.
    pub(super) fn on_woken(&mut self, ctx: &mut Context<'_>) -> Outcome {
        match &self.exchange {
            Exchange::Asked { give_up, .. } if ctx.now.mono >= *give_up => {
                let wait = ctx.settings.grant_wait.as_secs();
                self.give_up(format!("grant: the peer did not call back within {wait} s"), ctx)
            }
            Exchange::Idle | Exchange::Asked { .. } => Outcome::Quiet,
        }
    }

    /// Judges a grant: `Ok(Some(..))` is to be kept and then answered with 204, `Ok(None)` is a repeat.
    pub(super) fn judge_grant(
        &self,
        call: CallId,
        bearer: &Digest,
        offer: &TokenOffer,
        keeping: &VecDeque<Change>,
        now: Now,
    ) -> Result<Option<Change>, Refusal> {
        let waiting = keeping.iter().filter_map(|change| match change {
            Change::Granted { repeat, .. } => Some(repeat),
            Change::Taken { .. } | Change::Renewed { .. } => None,
        });
        let brought = (offer.token.digest(), offer.refresh.digest());
        let known = self.repeats.iter().find(|repeat| repeat.ask == *bearer && repeat.expires > now.wall);
        if let Some(repeat) = known {
            let same = (repeat.token, repeat.refresh) == brought;
            return if same { Ok(None) } else { Err(Refusal::GrantAltered) };
        }
        if waiting
            .into_iter()
            .any(|repeat| repeat.ask == *bearer && (repeat.token, repeat.refresh) != brought)
        {
            return Err(Refusal::GrantAltered);
        }
        let ask = self.current_ask().into_iter().chain(&self.late).find(|ask| ask.pair.access == *bearer);
        let open = |ask: &&Ask| now.mono < ask.accept_until && now.wall < ask.pair.access_until;
        let ask = ask.filter(open).ok_or(Refusal::TokenUnknown)?;
        Ok(Some(Change::Granted {
            call,
            held: held_record(offer.token.clone(), offer.refresh.clone(), offer.lifetime, now),
            repeat: RepeatRecord {
                ask: *bearer,
                token: brought.0,
                refresh: brought.1,
                expires: ask.pair.access_until,
            },
            family: ask.family,
            pair: ask.pair,
        }))
    }

    /// A change is on disk: the tokens may be used.
    pub(super) fn on_kept(&mut self, change: &Change, ctx: &mut Context<'_>) {
        match change {
            Change::Granted { held, repeat, .. } => {
                if self.current_ask().is_some_and(|ask| ask.pair.access == repeat.ask) {
                    self.exchange = Exchange::Idle;
                }
                self.late.retain(|ask| ask.pair.access != repeat.ask);
                if !self.repeats.contains(repeat) {
                    self.repeats.push(*repeat);
                }
                self.version += 1;
                self.take(held, ctx);
            }
            Change::Taken { held, .. } => self.take(held, ctx),
            Change::Renewed { old, held } => {
                self.renewal = Renewal::Idle;
                match self.held.iter_mut().find(|each| each.record.token.digest() == *old) {
                    Some(place) => *place = Held::new(held.clone(), ctx.dice),
                    None => self.take(held, ctx),
                }
                ctx.note(Fact::RefreshDone);
            }
        }
    }

    /// A change could not be kept: as if what brought it had not come.
    pub(super) fn on_not_kept(&mut self, change: &Change, ctx: &mut Context<'_>) {
        if matches!(change, Change::Renewed { .. }) {
            self.rest_renewal(ctx);
        }
    }

    /// New tokens came, or did not.
    pub(super) fn on_refreshed(
        &mut self,
        reply: Result<RefreshReply, Refused>,
        ctx: &mut Context<'_>,
    ) -> (Option<Change>, Outcome) {
        let Renewal::Running { old, tries } = self.renewal else { return (None, Outcome::Quiet) };
        match reply {
            Ok(reply) => {
                self.renewal = Renewal::Keeping { tries };
                let held = held_record(reply.token, reply.refresh, reply.lifetime, ctx.now);
                (Some(Change::Renewed { old, held }), Outcome::Quiet)
            }
            Err(Refused { again: true, reason }) => {
                self.rest_renewal(ctx);
                ctx.note(Fact::RefreshFailed(reason.clone()));
                let lost = self.current(ctx.now).is_none();
                if lost && self.renewal.tries() >= REFRESH_TRIES {
                    // A refresh path that only fails must not hold the mail for ever: exchange anew.
                    self.spend(&old);
                    self.renewal = Renewal::Idle;
                }
                (None, if lost { Outcome::Failed(format!("refresh: {reason}")) } else { Outcome::Quiet })
            }
            Err(Refused { again: false, reason }) => {
                self.renewal = Renewal::Idle;
                self.spend(&old);
                self.cure = self.cure.max(Cure::Refreshed);
                self.connect_wanted = !self.is_asking();
                ctx.note(Fact::RefreshRefused(reason));
                (None, Outcome::Quiet)
            }
        }
    }

    /// A packet sent with this token was answered with 204.
    pub(super) fn on_confirmed(&mut self, token: &Digest) -> bool {
        self.cure = Cure::None;
        let Some(place) = self.held.iter().position(|held| held.record.token.digest() == *token) else {
            return false;
        };
        let newly = self.held.get(place).is_some_and(|held| !held.record.confirmed);
        if let Some(held) = self.held.get_mut(place) {
            held.record.confirmed = true;
        }
        let older = self.held.len() > place + 1;
        self.held.truncate(place + 1);
        newly || older
    }

    /// A packet sent with this token was answered with 401.
    pub(super) fn on_401(&mut self, token: &Digest, now: Now) -> After401 {
        let shown_is_current = self.current(now).is_some_and(|current| current.digest() == *token);
        if let Some(held) = self.held.iter_mut().find(|held| held.record.token.digest() == *token) {
            held.rejected = true;
        }
        if !shown_is_current && self.current(now).is_some() {
            return After401::SendAgain;
        }
        if self.current(now).is_some() {
            // The newest one never worked: the one before it is the current one from here.
            self.held.retain(|held| !held.rejected);
            return After401::SendAgain;
        }
        match self.cure {
            Cure::None if self.renewable().is_some() => {
                self.cure = Cure::Refreshed;
                self.refresh_wanted = true;
                After401::Wait
            }
            Cure::None | Cure::Refreshed => {
                self.cure = Cure::Exchanged;
                self.held.clear();
                self.connect_wanted = !self.is_asking();
                After401::Wait
            }
            Cure::Exchanged => {
                self.cure = Cure::None;
                self.held.clear();
                After401::Failed
            }
        }
    }

    /// Forgets everything that was exchanged.
    pub(super) fn forget(&mut self) {
        self.held.clear();
        self.late.clear();
        self.repeats.clear();
        self.exchange = Exchange::Idle;
        self.renewal = Renewal::Idle;
        self.cure = Cure::None;
        self.connect_wanted = false;
        self.refresh_wanted = false;
        self.version += 1;
    }

    fn renewable(&self) -> Option<&Held> {
        self.held.first().filter(|held| !held.spent)
    }

    fn renewal_is_over(&self) -> bool {
        self.renewal == Renewal::Idle && self.renewable().is_none()
    }

    fn renewal_is_due(&self, used: bool, lacking: bool, now: Now) -> bool {
        let Some(held) = self.renewable() else { return false };
        match self.renewal {
            Renewal::Running { .. } | Renewal::Keeping { .. } => false,
            Renewal::Resting { until, .. } => now.mono >= until || self.refresh_wanted,
            Renewal::Idle => self.refresh_wanted || lacking || (used && now.wall >= held.renew_at),
        }
    }

    fn renew(&mut self, ctx: &mut Context<'_>) {
        let Some(held) = self.renewable() else { return };
        let (old, refresh) = (held.record.token.digest(), held.record.refresh.clone());
        self.refresh_wanted = false;
        self.renewal = Renewal::Running { old, tries: self.renewal.tries() };
        self.started = Some(ctx.now.mono);
        ctx.out.push_back(Action::Refresh(refresh));
    }

    fn ask(&mut self, ctx: &mut Context<'_>) {
        self.connect_wanted = false;
        if self.is_asking() {
            return;
        }
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
        self.exchange = Exchange::Asked { ask, give_up: ctx.now.mono.plus(ctx.settings.grant_wait) };
        self.started = Some(ctx.now.mono);
        self.version += 1;
        ctx.note(Fact::AskStarted);
        ctx.out.push_back(Action::Ask(pair));
    }

    fn give_up(&mut self, reason: String, ctx: &mut Context<'_>) -> Outcome {
        if let Exchange::Asked { ask, .. } = std::mem::replace(&mut self.exchange, Exchange::Idle) {
            self.late.push(ask);
            let over = self.late.len().saturating_sub(LATE_MAX);
            self.late.drain(..over);
            self.version += 1;
        }
        ctx.note(Fact::AskFailed(reason.clone()));
        if self.current(ctx.now).is_some() { Outcome::Quiet } else { Outcome::Failed(reason) }
    }

    fn spend(&mut self, old: &Digest) {
        if let Some(held) = self.held.iter_mut().find(|held| held.record.token.digest() == *old) {
            held.spent = true;
        }
    }

    fn rest_renewal(&mut self, ctx: &mut Context<'_>) {
        let tries = self.renewal.tries() + 1;
        let wait = ctx.settings.retry_min.saturating_mul(1 << tries.min(10)).min(ctx.settings.retry_max);
        self.renewal = Renewal::Resting { until: ctx.now.mono.plus(wait), tries };
    }

    fn take(&mut self, record: &HeldRecord, ctx: &mut Context<'_>) {
        if self.held.iter().any(|held| held.record.token == record.token) {
            return;
        }
        self.held.retain(|held| !held.rejected);
        // The newest, and behind it the one that works.
        let works = self.held.iter().position(|held| held.record.confirmed).unwrap_or(0);
        self.held = self.held.drain(..).skip(works).take(HELD_MAX - 1).collect();
        self.held.insert(0, Held::new(record.clone(), ctx.dice));
    }

    fn sweep(&mut self, now: Now) {
        let before = self.late.len() + self.repeats.len();
        self.late.retain(|ask| now.mono < ask.accept_until);
        self.repeats.retain(|repeat| now.wall < repeat.expires);
        if self.late.len() + self.repeats.len() != before {
            self.version += 1;
        }
    }
}

/// A refresh that brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// The old refresh token is still good.
    pub(super) again: bool,
    /// Why, for people.
    pub(super) reason: String,
}

impl Held {
    fn new(record: HeldRecord, dice: &mut dyn Dice) -> Self {
        // At 3/4 of the lifetime, less up to a tenth, so that many links do not come due together.
        let life = record.expires.since(record.received);
        let share = u32::try_from(750 - thousandths(dice) / 10).unwrap_or(750);
        let renew_at = record.received.plus(life.saturating_mul(share) / 1000);
        Self { record, renew_at, rejected: false, spent: false }
    }

    fn opens(&self, now: Wall) -> bool {
        !self.rejected && now < self.record.expires
    }
}

fn held_record(token: HeldToken, refresh: HeldToken, lifetime: Duration, now: Now) -> HeldRecord {
    HeldRecord { token, refresh, received: now.wall, expires: now.wall.plus(lifetime), confirmed: false }
}

/// What the peer's tokens become when it took our grant.
pub(super) fn taken(offer: &TokenOffer, family: u64, pair: NewPair, now: Now) -> Change {
    let held = held_record(offer.token.clone(), offer.refresh.clone(), offer.lifetime, now);
    Change::Taken { held, family, pair }
}
