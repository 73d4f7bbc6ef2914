//! Arguments that several commands read in the same way.

use std::{str::FromStr, time::Duration};

use crate::{
    config::units,
    wire::host::{OwnHost, PeerHost},
};

/// The local API holds a call on an inbox at most this long (`node`, "Local API").
const INBOX_WAIT_MAX: Duration = Duration::from_secs(60);

/// `protocol/service`, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceName {
    pub(super) protocol: String,
    pub(super) service: String,
}

impl FromStr for ServiceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((protocol, service)) if !protocol.is_empty() && !service.is_empty() => {
                Ok(Self { protocol: protocol.to_owned(), service: service.to_owned() })
            }
            _ => Err("write it as protocol/service, as in example/form"),
        }
    }
}

impl std::fmt::Display for ServiceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.protocol, self.service)
    }
}

/// A peer's name.
pub(super) fn peer_host(text: &str) -> Result<PeerHost, String> {
    PeerHost::parse_human(text).map_err(|error| error.to_string())
}

/// Our own name.
pub(super) fn own_host(text: &str) -> Result<OwnHost, String> {
    OwnHost::parse_human(text).map_err(|error| error.to_string())
}

/// A duration.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    units::duration(text).ok_or(units::DURATION_MEND)
}

/// How long an inbox may be waited for: the local API's bound.
pub(super) fn inbox_wait(text: &str) -> Result<Duration, &'static str> {
    duration(text).and_then(|wait| if wait <= INBOX_WAIT_MAX { Ok(wait) } else { Err("write 60s or less") })
}

/// A duration as the local API reads it.
pub(super) fn written(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}
