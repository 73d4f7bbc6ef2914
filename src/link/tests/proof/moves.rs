//! Everything that may happen next, and what comes of it.

use std::sync::Arc;

use crate::{
    link::{event::Event, peer::Peer, testing::parameters},
    wire::{
        answer::{Answer, CallError, Refreshed},
        parameters::Found,
        record::{LinkRecord, Mail, Seq},
        time::{Mono, Wall},
    },
};

use super::{mallory::Evil, naming::since_start, world::*};

/// What may happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// What is under way arrives; Mallory's host is friendly.
    Deliver(usize),
    /// Mallory's host refuses it.
    Rebuff(usize),
    Lose(usize, Loss),
    /// The first write is on disk, or fails.
    Commit(Place),
    Stumble(Place),
    Crash(Place),
    /// The clock goes on to the next moment that somebody waits for.
    Tick,
    /// An operator wants an exchange with the other one, or with Mallory's host.
    Connect(Place),
    Tryst(Place),
    /// An app hands in a message.
    Mail(Place),
    Evil(Evil),
}

/// How something is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It does not arrive, and its caller knows.
    Unreached,
    /// It does not arrive, and its caller does not know.
    Silent,
    /// Its caller gives it up, and it arrives all the same.
    Late,
}

impl World {
    /// All that may happen next.
    pub(super) fn moves(&self) -> Vec<Move> {
        let (left, mut all) = (&self.left, Vec::new());
        for (place, flight) in self.flights.iter().enumerate() {
            self.moves_of(place, flight, &mut all);
        }
        for place in HONEST {
            if let Some((job, _)) = self.hosts[place].jobs.front() {
                all.push(Move::Commit(place));
                if left.stumbles > 0 && matches!(job, Job::Keep { .. } | Job::Offer { .. }) {
                    all.push(Move::Stumble(place));
                }
            }
            let counts = [
                (left.crashes, Move::Crash(place)),
                (left.connects[place], Move::Connect(place)),
                (left.trysts[place], Move::Tryst(place)),
                (left.mails[place], Move::Mail(place)),
            ];
            all.extend(counts.into_iter().filter(|(left, _)| *left > 0).map(|(_, step)| step));
        }
        if left.ticks > 0 && self.next_wake().is_some() {
            all.push(Move::Tick);
        }
        if left.evil > 0 {
            all.extend(self.mallory.choices(self.scene.mallory_hosts).into_iter().map(Move::Evil));
        }
        all
    }

    fn moves_of(&self, place: usize, flight: &Flight, all: &mut Vec<Move>) {
        let Cargo::Call(call, back) = &flight.cargo else {
            all.push(Move::Deliver(place));
            if self.left.losses > 0 {
                all.push(Move::Lose(place, Loss::Silent));
            }
            return;
        };
        if !self.waits(flight.to, call) {
            all.push(Move::Deliver(place));
            if flight.to == M && self.left.evil > 0 {
                all.push(Move::Rebuff(place));
            }
        }
        if self.left.losses > 0 {
            all.push(Move::Lose(place, Loss::Silent));
            if back == &Some(Back::Asked) {
                all.push(Move::Lose(place, Loss::Unreached));
            }
            if self.scene.late && back.is_some() {
                all.push(Move::Lose(place, Loss::Late));
            }
        }
    }

    /// The moment that somebody waits for.
    pub(super) fn next_wake(&self) -> Option<Mono> {
        let now = self.now();
        let hosts = self.hosts.iter().flat_map(|host| {
            let peers = host.sides.iter().filter_map(|side| side.peer.wake_at(now));
            peers.chain(host.lobby.wake_at()).collect::<Vec<_>>()
        });
        let calls = self.flights.iter().filter_map(|flight| match flight.cargo {
            Cargo::Call(_, Some(_)) => Some(flight.deadline),
            Cargo::Call(_, None) | Cargo::Answer(..) => None,
        });
        hosts.chain(calls).min()
    }

    /// The state after this step.
    pub(super) fn after(&self, step: Move) -> Self {
        let mut next = self.clone();
        next.told.clear();
        next.tell(|| self.describe(step));
        next.take(step);
        next
    }

