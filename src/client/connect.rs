//! The one way to open a connection: resolve, judge, dial, TLS.
//!
//! The address that the guard has judged is the very address that is dialled: there is no second look-up between. The
//! certificate is verified for the peer's name also where an address is pinned. Each step has its time and its error, so
//! that a person can tell a wrong name from a closed port. Look-ups are bounded, strangers' apart from the others', so that
//! nobody who makes us look up slow names delays the peers that we know.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::Uri;
use rustls::{ClientConnection, ProtocolVersion, client::Resumption, pki_types::ServerName};
use tokio::{
    net::{TcpStream, lookup_host},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    guard::{Place, StrangerDials, judge},
    line::Line,
    route::{Address, Route},
    settings::Settings,
    trouble::{self, fault},
};
use crate::{
    tls::server_name,
    wire::{
        answer::{CallError, CallStage, TlsVersion},
        host::{HostKind, PeerHost},
    },
};

/// A look-up, and as long for its turn. Resolvers try twice within it.
const LOOK_UP_TIME: Duration = Duration::from_secs(5);
/// Look-ups at once for peers that we know; the system's resolver holds a thread each.
const LOOK_UPS: usize = 64;
/// ... and for strangers.
const LOOK_UPS_STRANGERS: usize = 32;
/// TCP to one address.
const TCP_TIME: Duration = Duration::from_secs(5);
/// Look-up, TCP and TLS together.
pub(super) const CONNECT_TIME: Duration = Duration::from_secs(15);
/// Addresses of one name that are tried.
pub(super) const TRIES_MAX: usize = 4;

/// HTTP/2's name in ALPN.
pub(super) const H2: &[u8] = b"h2";

/// What all connections share.
pub(super) struct Dialler {
    pub(super) settings: Settings,
    tls: TlsConnector,
    look_ups: Arc<Semaphore>,
    look_ups_strangers: Arc<Semaphore>,
    stranger_dials: Arc<StrangerDials>,
}

impl Dialler {
    pub(super) fn new(settings: Settings, tls: &rustls::ClientConfig) -> Self {
        Self {
            tls: connector(tls),
            look_ups: Arc::new(Semaphore::new(LOOK_UPS)),
            look_ups_strangers: Arc::new(Semaphore::new(LOOK_UPS_STRANGERS)),
            stranger_dials: StrangerDials::new(settings.stranger_dials_per_address),
            settings,
        }
    }

    /// One with other settings and roots that counts on: what is under way stands in the same bounds.
    pub(super) fn renewed(&self, settings: Settings, tls: &rustls::ClientConfig) -> Self {
        Self {
            tls: connector(tls),
            look_ups: Arc::clone(&self.look_ups),
            look_ups_strangers: Arc::clone(&self.look_ups_strangers),
            stranger_dials: Arc::clone(&self.stranger_dials),
            settings,
        }
    }

    //= HT-ASK-22: on the address that is dialled
    /// The addresses that a host's own name leads to and that may be dialled; at least one.
    pub(super) async fn addresses(&self, host: &PeerHost, stranger: bool) -> Result<Vec<IpAddr>, CallError> {
        let found = match host.kind() {
            HostKind::Address(address) => vec![address],
            HostKind::Name => self.look_up(host.name(), stranger).await?,
        };
        if self.settings.private_addresses {
            return Ok(found);
        }
        let refused = found.iter().find_map(|ip| judge(*ip).err().map(|kind| (*ip, kind)));
        let public: Vec<_> = found.into_iter().filter(|ip| judge(*ip).is_ok()).collect();
        match refused {
            Some((ip, kind)) if public.is_empty() => Err(fault(
                CallStage::Guard,
                format!(
                    "{host} has no public address: {ip} is {kind} (pin the peer's address, or set \
                     federation.private-addresses)"
                ),
            )),
            Some(_) | None => Ok(public),
        }
    }

    async fn connect(&self, route: &Route, stranger: bool) -> Result<Line, CallError> {
        let connecting = async {
            let targets = self.targets(route, stranger).await?;
            let (tcp, place) = self.dial(&targets, stranger).await?;
            self.secure(route, tcp, place).await
        };
        timeout(CONNECT_TIME, connecting).await.unwrap_or_else(|_| {
            let detail = format!("no connection to {} within {} s", route.host, CONNECT_TIME.as_secs());
            Err(fault(CallStage::Timeout, detail))
        })
    }

    pub(super) async fn targets(&self, route: &Route, stranger: bool) -> Result<Vec<SocketAddr>, CallError> {
        let (addresses, port) = match &route.address {
            //= NODE-PIN-01: whatever the name resolves to
            Some(Address::Socket(socket)) => return Ok(vec![*socket]),
            Some(Address::Name { name, port }) => (self.look_up(name, stranger).await?, *port),
            None => {
                let port = route.host.port();
                //= HT-ASK-23: configured ports only
                if !self.settings.ports.iter().any(|range| range.contains(&port)) {
                    let detail = format!("{}: port {port} is not among federation.ports", route.host);
                    return Err(fault(CallStage::Guard, detail));
                }
                (self.addresses(&route.host, stranger).await?, port)
            }
        };
        Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }

