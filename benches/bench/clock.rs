//! The machine's time, for spans and for what the protocol dates.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures the machine's own time")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// For spans of time.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
