//! How much the store keeps.

use std::time::Duration;

use crate::wire::limits;

/// What the store must know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a message is recognised. Default: 8 days.
    pub dedupe: Duration,
    /// Entries in the window per peer; its own oldest goes first. Default: 1,000,000.
    pub dedupe_per_peer: usize,
    /// Entries in the window in all; the oldest of the peer with the most entries goes first. Default: 10,000,000.
    pub dedupe_total: usize,
    /// Below this much free space nothing more is taken. Default: 256 MiB.
    pub free_space_min: u64,
    /// Batches that wait for the disk. Default: `limits::STORE_QUEUE_BATCHES`.
    pub queue_batches: usize,
    /// How much may be queued.
    pub outbox: OutboxBounds,
}

/// How much may be queued. The one part of the settings that can be changed while an engine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxBounds {
    /// Queued messages in all. Default: 1,000,000.
    pub messages: u64,
    /// Queued messages per peer. Default: 100,000.
    pub messages_per_peer: u64,
}

impl Default for OutboxBounds {
    fn default() -> Self {
        Self { messages: limits::OUTBOX_MESSAGES, messages_per_peer: limits::OUTBOX_MESSAGES_PER_PEER }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            //= HT-PKT-16: 8 days
            dedupe: Duration::from_secs(8 * 24 * 3600),
            dedupe_per_peer: 1_000_000,
            dedupe_total: 10_000_000,
            free_space_min: 256 * 1024 * 1024,
            queue_batches: limits::STORE_QUEUE_BATCHES,
            outbox: OutboxBounds::default(),
        }
    }
}
