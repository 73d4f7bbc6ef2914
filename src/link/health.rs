//! How a link does: failures since the last success, and the wait before the next try.
//!
//! 1 s doubling with proportional jitter, at most `retry-max` while the peer was heard from in the last day, at most
//! `retry-max-silent` after that (`https-token`, "Sending"). A sign of life brings one probe forward; only the probe's
//! success clears the history.

use std::time::Duration;

use super::{
    dice::{Dice, thousandths},
    settings::Settings,
};
use crate::wire::{
    family::FailureRecord,
    time::{Mono, Now, Wall},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The history of a link. Survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Tries that ended without success since we know the peer; never falls.
    pub tries: u64,
    /// Failures since the last success.
    pub failures: u32,
    /// When something authenticated last came from it.
    pub heard: Option<Wall>,
    /// When a packet or an exchange last succeeded.
    pub succeeded: Option<Wall>,
    /// The last failure.
    pub failed: Option<FailureRecord>,
}

impl Health {
    /// A try failed: the wait before the next.
    pub fn fail(&mut self, reason: &str, now: Now, settings: &Settings, dice: &mut dyn Dice) -> Duration {
        self.note(reason, now);
        self.failures = self.failures.saturating_add(1);
        let alive = self.heard.max(self.succeeded).is_some_and(|at| now.wall.since(at) < DAY);
        //= HT-SEND-21: rarely for the silent
        let longest = if alive { settings.retry_max } else { settings.retry_max_silent };
        back_off(self.failures, longest, settings, dice)
    }

    /// A try ended without success, and the next may follow at once.
    pub fn note(&mut self, reason: &str, now: Now) {
        self.tries += 1;
        self.failed = Some(FailureRecord { at: now.wall, reason: reason.to_owned() });
    }

    //= HT-SEND-23: success alone
    /// A try succeeded.
    pub fn succeed(&mut self, now: Now) {
        self.failures = 0;
        self.succeeded = Some(now.wall);
    }

    /// Something authenticated came.
    pub fn hear(&mut self, now: Now) {
        self.heard = Some(now.wall);
    }
}

/// A pause before the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rest {
    pub(crate) until: Mono,
    /// A sign of life may end it: not where the peer asked for the pause, nor right after a probe that one brought
    /// forward.
    pub(crate) may_be_cut: bool,
}

//= HT-SEND-20: doubling with jitter
/// The wait after so many failures in a row: doubling, 75 % to 125 % of it so that peers that failed together do not come
/// back together, at most `longest`.
pub(crate) fn back_off(
    failures: u32,
    longest: Duration,
    settings: &Settings,
    dice: &mut dyn Dice,
) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    let wait = settings.retry_min.saturating_mul(1 << doublings).min(longest);
    (wait.saturating_mul(750 + u32::try_from(thousandths(dice) / 2).unwrap_or(0)) / 1000).min(longest)
}

//= HT-SEND-17: jitter upward only
/// A wait that the peer asked for, with jitter upward only.
pub(crate) fn stretched(wait: Duration, dice: &mut dyn Dice) -> Duration {
    wait.saturating_mul(1000 + u32::try_from(thousandths(dice) / 4).unwrap_or(0)) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::testing::{Counter, settings};

    fn at(seconds: u64) -> Now {
        Now { mono: crate::wire::time::Mono(seconds * 1000), wall: Wall(seconds * 1000 + 1_000_000_000_000) }
    }

    //= HT-SEND-20
    #[test]
    fn waits_double_with_jitter_up_to_the_limit_for_a_peer_that_lives() {
        let (mut health, mut dice) = (Health::default(), Counter::default());
        health.hear(at(0));
        let waits: Vec<_> = (0..12).map(|_| health.fail("x", at(1), &settings(), &mut dice)).collect();
        for (n, wait) in waits.iter().enumerate() {
            let plain = Duration::from_secs(1 << n).min(settings().retry_max);
            assert!(*wait >= plain * 3 / 4 && *wait <= plain * 5 / 4, "{n}: {wait:?}");
            assert!(*wait <= settings().retry_max);
        }
        assert!(waits[11] > Duration::from_secs(600));
        assert_eq!((health.failures, health.tries), (12, 12));
    }

    //= HT-SEND-21
    #[test]
    fn a_peer_that_is_silent_for_a_day_is_tried_more_rarely() {
        let (mut health, mut dice) = (Health::default(), Counter::default());
        health.hear(at(0));
        health.failures = 29;
        assert!(health.fail("x", at(24 * 3600), &settings(), &mut dice) > settings().retry_max);
        assert!(health.fail("x", at(24 * 3600), &settings(), &mut dice) <= settings().retry_max_silent);
    }

    //= HT-SEND-23
    #[test]
    fn only_success_clears_the_history() {
        let (mut health, mut dice) = (Health::default(), Counter::default());
        health.fail("x", at(0), &settings(), &mut dice);
        health.hear(at(1));
        assert_eq!(health.failures, 1);
        health.succeed(at(2));
        assert_eq!((health.failures, health.tries), (0, 1));
    }
}
