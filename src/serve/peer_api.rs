//! What other hosts call (`https-token`). Paths are configured.
//!
//! | call | 204 or 200 | body |
//! | --- | --- | --- |
//! | POST request-path | 204, always | at most 16 KiB |
//! | POST grant-path | 204 | at most 16 KiB |
//! | POST refresh-path | 200 with both new tokens | ignored |
//! | POST packet-path | 204 once it is on stable storage | at most `packet_bytes` |
//! | GET the host information | 200 (`information`) | none |
//!
//! Checks, in this order: 404, 421, 405, 401, 429, 415, 413, 400, 401 (a grant with neither bearer nor `state`), 403. On the
//! request path nothing follows the 405: whatever is wrong is told to the node, never to the caller.
//!
//! Settings are read once per call. What `node` has begun goes on when the caller goes away (`carry`).

use std::{net::IpAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode, body, header, header::HeaderValue};
use tracing::debug;

use super::{
    Settings,
    body::{BodyError, Incoming},
    carry::carry_on,
    connection::Handler,
    headers::{bearer, check_host, check_json},
    information,
    respond::{Answer, Door, Fault, json_bytes, no_content},
    shares::{Share, Shares},
};
use crate::{
    node::{Node, views::Caller},
    telemetry::{histogram::Stopwatch, metrics::Metrics},
    wire::{
        exchange::{TokenGrant, TokenRequest},
        limits,
        packet::Packet,
        path::Paths,
        refusal::Refusal,
        time::{ReadClock, Wall},
    },
};

/// The peers' face. Cheap to clone.
#[derive(Clone)]
pub struct PeerApi(Arc<Inner>);

struct Inner {
    node: Node,
    settings: ArcSwap<Settings>,
    metrics: Arc<Metrics>,
    clock: ReadClock,
    bodies: Shares,
    small_bodies: Shares,
    requests: Shares,
}

/// A path of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Request,
    Grant,
    Refresh,
    Packet,
    Information,
}

impl Route {
    fn of(path: &str, settings: &Settings) -> Option<Self> {
        let Paths { request, grant, refresh, packet } = &settings.paths;
        let all = [
            (request, Self::Request),
            (grant, Self::Grant),
            (refresh, Self::Refresh),
            (packet, Self::Packet),
        ];
        let found = all.into_iter().find(|(known, _)| known.as_str() == path).map(|(_, route)| route);
        let informs = || settings.information.is_some() && information::is_path(path);
        found.or_else(|| informs().then_some(Self::Information))
    }

    fn takes(self, method: &Method) -> bool {
        match self {
            Self::Request | Self::Grant | Self::Refresh | Self::Packet => *method == Method::POST,
            Self::Information => matches!(*method, Method::GET | Method::HEAD),
        }
    }

    fn allow(self) -> &'static str {
        if self == Self::Information { information::ALLOW } else { "POST" }
    }

    fn door(self) -> Door {
        if self == Self::Packet { Door::Packet } else { Door::Plain }
    }
}

/// The checks that need nothing but the header's first lines: 404, 421, 405.
fn admit<B>(request: &Request<B>, settings: &Settings) -> Result<Route, Fault> {
    //= HT-CHK-01: 404 first
    let route = Route::of(request.uri().path(), settings).ok_or(Fault::Path)?;
    check_host(request, &settings.host, &settings.aliases)?;
    //= HT-CHK-03: 405 after 421
    if route.takes(request.method()) { Ok(route) } else { Err(Fault::Method(route.allow().into())) }
}

/// One call on its way to the node.
struct Call<'a> {
    settings: &'a Settings,
    from: IpAddr,
    headers: &'a HeaderMap,
    /// Taken by who reads it; what is left is thrown away before the answer.
    body: &'a mut Option<Incoming<body::Incoming>>,
    /// What it holds of memory, until it is answered.
    share: Share,
    /// Its place among the requests in hand.
    place: Arc<Share>,
}

