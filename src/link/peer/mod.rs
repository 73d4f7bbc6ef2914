//! One federated host: the tokens in both directions and its mail.
//!
//! Routes events to `asking` and `sending`, owns what they share: the families that we issued, the link's history, the
//! rest after a failure, and the changes on their way to the disk. A change is applied when it is on disk, one at a
//! time, so that what is written never lacks what was written before; while one is on its way nothing else of the link
//! is written.
//!
//! `keeping`: changes on their way to the disk. `history`: failures, successes, rests. `finding`: how the peer is spoken to.
//! `record`: the machine as it is stored. `look`: what operators and other machines are shown.

use std::{collections::VecDeque, sync::Arc};

use super::{
    asking::{After401, Asking, Outcome, Refused, taken},
    context::Context,
    dice::Dice,
    event::{Action, CallId, Change, Event, Fact, GrantKey, Granted},
    health::{Health, Rest},
    sending::{Sending, Sent},
    settings::Settings,
    verdict,
};
use crate::{
    token::{
        families::Families,
        family::{Door, Family, Subject},
    },
    wire::{
        answer::{Refreshed, Reply},
        host::PeerHost,
        parameters::Found,
        path::UrlPath,
        record::{RepeatRecord, VaultWrite},
        secret::Digest,
        time::{Mono, Now},
    },
};

mod finding;
mod history;
mod keeping;
mod look;
mod record;

use finding::Seeking;
pub use look::{Look, Standing};
#[cfg(test)]
mod tests;

/// The machine.
#[derive(Clone, Debug)]
pub struct Peer {
    host: PeerHost,
    settings: Arc<Settings>,
    asking: Asking,
    sending: Sending,
    health: Health,
    families: Families,
    /// How the peer is spoken to, as far as is known; after a start, of most links nothing is until there is mail.
    found: Option<Box<Found>>,
    /// It is looked up how the peer is spoken to before anything more is sent, and why.
    seeking: Option<Seeking>,
    /// Under which path the last packet was sent.
    sent_under: Option<UrlPath>,
    /// An operator wants nothing sent.
    paused: bool,
    rest: Option<Rest>,
    /// The next try was brought forward by a sign of life.
    cut: bool,
    /// Changes on their way to the disk; the first is handed over.
    keeping: VecDeque<Change>,
    /// The link was forgotten after the first of them was handed over: it is not applied.
    forgotten: bool,
    /// Families that made room for what the first of them opens.
    outed: Vec<u64>,
    /// Failures of our own store without a success between.
    stumbles: u32,
    /// The record on disk lacks something worth writing.
    dirty: bool,
    /// It is to be written as soon as nothing else is on its way.
    save: bool,
    out: VecDeque<Action>,
}

impl Peer {
    /// A peer of which nothing is known.
    #[must_use]
    pub fn new(host: PeerHost, settings: Arc<Settings>, dice: &mut dyn Dice) -> Self {
        let families = Families::new(Subject::Peer(host.clone()));
        Self {
            host,
            settings,
            asking: Asking::new(Vec::new(), Vec::new(), dice),
            sending: Sending::new(),
            health: Health::default(),
            families,
            found: None,
            seeking: None,
            sent_under: None,
            paused: false,
            rest: None,
            cut: false,
            keeping: VecDeque::new(),
            forgotten: false,
            outed: Vec::new(),
            stumbles: 0,
            dirty: false,
            save: false,
            out: VecDeque::new(),
        }
    }

    /// Takes other settings. What has begun under the old ones (an ask, a rest) ends as it began.
    pub fn renew(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
    }

    /// Which host.
    #[must_use]
    pub fn host(&self) -> &PeerHost {
        &self.host
    }

    /// The families that we issued to it.
    #[must_use]
    pub fn families(&self) -> &Families {
        &self.families
    }

    /// Forgets what is over of the tokens that the peer gave.
    pub fn forget_old(&mut self, now: Now) {
        let lifetime = self.settings.refresh_lifetime;
        self.dirty |= self.asking.forget_old(now, lifetime);
    }

    /// For the two operations on tokens that callers make themselves: admit and rotate.
    pub fn families_mut(&mut self) -> &mut Families {
        &mut self.families
    }

