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
//! On 401 the node falls back to the token before the newest, then refreshes once, then exchanges once, then the link
//! has failed; only a 204 begins that anew. What is due next, and when, is decided in one place (`next`): what `drive`
//! starts and what `wake_at` waits for cannot differ.
//! Source: `https-token`, "Refreshing", "Sending", "Being granted".

use super::{
    context::Context,
    dice::Dice,
    event::{Action, CallId, Change, Fact},
};
use crate::{
    token::family::NewPair,
    wire::{
        exchange::{RefreshReply, TokenOffer},
        limits::EXCHANGE_PACE,
        record::{HeldRecord, RepeatRecord},
        refusal::Refusal,
        secret::{Digest, HeldToken},
        time::{Mono, Now, Wall},
    },
};

mod exchange;
mod held;
mod outcome;
mod renewal;

use exchange::Exchange;
use held::HeldTokens;
pub(super) use outcome::{After401, Outcome, Refused};
use renewal::Renewal;

/// How far the cure for 401 has come since the last 204.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cure {
    None,
    Refreshed,
    Exchanged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Ask,
    Renew,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    held: HeldTokens,
    exchange: Exchange,
    renewal: Renewal,
    cure: Cure,
    /// When the last refresh or exchange began.
    started: Option<Mono>,
    connect_wanted: bool,
    refresh_wanted: bool,
}

/// With no token left to send with, a refresh that gets no answer is tried this often before an exchange.
const REFRESH_TRIES: u32 = 3;

impl Asking {
    pub(super) fn new(held: Vec<HeldRecord>, repeats: Vec<RepeatRecord>, dice: &mut dyn Dice) -> Self {
        Self {
            held: HeldTokens::new(held, dice),
            exchange: Exchange::new(repeats),
            renewal: Renewal::Idle,
            cure: Cure::None,
            started: None,
            connect_wanted: false,
            refresh_wanted: false,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.exchange.version()
    }

    pub(super) fn asks(&self) -> impl Iterator<Item = Digest> + '_ {
        self.exchange.asks()
    }

    pub(super) fn repeats(&self) -> &[RepeatRecord] {
        self.exchange.repeats()
    }

    pub(super) fn held_records(&self) -> Vec<HeldRecord> {
        self.held.records()
    }

    /// The token to send with.
    pub(super) fn current(&self, now: Now) -> Option<&HeldToken> {
        self.held.current(now)
    }

    /// When the token that we send with runs out.
    pub(super) fn held_until(&self, now: Now) -> Option<Wall> {
        self.held.until(now)
    }

    pub(super) fn is_asking(&self) -> bool {
        self.exchange.is_asking()
    }

    pub(super) fn want_connect(&mut self) {
        self.connect_wanted = !self.is_asking();
    }

    pub(super) fn want_refresh(&mut self, ctx: &mut Context<'_>) {
        if self.renewal.is_under_way() {
            return;
        }
        self.refresh_wanted = self.held.renewable().is_some();
        if !self.refresh_wanted {
            let reason = "no token of this peer is held that could be refreshed".to_owned();
            ctx.note(Fact::RefreshRefused(reason));
        }
    }

    /// Starts what is due. `mail` says that something waits to be sent, `lively` that something was sent in the last day.
    pub(super) fn drive(&mut self, mail: bool, lively: bool, ctx: &mut Context<'_>) {
        self.exchange.sweep(ctx.now);
        match self.next(mail, lively, ctx.now) {
            Some((Step::Ask, at)) if at <= ctx.now.mono => self.ask(ctx),
            Some((Step::Renew, at)) if at <= ctx.now.mono => self.renew(ctx),
            Some(_) | None => {}
        }
    }

    /// The next moment at which there is something to do without an event.
    pub(super) fn wake_at(&self, mail: bool, lively: bool, now: Now) -> Option<Mono> {
        let next = self.next(mail, lively, now).map(|(_, at)| at);
        self.exchange.wake_at().into_iter().chain(next).min()
    }

    //= https-token, "Sending": never more than one refresh or exchange per peer in 2 s
    fn next(&self, mail: bool, lively: bool, now: Now) -> Option<(Step, Mono)> {
        let (step, at) = self.due(mail, lively, now)?;
        Some((step, self.started.map_or(at, |started| at.max(started.plus(EXCHANGE_PACE)))))
    }

