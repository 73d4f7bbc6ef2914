//! The voice: request, grant, refresh and send, each an HTTPS POST to a peer, and the look for its host information.
//!
//! One way to open a connection (`connect`) with the address rules inside it (`guard`), one way to read what comes back
//! (`answer`). Redirects are not followed and proxies not asked. Every call ends by its deadline. A call over a connection
//! from the pool that turns out to be dead is made once more over a fresh one: all four calls may be repeated by the
//! protocol. No answer is a `CallError`, any answer is an answer; which of them is good is `link`'s to say.
//!
//! A grant on a route that is not trusted is a call that a stranger caused, and so may be a look-up: it has 10 s, shares no
//! connection, and at most a few of them go to one address at a time.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri, Version,
    body::{Body as _, Incoming},
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT},
};
use tokio::time::timeout;

use self::{
    answer::{Raw, Secrets},
    connect::Dialler,
    pool::{Lane, Lanes},
    trouble::fault,
};
use crate::wire::{
    answer::{CallError, CallStage, Refreshed, Reply},
    exchange::RefreshReply,
    host::PeerHost,
    limits::{ANSWER_BYTES_MAX, DRAIN_TIME_MAX, GRANT_TIME_STRANGER, PATH_BYTES_MAX},
    secret::HeldToken,
    time::ReadClock,
};

mod answer;
mod connect;
mod discover;
mod guard;
mod line;
mod pool;
mod route;
mod settings;
#[cfg(test)]
mod tests;
mod trouble;
mod walk;

pub use discover::{Discovered, Looked};
pub use route::{Address, AddressError, Route};
pub use settings::Settings;
pub use walk::{Greeted, Opened, Probed, Resolved, Target, Trouble};

const AGENT: HeaderValue = HeaderValue::from_static(concat!("ymp/", env!("CARGO_PKG_VERSION")));
/// Old implementations have their document under a route that answers 406 to anything narrower.
const ANYTHING: HeaderValue = HeaderValue::from_static("*/*");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Calls peers. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    dialler: Arc<ArcSwap<Dialler>>,
    lanes: Arc<Lanes>,
    clock: ReadClock,
}

/// One call, before it is known over which connection it goes.
struct Call<'a> {
    method: Method,
    route: &'a Route,
    path: &'a str,
    bearer: Option<&'a HeldToken>,
    body: Bytes,
    deadline: Duration,
    /// The body holds tokens that we made, so it must not come back in a peer's words.
    secret_body: bool,
    /// A stranger caused it.
    stranger: bool,
    /// Bytes of the answer's body that are read.
    answer_bytes: usize,
}

impl<'a> Call<'a> {
    /// A POST with a body and without a bearer, that nobody else caused.
    fn post(route: &'a Route, path: &'a str, body: Bytes, deadline: Duration) -> Self {
        Self {
            method: Method::POST,
            route,
            path,
            bearer: None,
            body,
            deadline,
            secret_body: false,
            stranger: false,
            answer_bytes: ANSWER_BYTES_MAX,
        }
    }
}

impl Client {
    /// A client without connections. `tls` brings the trusted roots; ALPN is added here.
    #[must_use]
    pub fn new(settings: Settings, tls: Arc<rustls::ClientConfig>, clock: ReadClock) -> Self {
        let dialler = Dialler::new(settings, &tls);
        Self { dialler: Arc::new(ArcSwap::from_pointee(dialler)), lanes: Arc::default(), clock }
    }

    /// Takes other settings and roots for all clones. Calls under way end as they began; each later one goes over a
    /// connection that was opened under the new ones.
    pub fn renew(&self, settings: Settings, tls: &rustls::ClientConfig) {
        let renewed = self.dialler.load().renewed(settings, tls);
        self.dialler.store(Arc::new(renewed));
    }

    /// Asks a peer for a grant: POST to its request path, without a bearer. Ends within `deadline`.
    ///
    /// # Errors
    /// `CallError` when there is no answer: at which stage, and why.
    pub async fn request(&self, route: &Route, path: &str, body: Vec<u8>, deadline: Duration) -> Reply {
        self.reply(Call { secret_body: true, ..Call::post(route, path, body.into(), deadline) }).await
    }

