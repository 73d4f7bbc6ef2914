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
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request, Response, Version, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{Got, Http, Node, Yard, caller::Call, eventually, now, packet, unix_seconds, yard::free_port};

/// A path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Request,
    Grant,
    Refresh,
    Packet,
}

/// What a peer does with a call.
#[derive(Clone)]
pub(crate) enum Does {
    /// Answers so, and nothing else.
    Answers(Reply),
    /// Does what the protocol asks, and breaks the connection instead of answering.
    LosesAnswer,
    /// Breaks the connection.
    Breaks,
    /// Waits, then does what the protocol asks.
    Waits(Duration),
    /// Asks this: an answer, or none to do what the protocol asks.
    Judges(Judge),
}

/// Decides from a call.
pub(crate) type Judge = Arc<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    pub(crate) fn of(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, kind: &str, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self.header("content-type", kind)
    }

    pub(crate) fn problem(status: u16, detail: &str, index: Option<usize>) -> Self {
        let mut problem = json!({"type": "urn:test:problem", "title": "Not so", "detail": detail});
        if let Some(index) = index {
            problem["index"] = json!(index);
        }
        Self::of(status).body("application/problem+json", &problem.to_string())
    }
}

impl Does {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answers(Reply::of(status))
    }

    pub(crate) fn judges(judge: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::Judges(Arc::new(judge))
    }
}

