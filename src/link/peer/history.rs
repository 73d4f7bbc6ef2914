//! How the link did, and the rest before the next try.
//!
//! A failure begins a rest; a longer one stays as it is. A sign of life ends a rest and brings one probe forward: the rest
//! after that probe is not cut again. What the peer asked for (`Retry-After`) and our own store's trouble are waited out.

use std::time::Duration;

use super::Peer;
use crate::link::{
    context::Context,
    event::Fact,
    health::{Rest, back_off, stretched},
};

/// The store's trouble ends for all peers at once, and none of them should sleep long past it.
const STUMBLE_MAX: Duration = Duration::from_secs(15);

impl Peer {
    /// An exchange succeeded: the peer is there, and there is a token. What packets taught stays until one succeeds.
    pub(super) fn come_up(&mut self, ctx: &mut Context<'_>) {
        self.on_heard(ctx);
        if self.health.succeeded.is_none() {
            self.succeed(ctx);
        }
    }

    //= HT-SEND-22: one probe
    pub(super) fn on_heard(&mut self, ctx: &mut Context<'_>) {
        self.health.hear(ctx.now);
        if self.rest.is_some_and(|rest| rest.may_be_cut) {
            self.rest = None;
            self.cut = true;
            self.asking.hurry(ctx.now);
        }
    }

    /// An operator wants the next try now: what the peer asked for is not waited for either.
    pub(super) fn on_retry(&mut self, ctx: &mut Context<'_>) {
        if self.rest.take().is_some() {
            self.cut = true;
        }
        self.asking.retry(ctx.now);
    }

    /// An operator wants nothing sent, or wants it sent again. What is under way ends; the peer's own calls are answered.
    pub(super) fn on_pause(&mut self, pause: bool) {
        self.save |= self.paused != pause;
        self.paused = pause;
        if pause {
            self.sending.rest();
        }
    }

    pub(super) fn succeed(&mut self, ctx: &mut Context<'_>) {
        if self.health.failures > 0 || self.health.succeeded.is_none() {
            ctx.note(Fact::LinkUp);
            self.dirty = true;
        }
        self.cut = false;
        self.health.succeed(ctx.now);
    }

    /// A try failed: rest, then try again.
    pub(super) fn fail(&mut self, reason: &str, asked: Option<Duration>, ctx: &mut Context<'_>) {
        let first = self.health.failures == 0;
        let own = self.health.fail(reason, ctx.now, ctx.settings, ctx.dice);
        let wait = asked.map_or(own, |asked| stretched(asked.max(ctx.settings.retry_min), ctx.dice));
        self.rest_for(wait, asked.is_none() && !self.cut, ctx);
        self.cut = false;
        if first {
            ctx.note(Fact::LinkDown { reason: reason.to_owned(), wait });
        }
        self.dirty = true;
        self.save = true;
    }

    /// Our own trouble: the peer's history does not suffer for it.
    pub(super) fn stumble(&mut self, reason: &str, ctx: &mut Context<'_>) {
        self.stumbles = self.stumbles.saturating_add(1);
        let longest = ctx.settings.retry_max.min(STUMBLE_MAX);
        let wait = back_off(self.stumbles, longest, ctx.settings, ctx.dice);
        self.rest_for(wait, false, ctx);
        ctx.note(Fact::PacketFailed(reason.to_owned()));
    }

    /// Rests so long; a longer rest stays as it is.
    fn rest_for(&mut self, wait: Duration, may_be_cut: bool, ctx: &mut Context<'_>) {
        let until = ctx.now.mono.plus(wait);
        if self.rest.is_none_or(|rest| rest.until < until) {
            self.rest = Some(Rest { until, may_be_cut });
        }
        self.sending.rest();
    }
}
