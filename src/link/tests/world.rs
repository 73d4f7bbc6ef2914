//! Two hosts, each with its peer's machine, a lobby, an outbox and a disk, joined by a network that loses and delays
//! until a certain moment and is perfect from there. Time is virtual; a seed decides everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    link::{
        event::{Action, Ask, Change, Event},
        lobby::{self, Lobby, Took},
        peer::Peer,
        settings::Settings,
        testing::{Counter, at_ms, host, mail, parameters, settings},
    },
    token::family::Subject,
    wire::{
        answer::{Answer, Reply},
        exchange::{FreshPair, TokenOffer},
        family::FamilyRecord,
        parameters::{Form, Found},
        record::{LinkRecord, Mail, VaultWrite},
        secret::{Digest, HeldToken},
    },
};

/// How bad it is before the network is well.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    /// Calls or answers lost, of a thousand.
    pub(super) loss: u64,
    /// Writes that fail, of a thousand.
    pub(super) disk: u64,
    /// Restarts in all.
    pub(super) crashes: u64,
    /// When it is over.
    pub(super) until_ms: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Call {
    Request(TokenOffer),
    Grant(Digest, TokenOffer),
    Refresh(Digest),
    Packet(Digest, Vec<u64>),
}

#[derive(Clone, Debug)]
pub(super) enum Back {
    Asked,
    Granted,
    Refreshed,
    Sent,
}

#[derive(Clone, Debug)]
pub(super) enum Job {
    Event(Event),
    LobbyKept(bool),
    LobbyAnswered(Reply),
    Kept(bool, Change, Vec<VaultWrite>),
    Settled(bool, Vec<u64>),
    Crash,
    Queue(Vec<u64>),
}

pub(super) struct Host {
    pub(super) peer: Peer,
    pub(super) lobby: Lobby,
    pub(super) outbox: Vec<Mail>,
    pub(super) inbox: Vec<u64>,
    pub(super) link: Option<LinkRecord>,
    pub(super) families: BTreeMap<u64, FamilyRecord>,
    pub(super) offered: BTreeSet<[u8; 32]>,
    pub(super) generation: u64,
}

pub(super) struct World {
    pub(super) hosts: [Host; 2],
    pub(super) ms: u64,
    pub(super) packets: usize,
    pub(super) replays: usize,
    pub(super) weather: Weather,
    pub(super) dice: Counter,
    pub(super) chance: u64,
    pub(super) jobs: BTreeMap<(u64, u64), (usize, u64, Job)>,
    pub(super) calls: BTreeMap<(u64, u64), (usize, u64, Call, Back)>,
    pub(super) waiting: BTreeMap<u64, (usize, u64)>,
    pub(super) count: u64,
}

fn name(place: usize) -> &'static str {
    ["a.test", "b.test"][place]
}

fn world_settings() -> Settings {
    Settings { token_lifetime: Duration::from_secs(120), ..settings() }
}

fn new_lobby() -> Lobby {
    Lobby::new(lobby::Settings {
        slots: 8,
        token_lifetime: Duration::from_secs(120),
        refresh_lifetime: Duration::from_secs(86_400),
    })
}

impl World {
    pub(super) fn new(seed: u64, weather: Weather) -> Self {
        let mut dice = Counter(seed << 32);
        let make = |place: usize, dice: &mut Counter| Host {
            peer: Peer::new(host(name(1 - place)), Arc::new(world_settings()), dice),
            lobby: new_lobby(),
            outbox: Vec::new(),
            inbox: Vec::new(),
            link: None,
            families: BTreeMap::new(),
            offered: BTreeSet::new(),
            generation: 0,
        };
        let hosts = [make(0, &mut dice), make(1, &mut dice)];
        let mut world = Self {
            hosts,
            ms: 0,
            packets: 0,
            replays: 0,
            weather,
            dice,
            chance: seed.wrapping_mul(2).wrapping_add(1),
            jobs: BTreeMap::new(),
            calls: BTreeMap::new(),
            waiting: BTreeMap::new(),
            count: 0,
        };
        for _ in 0..weather.crashes {
            let (place, ms) = (usize::from(world.roll(2) == 0), world.roll(weather.until_ms));
            world.later(place, ms, Job::Crash);
        }
        world
    }