    /// Grants: POST to the peer's grant path; `bearer` is the token of its request, and none with R3. Ends within
    /// `deadline`, and within 10 s on a route that is not trusted.
    ///
    /// # Errors
    /// `CallError` when there is no answer; stage `Busy` when too many strangers' calls go to that address.
    pub async fn grant(
        &self,
        route: &Route,
        path: &str,
        bearer: Option<&HeldToken>,
        body: Vec<u8>,
        deadline: Duration,
    ) -> Reply {
        let call = Call::post(route, path, body.into(), deadline);
        self.reply(Call { bearer, secret_body: true, stranger: !route.trusted, ..call }).await
    }

    /// Asks for new tokens: POST to the peer's refresh path, without a body; `bearer` is the refresh token. Ends within
    /// `deadline`. A success whose body broke off is `Failed`, because asking again with the same token is safe and
    /// right; one whose body is not valid or over-long is `Answered`, with the reason as its text.
    pub async fn refresh(
        &self,
        route: &Route,
        path: &str,
        bearer: &HeldToken,
        deadline: Duration,
    ) -> Refreshed {
        let call = Call { bearer: Some(bearer), ..Call::post(route, path, Bytes::new(), deadline) };
        let raw = match self.call(&call).await {
            Ok(raw) => raw,
            Err(error) => return Refreshed::Failed(error),
        };
        let now = (self.clock)().wall;
        let mut answer = raw.answer(&call.secrets(), now);
        if answer.status != 200 {
            return Refreshed::Answered(answer);
        }
        if let Some(broken) = raw.broken {
            return Refreshed::Failed(broken);
        }
        //= HT-REF-18: 200 with a valid body
        match RefreshReply::decode(&raw.body, now) {
            Ok(fresh) => Refreshed::Fresh(fresh),
            Err(refusal) => {
                answer.text = Some(refusal.to_string());
                Refreshed::Answered(answer)
            }
        }
    }

    /// Sends a packet: POST to the peer's packet path; `bearer` is the access token. Ends within `deadline`.
    ///
    /// # Errors
    /// `CallError` when there is no answer: at which stage, and why.
    pub async fn send(
        &self,
        route: &Route,
        path: &str,
        bearer: &HeldToken,
        body: Bytes,
        deadline: Duration,
    ) -> Reply {
        let call = Call { bearer: Some(bearer), ..Call::post(route, path, body, deadline) };
        let raw = self.call(&call).await?;
        match raw.broken {
            // What condemns a message must be whole. One that is dripped is no network's fault.
            Some(broken) if condemns(raw.status) && broken.stage == CallStage::Exchange => Err(broken),
            _ => Ok(raw.answer(&call.secrets(), (self.clock)().wall)),
        }
    }

    /// The addresses that this host would connect to for a route: at least one. Counted among the look-ups that strangers
    /// cause where one did, and ends within 5 s.
    ///
    /// # Errors
    /// `Resolve` when the name leads nowhere, `Guard` when only to addresses that are not public.
    pub async fn addresses(&self, route: &Route, stranger: bool) -> Result<Vec<std::net::IpAddr>, CallError> {
        let targets = self.dialler.load_full().targets(route, stranger).await?;
        Ok(targets.iter().map(std::net::SocketAddr::ip).collect())
    }

    async fn reply(&self, call: Call<'_>) -> Reply {
        let raw = self.call(&call).await?;
        Ok(raw.answer(&call.secrets(), (self.clock)().wall))
    }

    //= HT-SEND-29: 60 s on a whole request
    async fn call(&self, call: &Call<'_>) -> Result<Raw, CallError> {
        let (now, dialler) = ((self.clock)().mono, self.dialler.load_full());
        let mut deadline = call.deadline.min(dialler.settings.call_time);
        if call.stranger {
            deadline = deadline.min(GRANT_TIME_STRANGER);
        }
        let lane = if call.stranger {
            Lane::once(&dialler, call.route, now)
        } else {
            self.lanes.of(call.route, &dialler, now)
        };
        timeout(deadline, self.over(call, &lane)).await.unwrap_or_else(|_| {
            // The connection may be dead without anybody having said so; the next call shall not wait for it as well.
            self.lanes.forget(call.route, &lane);
            let detail = format!("no answer from {} within {:.1} s", call.route.host, deadline.as_secs_f32());
            Err(fault(CallStage::Timeout, detail))
        })
    }

    /// A second time only where the peer says that it took nothing of the first: it was closing the connection that the call went
    /// over. A call that was taken and not answered is a try that failed, and whoever made it decides when the next one is due.
    async fn over(&self, call: &Call<'_>, lane: &Lane) -> Result<Raw, CallError> {
        let dials = lane.dials();
        let broke = match call.over(lane).await {
            Ok(raw) => return Ok(raw),
            Err(broke) => broke,
        };
        let from_pool = lane.dials() == dials;
        if broke.error.stage == CallStage::Exchange {
            self.lanes.forget(call.route, lane);
            if broke.untaken && from_pool {
                let lane = self.lanes.of(call.route, &self.dialler.load_full(), (self.clock)().mono);
                return call.over(&lane).await.map_err(|broke| broke.error);
            }
        }
        Err(broke.error)
    }
}

