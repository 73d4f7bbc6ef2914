//! What the machines' tests share: dice that count, settings, moments, and a bench that a peer's machine runs on.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    dice::Dice,
    event::{Action, Ask, CallId, Change, Event, Fact, Granted},
    peer::Peer,
    settings::Settings,
};
use crate::wire::{
    answer::{Answer, CallError, CallStage, Refreshed},
    exchange::{FreshPair, RefreshReply, StateGrant, TokenOffer},
    host::PeerHost,
    parameters::{Form, Found, Parameters},
    path::UrlPath,
    record::{Mail, Seq},
    secret::{Digest, HeldToken, SECRET_BYTES},
    time::{Mono, Now, Wall},
};

/// Dice that count: no two throws are the same, and every run throws the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(pub(crate) u64);

impl Dice for Counter {
    fn bytes(&mut self) -> [u8; SECRET_BYTES] {
        self.0 += 1;
        let mut bytes = [0; SECRET_BYTES];
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(place as u32 * 7) & 0xff) as u8;
        }
        bytes[SECRET_BYTES - 8..].copy_from_slice(&self.0.to_be_bytes());
        bytes
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        token_lifetime: Duration::from_secs(3600),
        refresh_lifetime: Duration::from_secs(30 * 24 * 3600),
        grant_wait: Duration::from_secs(30),
        retry_min: Duration::from_secs(1),
        retry_max: Duration::from_secs(15 * 60),
        retry_max_silent: Duration::from_secs(6 * 3600),
        packet_bytes: 1 << 20,
        packet_messages: 1000,
    }
}

/// So many milliseconds after the start of the test.
pub(crate) fn at_ms(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: Wall(1_700_000_000_000 + ms) }
}

/// So many seconds after the start of the test.
pub(crate) fn at(seconds: u64) -> Now {
    at_ms(seconds * 1000)
}

pub(crate) fn host(name: &str) -> PeerHost {
    PeerHost::parse(name).unwrap()
}

/// A peer's token; its refresh token is `refresh-<name>`.
pub(crate) fn token(name: &str) -> HeldToken {
    HeldToken::parse(name).unwrap()
}

/// What `b.test` offers: a token of this name for an hour.
pub(crate) fn offer(name: &str) -> TokenOffer {
    offer_for(name, 3600)
}

pub(crate) fn offer_for(name: &str, seconds: u64) -> TokenOffer {
    TokenOffer {
        host: host("b.test"),
        token: token(name),
        lifetime: Duration::from_secs(seconds),
        refresh: token(&format!("refresh-{name}")),
        dated: false,
    }
}

/// The parameters of a host that speaks this form.
pub(crate) fn parameters(form: Form) -> Parameters {
    let path = |text: &str| UrlPath::parse(text).unwrap();
    Parameters {
        request_path: path("/request"),
        grant_path: path("/grant"),
        refresh_path: (form == Form::Tokens).then(|| path("/refresh")),
        packet_path: path("/packet"),
        packet_bytes: None,
        packet_messages: None,
    }
}

/// What `b.test` grants with R3: a token of this name.
pub(crate) fn state_grant(state: Digest, name: &str, seconds: u64) -> StateGrant {
    StateGrant { host: host("b.test"), state, token: token(name), lifetime: Duration::from_secs(seconds) }
}

pub(crate) fn fresh(name: &str, seconds: u64) -> Refreshed {
    Refreshed::Fresh(RefreshReply {
        token: token(name),
        lifetime: Duration::from_secs(seconds),
        refresh: token(&format!("refresh-{name}")),
        dated: false,
    })
}

pub(crate) fn answered(status: u16) -> Event {
    Event::Sent(Ok(Answer::bare(status)))
}

pub(crate) fn pause(status: u16, seconds: u64) -> Event {
    Event::Sent(Ok(Answer { retry_after: Some(Duration::from_secs(seconds)), ..Answer::bare(status) }))
}

pub(crate) fn trouble(stage: CallStage) -> CallError {
    CallError { stage, detail: "no answer".to_owned() }
}

pub(crate) fn mail(seqs: impl IntoIterator<Item = u64>) -> Vec<Mail> {
    seqs.into_iter().map(|seq| mail_until(seq, u64::MAX)).collect()
}

pub(crate) fn mail_until(seq: u64, expires: u64) -> Mail {
    Mail { seq: Seq(seq), id: seq.to_string().into(), raw: Bytes::from_static(b"{}"), expires: Wall(expires) }
}