/// A call that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    pub(crate) version: Version,
    pub(crate) authority: String,
    pub(crate) sni: Option<String>,
    pub(crate) bearer: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The messages of a packet.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.json()["packet"]["messages"].as_array().unwrap().clone()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.messages().iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
    }
}

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

    fn gives(&self, token: &str, refresh: &str) {
        let mut state = self.state();
        let until = now() + Duration::from_secs(state.lifetime);
        state.access.insert(token.to_owned(), until);
        state.refresh.push(refresh.to_owned());
    }

    /// A fresh offer in its own name, not yet given.
    pub(crate) fn offer(&self) -> Value {
        let (token, refresh) = (self.secret("access"), self.secret("refresh"));
        let lifetime = self.state().lifetime;
        json!({"host": self.name, "token": token, "expires-in": lifetime,
               "expires": unix_seconds() + lifetime, "refresh-token": refresh})
    }

    /// A POST to the node in the peer's own HTTP version.
    pub(crate) fn post(&self, node: &Node, path: &str) -> Call {
        node.post(path).over(self.http.unwrap_or(Http::Two))
    }

    /// Asks the node for a token: what its request was answered.
    pub(crate) async fn ask(&self, node: &Node) -> Got {
        self.meets(node);
        let offer = self.offer();
        let text = |name: &str| offer[name].as_str().unwrap().to_owned();
        self.state().asked.insert(text("token"), text("refresh-token"));
        self.post(node, "/request").json(&offer).send().await
    }

    /// Exchanges tokens with the node, started by this peer: the access token that the node gave.
    pub(crate) async fn link(&self, node: &Node) -> String {
        let before = self.pairs_held();
        assert_eq!(self.ask(node).await.status, 204);
        eventually("the node grants", || async { (self.pairs_held() > before).then_some(()) }).await;
        // The node commits after the 204; a call that shows the token waits for it.
        self.token()
    }

    /// Sends messages with the newest token.
    pub(crate) async fn send(&self, node: &Node, messages: &[Value]) -> Got {
        let token = self.token();
        self.send_with(node, &token, messages).await
    }

    pub(crate) async fn send_with(&self, node: &Node, token: &str, messages: &[Value]) -> Got {
        self.post(node, "/packet").bearer(token).json(&packet(messages)).send().await
    }

    /// Refreshes with this token; a 200 is not noted.
    pub(crate) async fn refresh_with(&self, node: &Node, token: &str) -> Got {
        self.post(node, "/refresh").bearer(token).send().await
    }

    /// A message of its `example/form` to the node's.
    pub(crate) fn message(&self, node: &Node, id: &str) -> Value {
        super::message(&self.name, &node.host, id, &json!({"id": id}))
    }

    fn usually(&self, seen: &Seen) -> Reply {
        match seen.kind {
            Kind::Request => self.on_request(seen),
            Kind::Grant => self.on_grant(seen),
            Kind::Refresh => self.on_refresh(seen),
            Kind::Packet => self.on_packet(seen),
        }
    }

    fn on_request(&self, seen: &Seen) -> Reply {
        let peer = self.clone();
        let body = seen.json();
        tokio::spawn(async move { peer.grants(&body).await });
        Reply::of(204)
    }

    /// Grants to the node that asked so.
    pub(crate) async fn grants(&self, request: &Value) -> Option<Got> {
        let offer = self.offer();
        self.gives(offer["token"].as_str().unwrap(), offer["refresh-token"].as_str().unwrap());
        let got = self.grants_with(request, &offer).await?;
        if got.status == 204 {
            self.holds(request);
        }
        Some(got)
    }

    /// Grants with this offer.
    pub(crate) async fn grants_with(&self, request: &Value, offer: &Value) -> Option<Got> {
        let (host, address) = self.state().node.clone().unwrap();
        let call = Call::post(&self.yard, &host, address, "/grant").over(self.http.unwrap_or(Http::Two));
        call.bearer(request["token"].as_str().unwrap()).json(offer).try_send().await.ok()
    }

    fn on_grant(&self, seen: &Seen) -> Reply {
        let asked = seen.bearer.as_ref().and_then(|bearer| {
            let mut state = self.state();
            state.asked.remove(bearer).map(|refresh| (bearer.clone(), refresh))
        });
        let Some((token, refresh)) = asked else { return Reply::of(401) };
        self.gives(&token, &refresh);
        self.holds(&seen.json());
        Reply::of(204)
    }

    fn on_refresh(&self, seen: &Seen) -> Reply {
        let known = seen.bearer.as_ref().is_some_and(|bearer| self.state().refresh.contains(bearer));
        if !known {
            return Reply::of(401);
        }
        let mut offer = self.offer();
        self.gives(offer["token"].as_str().unwrap(), offer["refresh-token"].as_str().unwrap());
        offer.as_object_mut().unwrap().remove("host");
        Reply::of(200).body("application/json", &offer.to_string())
    }

    fn on_packet(&self, seen: &Seen) -> Reply {
        let ids = seen.ids();
        let mut state = self.state();
        let known = seen.bearer.as_ref().and_then(|bearer| state.access.get(bearer));
        if known.is_none_or(|until| *until < now()) {
            return Reply::of(401);
        }
        state.received.extend(ids);
        Reply::of(204)
    }

    async fn answers(&self, seen: Seen) -> Result<Reply, std::io::Error> {
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

async fn serve(peer: Peer, tcp: TcpStream, acceptor: TlsAcceptor) {
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    let sni = stream.get_ref().1.server_name().map(str::to_owned);
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(|request| {
        let (peer, sni) = (peer.clone(), sni.clone());
        async move { answer(&peer, sni, request).await }
    });
    let io = TokioIo::new(stream);
    // How a connection ends is the node's business.
    let _ = if h2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
    };
}

async fn answer(
    peer: &Peer,
    sni: Option<String>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let kind = match head.uri.path() {
        "/request" => Kind::Request,
        "/grant" => Kind::Grant,
        "/refresh" => Kind::Refresh,
        "/packet" => Kind::Packet,
        other => panic!("the node called {other}"),
    };
    let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let authority = head.uri.authority().map(ToString::to_string).or_else(|| text("host"));
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    let seen = Seen {
        kind,
        version: head.version,
        authority: authority.unwrap_or_default(),
        sni,
        bearer,
        headers: head.headers,
        body,
        at: now(),
    };
    let reply = peer.answers(seen).await?;
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    Ok(builder.body(Full::new(Bytes::from(reply.body))).unwrap())
}
