//! What the lobby tells the shell to do, and how a grant may end.

use std::{fmt, time::Duration};

use super::waiting::Origin;
use crate::{
    link::peer::Standing,
    token::family::NewPair,
    wire::{
        exchange::{FreshAccess, FreshPair, TokenOffer},
        host::PeerHost,
        parameters::Parameters,
        secret::HeldToken,
    },
};

/// How a grant ended without success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// 401 or 403: somebody used the peer's name.
    Misused(String),
    /// Another refusal.
    Refused(String),
    /// No answer in time.
    Unanswered(String),
    /// The offered tokens or the link could not be kept.
    NotKept,
    /// As many tokens as may be are in use, or surely the host's.
    NoPlace,
    /// An operator forgot the host meanwhile.
    Forgotten,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Misused(reason) => write!(f, "the host says that it did not ask ({reason})"),
            Self::Refused(reason) | Self::Unanswered(reason) => f.write_str(reason),
            Self::NotKept => f.write_str("what it needs could not be kept on disk"),
            Self::NoPlace => f.write_str("as many tokens as may be are out"),
            Self::Forgotten => f.write_str("the host was forgotten meanwhile"),
        }
    }
}

/// What became of a link that a taken grant makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// It is on disk.
    Kept,
    /// It could not be kept.
    Lost,
    /// There is no place for it.
    NoPlace,
}

/// What forgetting a host came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgot {
    /// Nothing is offered to it.
    Nothing,
    /// What is offered is withdrawn.
    Offered,
    /// The host has what was offered, and the link is on its way to the disk: forget again when that has ended.
    Taking,
}

/// How a host is spoken to, which addresses it has, and how it stands with us.
#[derive(Clone, Debug)]
pub struct LookedUp {
    /// How it is spoken to.
    pub parameters: Parameters,
    /// Where it is, as far as is known.
    pub addresses: Vec<Origin>,
    /// How it stands.
    pub standing: Standing,
}

/// Why it is not known how a host is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// For people.
    pub reason: String,
    /// For our own bounds alone: it is looked up again.
    pub busy: bool,
}

/// Our grant: the very same in each try.
#[derive(Clone, Debug)]
pub enum Grant {
    /// R1 and R2: under the token of the request.
    Tokens {
        /// Shown as bearer.
        bearer: HeldToken,
        /// Our pair.
        pair: FreshPair,
    },
    /// R3: with the state of the request.
    State {
        /// Repeated in the body.
        state: HeldToken,
        /// Our token.
        access: FreshAccess,
    },
}

/// What the shell is told to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Look how this host is spoken to, and which addresses it has: then `looked_up`.
    LookUp {
        /// Whom.
        host: PeerHost,
        /// Whether the host is a stranger.
        stranger: bool,
        /// Whether the client address is likely the host's own: its addresses need not be known.
        likely: bool,
        /// Whether what is known must not be old: it is all that stands between a stranger and the host's name.
        recent: bool,
    },
    /// No grant will come of a request.
    Drop {
        /// In whose name it came.
        host: PeerHost,
        /// Why.
        reason: String,
    },
    /// Commit these tokens as offered: then `kept`.
    Offer {
        /// To whom.
        host: PeerHost,
        /// The family's id.
        family: u64,
        /// Its first pair.
        pair: NewPair,
    },
    /// Grant: then `answered`.
    Grant {
        /// To whom.
        host: PeerHost,
        /// What.
        grant: Grant,
        /// What is left of the time for it.
        deadline: Duration,
        /// Whether the host is a stranger: its connection is not kept.
        stranger: bool,
    },
    /// Make a link of it (`Event::GrantTaken`): then `finished`.
    Take {
        /// Of which host.
        host: PeerHost,
        /// The family's id.
        family: u64,
        /// Its first pair.
        pair: NewPair,
        /// What the peer offered; nothing with R3.
        offer: Option<TokenOffer>,
        /// It was asked from an address that is likely the host's own.
        likely: bool,
    },
    /// Drop what was offered.
    Withdraw {
        /// To whom.
        host: PeerHost,
        /// The family's id.
        family: u64,
        /// Its first pair.
        pair: NewPair,
        /// Why.
        ended: Ended,
    },
}
