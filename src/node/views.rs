//! What the faces are shown of the node: plain values, never a token.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::wire::{
    answer::{HttpVersion, TlsVersion},
    host::PeerHost,
    packet::ServiceKey,
    parameters::{Parameters, Revision, Source},
    record::MessageState,
    secret::Digest,
    time::Wall,
};

/// Who calls, after its bearer was recognised: handed back with the packet.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The host that the bearer was given to.
    pub host: PeerHost,
    /// Its address, for the log.
    pub(crate) from: IpAddr,
    /// Looked at again when the packet is handed over: it may have been revoked while the body came.
    pub(crate) bearer: Digest,
}

/// An accepted message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Its id: the app's, or one made in order of time.
    pub id: Arc<str>,
    /// Where it is; `Queued` unless it is a repeat or went to one of our own services.
    pub state: MessageState,
}

/// An outgoing message.
#[derive(Clone, Debug)]
pub struct MessageView {
    /// Its id.
    pub id: Arc<str>,
    /// The destination host.
    pub host: PeerHost,
    /// The service that sent it: decides who may see it.
    pub sender: ServiceKey,
    /// Where it is.
    pub state: MessageState,
    /// Tries that ended without 204, also before a connection.
    pub attempts: u64,
    /// Why the last of them failed.
    pub last_error: Option<String>,
    /// When it was accepted.
    pub queued: Wall,
    /// When it was delivered or set aside.
    pub ended: Option<Wall>,
}

/// One direction of a link in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DirectionState {
    /// No token, and none is sought.
    None,
    /// An exchange is under way.
    Asking,
    /// A token was given for a request that proves nothing (R3), and the peer has not shown it yet.
    Offered,
    /// A token is there.
    Linked,
    /// The last try failed; it is tried again later.
    BackingOff,
    /// An operator wants nothing sent.
    Paused,
    /// The policy refuses the peer: nothing is sent to it and nothing taken from it, whatever tokens are there.
    Refused,
}

/// We to the peer.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Sending")]
pub struct SendingView {
    /// In one word.
    pub state: DirectionState,
    /// When the token that we show runs out.
    #[serde(serialize_with = "rfc3339_option")]
    #[schemars(with = "Option<Moment>")]
    pub expires_at: Option<Wall>,
    /// When the next try is due, while backing off.
    #[serde(serialize_with = "rfc3339_option")]
    #[schemars(with = "Option<Moment>")]
    pub next_try_at: Option<Wall>,
    /// The revision by which that token came.
    pub revision: Option<Revision>,
    /// How that is known.
    pub reason: Option<&'static str>,
}

/// The peer to us.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Receiving")]
pub struct ReceivingView {
    /// `linked` where an unexpired token of ours is out, else `none`.
    pub state: DirectionState,
    /// When the newest of them runs out.
    #[serde(serialize_with = "rfc3339_option")]
    #[schemars(with = "Option<Moment>")]
    pub expires_at: Option<Wall>,
    /// Open families.
    pub families: usize,
    /// The revision by which the newest of them was given.
    pub revision: Option<Revision>,
    /// How that is known.
    pub reason: Option<&'static str>,
    /// Why the last request in its name came to nothing, unless a grant was taken since. Anybody may have made it.
    pub last_failure: Option<FailureView>,
}

/// How a peer is spoken to, and why so.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Negotiation")]
pub struct NegotiationView {
    /// Where its parameters come from; `null` where they are not known.
    pub source: Option<Source>,
    /// In words.
    pub reason: String,
    /// When its host information was fetched.
    #[serde(serialize_with = "rfc3339_option")]
    #[schemars(with = "Option<Moment>")]
    pub fetched_at: Option<Wall>,
    /// Until when it is taken without a new look.
    #[serde(serialize_with = "rfc3339_option")]
    #[schemars(with = "Option<Moment>")]
    pub fresh_until: Option<Wall>,
    /// The parameters.
    pub parameters: Option<Parameters>,
}

/// The mail that waits for a peer.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Queue")]
pub struct QueueView {
    /// Messages.
    pub messages: u64,
    /// Those of them that are in the packet under way.
    pub in_flight: usize,
    /// When the oldest was accepted.
    #[serde(serialize_with = "rfc3339_option")]
    #[schemars(with = "Option<Moment>")]
    pub oldest_at: Option<Wall>,
}

/// The last failure of a call to a peer.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Failure")]
pub struct FailureView {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    #[schemars(with = "Moment")]
    pub at: Wall,
    /// Why.
    pub reason: String,
}

/// A link as operators see it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Peer")]
pub struct PeerView {
    /// The peer.
    pub host: PeerHost,
    /// Whether it stands under `[[peers]]`.
    pub configured: bool,
    /// Whether the policy lets it federate.
    pub allowed: bool,
    /// The revision that it is spoken to in; `null` where that is not known yet.
    pub revision: Option<Revision>,
    /// Why so.
    pub negotiation: NegotiationView,
    /// HTTP version of the last answered call.
    pub http: Option<HttpVersion>,
    /// TLS version of its connection.
    pub tls: Option<TlsVersion>,
    /// We to the peer.
    pub sending: SendingView,
    /// The peer to us.
    pub receiving: ReceivingView,
    /// The mail that waits for it.
    pub queue: QueueView,
    /// Failures without a success between.
    pub failures: u32,
    /// When a packet or an exchange last succeeded.
    #[serde(serialize_with = "rfc3339_option")]
    #[schemars(with = "Option<Moment>")]
    pub last_success_at: Option<Wall>,
    /// The last failed call.
    pub last_failure: Option<FailureView>,
    /// When something authenticated last came from it.
    #[serde(serialize_with = "rfc3339_option")]
    #[schemars(with = "Option<Moment>")]
    pub last_heard_at: Option<Wall>,
}

/// The form of times, as `rfc3339` writes them.
#[derive(Clone, Copy, Debug)]
pub enum Moment {}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

//= NODE-API-35: UTC
/// RFC 3339 in UTC with milliseconds, ending in `Z`: `2026-01-31T12:00:00.000Z`.
#[must_use]
pub fn rfc3339_text(at: Wall) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{moment:.3}")
}

/// For serde fields.
///
/// # Errors
/// As the serializer says.
pub fn rfc3339<S: serde::Serializer>(at: &Wall, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339_text(*at))
}

/// For serde fields; `None` is `null`.
///
/// # Errors
/// As the serializer says.
pub fn rfc3339_option<S: serde::Serializer>(at: &Option<Wall>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => rfc3339(at, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= NODE-API-35
    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(rfc3339_text(Wall(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
        assert_eq!(rfc3339_text(Wall(1_700_000_000_000)), "2023-11-14T22:13:20.000Z");
    }
}
