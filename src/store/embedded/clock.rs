//! Whether the wall clock is to be believed, which decides what expires.
//!
//! Two things make it doubtful: it parts from the monotonic clock by more than a minute while we run, or it stands more
//! than `STRANGE_START` away, in either direction, from the time up to which an earlier run is known to have gone. Then
//! nothing expires for an hour of running, in which an operator may see the alarm and set the clock right.
//!
//! The time of a run is kept on disk under `codec::CLOCK_KEY`: at most once a minute, with a commit that happens anyway,
//! and at close. A time that is not believed is not kept, so a restart within the hour finds the same distance and
//! rests again.

use std::time::Duration;

use crate::{
    store::{
        STRANGE_START, StoreError,
        engine::{
            codec::{self, Put},
            index::read_number,
            kv::{Change, Kv, Space},
        },
    },
    wire::time::{Mono, Now, Wall},
};

/// How far wall and monotonic time may part.
const PARTED_MS: u64 = 60_000;
/// How long the wall is not believed then.
const DISTRUST: Duration = Duration::from_secs(3600);
/// Readings closer together tell nothing new.
const TICK_MS: u64 = 1000;
/// The kept time may lie this far behind while we run.
const KEEP_MS: u64 = 60_000;

/// See above.
#[derive(Debug)]
pub(super) struct Clock {
    last: Now,
    distrust_until: Mono,
    kept: Option<Wall>,
}

/// The time up to which an earlier run is known to have gone.
pub(super) fn read(kv: &dyn Kv) -> Result<Option<Wall>, StoreError> {
    Ok(Some(read_number(kv, codec::CLOCK_KEY)?).filter(|at| *at > 0).map(Wall))
}

impl Clock {
    /// At open, with what an earlier run kept.
    pub(super) fn start(now: Now, last_seen: Option<Wall>) -> Self {
        let away = last_seen.map_or(Duration::ZERO, |seen| now.wall.since(seen).max(seen.since(now.wall)));
        let rest = if away > STRANGE_START { DISTRUST } else { Duration::ZERO };
        Self { last: now, distrust_until: now.mono.plus(rest), kept: last_seen }
    }

    /// The last reading, where it is believed.
    pub(super) fn believed(&self) -> Option<Now> {
        (self.last.mono >= self.distrust_until).then_some(self.last)
    }

    /// Takes a reading; answers it once a second, where it is believed.
    pub(super) fn tick(&mut self, now: Now) -> Option<Now> {
        let ran = now.mono.0.saturating_sub(self.last.mono.0);
        if ran < TICK_MS {
            return None;
        }
        let walked = now.wall.0.saturating_sub(self.last.wall.0);
        if walked.abs_diff(ran) > PARTED_MS || now.wall < self.last.wall {
            tracing::error!(
                ran_ms = ran,
                walked_ms = walked,
                "the wall clock has jumped: nothing expires for an hour"
            );
            self.distrust_until = now.mono.plus(DISTRUST);
        }
        self.last = now;
        self.believed()
    }

    /// The time that a commit should keep along with the rest, where it is due.
    pub(super) fn due(&self) -> Option<Wall> {
        let far = |at: Wall| self.kept.is_none_or(|kept| kept.0.abs_diff(at.0) >= KEEP_MS);
        self.news().filter(|at| far(*at))
    }

    /// The time to keep at the end, where it is another than the one that is kept.
    pub(super) fn news(&self) -> Option<Wall> {
        self.believed().map(|now| now.wall).filter(|at| self.kept != Some(*at))
    }

    /// It is on disk.
    pub(super) fn keep(&mut self, at: Wall) {
        self.kept = Some(at);
    }
}

/// What keeps a time.
pub(super) fn change(at: Wall) -> Change {
    let mut put = Put::new(8);
    put.u64(at.0);
    Change { space: Space::Small, key: codec::CLOCK_KEY.to_vec(), value: Some(put.0) }
}
