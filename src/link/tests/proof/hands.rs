//! What a host's machines want done, as the shell does it (`node/courier`, `node/granting`).
//!
//! Reads and settlements of the mail and look-ups are done at once; what is kept of tokens goes to the disk in the order in
//! which it was handed over, and is used when it is there.

use std::collections::VecDeque;

use crate::{
    link::{
        event::{Action, Ask, Change, Event, Fact},
        lobby::{self, Grant, LookedUp, Took},
        testing::parameters,
    },
    token::{
        family::{Family, Subject},
        fault::fault,
    },
    wire::{
        exchange::{StateGrant, StateRequest, TokenOffer, TokenRequest},
        limits::{CALL_TIME, EXCHANGE_PACE},
        parameters::Found,
        record::VaultWrite,
    },
};

use super::{
    naming::{held, maker},
    words::describe_call,
    world::*,
};

impl World {
    /// One event for one machine, and all that follows from it at once.
    pub(super) fn drive(&mut self, at: Place, of: Place, event: Event) {
        let mut events = VecDeque::from([event]);
        let now = self.now();
        while let Some(event) = events.pop_front() {
            let host = self.host_mut(at);
            let peer = &mut host.sides[usize::from(of == M)].peer;
            peer.handle(event, now, &mut host.dice);
            for action in peer.actions() {
                self.perform(at, of, action, &mut events);
            }
        }
        if HONEST.into_iter().all(|place| self.side(place, 1 - place).peer.look(now).asking) {
            self.crossed = true;
        }
    }

    fn perform(&mut self, at: Place, of: Place, action: Action, events: &mut VecDeque<Event>) {
        match action {
            Action::LookUp => {
                let found = Found::pinned(parameters(form(&self.scene, at, of)));
                events.push_back(Event::Found(Ok(found)));
            }
            Action::Ask(ask) => {
                let request = match ask {
                    Ask::Tokens(pair) => TokenRequest::Tokens(TokenOffer {
                        host: name(at),
                        token: held(&pair.token),
                        lifetime: pair.lifetime,
                        refresh: held(&pair.refresh),
                        dated: false,
                    }),
                    Ask::State(state) => {
                        TokenRequest::State(StateRequest { host: name(at), state: held(&state) })
                    }
                };
                let wait = model_settings().grant_wait;
                self.call(at, of, Call::Request(request), What::Request, wait);
            }
            Action::Untaken { .. } => self.taken(at, of, Took::NoPlace),
            Action::Refresh(token) => {
                self.start(at, of);
                self.call(at, of, Call::Refresh(token), What::Refresh, CALL_TIME);
            }
            Action::LoadMail { after, .. } => {
                let outbox = &self.side(at, of).outbox;
                let found = outbox.iter().filter(|mail| mail.seq > after).cloned().collect();
                events.push_back(Event::MailLoaded(found));
            }
            Action::Send { token, mail } => {
                self.call(at, of, Call::Packet(token, mail), What::Packet, CALL_TIME);
            }
            Action::Settle { delivered, dead } => {
                assert!(dead.is_empty(), "nothing is at fault here: {dead:?}");
                let side = self.host_mut(at).side_mut(of);
                side.outbox.retain(|mail| !delivered.contains(&mail.seq));
                if side.peer.take_dirty() {
                    let link = side.peer.record();
                    self.commit(at, Job::Save, vec![VaultWrite::PutLink(Box::new(link))]);
                }
                events.push_back(Event::Settled);
            }
            Action::Keep(change) => {
                let writes = self.side(at, of).peer.writes(&change, self.now());
                self.host_mut(at).jobs.push_back((Job::Keep { of, change: Box::new(change) }, writes));
            }
            Action::AnswerGrant { call, verdict } => {
                let waiting = &mut self.host_mut(at).waiting;
                let Some(place) = waiting.iter().position(|(id, ..)| *id == call) else { return };
                let (_, from, back) = waiting.remove(place);
                if verdict == Some(Ok(())) && from != of {
                    self.accuse("(b)", "a grant that another host sent is accepted");
                }
                let status = match verdict {
                    None => 503,
                    Some(Ok(())) => 204,
                    Some(Err(_)) => 403,
                };
                self.answer(at, from, back, Answered::Status(status));
            }
            Action::Save => {
                let side = self.host_mut(at).side_mut(of);
                side.peer.take_dirty();
                let link = side.peer.record();
                self.commit(at, Job::Save, vec![VaultWrite::PutLink(Box::new(link))]);
            }
            Action::Note(Fact::AskStarted) => self.start(at, of),
            Action::Note(_) => {}
        }
    }