/// An action in short: `send t1 [1, 2]`.
pub(crate) fn short(action: &Action) -> String {
    let seqs = |seqs: &[Seq]| format!("{:?}", seqs.iter().map(|seq| seq.0).collect::<Vec<_>>());
    match action {
        Action::LookUp => "look up".to_owned(),
        Action::Ask(Ask::Tokens(_)) => "ask".to_owned(),
        Action::Ask(Ask::State(_)) => "ask with a state".to_owned(),
        Action::Untaken { .. } => "no place".to_owned(),
        Action::Refresh(token) => format!("refresh with {}", token.reveal()),
        Action::LoadMail { after, .. } => format!("load after {}", after.0),
        Action::Send { token, mail } => {
            let sent: Vec<_> = mail.iter().map(|mail| mail.seq).collect();
            format!("send {} {}", token.reveal(), seqs(&sent))
        }
        Action::Settle { delivered, dead } if dead.is_empty() => format!("delivered {}", seqs(delivered)),
        Action::Settle { dead, .. } => {
            format!("dead {}", seqs(&dead.iter().map(|(seq, _)| *seq).collect::<Vec<_>>()))
        }
        Action::Keep(Change::Granted { held, .. }) => format!("keep grant {}", held.token.reveal()),
        Action::Keep(Change::Taken { held: Some(held), .. }) => {
            format!("keep taken {}", held.token.reveal())
        }
        Action::Keep(Change::Taken { held: None, .. }) => "keep taken".to_owned(),
        Action::Keep(Change::Renewed { held, .. }) => format!("keep refresh {}", held.token.reveal()),
        Action::AnswerGrant { call, verdict } => match verdict {
            None => format!("answer {}: 503", call.0),
            Some(Ok(())) => format!("answer {}: 204", call.0),
            Some(Err(refusal)) => format!("answer {}: {}", call.0, refusal.code()),
        },
        Action::Save => "save".to_owned(),
        Action::Note(fact) => format!("note {fact:?}"),
    }
}

