//! The tokens that a peer gave us, and how we come by new ones.
//!
//! ```text
//!   exchange   Idle --ask--> LookingUp --found--> Asked --grant kept--> Idle   one at a time; its grant is taken 5 min long
//!                              |                    | grant-wait over, 404, 405, not reached
//!                              +--------------------+--> Idle (failed, backed off by the link)
//!   renewal    Idle --3/4 of the lifetime, 401, wanted--> Running --new tokens kept--> Idle
//!                                                           | no answer, 429, 5xx      | refused: exchange anew
//!                                                           +--> Resting --> Running   +--> Idle
//! ```
//!
//! What R3 brought has no refresh token: it is renewed by an exchange at the same moment, and packets go on meanwhile.
//!
//! On 401 the node falls back to the token before the newest, then refreshes once, then exchanges once, then the link
//! has failed; only a 204 begins that anew. What is due next, and when, is decided in one place (`next`): what `drive`
//! starts and what `wake_at` waits for cannot differ.
//! Source: `https-token`, "Refreshing", "Sending", "Being granted".

use std::time::Duration;

use super::{
    context::Context,
    dice::Dice,
    event::{Action, CallId, Change, Fact, GrantKey, Granted},
};
use crate::{
    token::{family::NewPair, fault::fault},
    wire::{
        exchange::TokenOffer,
        host::PeerHost,
        limits::EXCHANGE_PACE,
        parameters::{Form, Revision},
        record::{HeldRecord, RepeatRecord},
        refusal::Refusal,
        secret::{Digest, HeldToken},
        time::{Mono, Now, Wall},
    },
};

mod cure;
mod exchange;
mod held;
mod outcome;
mod refreshed;
mod renewal;

