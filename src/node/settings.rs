//! What the node must know of the configuration.

use std::{collections::HashMap, time::Duration};

use crate::{
    client::Address,
    wire::{
        host::{OwnHost, PeerHost},
        packet::ServiceKey,
        parameters::PinnedPaths,
        policy::Policy,
    },
};

/// What the node must know. All durations are as the configuration says (`node`, "Configuration").
#[derive(Clone, Debug)]
pub struct Settings {
    /// Our name.
    pub host: OwnHost,
    /// Other names of ours, for which nobody may ask a token.
    pub aliases: Vec<OwnHost>,
    /// What this host runs: a message for another service is ignored.
    pub services: Vec<ServiceKey>,
    /// For each service the apps that may read its inbox: what all of them acknowledged is trimmed.
    pub readers: HashMap<ServiceKey, Vec<String>>,
    /// Who may federate with us.
    pub policy: Policy,
    /// What the operator pinned for peers.
    pub peers: HashMap<PeerHost, PeerPin>,
    /// Life of the access tokens that we give. Default: 1 h.
    pub token_lifetime: Duration,
    /// Life of the refresh tokens that we give. Default: 30 d.
    pub refresh_lifetime: Duration,
    /// An exchange without a grant failed after this. Default: 30 s.
    pub grant_wait: Duration,
    /// A message that is older is dead. Default: 7 d.
    pub time_to_live: Duration,
    /// First wait after a failure. Default: 1 s.
    pub retry_min: Duration,
    /// Longest wait while the peer was heard from in the last day. Default: 15 min.
    pub retry_max: Duration,
    /// Longest wait after that. Default: 6 h.
    pub retry_max_silent: Duration,
    /// How long inboxes keep what was not acknowledged. Default: 30 d.
    pub inbox_keep: Duration,
    /// Bytes of a packet's body that we send at most. Default: 1 MiB.
    pub packet_bytes: usize,
    /// Messages of a packet that we send at most. Default: 1,000.
    pub packet_messages: usize,
    /// Packets a second that one peer may send on average; bursts of ten seconds' worth. Default: 1,000.
    pub packets_per_second: u32,
    /// Grants to strangers and configured peers under way at once, half of them for the latter. Default: 64.
    pub grant_slots: usize,
}

/// What the operator pinned for a peer (`[[peers]]`).
#[derive(Clone, Debug, Default)]
pub struct PeerPin {
    /// `ip:port` or `name:port` to connect to, whatever the name resolves to.
    pub address: Option<Address>,
    /// Its paths; what is not pinned is looked up.
    pub paths: PinnedPaths,
}