    /// An app of a host hands in messages.
    pub(super) fn queue(&mut self, place: usize, at_ms: u64, seqs: Vec<u64>) {
        self.later(place, at_ms, Job::Queue(seqs));
    }

    pub(super) fn roll(&mut self, below: u64) -> u64 {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % below.max(1)
    }

    pub(super) fn is_bad(&mut self, of_a_thousand: u64) -> bool {
        self.ms < self.weather.until_ms && self.roll(1000) < of_a_thousand
    }

    pub(super) fn key(&mut self, ms: u64) -> (u64, u64) {
        self.count += 1;
        (ms, self.count)
    }

    pub(super) fn later(&mut self, place: usize, ms: u64, job: Job) {
        let key = self.key(ms);
        self.jobs.insert(key, (place, self.hosts[place].generation, job));
    }

    /// Runs until this moment.
    pub(super) fn run(&mut self, end_ms: u64) {
        let mut still = 0;
        loop {
            let before = self.ms;
            let now = at_ms(self.ms);
            let wakes = [0, 1].map(|place| {
                let host = &self.hosts[place];
                host.peer.wake_at(now).into_iter().chain(host.lobby.wake_at()).map(|at| at.0).min()
            });
            let wake = wakes.iter().flatten().min().copied();
            let job = self.jobs.keys().next().map(|key| key.0);
            let call = self.calls.keys().next().map(|key| key.0);
            let Some(next) = [wake, job, call].into_iter().flatten().min() else { break };
            if next > end_ms {
                break;
            }
            self.ms = self.ms.max(next);
            if job.is_some_and(|at| at <= self.ms) {
                let (_, (place, generation, job)) = self.jobs.pop_first().unwrap();
                let always = matches!(job, Job::Crash | Job::Queue(_));
                if always || generation == self.hosts[place].generation {
                    self.perform(place, job);
                }
            } else if call.is_some_and(|at| at <= self.ms) {
                let (_, (to, generation, call, back)) = self.calls.pop_first().unwrap();
                self.arrive(to, generation, call, back);
            } else {
                for place in 0..2 {
                    self.event(place, Event::Woken);
                    let now = at_ms(self.ms);
                    self.hosts[place].lobby.woken(now);
                    self.lobby_actions(place);
                }
            }
            still = if self.ms == before { still + 1 } else { 0 };
            assert!(still < 2000, "time stands still at {}", self.ms);
        }
        self.ms = end_ms;
    }

    fn perform(&mut self, place: usize, job: Job) {
        let now = at_ms(self.ms);
        match job {
            Job::Event(event) => self.event(place, event),
            Job::LobbyKept(kept) => {
                self.hosts[place].lobby.kept(&host(name(1 - place)), kept, now);
                self.lobby_actions(place);
            }
            Job::LobbyAnswered(reply) => {
                self.hosts[place].lobby.answered(&host(name(1 - place)), &reply, now);
                self.lobby_actions(place);
            }
            Job::Kept(kept, change, writes) => self.kept(place, kept, &change, writes),
            Job::Settled(kept, seqs) => {
                if kept {
                    self.hosts[place].outbox.retain(|mail| !seqs.contains(&mail.seq.0));
                }
                self.event(place, if kept { Event::Settled } else { Event::NotSettled });
            }
            Job::Crash => self.crash(place),
            Job::Queue(seqs) => {
                self.hosts[place].outbox.extend(mail(seqs));
                self.event(place, Event::MailQueued);
            }
        }
    }

    fn kept(&mut self, place: usize, kept: bool, change: &Change, writes: Vec<VaultWrite>) {
        let now = at_ms(self.ms);
        if kept {
            self.write(place, writes);
        }
        self.event(place, if kept { Event::Kept } else { Event::NotKept });
        if let Change::Taken { pair, .. } = change {
            if kept {
                self.settle_offer(place, pair);
            }
            self.hosts[place].lobby.finished(
                &host(name(1 - place)),
                if kept { Took::Kept } else { Took::Lost },
                now,
            );
            self.lobby_actions(place);
        }
    }

    fn crash(&mut self, place: usize) {
        let other = host(name(1 - place));
        let node = &mut self.hosts[place];
        node.generation += 1;
        node.lobby = new_lobby();
        node.offered.clear();
        let link = node.link.clone().unwrap_or_else(|| LinkRecord::new(other));
        let families: Vec<_> = node.families.values().cloned().collect();
        node.peer =
            Peer::from_record(link, None, families.into_iter(), Arc::new(world_settings()), &mut self.dice);
        if !node.outbox.is_empty() {
            self.event(place, Event::MailQueued);
        }
    }

