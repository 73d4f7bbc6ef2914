//! Arguments that several commands read in the same way.

use std::{str::FromStr, time::Duration};

use crate::{
    config::units,
    wire::host::{OwnHost, PeerHost},
};

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

/// A duration as the local API reads it.
pub(super) fn written(duration: Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}
