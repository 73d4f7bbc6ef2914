//! What the store keeps: plain records. `link` and `token` convert to and from them; engines write them.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cursor::Cursor,
    family::{FailureRecord, FamilyRecord},
    host::PeerHost,
    packet::ServiceKey,
    parameters::{Published, Revision},
    secret::{Digest, HeldToken},
    time::Wall,
};

/// A place in the outbox: grows with acceptance over all peers, starts at 1. 0 stands before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

/// A message on its way into an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxItem {
    /// Whose inbox.
    pub service: ServiceKey,
    /// The sender host's id of it: with the host it is what repeats are recognised by.
    pub id: ByteString,
    /// The whole message.
    pub raw: Bytes,
    /// `packet::content_sum` of it: a repeat with another one is altered.
    pub content_sum: u64,
}

/// What one packet brings, one commit.
#[derive(Clone, Debug, Default)]
pub struct InboxBatch {
    /// The host that the connection authenticated. `None` only where there is no item, just marks.
    pub from: Option<PeerHost>,
    /// When it came.
    pub received: Wall,
    /// Its messages, in order.
    pub items: Vec<InboxItem>,
    /// State that belongs to the same commit: the mark of a token's first use.
    pub marks: Vec<VaultWrite>,
}

/// What became of an `InboxBatch`, once it is on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Messages kept.
    pub kept: usize,
    /// Messages that were there already.
    pub repeats: usize,
    /// Ids of repeats that carried another content than the first; the first was kept.
    pub altered: Vec<ByteString>,
}

/// A message in an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxEntry {
    /// Its place.
    pub cursor: Cursor,
    /// When it came.
    pub received: Wall,
    /// The host that sent it; our own name for a message between two of our services.
    pub from: PeerHost,
    /// The whole message.
    pub raw: Bytes,
}

/// A message on its way into the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxItem {
    /// Unique in this host, made by the app or by us.
    pub id: Arc<str>,
    /// The destination host.
    pub host: PeerHost,
    /// `Some` where the destination is one of our own services: the message goes straight to that inbox, in the same
    /// commit, and its state is delivered.
    pub own: Option<ServiceKey>,
    /// The service that sends it.
    pub sender: ServiceKey,
    /// The whole message as it will be sent.
    pub raw: Bytes,
    /// Digest of what makes two messages of one id the same: interpreted strings, payload, other properties.
    pub content: [u8; 32],
    /// When it becomes dead.
    pub expires: Wall,
    /// The peer's count of failed tries when it was accepted (`MessageStatus::tries_before`).
    pub tries_before: u64,
}

/// Messages accepted by one call, one commit, all or none.
#[derive(Clone, Debug)]
pub struct OutboxBatch {
    /// In the order given.
    pub items: Vec<OutboxItem>,
    /// When they were accepted.
    pub queued: Wall,
}

/// What became of an `OutboxBatch`, once it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// All are kept.
    All {
        /// For each its state: an id that was there already with the same content keeps the one it has.
        states: Vec<MessageState>,
        /// How many were not there already.
        fresh: usize,
    },
    /// Nothing is kept: the message at this position has the id of another one with other content.
    Conflict(usize),
}

/// Where an outgoing message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MessageState {
    /// In the outbox.
    Queued,
    /// The peer answered 204 to its packet, or it lies in our own inbox.
    Delivered,
    /// Set aside.
    Dead,
}

/// A message in the outbox, for its courier.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mail {
    /// Its place.
    pub seq: Seq,
    /// Its id.
    pub id: Arc<str>,
    /// The whole message.
    pub raw: Bytes,
    /// When it becomes dead.
    pub expires: Wall,
}

/// What is known of an outgoing message, kept 7 days after its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageStatus {
    /// Its id.
    pub id: Arc<str>,
    /// The destination host.
    pub host: PeerHost,
    /// The service that sent it.
    pub sender: ServiceKey,
    /// Where it is.
    pub state: MessageState,
    /// The peer's count of failed tries when it was accepted; the tries it saw are today's count less this one.
    pub tries_before: u64,
    /// Tries that ended without 204, fixed when it ended; while it is queued the peer's count tells.
    pub attempts: u64,
    /// Why the last try failed or why it is dead, fixed when it ended.
    pub last_error: Option<String>,
    /// When it was accepted.
    pub queued: Wall,
    /// When it was delivered or set aside.
    pub ended: Option<Wall>,
}

/// A message that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadMail {
    /// Its place among the dead: grows in the order in which they died.
    pub place: u64,
    /// What is known of it.
    pub status: MessageStatus,
    /// The whole message.
    pub raw: Bytes,
}

/// Which dead messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadFilter {
    /// Of these sending services; of all where `None`.
    pub senders: Option<Vec<ServiceKey>>,
    /// For this host; for all where `None`.
    pub host: Option<PeerHost>,
    /// After this place.
    pub after: u64,
}

