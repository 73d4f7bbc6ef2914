//! Requests in hosts' names, until our grant to that host is answered. Only then is there a link.
//!
//! ```text
//!   asked --> waiting --slot--> Offering --offered tokens on disk--> Calling --204--> Taking --kept--> gone
//!                                                                      | ^   \--401, 403, other--> withdrawn, gone
//!                                        408, 429, 5xx, no answer      v |
//!                                                                    Resting --time over--> withdrawn, gone
//! ```
//!
//! A request is a stranger's order to open a connection to a host of its choice, so everything here is bounded:
//! hosts, waiting requests per host (by client address, taken in turn), grants under way in all, per client address,
//! and half of them are for peers that we know. At a bound the request is dropped; its caller has its 204 already.
//! Source: `https-token`, "Being asked".

use std::{
    collections::{HashMap, VecDeque, hash_map},
    time::Duration,
};

use super::{
    dice::{Dice, number, secret},
    verdict::{self, GrantVerdict},
};
use crate::{
    token::family::NewPair,
    wire::{
        answer::Reply,
        exchange::FreshPair,
        host::PeerHost,
        limits::{GRANT_TIME, GRANT_TIME_STRANGER, LOBBY_HOSTS},
        time::{Mono, Now},
    },
};

mod action;
#[cfg(test)]
mod tests;
mod waiting;

pub use action::{Action, Ended};
pub use waiting::{Asked, Dropped, Origin};
use waiting::{Waiter, Waiting};

/// What the lobby must know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Grants under way at once.
    pub slots: usize,
    /// Life of the access tokens that we give.
    pub token_lifetime: Duration,
    /// Life of the refresh tokens that we give.
    pub refresh_lifetime: Duration,
}

#[derive(Clone, Debug)]
struct Grant {
    asked: Asked,
    /// When the request came: what it offers lives from there.
    came: Mono,
    family: u64,
    fresh: FreshPair,
    pair: NewPair,
    give_up: Mono,
    tries: u32,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Offering,
    Calling,
    Resting { until: Mono },
    Taking,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    grant: Option<Grant>,
    waiting: Waiting,
}

/// Grants under way, as limits count them.
#[derive(Debug, Default)]
struct Slots {
    all: usize,
    strangers: usize,
    by_origin: HashMap<Origin, usize>,
}

impl Slots {
    fn occupy(&mut self, asked: &Asked) {
        self.all += 1;
        self.strangers += usize::from(!asked.known);
        *self.by_origin.entry(asked.origin).or_default() += 1;
    }

    fn release(&mut self, asked: &Asked) {
        self.all -= 1;
        self.strangers -= usize::from(!asked.known);
        if let hash_map::Entry::Occupied(mut count) = self.by_origin.entry(asked.origin) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    //= https-token, "Being asked": one client address has at most 1/8 of all slots, half are for peers that we know
    fn has_room(&self, asked: &Asked, all: usize) -> bool {
        let from_there = self.by_origin.get(&asked.origin).copied().unwrap_or(0);
        let room = self.all < all && (asked.known || self.strangers < (all / 2).max(1));
        room && from_there < (all / 8).max(1)
    }
}

/// The table.
#[derive(Debug)]
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
const RETRY_FIRST: Duration = Duration::from_secs(1);

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

    //= https-token, "Request a token", MUST 3: a request to grant a token request
    /// A request came in.
    ///
    /// # Errors
    /// `Dropped` says why nothing will come of it.
    pub fn asked(&mut self, asked: Asked, now: Now, dice: &mut dyn Dice) -> Result<(), Dropped> {
        let host = asked.offer.host.clone();
        if !self.hosts.contains_key(&host) && self.hosts.len() >= LOBBY_HOSTS && !asked.known {
            return Err(Dropped::TableFull);
        }
        if !asked.known && !self.hosts.contains_key(&host) && self.is_crowded_by(asked.origin) {
            return Err(Dropped::OriginFull);
        }
        let entry = self.hosts.entry(host.clone()).or_default();
        if entry.grant.as_ref().is_some_and(|grant| grant.asked.offer == asked.offer) {
            return Err(Dropped::Repeat);
        }
        let waiter = Waiter { asked, came: now.mono, until: now.mono.plus(GRANT_TIME) };
        entry.waiting.line_up(waiter)?;
        if !self.turns.contains(&host) {
            self.turns.push_back(host);
        }
        self.start(now, dice);
        Ok(())
    }

    /// What became of `Action::Offer`.
    pub fn kept(&mut self, host: &PeerHost, kept: bool, now: Now, dice: &mut dyn Dice) {
        let Some(grant) = self.grant_at(host, Step::Offering) else { return };
        if kept {
            let known = grant.asked.known;
            grant.give_up = now.mono.plus(if known { GRANT_TIME } else { GRANT_TIME_STRANGER });
            self.call(host, now);
        } else {
            self.end(host, Ended::NotKept, now, dice);
        }
    }

    /// What became of `Action::Grant`.
    pub fn answered(&mut self, host: &PeerHost, reply: &Reply, now: Now, dice: &mut dyn Dice) {
        let Some(grant) = self.grant_at(host, Step::Calling) else { return };
        let reason = verdict::describe(reply);
        match verdict::of_grant(reply) {
            //= https-token, "Request a token", MUST 2: the tokens are not used before the grant's 204
            GrantVerdict::Taken => {
                grant.step = Step::Taking;
                let (family, pair, mut offer) = (grant.family, grant.pair, grant.asked.offer.clone());
                // It was made when it was asked.
                offer.lifetime = offer.lifetime.saturating_sub(now.mono.since(grant.came));
                self.out.push_back(Action::Take { host: host.clone(), family, pair, offer });
            }
            GrantVerdict::Misused => self.end(host, Ended::Misused(reason), now, dice),
            GrantVerdict::Refused => self.end(host, Ended::Refused(reason), now, dice),
            GrantVerdict::Again => {
                let until = now.mono.plus(RETRY_FIRST.saturating_mul(1 << grant.tries.min(5)));
                grant.tries += 1;
                if until >= grant.give_up {
                    self.end(host, Ended::Unanswered(reason), now, dice);
                } else {
                    grant.step = Step::Resting { until };
                }
            }
        }
    }

