//! What the table of requests of a host in a `World` wants done.

use crate::{
    link::{
        event::Event,
        lobby::{self, Grant, LookedUp},
        testing::{at_ms, parameters},
    },
    token::family::NewPair,
    wire::parameters::Form,
};

use super::world::*;

impl World {
    pub(super) fn lobby_actions(&mut self, place: usize) {
        let actions: Vec<_> = self.hosts[place].lobby.actions().collect();
        for action in actions {
            match action {
                lobby::Action::LookUp { host, .. } => {
                    let found = LookedUp {
                        parameters: parameters(Form::Tokens),
                        addresses: Vec::new(),
                        standing: self.hosts[place].peer.standing(at_ms(self.ms)),
                    };
                    let now = at_ms(self.ms);
                    self.hosts[place].lobby.looked_up(&host, Ok(found), now, &mut self.dice);
                    self.lobby_actions(place);
                }
                lobby::Action::Drop { .. } => {}
                lobby::Action::Offer { pair, .. } => {
                    self.hosts[place].offered.extend(digests(&pair));
                    let kept = !self.is_bad(self.weather.disk);
                    self.later(place, self.ms + 2, Job::LobbyKept(kept));
                }
                lobby::Action::Grant { grant, .. } => {
                    let Grant::Tokens { bearer, pair } = grant else { panic!("nobody speaks R3 here") };
                    self.call(place, Call::Grant(bearer.digest(), offer(place, &pair)), Back::Granted);
                }
                lobby::Action::Take { family, pair, offer, likely, .. } => {
                    self.event(place, Event::GrantTaken { family, pair, offer, likely });
                }
                lobby::Action::Withdraw { pair, .. } => self.settle_offer(place, &pair),
            }
        }
    }

    pub(super) fn settle_offer(&mut self, place: usize, pair: &NewPair) {
        let offered = &mut self.hosts[place].offered;
        for digest in digests(pair) {
            offered.remove(&digest);
        }
    }
}

fn digests(pair: &NewPair) -> impl Iterator<Item = [u8; 32]> {
    let refresh = pair.refresh.map(|refresh| *refresh.digest.as_bytes());
    std::iter::once(*pair.access.as_bytes()).chain(refresh)
}