    fn take(&mut self, step: Move) {
        match step {
            Move::Deliver(place) => self.deliver(place, true),
            Move::Rebuff(place) => {
                self.left.evil -= 1;
                self.deliver(place, false);
            }
            Move::Lose(place, loss) => {
                self.left.losses -= 1;
                self.lose(place, loss);
            }
            Move::Commit(place) => {
                let (job, writes) = self.host_mut(place).jobs.pop_front().unwrap();
                self.write(place, writes);
                self.committed(place, job, true);
            }
            Move::Stumble(place) => {
                self.left.stumbles -= 1;
                let (job, _) = self.host_mut(place).jobs.pop_front().unwrap();
                self.committed(place, job, false);
            }
            Move::Crash(place) => {
                self.left.crashes -= 1;
                self.crash(place);
            }
            Move::Tick => {
                self.left.ticks = self.left.ticks.saturating_sub(1);
                self.tick();
            }
            Move::Connect(place) => {
                self.left.connects[place] -= 1;
                self.drive(place, 1 - place, Event::ConnectWanted);
            }
            Move::Tryst(place) => {
                self.left.trysts[place] -= 1;
                self.drive(place, M, Event::ConnectWanted);
            }
            Move::Mail(place) => {
                self.left.mails[place] -= 1;
                self.queue(place);
            }
            Move::Evil(evil) => {
                self.left.evil -= 1;
                let (to, call) = self.mallory.call(evil);
                let astray = self.mallory.is_astray(evil);
                self.tell(|| super::hands::describe_call(M, to, &call));
                let before = self.opened(to);
                self.arrive(M, to, call, Some(Back::Sent));
                if astray && self.opened(to) != before {
                    self.accuse("(a)", "a secret opens another door than its own");
                }
            }
        }
    }

    /// Signs of a door that opened to Mallory.
    fn opened(&self, at: Place) -> (usize, Option<Wall>) {
        let side = &self.hosts[at].sides.last().unwrap();
        (side.successors.len(), side.peer.health().heard)
    }

    fn deliver(&mut self, place: usize, friendly: bool) {
        let flight = Arc::unwrap_or_clone(self.flights.remove(place));
        let Flight { from, to, cargo, .. } = flight;
        match cargo {
            Cargo::Call(call, back) if to == M => {
                self.mallory.receive(&call);
                let answered = match call {
                    _ if !friendly => Answered::Status(401),
                    Call::Refresh(_) => self.mallory.fresh(),
                    Call::Request(_) | Call::Grant(..) | Call::StateGrant(_) | Call::Packet(..) => {
                        Answered::Status(204)
                    }
                };
                if let Some(back) = back {
                    self.answered(from, M, back, answered);
                }
            }
            Cargo::Call(call, back) => self.arrive(from, to, call, back),
            Cargo::Answer(back, answered) => self.answered(to, from, back, answered),
        }
    }

    /// A caller has its answer.
    fn answered(&mut self, at: Place, of: Place, back: Back, answered: Answered) {
        let reply = || match &answered {
            Answered::Status(status) => Ok(Answer::bare(*status)),
            Answered::Fresh(_) => Ok(Answer::bare(200)),
            Answered::Nothing(stage) => Err(error(*stage)),
        };
        match back {
            Back::Asked => self.drive(at, of, Event::Asked(reply())),
            Back::Sent => self.drive(at, of, Event::Sent(reply())),
            Back::Granted => {
                let now = self.now();
                self.host_mut(at).lobby.answered(&name(of), &reply(), now);
                self.lobby(at);
            }
            Back::Refreshed => {
                let refreshed = match answered {
                    Answered::Fresh(reply) => Refreshed::Fresh(reply),
                    Answered::Status(status) => Refreshed::Answered(Answer::bare(status)),
                    Answered::Nothing(stage) => Refreshed::Failed(error(stage)),
                };
                self.drive(at, of, Event::Refreshed(refreshed));
            }
        }
    }

    fn lose(&mut self, place: usize, loss: Loss) {
        let flight = Arc::unwrap_or_clone(self.flights.remove(place));
        let stage = if loss == Loss::Unreached { Stage::Unreached } else { Stage::Silent };
        match flight.cargo {
            Cargo::Call(call, back) => {
                if loss == Loss::Late {
                    self.send(Flight { cargo: Cargo::Call(call, None), ..flight });
                }
                if let Some(back) = back {
                    self.answered(flight.from, flight.to, back, Answered::Nothing(stage));
                }
            }
            Cargo::Answer(back, _) => {
                self.lost = true;
                self.answered(flight.to, flight.from, back, Answered::Nothing(stage));
            }
        }
    }

