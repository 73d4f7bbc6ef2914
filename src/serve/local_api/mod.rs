//! What our own apps and the operator call (`node`, "Local API, version 1").
//!
//! | call | who | answer |
//! | --- | --- | --- |
//! | POST /v1/messages?time-to-live= | apps of the sending service | 202 |
//! | GET /v1/messages/{id} | the same, admins | 200 |
//! | GET /v1/inbox/{protocol}/{service}?max=&wait= | apps of the service | 200 |
//! | POST /v1/inbox/{protocol}/{service}/ack | apps of the service | 204 |
//! | GET /v1/inbox/{protocol}/{service}/events | apps of the service | 200, a stream |
//! | POST /v1/requests?wait= | apps of the sending service | 200, 504 |
//! | GET /v1/dead?host=&max=&after= | admins all, apps those of their services | 200 |
//! | POST /v1/dead/{id}/retry, DELETE /v1/dead/{id} | the same | 202, 204 |
//! | GET /v1/peers, GET /v1/peers/{host} | admins | 200 |
//! | POST /v1/peers/{host}/connect, .../refresh, DELETE /v1/peers/{host} | admins | 200, 200, 204 |
//! | POST /v1/peers/{host}/retry, pause, resume, purge, retry-dead, drop-dead, flush | admins | 200 |
//! | DELETE /v1/discovered, GET /v1/ignored | admins | 200 |
//!
//! Checks, in this order: 404, 405, 401, 403, 400 (a parameter), 415, 413, 400. `/healthz`, `/readyz` and `/metrics` stand
//! before them (`ops`). What changes something goes on when the caller goes away.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request,
    body::{self, Body as _},
};
use tracing::debug;

use super::{
    body::Incoming,
    connection::Handler,
    headers::{bearer, check_json},
    ops::Ops,
    query::segments,
    respond::{Answer, Door, Fault},
    shares::{Share, Shares},
    stop::Stopping,
};
use crate::{
    access::{Access, Principal},
    node::{Node, Steer},
    telemetry::metrics::Metrics,
    wire::{limits, packet::ServiceKey, refusal::Refusal},
};

mod dead;
mod events;
mod inbox;
mod messages;
mod peers;
mod requests;

/// The local face. Cheap to clone.
#[derive(Clone)]
pub struct LocalApi(Arc<Inner>);

struct Inner {
    node: Node,
    access: Arc<Access>,
    ops: Ops,
    metrics: Arc<Metrics>,
    body_time: Duration,
    bodies: Shares,
    stopping: Stopping,
}

/// A path of ours, with its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Route {
    Messages,
    Message(String),
    Inbox(ServiceKey),
    Ack(ServiceKey),
    Events(ServiceKey),
    Requests,
    Dead,
    DeadOne(String),
    DeadRetry(String),
    Peers,
    Peer(String),
    PeerConnect(String),
    PeerRefresh(String),
    PeerSteer(String, Steer),
    Discovered,
    Ignored,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        let parts = segments(path)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        Some(match *parts.strip_prefix(&["v1"])? {
            ["messages"] => Self::Messages,
            ["messages", id] => Self::Message(id.to_owned()),
            ["inbox", protocol, service] => Self::Inbox(ServiceKey::new(protocol, service)),
            ["inbox", protocol, service, "ack"] => Self::Ack(ServiceKey::new(protocol, service)),
            ["inbox", protocol, service, "events"] => Self::Events(ServiceKey::new(protocol, service)),
            ["requests"] => Self::Requests,
            ["dead"] => Self::Dead,
            ["dead", id] => Self::DeadOne(id.to_owned()),
            ["dead", id, "retry"] => Self::DeadRetry(id.to_owned()),
            ["peers"] => Self::Peers,
            ["peers", host] => Self::Peer(host.to_owned()),
            ["peers", host, "connect"] => Self::PeerConnect(host.to_owned()),
            ["peers", host, "refresh"] => Self::PeerRefresh(host.to_owned()),
            ["peers", host, verb] => Self::PeerSteer(host.to_owned(), Steer::of_name(verb)?),
            ["discovered"] => Self::Discovered,
            ["ignored"] => Self::Ignored,
            _ => return None,
        })
    }

    /// The methods that it takes, as `Allow` names them.
    fn allow(&self) -> &'static str {
        match self {
            Self::Messages
            | Self::Ack(_)
            | Self::Requests
            | Self::DeadRetry(_)
            | Self::PeerConnect(_)
            | Self::PeerRefresh(_)
            | Self::PeerSteer(..) => "POST",
            Self::Message(_)
            | Self::Inbox(_)
            | Self::Events(_)
            | Self::Dead
            | Self::Peers
            | Self::Ignored => "GET",
            Self::DeadOne(_) | Self::Discovered => "DELETE",
            Self::Peer(_) => "GET, DELETE",
        }
    }

    fn takes(&self, method: &Method) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method.as_str())
    }
}

/// A call whose caller is known.
struct Call<'a> {
    app: &'a Principal,
    headers: &'a HeaderMap,
    query: Option<&'a str>,
    body: &'a mut Option<Incoming<body::Incoming>>,
    /// What it holds of memory, until it is answered.
    share: Share,
}

