//! The memory: three small traits and their engines.
//!
//! The promise, proven by one suite for every engine (`tests/store`):
//!
//! - What a `Receipt` has said is kept survives a crash at any moment. What it has not said may survive or not, but
//!   never in part: a batch is one commit.
//! - Appending hands over and returns; it never waits for the disk. The queue behind it is bounded: `Full` says so.
//! - A caller that drops its `Receipt` does not take its batch back.
//! - After a failed commit nothing is acknowledged that may not be there: its receipts end in `Doubt`, its entries in
//!   the window of repeats are taken back, and the engine refuses further writes until it has read itself again.
//! - Messages come out in the order in which they were handed over, per inbox and per peer.
//!
//! This file is a floor that the engines import; only `app` names an engine.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    telemetry::histogram::Spread,
    wire::{
        cursor::Cursor,
        host::PeerHost,
        packet::ServiceKey,
        record::{
            Accepted, Appended, DeadFilter, DeadMail, InboxBatch, InboxEntry, Mail, MessageStatus,
            OutboxBatch, Seq, Settlement, VaultContents, VaultWrite, Waiting,
        },
        time::Wall,
    },
};

pub mod embedded;
mod engine;
pub mod memory;
mod settings;

pub use settings::{OutboxBounds, Settings};

/// How far from the last time seen a start may be until the wall clock is not believed for an hour.
pub const STRANGE_START: Duration = Duration::from_secs(24 * 3600);

/// Our own trouble with the memory: 503 outside, an alarm inside.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue to the disk is full: come back in a moment. Nothing was taken.
    #[error("the queue to the disk is full")]
    Full,
    /// The outbox holds as much as it may (`limits.outbox-messages`, `limits.outbox-messages-per-peer`). Nothing was taken.
    #[error("the outbox is full: {0}")]
    OutboxFull(String),
    /// Less free space than `limits.free-space-min`. Nothing was taken.
    #[error("too few bytes are free under the data folder: limits.free-space-min is {min_bytes}")]
    Space {
        /// The configured floor.
        min_bytes: u64,
    },
    /// A commit failed: whether it is on disk is not known, so it is not acknowledged.
    #[error("a commit failed and is in doubt: {0}")]
    Doubt(Arc<str>),
    /// The folder is in use by another process.
    #[error("the data folder {0} is in use by another process: stop that one, or set another data-dir")]
    Locked(Arc<str>),
    /// The folder was written by a newer version.
    #[error(
        "the data folder was written by a newer version (format {found}, this one reads up to {known}): use that version"
    )]
    Newer {
        /// What the folder says.
        found: u32,
        /// What this program reads.
        known: u32,
    },
    /// What is on disk cannot be read as what it should be.
    #[error("the data folder is damaged: {0}")]
    Damaged(Arc<str>),
    /// The system refused.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried, with the path.
        what: Arc<str>,
        /// What the system said.
        cause: Arc<str>,
    },
    /// A folder cannot take a backup. Nothing is left there.
    #[error("no backup can be made in {dir}: {why}")]
    Backup {
        /// The folder that was named.
        dir: Arc<str>,
        /// What is wrong with it.
        why: Arc<str>,
    },
    /// The engine has been closed.
    #[error("the store is closed")]
    Closed,
}

//= HT-CRASH-06: ends when it is on disk
/// Ends when the batch is on disk. Dropping it does not take the batch back.
#[derive(Debug)]
pub struct Receipt<T>(oneshot::Receiver<Result<T, StoreError>>);

impl<T> Receipt<T> {
    /// A receipt and the end that the engine answers.
    #[must_use]
    pub fn pending() -> (oneshot::Sender<Result<T, StoreError>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// Waits on a thread that runs no async task.
    ///
    /// # Errors
    /// As the engine says.
    pub fn wait(self) -> Result<T, StoreError> {
        self.0.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }
}

impl<T> Future for Receipt<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answer| answer.unwrap_or(Err(StoreError::Closed)))
    }
}

/// Messages for our services, in order per service.
pub trait Inbox: Send + Sync {
    /// Keeps a packet's messages, each once: repeats are recognised by sender host and id. The marks are committed with
    /// it. A repeat in a later batch is answered no earlier than its first is on disk.
    ///
    /// # Errors
    /// `Full`, `Space`, `Doubt`, `Closed`; nothing was taken then.
    fn append(&self, batch: InboxBatch) -> Result<Receipt<Appended>, StoreError>;

