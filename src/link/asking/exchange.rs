//! Our requests for tokens and the grants that we would take.
//!
//! ```text
//!   Idle --ask--> LookingUp --found--> Asked --grant kept--> Idle
//!                   | not found          | 404, 405: looked up anew; asked again where the parameters are others
//!                   |                    | grant-wait over, 404, 405, not reached
//!                   +--> Idle            +--> Idle, and the ask is late: its grant is taken until 5 min after the request
//! ```
//!
//! One exchange at a time; none begins while the call of the one before is still open. What is asked with follows the
//! peer's parameters: tokens (R1, R2) or a state (R3). Source: `https-token`, "Being granted", "Sending".

use crate::{
    link::{
        context::Context,
        dice::{number, secret},
        event::{Ask as Request, CallId, Change, GrantKey, Granted},
    },
    token::{family::NewPair, fault::fault},
    wire::{
        exchange::FreshPair,
        host::PeerHost,
        limits::{FAMILIES_PER_PEER, GRANT_LATE},
        parameters::Form,
        record::{HeldRecord, RepeatRecord},
        refusal::Refusal,
        secret::Digest,
        time::{Mono, Now, Wall},
    },
};

use super::held;

/// What a grant proves itself with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Proof {
    /// R1 and R2: our token; with the grant it opens this family.
    Tokens { family: u64, pair: NewPair },
    /// R3: our state.
    State(Digest),
}

/// A request of ours whose grant we would take.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Ask {
    proof: Proof,
    accept_until: Mono,
}

impl Ask {
    fn is_open(&self, now: Now) -> bool {
        let lives = match &self.proof {
            Proof::Tokens { pair, .. } => now.wall < pair.access_until,
            Proof::State(_) => true,
        };
        lives && now.mono < self.accept_until
    }

    fn key(&self) -> GrantKey {
        match &self.proof {
            Proof::Tokens { pair, .. } => GrantKey::Bearer(pair.access),
            //= HT-GRANT-06: recognised by its state
            Proof::State(state) => GrantKey::State(*state),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Idle,
    /// `gone`: the request found nobody under the parameters that were known.
    LookingUp {
        gone: Option<String>,
    },
    Asked {
        // In a box, since most links rest.
        ask: Box<Ask>,
        give_up: Mono,
    },
}

/// The exchange under way, and what remains of those before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Exchange {
    state: State,
    /// The request has not been answered yet.
    calling: bool,
    late: Vec<Ask>,
    repeats: Vec<RepeatRecord>,
    /// Rises whenever the keys change.
    version: u64,
}

/// Late asks that are kept at most: with one exchange per 30 s and 5 minutes of patience there are 10.
const LATE_MAX: usize = 16;
/// Accepted grants that are remembered at most. One outlives its use when its family is gone, and of those there are 4.
const REPEATS_MAX: usize = 2 * FAMILIES_PER_PEER;

/// What a look-up means for the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LookedUp {
    /// Nothing: none was awaited.
    Nothing,
    /// Ask now.
    Go,
    /// Ask anew: the parameters are others than those under which nobody was found.
    Again,
    /// It came to nothing, for this reason.
    Failed(String),
}

impl Exchange {
    pub(super) fn new(repeats: Vec<RepeatRecord>) -> Self {
        Self { state: State::Idle, calling: false, late: Vec::new(), repeats, version: 0 }
    }

    pub(super) fn is_asking(&self) -> bool {
        self.state != State::Idle
    }

    //= HT-SEND-01: one at a time
    /// Whether one may begin.
    pub(super) fn is_free(&self) -> bool {
        self.state == State::Idle && !self.calling
    }

