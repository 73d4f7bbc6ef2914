//! Where the refresh of the newest pair stands: once per link at a time, tried again with the old refresh token.

use std::time::Duration;

use crate::{
    link::{
        context::Context,
        health::{Rest, back_off, stretched},
    },
    wire::{secret::Digest, time::Now},
};

/// The machine's renewal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Renewal {
    /// Nothing is under way.
    Idle,
    /// A call is open, for the pair with this token.
    Running { old: Digest, tries: u32 },
    /// New tokens came and are on their way to the disk.
    Keeping { tries: u32 },
    /// It got no answer, or the disk none.
    Resting { rest: Rest, tries: u32 },
    /// A call is open whose outcome nobody wants any more.
    Abandoned,
}

impl Renewal {
    /// Failures since the last success.
    pub(super) fn tries(&self) -> u32 {
        match self {
            Self::Idle | Self::Abandoned => 0,
            Self::Running { tries, .. } | Self::Keeping { tries } | Self::Resting { tries, .. } => *tries,
        }
    }

    /// Whether an outcome is awaited.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Keeping { .. } | Self::Abandoned)
    }

    /// Whether the peer asked that it waits.
    pub(super) fn is_held_back(&self) -> bool {
        matches!(self, Self::Resting { rest, .. } if !rest.may_be_cut)
    }

    /// It came to nothing and is tried again later, not before the wait that the peer asked for.
    pub(super) fn rest(&mut self, asked: Option<Duration>, ctx: &mut Context<'_>) {
        let tries = self.tries().saturating_add(1);
        let own = back_off(tries, ctx.settings.retry_max, ctx.settings, ctx.dice);
        let wait = asked.map_or(own, |asked| stretched(asked, ctx.dice).max(own));
        let rest = Rest { until: ctx.now.mono.plus(wait), may_be_cut: asked.is_none() };
        *self = Self::Resting { rest, tries };
    }

    /// The peer gave a sign of life: a rest ends now, unless the peer asked for it.
    pub(super) fn hurry(&mut self, now: Now) {
        if matches!(self, Self::Resting { rest, .. } if rest.may_be_cut) {
            self.end_rest(now);
        }
    }

    /// A rest ends now, whatever it is for.
    pub(super) fn end_rest(&mut self, now: Now) {
        if let Self::Resting { rest, .. } = self {
            rest.until = rest.until.min(now.mono);
        }
    }

    /// Another pair is the newest: a rest is over, an open call is left to end.
    pub(super) fn supersede(&mut self) {
        if matches!(self, Self::Resting { .. }) {
            *self = Self::Idle;
        }
    }

    /// A call ended whose outcome nobody wants.
    pub(super) fn end_abandoned(&mut self) {
        if *self == Self::Abandoned {
            *self = Self::Idle;
        }
    }

    pub(super) fn forget(&mut self) {
        *self = match self {
            Self::Running { .. } | Self::Abandoned => Self::Abandoned,
            Self::Idle | Self::Keeping { .. } | Self::Resting { .. } => Self::Idle,
        };
    }
}