    pub(super) fn write(&mut self, place: usize, writes: Vec<VaultWrite>) {
        let node = &mut self.hosts[place];
        for write in writes {
            match write {
                VaultWrite::PutLink(link) => node.link = Some(*link),
                VaultWrite::PutFamily(family) => drop(node.families.insert(family.id, *family)),
                VaultWrite::DropFamily { id, .. } => drop(node.families.remove(&id)),
                VaultWrite::DropLink(_) => {}
            }
        }
    }

    pub(super) fn event(&mut self, place: usize, event: Event) {
        let now = at_ms(self.ms);
        self.hosts[place].peer.handle(event, now, &mut self.dice);
        let actions: Vec<_> = self.hosts[place].peer.actions().collect();
        for action in actions {
            self.act(place, action);
        }
    }

    fn act(&mut self, place: usize, action: Action) {
        let soon = self.ms + 1 + self.roll(5);
        match action {
            Action::LookUp => {
                let found = Found::pinned(parameters(Form::Tokens));
                self.later(place, soon, Job::Event(Event::Found(Ok(found))));
            }
            Action::Ask(Ask::Tokens(pair)) => {
                self.call(place, Call::Request(offer(place, &pair)), Back::Asked);
            }
            Action::Ask(Ask::State(_)) | Action::Untaken { .. } => panic!("nobody speaks R3 here"),
            Action::Refresh(token) => self.call(place, Call::Refresh(token.digest()), Back::Refreshed),
            Action::Send { token, mail } => {
                self.packets += 1;
                let seqs = mail.iter().map(|mail| mail.seq.0).collect();
                self.call(place, Call::Packet(token.digest(), seqs), Back::Sent);
            }
            Action::LoadMail { after, messages, .. } => {
                let outbox = &self.hosts[place].outbox;
                let found =
                    outbox.iter().filter(|mail| mail.seq > after).take(messages.min(7)).cloned().collect();
                let failed = self.is_bad(self.weather.disk);
                let event =
                    if failed { Event::MailNotLoaded("x".to_owned()) } else { Event::MailLoaded(found) };
                self.later(place, soon, Job::Event(event));
            }
            Action::Settle { delivered, dead } => {
                assert!(dead.is_empty(), "nothing is at fault here: {dead:?}");
                let kept = !self.is_bad(self.weather.disk);
                self.later(place, soon, Job::Settled(kept, delivered.iter().map(|seq| seq.0).collect()));
            }
            Action::Keep(change) => {
                let writes = self.hosts[place].peer.writes(&change, at_ms(self.ms));
                let kept = !self.is_bad(self.weather.disk);
                self.later(place, soon, Job::Kept(kept, change, writes));
            }
            Action::AnswerGrant { call, verdict } => {
                let status = match verdict {
                    None => 503,
                    Some(Ok(())) => 204,
                    Some(Err(_)) => 403,
                };
                if let Some((to, generation)) = self.waiting.remove(&call.0) {
                    self.reply(to, generation, &Back::Granted, Ok(Answer::bare(status)));
                }
            }
            Action::Save => {
                let link = self.hosts[place].peer.record();
                self.write(place, vec![VaultWrite::PutLink(Box::new(link))]);
            }
            Action::Note(_) => {}
        }
    }
}

pub(super) fn held(text: &str) -> HeldToken {
    HeldToken::parse(text).unwrap()
}

pub(super) fn offer(from: usize, pair: &FreshPair) -> TokenOffer {
    TokenOffer {
        host: host(name(from)),
        token: held(pair.token.reveal()),
        lifetime: pair.lifetime,
        refresh: held(pair.refresh.reveal()),
        dated: false,
    }
}

impl Host {
    pub(super) fn owes(&self) -> usize {
        self.outbox.len()
    }

    /// Whether the machine on disk is the one in memory.
    pub(super) fn is_on_disk(&self) -> bool {
        let in_memory = |id: &u64| self.peer.families().iter().any(|family| family.id() == *id);
        let subject = Subject::Peer(self.peer.host().clone());
        *self.peer.families().subject() == subject
            && self.families.keys().filter(|id| in_memory(id)).count() > 0
    }
}
