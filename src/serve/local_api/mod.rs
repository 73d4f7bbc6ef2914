//! What our own apps and the operator call (`node`, "Local API, version 1").
//!
//! `TABLE` holds them all, a row beside each handler; the dispatch and the OpenAPI document follow from it.
//!
//! Checks, in this order: 404, 405, 401, 403, 400 (a parameter), 415, 413, 400. What changes something goes on when the
//! caller goes away.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    HeaderMap, Request,
    body::{self, Body as _},
    http::request,
};
use tracing::debug;

use super::{
    body::Incoming,
    connection::Handler,
    headers::{bearer, check_json},
    information::Document,
    ops::Ops,
    query::Query,
    respond::{Answer, Door, Fault},
    shares::{Share, Shares},
    stop::Stopping,
};
use crate::{
    access::{Access, Principal},
    node::Node,
    telemetry::metrics::Metrics,
    wire::{limits, packet::ServiceKey, refusal::Refusal},
};

mod backup;
mod dead;
mod document;
mod events;
mod inbox;
mod messages;
mod open;
mod operation;
mod peers;
mod requests;
mod shapes;
mod watching;

use operation::{Operation, Parts, Who};

/// All calls. A new one is a row in its file; a new file is one more name here.
static TABLE: &[&[Operation]] = &[
    messages::CALLS,
    requests::CALLS,
    inbox::CALLS,
    events::CALLS,
    dead::CALLS,
    peers::CALLS,
    watching::CALLS,
    backup::CALLS,
    open::CALLS,
];

/// The local face. Cheap to clone.
#[derive(Clone)]
pub struct LocalApi(Arc<Face>);

struct Face {
    node: Node,
    access: Arc<Access>,
    ops: Ops,
    metrics: Arc<Metrics>,
    body_time: Duration,
    bodies: Shares,
    stopping: Stopping,
    /// What `GET /v1/openapi.json` answers.
    document: Document,
}

/// A call that was admitted.
struct Call<'a> {
    face: &'a Face,
    /// Nobody, where anyone may call.
    app: &'a Principal,
    headers: &'a HeaderMap,
    parts: Parts,
    query: Query,
    body: &'a mut Option<Incoming<body::Incoming>>,
    /// What it holds of memory, until it is answered.
    share: Share,
}

impl Handler for LocalApi {
    async fn handle(&self, from: IpAddr, request: Request<body::Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let has_body = !body.is_end_stream();
        let mut body = Some(Incoming::new(head.version, &head.headers, body));
        let result = self.0.call(from, &head, &mut body).await;
        let status = result.as_ref().map_or_else(Fault::status, Answer::status);
        self.0.metrics.local_answers.count(status.as_u16());
        // Whether it was wanted or not, the caller sees an answer only after it has written its body.
        if has_body && let Some(rest) = body.take() {
            rest.throw_away().await;
        }
        result.unwrap_or_else(|fault| {
            let (path, status) = (head.uri.path(), fault.status().as_u16());
            debug!(client = %from, path, status, "refused: {}", fault.detail());
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
        let document = Document::new(document::text(TABLE).into());
        Self(Arc::new(Face { node, access, ops, metrics, body_time, bodies, stopping, document }))
    }
}

impl Face {
    async fn call(
        &self,
        from: IpAddr,
        head: &request::Parts,
        body: &mut Option<Incoming<body::Incoming>>,
    ) -> Result<Answer, Fault> {
        let (operation, parts) = operation::find(TABLE, &head.method, head.uri.path())?;
        let outcome = async {
            let app = self.admit(operation, &parts, &head.headers)?;
            let query = match operation.who {
                // Whoever watches may say what it likes there.
                Who::Anyone => Query::read(None, &[])?,
                Who::App | Who::Service | Who::Admin => Query::read(head.uri.query(), &operation.query())?,
            };
            let (headers, share) = (&head.headers, self.bodies.open(from));
            let call = Call { face: self, app: &app, headers, parts, query, body, share };
            (operation.run)(call).await
        };
        let outcome = outcome.await;
        // An ERROR fails a test.
        if cfg!(debug_assertions) && !operation.gives(&outcome) {
            let status = outcome.as_ref().map_or_else(Fault::status, Answer::status).as_u16();
            tracing::error!(method = operation.method, path = operation.path, status, "not in the document");
        }
        outcome
    }

    /// 401, 403.
    fn admit(
        &self,
        operation: &Operation,
        parts: &Parts,
        headers: &HeaderMap,
    ) -> Result<Arc<Principal>, Fault> {
        if operation.who == Who::Anyone {
            let nobody = Principal { name: String::new(), admin: false, services: Vec::new() };
            return Ok(Arc::new(nobody));
        }
        let app = known(&self.access, headers).inspect_err(|_| self.metrics.tokens_refused.up())?;
        operation.who.check(&app, parts)?;
        Ok(app)
    }

    /// 401 or 403 where the app may not act for the service any more: it has waited, and the configuration was read again.
    fn still(&self, app: &Principal, headers: &HeaderMap, service: &ServiceKey) -> Result<(), Fault> {
        let now = known(&self.access, headers)?;
        if now.name != app.name {
            return Err(Refusal::TokenUnknown.into());
        }
        operation::check_service(&now, service)
    }
}

//= NODE-API-01: 401
fn known(access: &Access, headers: &HeaderMap) -> Result<Arc<Principal>, Fault> {
    let shown = bearer(headers)?.ok_or(Refusal::TokenMissing)?;
    Ok(access.authenticate(shown).ok_or(Refusal::TokenUnknown)?)
}

impl Call<'_> {
    /// The JSON body of a call that needs one.
    async fn json(&mut self) -> Result<Bytes, Fault> {
        check_json(self.headers)?;
        let Some(body) = self.body.take() else { return Ok(Bytes::new()) };
        //= NODE-API-05: 8 MiB
        Ok(body.read(limits::LOCAL_BODY_BYTES_MAX, self.face.body_time, &mut self.share).await?)
    }

    /// A part of the path.
    fn part(&self, name: &str) -> &str {
        operation::part(&self.parts, name)
    }

    /// The service that the path names.
    fn service(&self) -> ServiceKey {
        operation::service(&self.parts)
    }

    /// The node, for work that goes on when the caller goes away.
    fn node(&self) -> Node {
        self.face.node.clone()
    }
}

#[cfg(test)]
mod tests;
