//! Where the refresh of the newest pair stands: once per link at a time, tried again with the old refresh token.

use crate::{
    link::{context::Context, health::back_off},
    wire::{
        secret::Digest,
        time::{Mono, Now},
    },
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
    Resting { until: Mono, tries: u32 },
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

    /// It came to nothing and is tried again later.
    pub(super) fn rest(&mut self, ctx: &mut Context<'_>) {
        let tries = self.tries().saturating_add(1);
        let wait = back_off(tries, ctx.settings.retry_max, ctx.settings, ctx.dice);
        *self = Self::Resting { until: ctx.now.mono.plus(wait), tries };
    }

    /// A rest ends now: the peer gave a sign of life.
    pub(super) fn hurry(&mut self, now: Now) {
        if let Self::Resting { until, .. } = self {
            *until = (*until).min(now.mono);
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