    /// Asks the system's resolver. The turn is given back when the resolver is done, not when we stop waiting for it:
    /// its thread is busy until then.
    async fn look_up(&self, name: &str, stranger: bool) -> Result<Vec<IpAddr>, CallError> {
        let turns = if stranger { &self.look_ups_strangers } else { &self.look_ups };
        let Ok(Ok(turn)) = timeout(LOOK_UP_TIME, turns.clone().acquire_owned()).await else {
            let detail = format!("busy: no turn to look {name} up within {} s", LOOK_UP_TIME.as_secs());
            return Err(fault(CallStage::Busy, detail));
        };
        let asking = async {
            let name = name.to_owned();
            let task = tokio::spawn(async move {
                let found =
                    lookup_host((name, 0)).await.map(|found| found.map(|socket| socket.ip()).collect());
                drop(turn);
                found
            });
            task.await.map_err(io::Error::other)?
        };
        let found: Vec<IpAddr> = match timeout(LOOK_UP_TIME, asking).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                return Err(fault(CallStage::Resolve, format!("{name} does not resolve: {error}")));
            }
            Err(_) => {
                let detail = format!("{name} did not resolve within {} s", LOOK_UP_TIME.as_secs());
                return Err(fault(CallStage::Resolve, detail));
            }
        };
        if found.is_empty() {
            return Err(fault(CallStage::Resolve, format!("{name} has no address")));
        }
        Ok(families_in_turn(&found))
    }

    /// The first address that takes a connection; the last error if none does.
    async fn dial(
        &self,
        targets: &[SocketAddr],
        stranger: bool,
    ) -> Result<(TcpStream, Option<Place>), CallError> {
        let mut last = fault(CallStage::Resolve, "there is no address to dial".to_owned());
        for target in targets.iter().take(TRIES_MAX) {
            let place = if stranger { self.stranger_dials.take(target.ip()) } else { None };
            if stranger && place.is_none() {
                let bound = self.settings.stranger_dials_per_address;
                let detail =
                    format!("busy: {bound} calls that strangers asked for go to {} already", target.ip());
                last = fault(CallStage::Busy, detail);
                continue;
            }
            match knock(*target).await {
                Ok(tcp) => return Ok((tcp, place)),
                Err(error) => last = trouble::tcp(*target, &error),
            }
        }
        Err(last)
    }

    //= HT-PIC-03: certificate and SNI follow the name
    async fn secure(&self, route: &Route, tcp: TcpStream, place: Option<Place>) -> Result<Line, CallError> {
        let name = route.host.name();
        let Some(server_name) = server_name(name) else {
            return Err(fault(CallStage::Tls, format!("{name} cannot stand in a certificate")));
        };
        let stream = self.handshake(server_name, tcp).await.map_err(|error| trouble::tls(name, &error))?;
        let session = stream.get_ref().1;
        let (h2, tls) = (session.alpn_protocol() == Some(H2), tls_version(session));
        Ok(Line::new(stream, h2, tls, place))
    }

    /// TLS over an open connection, for a name.
    pub(super) async fn handshake(
        &self,
        name: ServerName<'static>,
        tcp: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        self.tls.connect(name, tcp).await
    }
}

/// What a handshake settled on.
pub(super) fn tls_version(session: &ClientConnection) -> Option<TlsVersion> {
    match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => Some(TlsVersion::Tls13),
        Some(ProtocolVersion::TLSv1_2) => Some(TlsVersion::Tls12),
        Some(_) | None => None,
    }
}

/// One address. An error of the kind `TimedOut` that is ours says how long was waited.
pub(super) async fn knock(target: SocketAddr) -> io::Result<TcpStream> {
    let tcp = timeout(TCP_TIME, TcpStream::connect(target)).await.unwrap_or_else(|_| {
        let words = format!("nothing answered within {} s", TCP_TIME.as_secs());
        Err(io::Error::new(io::ErrorKind::TimedOut, words))
    })?;
    // Packets are written whole; waiting to fill segments would only add a round trip. Where the system refuses, the
    // connection works all the same.
    let _ = tcp.set_nodelay(true);
    Ok(tcp)
}

fn connector(tls: &rustls::ClientConfig) -> TlsConnector {
    let mut tls = tls.clone();
    //= SEED-HTTP-1: both versions
    tls.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    // A resumed session shows no certificate, and a renewed connection is there to see it again.
    tls.resumption = Resumption::disabled();
    Arc::new(tls).into()
}

/// The other family stands second, so that a machine without IPv6 does not spend all its tries there.
fn families_in_turn(found: &[IpAddr]) -> Vec<IpAddr> {
    let first_is_v6 = found.first().is_some_and(IpAddr::is_ipv6);
    let (mut same, mut other): (Vec<_>, Vec<_>) = found.iter().partition(|ip| ip.is_ipv6() == first_is_v6);
    for list in [&mut same, &mut other] {
        list.dedup();
    }
    let mut turns = Vec::with_capacity(found.len());
    let mut other = other.into_iter();
    for ip in same {
        turns.push(ip);
        turns.extend(other.next());
    }
    turns.extend(other);
    turns
}

/// Opens the connections of one route, for hyper's client.
#[derive(Clone)]
pub(super) struct Dial {
    pub(super) dialler: Arc<Dialler>,
    pub(super) route: Route,
    pub(super) stranger: bool,
    /// How often it has dialled: tells whether a failed call went over a connection from the pool.
    pub(super) dials: Arc<AtomicU64>,
}

impl tower_service::Service<Uri> for Dial {
    type Response = Line;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Line, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    /// The URL is not asked: a route has one host, and its pinned port is not the URL's.
    fn call(&mut self, _: Uri) -> Self::Future {
        self.dials.fetch_add(1, Ordering::Relaxed);
        let this = self.clone();
        Box::pin(async move { this.dialler.connect(&this.route, this.stranger).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns_and_the_resolvers_first_choice_stays_first() {
        let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let found = ips(&["2a00::1", "2a00::2", "2a00::3", "1.1.1.1", "1.1.1.1"]);
        assert_eq!(families_in_turn(&found), ips(&["2a00::1", "1.1.1.1", "2a00::2", "2a00::3"]));
        assert_eq!(families_in_turn(&ips(&["1.1.1.1"])), ips(&["1.1.1.1"]));
    }
}