    // `https-token`, "Sending": never more than one refresh or exchange per peer in 2 s
    fn start(&mut self, at: Place, of: Place) {
        let now = self.now().mono;
        let side = self.host_mut(at).side_mut(of);
        side.starts += 1;
        if side.started.replace(now).is_some_and(|before| now.since(before) < EXCHANGE_PACE) {
            self.accuse("(i)", "two refreshes or exchanges begin within 2 s");
        }
    }

    fn call(&mut self, from: Place, to: Place, call: Call, of: What, wait: std::time::Duration) {
        let back = Back { of, until: self.now().mono.plus(wait) };
        self.tell(|| describe_call(from, to, &call));
        self.send(Flight { from, to, cargo: Cargo::Call(call, Some(back)) });
    }

    /// A caller is answered, where it still waits.
    pub(super) fn answer(&mut self, from: Place, to: Place, back: Option<Back>, answered: Answered) {
        let Some(back) = back else { return };
        // As the reference host of 2017 does.
        let yes = self.scene.yes[from] && back.of == What::Grant;
        let answered = match answered {
            Answered::Status(401 | 403) if yes => Answered::Status(204),
            Answered::Status(_) | Answered::Fresh(_) | Answered::Nothing(_) => answered,
        };
        if to == M {
            return self.mallory.hear(&answered);
        }
        self.send(Flight { from, to, cargo: Cargo::Answer(back, answered) });
    }

    /// Hands writes over that nothing waits for, or whose waiting is of no interest while nothing stands before them.
    pub(super) fn commit(&mut self, at: Place, job: Job, writes: Vec<VaultWrite>) {
        if self.hosts[at].jobs.is_empty() {
            self.write(at, writes);
            self.committed(at, job, true);
        } else {
            self.host_mut(at).jobs.push_back((job, writes));
        }
    }

    pub(super) fn write(&mut self, at: Place, writes: Vec<VaultWrite>) {
        if fault!(KeepsNothing) {
            return;
        }
        let host = self.host_mut(at);
        let place = |subject: &str| host_of(subject, at);
        for write in writes {
            match write {
                VaultWrite::PutLink(link) => {
                    let of = [1 - at, M].into_iter().find(|of| name(*of) == link.host).unwrap();
                    host.side_mut(of).link = Some(*link);
                }
                VaultWrite::PutFamily(family) => {
                    let of = place(&family.subject);
                    host.families.retain(|(other, known)| (*other, known.id) != (of, family.id));
                    host.families.push((of, *family));
                }
                VaultWrite::DropFamily { subject, id } => {
                    let of = place(&subject);
                    host.families.retain(|(other, known)| (*other, known.id) != (of, id));
                }
                VaultWrite::DropLink(_) => unreachable!("nobody forgets here"),
            }
        }
    }

    /// A commit ended.
    pub(super) fn committed(&mut self, at: Place, job: Job, kept: bool) {
        match job {
            Job::Offer { of, .. } => {
                let now = self.now();
                self.host_mut(at).lobby.kept(&name(of), kept, now);
                self.lobby(at);
            }
            Job::Keep { of, change } => {
                let taken = matches!(*change, Change::Taken { .. });
                self.drive(at, of, if kept { Event::Kept } else { Event::NotKept });
                if taken {
                    self.taken(at, of, if kept { Took::Kept } else { Took::Lost });
                }
            }
            Job::Marks(then, seen) => self.marked(at, then, seen, kept),
            Job::Save => {}
        }
    }

