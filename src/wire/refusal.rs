//! Why a caller is refused: it broke a rule. Stable codes, no HTTP; `serve/respond` turns them into answers.

use std::time::Duration;

/// A rule that a caller broke. Counted and answered with 4xx, never an alarm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No bearer where one is needed.
    #[error("no bearer token is shown")]
    TokenMissing,
    /// The bearer opens nothing here: unknown, expired or revoked. The caller is not told which.
    #[error("the bearer token is unknown, expired or revoked")]
    TokenUnknown,
    /// A spent refresh token was shown again; its family is closed by now. Told to the caller as `TokenUnknown`.
    #[error("the refresh token was spent before")]
    TokenReplayed,
    /// The grant's bearer or state was asked of another host than the grant names.
    #[error("the grant names another host than the one that was asked")]
    GrantOtherHost,
    /// A second grant with other tokens under a bearer whose grant was accepted.
    #[error("another grant was accepted under this bearer")]
    GrantAltered,
    /// No request with this `state` is waiting.
    #[error("no request with this state is waiting")]
    StateUnknown,
    /// The policy refuses the peer.
    #[error("{}the policy of this host refuses {host}", index.map_or_else(String::new, |index| format!("message {index}: ")))]
    Policy {
        /// The refused host.
        host: String,
        /// Position in a local app's messages, from 0, where one of them is for that host.
        index: Option<usize>,
    },
    /// A message whose `sender.host` is not the host that the bearer was given to.
    #[error("message {index}: sender.host is not the host that this token was given to")]
    SenderNotHolder {
        /// Position in `messages`, from 0.
        index: usize,
    },
    /// A message for a host that is not this one.
    #[error("message {index}: host is not this host")]
    NotForUs {
        /// Position in `messages`, from 0.
        index: usize,
    },
    /// Not of the form that the specification gives it.
    #[error("{what}")]
    Malformed {
        /// What is wrong and what would be right; never holds a secret.
        what: String,
        /// Position in `messages`, from 0, where a message is at fault.
        index: Option<usize>,
    },
    /// More messages or bytes than this host takes at once.
    #[error("{what}")]
    TooLarge {
        /// Which limit, and its value.
        what: String,
        /// Position in `messages`, from 0, where one message is too large.
        index: Option<usize>,
    },
    /// Over the rate.
    #[error("too many calls")]
    TooFast {
        /// When to come back.
        retry_after: Duration,
    },
}

impl Refusal {
    /// The stable code: the last part of the problem's `type`, and the metric's label.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TokenMissing => "token-missing",
            Self::TokenUnknown | Self::TokenReplayed => "token-unknown",
            Self::GrantOtherHost => "grant-other-host",
            Self::GrantAltered => "grant-altered",
            Self::StateUnknown => "state-unknown",
            Self::Policy { .. } => "policy",
            Self::SenderNotHolder { .. } => "sender-not-holder",
            Self::NotForUs { .. } => "not-for-us",
            Self::Malformed { .. } => "malformed",
            Self::TooLarge { .. } => "too-large",
            Self::TooFast { .. } => "too-fast",
        }
    }

    /// The message at fault, where there is one.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::SenderNotHolder { index } | Self::NotForUs { index } => Some(*index),
            Self::Malformed { index, .. } | Self::TooLarge { index, .. } | Self::Policy { index, .. } => {
                *index
            }
            Self::TokenMissing
            | Self::TokenUnknown
            | Self::TokenReplayed
            | Self::GrantOtherHost
            | Self::GrantAltered
            | Self::StateUnknown
            | Self::TooFast { .. } => None,
        }
    }
}