    /// What became of `Action::Take`.
    pub fn finished(&mut self, host: &PeerHost, kept: bool, now: Now, dice: &mut dyn Dice) {
        if self.grant_at(host, Step::Taking).is_none() {
            return;
        }
        if kept {
            self.leave(host);
            self.start(now, dice);
        } else {
            self.end(host, Ended::NotKept, now, dice);
        }
    }

    /// The moment of `wake_at` has come.
    pub fn woken(&mut self, now: Now, dice: &mut dyn Dice) {
        let due: Vec<_> = self
            .hosts
            .iter()
            .filter(|(_, entry)| {
                let rests =
                    |grant: &Grant| matches!(grant.step, Step::Resting { until } if now.mono >= until);
                entry.grant.as_ref().is_some_and(rests)
            })
            .map(|(host, _)| host.clone())
            .collect();
        for host in due {
            self.call(&host, now);
        }
        for entry in self.hosts.values_mut() {
            entry.waiting.sweep(now.mono);
        }
        self.hosts.retain(|_, entry| entry.grant.is_some() || !entry.waiting.is_empty());
        let hosts = &self.hosts;
        self.turns.retain(|host| hosts.contains_key(host));
        self.start(now, dice);
    }

    /// When `woken` is due.
    #[must_use]
    pub fn wake_at(&self) -> Option<Mono> {
        let rests = self.hosts.values().filter_map(|entry| match entry.grant.as_ref()?.step {
            Step::Resting { until } => Some(until),
            Step::Offering | Step::Calling | Step::Taking => None,
        });
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
    fn start(&mut self, now: Now, dice: &mut dyn Dice) {
        let mut place = 0;
        while self.slots.all < self.settings.slots
            && let Some(host) = self.turns.get(place).cloned()
        {
            if self.begin(&host, now, dice) {
                self.turns.remove(place);
                if self.hosts.get(&host).is_some_and(|entry| !entry.waiting.is_empty()) {
                    self.turns.push_back(host);
                }
            } else {
                place += 1;
            }
        }
    }

    /// Begins the next grant to this host, if it has none and a slot is free for it.
    fn begin(&mut self, host: &PeerHost, now: Now, dice: &mut dyn Dice) -> bool {
        let Some(entry) = self.hosts.get(host) else { return true };
        let Some(next) = entry.waiting.first() else { return true };
        if entry.grant.is_some() || !self.slots.has_room(next, self.settings.slots) {
            return false;
        }
        let settings = &self.settings;
        let fresh = FreshPair {
            token: secret(dice),
            refresh: secret(dice),
            lifetime: settings.token_lifetime,
            made: now.wall,
        };
        let (access, refresh) = (fresh.token.digest(), fresh.refresh.digest());
        let pair = NewPair::new(access, fresh.lifetime, refresh, settings.refresh_lifetime, now.wall);
        let family = number(dice);
        let Some(entry) = self.hosts.get_mut(host) else { return true };
        let Some(waiter) = entry.waiting.take_first() else { return true };
        let (asked, came, give_up) = (waiter.asked, waiter.came, now.mono);
        self.slots.occupy(&asked);
        entry.grant =
            Some(Grant { asked, came, family, fresh, pair, give_up, tries: 0, step: Step::Offering });
        self.out.push_back(Action::Offer { host: host.clone(), family, pair });
        true
    }

    /// Whether this client address waits in the names of an eighth of all hosts that there is room for.
    fn is_crowded_by(&self, origin: Origin) -> bool {
        let here = |entry: &&Entry| {
            entry.grant.as_ref().is_some_and(|grant| grant.asked.origin == origin)
                || entry.waiting.iter().any(|waiter| waiter.asked.origin == origin)
        };
        // Below the share of one address there is nothing to count.
        self.hosts.len() >= HOSTS_PER_ORIGIN
            && self.hosts.values().filter(here).nth(HOSTS_PER_ORIGIN - 1).is_some()
    }

    fn call(&mut self, host: &PeerHost, now: Now) {
        let Some(grant) = self.hosts.get_mut(host).and_then(|entry| entry.grant.as_mut()) else { return };
        grant.step = Step::Calling;
        self.out.push_back(Action::Grant {
            host: host.clone(),
            bearer: grant.asked.offer.token.clone(),
            pair: grant.fresh.clone(),
            deadline: grant.give_up.since(now.mono),
            stranger: !grant.asked.known,
        });
    }

    fn end(&mut self, host: &PeerHost, ended: Ended, now: Now, dice: &mut dyn Dice) {
        if let Some(grant) = self.leave(host) {
            let (family, pair) = (grant.family, grant.pair);
            self.out.push_back(Action::Withdraw { host: host.clone(), family, pair, ended });
        }
        self.start(now, dice);
    }

    fn leave(&mut self, host: &PeerHost) -> Option<Grant> {
        let entry = self.hosts.get_mut(host)?;
        let grant = entry.grant.take();
        if let Some(grant) = &grant {
            self.slots.release(&grant.asked);
        }
        if entry.waiting.is_empty() {
            self.hosts.remove(host);
        }
        grant
    }

    fn grant_at(&mut self, host: &PeerHost, step: Step) -> Option<&mut Grant> {
        self.hosts.get_mut(host)?.grant.as_mut().filter(|grant| grant.step == step)
    }
}
