//! The faces: bytes to typed requests and back.
//!
//! ```text
//! listener -> connection (phase, shares) -> peer_api  -> node    what other hosts call, over TLS
//!                                       -> local_api -> node     what our own apps and the operator call
//!                                       -> ops                   health, readiness, metrics: on the local listener
//! body: reading within bounds    headers, query: what callers wrote    respond, problem: the one table of answers
//! carry: what must not stop half-way    corked: answers that go out together
//! ```
//!
//! Hyper's types live in this room only. Nothing here decides who may federate or what is kept: that is `node`. What is
//! decided here is the order of checks, the form of what is written, and every deadline and bound of a connection.

use std::time::Duration;

use crate::wire::{host::OwnHost, limits, path::Paths};

mod body;
mod carry;
pub mod connection;
mod content;
mod corked;
mod entrance;
mod headers;
pub mod information;
pub mod listener;
pub mod local_api;
pub mod ops;
pub mod peer_api;
mod phase;
mod problem;
pub mod proxy;
mod query;
pub mod respond;
mod seldom;
mod shares;
pub mod stop;

/// What the peers' face must know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name: a call to another one is a 421.
    pub host: OwnHost,
    /// Other names of ours (`peer.aliases`). Default: none.
    pub aliases: Vec<OwnHost>,
    /// Where each call goes.
    pub paths: Paths,
    /// Bytes of a packet's body, taken at most (`limits.packet-bytes`). Default: 1 MiB.
    pub packet_bytes: usize,
    /// Messages of a packet, taken at most (`limits.packet-messages`). Default: 1,000.
    pub packet_messages: usize,
    /// A whole body. Default: 30 s.
    pub body_time: Duration,
    /// Bytes of bodies in hand in all (`limits.bodies-bytes`). Default: 256 MiB.
    pub bodies_bytes: usize,
    /// Bytes of bodies in hand from one client address, IPv6 by /64. Default: an eighth of that.
    pub bodies_bytes_per_address: usize,
    /// The host information. Default: none, its paths are a 404.
    pub information: Option<information::Document>,
}

impl Settings {
    /// The defaults for a host of this name.
    #[must_use]
    pub fn new(host: OwnHost, paths: Paths) -> Self {
        Self {
            host,
            aliases: Vec::new(),
            paths,
            packet_bytes: limits::PACKET_BYTES,
            packet_messages: limits::PACKET_MESSAGES,
            body_time: limits::BODY_TIME,
            bodies_bytes: limits::BODIES_BYTES,
            bodies_bytes_per_address: limits::BODIES_BYTES / 8,
            information: None,
        }
    }
}

/// Bounds and deadlines of one listener's connections.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// Connections in all (`limits.connections`). Default: 4,096.
    pub connections: usize,
    /// From one client address, IPv6 by /64 (`limits.connections-per-address`). Default: 256.
    pub connections_per_address: usize,
    /// Who may say, and then must, where a connection came from (`peer.proxies`, where `peer.proxy-protocol` is on). Default:
    /// none, connections come straight.
    pub proxies: Option<Vec<proxy::Network>>,
    /// A TLS handshake, with the PROXY header before it. Default: 10 s.
    pub handshake_time: Duration,
    /// From the handshake to the first request's header, and from a header's first byte to its last. Default: 10 s.
    pub header_time: Duration,
    /// Without a request. Default: 90 s.
    pub idle_time: Duration,
    /// Between two HTTP/2 PINGs. Default: 20 s.
    pub ping_every: Duration,
    /// For the answer to one. Default: 10 s.
    pub ping_time: Duration,
    /// When the node stops, requests in hand have this long. Default: 10 s.
    pub drain_time: Duration,
    /// A request's header. Default: 16 KiB.
    pub header_bytes: usize,
    /// Requests at once on one HTTP/2 connection. Default: 128.
    pub streams: u32,
    /// The largest body: HTTP/2's windows are made for it. Default: 1 MiB.
    pub body_bytes: usize,
}

impl ConnectionSettings {
    /// The defaults for local apps: they share one address, so that there is no bound for each.
    #[must_use]
    pub fn local() -> Self {
        Self {
            connections: limits::LOCAL_CONNECTIONS,
            connections_per_address: limits::LOCAL_CONNECTIONS,
            ..Self::default()
        }
    }
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS,
            connections_per_address: limits::CONNECTIONS_PER_ADDRESS,
            proxies: None,
            handshake_time: limits::HANDSHAKE_TIME,
            header_time: limits::HEADER_TIME,
            idle_time: limits::IDLE_TIME,
            ping_every: limits::PING_EVERY,
            ping_time: limits::PING_TIME,
            drain_time: limits::DRAIN_TIME,
            header_bytes: limits::HEADER_BYTES_MAX,
            streams: limits::STREAMS_MAX,
            body_bytes: limits::PACKET_BYTES,
        }
    }
}