    /// Reads on from `after`, oldest first: at most `max` entries and, beyond the first, at most `bytes_max` bytes.
    ///
    /// # Errors
    /// `Io`, `Damaged`, `Closed`.
    fn read(
        &self,
        service: &ServiceKey,
        after: Cursor,
        max: usize,
        bytes_max: usize,
    ) -> Result<Vec<InboxEntry>, StoreError>;

    //= NODE-API-24: from the oldest kept
    /// What `app` has acknowledged last in `service`; `Cursor(0)` for a new app.
    ///
    /// # Errors
    /// `Io`, `Damaged`, `Closed`.
    fn acknowledged(&self, app: &str, service: &ServiceKey) -> Result<Cursor, StoreError>;

    /// Acknowledges everything up to `cursor` for `app`. Never moves backward. `false`, and nothing changes, where `cursor`
    /// lies beyond the last message that ever was in this inbox.
    ///
    /// # Errors
    /// As `append`.
    fn acknowledge(
        &self,
        app: &str,
        service: &ServiceKey,
        cursor: Cursor,
    ) -> Result<Receipt<bool>, StoreError>;

    /// The last cursor that was given in this inbox; `Cursor(0)` where none was. Cheap: kept in memory.
    ///
    /// # Errors
    /// `Closed`.
    fn last(&self, service: &ServiceKey) -> Result<Cursor, StoreError>;

    /// Removes what every app of `apps` has acknowledged (none entitled: nothing), and what came before `keep_from`
    /// whoever has read it. Answers how many were removed unread by an entitled app.
    ///
    /// # Errors
    /// As `append`.
    fn trim(
        &self,
        service: &ServiceKey,
        apps: &[String],
        keep_from: Wall,
    ) -> Result<Receipt<u64>, StoreError>;

    /// The services that have an inbox, for trimming.
    ///
    /// # Errors
    /// `Io`, `Damaged`, `Closed`.
    fn services(&self) -> Result<Vec<ServiceKey>, StoreError>;
}

/// Messages for other hosts, in order per host.
pub trait Outbox: Send + Sync {
    /// Accepts messages, all or none. An id that is known with the same content is not queued again and keeps its state; a
    /// batch of such needs no room.
    ///
    /// # Errors
    /// `Full`, `OutboxFull`, `Space`, `Doubt`, `Closed`; nothing was taken then.
    fn append(&self, batch: OutboxBatch) -> Result<Receipt<Accepted>, StoreError>;

    /// The next for a peer after `after`, oldest first: at most `max` and, beyond the first, at most `bytes_max` bytes
    /// counting one more for each message.
    ///
    /// # Errors
    /// `Io`, `Damaged`, `Closed`.
    fn load(
        &self,
        host: &PeerHost,
        after: Seq,
        max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Mail>, StoreError>;

    /// Settles what was sent; a place that is settled already changes nothing.
    ///
    /// # Errors
    /// `Full`, `Doubt`, `Closed`; never `Space`: settling gives room.
    fn settle(&self, settlement: Settlement) -> Result<Receipt<()>, StoreError>;

    /// What is known of a message.
    ///
    /// # Errors
    /// `Io`, `Damaged`, `Closed`.
    fn status(&self, id: &str) -> Result<Option<MessageStatus>, StoreError>;

    /// The peers that have mail waiting, with how much. Cheap: kept in memory.
    fn waiting(&self) -> Vec<Waiting>;

    /// As `waiting`, for one peer; `None` where nothing waits.
    fn waiting_for(&self, host: &PeerHost) -> Option<Waiting>;

    /// Queued messages whose time to live is over at `now`, at most `max`.
    ///
    /// # Errors
    /// `Io`, `Damaged`, `Closed`.
    fn due(&self, now: Wall, max: usize) -> Result<Vec<(PeerHost, Seq)>, StoreError>;

    /// Dead messages in the order in which they died, those that `filter` takes, at most `max`, ending with the one that
    /// reaches `limits::INBOX_READ_BYTES`.
    ///
    /// # Errors
    /// `Io`, `Damaged`, `Closed`.
    fn dead(&self, filter: &DeadFilter, max: usize) -> Result<Vec<DeadMail>, StoreError>;

    /// How many dead messages there are. Cheap.
    fn dead_count(&self) -> u64;

    /// The place of the message that died last: what dies from here on comes behind it. Cheap.
    fn dead_last(&self) -> u64;

    /// Queues a dead message again at the tail of its peer; the time that it may live starts anew at `now`, and ends at
    /// `expires` where an earlier version did not note how long that is. `false` where there is no dead message of this id.
    ///
    /// # Errors
    /// As `append`.
    fn revive(
        &self,
        id: &str,
        now: Wall,
        expires: Wall,
        tries_before: u64,
    ) -> Result<Receipt<bool>, StoreError>;

    /// Other bounds from here on. What is queued stays, also where it is more.
    fn bound(&self, bounds: OutboxBounds);

    /// Deletes a dead message for good; its id and state stay until they are pruned. `false` where there is no dead message
    /// of this id.
    ///
    /// # Errors
    /// `Full`, `Doubt`, `Closed`.
    fn bury(&self, id: &str, now: Wall) -> Result<Receipt<bool>, StoreError>;

    /// Forgets what ended before `before`: ids and states of messages that were delivered, or deleted when dead. Dead messages stay.
    ///
    /// # Errors
    /// `Full`, `Doubt`, `Closed`.
    fn prune(&self, before: Wall) -> Result<Receipt<u64>, StoreError>;
}

/// Small state by key: links and families.
pub trait Vault: Send + Sync {
    /// Everything, at start.
    ///
    /// # Errors
    /// `Io`, `Damaged`, `Closed`.
    fn read(&self) -> Result<VaultContents, StoreError>;

