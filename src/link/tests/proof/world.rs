//! The model's state: hosts A and B as the real machines with a disk each, what is under way between them, and Mallory.

use std::{collections::VecDeque, hash::Hash, sync::Arc};

use crate::{
    link::{
        event::{CallId, Change},
        lobby::{self, Lobby, Origin},
        peer::Peer,
        settings::Settings,
        testing::{host, settings},
    },
    token::family::NewPair,
    wire::{
        answer::CallStage,
        exchange::{RefreshReply, StateGrant, TokenOffer, TokenRequest},
        host::PeerHost,
        parameters::Form,
        record::{LinkRecord, Mail, VaultWrite},
        secret::{Digest, HeldToken},
        time::{Mono, Now},
    },
};

use super::{
    mallory::Mallory,
    naming::{Throws, moment},
    scene::{Left, Scene},
};

/// A host of the model: A, B, Mallory.
pub(super) type Place = usize;
/// Mallory's own host, where she has one.
pub(super) const M: Place = 2;
/// The hosts that keep to the protocol.
pub(super) const HONEST: [Place; 2] = [0, 1];

/// As it is called.
pub(super) fn name(place: Place) -> PeerHost {
    host(["a.test", "b.test", "m.test"][place])
}

/// The address that it calls from.
pub(super) fn origin(place: Place) -> Origin {
    Origin::of(std::net::Ipv4Addr::new(192, 0, 2, u8::try_from(place).unwrap() + 1).into())
}

/// What a host calls at another one's doors.
#[derive(Clone, Debug, Hash)]
pub(super) enum Call {
    Request(TokenRequest),
    Grant(Digest, TokenOffer),
    StateGrant(StateGrant),
    Refresh(HeldToken),
    Packet(HeldToken, Vec<Mail>),
}

/// Who waits for an answer, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Back {
    pub(super) of: What,
    pub(super) until: Mono,
}

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Request,
    Grant,
    Refresh,
    Packet,
}

/// What a caller sees.
#[derive(Clone, Debug, Hash)]
pub(super) enum Answered {
    Status(u16),
    Fresh(RefreshReply),
    /// No answer.
    Nothing(Stage),
}

/// How far a call without an answer came, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Unreached,
    Silent,
}

impl From<Stage> for CallStage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Unreached => Self::Connect,
            Stage::Silent => Self::Timeout,
        }
    }
}

#[derive(Clone, Debug, Hash)]
pub(super) enum Cargo {
    /// `None`: its caller waits no more.
    Call(Call, Option<Back>),
    Answer(Back, Answered),
}

/// Something between two hosts.
#[derive(Clone, Debug, Hash)]
pub(super) struct Flight {
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) cargo: Cargo,
}

/// What a commit of families is part of.
#[derive(Clone, Debug, Hash)]
pub(super) enum Then {
    Packet { from: Place, back: Option<Back>, mail: Vec<Mail> },
    Refresh { from: Place, back: Option<Back>, reply: Answered },
}

/// Something on its way to the disk.
#[derive(Clone, Debug)]
pub(super) enum Job {
    Offer { of: Place, family: u64 },
    Keep { of: Place, change: Box<Change> },
    Marks(Then, Seen),
    Save,
}

/// A pair that was given for a refresh token, for judging what opens.
#[derive(Clone, Debug, Hash)]
pub(super) struct Successor {
    pub(super) of: Digest,
    pub(super) access: Digest,
    pub(super) refresh: Digest,
}

/// Tokens that are neither valid nor unknown, and for judging: who made the request.
#[derive(Clone, Debug, Hash)]
pub(super) struct Offer {
    pub(super) of: Place,
    pub(super) pair: NewPair,
    pub(super) asked_by: Option<Place>,
}

/// Pairs given for refresh tokens, and refresh tokens that are spent.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Seen {
    pub(super) successors: Vec<Successor>,
    pub(super) spent: Vec<Digest>,
}

/// What a host keeps of another one.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) peer: Peer,
    /// On disk.
    pub(super) link: Option<LinkRecord>,
    pub(super) outbox: Vec<Mail>,
    pub(super) inbox: u64,
    /// When the last refresh or exchange began, and how many did.
    pub(super) started: Option<Mono>,
    pub(super) starts: u32,
    /// For judging: what was given, and of that what is on disk.
    pub(super) seen: Seen,
    pub(super) kept: Seen,
}

/// A host that keeps to the protocol.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) place: Place,
    pub(super) sides: Vec<Side>,
    pub(super) lobby: Lobby,
    pub(super) dice: Throws,
    /// On disk, of all subjects, offered ones too.
    pub(super) families: Vec<(Place, crate::wire::family::FamilyRecord)>,
    pub(super) jobs: VecDeque<(Job, Vec<VaultWrite>)>,
    pub(super) offered: Vec<Offer>,
    pub(super) waiting: Vec<(CallId, Place, Option<Back>)>,
}

/// The state.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) scene: Arc<Scene>,
    pub(super) ms: u64,
    pub(super) hosts: [Arc<Host>; 2],
    pub(super) flights: Vec<Arc<Flight>>,
    pub(super) mallory: Mallory,
    pub(super) left: Left,
    pub(super) calls: u64,
    /// Both asked each other at once; an answer was lost.
    pub(super) crossed: bool,
    /// A call came late: its caller had given it up. A refresh, perhaps after the next one: by the protocol that is a replay, or
    /// the pair that the caller has dies unused. Or the first packet of an exchange, after which older ones are closed, while
    /// its caller has gone over to one of those. Then a token may be lost; both must be linked again all the same.
    pub(super) stale: bool,
    pub(super) lost: bool,
    /// What was done in the last step, for people.
    pub(super) told: Vec<String>,
    /// A rule that the last step broke.
    pub(super) broken: Option<String>,
}

