//! What the brain must know of the configuration.

use std::time::Duration;

/// Durations and bounds that the operator may move; defaults stand in `node::Settings`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Life of the access tokens that we give.
    pub token_lifetime: Duration,
    /// Life of the refresh tokens that we give.
    pub refresh_lifetime: Duration,
    /// An exchange without a grant failed after this.
    pub grant_wait: Duration,
    /// First wait after a failure.
    pub retry_min: Duration,
    /// Longest wait while the peer was heard from in the last day.
    pub retry_max: Duration,
    /// Longest wait after that.
    pub retry_max_silent: Duration,
    /// Bytes of a packet's body at most.
    pub packet_bytes: usize,
    /// Messages of a packet at most.
    pub packet_messages: usize,
}
