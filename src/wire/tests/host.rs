//! Names by their grammar, and names that miss it by a little.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use crate::wire::host::{HostKind, OwnHost, PORT_DEFAULT, PeerHost};

fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || label.bytes().all(|b| b.is_ascii_digit())
}

/// A DNS name in normal form, without a port.
pub(super) fn name() -> impl Strategy<Value = String> {
    let label = "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?";
    proptest::collection::vec(label, 1..5)
        .prop_filter("its last label is no number", |labels| {
            labels.last().is_some_and(|last| !is_number(last))
        })
        .prop_map(|labels| labels.join("."))
}

/// A name in normal form, with a port or without.
pub(super) fn host() -> impl Strategy<Value = String> {
    let port = prop_oneof![Just(PORT_DEFAULT), 1..=u16::MAX];
    (name(), port).prop_map(|(name, port)| if port == PORT_DEFAULT { name } else { format!("{name}:{port}") })
}

/// IPv6 addresses with runs of zeros, as real ones have them.
fn ipv6() -> impl Strategy<Value = Ipv6Addr> {
    let part = prop_oneof![Just(0_u16), any::<u16>(), Just(0xffff)];
    proptest::array::uniform8(part).prop_map(Ipv6Addr::from)
}

fn shouted(text: &str, mask: u64) -> String {
    let letters = text.chars().enumerate();
    letters.map(|(at, c)| if mask >> (at % 64) & 1 == 1 { c.to_ascii_uppercase() } else { c }).collect()
}

fn inserted(text: &str, at: usize, what: &str) -> String {
    let at = at % (text.len() + 1);
    format!("{}{what}{}", &text[..at], &text[at..])
}

proptest! {
    //= YMP-HOST-01, YMP-HOST-03, YMP-HOST-04
    #[test]
    fn any_valid_name_is_its_own_normal_form(name in name(), port in prop_oneof![Just(443), 1..=u16::MAX], mask: u64) {
        let written = format!("{name}:{port}");
        let normal = if port == PORT_DEFAULT { name.clone() } else { written.clone() };
        let host = PeerHost::parse(&normal).unwrap();
        prop_assert_eq!((host.as_str(), host.name(), host.port(), host.kind()), (&*normal, &*name, port, HostKind::Name));
        for again in [written.clone(), shouted(&written, mask), shouted(&normal, mask)] {
            prop_assert_eq!(PeerHost::parse(&again), Ok(host.clone()));
            prop_assert_eq!(PeerHost::parse_human(&again), Ok(host.clone()));
            prop_assert!(OwnHost::parse(&again).unwrap().is(&host));
        }
        let json = serde_json::to_string(&host).unwrap();
        prop_assert_eq!(serde_json::from_str::<PeerHost>(&json).unwrap(), host);
    }

    //= YMP-HOST-02
    #[test]
    fn any_address_is_its_own_normal_form(v4: [u8; 4], v6 in ipv6(), port in 1..=u16::MAX) {
        let (v4, v6) = (Ipv4Addr::from(v4), v6);
        for (name, address) in [(v4.to_string(), v4.into()), (format!("[{v6}]"), v6.into())] {
            let host = PeerHost::parse(&name).unwrap();
            prop_assert_eq!((host.as_str(), host.port(), host.kind()), (&*name, 443, HostKind::Address(address)));
            let host = PeerHost::parse(&format!("{name}:{port}")).unwrap();
            prop_assert_eq!((host.name(), host.port(), host.kind()), (&*name, port, HostKind::Address(address)));
        }
        // Longer ways to write the same address are other texts for one host.
        let long = v6.segments().map(|part| format!("{part:04x}")).join(":");
        if long != v6.to_string() {
            let long = format!("[{long}]");
            prop_assert!(PeerHost::parse(&long).is_err(), "{}", long);
        }
        prop_assert!(PeerHost::parse(&v6.to_string()).is_err(), "without brackets");
    }

    //= YMP-HOST-01, YMP-HOST-05
    #[test]
    fn a_near_miss_of_a_name_is_refused(name in name(), at: usize, port in 1..=u16::MAX, kind in 0..14_usize, digit in 0..10_u8) {
        let strange = ["_", " ", "/", "\\", "@", "?", "#", "%", "\u{fc}", "\0", "\t", "[", "]", "*", ",", "+"];
        let text = match kind {
            0 => inserted(&name, at, strange[at % strange.len()]),
            1 => inserted(&format!("{name}:{port}"), at, strange[at % strange.len()]),
            2 => format!("{name}."),
            3 => format!(".{name}"),
            4 => name.replacen('.', "..", 1) + if name.contains('.') { "" } else { ".." },
            5 => format!("-{name}"),
            6 => format!("{name}-"),
            7 => format!("{}.{name}", "a".repeat(64)),
            8 => format!("{}{name}", "abcdefgh.".repeat(30)),
            9 => format!("{name}:0{port}"),
            10 => format!("{name}:{}", u32::from(port) + 65536),
            11 => format!("{name}:{port}:{port}"),
            12 => format!("{name}:"),
            _ => format!("{name}.{digit}"),
        };
        prop_assert!(PeerHost::parse(&text).is_err(), "{text:?} was taken");
    }

    #[test]
    fn what_people_write_becomes_normal_form_or_is_refused(text in "[a-zA-Z\u{c0}-\u{17f}\u{3b1}-\u{3c9}0-9.-]{0,20}(:[0-9]{1,5})?") {
        if let Ok(host) = PeerHost::parse_human(&text) {
            prop_assert!(host.as_str().is_ascii());
            prop_assert_eq!(PeerHost::parse(host.as_str()), Ok(host));
        }
    }
}
