//! What the machines' tests share: dice that count, settings, moments.

use std::time::Duration;

use super::{dice::Dice, settings::Settings};
use crate::wire::{
    secret::SECRET_BYTES,
    time::{Mono, Now, Wall},
};

/// Dice that count: no two throws are the same, and every run throws the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(u64);

impl Dice for Counter {
    fn bytes(&mut self) -> [u8; SECRET_BYTES] {
        self.0 += 1;
        let mut bytes = [0; SECRET_BYTES];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(place as u32 * 7) & 0xff) as u8;
        }
        bytes
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        token_lifetime: Duration::from_secs(3600),
        refresh_lifetime: Duration::from_secs(30 * 24 * 3600),
        grant_wait: Duration::from_secs(30),
        retry_min: Duration::from_secs(1),
        retry_max: Duration::from_secs(15 * 60),
        retry_max_silent: Duration::from_secs(6 * 3600),
        packet_bytes: 1 << 20,
        packet_messages: 1000,
    }
}

/// So many seconds after the start of the test.
pub(crate) fn at(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1000), wall: Wall(1_700_000_000_000 + seconds * 1000) }
}
