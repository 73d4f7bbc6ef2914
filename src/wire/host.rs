//! Host names in normal form (`ymp`, "Host names").
//!
//! Lower-case A-labels, dotted IPv4 or bracketed IPv6, then `:port` unless it is 443. Two names are the same host
//! exactly when their normal forms are the same bytes, so nothing inside compares host names in another way.

use std::{
    borrow::Cow,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The port of a host whose name carries none.
pub const PORT_DEFAULT: u16 = 443;
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Why a text is no host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing, or nothing before the port.
    #[error("the name is empty")]
    Empty,
    /// Over 253 characters, or a label over 63.
    #[error("the name or one of its labels is too long")]
    TooLong,
    /// A label that is empty, starts or ends with a hyphen, or holds a character outside a-z, 0-9 and `-`.
    #[error("a label holds something other than letters, digits and inner hyphens")]
    Label,
    /// All-digit last label, but no IPv4 address in its dotted form.
    #[error("it looks like an IPv4 address but is none")]
    Ipv4,
    /// A bracketed part that is not an IPv6 address as RFC 5952 writes it.
    #[error("the bracketed part is no IPv6 address as RFC 5952 writes it")]
    Ipv6,
    /// A port that is not 1 to 65535, decimal, without leading zeros.
    #[error("the port is not a number from 1 to 65535 without leading zeros")]
    Port,
}

/// What stands before the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    /// A DNS name.
    Name,
    /// A literal address.
    Address(IpAddr),
}

/// A host's name in normal form. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct HostName(Arc<str>);

impl HostName {
    //= YMP-HOST-04: case and 443 fold
    fn parse(text: &str) -> Result<Self, HostError> {
        let lower = if text.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
        let (name, port) = split_port(&lower)?;
        check_name(name)?;
        // A port that is valid has one writing.
        let port = port.map(parse_port).transpose()?.unwrap_or(PORT_DEFAULT);
        Ok(Self(if port == PORT_DEFAULT { name.into() } else { (&*lower).into() }))
    }

    fn name(&self) -> &str {
        split_port(&self.0).map_or(&*self.0, |(name, _)| name)
    }

    fn port(&self) -> u16 {
        split_port(&self.0).ok().and_then(|(_, port)| parse_port(port?).ok()).unwrap_or(PORT_DEFAULT)
    }

    fn kind(&self) -> HostKind {
        let name = self.name();
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        bare.parse().map_or(HostKind::Name, HostKind::Address)
    }
}

/// Splits `name:port`, minding the colons inside brackets.
fn split_port(text: &str) -> Result<(&str, Option<&str>), HostError> {
    let after_name = match text.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or(HostError::Ipv6)? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    match text.get(after_name..) {
        Some("") => Ok((text, None)),
        Some(rest) => {
            let port = rest.strip_prefix(':').ok_or(HostError::Port)?;
            Ok((text.get(..after_name).unwrap_or_default(), Some(port)))
        }
        None => Err(HostError::Ipv6),
    }
}

//= YMP-HOST-03: without leading zeros
fn parse_port(text: &str) -> Result<u16, HostError> {
    let plain = !text.is_empty() && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().map_err(|_| HostError::Port) } else { Err(HostError::Port) }
}

//= YMP-HOST-05: or invalid
fn check_name(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    //= YMP-HOST-02: RFC 5952
    if let Some(inner) = name.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(HostError::Ipv6)?;
        let address: Ipv6Addr = inner.parse().map_err(|_| HostError::Ipv6)?;
        return if address.to_string() == inner { Ok(()) } else { Err(HostError::Ipv6) };
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(HostError::TooLong);
    }
    //= YMP-HOST-01: A-labels
    for label in name.split('.') {
        if label.len() > LABEL_BYTES_MAX {
            return Err(HostError::TooLong);
        }
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') || !label.bytes().all(fits) {
            return Err(HostError::Label);
        }
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    // What resolvers would read as an address must be one, in the one form that has no second reading.
    //= YMP-HOST-02: dotted IPv4
    let numeric = last.bytes().all(|b| b.is_ascii_digit()) || is_hex_number(last);
    if numeric && name.parse::<Ipv4Addr>().is_err() { Err(HostError::Ipv4) } else { Ok(()) }
}

