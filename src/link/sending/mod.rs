//! The mail of one peer: first in, first sent, one packet in flight.
//!
//! ```text
//!   Idle --mail--> Loading --> Idle with a window --token--> InFlight --204--> settle, go on with the window
//!                                                              | 413, 400, 409, 422: halve, condemn what is at fault
//!                                                              | else: the link decides; the window stays as it is
//! ```
//!
//! A message at fault is found by halving: the first `suspects` messages of the window hold one. After 10 condemned with
//! no 204 between nothing more is condemned: the link counts as refused. Source: `https-token`, "Sending".

use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

use super::{
    context::{Bounds, Context},
    event::{Action, Fact},
    health::Health,
    verdict::{self, Verdict},
};
use crate::wire::{
    answer::Reply,
    limits::CONDEMNED_IN_A_ROW,
    packet::PACKET_FRAME_BYTES,
    record::{Mail, Seq},
    secret::{Digest, HeldToken},
    time::{Mono, Now},
};

mod fit;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    /// `stale`: what comes was read before the place to read from moved back, and is not looked at.
    Loading {
        stale: bool,
    },
    InFlight {
        count: usize,
        token: Digest,
    },
}

/// What an answered packet means for the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// 204 under this token.
    Delivered(Digest),
    /// 401 under this token.
    Unauthorized(Digest),
    /// Nothing was in flight.
    Nothing,
    /// A message was at fault and is dealt with, or the packet was too large: go on.
    Judged(String),
    /// The peer asks for a pause.
    Pause(Option<Duration>, String),
    /// The path is not there (any more); a page says that no YMP host answers there.
    Elsewhere {
        /// What was answered.
        reason: String,
        /// By a web server.
        page: bool,
    },
    /// The peer refuses what was sent under this token.
    Forbidden {
        /// Which.
        token: Digest,
        /// What was answered.
        reason: String,
    },
    /// The peer refuses the link.
    Refused(String),
    /// The peer did not take it for now.
    Failed(String),
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sending {
    phase: Phase,
    /// There may be mail behind `after`.
    more: bool,
    after: Seq,
    /// What is on its way to the disk as settled. The outbox is not read from its start before it is there, so that nothing is sent
    /// twice for it; nor is any of it set aside once more.
    settling: VecDeque<Box<[Seq]>>,
    window: VecDeque<Mail>,
    /// The first so many of the window hold one that is at fault.
    suspects: usize,
    /// Since the last 204; survives a restart.
    pub(super) condemned: u32,
    /// After a failure one message goes first, then the flow grows again.
    ramp: usize,
    /// What a 413 taught, and how long it is believed.
    cap: Option<(usize, Mono)>,
    /// When something was last delivered.
    delivered: Option<Mono>,
}

