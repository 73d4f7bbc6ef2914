//! The reference host: an act of the published implementation of R3 (Elixir, 2017), with its ways.
//!
//! - It publishes `/.well-known/amorphos` only, and that answers 406 unless HTML is accepted too.
//! - It reads our information over plain HTTP, at that place only, each time before it grants. It cannot read a document
//!   where a protocol entry lacks `parameters`, and takes the first protocol that is named exactly `https-token`.
//! - It calls our grant path before it answers our request. When it asks, it waits 5 s for our grant.
//! - It answers 204 to every grant, taken or not, and to a packet whose messages are not for it, which it drops without a
//!   word. Host names it compares byte for byte, and they carry a port.
//! - It wants `Content-Type: application/json` to the byte, else it fails with 500. It speaks HTTP/1.1 only.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    Got, Http, Kind, Node, PLACES, Reply, Seen, Yard,
    caller::Call,
    eventually,
    listener::{Host, listen},
    message, packet, unix_seconds,
    yard::free_port,
};

/// How long it waits for our grant.
const GRANT_WAIT: Duration = Duration::from_secs(5);

/// A node as the reference host knows it.
#[derive(Clone)]
struct Met {
    host: String,
    peer: SocketAddr,
    plain: SocketAddr,
}

/// A token and what it is good for.
#[derive(Clone)]
struct Token {
    text: String,
    host: String,
    expires: u64,
}

#[derive(Default)]
struct State {
    met: Option<Met>,
    lifetime: u64,
    made: u64,
    /// States that it sent, and to whom; kept until they are granted.
    states: HashMap<String, String>,
    given: Vec<Token>,
    held: Vec<Token>,
    seen: Vec<Seen>,
    received: Vec<String>,
    dropped: usize,
    /// What it could not make sense of.
    troubles: Vec<String>,
    /// What its grants were answered.
    granted: Vec<u16>,
    /// So long it takes to answer a read of its information.
    slow: Duration,
}

/// The host. Cheap to clone; ends with its test.
#[derive(Clone)]
pub(crate) struct Reference {
    pub(crate) name: String,
    yard: Yard,
    state: Arc<Mutex<State>>,
}