fn is_hex_number(label: &str) -> bool {
    label.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(HostName);

        impl $name {
            /// Reads a name as a peer or a file writes it: case does not matter and an explicit `:443` equals none;
            /// anything else that is not normal form is an error.
            ///
            /// # Errors
            /// `HostError` says which rule the text breaks.
            pub fn parse(text: &str) -> Result<Self, HostError> {
                HostName::parse(text).map(Self)
            }

            /// Reads a name as a person or an app writes it: U-labels are converted to A-labels first.
            ///
            /// # Errors
            /// `HostError` says which rule the text breaks.
            pub fn parse_human(text: &str) -> Result<Self, HostError> {
                if text.is_ascii() {
                    return Self::parse(text);
                }
                let (name, port) = split_port(text)?;
                //= YMP-HOST-06: U-labels are converted
                let ascii = idna::domain_to_ascii_strict(name).map_err(|_| HostError::Label)?;
                match port {
                    Some(port) => Self::parse(&format!("{ascii}:{port}")),
                    None => Self::parse(&ascii),
                }
            }

            /// The normal form, with the port unless it is 443.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0.0
            }

            /// What stands before the port; IPv6 keeps its brackets.
            #[must_use]
            pub fn name(&self) -> &str {
                self.0.name()
            }

            /// The port, 443 where the name carries none.
            #[must_use]
            pub fn port(&self) -> u16 {
                self.0.port()
            }

            /// A DNS name or a literal address.
            #[must_use]
            pub fn kind(&self) -> HostKind {
                self.0.kind()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(D::Error::custom)
            }
        }
    };
}

role! {
    /// The name of the host at the other end.
    PeerHost
}
role! {
    /// The name that peers know us by.
    OwnHost
}

impl JsonSchema for PeerHost {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PeerHost".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

impl OwnHost {
    /// Whether a name that a peer or an app wrote is ours.
    #[must_use]
    pub fn is(&self, other: &PeerHost) -> bool {
        self.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(text: &str) -> Result<String, HostError> {
        PeerHost::parse(text).map(|host| host.as_str().to_owned())
    }

    //= YMP-HOST-01, YMP-HOST-02, YMP-HOST-03, YMP-HOST-04
    #[test]
    fn normal_forms_are_kept_and_case_and_the_default_port_fold() {
        for (text, want) in [
            ("alpha.test", "alpha.test"),
            ("ALPHA.test:443", "alpha.test"),
            ("alpha.test:8443", "alpha.test:8443"),
            ("localhost:4001", "localhost:4001"),
            ("127.0.0.1", "127.0.0.1"),
            ("[2001:db8::1]:444", "[2001:db8::1]:444"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(normal(text).as_deref(), Ok(want), "{text}");
        }
    }

    //= YMP-HOST-01, YMP-HOST-02, YMP-HOST-03, YMP-HOST-05
    #[test]
    fn what_has_a_second_reading_is_refused() {
        for text in [
            "",
            ":443",
            "a..b",
            "alpha.test.",
            "-a.test",
            "a-.test",
            "a_b.test",
            "a b",
            "b\u{fc}cher.example",
            "a.test:0",
            "a.test:",
            "a.test:08443",
            "a.test:65536",
            "a.test:+1",
            "a.test:1:2",
            "127.1",
            "127.0.0.01",
            "1.2.3.4.5",
            "0x7f.1",
            "a.0x7f",
            "[::1",
            "[0:0::1]",
            "[::1]x",
            "[::1]443",
            "::1",
            "[127.0.0.1]",
            "user@a.test",
            "a.test/x",
            "[fe80::1%eth0]",
        ] {
            assert!(normal(text).is_err(), "{text:?} was taken as {:?}", normal(text));
        }
        assert!(normal(&"a".repeat(64)).is_err());
        assert!(normal(&["a"; 128].join(".")).is_err());
    }

    //= YMP-HOST-06
    #[test]
    fn people_may_write_u_labels() {
        let host = PeerHost::parse_human("B\u{fc}cher.example:8443").unwrap();
        assert_eq!(host.as_str(), "xn--bcher-kva.example:8443");
    }

    //= YMP-HOST-03
    #[test]
    fn the_parts_come_back() {
        let host = PeerHost::parse("[2001:db8::1]:444").unwrap();
        assert_eq!((host.name(), host.port()), ("[2001:db8::1]", 444));
        assert_eq!(host.kind(), HostKind::Address("2001:db8::1".parse().unwrap()));
        let host = PeerHost::parse("a.test").unwrap();
        assert_eq!((host.name(), host.port(), host.kind()), ("a.test", 443, HostKind::Name));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_is_idempotent(text in "\\PC{0,80}") {
            if let Ok(host) = PeerHost::parse(&text) {
                prop_assert_eq!(PeerHost::parse(host.as_str()).unwrap(), host);
            }
            let _ = PeerHost::parse_human(&text);
        }
    }
}