impl Call<'_> {
    async fn read(&mut self, limit: usize, time: Duration) -> Result<Bytes, Fault> {
        let Some(body) = self.body.take() else { return Ok(Bytes::new()) };
        Ok(body.read(limit, time, &mut self.share).await?)
    }

    async fn throw_away(&mut self) {
        if let Some(body) = self.body.take() {
            body.throw_away().await;
        }
    }
}

impl Handler for PeerApi {
    async fn handle(&self, from: IpAddr, request: Request<body::Incoming>) -> Answer {
        let (settings, begun) = (self.0.settings.load_full(), Stopwatch::start());
        let admitted = admit(&request, &settings);
        let (head, body) = request.into_parts();
        let mut body = Some(Incoming::new(head.version, &head.headers, body));
        let mut place = self.0.requests.open(from);
        let is_one_too_many = admitted.is_ok() && place.grow(1).is_err();
        let place = Arc::new(place);
        let (route, result) = match admitted {
            Ok(route) if is_one_too_many => (Some(route), self.too_many(route, from)),
            Ok(route) => {
                let (share, place) = (self.bodies(route).open(from), Arc::clone(&place));
                let (settings, headers, body) = (&*settings, &head.headers, &mut body);
                let call = Call { settings, from, headers, body, share, place };
                (Some(route), self.route(route, call).await)
            }
            Err(fault) => (None, Err(fault)),
        };
        self.count(route, &result, begun);
        // The caller sees an answer only after it has written what it is writing.
        if let Some(rest) = body.take() {
            rest.throw_away().await;
        }
        result.unwrap_or_else(|fault| {
            let path = head.uri.path();
            debug!(client = %from, path, status = fault.status().as_u16(), "refused: {}", fault.detail());
            fault.answer(route.map_or(Door::Plain, Route::door))
        })
    }
}

impl PeerApi {
    /// Builds the face.
    #[must_use]
    pub fn new(node: Node, settings: Settings, metrics: Arc<Metrics>, clock: ReadClock) -> Self {
        let bodies = Shares::new(settings.bodies_bytes, settings.bodies_bytes_per_address);
        let small_bodies = Shares::new(limits::EXCHANGE_BODIES_BYTES, limits::EXCHANGE_BODIES_BYTES / 8);
        let requests = Shares::new(limits::REQUESTS_IN_HAND, limits::REQUESTS_IN_HAND / 8);
        let settings = ArcSwap::from_pointee(settings);
        Self(Arc::new(Inner { node, settings, metrics, clock, bodies, small_bodies, requests }))
    }

    /// Takes other settings for the calls that come from here on.
    pub fn renew(&self, settings: Settings) {
        self.0.settings.store(Arc::new(settings));
    }

    /// What strangers may send has room of its own, so that it never takes that of packets.
    fn bodies(&self, route: Route) -> &Shares {
        match route {
            Route::Packet => &self.0.bodies,
            Route::Request | Route::Grant | Route::Refresh | Route::Information => &self.0.small_bodies,
        }
    }

    /// More requests in hand than there may be: come back; on the request path as always 204.
    fn too_many(&self, route: Route, from: IpAddr) -> Result<Answer, Fault> {
        if route == Route::Request {
            self.0.metrics.requests_in.up();
            self.0.node.asked(from, Err(Refusal::TooFast { retry_after: limits::BUSY_WAIT }));
            return Ok(no_content());
        }
        Err(Fault::Body(BodyError::Busy))
    }

    async fn route(&self, route: Route, call: Call<'_>) -> Result<Answer, Fault> {
        match route {
            // Packets are many and these are few: their room is taken only when one comes.
            Route::Request => Ok(Box::pin(self.asked(call)).await),
            Route::Grant => Box::pin(self.granted(call)).await,
            Route::Refresh => Box::pin(self.refreshed(call)).await,
            Route::Packet => self.packet(call).await,
            Route::Information => {
                let document = call.settings.information.as_ref().ok_or(Fault::Path)?;
                Ok(document.answer(call.headers))
            }
        }
    }