/// A call that got no answer.
struct Broke {
    error: CallError,
    /// The peer took nothing of it.
    untaken: bool,
}

impl Call<'_> {
    fn secrets(&self) -> Secrets<'_> {
        Secrets { bearer: self.bearer.map(HeldToken::reveal), body: self.secret_body.then_some(&self.body) }
    }

    fn broke(&self, error: &(dyn std::error::Error + 'static)) -> CallError {
        trouble::exchange(&self.route.host, error, &self.secrets())
    }

    async fn over(&self, lane: &Lane) -> Result<Raw, Broke> {
        let request = self.http_request().map_err(|error| Broke { error, untaken: false })?;
        let broke = |error| Broke { error: self.broke(&error), untaken: trouble::is_untaken(&error) };
        let response = lane.client.request(request).await.map_err(broke)?;
        Ok(self.read(response).await)
    }

    fn http_request(&self) -> Result<Request<Full<Bytes>>, CallError> {
        let uri = url(&self.route.host, self.path)?;
        let wrong = |error: hyper::http::Error| {
            fault(CallStage::Exchange, format!("no request can be made: {error}"))
        };
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(uri)
            .header(USER_AGENT, AGENT)
            .body(Full::new(self.body.clone()))
            .map_err(wrong)?;
        if self.method == Method::GET {
            //= YMP-INFO-07: */*
            request.headers_mut().insert(ACCEPT, ANYTHING);
        }
        if !self.body.is_empty() {
            //= HT-CHK-13: exactly
            request.headers_mut().insert(CONTENT_TYPE, JSON);
        }
        if let Some(bearer) = self.bearer {
            let text = zeroize::Zeroizing::new(format!("Bearer {}", bearer.reveal()));
            let mut value = HeaderValue::from_str(&text).map_err(|error| wrong(error.into()))?;
            // Keeps it out of debug output and out of HTTP/2's header tables.
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    //= HT-ASK-24: to a small limit
    /// The body up to its limit in bytes and time: what matters is the status, and a peer that drips its body must not
    /// turn a refusal into silence.
    async fn read(&self, response: Response<Incoming>) -> Raw {
        let (head, mut incoming) = response.into_parts();
        let (mut body, mut cut) = (Vec::new(), false);
        let reading = async {
            while let Some(frame) = incoming.frame().await {
                let frame = frame.map_err(|error| self.broke(&error))?;
                let Ok(data) = frame.into_data() else { continue };
                let room = self.answer_bytes - body.len();
                body.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
                if data.len() > room {
                    // Not broken: asking again would bring the same.
                    cut = true;
                    return Ok(());
                }
            }
            // hyper takes a reset without an error for an end.
            if head.version == Version::HTTP_2 && !incoming.is_end_stream() {
                let detail = format!("{} broke its answer off", self.route.host);
                return Err(fault(CallStage::Exchange, detail));
            }
            Ok(())
        };
        let broken = timeout(DRAIN_TIME_MAX, reading).await.unwrap_or_else(|_| {
            let detail = format!(
                "{} did not finish its answer within {} s",
                self.route.host,
                DRAIN_TIME_MAX.as_secs()
            );
            Err(fault(CallStage::Timeout, detail))
        });
        let (status, version, headers) = (head.status, head.version, head.headers);
        let tls = head.extensions.get().copied();
        Raw { status, version, headers, body, broken: broken.err(), cut, tls }
    }
}

/// Whether an answer to a packet with this status may cost a message its life.
fn condemns(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 409 | 422)
}

fn url(host: &PeerHost, path: &str) -> Result<Uri, CallError> {
    let fits =
        path.starts_with('/') && path.len() <= PATH_BYTES_MAX && path.bytes().all(|b| b.is_ascii_graphic());
    //= YMP-INFO-11: replaces the path
    let uri = Uri::builder().scheme("https").authority(host.as_str()).path_and_query(path).build();
    match uri {
        Ok(uri) if fits && !path.contains('#') => Ok(uri),
        Ok(_) | Err(_) => Err(fault(CallStage::LookUp, format!("{path:?} of {host} is no path of a URL"))),
    }
}
