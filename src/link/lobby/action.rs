//! What the lobby tells the shell to do, and how a grant may end.

use std::time::Duration;

use crate::{
    token::family::NewPair,
    wire::{
        exchange::{FreshPair, TokenOffer},
        host::PeerHost,
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
}

/// What the shell is told to do.
#[derive(Clone, Debug)]
pub enum Action {
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
        /// The token of the request.
        bearer: HeldToken,
        /// Our pair; the very same in each try.
        pair: FreshPair,
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
        /// What the peer offered.
        offer: TokenOffer,
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
