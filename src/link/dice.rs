//! Chance as an argument.

use crate::wire::secret::{FreshSecret, SECRET_BYTES};

/// A source of chance. The shell's is the operating system's generator; a test's is a counter.
pub trait Dice {
    /// Uniform bytes. Secrets are made of them.
    fn bytes(&mut self) -> [u8; SECRET_BYTES];
}

/// A fresh secret.
pub(crate) fn secret(dice: &mut dyn Dice) -> FreshSecret {
    FreshSecret::from_chance(dice.bytes())
}

/// A number that is as good as unique.
pub(crate) fn number(dice: &mut dyn Dice) -> u64 {
    dice.bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// A number from 0 to 999, for jitter in thousandths.
pub(crate) fn thousandths(dice: &mut dyn Dice) -> u64 {
    number(dice) % 1000
}
