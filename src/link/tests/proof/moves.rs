//! Everything that may happen next, and what comes of it.

use std::sync::Arc;

use crate::{
    link::event::Event,
    wire::{
        answer::{Answer, CallError, Refreshed},
        limits::CALL_TIME,
        record::{Mail, Seq},
        time::{Mono, Wall},
    },
};

use super::{mallory::Evil, naming::since_start, words::describe_call, world::*};

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
    /// The clock goes on to this moment, and each end has a message for the other one.
    Later(u64),
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
        if left.ticks > 0 && self.next_wake_ms().is_some_and(|at| at <= self.ms + self.patience_ms()) {
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
            if back.is_some_and(|back| back.of == What::Request) {
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
        let calls = self.flights.iter().filter_map(|flight| flight.cargo.back()).map(|back| back.until);
        let inside = self.hosts.iter().flat_map(|host| host.waits_for()).filter(|(from, _)| *from != M);
        let inside = inside.filter_map(|(_, back)| back).map(|back| back.until);
        hosts.chain(calls).chain(inside).min()
    }

    /// How far the clock may go on at once: a disk keeps nobody waiting for longer than a call may take.
    fn patience_ms(&self) -> u64 {
        let is_idle = self.hosts.iter().all(|host| host.jobs.is_empty());
        if is_idle { u64::MAX - self.ms } else { u64::try_from(CALL_TIME.as_millis()).unwrap() }
    }

    pub(super) fn next_wake_ms(&self) -> Option<u64> {
        self.next_wake().map(|at| self.ms.max(since_start(at)))
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
            Move::Later(ms) => {
                self.ms = self.ms.max(ms);
                *self = self.with_mail();
            }
            Move::Evil(evil) => {
                self.left.evil -= 1;
                let (to, call) = self.mallory.call(evil);
                self.tell(|| describe_call(M, to, &call));
                self.arrive(M, to, call, Some(Back { of: What::Packet, until: Mono(u64::MAX) }));
            }
        }
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
    pub(super) fn answered(&mut self, at: Place, of: Place, back: Back, answered: Answered) {
        let reply = || match &answered {
            Answered::Status(status) => Ok(Answer::bare(*status)),
            Answered::Fresh(_) => Ok(Answer::bare(200)),
            Answered::Nothing(stage) => Err(error(*stage)),
        };
        match back.of {
            What::Request => self.drive(at, of, Event::Asked(reply())),
            What::Packet => self.drive(at, of, Event::Sent(reply())),
            What::Grant => {
                let now = self.now();
                self.host_mut(at).lobby.answered(&name(of), &reply(), now);
                self.lobby(at);
            }
            What::Refresh => {
                let refreshed = match answered {
                    Answered::Fresh(reply) => Refreshed::Fresh(reply),
                    Answered::Status(status) => Refreshed::Answered(Answer::bare(status)),
                    Answered::Nothing(stage) => Refreshed::Failed(error(stage)),
                };
                self.drive(at, of, Event::Refreshed(refreshed));
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
}

fn error(stage: Stage) -> CallError {
    CallError { stage: stage.into(), detail: "no answer".to_owned() }
}