    //= SEED-REQ-1, HT-ASK-01: always 204; whatever is wrong
    async fn asked(&self, mut call: Call<'_>) -> Answer {
        self.0.metrics.requests_in.up();
        let read = match check_json(call.headers) {
            //= HT-CHK-11: at most 16 KiB
            Ok(()) => call.read(limits::EXCHANGE_BYTES_MAX, call.settings.body_time).await,
            Err(fault) => Err(fault),
        };
        call.throw_away().await;
        let request = match read {
            Ok(bytes) => TokenRequest::decode(&bytes, self.wall()),
            Err(Fault::Body(BodyError::TooLarge { limit })) => {
                Err(Refusal::TooLarge { what: format!("a request holds at most {limit} bytes"), index: None })
            }
            Err(fault) => Err(Refusal::Malformed { what: fault.to_string(), index: None }),
        };
        //= HT-ASK-03: it does not wait for the grant
        self.0.node.asked(call.from, request);
        no_content()
    }

    async fn granted(&self, mut call: Call<'_>) -> Result<Answer, Fault> {
        let bearer = bearer(call.headers)?;
        if let Some(bearer) = bearer {
            //= HT-CHK-04: 401 before the body
            self.0.node.recognise_grant(bearer)?;
        }
        check_json(call.headers)?;
        //= HT-CHK-11: at most 16 KiB
        let bytes = call.read(limits::EXCHANGE_BYTES_MAX, call.settings.body_time).await?;
        let grant = TokenGrant::decode(&bytes, bearer.is_some(), self.wall())?;
        //= HT-CHK-07: after the 400
        if grant == TokenGrant::Bare {
            return Err(Refusal::TokenMissing.into());
        }
        let (node, from) = (self.0.node.clone(), call.from);
        carry_on(async move { node.granted(from, bearer, grant).await }).await?;
        Ok(no_content())
    }