pub(super) fn model_settings() -> Settings {
    settings()
}

pub(super) fn new_lobby() -> Lobby {
    let Settings { token_lifetime, refresh_lifetime, .. } = model_settings();
    Lobby::new(lobby::Settings { slots: 64, token_lifetime, refresh_lifetime })
}

impl Host {
    fn new(place: Place, scene: &Scene) -> Self {
        let mut dice = Throws::of(place);
        let settings = Arc::new(model_settings());
        let side = |other: Place| Side {
            peer: Peer::new(name(other), Arc::clone(&settings), &mut dice),
            link: None,
            outbox: Vec::new(),
            inbox: 0,
            started: None,
            starts: 0,
            seen: Seen::default(),
            kept: Seen::default(),
        };
        let others = std::iter::once(1 - place).chain(scene.mallory_hosts.then_some(M));
        Self {
            place,
            sides: others.map(side).collect(),
            lobby: new_lobby(),
            dice,
            families: Vec::new(),
            jobs: VecDeque::new(),
            offered: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// What it keeps of that host.
    pub(super) fn side(&self, of: Place) -> &Side {
        &self.sides[usize::from(of == M)]
    }

    pub(super) fn side_mut(&mut self, of: Place) -> &mut Side {
        &mut self.sides[usize::from(of == M)]
    }

    /// Who waits inside for an answer of this host.
    pub(super) fn waits_for(&self) -> impl Iterator<Item = (Place, Option<Back>)> + '_ {
        let waiting = self.waiting.iter().map(|(_, from, back)| (*from, *back));
        let jobs = self.jobs.iter().filter_map(|(job, _)| match job {
            Job::Marks(Then::Packet { from, back, .. } | Then::Refresh { from, back, .. }, _) => {
                Some((*from, *back))
            }
            Job::Offer { .. } | Job::Keep { .. } | Job::Save => None,
        });
        waiting.chain(jobs)
    }

    /// ... to be told otherwise.
    pub(super) fn callers(&mut self) -> impl Iterator<Item = (Place, &mut Option<Back>)> {
        let waiting = self.waiting.iter_mut().map(|(_, from, back)| (*from, back));
        let jobs = self.jobs.iter_mut().filter_map(|(job, _)| match job {
            Job::Marks(Then::Packet { from, back, .. } | Then::Refresh { from, back, .. }, _) => {
                Some((*from, back))
            }
            Job::Offer { .. } | Job::Keep { .. } | Job::Save => None,
        });
        waiting.chain(jobs)
    }

    /// The hosts that it knows.
    pub(super) fn others(&self) -> impl Iterator<Item = Place> + use<> {
        [1 - self.place, M].into_iter().take(self.sides.len())
    }
}

impl World {
    pub(super) fn new(scene: &Arc<Scene>) -> Self {
        Self {
            scene: Arc::clone(scene),
            ms: 0,
            hosts: HONEST.map(|place| Arc::new(Host::new(place, scene))),
            flights: Vec::new(),
            mallory: Mallory::new(),
            left: scene.bounds,
            calls: 0,
            crossed: false,
            stale: false,
            lost: false,
            told: Vec::new(),
            broken: None,
        }
    }

    pub(super) fn now(&self) -> Now {
        moment(self.ms)
    }

    pub(super) fn host_mut(&mut self, place: Place) -> &mut Host {
        Arc::make_mut(&mut self.hosts[place])
    }

    pub(super) fn side(&self, at: Place, of: Place) -> &Side {
        self.hosts[at].side(of)
    }

    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.scene.told {
            let text = what();
            self.told.push(text);
        }
    }

    /// A rule is broken.
    pub(super) fn accuse(&mut self, rule: &str, what: &str) {
        self.broken.get_or_insert_with(|| format!("{rule} {what}"));
    }

    /// Another calls, or is answered. In an order that does not say which came first: each may arrive next.
    pub(super) fn send(&mut self, flight: Flight) {
        let place = self.flights.partition_point(|other| other.rank() <= flight.rank());
        self.flights.insert(place, Arc::new(flight));
    }
}

impl Cargo {
    /// Who waits for it.
    pub(super) fn back(&self) -> Option<Back> {
        match self {
            Self::Call(_, back) => *back,
            Self::Answer(back, _) => Some(*back),
        }
    }
}

impl Flight {
    fn rank(&self) -> (u8, Place, Place) {
        let kind = match &self.cargo {
            Cargo::Call(Call::Request(_), _) => 0,
            Cargo::Call(Call::Grant(..) | Call::StateGrant(_), _) => 1,
            Cargo::Call(Call::Refresh(_), _) => 2,
            Cargo::Call(Call::Packet(..), _) => 3,
            Cargo::Answer(..) => 4,
        };
        (kind, self.from, self.to)
    }
}

/// The form in which `place` is spoken to by `from`.
pub(super) fn form(scene: &Scene, from: Place, place: Place) -> Form {
    if place == M { scene.mallory_form } else { scene.forms[from] }
}
