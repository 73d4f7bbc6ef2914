//! Requests in hosts' names, until our grant to that host is answered. Only then is there a link.
//!
//! ```text
//!   asked --> waiting --slot--> LookingUp --found--> Offering --offered tokens on disk--> Calling --204--> Taking --kept--> gone
//!                                  |                                                      | ^  \--401, 403, other--> withdrawn, gone
//!                                  +--not found, not fitting--> dropped                   v |
//!                                                             Resting: 408, 429, 5xx, no answer --time over--> withdrawn, gone
//!                                                             Seeking: 404, 405, 410 --another path--> Calling, else withdrawn
//! ```
//!
//! Where its host is forgotten before the 204, what is offered is withdrawn in any case; after it, whoever forgets waits until the
//! link stands, and ends it.
//!
//! A request is a stranger's order to open a connection to a host of its choice, so everything here is bounded:
//! hosts, waiting requests per host (by client address, taken in turn), look-ups and grants under way in all, per client
//! address, and half of them are for peers that we know. At a bound the request is dropped; its caller has its 204 already.
//! Source: `https-token`, "Being asked".

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{
    dice::Dice,
    verdict::{self, GrantVerdict},
};
use crate::wire::{
    answer::{Answer, Reply},
    exchange::{TokenOffer, TokenRequest},
    host::PeerHost,
    limits::{GRANT_TIME, GRANT_TIME_STRANGER, LOBBY_HOSTS},
    parameters::Form,
    time::{Mono, Now},
};

mod action;
mod offering;
mod slots;
#[cfg(test)]
mod tests;
mod turn;
mod waiting;

pub use action::{Action, Ended, Forgot, Grant, LookedUp, NotFound, Took};
pub use offering::Settings;
use offering::{Offering, Step, misfit};
use slots::Slots;
use turn::{Entry, Stage, Turn};
use waiting::Waiter;
pub use waiting::{Asked, Dropped, Origin};

/// The table.
#[derive(Clone, Debug)]
pub struct Lobby {
    settings: Settings,
    hosts: HashMap<PeerHost, Entry>,
    slots: Slots,
    /// Hosts with somebody waiting, in the order of their turn.
    turns: VecDeque<PeerHost>,
    out: VecDeque<Action>,
}

/// Hosts in whose names one client address may wait.
const HOSTS_PER_ORIGIN: usize = LOBBY_HOSTS / 8;

/// A look-up that our own bounds did not let through is made again after this.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

