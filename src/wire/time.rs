//! Time as an argument: nothing below `node` reads a clock.
//!
//! `Mono` is for waits inside the process and for what `expires-in` counts, `Wall` for what is stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds on the process's monotonic clock. Means nothing after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub u64);

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// The monotonic face: for waits.
    pub mono: Mono,
    /// The wall's face: for what is stored.
    pub wall: Wall,
}

impl Mono {
    /// This moment and `wait` later; stops at the end of time.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(millis(wait)))
    }

    /// How long from `earlier` to this moment; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Wall {
    /// This moment and `wait` later; stops at the end of time.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(millis(wait)))
    }

    /// How long from `earlier` to this moment; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Seconds since 1970, for metrics.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        Duration::from_millis(self.0).as_secs_f64()
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// A way to read both clocks, for rooms that must know the time in the middle of an await (`client`, `serve`).
/// `node/clock` makes it.
pub type ReadClock = std::sync::Arc<dyn Fn() -> Now + Send + Sync>;
