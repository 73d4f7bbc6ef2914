//! What an engine needs below it: ordered keys in a few spaces, read singly or in a row, changed all or none.
//!
//! `memory` keeps them in trees, `embedded` in a log and in fjall. Everything above this file is the same for both, and so is what
//! one suite proves.

use crate::store::StoreError;

/// A set of keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Space {
    /// Service number and cursor: a message in an inbox.
    Inbox,
    /// Peer number and place: a message for another host.
    Outbox,
    /// Arrival: an entry of the window of repeats.
    Seen,
    /// Message id: what is known of an outgoing message.
    Status,
    /// Time of the end and message id, or settlement: what there is to prune.
    Ended,
    /// Peer number and last place: messages that one settlement delivered.
    Settled,
    /// Order of death: a message that was set aside.
    Dead,
    /// Small state: numbers, cursors, links, families.
    Small,
}

impl Space {
    /// All of them, in a fixed order: `ALL[space as usize] == space`.
    pub(crate) const ALL: [Self; 8] = [
        Self::Inbox,
        Self::Outbox,
        Self::Seen,
        Self::Status,
        Self::Ended,
        Self::Settled,
        Self::Dead,
        Self::Small,
    ];

    /// Whether its values may be large, and each is written once under a key of its own until the key is removed.
    pub(crate) fn is_bulk(self) -> bool {
        matches!(self, Self::Inbox | Self::Outbox)
    }

    /// Its name, on disk and in errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Outbox => "outbox",
            Self::Seen => "seen",
            Self::Status => "status",
            Self::Ended => "ended",
            Self::Settled => "settled",
            Self::Dead => "dead",
            Self::Small => "small",
        }
    }
}

/// The longest key: fjall keeps its length in 16 bits.
pub(crate) const KEY_BYTES_MAX: usize = 60_000;

/// One change: a value, or none to remove the key.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// Where.
    pub(crate) space: Space,
    /// Which.
    pub(crate) key: Vec<u8>,
    /// What.
    pub(crate) value: Option<Vec<u8>>,
}

/// Takes a key and its value; `false` ends the scan.
pub(crate) type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError>;

/// The keys of one store.
pub(crate) trait Kv: Send + Sync {
    /// The value of a key.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// From `from` to `to`, both included, in order.
    fn scan(&self, space: Space, from: &[u8], to: &[u8], each: Each<'_>) -> Result<(), StoreError>;

    /// The last key from `from` to `to`, both included.
    fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// All changes or none, durable when it returns.
    fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError>;
}