impl Lobby {
    /// An empty one.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            hosts: HashMap::new(),
            slots: Slots::default(),
            turns: VecDeque::new(),
            out: VecDeque::new(),
        }
    }

    /// Takes other settings. Grants under way go on; where there is more room now, the next begin.
    pub fn renew(&mut self, settings: Settings, now: Now) {
        self.settings = settings;
        self.start(now);
    }

    //= SEED-REQ-3, HT-ASK-33: a request to grant a token request; a bounded table
    /// A request came in.
    ///
    /// # Errors
    /// `Dropped` says why nothing will come of it.
    pub fn asked(&mut self, asked: Asked, now: Now) -> Result<(), Dropped> {
        let host = asked.request.host().clone();
        if !self.hosts.contains_key(&host) && self.hosts.len() >= LOBBY_HOSTS && !asked.known {
            return Err(Dropped::TableFull);
        }
        if !asked.known && !self.hosts.contains_key(&host) && self.is_crowded_by(asked.origin) {
            return Err(Dropped::OriginFull);
        }
        let entry = self.hosts.entry(host.clone()).or_default();
        if entry.turn.as_ref().is_some_and(|turn| asked.request.is_repeat_of(&turn.asked.request)) {
            return Err(Dropped::Repeat);
        }
        let waiter = Waiter { asked, came: now.mono, until: now.mono.plus(GRANT_TIME) };
        entry.waiting.line_up(waiter)?;
        if !self.turns.contains(&host) {
            self.turns.push_back(host);
        }
        self.start(now);
        Ok(())
    }

    //= NODE-API-31: revokes
    /// An operator forgets this host: what is offered to it now never opens anything.
    pub fn forget(&mut self, host: &PeerHost, now: Now) -> Forgot {
        let turn = self.hosts.get_mut(host).and_then(|entry| entry.turn.as_mut());
        let Some(Turn { stage: Stage::Granting(offering), .. }) = turn else { return Forgot::Nothing };
        if offering.step == Step::Taking {
            return Forgot::Taking;
        }
        offering.forgotten = true;
        // What is under way ends when it is answered.
        if let Step::Resting { .. } = offering.step {
            self.end(host, Ended::Forgotten, now);
        }
        Forgot::Offered
    }

    /// What became of `Action::LookUp`; `Err` is why it is not known how the host is spoken to.
    pub fn looked_up(
        &mut self,
        host: &PeerHost,
        found: Result<LookedUp, NotFound>,
        now: Now,
        dice: &mut dyn Dice,
    ) {
        let Some(turn) = self.hosts.get_mut(host).and_then(|entry| entry.turn.as_mut()) else { return };
        match (&mut turn.stage, found) {
            (Stage::LookingUp { .. }, Ok(found)) => self.found(host, &found, now, dice),
            (Stage::LookingUp { until, again }, Err(NotFound { busy: true, .. }))
                if now.mono.plus(BUSY_PAUSE) < *until =>
            {
                *again = Some(now.mono.plus(BUSY_PAUSE));
            }
            (Stage::LookingUp { .. }, Err(NotFound { reason, .. })) => self.drop_turn(host, reason, now),
            (Stage::Granting(_), found) => self.sought(host, found.ok(), now),
        }
    }

    /// What became of `Action::Offer`.
    pub fn kept(&mut self, host: &PeerHost, kept: bool, now: Now) {
        let Some((asked, offering)) = self.offering_at(host, &Step::Offering) else { return };
        if kept {
            let time = if asked.known { GRANT_TIME } else { GRANT_TIME_STRANGER };
            offering.give_up = now.mono.plus(time);
            self.call(host, now);
        } else {
            self.end(host, Ended::NotKept, now);
        }
    }

    /// What became of `Action::Grant`.
    pub fn answered(&mut self, host: &PeerHost, reply: &Reply, now: Now) {
        let Some((_, offering)) = self.offering_at(host, &Step::Calling) else { return };
        let (reason, forgotten) = (verdict::describe(reply), offering.forgotten);
        match verdict::of_grant(reply) {
            GrantVerdict::Taken | GrantVerdict::Again | GrantVerdict::Elsewhere if forgotten => {
                self.end(host, Ended::Forgotten, now);
            }
            GrantVerdict::Taken => self.take(host, now),
            GrantVerdict::Misused => self.end(host, Ended::Misused(reason), now),
            GrantVerdict::Refused => self.end(host, Ended::Refused(reason), now),
            GrantVerdict::Elsewhere => {
                offering.step = Step::Seeking { reason };
                self.look_up(host);
            }
            GrantVerdict::Again => {
                if !offering.rest(reply.as_ref().ok().and_then(Answer::wait), now) {
                    self.end(host, Ended::Unanswered(reason), now);
                }
            }
        }
    }

    /// What became of `Action::Take`.
    pub fn finished(&mut self, host: &PeerHost, took: Took, now: Now) {
        if self.offering_at(host, &Step::Taking).is_none() {
            return;
        }
        match took {
            Took::Kept => {
                self.leave(host);
                self.start(now);
            }
            Took::Lost => self.end(host, Ended::NotKept, now),
            Took::NoPlace => self.end(host, Ended::NoPlace, now),
        }
    }

    /// The moment of `wake_at` has come.
    pub fn woken(&mut self, now: Now) {
        let due: Vec<_> = self
            .hosts
            .iter()
            .filter(|(_, entry)| entry.rests_until().is_some_and(|until| now.mono >= until))
            .map(|(host, _)| host.clone())
            .collect();
        for host in due {
            self.look_up(&host);
            self.call(&host, now);
        }
        for entry in self.hosts.values_mut() {
            entry.waiting.sweep(now.mono);
        }
        self.hosts.retain(|_, entry| entry.turn.is_some() || !entry.waiting.is_empty());
        let hosts = &self.hosts;
        self.turns.retain(|host| hosts.contains_key(host));
        self.start(now);
    }

    /// When `woken` is due.
    #[must_use]
    pub fn wake_at(&self) -> Option<Mono> {
        let rests = self.hosts.values().filter_map(Entry::rests_until);
        let waits = self.hosts.values().flat_map(|entry| entry.waiting.iter().map(|waiter| waiter.until));
        rests.chain(waits).min()
    }

    /// What is to be done, in this order.
    pub fn actions(&mut self) -> impl Iterator<Item = Action> + use<> {
        std::mem::take(&mut self.out).into_iter()
    }

    /// Grants under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.slots.all
    }

    /// Gives free slots to hosts whose turn it is.
    fn start(&mut self, now: Now) {
        let mut place = 0;
        while self.slots.all < self.settings.slots
            && let Some(host) = self.turns.get(place).cloned()
        {
            if self.begin(&host, now) {
                self.turns.remove(place);
                if self.hosts.get(&host).is_some_and(|entry| !entry.waiting.is_empty()) {
                    self.turns.push_back(host);
                }
            } else {
                place += 1;
            }
        }
    }

    /// Begins the next turn of this host, if it has none and a slot is free for it.
    fn begin(&mut self, host: &PeerHost, now: Now) -> bool {
        let Some(entry) = self.hosts.get_mut(host) else { return true };
        let Some(next) = entry.waiting.first() else { return true };
        //= HT-ASK-26: one for a host
        if entry.turn.is_some() || !self.slots.has_room(next, self.settings.slots) {
            return false;
        }
        let Some(Waiter { asked, came, .. }) = entry.waiting.take_first() else { return true };
        self.slots.occupy(&asked);
        let time = if asked.known { GRANT_TIME } else { GRANT_TIME_STRANGER };
        let stage = Stage::LookingUp { until: now.mono.plus(time), again: None };
        entry.turn = Some(Turn { asked, came, stage });
        self.look_up(host);
        true
    }

    /// Looks up how the host is spoken to, where the turn stands there.
    fn look_up(&mut self, host: &PeerHost) {
        let Some(turn) = self.hosts.get_mut(host).and_then(|entry| entry.turn.as_mut()) else { return };
        match &mut turn.stage {
            Stage::LookingUp { again, .. } => *again = None,
            Stage::Granting(offering) if !matches!(offering.step, Step::Seeking { .. }) => return,
            Stage::Granting(_) => {}
        }
        let (stranger, likely) = (!turn.asked.known, turn.asked.likely);
        let recent = !likely && turn.asked.request.form() == Form::Tokens;
        self.out.push_back(Action::LookUp { host: host.clone(), stranger, likely, recent });
    }

    /// It is known how the host is spoken to, and where it is: whoever asks from there goes first.
    fn found(&mut self, host: &PeerHost, found: &LookedUp, now: Now, dice: &mut dyn Dice) {
        let Some(entry) = self.hosts.get_mut(host) else { return };
        let Some(turn) = &mut entry.turn else { return };
        turn.asked.likely |= found.addresses.contains(&turn.asked.origin);
        if !turn.asked.likely
            && let Some(likely) = entry.waiting.take_likely(&found.addresses)
        {
            self.slots.release(&turn.asked);
            self.slots.occupy(&likely.asked);
            let asked = std::mem::replace(&mut turn.asked, likely.asked);
            let came = std::mem::replace(&mut turn.came, likely.came);
            entry.waiting.put_back(Waiter { asked, came, until: came.plus(GRANT_TIME) });
        }
        if let Some(reason) = misfit(&turn.asked, found.parameters.form(), found.standing) {
            return self.drop_turn(host, reason.to_owned(), now);
        }
        let offering = Offering::new(&turn.asked, &found.parameters, &self.settings, now, dice);
        let (family, pair) = (offering.family, offering.pair);
        turn.stage = Stage::Granting(Box::new(offering));
        self.out.push_back(Action::Offer { host: host.clone(), family, pair });
    }

    /// Nobody was found under the grant path; now it is known whether there is another.
    fn sought(&mut self, host: &PeerHost, found: Option<LookedUp>, now: Now) {
        let Some(turn) = self.hosts.get_mut(host).and_then(|entry| entry.turn.as_mut()) else { return };
        let Stage::Granting(offering) = &mut turn.stage else { return };
        let Step::Seeking { reason } = &offering.step else { return };
        let reason = reason.clone();
        let fits = |found: &LookedUp| misfit(&turn.asked, found.parameters.form(), found.standing).is_none();
        match found.filter(fits) {
            Some(found) if offering.follow(&found.parameters, now) => self.call(host, now),
            Some(_) | None => self.end(host, Ended::Refused(reason), now),
        }
    }

    //= SEED-REQ-2: not used before the grant's 204
    fn take(&mut self, host: &PeerHost, now: Now) {
        let Some(turn) = self.hosts.get_mut(host).and_then(|entry| entry.turn.as_mut()) else { return };
        let Stage::Granting(offering) = &mut turn.stage else { return };
        offering.step = Step::Taking;
        let offer = match &turn.asked.request {
            TokenRequest::Tokens(offer) => {
                // It was made when it was asked.
                let lifetime = offer.lifetime.saturating_sub(now.mono.since(turn.came));
                Some(TokenOffer { lifetime, ..offer.clone() })
            }
            TokenRequest::State(_) => None,
        };
        let (family, pair, likely) = (offering.family, offering.pair, turn.asked.likely);
        self.out.push_back(Action::Take { host: host.clone(), family, pair, offer, likely });
    }

    /// Whether this client address waits in the names of an eighth of all hosts that there is room for.
    fn is_crowded_by(&self, origin: Origin) -> bool {
        let here = |entry: &&Entry| {
            entry.turn.as_ref().is_some_and(|turn| turn.asked.origin == origin)
                || entry.waiting.iter().any(|waiter| waiter.asked.origin == origin)
        };
        // Below the share of one address there is nothing to count.
        self.hosts.len() >= HOSTS_PER_ORIGIN
            && self.hosts.values().filter(here).nth(HOSTS_PER_ORIGIN - 1).is_some()
    }

    fn call(&mut self, host: &PeerHost, now: Now) {
        let Some(turn) = self.hosts.get_mut(host).and_then(|entry| entry.turn.as_mut()) else { return };
        let Stage::Granting(offering) = &mut turn.stage else { return };
        if offering.forgotten {
            return self.end(host, Ended::Forgotten, now);
        }
        let Some(grant) = offering.grant(&turn.asked.request) else { return };
        offering.step = Step::Calling;
        let (deadline, stranger) = (offering.give_up.since(now.mono), !turn.asked.known);
        self.out.push_back(Action::Grant { host: host.clone(), grant, deadline, stranger });
    }

    fn end(&mut self, host: &PeerHost, ended: Ended, now: Now) {
        if let Some(Turn { stage: Stage::Granting(offering), .. }) = self.leave(host) {
            let (family, pair) = (offering.family, offering.pair);
            self.out.push_back(Action::Withdraw { host: host.clone(), family, pair, ended });
        }
        self.start(now);
    }

    fn drop_turn(&mut self, host: &PeerHost, reason: String, now: Now) {
        if self.leave(host).is_some() {
            self.out.push_back(Action::Drop { host: host.clone(), reason });
        }
        self.start(now);
    }

    fn leave(&mut self, host: &PeerHost) -> Option<Turn> {
        let entry = self.hosts.get_mut(host)?;
        let turn = entry.turn.take();
        if let Some(turn) = &turn {
            self.slots.release(&turn.asked);
        }
        if entry.waiting.is_empty() {
            self.hosts.remove(host);
        }
        turn
    }

    fn offering_at(&mut self, host: &PeerHost, step: &Step) -> Option<(&Asked, &mut Offering)> {
        let turn = self.hosts.get_mut(host)?.turn.as_mut()?;
        match &mut turn.stage {
            Stage::Granting(offering) if offering.step == *step => Some((&turn.asked, offering)),
            Stage::Granting(_) | Stage::LookingUp { .. } => None,
        }
    }
}