    fn due(&self, mail: bool, lively: bool, now: Now) -> Option<(Step, Mono)> {
        let lacking = mail && self.held.current(now).is_none();
        if self.connect_wanted && self.exchange.is_free() {
            return Some((Step::Ask, now.mono));
        }
        if let Some(held) = self.held.renewable() {
            let at = match self.renewal {
                Renewal::Running { .. } | Renewal::Keeping { .. } | Renewal::Abandoned => None,
                Renewal::Idle | Renewal::Resting { .. } if self.refresh_wanted => Some(now.mono),
                // With nothing left to send with, a refresh that rests would hold the mail; the link's own rest is the pause.
                Renewal::Resting { .. } if lacking => Some(now.mono),
                Renewal::Resting { until, .. } => (mail || lively).then_some(until),
                Renewal::Idle if lacking => Some(now.mono),
                //= https-token, "Refreshing": a link that sent nothing for a day is refreshed when there is mail
                Renewal::Idle => (mail || lively).then(|| now.mono.plus(held.renew_at.since(now.wall))),
            };
            return at.map(|at| (Step::Renew, at));
        }
        let may_ask = lacking && !self.renewal.is_under_way() && self.exchange.is_free();
        may_ask.then_some((Step::Ask, now.mono))
    }

    /// Our request was answered: decides nothing, except where it cannot have reached the peer's grant code.
    pub(super) fn on_asked(&mut self, failure: Option<String>, ctx: &mut Context<'_>) -> Outcome {
        match (self.exchange.on_answered(), failure) {
            (true, Some(reason)) => self.give_up(reason, ctx),
            (true, None) | (false, _) => Outcome::Quiet,
        }
    }

    /// The grant may not have come in time.
    pub(super) fn on_woken(&mut self, ctx: &mut Context<'_>) -> Outcome {
        if !self.exchange.is_overdue(ctx.now) {
            return Outcome::Quiet;
        }
        let wait = ctx.settings.grant_wait.as_secs();
        self.give_up(format!("grant: the peer did not call back within {wait} s"), ctx)
    }

