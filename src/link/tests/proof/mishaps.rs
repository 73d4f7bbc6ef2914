//! What goes wrong: calls and answers that are lost, hosts that restart with what they had committed, waits that are over.

use std::sync::Arc;

use crate::{
    link::{event::Event, peer::Peer, testing::parameters},
    wire::{parameters::Found, record::LinkRecord},
};

use super::{moves::Loss, naming::since_start, world::*};

impl World {
    pub(super) fn lose(&mut self, place: usize, loss: Loss) {
        let flight = Arc::unwrap_or_clone(self.flights.remove(place));
        let stage = if loss == Loss::Unreached { Stage::Unreached } else { Stage::Silent };
        match flight.cargo {
            Cargo::Call(call, back) => {
                if loss == Loss::Late {
                    self.lost = true;
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

    // `https-token`, "A crash between two steps".
    pub(super) fn crash(&mut self, place: Place) {
        let scene = Arc::clone(&self.scene);
        let host = self.host_mut(place);
        let callers: Vec<_> = host.waits_for().collect();
        host.waiting.clear();
        host.jobs.clear();
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
            side.seen = side.kept.clone();
        }
        self.flights.retain(|flight| flight.to != place || matches!(flight.cargo, Cargo::Call(..)));
        for flight in &mut self.flights {
            if flight.from == place
                && let Cargo::Call(_, back) = &mut Arc::make_mut(flight).cargo
            {
                *back = None;
            }
        }
        // Whom it had called answers nobody.
        let other = self.host_mut(1 - place);
        other.callers().filter(|(from, _)| *from == place).for_each(|(_, back)| *back = None);
        for (from, back) in callers {
            self.answer(place, from, back, Answered::Nothing(Stage::Silent));
        }
        for of in self.hosts[place].others() {
            if !self.side(place, of).outbox.is_empty() {
                self.drive(place, of, Event::MailQueued);
            }
        }
    }

    pub(super) fn tick(&mut self) {
        let Some(next) = self.next_wake() else { return };
        self.ms = self.ms.max(since_start(next));
        let now = self.now();
        let is_over = |flight: &Arc<Flight>| flight.cargo.back().is_some_and(|back| back.until <= now.mono);
        while let Some(place) = self.flights.iter().position(is_over) {
            self.lose(place, if self.scene.late { Loss::Late } else { Loss::Silent });
        }
        for place in HONEST {
            let over = |(from, back): (Place, &mut Option<Back>)| {
                let over = back.take_if(|back| from != M && back.until <= now.mono);
                over.map(|back| (from, back))
            };
            let over: Vec<_> = self.host_mut(place).callers().filter_map(over).collect();
            for (from, back) in over {
                self.answered(from, place, back, Answered::Nothing(Stage::Silent));
            }
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
}