impl Reference {
    pub(crate) async fn start(yard: &Yard) -> Self {
        let address = free_port();
        let state = State { lifetime: 3600, ..State::default() };
        let name = format!("localhost:{}", address.port());
        let host = Self { name, yard: yard.clone(), state: Arc::new(Mutex::new(state)) };
        drop(listen(host.clone(), yard, &host.name, address, &["http/1.1"]).await);
        host
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Where the node's name leads.
    pub(crate) fn meets(&self, node: &Node) {
        self.state().met = Some(Met { host: node.host.clone(), peer: node.peer, plain: node.plain });
    }

    /// How long the tokens live that it gives from now on.
    pub(crate) fn lifetime(&self, seconds: u64) {
        self.state().lifetime = seconds;
    }

    /// So long it takes to answer a read of its information, at whatever place.
    pub(crate) fn is_slow(&self, by: Duration) {
        self.state().slow = by;
    }

    /// Forgets every token that it gave, as after a restart: it keeps them in memory.
    pub(crate) fn forgets_given(&self) {
        self.state().given.clear();
    }

    pub(crate) fn seen(&self, kind: Kind) -> Vec<Seen> {
        self.state().seen.iter().filter(|seen| seen.kind == kind).cloned().collect()
    }

    pub(crate) fn received(&self) -> Vec<String> {
        self.state().received.clone()
    }

    /// Waits for so many messages that were for it.
    pub(crate) async fn receives(&self, count: usize) -> Vec<String> {
        eventually(&format!("the reference host receives {count} messages"), || async {
            let received = self.received();
            (received.len() >= count).then_some(received)
        })
        .await
    }

    /// All went as it understands the protocol.
    pub(crate) fn is_content(&self) {
        let state = self.state();
        assert!(state.troubles.is_empty(), "{:?}", state.troubles);
        assert_eq!(state.dropped, 0, "messages that were not for it");
        assert!(state.granted.iter().all(|status| *status == 204), "{:?}", state.granted);
    }

    /// Asks the node for a token, and waits for the grant as long as it does: the token.
    pub(crate) async fn asks(&self, node: &Node) -> Result<String, String> {
        self.meets(node);
        let before = self.state().held.len();
        let state = {
            let mut own = self.state();
            own.made += 1;
            let state = format!("reference-state-{}", own.made);
            own.states.insert(state.clone(), node.host.clone());
            state
        };
        let parameters = self.parameters_of(&node.host).await?;
        let request = json!({"host": self.name, "state": state});
        assert_eq!(self.posts(&parameters["request-path"], None, &request).await?.status, 204);
        let waiting = async {
            while self.state().held.len() == before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(GRANT_WAIT, waiting).await.map_err(|_| "no grant within 5 s".to_owned())?;
        Ok(self.token())
    }

    /// The token that the node gave last.
    pub(crate) fn token(&self) -> String {
        self.state().held.last().unwrap().text.clone()
    }

    /// A message of its `example/form` to the node's.
    pub(crate) fn message(&self, node: &Node, id: &str) -> Value {
        message(&self.name, &node.host, id, &json!({"id": id}))
    }

    /// Sends messages with the newest token that has not run out.
    pub(crate) async fn sends(&self, messages: &[Value]) -> Got {
        let held = self.state().held.last().unwrap().clone();
        assert!(held.expires > unix_seconds());
        let parameters = self.parameters_of(&held.host).await.unwrap();
        self.posts(&parameters["packet-path"], Some(&held.text), &packet(messages)).await.unwrap()
    }

    /// A call to the node, without its headers being anything but what is needed.
    async fn posts(&self, path: &Value, bearer: Option<&str>, body: &Value) -> Result<Got, String> {
        let Met { host, peer, .. } = self.state().met.clone().unwrap();
        let path = path.as_str().ok_or("a path is missing")?;
        let call = Call::post(&self.yard, &host, peer, path).over(Http::One).json(body);
        let call = bearer.into_iter().fold(call, Call::bearer);
        call.try_send().await
    }

    /// The parameters in the node's information, read over plain HTTP.
    async fn parameters_of(&self, host: &str) -> Result<Value, String> {
        let met = self.state().met.clone().filter(|met| met.host == host).ok_or("that name leads nowhere")?;
        let call = Call::post(&self.yard, host, met.plain, PLACES[2]).method("GET").plain();
        let got = call.try_send().await?;
        if got.status != 200 {
            return Err(format!("the host information is answered {}", got.status));
        }
        let document: Value = serde_json::from_slice(&got.body).map_err(|error| error.to_string())?;
        readable(&document)?;
        let protocols = document["connection-protocols"].as_array().unwrap();
        let found = protocols.iter().find(|protocol| protocol["name"] == "https-token");
        Ok(found.ok_or("there is no https-token")?["parameters"].clone())
    }

    /// A token as it makes them: some hundred bytes of JWT.
    fn jwt(&self, host: &str, expires: u64) -> String {
        let number = {
            let mut state = self.state();
            state.made += 1;
            state.made
        };
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"aud": "Amorphos", "exp": expires, "iat": unix_seconds(), "iss": "Amorphos",
            "jti": format!("{number:036}"), "sub": host, "typ": "access"});
        let signature = BASE64_URL_SAFE_NO_PAD.encode([number.to_le_bytes()[0]; 64]);
        format!("{}.{}.{signature}", part(&json!({"alg": "HS512", "typ": "JWT"})), part(&claims))
    }

    /// Grants before it answers; what it cannot do is its caller's 500.
    async fn on_request(&self, body: &Value) -> Result<(), String> {
        let host = body["host"].as_str().ok_or("a request without host")?.to_owned();
        let state = body["state"].as_str().ok_or("a request without state")?;
        let parameters = self.parameters_of(&host).await?;
        let expires = unix_seconds() + self.state().lifetime;
        let token = self.jwt(&host, expires);
        self.state().given.push(Token { text: token.clone(), host, expires });
        let grant = json!({"host": self.name, "token": token, "expires": expires, "state": state});
        let got = self.posts(&parameters["grant-path"], None, &grant).await?;
        self.state().granted.push(got.status);
        Ok(())
    }

