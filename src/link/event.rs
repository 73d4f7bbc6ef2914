//! What can happen to a peer, what the shell may be told to do, and what is reported.

use std::time::Duration;

use crate::wire::{
    answer::{CallError, Refreshed, Reply},
    exchange::{FreshPair, StateGrant, TokenOffer},
    parameters::Found,
    record::{HeldRecord, Mail, RepeatRecord, Seq},
    refusal::Refusal,
    secret::{Digest, FreshSecret, HeldToken},
};

use crate::token::family::NewPair;

/// Names a call that waits for an outcome; made by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId(pub u64);

/// What a grant is recognised by: its kind and a digest. At another door the same digest is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantKey {
    /// R1 and R2: the token of our request, shown as the bearer.
    Bearer(Digest),
    /// R3: the state of our request, repeated in the body.
    State(Digest),
}

/// A grant that came.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Granted {
    /// R1 and R2.
    Tokens {
        /// Digest of its bearer.
        bearer: Digest,
        /// What it says.
        offer: TokenOffer,
    },
    /// R3.
    State(StateGrant),
}

/// Our request for a token.
#[derive(Clone, Debug)]
pub enum Ask {
    /// R1 and R2: with tokens of ours.
    Tokens(FreshPair),
    /// R3: with a state.
    State(FreshSecret),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// There is mail for this peer.
    MailQueued,
    /// What `Action::LoadMail` found: at most what was asked for, empty when there is no more.
    MailLoaded(Vec<Mail>),
    /// `Action::LoadMail` failed.
    MailNotLoaded(String),
    /// These messages' time to live is over.
    MailExpired(Vec<Seq>),
    /// An operator sets these messages aside, for this reason.
    MailPurged(Vec<Seq>, String),
    /// The packet of `Action::Send` came to this.
    Sent(Reply),
    /// `Action::Settle` is on disk.
    Settled,
    /// `Action::Settle` failed.
    NotSettled,
    /// How the peer is spoken to: what `Action::LookUp` came to, or news that nobody asked for.
    Found(Result<Found, CallError>),
    /// The request of `Action::Ask` came to this.
    Asked(Reply),
    /// A grant came.
    GrantArrived {
        /// The caller that waits.
        call: CallId,
        /// What it is.
        grant: Granted,
    },
    /// Our grant to this peer was answered with 204: it opens a family, and the peer's tokens may be used.
    GrantTaken {
        /// The family's id.
        family: u64,
        /// Its first pair.
        pair: NewPair,
        /// What the peer offered with its request; nothing with R3.
        offer: Option<TokenOffer>,
        /// It was asked from an address that is likely the peer's own.
        likely: bool,
    },
    /// The refresh of `Action::Refresh` came to this.
    Refreshed(Refreshed),
    /// `Action::Keep` is on disk.
    Kept,
    /// `Action::Keep` failed.
    NotKept,
    /// Something that this peer's token authenticated came.
    Heard,
    /// An operator wants an exchange now.
    ConnectWanted,
    /// An operator ends the rest, whatever it is for.
    RetryWanted,
    /// An operator wants nothing sent, or wants it sent again.
    PauseWanted(bool),
    /// An operator wants a refresh now.
    RefreshWanted,
    /// The moment of `wake_at` has come.
    Woken,
}

/// What the shell is told to do. It is started, never awaited: its completion is an event.
#[derive(Clone, Debug)]
pub enum Action {
    /// Look how the peer is spoken to: then `Found`.
    LookUp,
    /// Ask the peer for a token: then `Asked`.
    Ask(Ask),
    /// Show the refresh token: then `Refreshed`.
    Refresh(HeldToken),
    /// Read mail after this place: then `MailLoaded` or `MailNotLoaded`.
    LoadMail {
        /// Places up to this one are done.
        after: Seq,
        /// Messages at most.
        messages: usize,
        /// Bytes at most, beyond the first message.
        bytes: usize,
    },
    /// Send these as one packet: then `Sent`.
    Send {
        /// Shown as bearer.
        token: HeldToken,
        /// In order, at least one.
        mail: Vec<Mail>,
    },
    /// Settle these in the outbox, with the link's record: then `Settled` or `NotSettled`.
    Settle {
        /// Answered with 204.
        delivered: Vec<Seq>,
        /// Set aside, with the reason.
        dead: Vec<(Seq, String)>,
    },
    /// Commit this with the link's record: then `Kept` or `NotKept`.
    Keep(Change),
    /// There is no place for this family that our grant offered: it comes to nothing.
    Untaken {
        /// The family's id.
        family: u64,
    },
    /// Answer the caller of a grant.
    AnswerGrant {
        /// Which caller.
        call: CallId,
        /// 204, or why not. `None`: it could not be kept, 503.
        verdict: Option<Result<(), Refusal>>,
    },
    /// Write the link's record when convenient: nothing waits for it.
    Save,
    /// Report.
    Note(Fact),
}

/// A change of what is kept about a peer: applied when it is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A grant of the peer was accepted.
    Granted {
        /// The caller to answer.
        call: CallId,
        /// The tokens that it brought.
        held: HeldRecord,
        /// For recognising it again.
        repeat: RepeatRecord,
        /// The family that the ask token opens; none with R3.
        opens: Option<(u64, NewPair)>,
    },
    /// The peer took our grant.
    Taken {
        /// The tokens that its request brought; none with R3.
        held: Option<HeldRecord>,
        /// The family that was offered.
        family: u64,
        /// Its pair.
        pair: NewPair,
    },
    /// A refresh brought new tokens for these.
    Renewed {
        /// The access token that is replaced.
        old: Digest,
        /// The tokens that came.
        held: HeldRecord,
    },
}

impl Change {
    /// The family that it opens.
    #[must_use]
    pub fn opens(&self) -> Option<(u64, NewPair)> {
        match self {
            Self::Granted { opens, .. } => *opens,
            Self::Taken { family, pair, .. } => Some((*family, *pair)),
            Self::Renewed { .. } => None,
        }
    }
}

/// What is reported: becomes a count, a log line, an answer to an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An exchange began.
    AskStarted,
    /// An exchange failed: the step and why.
    AskFailed(String),
    /// The peer's grant was accepted and kept.
    GrantAccepted,
    /// A grant came again.
    GrantRepeated,
    /// The peer answered our grant with 204.
    GrantTaken {
        /// It proves that the peer took it: not with R3.
        surely: bool,
    },
    /// New tokens by refresh are kept.
    RefreshDone,
    /// The peer refused the refresh; we exchange anew.
    RefreshRefused(String),
    /// The refresh got no answer; it is tried again.
    RefreshFailed(String),
    /// A packet was answered with 204.
    PacketDelivered {
        /// Its messages.
        messages: usize,
    },
    /// A packet got no 204.
    PacketFailed(String),
    /// The peer does not know a token of its own any more: a packet under it got 401.
    TokenRefused(String),
    /// Messages were set aside.
    MailDead {
        /// How many.
        messages: usize,
        /// Why the first of them.
        reason: String,
    },
    /// The link came up: the first success after a failure, or ever.
    LinkUp,
    /// The link went down: the first failure after a success, or ever.
    LinkDown {
        /// Why.
        reason: String,
        /// When it is tried again.
        wait: Duration,
    },
    /// The peer refuses the link; messages stay queued.
    LinkRefused(String),
}
