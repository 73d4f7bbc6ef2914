//! The PROXY protocol, version 2: where a connection came from before a proxy of ours passed it on.
//!
//! ```text
//! signature 12 | version and command 1 | family and transport 1 | length u16 | addresses | further values
//! ```
//!
//! The header stands before the first byte of TLS; exactly its bytes are read. `PROXY` over TCP carries the client's address,
//! `LOCAL` is a connection of the proxy itself (its health check). Anything else carries no address of a TCP client and is
//! refused, so that no client ever counts as the proxy. Further values (TLVs) are read and passed over.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::wire::limits::PROXY_HEADER_BYTES_MAX;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes before the addresses.
const HEAD_BYTES: usize = 16;

/// Why a connection has no header that is taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoHeader {
    /// It begins with something else.
    #[error("it does not begin with a PROXY header of version 2")]
    Signature,
    /// Neither `LOCAL` nor `PROXY`.
    #[error("the PROXY header has an unknown command")]
    Command,
    /// Another transport, or none.
    #[error("the PROXY header is not of a TCP connection over IPv4 or IPv6")]
    Family,
    /// Shorter than its addresses.
    #[error("the PROXY header ends within its addresses")]
    Short,
    /// Over `PROXY_HEADER_BYTES_MAX`.
    #[error("the PROXY header is longer than {PROXY_HEADER_BYTES_MAX} bytes")]
    Long,
    /// The connection broke.
    #[error("the connection ended within the PROXY header")]
    Broken(#[from] std::io::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Local,
    V4,
    V6,
}

/// The first 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    kind: Kind,
    /// Bytes that follow.
    length: usize,
}

impl Head {
    fn parse(bytes: &[u8; HEAD_BYTES]) -> Result<Self, NoHeader> {
        let (signature, rest) = bytes.split_at(SIGNATURE.len());
        let [version, family, high, low] = rest else { return Err(NoHeader::Signature) };
        if signature != SIGNATURE || version >> 4 != 2 {
            return Err(NoHeader::Signature);
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if HEAD_BYTES + length > PROXY_HEADER_BYTES_MAX {
            return Err(NoHeader::Long);
        }
        let (kind, least) = match (version & 0xf, family) {
            (0, _) => (Kind::Local, 0),
            (1, 0x11) => (Kind::V4, 12),
            (1, 0x21) => (Kind::V6, 36),
            (1, _) => return Err(NoHeader::Family),
            _ => return Err(NoHeader::Command),
        };
        if length < least { Err(NoHeader::Short) } else { Ok(Self { kind, length }) }
    }

    /// The client's address, of what follows; `None` where it is the proxy itself.
    fn client(self, rest: &[u8]) -> Result<Option<IpAddr>, NoHeader> {
        match self.kind {
            Kind::Local => Ok(None),
            Kind::V4 => {
                rest.first_chunk::<4>().map(|ip| Some(Ipv4Addr::from(*ip).into())).ok_or(NoHeader::Short)
            }
            Kind::V6 => {
                rest.first_chunk::<16>().map(|ip| Some(Ipv6Addr::from(*ip).into())).ok_or(NoHeader::Short)
            }
        }
    }
}

/// Reads the header and no byte more. The client's address; `None` where the proxy itself connected.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, NoHeader> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await?;
    let head = Head::parse(&head)?;
    let mut rest = vec![0; head.length];
    stream.read_exact(&mut rest).await?;
    head.client(&rest)
}

/// Bits of `::ffff:0:0/96`, under which IPv4 addresses stand as IPv6 ones (RFC 4291, 2.5.5.2).
const MAPPED_BITS: u8 = 96;

/// An address or a network: `10.0.0.0/8`, `2001:db8::/32`, `127.0.0.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// Bits that count.
    bits: u8,
}

/// Why a text is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNetwork {
    /// Not an address before the `/`.
    #[error("it is no IP address")]
    Address,
    /// Not a length after it.
    #[error("its length is not one of its kind of address")]
    Length,
    /// Bits are set beyond the length.
    #[error("it has bits beyond its length")]
    Bits,
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| NoNetwork::Address)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits: u8 = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| NoNetwork::Length))?;
        if bits > most {
            return Err(NoNetwork::Length);
        }
        // Addresses are judged as what they stand for: an IPv4 address written as an IPv6 one is the IPv4 address.
        let network = match (address.to_canonical(), bits.checked_sub(MAPPED_BITS)) {
            (IpAddr::V4(mapped), Some(bits)) if address.is_ipv6() => Self { address: mapped.into(), bits },
            _ => Self { address, bits },
        };
        let address = network.address;
        if network.first() == network.number(address) { Ok(network) } else { Err(NoNetwork::Bits) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Network {
    /// Whether this address lies in it.
    pub(crate) fn holds(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.number(address) & self.mask() == self.first()
    }

    fn number(self, address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
            IpAddr::V6(address) => address.to_bits(),
        }
    }

    fn mask(self) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0)
    }

    fn first(self) -> u128 {
        self.number(self.address) & self.mask()
    }
}

#[cfg(test)]
mod tests;