    fn on_grant(&self, body: &Value) -> Result<(), String> {
        let text =
            |name: &str| body[name].as_str().map(str::to_owned).ok_or(format!("a grant without {name}"));
        let (host, token, granted) = (text("host")?, text("token")?, text("state")?);
        let expires = body["expires"].as_u64().ok_or("a grant without expires")?;
        let mut state = self.state();
        if state.states.get(&granted) == Some(&host) {
            state.states.remove(&granted);
            state.held.push(Token { text: token, host, expires });
        }
        Ok(())
    }

    fn on_packet(&self, seen: &Seen) -> Reply {
        let mut state = self.state();
        let shown = seen.bearer.clone().unwrap_or_default();
        let given = state.given.iter().find(|token| token.text == shown && token.expires > unix_seconds());
        let Some(host) = given.map(|token| token.host.clone()) else { return Reply::of(401) };
        let Some(messages) = seen.json()["packet"]["messages"].as_array().cloned() else {
            return Reply::of(500);
        };
        for message in messages {
            if message["host"] == self.name.as_str() && message["sender"]["host"] == host.as_str() {
                state.received.push(message["id"].as_str().unwrap().to_owned());
            } else {
                state.dropped += 1;
            }
        }
        Reply::of(204)
    }

    async fn information(&self, seen: &Seen) -> Reply {
        let slow = self.state().slow;
        tokio::time::sleep(slow).await;
        if seen.path != PLACES[2] {
            return Reply::of(404);
        }
        let admits = |accept: &str| {
            accept.split(',').any(|kind| {
                matches!(kind.split(';').next().unwrap_or_default().trim(), "text/html" | "text/*" | "*/*")
            })
        };
        if !seen.header("accept").is_none_or(admits) {
            return Reply::of(406);
        }
        let parameters =
            json!({"request-path": "/request", "grant-path": "/grant", "packet-path": "/packet"});
        let document = json!({
            "amorphos-version": "0.1.0",
            "connection-protocols": [{"name": "https-token", "version": "0.1.0", "parameters": parameters}],
            "service-protocols": [
                {"name": "example", "version": "0.1.0", "services": ["form"], "parameters": {}}
            ],
        });
        Reply::of(200).body("application/json; charset=utf-8", &document.to_string())
    }

    fn outcome(&self, done: Result<(), String>) -> Reply {
        done.map_or_else(
            |trouble| {
                self.state().troubles.push(trouble);
                Reply::of(500)
            },
            |()| Reply::of(204),
        )
    }
}

/// Whether it can read a document: all lists are there or not, and every protocol has its parameters.
fn readable(document: &Value) -> Result<(), String> {
    document["amorphos-version"].as_str().ok_or("there is no amorphos-version")?;
    for list in ["connection-protocols", "service-protocols", "message-protocols"] {
        for protocol in document[list].as_array().into_iter().flatten() {
            let whole = protocol["parameters"].is_object() && protocol["name"].is_string();
            whole.then_some(()).ok_or(format!("an entry of {list} lacks its parameters"))?;
        }
    }
    document["connection-protocols"].as_array().map(|_| ()).ok_or_else(|| "there are no protocols".to_owned())
}

impl Host for Reference {
    async fn answers(&self, mut seen: Seen) -> io::Result<Reply> {
        seen.kind = match (seen.method.as_str(), seen.path.as_str()) {
            (_, path) if PLACES.contains(&path) => Kind::Information,
            ("POST", "/request") => Kind::Request,
            ("POST", "/grant") => Kind::Grant,
            ("POST", "/packet") => Kind::Packet,
            _ => Kind::Other,
        };
        self.state().seen.push(seen.clone());
        let exact = seen.header("content-type") == Some("application/json");
        Ok(match seen.kind {
            Kind::Information => self.information(&seen).await,
            Kind::Other | Kind::Refresh => Reply::of(404),
            Kind::Request | Kind::Grant | Kind::Packet if !exact => {
                self.outcome(Err(format!("{:?} of type {:?}", seen.kind, seen.header("content-type"))))
            }
            Kind::Request => self.outcome(self.on_request(&seen.json()).await),
            Kind::Grant => self.outcome(self.on_grant(&seen.json())),
            Kind::Packet => self.on_packet(&seen),
        })
    }
}
