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
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
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
        exchange::{FreshPair, TokenOffer},
        host::PeerHost,
        limits::{GRANT_TIME, GRANT_TIME_STRANGER, LOBBY_HOSTS, WAITING_PER_HOST},
        secret::HeldToken,
        time::{Mono, Now},
    },
};

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

/// A client address as limits count it: IPv6 by /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    /// Of a client's address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.into()),
            IpAddr::V6(v6) => Self(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into()),
        }
    }
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who sent it.
    pub origin: Origin,
    /// What it offers, and in whose name.
    pub offer: TokenOffer,
    /// The host is configured or linked.
    pub known: bool,
    /// The client address is likely the host's own: it goes first.
    pub likely: bool,
}

/// Why a request was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Dropped {
    /// The same request is being answered.
    #[error("the same request is being answered")]
    Repeat,
    /// Too many hosts are asked for.
    #[error("the table of requests is full")]
    TableFull,
    /// Too many client addresses ask for this host.
    #[error("too many client addresses ask for this host")]
    HostFull,
}

/// How a grant ended without success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// 401 or 403: somebody used the peer's name.
    Misused(String),
    /// Another refusal.
    Refused(String),
    /// No answer in time.
    Unanswered(String),
    /// The offered tokens or the link could not be kept.
    NotKept,
}

/// What the shell is told to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Commit these tokens as offered: then `kept`.
    Offer {
        /// To whom.
        host: PeerHost,
        /// The family's id.
        family: u64,
        /// Its first pair.
        pair: NewPair,
    },
    /// Grant: then `answered`.
    Grant {
        /// To whom.
        host: PeerHost,
        /// The token of the request.
        bearer: HeldToken,
        /// Our pair; the very same in each try.
        pair: FreshPair,
        /// What is left of the time for it.
        deadline: Duration,
        /// Whether the host is a stranger: its connection is not kept.
        stranger: bool,
    },
    /// Make a link of it (`Event::GrantTaken`): then `finished`.
    Take {
        /// Of which host.
        host: PeerHost,
        /// The family's id.
        family: u64,
        /// Its first pair.
        pair: NewPair,
        /// What the peer offered.
        offer: TokenOffer,
    },
    /// Drop what was offered.
    Withdraw {
        /// To whom.
        host: PeerHost,
        /// The family's id.
        family: u64,
        /// Its first pair.
        pair: NewPair,
        /// Why.
        ended: Ended,
    },
}

#[derive(Clone, Debug)]
struct Waiter {
    asked: Asked,
    until: Mono,
}

#[derive(Clone, Debug)]
struct Grant {
    asked: Asked,
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
    waiting: VecDeque<Waiter>,
}

/// The table.
#[derive(Debug)]
pub struct Lobby {
    settings: Settings,
    hosts: HashMap<PeerHost, Entry>,
    /// Hosts with somebody waiting, in the order of their turn.
    turns: VecDeque<PeerHost>,
    out: VecDeque<Action>,
}

const RETRY_FIRST: Duration = Duration::from_secs(1);

impl Lobby {
    /// An empty one.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, hosts: HashMap::new(), turns: VecDeque::new(), out: VecDeque::new() }
    }

    /// A request came in.
    ///
    /// # Errors
    /// `Dropped` says why nothing will come of it.
    pub fn asked(&mut self, asked: Asked, now: Now, dice: &mut dyn Dice) -> Result<(), Dropped> {
        let host = asked.offer.host.clone();
        if !self.hosts.contains_key(&host) && self.hosts.len() >= LOBBY_HOSTS && !asked.known {
            return Err(Dropped::TableFull);
        }
        let entry = self.hosts.entry(host.clone()).or_default();
        if entry.grant.as_ref().is_some_and(|grant| grant.asked.offer == asked.offer) {
            return Err(Dropped::Repeat);
        }
        entry.line_up(Waiter { asked, until: now.mono.plus(GRANT_TIME) })?;
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
            GrantVerdict::Taken => {
                grant.step = Step::Taking;
                let (family, pair, offer) = (grant.family, grant.pair, grant.asked.offer.clone());
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
            entry.waiting.retain(|waiter| now.mono < waiter.until);
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
        self.hosts.values().filter(|entry| entry.grant.is_some()).count()
    }

    /// Gives free slots to hosts whose turn it is.
    fn start(&mut self, now: Now, dice: &mut dyn Dice) {
        let mut place = 0;
        while let Some(host) = self.turns.get(place).cloned() {
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
        let Some(next) = entry.waiting.front() else { return true };
        if entry.grant.is_some() || !self.slot_is_free(&next.asked) {
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
        let Some(waiter) = entry.waiting.pop_front() else { return true };
        let (asked, give_up) = (waiter.asked, now.mono);
        entry.grant = Some(Grant { asked, family, fresh, pair, give_up, tries: 0, step: Step::Offering });
        self.out.push_back(Action::Offer { host: host.clone(), family, pair });
        true
    }

    fn slot_is_free(&self, asked: &Asked) -> bool {
        let grants = || self.hosts.values().filter_map(|entry| entry.grant.as_ref());
        let all = self.settings.slots;
        let strangers = grants().filter(|grant| !grant.asked.known).count();
        let from_there = grants().filter(|grant| grant.asked.origin == asked.origin).count();
        let room = grants().count() < all && (asked.known || strangers < all.div_ceil(2));
        room && from_there < (all / 8).max(1)
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
        if entry.waiting.is_empty() {
            self.hosts.remove(host);
        }
        grant
    }

    fn grant_at(&mut self, host: &PeerHost, step: Step) -> Option<&mut Grant> {
        self.hosts.get_mut(host)?.grant.as_mut().filter(|grant| grant.step == step)
    }
}

impl Entry {
    /// Likely addresses first; one place for each client address, 8 for the likely and 8 for the others.
    fn line_up(&mut self, waiter: Waiter) -> Result<(), Dropped> {
        if let Some(same) = self.waiting.iter_mut().find(|each| each.asked.origin == waiter.asked.origin) {
            *same = waiter;
            return Ok(());
        }
        let likely = waiter.asked.likely;
        if self.waiting.iter().filter(|each| each.asked.likely == likely).count() >= WAITING_PER_HOST {
            return Err(Dropped::HostFull);
        }
        let place = if likely {
            self.waiting.iter().position(|each| !each.asked.likely).unwrap_or(self.waiting.len())
        } else {
            self.waiting.len()
        };
        self.waiting.insert(place, waiter);
        Ok(())
    }
}