    /// What the grants that would be taken are recognised by.
    pub(super) fn asks(&self) -> impl Iterator<Item = GrantKey> + '_ {
        self.current().into_iter().chain(&self.late).map(Ask::key)
    }

    /// Grants that were accepted.
    pub(super) fn repeats(&self) -> &[RepeatRecord] {
        &self.repeats
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// When a grant that did not come, or a late ask, is given up.
    pub(super) fn wake_at(&self) -> Option<Mono> {
        let give_up = match &self.state {
            State::Idle | State::LookingUp { .. } => None,
            State::Asked { give_up, .. } => Some(*give_up),
        };
        self.late.iter().map(|ask| ask.accept_until).chain(give_up).min()
    }

    /// One begins: first it is looked how the peer is spoken to.
    pub(super) fn look_up(&mut self) {
        self.state = State::LookingUp { gone: None };
    }

    //= HT-GRANT-14: looked up anew
    /// The request found nobody: its exchange is over, and whether another form or path helps is looked up.
    pub(super) fn look_up_anew(&mut self, reason: String) {
        self.give_up();
        self.state = State::LookingUp { gone: Some(reason) };
    }

    /// What the look-up means, where one was awaited. `changed`: the parameters are others than before.
    pub(super) fn on_found(&mut self, failure: Option<String>, changed: bool) -> LookedUp {
        let State::LookingUp { gone } = &mut self.state else { return LookedUp::Nothing };
        let gone = gone.take();
        if failure.is_none() && gone.is_none() {
            return LookedUp::Go;
        }
        self.state = State::Idle;
        if failure.is_none() && changed {
            return LookedUp::Again;
        }
        LookedUp::Failed(gone.or(failure).unwrap_or_default())
    }

    pub(super) fn begin(&mut self, form: Form, ctx: &mut Context<'_>) -> Request {
        let now = ctx.now.wall;
        let (proof, request) = match form {
            Form::Tokens => {
                let pair = FreshPair {
                    token: secret(ctx.dice),
                    refresh: secret(ctx.dice),
                    //= NODE-CONF-15: with a request
                    lifetime: ctx.settings.token_lifetime,
                    made: now,
                };
                let (access, refresh) = (pair.token.digest(), pair.refresh.digest());
                let new = NewPair::new(access, pair.lifetime, refresh, ctx.settings.refresh_lifetime, now);
                (Proof::Tokens { family: number(ctx.dice), pair: new }, Request::Tokens(pair))
            }
            Form::State => {
                //= HT-REV-20: 256 random bits
                let state = secret(ctx.dice);
                (Proof::State(state.digest()), Request::State(state))
            }
        };
        let ask = Ask { proof, accept_until: ctx.now.mono.plus(GRANT_LATE) };
        //= HT-GRANT-13: taken from here
        self.state = State::Asked { ask: Box::new(ask), give_up: ctx.now.mono.plus(ctx.settings.grant_wait) };
        self.calling = true;
        self.version += 1;
        request
    }

    /// The request's call ended. Whether its exchange is still waiting for a grant.
    pub(super) fn on_answered(&mut self) -> bool {
        std::mem::take(&mut self.calling) && self.current().is_some()
    }

    /// Whether the grant did not come in time.
    pub(super) fn is_overdue(&self, now: Now) -> bool {
        matches!(&self.state, State::Asked { give_up, .. } if now.mono >= *give_up && !fault!(NeverGivesUp))
    }

    //= HT-GRANT-16: its grant is taken for 5 min
    pub(super) fn give_up(&mut self) {
        if let State::Asked { ask, .. } = std::mem::replace(&mut self.state, State::Idle) {
            self.late.push(*ask);
            let over = self.late.len().saturating_sub(LATE_MAX);
            self.late.drain(..over);
            self.version += 1;
        }
    }

    /// Judges a grant that says that it is of `asked`'s: what is to be kept, or `None` where it came before.
    pub(super) fn judge<'a>(
        &self,
        grant: &Granted,
        asked: &PeerHost,
        keeping: impl Iterator<Item = &'a RepeatRecord>,
        now: Now,
    ) -> Result<Option<Judged>, Refusal> {
        let (key, host) = (grant.key(), grant.host());
        let altered = |repeat: &RepeatRecord| (repeat.token, repeat.refresh) != grant.brought();
        let known = self.repeats.iter().find(|repeat| repeat.key() == key && now.wall < repeat.expires);
        //= HT-PIC-01: the bearer proves the caller
        let ask = self.current().into_iter().chain(&self.late).find(|ask| ask.key() == key);
        let ask = ask.filter(|ask| ask.is_open(now));
        //= HT-GRANT-03: 401
        if known.is_none() && ask.is_none() {
            return Err(key.unknown());
        }
        //= HT-GRANT-04: 403
        if host != asked && !fault!(AnyHost) {
            return Err(Refusal::GrantOtherHost);
        }
        let first = keeping.into_iter().find(|repeat| repeat.key() == key).or(known);
        //= HT-GRANT-05: 403
        if first.is_some_and(altered) {
            return Err(Refusal::GrantAltered);
        }
        //= HT-GRANT-02, HT-GRANT-07: a repeat changes nothing; R3 as R1
        if known.is_some() {
            return Ok(None);
        }
        //= HT-GRANT-01: kept, then 204
        Ok(Some(Judged::new(grant, &ask.ok_or_else(|| key.unknown())?.proof, now)))
    }

    /// A grant is on disk.
    pub(super) fn on_granted(&mut self, repeat: &RepeatRecord) {
        let key = repeat.key();
        // Whichever it answers: what is being asked for is there. A grant of the one that waits is taken all the same.
        if self.current().is_some_and(|ask| ask.key() != key) {
            self.give_up();
        }
        self.state = State::Idle;
        self.late.retain(|ask| ask.key() != key);
        if !self.repeats.contains(repeat) {
            self.repeats.push(*repeat);
            let over = self.repeats.len().saturating_sub(REPEATS_MAX);
            self.repeats.drain(..over);
        }
        self.version += 1;
    }

    pub(super) fn sweep(&mut self, now: Now) {
        let before = self.late.len() + self.repeats.len();
        self.late.retain(|ask| now.mono < ask.accept_until);
        self.repeats.retain(|repeat| now.wall < repeat.expires);
        if self.late.len() + self.repeats.len() != before {
            self.version += 1;
        }
    }

    /// No grant is taken any more. A call that is open ends by itself.
    pub(super) fn forget(&mut self) {
        self.state = State::Idle;
        self.late.clear();
        self.repeats.clear();
        self.version += 1;
    }

    fn current(&self) -> Option<&Ask> {
        match &self.state {
            State::Idle | State::LookingUp { .. } => None,
            State::Asked { ask, .. } => Some(ask),
        }
    }
}