    /// The link that a taken grant makes is on disk, or could not be kept.
    fn taken(&mut self, at: Place, of: Place, took: Took) {
        let now = self.now();
        let host = self.host_mut(at);
        if took == Took::Kept {
            host.offered.retain(|offer| offer.of != of);
        }
        host.lobby.finished(&name(of), took, now);
        self.lobby(at);
    }

    /// What the table of requests wants done.
    pub(super) fn lobby(&mut self, at: Place) {
        loop {
            let actions: Vec<_> = self.host_mut(at).lobby.actions().collect();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                self.perform_lobby(at, action);
            }
        }
    }

    fn perform_lobby(&mut self, at: Place, action: lobby::Action) {
        let now = self.now();
        match action {
            lobby::Action::LookUp { host, .. } => {
                let of = place_of(&host);
                let found = Found::pinned(parameters(form(&self.scene, at, of)));
                if self.side(at, of).peer.found() != Some(&found) {
                    self.drive(at, of, Event::Found(Ok(found.clone())));
                }
                let standing = self.side(at, of).peer.standing(now);
                let addresses = if self.scene.likely { vec![origin(of)] } else { Vec::new() };
                let found = LookedUp { parameters: found.parameters, addresses, standing };
                let own = self.host_mut(at);
                own.lobby.looked_up(&host, Ok(found), now, &mut own.dice);
            }
            lobby::Action::Drop { reason, .. } => self.tell(|| format!("no grant comes of it: {reason}")),
            lobby::Action::Offer { host, family, pair } => {
                let of = place_of(&host);
                let mut record =
                    Family::open(&Subject::Peer(host.clone()), family, pair, now.wall).to_record();
                record.offered = true;
                self.host_mut(at).offered.push(Offer { of, pair, asked_by: None });
                if fault!(OffersOpen) {
                    self.host_mut(at).side_mut(of).peer.families_mut().open(family, pair, now.wall);
                }
                self.commit(at, Job::Offer { of, family }, vec![VaultWrite::PutFamily(Box::new(record))]);
            }
            lobby::Action::Grant { host, grant, deadline, .. } => {
                let (own, of) = (name(at), place_of(&host));
                let asked_by = Some(maker(&match &grant {
                    Grant::Tokens { bearer, .. } => bearer.digest(),
                    Grant::State { state, .. } => state.digest(),
                }));
                let offers = self.host_mut(at).offered.iter_mut();
                offers.filter(|offer| offer.of == of).for_each(|offer| offer.asked_by = asked_by);
                let call = match grant {
                    Grant::Tokens { bearer, pair } => Call::Grant(
                        bearer.digest(),
                        TokenOffer {
                            host: own,
                            token: held(&pair.token),
                            lifetime: pair.lifetime,
                            refresh: held(&pair.refresh),
                            dated: false,
                        },
                    ),
                    Grant::State { state, access } => Call::StateGrant(StateGrant {
                        host: own,
                        state: state.digest(),
                        token: held(&access.token),
                        lifetime: access.lifetime,
                    }),
                };
                self.call(at, of, call, What::Grant, deadline);
            }
            lobby::Action::Take { host, family, pair, offer, likely } => {
                let of = place_of(&host);
                self.check_take(at, of, &pair);
                self.drive(at, of, Event::GrantTaken { family, pair, offer, likely });
            }
            lobby::Action::Withdraw { host, family, .. } => {
                let of = place_of(&host);
                self.tell(|| "the grant is withdrawn".to_owned());
                self.host_mut(at).offered.retain(|offer| offer.of != of);
                let subject = Subject::Peer(host).to_text();
                self.commit(at, Job::Save, vec![VaultWrite::DropFamily { subject, id: family }]);
            }
        }
    }
}

/// Which host it is.
pub(super) fn place_of(host: &crate::wire::host::PeerHost) -> Place {
    (0..=M).find(|place| name(*place) == *host).unwrap()
}

fn host_of(subject: &str, at: Place) -> Place {
    [1 - at, M].into_iter().find(|of| Subject::Peer(name(*of)).to_text() == subject).unwrap()
}
