//! Why a verb was not done, by who is at fault.

use std::{sync::Arc, time::Duration};

use crate::wire::refusal::Refusal;

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
    /// What is asked for is on the disk and cannot be read: 500. The log says where it lies.
    #[error("a part of what this host keeps for you is damaged: its operator finds in its log where it lies")]
    Damaged,
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
    /// A folder that cannot take a backup: 409. Nothing is left there.
    #[error("{0}")]
    Backup(String),
    /// No such message or peer: 404.
    #[error("{0}")]
    NotFound(String),
    /// The cursor is not one of this inbox: 400.
    #[error("the cursor is not one of this inbox")]
    Cursor,
    /// No answer in time: 504.
    #[error("no answer to the request {id} came {when}: {next}")]
    Unanswered {
        /// The request's id.
        id: Arc<str>,
        /// Until when was waited: to follow "came".
        when: String,
        /// What can be expected of it.
        next: String,
    },
    /// The peer did not do its part: 502.
    #[error("{step}: {reason}")]
    Peer {
        /// The failing step: `look-up`, `request`, `grant`, `refresh`.
        step: &'static str,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// No dead message has the id, or whoever asks may not see it.
    #[must_use]
    pub fn no_dead_message() -> Self {
        Self::NotFound("no dead message has this id, or the app may not see it".to_owned())
    }

    //= NODE-API-19: the same, whether there is none or it is not to be seen
    /// No message has the id, or whoever asks may not see it.
    #[must_use]
    pub fn no_message() -> Self {
        Self::NotFound("no message has this id, or the app may not see it".to_owned())
    }

    /// A request that may still be answered; `when`, until when was waited, follows "came".
    #[must_use]
    pub fn unanswered(id: Arc<str>, when: String) -> Self {
        Self::Unanswered { id, when, next: "it goes to the inbox when it comes".to_owned() }
    }

    /// The node ends; what was taken is kept.
    #[must_use]
    pub fn stopping() -> Self {
        Self::Unavailable { what: "the node is stopping".to_owned(), retry_after: Duration::from_secs(1) }
    }
}