    //= https-token, "A crash between two steps"
    fn crash(&mut self, place: Place) {
        let scene = Arc::clone(&self.scene);
        let host = self.host_mut(place);
        let waiting = std::mem::take(&mut host.waiting).into_iter().map(|(_, from, back)| (from, back));
        let jobs = std::mem::take(&mut host.jobs).into_iter().filter_map(|(job, _)| match job {
            Job::Marks(Then::Packet { from, back, .. } | Then::Refresh { from, back, .. }) => {
                Some((from, back))
            }
            Job::Offer { .. } | Job::Keep { .. } | Job::Save => None,
        });
        let callers: Vec<_> = waiting.chain(jobs).collect();
        host.lobby = new_lobby();
        host.offered.clear();
        host.families.retain(|(_, family)| !family.offered);
        for of in host.others() {
            let families: Vec<_> = host.families.iter().filter(|(other, _)| *other == of).cloned().collect();
            let link = host.side(of).link.clone().unwrap_or_else(|| LinkRecord::new(name(of)));
            let found = Found::pinned(parameters(form(&scene, place, of)));
            let families = families.into_iter().map(|(_, family)| family);
            let settings = Arc::new(model_settings());
            let peer = Peer::from_record(link, Some(found), families, settings, &mut host.dice);
            let side = host.side_mut(of);
            side.peer = peer;
            side.started = None;
        }
        self.flights.retain(|flight| flight.to != place || matches!(flight.cargo, Cargo::Call(..)));
        for flight in &mut self.flights {
            if flight.from == place
                && let Cargo::Call(_, back) = &mut Arc::make_mut(flight).cargo
            {
                *back = None;
            }
        }
        for (from, back) in callers {
            self.answer(place, from, back, Answered::Nothing(Stage::Silent));
        }
        for of in self.hosts[place].others() {
            if !self.side(place, of).outbox.is_empty() {
                self.drive(place, of, Event::MailQueued);
            }
        }
    }

    fn tick(&mut self) {
        let Some(next) = self.next_wake() else { return };
        self.ms = self.ms.max(since_start(next));
        let now = self.now();
        while let Some(place) = self
            .flights
            .iter()
            .position(|flight| matches!(flight.cargo, Cargo::Call(_, Some(_))) && flight.deadline <= now.mono)
        {
            self.lose(place, if self.scene.late { Loss::Late } else { Loss::Silent });
        }
        for place in HONEST {
            for of in self.hosts[place].others() {
                if self.side(place, of).peer.wake_at(now).is_some_and(|at| at <= now.mono) {
                    self.drive(place, of, Event::Woken);
                }
            }
            if self.hosts[place].lobby.wake_at().is_some_and(|at| at <= now.mono) {
                self.host_mut(place).lobby.woken(now);
                self.lobby(place);
            }
        }
    }

    /// An app hands in a message.
    pub(super) fn queue(&mut self, place: Place) {
        let newest = self.side(1 - place, place).inbox;
        let outbox = &mut self.host_mut(place).side_mut(1 - place).outbox;
        let seq = outbox.last().map_or(newest, |mail| mail.seq.0) + 1;
        let raw = bytes::Bytes::from_static(b"{}");
        outbox.push(Mail { seq: Seq(seq), id: "x".into(), raw, expires: Wall(u64::MAX) });
        self.drive(place, 1 - place, Event::MailQueued);
    }

    /// A step in words.
    pub(super) fn describe(&self, step: Move) -> String {
        let host = |place: Place| ["A", "B", "M"][place];
        let flight = |place: usize| match &self.flights[place].cargo {
            Cargo::Call(call, _) => {
                super::hands::describe_call(self.flights[place].from, self.flights[place].to, call)
            }
            Cargo::Answer(back, answered) => {
                let Flight { from, to, .. } = &*self.flights[place];
                format!("{} -> {}: {back:?}: {}", host(*from), host(*to), describe_answer(answered))
            }
        };
        match step {
            Move::Deliver(place) => format!("arrives: {}", flight(place)),
            Move::Rebuff(place) => format!("refused by Mallory: {}", flight(place)),
            Move::Lose(place, loss) => format!("lost ({loss:?}): {}", flight(place)),
            Move::Commit(place) => format!("{}: the write is on disk", host(place)),
            Move::Stumble(place) => format!("{}: the write fails", host(place)),
            Move::Crash(place) => format!("{}: restarts", host(place)),
            Move::Tick => format!(
                "the clock goes on to {} ms",
                self.next_wake().map_or(self.ms, |at| self.ms.max(since_start(at)))
            ),
            Move::Connect(place) => format!("{}: an operator wants an exchange", host(place)),
            Move::Tryst(place) => {
                format!("{}: an operator wants an exchange with Mallory's host", host(place))
            }
            Move::Mail(place) => format!("{}: an app hands in a message", host(place)),
            Move::Evil(evil) => self.mallory.describe(evil),
        }
    }
}

fn describe_answer(answered: &Answered) -> String {
    match answered {
        Answered::Status(status) => status.to_string(),
        Answered::Fresh(reply) => format!("200 with {}", super::naming::shown(&reply.token.digest())),
        Answered::Nothing(stage) => format!("no answer ({stage:?})"),
    }
}

fn error(stage: Stage) -> CallError {
    CallError { stage: stage.into(), detail: "no answer".to_owned() }
}
