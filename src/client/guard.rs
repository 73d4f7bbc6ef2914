//! Which addresses and ports a peer's name may lead to (`https-token`, "Being asked").
//!
//! A token request is a stranger's order to open a connection to a host of its choice; without rules it would reach
//! what only this machine's own network can reach. So an address must be public, which is judged on the very address
//! that is then dialled, not on an earlier look-up. IPv6 is open only where the registry gives out global unicast;
//! forms that carry an IPv4 address are judged by it where hosts use them (mapped, NAT64) and refused where not.
//! Pinned addresses and hosts under `federation.private-addresses` do not come here.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

/// IPv4 that is not public (IANA special-purpose registry), and what to call it.
const SPECIAL_V4: [(Ipv4Addr, u32, &str); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared by a carrier"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a 6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(255, 255, 255, 255), 32, "broadcast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// IPv6 that is not public. Narrow ones first, because the first that fits gives the name; what is in none of these and
/// not in 2000::/3 is refused too.
const SPECIAL_V6: [(Ipv6Addr, u32, &str); 13] = [
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::UNSPECIFIED, 96, "an IPv4 address in disguise"),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, "a local IPv4 translation"),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, "a discard address"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, "Teredo"),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved for protocols"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "for documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "for documentation"),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, "unique-local"),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, "link-local"),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, "multicast"),
];

const MAPPED: (Ipv6Addr, u32) = (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
const GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

//= HT-ASK-21: public addresses only
/// Whether an address is public; if not, what it is, to follow "it is".
pub(super) fn judge(address: IpAddr) -> Result<(), &'static str> {
    match address {
        IpAddr::V4(address) => judge_v4(address),
        IpAddr::V6(address) => judge_v6(address),
    }
}

fn judge_v4(address: Ipv4Addr) -> Result<(), &'static str> {
    let special =
        SPECIAL_V4.iter().find(|(net, bits, _)| (address.to_bits() ^ net.to_bits()) >> (32 - bits) == 0);
    special.map_or(Ok(()), |(_, _, kind)| Err(kind))
}

fn judge_v6(address: Ipv6Addr) -> Result<(), &'static str> {
    if within(address, MAPPED) || within(address, NAT64) {
        let [.., a, b, c, d] = address.octets();
        return judge_v4(Ipv4Addr::new(a, b, c, d));
    }
    match SPECIAL_V6.iter().find(|(net, bits, _)| within(address, (*net, *bits))) {
        Some((_, _, kind)) => Err(kind),
        None if within(address, GLOBAL) => Ok(()),
        None => Err("not given out for the public internet"),
    }
}

fn within(address: Ipv6Addr, (net, bits): (Ipv6Addr, u32)) -> bool {
    (address.to_bits() ^ net.to_bits()) >> (128 - bits) == 0
}

/// Counts the connections that strangers made us open, per address (IPv6 by /64), and stops at a bound.
#[derive(Debug)]
pub(super) struct StrangerDials {
    each_max: usize,
    /// Holds only addresses with an open connection, so it is as small as what is open.
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    dials: Arc<StrangerDials>,
    key: IpAddr,
}

impl StrangerDials {
    pub(super) fn new(each_max: usize) -> Arc<Self> {
        Arc::new(Self { each_max, open: Mutex::default() })
    }

    //= HT-ASK-31: per dialled address
    /// A place for one more connection to `address`; `None` when it has as many as it may.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let key = bucket(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.get(&key).copied().unwrap_or(0);
        if count >= self.each_max {
            return None;
        }
        open.insert(key, count + 1);
        Some(Place { dials: self.clone(), key })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.dials.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.key)),
        }
    }
}

/// One subscriber's addresses count as one: an IPv6 customer has a /64 at least.
fn bucket(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First and last address of each refused range, and what stands beside them.
    const RANGES: [(&str, &str, Option<&str>, Option<&str>); 33] = [
        ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
        ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
        ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
        ("127.0.0.0", "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
        ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
        ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
        ("192.0.0.0", "192.0.0.255", Some("191.255.255.255"), Some("192.0.1.0")),
        ("192.0.2.0", "192.0.2.255", Some("192.0.1.255"), Some("192.0.3.0")),
        ("192.88.99.0", "192.88.99.255", Some("192.88.98.255"), Some("192.88.100.0")),
        ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
        ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
        ("198.51.100.0", "198.51.100.255", Some("198.51.99.255"), Some("198.51.101.0")),
        ("203.0.113.0", "203.0.113.255", Some("203.0.112.255"), Some("203.0.114.0")),
        ("224.0.0.0", "239.255.255.255", Some("223.255.255.255"), None),
        ("240.0.0.0", "255.255.255.255", None, None),
        ("::", "::", None, None),
        ("::1", "::ffff:ffff", None, None),
        ("::ffff:10.0.0.0", "::ffff:10.255.255.255", Some("::ffff:9.255.255.255"), Some("::ffff:11.0.0.0")),
        (
            "::ffff:127.0.0.0",
            "::ffff:127.255.255.255",
            Some("::ffff:126.255.255.255"),
            Some("::ffff:128.0.0.0"),
        ),
        (
            "64:ff9b::192.168.0.0",
            "64:ff9b::192.168.255.255",
            Some("64:ff9b::192.167.255.255"),
            Some("64:ff9b::192.169.0.0"),
        ),
        ("64:ff9b:0:0:0:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", None, None),
        ("100::", "100::ffff:ffff:ffff:ffff", None, None),
        ("200::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, Some("2000::")),
        ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Some("2000:ffff::"), Some("2001:200::")),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:db7:ffff::"), Some("2001:db9::")),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:ffff::"), Some("2003::")),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Some("3ffe:ffff::"), Some("3fff:1000::")),
        ("4000::", "fbff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("3fff:ffff::"), None),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
        ("fe00::", "fe7f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
        ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
        ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
        ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
    ];

    fn public(text: &str) -> bool {
        judge(text.parse().unwrap()).is_ok()
    }

    //= HT-ASK-21
    #[test]
    fn special_ranges_are_refused_from_their_first_to_their_last_address_and_no_further() {
        for (first, last, before, after) in RANGES {
            assert!(!public(first), "{first} was taken");
            assert!(!public(last), "{last} was taken");
            for beside in [before, after].into_iter().flatten() {
                assert!(public(beside), "{beside} was refused");
            }
        }
    }

    //= HT-ASK-21
    #[test]
    fn ordinary_addresses_are_public_in_every_form_that_hosts_use() {
        for text in ["8.8.8.8", "2a00:1450::1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
            assert!(public(text), "{text} was refused");
        }
    }

    #[test]
    fn a_refusal_names_the_kind_of_address() {
        for (text, kind) in [
            ("127.0.0.1", "loopback"),
            ("::1", "loopback"),
            ("2002:7f00:1::", "6to4"),
            ("255.255.255.255", "broadcast"),
        ] {
            assert_eq!(judge(text.parse().unwrap()), Err(kind), "{text}");
        }
    }

    //= HT-ASK-31
    #[test]
    fn an_address_has_a_bounded_number_of_places_and_gets_them_back() {
        let dials = StrangerDials::new(2);
        let v6 = |text: &str| dials.take(text.parse().unwrap());
        let first = v6("2a00::1");
        let second = v6("2a00::2");
        assert!(first.is_some() && second.is_some());
        assert!(v6("2a00::3").is_none(), "the same /64");
        assert!(v6("2a00:0:0:1::1").is_some(), "another /64");
        drop(first);
        assert!(v6("2a00::3").is_some());
        drop(second);
        assert!(dials.open.lock().unwrap().is_empty(), "nothing stays behind");
    }
}
