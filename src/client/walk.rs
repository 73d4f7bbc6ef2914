//! The way to a host, one step after the other: what every call does in one go, for a person who wants to see where it ends.
//!
//! Addresses, TCP, TLS and HTTP are those of any call (`connect`, `guard`, `discover`): there is one way to open a connection,
//! and this is it, halted after each step. Nothing is kept, no token is made or shown, and what is posted names no host: no
//! peer can take it for a request, a grant or a packet.

use std::{fmt, io, net::SocketAddr};

use tokio::{net::TcpStream, time::timeout};

use super::{
    Call, Client, Route,
    answer::Raw,
    connect::{CONNECT_TIME, H2, TRIES_MAX, knock, tls_version},
    route::Address,
    trouble,
};
use crate::{
    tls::{CertificateFacts, server_name, shown},
    wire::{
        answer::{Answer, CallError, CallStage, TlsVersion},
        time::Wall,
    },
};

/// What is wrong on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// In words.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

/// An address that the guard has judged, or that the operator pinned: nothing else is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target(SocketAddr);

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Where a call would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses that calls try, in their order; at least one.
    pub targets: Vec<Target>,
    /// Further addresses of the name, which no call tries.
    pub more: usize,
}

/// An open connection on which nothing has been said.
#[derive(Debug)]
pub struct Opened(TcpStream);

/// What a TLS handshake brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeted {
    /// Its version.
    pub version: Option<TlsVersion>,
    /// What was agreed on in ALPN, where something was.
    pub alpn: Option<String>,
    /// Whether that is HTTP/2.
    pub http2: bool,
    /// What the peer's certificate says, where it can be read.
    pub certificate: Option<CertificateFacts>,
}

/// What a path answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The answer.
    pub answer: Answer,
    /// The clock of whoever answered, where it says what it shows.
    pub date: Option<Wall>,
}

impl Client {
    /// Where calls on this route go.
    ///
    /// # Errors
    /// The name leads nowhere, or only where this host does not connect to.
    pub async fn resolve(&self, route: &Route) -> Result<Resolved, Trouble> {
        let dialler = self.dialler.load_full();
        let mut targets = dialler.targets(route, false).await.map_err(|error| {
            let port = route.host.port();
            let open = dialler.settings.ports.iter().any(|range| range.contains(&port));
            Trouble { mend: address_mend(route, error.stage, open), what: error.detail }
        })?;
        let more = targets.len().saturating_sub(TRIES_MAX);
        targets.truncate(TRIES_MAX);
        Ok(Resolved { targets: targets.into_iter().map(Target).collect(), more })
    }

    /// TCP to one of its addresses.
    ///
    /// # Errors
    /// It takes no connection.
    pub async fn knock(&self, Target(target): Target) -> Result<Opened, Trouble> {
        knock(target).await.map(Opened).map_err(|error| {
            let what = trouble::tcp(target, &error).detail;
            Trouble { what, mend: trouble::tcp_mend(&error).to_owned() }
        })
    }

    /// TLS over that connection, which ends with it.
    ///
    /// # Errors
    /// No TLS, one that is too old, or a certificate that is not good for the host's name.
    pub async fn greet(&self, route: &Route, opened: Opened) -> Result<Greeted, Trouble> {
        let name = route.host.name();
        let Some(wanted) = server_name(name) else {
            let what = format!("{name} cannot stand in a certificate");
            return Err(Trouble { what, mend: "is the name spelled right?".to_owned() });
        };
        let dialler = self.dialler.load_full();
        let greeting = timeout(CONNECT_TIME, dialler.handshake(wanted, opened.0));
        let stream = greeting
            .await
            .unwrap_or_else(|_| {
                let words = format!("nothing was said within {} s", CONNECT_TIME.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, words))
            })
            .map_err(|error| Trouble {
                what: trouble::tls(name, &error).detail,
                mend: trouble::tls_mend(&error).to_owned(),
            })?;
        let session = stream.get_ref().1;
        let alpn = session.alpn_protocol();
        Ok(Greeted {
            version: tls_version(session),
            http2: alpn == Some(H2),
            alpn: alpn.map(|name| String::from_utf8_lossy(name).into_owned()),
            certificate: session.peer_certificates().and_then(|chain| shown(chain.first()?)),
        })
    }

    /// Whether something is there at a path: a POST without a token, a content and a type of it, so that it says nothing.
    ///
    /// # Errors
    /// No answer.
    pub async fn probe(&self, route: &Route, path: &str) -> Result<Probed, CallError> {
        let call = Call::post(route, path, bytes::Bytes::new(), self.dialler.load().settings.call_time);
        let raw: Raw = self.call(&call).await?;
        let answer = raw.answer(&call.secrets(), (self.clock)().wall);
        Ok(Probed { answer, date: raw.date() })
    }
}

/// `open`: calls may go to the port of the host's name.
fn address_mend(route: &Route, stage: CallStage, open: bool) -> String {
    let (host, name) = (&route.host, route.host.name());
    match (stage, &route.address) {
        (CallStage::Guard, _) if !open => {
            format!("add {} to federation.ports, or give {host} an `address` under [[peers]]", host.port())
        }
        (CallStage::Guard, _) => {
            format!("give {host} an `address` under [[peers]], or set federation.private-addresses = true")
        }
        (_, Some(Address::Name { name, .. })) => format!(
            "mend the `address` of {host} under [[peers]]: {name} must lead to an address (`getent hosts {name}`)"
        ),
        (_, Some(Address::Socket(_)) | None) => format!(
            "is it spelled right? It needs an A or AAAA record (`getent hosts {name}`), or an `address` under \
             [[peers]]"
        ),
    }
}
