//! How long something takes, counted by length: a histogram of Prometheus, and the stopwatch that feeds it.
//!
//! Nothing is decided by these times, so that they are read here and not from the clock of the house, whose milliseconds
//! would be too coarse.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Upper bounds in seconds, from what a fast disk takes to what a call may last. One more bucket holds all beyond.
pub const BOUNDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

/// Lengths of time, counted by bucket.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

/// What a histogram holds at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// How many fell into each bucket, not added up; the last is beyond all bounds.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// Seconds in all.
    pub sum: f64,
}

impl Histogram {
    /// One more.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let place = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// As it is now.
    #[must_use]
    pub fn spread(&self) -> Spread {
        Spread {
            buckets: std::array::from_fn(|place| {
                self.buckets.get(place).map_or(0, |bucket| bucket.load(Ordering::Relaxed))
            }),
            sum: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}

/// Started when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "it measures for the metrics, and how long a connection does nothing: no other machine sees it"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for millis in [0, 1, 2, 60_000, 61_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let Spread { buckets, sum } = histogram.spread();
        let filled: Vec<_> = buckets.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(0, &1), (3, &1), (4, &1), (15, &1), (16, &1)]);
        assert!((sum - 121.003).abs() < 1e-9, "{sum}");
    }
}