impl DeadFilter {
    /// Whether it is one of these.
    #[must_use]
    pub fn takes(&self, status: &MessageStatus) -> bool {
        self.senders.as_ref().is_none_or(|senders| senders.contains(&status.sender))
            && self.host.as_ref().is_none_or(|host| *host == status.host)
    }
}

/// What came of sending to one peer, one commit; several where large messages are set aside, the marks with the last.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The peer.
    pub host: PeerHost,
    /// When.
    pub now: Wall,
    /// Its count of failed tries by now.
    pub tries: u64,
    /// Answered with 204.
    pub delivered: Vec<Seq>,
    /// Set aside, with the reason.
    pub dead: Vec<(Seq, String)>,
    /// State that belongs to the same commit.
    pub marks: Vec<VaultWrite>,
}

/// The mail that waits for one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The peer.
    pub host: PeerHost,
    /// Messages.
    pub messages: u64,
    /// When the oldest was accepted.
    pub oldest: Wall,
}

/// A change to the small state by key.
#[derive(Clone, Debug)]
pub enum VaultWrite {
    /// Write a link.
    PutLink(Box<LinkRecord>),
    /// Forget a link, and with it all families of this subject.
    DropLink(PeerHost),
    /// Write a family.
    PutFamily(Box<FamilyRecord>),
    /// Forget a family.
    DropFamily {
        /// Whose.
        subject: String,
        /// Which.
        id: u64,
    },
}

/// All small state, read at start.
#[derive(Clone, Debug, Default)]
pub struct VaultContents {
    /// One per peer.
    pub links: Vec<LinkRecord>,
    /// In no order.
    pub families: Vec<FamilyRecord>,
}

/// One peer, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LinkRecord {
    /// The peer.
    pub host: PeerHost,
    /// Tokens that it gave us, newest first. Engines on disk seal them.
    #[serde(default)]
    pub held: Vec<HeldRecord>,
    /// Grants that we accepted, for recognising the same again.
    #[serde(default)]
    pub repeats: Vec<RepeatRecord>,
    /// Failed tries since we know it.
    #[serde(default)]
    pub tries: u64,
    /// Failures without a success between.
    #[serde(default)]
    pub failures: u32,
    /// When something authenticated last came from it.
    #[serde(default)]
    pub heard: Option<Wall>,
    /// When a packet or an exchange last succeeded.
    #[serde(default)]
    pub succeeded: Option<Wall>,
    /// When a call last failed, and why.
    #[serde(default)]
    pub failed: Option<FailureRecord>,
    /// Its host information, as it was found.
    #[serde(default)]
    pub published: Option<Published>,
    /// An operator wants nothing sent to it.
    #[serde(default)]
    pub paused: bool,
    /// Messages that it condemned since its last 204.
    #[serde(default)]
    pub condemned: u32,
}

impl LinkRecord {
    /// Of a peer of which nothing is known.
    #[must_use]
    pub fn new(host: PeerHost) -> Self {
        Self {
            host,
            held: Vec::new(),
            repeats: Vec::new(),
            tries: 0,
            failures: 0,
            heard: None,
            succeeded: None,
            failed: None,
            published: None,
            condemned: 0,
            paused: false,
        }
    }
}

/// What a peer gave us.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HeldRecord {
    /// Shown with packets.
    pub token: HeldToken,
    /// Shown for new ones; none with R3.
    #[serde(default)]
    pub refresh: Option<HeldToken>,
    /// R2: its lifetime was written as a moment alone.
    #[serde(default)]
    pub dated: bool,
    /// When it came.
    pub received: Wall,
    /// When `token` runs out.
    pub expires: Wall,
    /// Whether a packet sent with it, or with the one that it was refreshed from, was answered with 204.
    pub confirmed: bool,
    /// Whether the host itself gave it, as far as can be told before it is shown: by an exchange that we began, or with a request
    /// from an address that is likely its own.
    #[serde(default)]
    pub sure: bool,
}

impl HeldRecord {
    /// The revision that it came by.
    #[must_use]
    pub fn revision(&self) -> Revision {
        match (&self.refresh, self.dated) {
            (None, _) => Revision::R3,
            (Some(_), true) => Revision::R2,
            (Some(_), false) => Revision::R1,
        }
    }
}

impl fmt::Debug for HeldRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldRecord")
            .field("expires", &self.expires)
            .field("confirmed", &self.confirmed)
            .finish_non_exhaustive()
    }
}

/// A grant that we accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RepeatRecord {
    /// The bearer that it came with, or with R3 the state.
    pub ask: Digest,
    /// The token that it brought.
    pub token: Digest,
    /// The refresh token that it brought; none with R3.
    #[serde(default)]
    pub refresh: Option<Digest>,
    /// How long it is remembered.
    pub expires: Wall,
}
