//! How this host calls others, as meant by the operator. `config` makes it from what is written.

use std::{ops::RangeInclusive, time::Duration};

use crate::wire::limits::{CALL_TIME, IDLE_TIME, PING_EVERY, PING_TIME};

/// How this host calls others, as meant by the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether a host that is not pinned may resolve to an address that is not public. Default: false.
    pub private_addresses: bool,
    /// Ports that the name of a host that is not pinned may carry. Default: 443 and 1024 to 65535.
    pub ports: Vec<RangeInclusive<u16>>,
    /// A whole call, connection included, whatever its caller allows. Default: 60 s.
    pub call_time: Duration,
    /// HTTP/2 PING while a request is open. Default: 20 s.
    pub ping_every: Duration,
    /// How long a PING may stay unanswered; then the connection is given up. Default: 10 s.
    pub ping_time: Duration,
    /// A connection without a request is closed after this. Default: 90 s.
    pub idle_time: Duration,
    /// Connections that strangers made us open to one address (IPv6 by /64) at once. Default: 2.
    pub stranger_dials_per_address: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            private_addresses: false,
            ports: vec![443..=443, 1024..=65535],
            call_time: CALL_TIME,
            ping_every: PING_EVERY,
            ping_time: PING_TIME,
            idle_time: IDLE_TIME,
            stranger_dials_per_address: 2,
        }
    }
}
