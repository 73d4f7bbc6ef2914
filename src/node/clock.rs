//! The one clock and the one dice of the house.
//!
//! `now` has two faces. The wall's face follows the system's wall clock; when that parts from the monotonic one by more
//! than a minute it is an ERROR and the wall's word is not taken for an hour: until then our wall goes on as the
//! monotonic clock does, so that nothing is declared dead, expired or trimmed by a clock that was set.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    link::dice::Dice,
    wire::{
        secret::SECRET_BYTES,
        time::{Mono, Now, ReadClock, Wall},
    },
};

const PARTED: Duration = Duration::from_secs(60);
const DISTRUST: Duration = Duration::from_secs(3600);

/// What the wall showed when the monotonic clock showed something.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    mono: Mono,
    wall: Wall,
    /// Since when the system's wall has parted from ours.
    parted: Option<Mono>,
}

impl Anchor {
    /// Our wall at `mono`, where the system says `system`. The second value is true when they have just parted.
    fn read(&mut self, mono: Mono, system: Wall) -> (Wall, bool) {
        let ours = self.wall.plus(mono.since(self.mono));
        let apart = ours.since(system).max(system.since(ours));
        if apart <= PARTED {
            *self = Self { mono, wall: system, parted: None };
            return (system, false);
        }
        match self.parted {
            None => {
                self.parted = Some(mono);
                (ours, true)
            }
            Some(since) if mono.since(since) >= DISTRUST => {
                *self = Self { mono, wall: system, parted: None };
                (system, false)
            }
            Some(_) => (ours, false),
        }
    }
}

/// The system's clocks, read together.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads clocks")]
pub fn system() -> ReadClock {
    let start = Instant::now();
    let anchor = Mutex::new(Anchor { mono: Mono(0), wall: system_wall(), parted: None });
    Arc::new(move || {
        let mono = Mono(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
        let (wall, parted) = anchor.lock().unwrap_or_else(PoisonError::into_inner).read(mono, system_wall());
        if parted {
            tracing::error!(
                "the system's clock was set by more than a minute: it is not followed for an hour"
            );
        }
        Now { mono, wall }
    })
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads clocks")]
fn system_wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Chance from the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDice;

impl Dice for SystemDice {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that throws dice")]
    #[expect(clippy::panic, reason = "without chance no secret is safe: nothing may go on")]
    fn bytes(&mut self) -> [u8; SECRET_BYTES] {
        let mut bytes = [0; SECRET_BYTES];
        if let Err(error) = getrandom::fill(&mut bytes) {
            panic!("the operating system gives no random bytes: {error}");
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_not_followed_for_an_hour() {
        let mut anchor = Anchor { mono: Mono(0), wall: Wall(1_000_000_000), parted: None };
        assert_eq!(anchor.read(Mono(1000), Wall(1_000_001_500)), (Wall(1_000_001_500), false));
        let year = 365 * 24 * 3_600_000;
        assert_eq!(anchor.read(Mono(2000), Wall(1_000_002_500 + year)), (Wall(1_000_002_500), true));
        assert_eq!(anchor.read(Mono(3000), Wall(1_000_003_500 + year)), (Wall(1_000_003_500), false));
        let later = 2000 + 3_600_000;
        assert_eq!(anchor.read(Mono(later), Wall(year + 5)), (Wall(year + 5), false));
    }

    #[test]
    fn a_clock_that_comes_back_is_followed_again() {
        let mut anchor = Anchor { mono: Mono(0), wall: Wall(1_000_000_000), parted: None };
        assert!(anchor.read(Mono(1000), Wall(5)).1);
        assert_eq!(anchor.read(Mono(2000), Wall(1_000_002_100)), (Wall(1_000_002_100), false));
        assert!(anchor.read(Mono(3000), Wall(5)).1);
    }
}