use cure::Cure;
use exchange::{Exchange, LookedUp};
use held::{Held, HeldTokens};
pub(super) use outcome::{After401, Outcome, Refused, Unreached};
use renewal::Renewal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Ask,
    Renew,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

    pub(super) fn asks(&self) -> impl Iterator<Item = GrantKey> + '_ {
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

    /// Whether a token that the peer surely gave still lives.
    pub(super) fn has_sure(&self, now: Now) -> bool {
        self.held.has_sure(now)
    }

    /// Whether a token of the peer's opened its packet path.
    pub(super) fn is_confirmed(&self) -> bool {
        self.held.has_confirmed()
    }

    /// A packet sent with this token was answered with 403: whether one that works takes its place.
    pub(super) fn on_403(&mut self, token: &Digest, now: Now) -> bool {
        let back = self.held.steps_back(token, now);
        if back {
            self.renewal.supersede();
        }
        back
    }

    /// Forgets tokens that nobody will show or refresh any more. Whether there were any.
    pub(super) fn forget_old(&mut self, now: Now, refresh_lifetime: Duration) -> bool {
        self.held.sweep(now, refresh_lifetime)
    }

    /// The revision by which the newest token came.
    pub(super) fn held_revision(&self) -> Option<Revision> {
        self.held.newest().map(|held| held.record.revision())
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
        self.refresh_wanted = self.held.is_refreshable();
        if !self.refresh_wanted {
            let reason = match self.held_revision() {
                Some(Revision::R3) => "with R3 there is no refresh: an exchange brings a new token",
                Some(Revision::R1 | Revision::R2) | None => {
                    "no token of this peer is held that could be refreshed"
                }
            };
            ctx.note(Fact::RefreshRefused(reason.to_owned()));
        }
    }

    /// Starts what is due. `mail` says that something waits to be sent, `lively` that something was sent in the last day.
    pub(super) fn drive(&mut self, mail: bool, lively: bool, ctx: &mut Context<'_>) {
        self.exchange.sweep(ctx.now);
        match self.next(mail, lively, ctx.now) {
            Some((Step::Ask, at)) if at <= ctx.now.mono => self.look_up(ctx),
            Some((Step::Renew, at)) if at <= ctx.now.mono => self.renew(ctx),
            Some(_) | None => {}
        }
    }

    /// The next moment at which there is something to do without an event.
    pub(super) fn wake_at(&self, mail: bool, lively: bool, now: Now) -> Option<Mono> {
        let next = self.next(mail, lively, now).map(|(_, at)| at);
        self.exchange.wake_at().into_iter().chain(next).min()
    }

    //= HT-SEND-11: one in 2 s
    fn next(&self, mail: bool, lively: bool, now: Now) -> Option<(Step, Mono)> {
        let (step, at) = self.due(mail, lively, now)?;
        let paced = self.started.filter(|_| !fault!(NoPause));
        Some((step, paced.map_or(at, |started| at.max(started.plus(EXCHANGE_PACE)))))
    }

    fn due(&self, mail: bool, lively: bool, now: Now) -> Option<(Step, Mono)> {
        let lacking = mail && self.held.current(now).is_none();
        if self.connect_wanted && self.exchange.is_free() {
            return Some((Step::Ask, now.mono));
        }
        //= HT-REV-18: R3: requested anew
        let step = if self.held.is_refreshable() { Step::Renew } else { Step::Ask };
        if step == Step::Ask && !self.exchange.is_free() {
            return None;
        }
        let at = match self.renewal {
            //= HT-REF-15: once at a time
            Renewal::Running { .. } | Renewal::Keeping { .. } | Renewal::Abandoned => None,
            Renewal::Idle | Renewal::Resting { .. } if self.refresh_wanted => Some(now.mono),
            // With nothing left to send with, a renewal that rests would hold the mail; the link's own rest is the pause. What
            // the peer asked for is waited out.
            Renewal::Idle if lacking => Some(now.mono),
            Renewal::Resting { rest, .. } if lacking && rest.may_be_cut => Some(now.mono),
            Renewal::Resting { rest, .. } => (mail || lively).then_some(rest.until),
            //= HT-REF-16: when there is mail
            Renewal::Idle => {
                let newest = self.held.newest().filter(|_| mail || lively)?;
                Some(now.mono.plus(newest.renew_at.since(now.wall)))
            }
        };
        at.map(|at| (step, at))
    }

    /// How the peer is spoken to was looked up; `Err` is why it is not known. `changed`: it is otherwise than before.
    pub(super) fn on_found(
        &mut self,
        found: Result<Form, String>,
        changed: bool,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        let form = found.as_ref().ok().copied();
        match (self.exchange.on_found(found.err(), changed), form) {
            //= HT-REV-01: as the peer's parameters say
            (LookedUp::Go, Some(form)) => {
                let request = self.exchange.begin(form, ctx);
                self.started = Some(ctx.now.mono);
                ctx.out.push_back(Action::Ask(request));
                Outcome::Quiet
            }
            (LookedUp::Again, _) => {
                self.connect_wanted = true;
                Outcome::Quiet
            }
            (LookedUp::Failed(reason), _) => self.give_up(reason, ctx),
            (LookedUp::Nothing | LookedUp::Go, _) => Outcome::Quiet,
        }
    }

    /// Our request was answered: decides nothing, except where it cannot have reached the peer's grant code.
    pub(super) fn on_asked(&mut self, failure: Option<Unreached>, ctx: &mut Context<'_>) -> Outcome {
        match (self.exchange.on_answered(), failure) {
            (true, Some(Unreached::Away(reason))) => self.give_up(reason, ctx),
            (true, Some(Unreached::Gone(reason))) => {
                self.exchange.look_up_anew(reason);
                ctx.out.push_back(Action::LookUp);
                Outcome::Quiet
            }
            (true, None) | (false, _) => Outcome::Quiet,
        }
    }

    /// The grant may not have come in time.
    pub(super) fn on_woken(&mut self, ctx: &mut Context<'_>) -> Outcome {
        //= HT-GRANT-15: failed after grant-wait
        if !self.exchange.is_overdue(ctx.now) {
            return Outcome::Quiet;
        }
        let wait = ctx.settings.grant_wait.as_secs();
        self.give_up(format!("grant: the peer did not call back within {wait} s"), ctx)
    }

    //= SEED-GRANT-1, SEED-GRANT-2: 204 when it is valid; an error when it is not
    //= HT-GRANT-12: judging changes nothing
    /// Judges a grant: `Ok(Some(..))` is to be kept and then answered with 204, `Ok(None)` is a repeat. `asked` is the host
    /// that was asked; `keeping` are the grants on their way to the disk.
    pub(super) fn judge_grant<'a>(
        &self,
        call: CallId,
        grant: &Granted,
        asked: &PeerHost,
        keeping: impl Iterator<Item = &'a RepeatRecord>,
        now: Now,
    ) -> Result<Option<Change>, Refusal> {
        let judged = self.exchange.judge(grant, asked, keeping, now)?;
        Ok(judged.map(|judged| judged.into_change(call)))
    }

    //= SEED-GRANT-3: the tokens may be used
    /// A change is on disk: the tokens may be used.
    pub(super) fn on_kept(&mut self, change: &Change, ctx: &mut Context<'_>) {
        match change {
            Change::Granted { held, repeat, .. } => {
                self.exchange.on_granted(repeat);
                self.take(held, ctx);
            }
            Change::Taken { held: Some(held), .. } => self.take(held, ctx),
            Change::Taken { held: None, .. } => {}
            Change::Renewed { old, held } => {
                self.renewal = Renewal::Idle;
                self.refresh_wanted = false;
                self.held.renew(old, held, ctx);
                ctx.note(Fact::RefreshDone);
            }
        }
    }

    /// A change could not be kept: as if what brought it had not come.
    pub(super) fn on_not_kept(&mut self, change: &Change, ctx: &mut Context<'_>) {
        //= HT-CRASH-04: repeated with the old token
        if matches!(change, Change::Renewed { .. }) && matches!(self.renewal, Renewal::Keeping { .. }) {
            self.renewal.rest(None, ctx);
        }
    }

    /// The peer gave a sign of life while the link rested: what waits to be tried again is tried now.
    pub(super) fn hurry(&mut self, now: Now) {
        self.renewal.hurry(now);
    }

    /// An operator wants now what waits to be tried again.
    pub(super) fn retry(&mut self, now: Now) {
        self.renewal.end_rest(now);
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
        let Some(held) = self.held.newest() else { return };
        let Some(refresh) = held.refresh().cloned() else { return };
        let old = held.record.token.digest();
        self.refresh_wanted = false;
        self.renewal = Renewal::Running { old, tries: self.renewal.tries() };
        self.started = Some(ctx.now.mono);
        ctx.out.push_back(Action::Refresh(refresh));
    }

    fn look_up(&mut self, ctx: &mut Context<'_>) {
        self.connect_wanted = false;
        self.refresh_wanted &= self.held.is_refreshable();
        self.started = Some(ctx.now.mono);
        self.exchange.look_up();
        ctx.note(Fact::AskStarted);
        ctx.out.push_back(Action::LookUp);
    }

    fn give_up(&mut self, reason: String, ctx: &mut Context<'_>) -> Outcome {
        self.exchange.give_up();
        ctx.note(Fact::AskFailed(reason.clone()));
        let due = |newest: &Held| newest.refresh().is_none() && newest.renew_at <= ctx.now.wall;
        if self.held.newest().is_some_and(due) && !self.renewal.is_under_way() {
            // It was to bring what follows this token: tried again later, also while that one lives.
            self.renewal.rest(None, ctx);
        }
        if self.current(ctx.now).is_some() { Outcome::Quiet } else { Outcome::Failed(reason) }
    }

    fn take(&mut self, record: &HeldRecord, ctx: &mut Context<'_>) {
        if self.held.take(record, ctx) {
            self.renewal.supersede();
        }
        // What was wanted of the pair before this token is no exchange.
        self.refresh_wanted &= self.held.is_refreshable();
    }
}

/// What the peer's tokens become when it took our grant. `likely`: it asked from an address that is likely its own.
pub(super) fn taken(
    offer: Option<&TokenOffer>,
    likely: bool,
    family: u64,
    pair: NewPair,
    now: Now,
) -> Change {
    Change::Taken { held: offer.map(|offer| held::offered(offer, likely, now)), family, pair }
}