    //= https-token, "Grant a token request", MUST 1: 204 when the request is valid
    //= https-token, "Grant a token request", MUST 2: an error when it is not
    /// Judges a grant: `Ok(Some(..))` is to be kept and then answered with 204, `Ok(None)` is a repeat. `same_host` says
    /// whether it is of the host that was asked; `keeping` are the grants on their way to the disk.
    pub(super) fn judge_grant<'a>(
        &self,
        call: CallId,
        bearer: &Digest,
        offer: &TokenOffer,
        same_host: bool,
        keeping: impl Iterator<Item = &'a RepeatRecord>,
        now: Now,
    ) -> Result<Option<Change>, Refusal> {
        let judged = self.exchange.judge(bearer, offer, same_host, keeping, now)?;
        Ok(judged.map(|judged| judged.into_change(call, offered(offer, now))))
    }

    /// A change is on disk: the tokens may be used.
    pub(super) fn on_kept(&mut self, change: &Change, ctx: &mut Context<'_>) {
        match change {
            Change::Granted { held, repeat, .. } => {
                self.exchange.on_granted(repeat);
                self.take(held, ctx);
            }
            Change::Taken { held, .. } => self.take(held, ctx),
            Change::Renewed { old, held } => {
                self.renewal = Renewal::Idle;
                self.refresh_wanted = false;
                self.held.renew(old, held, ctx.now, ctx.dice);
                ctx.note(Fact::RefreshDone);
            }
        }
    }

    /// A change could not be kept: as if what brought it had not come.
    pub(super) fn on_not_kept(&mut self, change: &Change, ctx: &mut Context<'_>) {
        if matches!(change, Change::Renewed { .. }) && matches!(self.renewal, Renewal::Keeping { .. }) {
            self.renewal.rest(ctx);
        }
    }

    /// New tokens came, or did not.
    pub(super) fn on_refreshed(
        &mut self,
        reply: Result<RefreshReply, Refused>,
        ctx: &mut Context<'_>,
    ) -> (Option<Change>, Outcome) {
        let Renewal::Running { old, tries } = self.renewal else {
            self.renewal.end_abandoned();
            return (None, Outcome::Quiet);
        };
        match reply {
            Ok(reply) => {
                self.renewal = Renewal::Keeping { tries };
                let held = held::record(reply.token, reply.refresh, reply.lifetime, ctx.now);
                (Some(Change::Renewed { old, held }), Outcome::Quiet)
            }
            Err(Refused { again: true, reason }) => (None, self.on_refresh_failed(&old, reason, ctx)),
            Err(Refused { again: false, reason }) => {
                self.on_refresh_refused(&old, reason, ctx);
                (None, Outcome::Quiet)
            }
        }
    }

    fn on_refresh_failed(&mut self, old: &Digest, reason: String, ctx: &mut Context<'_>) -> Outcome {
        self.renewal.rest(ctx);
        ctx.note(Fact::RefreshFailed(reason.clone()));
        if self.current(ctx.now).is_some() {
            return Outcome::Quiet;
        }
        if self.renewal.tries() >= REFRESH_TRIES {
            // A refresh path that only fails must not hold the mail for ever: exchange anew.
            self.held.spend(old);
            self.renewal = Renewal::Idle;
        }
        Outcome::Failed(format!("refresh: {reason}"))
    }

    //= https-token, "Refreshing": anything else: refused, we request anew, and queued messages stay queued
    fn on_refresh_refused(&mut self, old: &Digest, reason: String, ctx: &mut Context<'_>) {
        self.renewal = Renewal::Idle;
        self.held.spend(old);
        if self.held.renewable().is_none() {
            self.cure = Cure::Exchanged;
            self.connect_wanted = !self.is_asking();
        }
        ctx.note(Fact::RefreshRefused(reason));
    }

    /// A packet sent with this token was answered with 204. Whether the held tokens changed.
    pub(super) fn on_confirmed(&mut self, token: &Digest) -> bool {
        self.cure = Cure::None;
        self.held.confirm(token)
    }

    //= https-token, "Sending": 401: the current token, else refresh once, exchange once, back off
    /// A packet sent with this token was answered with 401.
    pub(super) fn on_401(&mut self, token: &Digest, now: Now) -> After401 {
        let shown_is_current = self.current(now).is_some_and(|current| current.digest() == *token);
        self.held.reject(token);
        if self.current(now).is_some() {
            if shown_is_current {
                // The newest one never worked: the one before it is the current one from here.
                self.held.drop_rejected();
            }
            return After401::SendAgain;
        }
        match self.cure {
            Cure::None if self.held.renewable().is_some() => {
                self.cure = Cure::Refreshed;
                self.refresh_wanted = !self.renewal.is_under_way();
                After401::Wait
            }
            Cure::None | Cure::Refreshed => {
                self.cure = Cure::Exchanged;
                self.drop_held();
                self.connect_wanted = !self.is_asking();
                After401::Wait
            }
            // An older token: the exchange that cures it has not come to its end yet.
            Cure::Exchanged if self.connect_wanted || self.is_asking() => {
                self.drop_held();
                After401::Wait
            }
            // The cure stays where it is: after the back-off one more exchange is the probe.
            Cure::Exchanged => {
                self.drop_held();
                After401::Failed
            }
        }
    }

    /// The peer gave a sign of life while the link rested: what waits to be tried again is tried now.
    pub(super) fn hurry(&mut self, now: Now) {
        self.renewal.hurry(now);
    }

    /// Forgets everything that was exchanged.
    pub(super) fn forget(&mut self) {
        self.held.clear();
        self.exchange.forget();
        self.renewal.forget();
        self.cure = Cure::None;
        self.connect_wanted = false;
        self.refresh_wanted = false;
    }

    fn drop_held(&mut self) {
        self.held.clear();
        self.renewal.supersede();
        self.refresh_wanted = false;
    }

    fn renew(&mut self, ctx: &mut Context<'_>) {
        let Some(held) = self.held.renewable() else { return };
        let (old, refresh) = (held.record.token.digest(), held.record.refresh.clone());
        self.refresh_wanted = false;
        self.renewal = Renewal::Running { old, tries: self.renewal.tries() };
        self.started = Some(ctx.now.mono);
        ctx.out.push_back(Action::Refresh(refresh));
    }

    fn ask(&mut self, ctx: &mut Context<'_>) {
        self.connect_wanted = false;
        self.started = Some(ctx.now.mono);
        let pair = self.exchange.begin(ctx);
        ctx.note(Fact::AskStarted);
        ctx.out.push_back(Action::Ask(pair));
    }

    fn give_up(&mut self, reason: String, ctx: &mut Context<'_>) -> Outcome {
        self.exchange.give_up();
        ctx.note(Fact::AskFailed(reason.clone()));
        if self.current(ctx.now).is_some() { Outcome::Quiet } else { Outcome::Failed(reason) }
    }

    fn take(&mut self, record: &HeldRecord, ctx: &mut Context<'_>) {
        if self.held.take(record, ctx.now, ctx.dice) {
            self.renewal.supersede();
        }
    }
}

fn offered(offer: &TokenOffer, now: Now) -> HeldRecord {
    held::record(offer.token.clone(), offer.refresh.clone(), offer.lifetime, now)
}

/// What the peer's tokens become when it took our grant.
pub(super) fn taken(offer: &TokenOffer, family: u64, pair: NewPair, now: Now) -> Change {
    Change::Taken { held: offered(offer, now), family, pair }
}
