//! Whom to call and where: a peer's name, and the address that the operator pinned for it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use crate::wire::host::{HostError, HostKind, PeerHost};

/// Why a text is no pinned address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No port, or port 0.
    #[error("a pinned address needs a port, as in 10.0.0.1:443, [fd00::1]:443 or node.internal:443")]
    Port,
    /// What stands before the port is neither an address nor a name.
    #[error("what stands before the port is neither an IP address nor a name: {0}")]
    Host(#[from] HostError),
}

/// An operator's pin, `ip:port` or `name:port`: connect here, whatever the peer's name resolves to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An address, taken as it is.
    Socket(SocketAddr),
    /// A name that is resolved at each connection.
    Name {
        /// The name, in lower case.
        name: String,
        /// The port.
        port: u16,
    },
}

impl Address {
    /// The address, where the pin is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Socket(socket) => Some(socket.ip()),
            Self::Name { .. } => None,
        }
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Socket(socket) => socket.port(),
            Self::Name { port, .. } => *port,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return if socket.port() == 0 { Err(AddressError::Port) } else { Ok(Self::Socket(socket)) };
        }
        if text.ends_with(']') || !text.contains(':') {
            return Err(AddressError::Port);
        }
        let host = PeerHost::parse(text)?;
        match host.kind() {
            HostKind::Name => Ok(Self::Name { name: host.name().to_owned(), port: host.port() }),
            HostKind::Address(ip) => Ok(Self::Socket(SocketAddr::new(ip, host.port()))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(socket) => write!(f, "{socket}"),
            Self::Name { name, port } => write!(f, "{name}:{port}"),
        }
    }
}

/// Whom to call and where. Connections are shared only between equal routes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The peer; certificate, SNI and Host follow it, also where an address is pinned.
    pub host: PeerHost,
    /// The operator's pin; it may be private and have any port.
    pub address: Option<Address>,
    /// The operator knows this peer (it is configured), so that a grant to it has no stranger's bounds.
    pub trusted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    //= NODE-PIN-01
    #[test]
    fn a_pin_is_an_address_or_a_name_with_its_port() {
        for text in ["10.0.0.1:443", "[fd00::1]:8443", "node.internal:443", "node:1"] {
            assert_eq!(text.parse::<Address>().map(|pin| pin.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_pin_without_a_port_or_a_name_says_so() {
        for text in ["10.0.0.1", "node.internal", "[fd00::1]", "10.0.0.1:0"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Port), "{text}");
        }
        for text in ["a b:443", "node:x", ":443", "fd00::1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