    /// The link's history.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// What a grant of this peer is recognised by: asks, and grants that may come again.
    pub fn grant_keys(&self) -> impl Iterator<Item = GrantKey> + '_ {
        self.asking.asks().chain(self.asking.repeats().iter().map(RepeatRecord::key))
    }

    /// Rises whenever `grant_keys` may have changed.
    #[must_use]
    pub fn asks_version(&self) -> u64 {
        self.asking.version()
    }

    /// Whether it knows of mail that waits.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.sending.has_mail()
    }

    /// One event. Then all `actions`, then wait.
    pub fn handle(&mut self, event: Event, now: Now, dice: &mut dyn Dice) {
        let settings = Arc::clone(&self.settings);
        let mut out = std::mem::take(&mut self.out);
        let bounds = self.bounds();
        let mut ctx = Context { now, dice, settings: &settings, bounds, out: &mut out };
        self.apply(event, &mut ctx);
        ctx.bounds = self.bounds();
        self.drive(&mut ctx);
        if self.save && self.keeping.is_empty() {
            self.save = false;
            ctx.out.push_back(Action::Save);
        }
        self.out = out;
    }

    /// What is to be done, in this order.
    pub fn actions(&mut self) -> impl Iterator<Item = Action> + use<> {
        std::mem::take(&mut self.out).into_iter()
    }

    /// When `Event::Woken` is due.
    #[must_use]
    pub fn wake_at(&self, now: Now) -> Option<Mono> {
        let waits = self.sending.has_mail() && !self.paused;
        let rest = self.rest.filter(|_| waits).map(|rest| rest.until);
        let mail = self.sending.has_mail() && self.is_awake();
        let asking = self.asking.wake_at(mail, self.is_lively(now), now);
        rest.into_iter().chain(asking).min()
    }

    /// Whether the record on disk lacks something that may be written now; clears the mark.
    pub fn take_dirty(&mut self) -> bool {
        self.keeping.is_empty() && std::mem::take(&mut self.dirty)
    }

    /// Whether changes are on their way to the disk: until they are there, or not, the record is written with them alone.
    #[must_use]
    pub fn is_keeping(&self) -> bool {
        !self.keeping.is_empty()
    }

    fn apply(&mut self, event: Event, ctx: &mut Context<'_>) {
        match event {
            Event::MailQueued => self.sending.on_queued(),
            Event::MailLoaded(mail) => self.sending.on_loaded(mail),
            Event::MailNotLoaded(reason) => {
                if self.sending.on_not_loaded() {
                    self.stumble(&reason, ctx);
                }
            }
            Event::MailExpired(seqs) => self.sending.on_expired(&seqs, &self.health, ctx),
            Event::MailPurged(seqs, reason) => self.sending.on_purged(&seqs, &reason, ctx),
            Event::Sent(reply) => self.on_sent(&reply, ctx),
            Event::Settled => {
                self.stumbles = 0;
                self.sending.on_settled();
            }
            Event::NotSettled => {
                self.sending.on_not_settled();
                self.stumble("the store could not settle", ctx);
            }
            Event::Asked(reply) => {
                // A grant that is being kept proves that the request arrived, whatever its call came to.
                let granted = self.keeping.iter().any(|change| matches!(change, Change::Granted { .. }));
                let outcome = self.asking.on_asked(finding::unreached(&reply).filter(|_| !granted), ctx);
                self.on_outcome(outcome, ctx);
            }
            Event::Found(found) => self.on_found(found, ctx),
            Event::GrantArrived { call, grant } => self.on_grant(call, &grant, ctx),
            //= SEED-GRANT-4, HT-ASK-15: its tokens may be used; whatever we ask meanwhile
            Event::GrantTaken { family, pair, offer, likely } => {
                self.keep(taken(offer.as_ref(), likely, family, pair, ctx.now), ctx);
            }
            Event::Refreshed(reply) => self.on_refreshed(reply, ctx),
            Event::Kept => self.on_kept(ctx),
            Event::NotKept => self.on_not_kept(ctx),
            Event::Heard => self.on_heard(ctx),
            Event::ConnectWanted => self.asking.want_connect(),
            Event::RefreshWanted => self.asking.want_refresh(ctx),
            Event::RetryWanted => self.on_retry(ctx),
            Event::PauseWanted(pause) => self.on_pause(pause),
            Event::Woken => {
                let outcome = self.asking.on_woken(ctx);
                self.on_outcome(outcome, ctx);
            }
        }
    }

    fn drive(&mut self, ctx: &mut Context<'_>) {
        if self.rest.is_some_and(|rest| ctx.now.mono >= rest.until) {
            self.rest = None;
        }
        let awake = self.is_awake();
        if awake {
            let token = self.asking.current(ctx.now).cloned();
            let token = token.filter(|_| !self.seeks_first(ctx));
            self.sending.drive(token.as_ref(), &self.health, ctx);
            self.note_sent(ctx);
        }
        let mail = self.is_awake() && self.sending.has_mail();
        self.asking.drive(mail, self.is_lively(ctx.now), ctx);
    }

    /// Whether mail may be sent now.
    fn is_awake(&self) -> bool {
        self.rest.is_none() && self.seeking.is_none() && !self.paused
    }

    /// Whether tokens are kept fresh without mail.
    fn is_lively(&self, now: Now) -> bool {
        !self.paused && self.sending.is_lively(now)
    }

    fn on_sent(&mut self, reply: &Reply, ctx: &mut Context<'_>) {
        let condemned = self.sending.condemned;
        let sent = self.sending.on_sent(reply, ctx);
        self.dirty |= condemned != self.sending.condemned;
        match sent {
            Sent::Delivered(token) => {
                if self.asking.on_confirmed(&token) {
                    self.dirty = true;
                }
                self.succeed(ctx);
            }
            Sent::Nothing => {}
            Sent::Judged(reason) => {
                self.health.note(&format!("packet: {reason}"), ctx.now);
                ctx.note(Fact::PacketFailed(reason));
            }
            Sent::Unauthorized(token) => {
                let reason = verdict::describe(reply);
                ctx.note(Fact::TokenRefused(reason.clone()));
                self.dirty = true;
                match self.asking.on_401(&token, ctx.now) {
                    After401::SendAgain | After401::Wait => {
                        self.health.note(&format!("packet: {reason}"), ctx.now);
                    }
                    After401::Failed => {
                        self.fail(&format!("packet: {reason}, also with fresh tokens"), None, ctx);
                    }
                }
            }
            Sent::Pause(wait, reason) => {
                ctx.note(Fact::PacketFailed(reason.clone()));
                self.fail(&format!("packet: {reason}"), wait, ctx);
            }
            Sent::Elsewhere { reason, page } => self.on_gone(reason, page, ctx),
            Sent::Forbidden { token, reason } if self.asking.on_403(&token, ctx.now) => {
                self.health.note(&format!("packet: {reason}"), ctx.now);
                self.dirty = true;
                ctx.note(Fact::PacketFailed(reason));
            }
            Sent::Forbidden { reason, .. } | Sent::Refused(reason) => self.refuse(&reason, ctx),
            Sent::Failed(reason) => {
                ctx.note(Fact::PacketFailed(reason.clone()));
                self.fail(&format!("packet: {reason}"), None, ctx);
            }
        }
    }

    fn on_outcome(&mut self, outcome: Outcome, ctx: &mut Context<'_>) {
        match outcome {
            Outcome::Quiet => {}
            Outcome::Failed(reason) => self.fail(&reason, None, ctx),
        }
    }

    fn on_grant(&mut self, call: CallId, grant: &Granted, ctx: &mut Context<'_>) {
        let keeping = self.keeping.iter().filter_map(|change| match change {
            Change::Granted { repeat, .. } => Some(repeat),
            Change::Taken { .. } | Change::Renewed { .. } => None,
        });
        let verdict = self.asking.judge_grant(call, grant, &self.host, keeping, ctx.now);
        match verdict {
            Ok(Some(change)) => self.keep(change, ctx),
            Ok(None) => {
                ctx.note(Fact::GrantRepeated);
                ctx.out.push_back(Action::AnswerGrant { call, verdict: Some(Ok(())) });
            }
            Err(refusal) => ctx.out.push_back(Action::AnswerGrant { call, verdict: Some(Err(refusal)) }),
        }
    }

    fn on_refreshed(&mut self, reply: Refreshed, ctx: &mut Context<'_>) {
        let reply = match reply {
            Refreshed::Fresh(reply) => Ok(reply),
            //= HT-SEND-17: waited for
            Refreshed::Answered(answer) => Err(Refused {
                again: verdict::refresh_again(&answer),
                asked: answer.wait(),
                reason: answer.describe(),
            }),
            Refreshed::Failed(error) => Err(Refused { again: true, asked: None, reason: error.to_string() }),
            Refreshed::Unspoken => {
                let reason = "the peer has no refresh path any more".to_owned();
                Err(Refused { again: false, asked: None, reason })
            }
        };
        let (change, outcome) = self.asking.on_refreshed(reply, ctx);
        if let Some(change) = change {
            self.keep(change, ctx);
        }
        self.on_outcome(outcome, ctx);
    }
}

/// Changed families as writes.
#[must_use]
pub fn family_writes(families: &Families, changes: crate::token::families::Changes) -> Vec<VaultWrite> {
    let dropped = changes
        .dropped
        .into_iter()
        .map(|id| VaultWrite::DropFamily { subject: families.subject().to_text(), id });
    dropped.chain(changes.put.into_iter().map(|record| VaultWrite::PutFamily(Box::new(record)))).collect()
}

/// Every digest that opens a door of this peer's, for the shell's index.
pub fn issued(families: &Families) -> impl Iterator<Item = (Door, Digest)> + '_ {
    families.iter().flat_map(Family::digests)
}

#[cfg(test)]
impl Peer {
    /// In a line, for the pinned tables.
    pub(crate) fn state(&self, now: Now) -> String {
        let rest = self.rest.map(|rest| if rest.may_be_cut { ", rests" } else { ", rests whatever comes" });
        let rest = if self.paused { Some(", paused") } else { rest };
        let keeping = if self.keeping.is_empty() { "" } else { ", keeping" };
        let (asking, sending) = (self.asking.state(now), self.sending.state());
        format!("{asking}; {sending}{keeping}{}", rest.unwrap_or_default())
    }
}
