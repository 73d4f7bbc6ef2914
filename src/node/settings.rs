//! What the node must know of the configuration, and what a host is under it.
//!
//! They are replaced as a whole while the node runs (`renewing`). A verb reads them once (`Shell::settings`), so that it sees
//! one configuration from its beginning to its end.

use std::{collections::HashMap, time::Duration};

use crate::{
    client::{Address, Route},
    link::{self, lobby},
    wire::{
        answer::{CallError, CallStage},
        host::{OwnHost, PeerHost},
        packet::ServiceKey,
        parameters::PinnedPaths,
        policy::Policy,
        refusal::Refusal,
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
    /// Links with hosts that are not configured. Default: 100,000.
    pub links: usize,
    /// Peers with series of their own in the metrics. Default: none.
    pub metrics_peers: Vec<PeerHost>,
}

impl Settings {
    /// Whether the policy lets this host federate with us.
    pub(super) fn allowed(&self, host: &PeerHost) -> Result<(), Refusal> {
        let allowed = self.policy.allows(host);
        if allowed { Ok(()) } else { Err(Refusal::Policy { host: host.to_string(), index: None }) }
    }

    /// What stands under `[[peers]]` for this host.
    pub(super) fn pin(&self, host: &PeerHost) -> Option<&PeerPin> {
        self.peers.get(host)
    }

    /// What is pinned of a host's paths.
    pub(super) fn pins(&self, host: &PeerHost) -> PinnedPaths {
        self.pin(host).map(|pin| pin.paths.clone()).unwrap_or_default()
    }

    //= HT-ASK-20: the policy is asked
    /// How this host is reached. No road leads to a host that the policy refuses.
    pub(super) fn road(&self, host: &PeerHost) -> Result<Route, CallError> {
        self.allowed(host)
            .map_err(|refusal| CallError { stage: CallStage::Guard, detail: refusal.to_string() })?;
        let pin = self.pin(host);
        let address = pin.and_then(|pin| pin.address.clone());
        Ok(Route { host: host.clone(), address, trusted: pin.is_some() })
    }

    /// What the machines must know of them.
    pub(super) fn link(&self) -> link::settings::Settings {
        link::settings::Settings {
            token_lifetime: self.token_lifetime,
            refresh_lifetime: self.refresh_lifetime,
            grant_wait: self.grant_wait,
            retry_min: self.retry_min,
            retry_max: self.retry_max,
            retry_max_silent: self.retry_max_silent,
            packet_bytes: self.packet_bytes,
            packet_messages: self.packet_messages,
        }
    }

    /// What the lobby must know of them.
    pub(super) fn lobby(&self) -> lobby::Settings {
        lobby::Settings {
            slots: self.grant_slots,
            token_lifetime: self.token_lifetime,
            refresh_lifetime: self.refresh_lifetime,
        }
    }
}

/// What the operator pinned for a peer (`[[peers]]`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerPin {
    /// `ip:port` or `name:port` to connect to, whatever the name resolves to.
    pub address: Option<Address>,
    /// Its paths; what is not pinned is looked up.
    pub paths: PinnedPaths,
}
