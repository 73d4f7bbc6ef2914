//! Requests that wait for their turn at one host: by client address, so that nobody can crowd the host's own out.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv6Addr},
};

use crate::wire::{exchange::TokenRequest, limits::WAITING_PER_HOST, time::Mono};

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
    /// What it is, and in whose name.
    pub request: TokenRequest,
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
    /// This client address asks in the names of too many hosts.
    #[error("this client address asks in the names of too many hosts")]
    OriginFull,
    /// Too many client addresses ask for this host.
    #[error("too many client addresses ask for this host")]
    HostFull,
}

/// A request that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub(super) asked: Asked,
    /// When it came.
    pub(super) came: Mono,
    /// How long it waits.
    pub(super) until: Mono,
}

/// Requests in one host's name, in the order of their turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(VecDeque<Waiter>);

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn first(&self) -> Option<&Asked> {
        self.0.front().map(|waiter| &waiter.asked)
    }

    pub(super) fn take_first(&mut self) -> Option<Waiter> {
        self.0.pop_front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.0.iter()
    }

    //= HT-ASK-28: the host's own go first
    /// The host's own addresses are known: what came from one of them goes first. The first of these is given back, where
    /// there is one.
    pub(super) fn take_likely(&mut self, addresses: &[Origin]) -> Option<Waiter> {
        for waiter in &mut self.0 {
            waiter.asked.likely |= addresses.contains(&waiter.asked.origin);
        }
        self.0.make_contiguous().sort_by_key(|waiter| !waiter.asked.likely);
        if self.0.front()?.asked.likely { self.0.pop_front() } else { None }
    }

    /// Puts one back that had its turn already: the next turn of its kind is its own.
    pub(super) fn put_back(&mut self, waiter: Waiter) {
        if self.0.iter().any(|each| each.asked.origin == waiter.asked.origin) {
            return;
        }
        let place = self.0.iter().position(|each| !each.asked.likely).unwrap_or(self.0.len());
        self.0.insert(place, waiter);
    }

    /// Whose time is over goes.
    pub(super) fn sweep(&mut self, now: Mono) {
        self.0.retain(|waiter| now < waiter.until);
    }

    //= HT-ASK-27: 8, by client address
    /// Likely addresses first; one place for each client address, 8 for the likely and 8 for the others.
    pub(super) fn line_up(&mut self, waiter: Waiter) -> Result<(), Dropped> {
        if let Some(same) = self.0.iter_mut().find(|each| each.asked.origin == waiter.asked.origin) {
            *same = waiter;
            return Ok(());
        }
        let likely = waiter.asked.likely;
        if self.0.iter().filter(|each| each.asked.likely == likely).count() >= WAITING_PER_HOST {
            return Err(Dropped::HostFull);
        }
        let place = if likely {
            self.0.iter().position(|each| !each.asked.likely).unwrap_or(self.0.len())
        } else {
            self.0.len()
        };
        self.0.insert(place, waiter);
        Ok(())
    }
}