    async fn refreshed(&self, mut call: Call<'_>) -> Result<Answer, Fault> {
        //= HT-REF-01: the refresh token
        let bearer = bearer(call.headers)?.ok_or(Refusal::TokenMissing)?;
        // Before the tokens are made, so that the answer follows their commit at once.
        //= HT-REF-02: a body is ignored
        call.throw_away().await;
        let (node, from) = (self.0.node.clone(), call.from);
        let pair = carry_on(async move { node.refreshed(from, bearer).await }).await?;
        //= SEED-REFRESH-1, HT-REF-03: 200 with both; no-store
        let mut answer = json_bytes(StatusCode::OK, pair);
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer)
    }

    async fn packet(&self, call: Call<'_>) -> Result<Answer, Fault> {
        //= HT-PKT-05: missing
        let bearer = bearer(call.headers)?.ok_or(Refusal::TokenMissing)?;
        //= HT-CHK-04: 401 before the body
        let caller = self.0.node.recognise(call.from, bearer).await?;
        let taken = self.packet_of(call, caller.clone()).await;
        if let Err(fault) = &taken {
            debug!(peer = %caller.host, "packet not taken: {}", fault.detail());
            let node = self.0.node.clone();
            carry_on(async move { node.used(&caller).await }).await?;
        }
        taken
    }

    async fn packet_of(&self, mut call: Call<'_>, caller: Caller) -> Result<Answer, Fault> {
        let settings = call.settings;
        check_json(call.headers)?;
        //= HT-CHK-06: 415, 413, 400
        let bytes = call.read(settings.packet_bytes, settings.body_time).await?;
        let packet = Packet::decode(&bytes, settings.packet_messages)?;
        let size = bytes.len() as u64;
        // Also where the caller goes away, it is in hand until it is kept.
        let (node, held) = (self.0.node.clone(), (call.share, call.place));
        let kept = async move {
            let kept = node.packet(caller, packet).await;
            drop(held);
            kept
        };
        //= SEED-PACKET-1: 204 when it is valid
        carry_on(kept).await?;
        self.0.metrics.packet_bytes_in.add(size);
        Ok(no_content())
    }

    fn wall(&self) -> Wall {
        (self.0.clock)().wall
    }

    /// Counts what was answered; what was decided is counted by the node.
    fn count(&self, route: Option<Route>, result: &Result<Answer, Fault>, begun: Stopwatch) {
        let metrics = &self.0.metrics;
        let status = result.as_ref().map_or_else(Fault::status, Answer::status);
        if status == StatusCode::UNAUTHORIZED {
            metrics.tokens_refused.up();
        }
        match (route, status) {
            (Some(Route::Packet), StatusCode::NO_CONTENT) => {
                metrics.packets_in.up();
                metrics.packet_in_time.observe(begun.elapsed());
            }
            (Some(Route::Packet), status) if status.is_client_error() => metrics.packets_refused.up(),
            (Some(Route::Packet), _) => metrics.packets_unavailable.up(),
            (Some(Route::Grant), status) if status.is_client_error() => metrics.grants_refused.up(),
            (Some(Route::Refresh), StatusCode::OK) => metrics.refreshes_in.up(),
            (Some(Route::Grant | Route::Refresh | Route::Request | Route::Information) | None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{host::OwnHost, path::UrlPath};

    fn settings() -> Settings {
        let path = |text: &str| UrlPath::parse(text).unwrap();
        let paths = Paths {
            request: path("/request"),
            grant: path("/grant"),
            refresh: path("/refresh"),
            packet: path("/in/packet"),
        };
        let mut settings = Settings::new(OwnHost::parse("a.test").unwrap(), paths);
        settings.information = Some(information::Document::new(Bytes::from_static(b"{}")));
        settings.aliases.push(OwnHost::parse("alias.test").unwrap());
        settings
    }

    fn admitted(method: &str, path: &str, host: &str) -> Result<Route, u16> {
        let request = Request::builder().method(method).uri(path).header("host", host).body(()).unwrap();
        admit(&request, &settings()).map_err(|fault| fault.status().as_u16())
    }

    #[test]
    fn each_path_is_found_where_it_is_configured() {
        assert_eq!(admitted("POST", "/request", "a.test"), Ok(Route::Request));
        assert_eq!(admitted("POST", "/grant", "alias.test"), Ok(Route::Grant));
        assert_eq!(admitted("POST", "/refresh", "A.TEST"), Ok(Route::Refresh));
        assert_eq!(admitted("POST", "/in/packet?x=1", "a.test:443"), Ok(Route::Packet));
    }

    //= HT-CHK-01, HT-CHK-02, HT-CHK-03
    #[test]
    fn the_path_is_asked_before_the_host_and_the_host_before_the_method() {
        assert_eq!(admitted("GET", "/packet", "other.test"), Err(404));
        assert_eq!(admitted("GET", "/in/packet", "other.test"), Err(421));
        assert_eq!(admitted("GET", "/in/packet", "a.test"), Err(405));
        assert_eq!(admitted("POST", "/in/packet/", "a.test"), Err(404));
        assert_eq!(admitted("POST", "/in%2fpacket", "a.test"), Err(404));
        assert_eq!(admitted("GET", "/.ymp", "other.test"), Err(421));
        assert_eq!(admitted("POST", "/.ymp", "a.test"), Err(405));
        assert_eq!(admitted("HEAD", "/.well-known/amorphos", "a.test"), Ok(Route::Information));
    }

    //= HT-PKT-14
    #[tokio::test]
    async fn work_goes_on_when_its_caller_goes_away() {
        let (done, wait) = tokio::sync::oneshot::channel();
        let work = carry_on(async move {
            tokio::task::yield_now().await;
            done.send(()).map_err(|()| Fault::Internal)
        });
        let mut work = Box::pin(work);
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx))).await.is_pending());
        drop(work);
        assert!(wait.await.is_ok());
    }
}
