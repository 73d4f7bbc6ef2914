//! The network of a `World`: calls that arrive at the other host's doors, or do not, and their answers.

use std::time::Duration;

use super::world::{Back, Call, Job, World, held};
use crate::{
    link::{
        dice::Dice as _,
        event::{CallId, Event, GrantKey, Granted},
        lobby::{Asked, Origin},
        peer::family_writes,
        testing::{Counter, at_ms, trouble},
    },
    token::{families::NotRotated, family::NewPair},
    wire::{
        answer::{Answer, CallStage, Refreshed, Reply},
        exchange::{FreshPair, RefreshReply, TokenRequest},
        secret::Digest,
    },
};

impl World {
    pub(super) fn call(&mut self, from: usize, call: Call, back: Back) {
        let generation = self.hosts[from].generation;
        if self.is_bad(self.weather.loss) {
            return self.fail(from, &back);
        }
        let ms = self.ms + 5 + self.roll(200);
        let key = self.key(ms);
        self.calls.insert(key, (1 - from, generation, call, back));
    }

    fn fail(&mut self, to: usize, back: &Back) {
        let stages = [CallStage::Connect, CallStage::Exchange, CallStage::Timeout];
        let stage = stages[usize::try_from(self.roll(3)).unwrap()];
        let generation = self.hosts[to].generation;
        self.back(to, generation, 500, back, Err(trouble(stage)));
    }

    /// A call of the other host arrives; `generation` is the caller's.
    pub(super) fn arrive(&mut self, to: usize, generation: u64, call: Call, back: Back) {
        let (from, now) = (1 - to, at_ms(self.ms));
        let shown = match &call {
            Call::Packet(token, _) | Call::Refresh(token) => Some(*token.as_bytes()),
            Call::Request(_) | Call::Grant(..) => None,
        };
        if shown.is_some_and(|token| self.hosts[to].offered.contains(&token)) {
            let key = self.key(self.ms + 20);
            self.calls.insert(key, (to, generation, call, back));
            return;
        }
        match call {
            Call::Request(offer) => {
                let origin = Origin::of(std::net::Ipv4Addr::LOCALHOST.into());
                let request = TokenRequest::Tokens(offer);
                let asked = Asked { origin, request, known: true, likely: true };
                let _ = self.hosts[to].lobby.asked(asked, now);
                self.lobby_actions(to);
                self.reply(from, generation, &back, Ok(Answer::bare(204)));
            }
            Call::Grant(bearer, offer) => {
                if self.hosts[to].peer.grant_keys().any(|known| known == GrantKey::Bearer(bearer)) {
                    self.count += 1;
                    let call = self.count;
                    self.waiting.insert(call, (from, generation));
                    let grant = Granted::Tokens { bearer, offer };
                    self.event(to, Event::GrantArrived { call: CallId(call), grant });
                } else {
                    self.reply(from, generation, &back, Ok(Answer::bare(401)));
                }
            }
            Call::Refresh(token) => self.refresh(to, generation, &token),
            Call::Packet(token, seqs) => {
                let changes = self.hosts[to].peer.families_mut().admit(&token, now.wall);
                let status = if changes.is_some() { 204 } else { 401 };
                if let Some(changes) = changes {
                    let writes = family_writes(self.hosts[to].peer.families(), changes);
                    self.write(to, writes);
                    for seq in seqs {
                        if !self.hosts[to].inbox.contains(&seq) {
                            self.hosts[to].inbox.push(seq);
                        }
                    }
                    self.event(to, Event::Heard);
                }
                self.reply(from, generation, &back, Ok(Answer::bare(status)));
            }
        }
    }

    fn refresh(&mut self, to: usize, generation: u64, token: &Digest) {
        let now = at_ms(self.ms);
        let pair = fresh(&mut self.dice, now.wall);
        let life = (Duration::from_secs(120), Duration::from_secs(86_400));
        let new = NewPair::new(pair.token.digest(), life.0, pair.refresh.digest(), life.1, now.wall);
        let rotated = self.hosts[to].peer.families_mut().rotate(token, new, now.wall);
        let changes = match &rotated {
            Ok(changes) | Err(NotRotated::Replayed(changes)) => changes.clone(),
            Err(NotRotated::Unknown) => crate::token::families::Changes::default(),
        };
        self.replays += usize::from(matches!(rotated, Err(NotRotated::Replayed(_))));
        let writes = family_writes(self.hosts[to].peer.families(), changes);
        self.write(to, writes);
        let reply = match rotated {
            Ok(_) => Refreshed::Fresh(RefreshReply {
                token: held(pair.token.reveal()),
                lifetime: pair.lifetime,
                refresh: held(pair.refresh.reveal()),
                dated: false,
            }),
            Err(_) => Refreshed::Answered(Answer::bare(401)),
        };
        if self.is_bad(self.weather.loss) {
            return self.back(1 - to, generation, 500, &Back::Refreshed, Err(trouble(CallStage::Timeout)));
        }
        self.event(to, Event::Heard);
        let ms = self.ms + 5 + self.roll(200);
        let key = self.key(ms);
        self.jobs.insert(key, (1 - to, generation, Job::Event(Event::Refreshed(reply))));
    }

    /// The answer to a call goes back, or is lost.
    pub(super) fn reply(&mut self, to: usize, generation: u64, back: &Back, reply: Reply) {
        let reply = if self.is_bad(self.weather.loss) { Err(trouble(CallStage::Timeout)) } else { reply };
        let wait = 5 + self.roll(200);
        self.back(to, generation, wait, back, reply);
    }

    fn back(&mut self, to: usize, generation: u64, wait: u64, back: &Back, reply: Reply) {
        let job = match (back, reply) {
            (Back::Asked, reply) => Job::Event(Event::Asked(reply)),
            (Back::Sent, reply) => Job::Event(Event::Sent(reply)),
            (Back::Granted, reply) => Job::LobbyAnswered(reply),
            (Back::Refreshed, Err(error)) => Job::Event(Event::Refreshed(Refreshed::Failed(error))),
            (Back::Refreshed, Ok(answer)) => Job::Event(Event::Refreshed(Refreshed::Answered(answer))),
        };
        let key = self.key(self.ms + wait);
        self.jobs.insert(key, (to, generation, job));
    }
}

fn fresh(dice: &mut Counter, made: crate::wire::time::Wall) -> FreshPair {
    let mut secret = || crate::wire::secret::FreshSecret::from_chance(dice.bytes());
    FreshPair { token: secret(), refresh: secret(), lifetime: Duration::from_secs(120), made }
}