impl Handler for LocalApi {
    async fn handle(&self, from: IpAddr, request: Request<body::Incoming>) -> Answer {
        let inner = &self.0;
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if let Some(answer) = inner.ops.answer(&head.method, path, &inner.node, &inner.stopping) {
            return answer;
        }
        let has_body = !body.is_end_stream();
        let mut body = Some(Incoming::new(&head.headers, body));
        let result = match self.admit(&head.method, path, &head.headers) {
            Ok((route, app)) => {
                let query = head.uri.query();
                let share = inner.bodies.open(from);
                let call = Call { app: &app, headers: &head.headers, query, body: &mut body, share };
                self.route(route, &head.method, call).await
            }
            Err(fault) => Err(fault),
        };
        // Whether it was wanted or not, the caller sees an answer only after it has written its body.
        if has_body && let Some(rest) = body.take() {
            rest.throw_away().await;
        }
        result.unwrap_or_else(|fault| {
            debug!(client = %from, path, status = fault.status().as_u16(), "refused: {}", fault.detail());
            fault.answer(Door::Plain)
        })
    }
}

impl LocalApi {
    /// Builds the face. Waiting calls end with what there is when `stopping` is asked.
    #[must_use]
    pub fn new(node: Node, access: Arc<Access>, ops: Ops, metrics: Arc<Metrics>, stopping: Stopping) -> Self {
        // Local apps share one address, so that there is no bound for each.
        let bodies = Shares::new(limits::LOCAL_BODIES_BYTES, limits::LOCAL_BODIES_BYTES);
        let body_time = limits::BODY_TIME;
        Self(Arc::new(Inner { node, access, ops, metrics, body_time, bodies, stopping }))
    }

    /// 404, 405, 401.
    fn admit(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(Route, Arc<Principal>), Fault> {
        let route = route_for(method, path)?;
        let app = known(&self.0.access, headers).inspect_err(|_| self.0.metrics.tokens_refused.up())?;
        Ok((route, app))
    }

    async fn route(&self, route: Route, method: &Method, call: Call<'_>) -> Result<Answer, Fault> {
        let node = &self.0.node;
        match route {
            Route::Messages => messages::submit(node, call, self.0.body_time).await,
            Route::Message(id) => messages::show(node, &call, &id),
            Route::Inbox(service) => inbox::read(node, &call, &service, self.0.stopping.clone()).await,
            Route::Ack(service) => inbox::acknowledge(node, call, service, self.0.body_time).await,
            Route::Events(service) => {
                events::open(node, &self.0.access, &call, service, self.0.stopping.clone())
            }
            Route::Requests => requests::ask(node, call, self.0.body_time, self.0.stopping.clone()).await,
            Route::Dead => dead::list(node, &call).await,
            Route::DeadOne(id) => dead::delete(node, &call, id).await,
            Route::DeadRetry(id) => dead::retry(node, &call, id).await,
            Route::Peers => peers::list(node, &call),
            Route::Peer(host) if method == Method::DELETE => peers::forget(node, &call, &host).await,
            Route::Peer(host) => peers::show(node, &call, &host),
            Route::PeerConnect(host) => peers::connect(node, &call, &host).await,
            Route::PeerRefresh(host) => peers::refresh(node, &call, &host).await,
            Route::PeerSteer(host, steer) => peers::steer(node, &call, &host, steer).await,
            Route::Discovered => peers::flush(node, &call),
            Route::Ignored => peers::ignored(node, &call),
        }
    }
}

fn route_for(method: &Method, path: &str) -> Result<Route, Fault> {
    let route = Route::of(path).ok_or(Fault::Path)?;
    if route.takes(method) { Ok(route) } else { Err(Fault::Method(route.allow())) }
}

//= NODE-API-01: 401
fn known(access: &Access, headers: &HeaderMap) -> Result<Arc<Principal>, Fault> {
    let shown = bearer(headers)?.ok_or(Refusal::TokenMissing)?;
    Ok(access.authenticate(shown).ok_or(Refusal::TokenUnknown)?)
}

impl Call<'_> {
    /// The JSON body of a call that needs one.
    async fn json(&mut self, time: Duration) -> Result<Bytes, Fault> {
        check_json(self.headers)?;
        let Some(body) = self.body.take() else { return Ok(Bytes::new()) };
        //= NODE-API-05: 8 MiB
        Ok(body.read(limits::LOCAL_BODY_BYTES_MAX, time, &mut self.share).await?)
    }

    //= NODE-API-02: 403
    fn check_service(&self, service: &ServiceKey) -> Result<(), Fault> {
        if self.app.may_act_for(service) {
            return Ok(());
        }
        let what = format!("the app `{}` may not act for {service}", self.app.name);
        Err(Fault::Forbidden { what, index: None })
    }

    //= NODE-API-02: 403
    fn check_admin(&self) -> Result<(), Fault> {
        if self.app.admin {
            return Ok(());
        }
        Err(Fault::Forbidden { what: format!("the app `{}` is not an admin", self.app.name), index: None })
    }
}

#[cfg(test)]
mod tests;
