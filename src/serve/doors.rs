//! How many connections there may be: in all, and from one client address.
//!
//! An IPv6 client holds a whole /64, so that is what counts as one address. The table holds addresses with an open
//! connection only, so it is never larger than the number of connections.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts open connections of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Doors {
    total_max: usize,
    per_address_max: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection; dropped with it.
#[derive(Debug)]
pub(crate) struct Ticket {
    doors: Doors,
    key: IpAddr,
}

impl Doors {
    /// Bounds for one listener.
    pub(crate) fn new(total_max: usize, per_address_max: usize) -> Self {
        Self { total_max, per_address_max, open: Arc::default() }
    }

    /// Lets a connection in; `None` is over a limit.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Ticket> {
        let key = client_key(address);
        let mut open = self.lock();
        let here = open.by_address.get(&key).copied().unwrap_or(0);
        if open.total >= self.total_max || here >= self.per_address_max {
            return None;
        }
        open.total += 1;
        open.by_address.insert(key, here + 1);
        Some(Ticket { doors: self.clone(), key })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut open = self.doors.lock();
        open.total = open.total.saturating_sub(1);
        let left = open.by_address.get(&self.key).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            open.by_address.remove(&self.key);
        } else {
            open.by_address.insert(self.key, left);
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

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_client_address_has_a_bound_and_leaving_makes_room() {
        let doors = Doors::new(10, 2);
        let first = doors.enter(ip("192.0.2.1")).unwrap();
        let _second = doors.enter(ip("::ffff:192.0.2.1")).unwrap();
        assert!(doors.enter(ip("192.0.2.1")).is_none());
        assert!(doors.enter(ip("192.0.2.2")).is_some());
        drop(first);
        assert!(doors.enter(ip("192.0.2.1")).is_some());
    }

    #[test]
    fn an_ipv6_client_is_its_64_bit_prefix() {
        let doors = Doors::new(10, 1);
        let _one = doors.enter(ip("2001:db8::1")).unwrap();
        assert!(doors.enter(ip("2001:db8::ffff:1")).is_none());
        assert!(doors.enter(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn there_is_a_bound_in_all_and_no_trace_of_those_who_left() {
        let doors = Doors::new(2, 2);
        let tickets = [doors.enter(ip("192.0.2.1")).unwrap(), doors.enter(ip("192.0.2.2")).unwrap()];
        assert!(doors.enter(ip("192.0.2.3")).is_none());
        drop(tickets);
        assert!(doors.lock().by_address.is_empty());
        assert_eq!(doors.lock().total, 0);
    }
}