impl GrantKey {
    fn unknown(self) -> Refusal {
        match self {
            Self::Bearer(_) => Refusal::TokenUnknown,
            //= HT-GRANT-08: 403
            Self::State(_) => Refusal::StateUnknown,
        }
    }
}

impl Granted {
    fn key(&self) -> GrantKey {
        match self {
            Self::Tokens { bearer, .. } => GrantKey::Bearer(*bearer),
            Self::State(grant) => GrantKey::State(grant.state),
        }
    }

    fn host(&self) -> &PeerHost {
        match self {
            Self::Tokens { offer, .. } => &offer.host,
            Self::State(grant) => &grant.host,
        }
    }

    /// Digests of the access and the refresh token.
    fn brought(&self) -> (Digest, Option<Digest>) {
        match self {
            Self::Tokens { offer, .. } => (offer.token.digest(), Some(offer.refresh.digest())),
            Self::State(grant) => (grant.token.digest(), None),
        }
    }

    fn held(&self, now: Now) -> HeldRecord {
        match self {
            Self::Tokens { offer, .. } => held::offered(offer, true, now),
            Self::State(grant) => held::single(grant.token.clone(), grant.lifetime, now),
        }
    }
}

impl RepeatRecord {
    /// What the grant was recognised by.
    pub(in crate::link) fn key(&self) -> GrantKey {
        if self.refresh.is_some() { GrantKey::Bearer(self.ask) } else { GrantKey::State(self.ask) }
    }
}

/// A grant that is to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    held: HeldRecord,
    repeat: RepeatRecord,
    opens: Option<(u64, NewPair)>,
}

impl Judged {
    fn new(grant: &Granted, proof: &Proof, now: Now) -> Self {
        let held = grant.held(now);
        let (token, refresh) = grant.brought();
        //= HT-GRANT-11: as long as the token
        let remembered = |ask, expires: Wall| RepeatRecord { ask, token, refresh, expires };
        match proof {
            Proof::Tokens { family, pair } => Self {
                repeat: remembered(pair.access, pair.access_until),
                //= HT-DOOR-02: the ask token becomes the access token
                opens: Some((*family, *pair)),
                held,
            },
            //= HT-REV-16: opens no family
            Proof::State(state) => Self { repeat: remembered(*state, held.expires), opens: None, held },
        }
    }

    pub(super) fn into_change(self, call: CallId) -> Change {
        Change::Granted { call, held: self.held, repeat: self.repeat, opens: self.opens }
    }
}
