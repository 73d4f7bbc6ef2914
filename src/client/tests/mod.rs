//! The client against a small TLS server on loopback, with certificates of a development authority: the harness.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response, Version,
    body::{Bytes, Incoming},
    header::HOST,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    tls::{self, Identity, authority},
    wire::{
        answer::{Answer, HttpVersion},
        host::OwnHost,
        time::{Mono, Now, Wall},
    },
};

mod calls;
mod connections;

const NAME: &str = "alpha.test";
const TIME: Duration = Duration::from_secs(5);
const INFORMATION: &str = r#"{"amorphos-version":"0.0.0","connection-protocols":[{"name":"https-token","version":"0.0.0",
    "parameters":{"request-path":"/r","grant-path":"/g","packet-path":"/p"}}]}"#;

pub(super) fn trust_nobody() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}

#[expect(clippy::disallowed_methods, reason = "rustls judges certificates by the machine's own clock")]
fn wall() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Wall(u64::try_from(since.as_millis()).unwrap())
}

/// What the server saw of a request.
struct Seen {
    path: String,
    version: Version,
    authority: String,
    sni: Option<String>,
    headers: HeaderMap,
    body: Bytes,
}

/// A server under certificates for `alpha.test`, `localhost` and `127.0.0.1`.
struct Peer {
    dir: TempDir,
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    mono: Arc<AtomicU64>,
}

impl Peer {
    /// `requests_each`: a connection breaks at the request after so many.
    async fn start(alpn: &'static str, certificate: &str, requests_each: usize) -> Self {
        let dir = TempDir::new().unwrap();
        let identity = identity(&dir, certificate);
        let mut config = (*identity.server).clone();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Self {
            dir,
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
            mono: Arc::default(),
        };
        let (seen, connections) = (peer.seen.clone(), peer.connections.clone());
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, acceptor.clone(), seen.clone(), connections.clone(), requests_each));
            }
        });
        peer
    }

    fn client(&self, settings: Settings) -> Client {
        let mono = self.mono.clone();
        let clock = move || Now { mono: Mono(mono.load(Ordering::SeqCst)), wall: wall() };
        Client::new(settings, identity(&self.dir, NAME).client, Arc::new(clock))
    }

    /// By its name, with its address pinned.
    fn pinned(&self) -> Route {
        let address = Some(Address::Socket(self.address));
        Route { host: PeerHost::parse(NAME).unwrap(), address, trusted: true }
    }

    fn unpinned(&self, name: &str) -> Route {
        let host = PeerHost::parse(&format!("{name}:{}", self.address.port())).unwrap();
        Route { host, address: None, trusted: false }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn last<T>(&self, of: impl Fn(&Seen) -> T) -> T {
        of(self.seen.lock().unwrap().last().expect("a request was seen"))
    }
}

fn identity(dir: &TempDir, host: &str) -> Identity {
    let hosts = [NAME, "localhost", "127.0.0.1", "other.test"].map(|name| OwnHost::parse(name).unwrap());
    authority::write_development(dir.path(), &hosts, authority::Existing::Keep, wall()).unwrap();
    let settings = tls::Settings {
        certificate: dir.path().join(format!("{host}.pem")),
        key: dir.path().join(format!("{host}.key")),
        roots: vec![dir.path().join("ca.pem")],
        web_pki: false,
        check_every: Duration::from_secs(30),
    };
    tls::load(&settings, &OwnHost::parse(host).unwrap(), wall()).unwrap()
}

async fn serve(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    requests_each: usize,
) {
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    connections.fetch_add(1, Ordering::SeqCst);
    let sni = stream.get_ref().1.server_name().map(str::to_owned);
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let served = AtomicUsize::new(0);
    let service = service_fn(|request| {
        let (seen, sni, number) = (seen.clone(), sni.clone(), served.fetch_add(1, Ordering::SeqCst));
        async move {
            if number >= requests_each {
                return Err(std::io::Error::other("the server breaks the connection"));
            }
            Ok(respond(request, &seen, sni).await)
        }
    });
    let io = TokioIo::new(stream);
    let _ = if h2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
    };
}

async fn respond(
    request: Request<Incoming>,
    seen: &Mutex<Vec<Seen>>,
    sni: Option<String>,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let authority = head.uri.authority().map_or_else(|| host.to_owned(), ToString::to_string);
    let bearer = head.headers.get("authorization").cloned();
    let path = head.uri.path().to_owned();
    seen.lock().unwrap().push(Seen {
        path,
        version: head.version,
        authority,
        sni,
        headers: head.headers,
        body,
    });
    let response = Response::builder();
    let (response, body) = match head.uri.path() {
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            (response.status(204), String::new())
        }
        "/hold" => {
            tokio::time::sleep(Duration::from_millis(500)).await;
            (response.status(204), String::new())
        }
        "/long" => (response.status(500).header("content-type", "text/plain"), "long ".repeat(1_000_000)),
        "/cut-off" => (response.status(400).header("content-length", "100"), r#"{"index":0}"#.to_owned()),
        "/redirect" => (response.status(307).header("location", "https://elsewhere.test/"), String::new()),
        "/echo" => (
            response.status(401),
            format!("{bearer:?} is no good: {:?}", bearer.as_ref().map(|b| b.to_str())),
        ),
        "/.ymp" => (response.status(200), r#"{"ymp-version":"0.0.0"}"#.to_owned()),
        "/.well-known/amorphos" | "/.amorphos" => (response.status(200), INFORMATION.to_owned()),
        "/busy" => (response.status(503).header("retry-after", "7"), String::new()),
        "/refresh" => {
            (response.status(200), r#"{"token":"t","expires-in":60,"refresh-token":"r"}"#.to_owned())
        }
        "/long-refresh" => (response.status(200), " ".repeat(1_000_000)),
        "/odd-refresh" => (response.status(200), r#"{"token":"t"}"#.to_owned()),
        _ => (response.status(204), String::new()),
    };
    response.body(Full::new(Bytes::from(body))).unwrap()
}

fn token() -> HeldToken {
    HeldToken::parse("a-token-that-only-the-peer-may-see").unwrap()
}

fn body() -> Bytes {
    Bytes::from_static(b"{\"packet\":{}}")
}

async fn send(client: &Client, route: &Route, path: &str) -> Result<Answer, CallError> {
    client.send(route, path, &token(), body(), TIME).await
}

async fn stage(client: &Client, route: &Route, path: &str) -> (CallStage, String) {
    let error = send(client, route, path).await.expect_err("no answer");
    (error.stage, error.detail)
}
