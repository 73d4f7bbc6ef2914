//! A scripted host: it does its part of the protocol unless told otherwise, and keeps what it saw.
//!
//! ```text
//!   peer.next(Kind::Packet, Does::Answers(503, ..))   the next packet only, in order
//!   peer.always(Kind::Request, Does::Answers(204, ..))   from now on: here no request is granted
//!   peer.usual(Kind::Packet)   from now on the protocol again
//! ```

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use serde_json::Value;

use super::{
    Http, Node, Yard, eventually,
    listener::{Host, listen},
    unix_seconds,
    yard::free_port,
};

mod information;
mod protocol;
mod script;

pub(crate) use information::PLACES;
use information::Page;
pub(crate) use script::{Does, Kind, Reply, Revision, Seen};

/// Where its paths are unless it moves them.
const PATHS: [(Kind, &str); 4] = [
    (Kind::Request, "/request"),
    (Kind::Grant, "/grant"),
    (Kind::Refresh, "/refresh"),
    (Kind::Packet, "/packet"),
];

#[derive(Default)]
struct State {
    revision: Revision,
    paths: HashMap<Kind, String>,
    pages: HashMap<String, Page>,
    cache: Option<String>,
    announced: BTreeMap<String, Value>,
    elsewhere: u16,
    reached: usize,
    seen: Vec<Seen>,
    next: HashMap<Kind, VecDeque<Does>>,
    always: HashMap<Kind, Does>,
    node: Option<(String, SocketAddr)>,
    lifetime: u64,
    /// Access tokens that it gave, and their ends.
    access: HashMap<String, Instant>,
    refresh: Vec<String>,
    /// Its own requests that wait for a grant: token and refresh token, or the state and nothing.
    asked: HashMap<String, Option<String>>,
    /// What the node gave: newest last.
    held: Vec<(String, Option<String>)>,
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
    /// A host of R1 that speaks both versions of HTTP and publishes nothing.
    pub(crate) async fn start(yard: &Yard, name: &str) -> Self {
        Self::start_with(yard, name, None).await
    }

    /// The same with one version of HTTP only, in both directions.
    pub(crate) async fn start_with(yard: &Yard, name: &str, http: Option<Http>) -> Self {
        let peer = Self::new(yard, name, free_port(), http);
        peer.up().await;
        peer
    }

    /// A host of this revision that publishes its document at the first place.
    pub(crate) async fn publishing(yard: &Yard, name: &str, revision: Revision) -> Self {
        let peer = Self::start(yard, name).await;
        peer.speaks(revision);
        peer.publishes(&PLACES[..1]);
        peer
    }

    /// The same under a name that every machine finds by itself: `localhost` and its port.
    pub(crate) async fn publishing_on_loopback(yard: &Yard, revision: Revision) -> Self {
        let address = free_port();
        let peer = Self::new(yard, &format!("localhost:{}", address.port()), address, None);
        peer.speaks(revision);
        peer.publishes(&PLACES[..1]);
        peer.up().await;
        peer
    }

    fn new(yard: &Yard, name: &str, address: SocketAddr, http: Option<Http>) -> Self {
        let paths = PATHS.map(|(kind, path)| (kind, path.to_owned())).into();
        let state = State { lifetime: 3600, elsewhere: 404, paths, ..State::default() };
        Self {
            name: name.to_owned(),
            address,
            yard: yard.clone(),
            http,
            state: Arc::new(Mutex::new(state)),
            server: Arc::default(),
        }
    }

    /// Listens again.
    pub(crate) async fn up(&self) {
        let alpn: &[&str] = match self.http {
            Some(Http::One) => &["http/1.1"],
            Some(Http::Two) => &["h2"],
            None => &["h2", "http/1.1"],
        };
        let serving = listen(self.clone(), &self.yard, &self.name, self.address, alpn).await;
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
        self.state().held.last().unwrap().0.clone()
    }

    /// What the node gave last, with R1 and R2: both.
    pub(crate) fn held(&self) -> (String, String) {
        let (token, refresh) = self.state().held.last().unwrap().clone();
        (token, refresh.unwrap())
    }

    /// How many pairs the node gave.
    pub(crate) fn pairs_held(&self) -> usize {
        self.state().held.len()
    }

    /// Notes what the node gave. Each revision finds the lifetime where it looks for it.
    pub(crate) fn holds(&self, body: &Value) {
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        let revision = self.revision();
        let lifetime = if revision == Revision::R1 { &body["expires-in"] } else { &body["expires"] };
        assert!(lifetime.is_u64(), "{revision:?} finds no lifetime");
        let refresh = (revision != Revision::R3).then(|| text("refresh-token"));
        let mut state = self.state();
        state.secrets.push(text("token"));
        state.secrets.extend(refresh.clone());
        state.held.push((text("token"), refresh));
    }

    /// How many connections were opened to it.
    pub(crate) fn reached_times(&self) -> usize {
        self.state().reached
    }

    fn keeps_secrets(&self, seen: &Seen) {
        let mut state = self.state();
        // Tokens that come are secrets too.
        state.secrets.extend(seen.bearer.clone());
        if let Ok(body) = serde_json::from_slice::<Value>(&seen.body) {
            let text = |name: &&str| body[*name].as_str().map(str::to_owned);
            state.secrets.extend(["token", "refresh-token", "state"].iter().filter_map(text));
        }
    }
}

impl Host for Peer {
    fn reached(&self) {
        self.state().reached += 1;
    }

    async fn answers(&self, mut seen: Seen) -> io::Result<Reply> {
        let broken = || Err(io::Error::other("the peer breaks the connection"));
        seen.kind = self.kind(seen.method.as_str(), &seen.path);
        self.keeps_secrets(&seen);
        let does = {
            let mut state = self.state();
            state.seen.push(seen.clone());
            let next = state.next.get_mut(&seen.kind).and_then(VecDeque::pop_front);
            next.or_else(|| state.always.get(&seen.kind).cloned())
        };
        match does {
            None => Ok(self.usually(&seen)),
            Some(Does::Answers(reply)) => Ok(reply),
            Some(Does::LosesAnswer) => {
                self.usually(&seen);
                broken()
            }
            Some(Does::AnswersLate(time)) => {
                let reply = self.usually(&seen);
                tokio::time::sleep(time).await;
                Ok(reply)
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