    /// Writes, all in one commit, in this order.
    ///
    /// # Errors
    /// `Full`, `Doubt`, `Closed`.
    fn commit(&self, writes: Vec<VaultWrite>) -> Result<Receipt<()>, StoreError>;
}

/// An engine: the three together, and its health.
pub trait Store: Inbox + Outbox + Vault {
    /// `Err` says why nothing more is taken at the moment: `Space`, `Doubt`, `Closed`.
    ///
    /// # Errors
    /// As said.
    fn healthy(&self) -> Result<(), StoreError>;

    /// The wall time up to which an earlier run is known to have gone, as found at open; `None` where there was none, and
    /// from an engine that keeps none. An engine that lives on writes it at most once a minute, with a commit that
    /// happens anyway, and at close; never a time that it does not believe. So a start more than a day away from it
    /// (`STRANGE_START`), in either direction, was either a long rest or has a wrong clock, and the engine lets nothing
    /// expire for its first hour; a caller that deletes by age should do as much.
    fn last_seen(&self) -> Option<Wall>;

    /// Figures for the metrics.
    fn figures(&self) -> Figures;

    /// Copies all that is kept at one moment after the call into the new folder `dir` (absolute; not there yet, or empty), which
    /// can be opened as a store. All that was acknowledged before the call is in it, and of each commit all or nothing. The store
    /// goes on meanwhile. Blocks until the copy is on disk; asks `go_on` now and then, and gives up where that says no.
    ///
    /// # Errors
    /// `Backup` where the folder cannot take it, or another backup is under way; `Doubt`, `Io`, `Damaged`; `Closed`, also where
    /// `go_on` said no. Nothing is left of it then.
    fn backup(&self, dir: &Path, go_on: &dyn Fn() -> bool) -> Result<Backup, StoreError>;

    /// Commits what has been handed over and ends; later calls answer `Closed`. Blocks until it is done.
    fn close(&self);
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backup {
    /// Bytes of all keys and values.
    pub bytes: u64,
    /// Messages in the inboxes of all services.
    pub inbox: u64,
    /// Messages that wait for other hosts.
    pub outbox: u64,
    /// Dead messages.
    pub dead: u64,
}

/// What an engine counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Commits made.
    pub commits: u64,
    /// Batches that they held.
    pub batches: u64,
    /// Commits that failed.
    pub failed_commits: u64,
    /// Reads that met something that is not as it should be.
    pub damaged_reads: u64,
    /// How long those that were made took to be on disk; nothing from an engine that has none.
    pub commit_time: Spread,
    /// Room left where the store lies; `None` where that is not known.
    pub free_bytes: Option<u64>,
    /// Below it nothing more is taken.
    pub free_bytes_min: u64,
    /// What the log takes; `None` from an engine that has none, or where that is not known.
    pub log: Option<LogFigures>,
    /// Entries in the window of repeats.
    pub window_entries: u64,
    /// Entries that left it before their time, for want of room.
    pub window_evicted: u64,
}

/// What the log takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogFigures {
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of messages that are needed.
    pub live: u64,
}