const RAMP_GROWTH: usize = 32;
/// How long the size that a 413 taught is believed.
const CAP_TIME: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Sending {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Idle,
            more: false,
            after: Seq(0),
            settling: VecDeque::new(),
            window: VecDeque::new(),
            suspects: 0,
            condemned: 0,
            ramp: usize::MAX,
            cap: None,
            delivered: None,
        }
    }

    /// Whether mail waits, as far as is known here.
    pub(super) fn has_mail(&self) -> bool {
        self.more || !self.window.is_empty()
    }

    /// The token of the packet that is in flight.
    pub(super) fn token_in_flight(&self) -> Option<Digest> {
        match self.phase {
            Phase::InFlight { token, .. } => Some(token),
            Phase::Idle | Phase::Loading { .. } => None,
        }
    }

    /// Whether the next message is larger than the peer says that it takes.
    pub(super) fn is_stuck(&self, bounds: Bounds) -> bool {
        self.phase == Phase::Idle && self.oversize(bounds).is_some()
    }

    /// Whether something was sent in the last day.
    pub(super) fn is_lively(&self, now: Now) -> bool {
        self.delivered.is_some_and(|at| now.mono.since(at) < DAY)
    }

    pub(super) fn on_queued(&mut self) {
        self.more = true;
    }

    pub(super) fn on_loaded(&mut self, mail: Vec<Mail>) {
        let Phase::Loading { stale } = self.phase else { return };
        self.phase = Phase::Idle;
        if stale {
            self.more = true;
            return;
        }
        if let Some(last) = mail.last() {
            self.after = last.seq;
            self.more = true;
        }
        //= HT-SEND-04: in their order
        self.window.extend(mail);
    }

    /// Whether a read was under way.
    pub(super) fn on_not_loaded(&mut self) -> bool {
        let reading = self.is_reading();
        if reading {
            self.phase = Phase::Idle;
            self.more = true;
        }
        reading
    }

    fn is_reading(&self) -> bool {
        matches!(self.phase, Phase::Loading { .. })
    }

    pub(super) fn on_settled(&mut self) {
        self.settling.pop_front();
    }

    /// Settling failed: what was settled is still in the outbox and is read again.
    pub(super) fn on_not_settled(&mut self) {
        self.settling.pop_front();
        self.suspects = 0;
        self.window.truncate(self.in_flight());
        self.read_anew();
    }

    /// The link rests: one message goes first when it is over. What waits is not held in memory meanwhile.
    pub(super) fn rest(&mut self) {
        self.ramp = 1;
        if self.is_reading() || (self.phase == Phase::Idle && !self.window.is_empty()) {
            self.window.clear();
            self.read_anew();
        }
    }

    fn read_anew(&mut self) {
        self.after = Seq(0);
        self.more = true;
        if let Phase::Loading { stale } = &mut self.phase {
            *stale = true;
        }
    }

    /// Time to live is over for these; those in flight are looked at when their packet is answered.
    pub(super) fn on_expired(&mut self, seqs: &[Seq], health: &Health, ctx: &mut Context<'_>) {
        // Mostly it is why they had not left before.
        let failed = health.failed.as_ref().filter(|_| health.failures > 0);
        let why = failed.map(|failed| format!("; the link last failed with: {}", failed.reason));
        self.set_aside(seqs, &format!("{EXPIRED}{}", why.unwrap_or_default()), ctx);
    }

    /// An operator sets these aside. What is read from here on is read when they are: it may be among them, and nobody would see
    /// it there.
    pub(super) fn on_purged(&mut self, seqs: &[Seq], reason: &str, ctx: &mut Context<'_>) {
        if self.is_reading() || self.after > Seq(0) {
            self.read_anew();
        }
        self.set_aside(seqs, reason, ctx);
    }

    /// But for those in flight, and those that are being settled already.
    fn set_aside(&mut self, seqs: &[Seq], reason: &str, ctx: &mut Context<'_>) {
        let in_flight = self.in_flight();
        let mut dead: HashSet<_> = seqs.iter().copied().collect();
        for mail in self.window.iter().take(in_flight) {
            dead.remove(&mail.seq);
        }
        let fewer = self.window.iter().take(self.suspects).filter(|mail| dead.contains(&mail.seq)).count();
        self.suspects -= fewer;
        self.window.retain(|mail| !dead.contains(&mail.seq));
        for seq in self.settling.iter().flatten() {
            dead.remove(seq);
        }
        let dead = seqs.iter().filter(|seq| dead.contains(seq));
        self.condemn(dead.map(|seq| (*seq, reason.to_owned())).collect(), ctx);
    }

    /// Starts what can be started: a look into the outbox, or, with a token, a packet.
    pub(super) fn drive(&mut self, token: Option<&HeldToken>, health: &Health, ctx: &mut Context<'_>) {
        //= HT-SEND-02: one in flight
        if self.phase != Phase::Idle {
            return;
        }
        self.drop_expired(health, ctx);
        if self.window.is_empty() {
            if self.more && (self.after > Seq(0) || self.settling.is_empty()) {
                self.more = false;
                self.phase = Phase::Loading { stale: false };
                ctx.out.push_back(Action::LoadMail {
                    after: self.after,
                    messages: ctx.bounds.messages,
                    bytes: ctx.bounds.bytes.saturating_sub(PACKET_FRAME_BYTES),
                });
            }
            return;
        }
        let Some(token) = token.filter(|_| self.oversize(ctx.bounds).is_none()) else { return };
        let count = self.next_count(ctx.bounds, ctx.now);
        let mail = self.window.iter().take(count).cloned().collect();
        self.phase = Phase::InFlight { count, token: token.digest() };
        ctx.out.push_back(Action::Send { token: token.clone(), mail });
    }

    /// The packet in flight was answered, or was not.
    pub(super) fn on_sent(&mut self, reply: &Reply, ctx: &mut Context<'_>) -> Sent {
        let Phase::InFlight { count, token } = self.phase else { return Sent::Nothing };
        self.phase = Phase::Idle;
        let reason = verdict::describe(reply);
        match verdict::of_packet(reply) {
            Verdict::Delivered => {
                self.on_delivered(count, ctx);
                Sent::Delivered(token)
            }
            Verdict::Unauthorized => Sent::Unauthorized(token),
            Verdict::TooLarge => self.on_too_large(count, reason, ctx),
            Verdict::Faulty(index) => self.on_faulty(count, index, reason, ctx),
            Verdict::Elsewhere => {
                Sent::Elsewhere { reason, page: reply.as_ref().is_ok_and(|answer| answer.page) }
            }
            Verdict::Forbidden => Sent::Forbidden { token, reason },
            Verdict::Refused => Sent::Refused(reason),
            Verdict::Later(wait) => Sent::Pause(wait, reason),
            Verdict::Transient => Sent::Failed(reason),
        }
    }

    fn on_delivered(&mut self, count: usize, ctx: &mut Context<'_>) {
        let delivered: Vec<_> =
            self.window.drain(..count.min(self.window.len())).map(|mail| mail.seq).collect();
        self.suspects = self.suspects.saturating_sub(count);
        self.condemned = 0;
        //= HT-SEND-24: the flow grows again
        self.ramp = self.ramp.saturating_mul(RAMP_GROWTH);
        self.delivered = Some(ctx.now.mono);
        ctx.note(Fact::PacketDelivered { messages: delivered.len() });
        self.settle(delivered, Vec::new(), ctx);
    }

    fn settle(&mut self, delivered: Vec<Seq>, dead: Vec<(Seq, String)>, ctx: &mut Context<'_>) {
        self.settling.push_back(delivered.iter().chain(dead.iter().map(|(seq, _)| seq)).copied().collect());
        ctx.out.push_back(Action::Settle { delivered, dead });
    }

    fn condemn(&mut self, dead: Vec<(Seq, String)>, ctx: &mut Context<'_>) {
        let Some((_, reason)) = dead.first() else { return };
        ctx.note(Fact::MailDead { messages: dead.len(), reason: reason.clone() });
        self.settle(Vec::new(), dead, ctx);
    }

    //= HT-SEND-12: halve; a single one is dead
    fn on_too_large(&mut self, count: usize, reason: String, ctx: &mut Context<'_>) -> Sent {
        if count > 1 {
            self.cap = Some((count / 2, ctx.now.mono.plus(CAP_TIME)));
            return Sent::Judged(reason);
        }
        // It was this one, not the number: the next packets need not be small for it.
        self.cap = None;
        self.condemn_at(0, reason, ctx)
    }

    //= HT-SEND-13: named, or found by halving
    fn on_faulty(
        &mut self,
        count: usize,
        index: Option<usize>,
        reason: String,
        ctx: &mut Context<'_>,
    ) -> Sent {
        match index {
            Some(place) if place < count => self.condemn_at(place, reason, ctx),
            _ if count == 1 => self.condemn_at(0, reason, ctx),
            _ => {
                self.suspects = count;
                Sent::Judged(reason)
            }
        }
    }

    fn condemn_at(&mut self, place: usize, reason: String, ctx: &mut Context<'_>) -> Sent {
        //= HT-SEND-14: 10 in a row
        if self.condemned >= CONDEMNED_IN_A_ROW {
            return Sent::Refused(format!("refuses message after message: {reason}"));
        }
        self.condemned += 1;
        self.suspects = 0;
        if let Some(mail) = self.window.remove(place) {
            self.condemn(vec![(mail.seq, reason.clone())], ctx);
        }
        Sent::Judged(reason)
    }

    fn next_count(&self, bounds: Bounds, now: Now) -> usize {
        let cap = self.cap.filter(|(_, until)| now.mono < *until).map_or(usize::MAX, |(cap, _)| cap);
        let suspects = if self.suspects > 0 { self.suspects.div_ceil(2) } else { usize::MAX };
        self.fitting(bounds).min(cap).min(suspects).min(self.ramp).max(1)
    }

    fn drop_expired(&mut self, health: &Health, ctx: &mut Context<'_>) {
        let over = self.window.iter().filter(|mail| mail.expires <= ctx.now.wall);
        let over: Vec<_> = over.map(|mail| mail.seq).collect();
        if !over.is_empty() {
            self.on_expired(&over, health, ctx);
        }
    }

    /// Messages of the packet that is under way.
    pub(super) fn in_flight(&self) -> usize {
        if let Phase::InFlight { count, .. } = self.phase { count } else { 0 }
    }
}

const EXPIRED: &str = "its time to live is over";

#[cfg(test)]
impl Sending {
    /// In a few words, for the pinned tables.
    pub(super) fn state(&self) -> String {
        let phase = match &self.phase {
            Phase::Idle => "idle".to_owned(),
            Phase::Loading { stale: false } => "reading".to_owned(),
            Phase::Loading { stale: true } => "reading in vain".to_owned(),
            Phase::InFlight { count, .. } => format!("{count} in flight"),
        };
        let suspects =
            if self.suspects > 0 { format!(", {} suspects", self.suspects) } else { String::new() };
        format!("{phase} of {}{}{suspects}", self.window.len(), if self.more { "+" } else { "" })
    }
}
