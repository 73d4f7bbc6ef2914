//! The one clock and the one dice of the house.
//!
//! Everything below is given the time and chance as arguments; nothing else calls the operating system for them.

use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use crate::wire::time::{Mono, Now, ReadClock, Wall};

/// The machine's clocks. The monotonic face starts at zero with this call: make one, and hand it around.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clocks")]
pub fn system() -> ReadClock {
    let start = Instant::now();
    Arc::new(move || {
        let mono = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        // A machine that believes to live before 1970 lives in 1970.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: Mono(mono), wall: Wall(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)) }
    })
}

/// Chance from the operating system's generator.
#[derive(Clone, Copy, Debug)]
pub struct Dice;

impl Dice {
    /// `N` random bytes, fit for secrets.
    ///
    /// A machine without a generator ends the process: no secret of this house may be guessed.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that rolls the dice")]
    pub fn bytes<const N: usize>() -> [u8; N] {
        let mut bytes = [0; N];
        if getrandom::fill(&mut bytes).is_err() {
            std::process::abort();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on_and_the_wall_is_in_this_century() {
        let clock = system();
        let (first, second) = (clock(), clock());
        assert!(second.mono >= first.mono && first.mono.0 < 60_000);
        assert!(first.wall.0 > 1_700_000_000_000);
    }

    #[test]
    fn the_dice_differ() {
        assert_ne!(Dice::bytes::<32>(), Dice::bytes::<32>());
    }
}
