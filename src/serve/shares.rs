//! What strangers may hold of this process: connections, and bytes of bodies, in all and from one client address.
//!
//! An IPv6 client holds a whole /64, so that is what counts as one address. The table holds addresses with an open share
//! only, so it is never larger than the number of shares. A share is given back when it is dropped.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts one kind of thing. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug)]
struct Taken {
    total_max: usize,
    per_address_max: usize,
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// What one connection or one body holds.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Shares,
    key: IpAddr,
    amount: usize,
}

/// Over a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Shares {
    /// Bounds in all and for one client address.
    pub(crate) fn new(total_max: usize, per_address_max: usize) -> Self {
        let taken = Taken { total_max, per_address_max, total: 0, by_address: HashMap::new() };
        Self { taken: Arc::new(Mutex::new(taken)) }
    }

    /// Other bounds from here on. What is open stays open, also where it is more.
    pub(crate) fn bound(&self, total_max: usize, per_address_max: usize) {
        let mut taken = self.lock();
        (taken.total_max, taken.per_address_max) = (total_max, per_address_max);
    }

    /// A share that holds nothing yet.
    pub(crate) fn open(&self, address: IpAddr) -> Share {
        Share { shares: self.clone(), key: client_key(address), amount: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Takes so much more, all or nothing.
    ///
    /// # Errors
    /// `Exhausted` over a bound.
    pub(crate) fn grow(&mut self, amount: usize) -> Result<(), Exhausted> {
        if amount == 0 {
            return Ok(());
        }
        let mut taken = self.shares.lock();
        let taken = &mut *taken;
        let total = taken.total.saturating_add(amount);
        let held = taken.by_address.entry(self.key);
        let here = if let Entry::Occupied(held) = &held { *held.get() } else { 0 }.saturating_add(amount);
        if total > taken.total_max || here > taken.per_address_max {
            return Err(Exhausted);
        }
        taken.total = total;
        held.insert_entry(here);
        self.amount += amount;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut taken = self.shares.lock();
        taken.total = taken.total.saturating_sub(self.amount);
        if let Entry::Occupied(mut held) = taken.by_address.entry(self.key) {
            let left = held.get().saturating_sub(self.amount);
            if left == 0 {
                held.remove();
            } else {
                held.insert(left);
            }
        }
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /64.
fn client_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(shares: &Shares, address: &str, amount: usize) -> Option<Share> {
        let mut share = shares.open(address.parse().unwrap());
        share.grow(amount).ok().map(|()| share)
    }

    //= NODE-CONF-12
    #[test]
    fn one_client_address_has_a_bound_and_leaving_makes_room() {
        let shares = Shares::new(10, 2);
        let first = take(&shares, "192.0.2.1", 1).unwrap();
        let _second = take(&shares, "::ffff:192.0.2.1", 1).unwrap();
        assert!(take(&shares, "192.0.2.1", 1).is_none());
        assert!(take(&shares, "192.0.2.2", 1).is_some());
        drop(first);
        assert!(take(&shares, "192.0.2.1", 1).is_some());
    }

    #[test]
    fn other_bounds_hold_for_the_next_and_end_nothing() {
        let shares = Shares::new(10, 10);
        let first = take(&shares, "192.0.2.1", 3).unwrap();
        shares.bound(2, 2);
        assert!(take(&shares, "192.0.2.2", 1).is_none());
        drop(first);
        assert!(take(&shares, "192.0.2.2", 2).is_some());
        shares.bound(10, 1);
        assert!(take(&shares, "192.0.2.1", 2).is_none());
    }

    #[test]
    fn an_ipv6_client_is_its_64_bit_prefix() {
        let shares = Shares::new(10, 1);
        let _one = take(&shares, "2001:db8::1", 1).unwrap();
        assert!(take(&shares, "2001:db8::ffff:1", 1).is_none());
        assert!(take(&shares, "2001:db8:0:1::1", 1).is_some());
    }

    #[test]
    fn there_is_a_bound_in_all_and_no_trace_of_those_who_left() {
        let shares = Shares::new(4, 4);
        let mut growing = take(&shares, "192.0.2.1", 1).unwrap();
        assert_eq!(growing.grow(2), Ok(()));
        assert_eq!(growing.grow(2), Err(Exhausted));
        let other = take(&shares, "192.0.2.2", 1).unwrap();
        assert!(take(&shares, "192.0.2.3", 1).is_none());
        drop((growing, other));
        assert!(shares.lock().by_address.is_empty());
        assert_eq!(shares.lock().total, 0);
    }
}
