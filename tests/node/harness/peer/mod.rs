//! A scripted host: it does its part of the protocol unless told otherwise, and keeps what it saw.
//!
//! ```text
//!   peer.next(Kind::Packet, Does::Answers(503, ..))   the next packet only, in order
//!   peer.always(Kind::Request, Does::Answers(204, ..))   from now on: here no request is granted
//!   peer.usual(Kind::Packet)   from now on the protocol again
//! ```

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{Http, Node, Yard, eventually, listener::serve, unix_seconds, yard::free_port};

mod protocol;
mod script;

pub(crate) use script::{Does, Kind, Reply, Seen};

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    next: HashMap<Kind, VecDeque<Does>>,
    always: HashMap<Kind, Does>,
    node: Option<(String, SocketAddr)>,
    lifetime: u64,
    /// Access tokens that it gave, and their ends.
    access: HashMap<String, Instant>,
    refresh: Vec<String>,
    /// Token and refresh token of its own requests that wait for a grant.
    asked: HashMap<String, String>,
    /// What the node gave: newest last.
    held: Vec<(String, String)>,
    secrets: Vec<String>,
    /// Of taken packets.
    received: Vec<String>,
    made: u64,
}

/// The host. Cheap to clone; ends with its test.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    yard: Yard,
    http: Option<Http>,
    state: Arc<Mutex<State>>,
    server: Arc<Mutex<Option<tokio::task::JoinHandle<()>>>>,
}

impl Peer {
    /// A host that speaks both versions.
    pub(crate) async fn start(yard: &Yard, name: &str) -> Self {
        Self::start_with(yard, name, None).await
    }

    /// A host that speaks one version only, in both directions.
    pub(crate) async fn start_with(yard: &Yard, name: &str, http: Option<Http>) -> Self {
        let state = State { lifetime: 3600, ..State::default() };
        let peer = Self {
            name: name.to_owned(),
            address: free_port(),
            yard: yard.clone(),
            http,
            state: Arc::new(Mutex::new(state)),
            server: Arc::default(),
        };
        peer.up().await;
        peer
    }

    /// Listens again.
    pub(crate) async fn up(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let alpn: &[&str] = match self.http {
            Some(Http::One) => &["http/1.1"],
            Some(Http::Two) => &["h2"],
            None => &["h2", "http/1.1"],
        };
        let acceptor = TlsAcceptor::from(self.yard.server(&self.name, alpn));
        let peer = self.clone();
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(peer.clone(), stream, acceptor.clone()));
            }
        });
        *self.server.lock().unwrap() = Some(serving);
    }

    /// Goes away: its port is closed, its connections are cut.
    pub(crate) async fn down(&self) {
        let server = self.server.lock().unwrap().take();
        if let Some(server) = server {
            server.abort();
            // It was told to end.
            let _ = server.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Says where the node is, so that it can be granted to.
    pub(crate) fn meets(&self, node: &Node) {
        self.state().node = Some((node.host.clone(), node.peer));
    }

    /// How long the tokens live that it gives from now on.
    pub(crate) fn lifetime(&self, seconds: u64) {
        self.state().lifetime = seconds;
    }

    /// What it does with the next call of this kind that nothing was said about yet.
    pub(crate) fn next(&self, kind: Kind, does: Does) {
        self.state().next.entry(kind).or_default().push_back(does);
    }

    /// What it does with all calls of this kind from now on.
    pub(crate) fn always(&self, kind: Kind, does: Does) {
        self.state().always.insert(kind, does);
    }

    /// From now on it does what the protocol asks.
    pub(crate) fn usual(&self, kind: Kind) {
        self.state().always.remove(&kind);
    }

    /// What came of this kind.
    pub(crate) fn seen(&self, kind: Kind) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.kind == kind).cloned().collect()
    }

    /// Forgets what came.
    pub(crate) fn forget_seen(&self) {
        self.state().seen.clear();
    }

    /// Waits for so many calls of this kind.
    pub(crate) async fn sees(&self, kind: Kind, count: usize) -> Vec<Seen> {
        eventually(&format!("{} sees {count} {kind:?}", self.name), || async {
            let seen = self.seen(kind);
            (seen.len() >= count).then_some(seen)
        })
        .await
    }

    /// Ids of the messages in packets that it took, in order, repeats too.
    pub(crate) fn received(&self) -> Vec<String> {
        self.state().received.clone()
    }

    /// Waits for so many messages in packets that it took.
    pub(crate) async fn receives(&self, count: usize) -> Vec<String> {
        eventually(&format!("{} receives {count} messages", self.name), || async {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
        .await
    }

    /// Forgets every token that it gave: they are answered with 401 from now on.
    pub(crate) fn revoke_access(&self) {
        self.state().access.clear();
    }

    /// Forgets every refresh token that it gave.
    pub(crate) fn revoke_refresh(&self) {
        self.state().refresh.clear();
    }

    /// Every secret that it made or was given.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.state().secrets.clone()
    }

    /// A token that nobody else has.
    pub(crate) fn secret(&self, what: &str) -> String {
        let mut state = self.state();
        state.made += 1;
        let secret = format!("{what}-of-{}-{:08}-{:08x}", self.name, state.made, unix_seconds());
        state.secrets.push(secret.clone());
        secret
    }

    /// What the node gave last: the access token.
    pub(crate) fn token(&self) -> String {
        self.held().0
    }

    /// What the node gave last: both.
    pub(crate) fn held(&self) -> (String, String) {
        self.state().held.last().unwrap().clone()
    }

    /// How many pairs the node gave.
    pub(crate) fn pairs_held(&self) -> usize {
        self.state().held.len()
    }

    /// Notes a pair that the node gave.
    pub(crate) fn holds(&self, body: &Value) {
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        let pair = (text("token"), text("refresh-token"));
        let mut state = self.state();
        state.secrets.extend([pair.0.clone(), pair.1.clone()]);
        state.held.push(pair);
    }

    pub(super) async fn answers(&self, seen: Seen) -> Result<Reply, std::io::Error> {
        let broken = || Err(std::io::Error::other("the peer breaks the connection"));
        let does = {
            let mut state = self.state();
            state.seen.push(seen.clone());
            // Tokens that come are secrets too.
            state.secrets.extend(seen.bearer.clone());
            let next = state.next.get_mut(&seen.kind).and_then(VecDeque::pop_front);
            next.or_else(|| state.always.get(&seen.kind).cloned())
        };
        if seen.kind == Kind::Request {
            let body = seen.json();
            let text = |name: &str| body[name].as_str().map(str::to_owned);
            self.state().secrets.extend([text("token"), text("refresh-token")].into_iter().flatten());
        }
        match does {
            None => Ok(self.usually(&seen)),
            Some(Does::Answers(reply)) => Ok(reply),
            Some(Does::LosesAnswer) => {
                self.usually(&seen);
                broken()
            }
            Some(Does::Breaks) => broken(),
            Some(Does::Waits(time)) => {
                tokio::time::sleep(time).await;
                Ok(self.usually(&seen))
            }
            Some(Does::Judges(judge)) => match judge(&seen) {
                Some(reply) => Ok(reply),
                None => Ok(self.usually(&seen)),
            },
        }
    }
}
