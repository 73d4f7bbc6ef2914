//! The shell: the only asynchronous and stateful floor. The verbs that the faces may call stand here.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::wire::{
    draft::Draft,
    exchange::{TokenGrant, TokenRequest},
    host::{OwnHost, PeerHost},
    packet::{Packet, ServiceKey},
    path::UrlPath,
    policy::Policy,
    record::{Cursor, DeadMail, InboxEntry},
    refusal::Refusal,
    secret::ShownToken,
};

pub mod clock;
pub mod views;

use views::{Caller, MessageView, PeerView, Submitted};

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
    /// May a host that nobody pinned resolve to an address that is not public. Default: no.
    pub private_addresses: bool,
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
    pub address: Option<crate::client::Address>,
    /// Path for requests.
    pub request: Option<UrlPath>,
    /// Path for grants.
    pub grant: Option<UrlPath>,
    /// Path for refreshes.
    pub refresh: Option<UrlPath>,
    /// Path for packets.
    pub packet: Option<UrlPath>,
}

/// Why a verb was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The caller broke a rule: 4xx.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Not now; nothing was taken, come back: 503.
    #[error("{what}")]
    Unavailable {
        /// What is missing, for people.
        what: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// An id that is taken by another message: 409.
    #[error("message {index}: the id `{id}` belongs to a message with other content")]
    Conflict {
        /// Position in the call.
        index: usize,
        /// The id.
        id: Arc<str>,
    },
    /// A draft that this host cannot take, 400: a service of ours that does not run.
    #[error("message {index}: `{field}` {what}")]
    Draft {
        /// Position in the call.
        index: usize,
        /// The property at fault.
        field: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// No such message or peer: 404.
    #[error("{0}")]
    NotFound(String),
    /// The cursor is not one of this inbox: 400.
    #[error("the cursor is not one of this inbox")]
    Cursor,
    /// The peer did not do its part: 502.
    #[error("{step}: {reason}")]
    Peer {
        /// The failing step: `request`, `grant`, `refresh`.
        step: &'static str,
        /// Why.
        reason: String,
    },
}

/// The node. Cheap to clone.
#[derive(Clone)]
pub struct Node;

impl Node {
    /// Our name.
    pub fn host(&self) -> &OwnHost {
        todo!()
    }

    // What peers call.

    /// A body was posted to the request path from `from`: returns at once, whatever it was; the grant goes its own way.
    /// `Err` is a body that could not be read: counted and logged only.
    pub fn asked(&self, from: IpAddr, body: Result<TokenRequest, Refusal>) {
        let _ = (from, body);
        todo!()
    }

    /// Before a grant's body is read: whether `bearer` is one that a grant may show.
    ///
    /// # Errors
    /// `Refused(TokenUnknown)`.
    pub fn recognise_grant(&self, bearer: ShownToken) -> Result<(), Error> {
        let _ = bearer;
        todo!()
    }

    /// A grant, answered with 204 when this returns `Ok`.
    ///
    /// # Errors
    /// `Refused` as the table of `https-token`, "Being granted"; `Unavailable` when it could not be kept.
    pub async fn granted(
        &self,
        from: IpAddr,
        bearer: Option<ShownToken>,
        grant: TokenGrant,
    ) -> Result<(), Error> {
        let _ = (from, bearer, grant);
        todo!()
    }

    /// A refresh: the body of the 200, on disk before this returns.
    ///
    /// # Errors
    /// `Refused(TokenUnknown | TokenReplayed)`, `Unavailable`.
    pub async fn refreshed(&self, from: IpAddr, bearer: ShownToken) -> Result<Bytes, Error> {
        let _ = (from, bearer);
        todo!()
    }

    /// Before a packet's body is read: who shows this bearer. Waits (at most 10 s) where it is offered and not settled.
    ///
    /// # Errors
    /// `Refused(TokenUnknown | TooFast)`, `Unavailable`.
    pub async fn recognise(&self, from: IpAddr, bearer: ShownToken) -> Result<Caller, Error> {
        let _ = (from, bearer);
        todo!()
    }

    /// A packet, answered with 204 when this returns `Ok`: on stable storage by then. Goes on when its future is dropped.
    ///
    /// # Errors
    /// `Refused` as the table of `https-token`, "Packets"; `Unavailable` when storage cannot take it.
    pub async fn packet(&self, caller: Caller, packet: Packet) -> Result<(), Error> {
        let _ = (caller, packet);
        todo!()
    }

    // What local apps call.

    /// Accepts messages, all or none, on stable storage when this returns.
    ///
    /// # Errors
    /// `Conflict`, `Draft`, `Refused(Policy)`, `Unavailable`.
    pub async fn submit(
        &self,
        drafts: Vec<Draft>,
        time_to_live: Option<Duration>,
    ) -> Result<Vec<Submitted>, Error> {
        let _ = (drafts, time_to_live);
        todo!()
    }

    /// An outgoing message.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub fn message(&self, id: &str) -> Result<MessageView, Error> {
        let _ = id;
        todo!()
    }

    /// The next messages in an inbox that `app` has not acknowledged, at most `max`; waits for one up to `wait`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn inbox(
        &self,
        app: &str,
        service: &ServiceKey,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<InboxEntry>, Error> {
        let _ = (app, service, max, wait);
        todo!()
    }

    /// Acknowledges for `app` everything up to `cursor`.
    ///
    /// # Errors
    /// `Cursor`, `Unavailable`.
    pub async fn acknowledge(&self, app: &str, service: &ServiceKey, cursor: Cursor) -> Result<(), Error> {
        let _ = (app, service, cursor);
        todo!()
    }

    /// Dead messages of these sending services (of all where `None`), at most `max`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn dead(&self, senders: Option<&[ServiceKey]>, max: usize) -> Result<Vec<DeadMail>, Error> {
        let _ = (senders, max);
        todo!()
    }

    /// Queues a dead message again; its time to live starts anew.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn retry_dead(&self, id: &str) -> Result<(), Error> {
        let _ = id;
        todo!()
    }

    /// Deletes a dead message.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn delete_dead(&self, id: &str) -> Result<(), Error> {
        let _ = id;
        todo!()
    }

    // What operators call.

    /// All links and configured peers, by name.
    pub fn peers(&self) -> Vec<PeerView> {
        todo!()
    }

    /// One of them; `None` where nothing is known of it.
    pub fn peer(&self, host: &PeerHost) -> Option<PeerView> {
        let _ = host;
        todo!()
    }

    /// Exchanges tokens now and waits for the outcome.
    ///
    /// # Errors
    /// `Peer` names the failing step, `Refused(Policy)`.
    pub async fn connect(&self, host: &PeerHost) -> Result<PeerView, Error> {
        let _ = host;
        todo!()
    }

    /// Refreshes the token that we hold and waits for the outcome.
    ///
    /// # Errors
    /// `Peer`, `NotFound` where no token is held.
    pub async fn refresh(&self, host: &PeerHost) -> Result<PeerView, Error> {
        let _ = host;
        todo!()
    }

    /// Forgets the link and revokes what we gave. Mail that waits stays.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn forget(&self, host: &PeerHost) -> Result<(), Error> {
        let _ = host;
        todo!()
    }

    /// Whether the node can take packets and messages now; `Err` says why not.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn ready(&self) -> Result<(), String> {
        todo!()
    }
}