/// A peer's machine, time that stands still until it is told, and what the machine did.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) peer: Peer,
    pub(crate) dice: Counter,
    pub(crate) ms: u64,
    /// The pair of the last ask.
    pub(crate) ask: Option<FreshPair>,
    /// The state of the last ask.
    pub(crate) state: Option<Digest>,
    /// What a look-up comes to, at once and without a word; `None` where the test does that.
    pub(crate) found: Option<Result<Found, CallError>>,
    /// Everything but notes, in short.
    pub(crate) did: Vec<String>,
    pub(crate) facts: Vec<Fact>,
    /// The outbox: read and settled at once, without a word; `None` where the test does that.
    pub(crate) outbox: Option<Vec<Mail>>,
    calls: u64,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let mut dice = Counter::default();
        let peer = Peer::new(host("b.test"), Arc::new(settings()), &mut dice);
        Self {
            peer,
            dice,
            ms: 0,
            ask: None,
            state: None,
            found: Some(Ok(Found::pinned(parameters(Form::Tokens)))),
            did: Vec::new(),
            facts: Vec::new(),
            outbox: Some(Vec::new()),
            calls: 0,
        }
    }

    /// A peer with a token `t1` from an exchange of ours, in its first second.
    pub(crate) fn linked() -> Self {
        let mut bench = Self::new();
        bench.on(Event::ConnectWanted);
        bench.on(Event::Asked(Ok(Answer::bare(204))));
        bench.grant("t1");
        bench.on(Event::Kept);
        bench
    }

    /// ... whose token outlasts the test.
    pub(crate) fn lasting() -> Self {
        let mut bench = Self::new();
        bench.on(Event::ConnectWanted);
        bench.on(Event::Asked(Ok(Answer::bare(204))));
        let bearer = bench.ask.as_ref().unwrap().token.digest();
        bench.grant_under(bearer, offer_for("t1", 400 * 24 * 3600));
        bench.on(Event::Kept);
        bench
    }

    /// ... with this mail on its way.
    pub(crate) fn sending(seqs: impl IntoIterator<Item = u64>) -> Self {
        let mut bench = Self::linked();
        bench.queue(seqs);
        bench
    }

    /// An app hands in messages.
    pub(crate) fn queue(&mut self, seqs: impl IntoIterator<Item = u64>) -> Vec<String> {
        self.outbox.get_or_insert_default().extend(mail(seqs));
        self.on(Event::MailQueued)
    }

    pub(crate) fn now(&self) -> Now {
        at_ms(self.ms)
    }

    /// One event: what the machine did, without saves, and without reads and settlements of the bench's own outbox.
    pub(crate) fn on(&mut self, event: Event) -> Vec<String> {
        let mut did = Vec::new();
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.peer.handle(event, self.now(), &mut self.dice);
            for action in self.peer.actions().collect::<Vec<_>>() {
                match (&action, &mut self.outbox) {
                    (Action::Note(fact), _) => self.facts.push(fact.clone()),
                    (Action::Save, _) => {}
                    (Action::LookUp, _) if self.found.is_some() => {
                        events.extend(self.found.clone().map(Event::Found));
                    }
                    (Action::LoadMail { after, messages, .. }, Some(outbox)) => {
                        let found = outbox.iter().filter(|mail| mail.seq > *after).take(*messages).cloned();
                        events.push_back(Event::MailLoaded(found.collect()));
                    }
                    (Action::Settle { delivered, dead }, Some(outbox)) => {
                        let done: Vec<_> = delivered.iter().chain(dead.iter().map(|(seq, _)| seq)).collect();
                        outbox.retain(|mail| !done.contains(&&mail.seq));
                        events.push_back(Event::Settled);
                        did.push(short(&action));
                    }
                    (action, _) => {
                        if let Action::Ask(Ask::Tokens(pair)) = action {
                            self.ask = Some(pair.clone());
                        }
                        if let Action::Ask(Ask::State(state)) = action {
                            self.state = Some(state.digest());
                        }
                        did.push(short(action));
                    }
                }
            }
        }
        self.did.extend(did.iter().cloned());
        did
    }

    /// A grant under the last ask's token.
    pub(crate) fn grant(&mut self, name: &str) -> Vec<String> {
        let bearer = self.ask.as_ref().unwrap().token.digest();
        self.grant_under(bearer, offer(name))
    }

    pub(crate) fn grant_under(
        &mut self,
        bearer: crate::wire::secret::Digest,
        offer: TokenOffer,
    ) -> Vec<String> {
        self.arrives(Granted::Tokens { bearer, offer })
    }

    /// An R3 grant under the last ask's state, for so many seconds.
    pub(crate) fn grant_state(&mut self, name: &str, seconds: u64) -> Vec<String> {
        let state = self.state.unwrap();
        self.arrives(Granted::State(state_grant(state, name, seconds)))
    }

    pub(crate) fn arrives(&mut self, grant: Granted) -> Vec<String> {
        self.calls += 1;
        self.on(Event::GrantArrived { call: CallId(self.calls), grant })
    }

    /// Lets time pass, with a wake whenever one is due: what the machine did.
    pub(crate) fn pass(&mut self, seconds: u64) -> Vec<String> {
        self.pass_ms(seconds * 1000)
    }

    pub(crate) fn pass_ms(&mut self, ms: u64) -> Vec<String> {
        let (end, before) = (self.ms + ms, self.did.len());
        let mut idle = 0;
        while let Some(due) = self.peer.wake_at(self.now()).filter(|due| due.0 <= end) {
            idle = if due.0 <= self.ms { idle + 1 } else { 0 };
            assert!(idle < 3, "the machine wants to be woken at {} again and again", self.ms);
            self.ms = self.ms.max(due.0);
            self.on(Event::Woken);
        }
        self.ms = end;
        self.did[before..].to_vec()
    }

    /// Lets time pass until the machine does something that begins so, at most a day.
    pub(crate) fn pass_until(&mut self, start: &str) {
        for _ in 0..24 * 3600 {
            if self.pass(1).iter().any(|did| did.starts_with(start)) {
                return;
            }
        }
        panic!("nothing came that begins with {start:?}: {:?}", self.did);
    }

    /// How long until the machine wants to be woken.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.peer.wake_at(self.now()).map(|due| due.since(Mono(self.ms)))
    }

    /// Whether the peer would be let in with this token of ours.
    pub(crate) fn opens(&mut self, access: &crate::wire::secret::Digest) -> bool {
        let now = self.now().wall;
        self.peer.families_mut().admit(access, now).is_some()
    }

    pub(crate) fn has_fact(&self, want: impl Fn(&Fact) -> bool) -> bool {
        self.facts.iter().any(want)
    }
}
