//! Links, for admins.
//!
//! `GET /v1/peers`: `{"peers":[...]}`. `GET /v1/peers/{host}`: one of them. `POST .../connect` and `.../refresh`: now, and the link as it
//! is then, or 502 with the failing `step`. `DELETE`: 204, the link is forgotten and what we gave is revoked. A host may be
//! written with U-labels. None of these needs a body, and none shows a token.
//!
//! `POST /v1/peers/{host}/VERB`: `{"messages","peer"}`, how many messages it concerned and the link as it is then.
//!
//! | verb | |
//! | --- | --- |
//! | `retry` | tries now, whatever the link rests for, and looks up at once what could not be found a moment ago |
//! | `pause`, `resume` | nothing is sent until it is resumed, over restarts too; what the peer sends is taken |
//! | `purge` | all waiting mail but the packet under way is set aside: dead, listed, and can be queued again |
//! | `retry-dead`, `drop-dead` | all its dead messages are queued again, or deleted for good |
//! | `flush` | what was found out about how it is spoken to is forgotten |
//!
//! `GET /v1/ignored`: `{"services":[{"from","protocol","service","messages","last-at"}],"others"}`: messages since the start of the
//! node for services that nobody runs here; `others` counts those beyond 256 names.
//!
//! `DELETE /v1/discovered`: that of all hosts, `{"hosts"}`. Each change is logged with the app that made it.

use hyper::StatusCode;
use serde::Serialize;

use super::Call;
use crate::{
    node::{self, IgnoredView, Node, Steer, Steered, views::PeerView},
    serve::{
        peer_api::carry_on,
        query::{Query, fault},
        respond::{Answer, Fault, json, no_content},
    },
    wire::host::PeerHost,
};

#[derive(Serialize)]
struct SteeredOut {
    messages: u64,
    peer: PeerView,
}

#[derive(Serialize)]
struct FlushedOut {
    hosts: usize,
}

#[derive(Serialize)]
struct IgnoredOut {
    services: Vec<IgnoredView>,
    others: u64,
}

#[derive(Serialize)]
struct PeersOut {
    peers: Vec<PeerView>,
}

pub(super) fn list(node: &Node, call: &Call<'_>) -> Result<Answer, Fault> {
    check(call)?;
    Ok(json(StatusCode::OK, &PeersOut { peers: node.peers() }))
}

pub(super) fn show(node: &Node, call: &Call<'_>, host: &str) -> Result<Answer, Fault> {
    let host = named(call, host)?;
    let unknown = || node::Error::NotFound(format!("nothing is known of {host}"));
    Ok(json(StatusCode::OK, &node.peer(&host).ok_or_else(unknown)?))
}

//= NODE-API-29: and wait
pub(super) async fn connect(node: &Node, call: &Call<'_>, host: &str) -> Result<Answer, Fault> {
    let (node, host) = (node.clone(), named(call, host)?);
    said(call, &host, "connect");
    let view = carry_on(async move { node.connect(&host).await }).await?;
    Ok(json(StatusCode::OK, &view))
}

//= NODE-API-30: now
pub(super) async fn refresh(node: &Node, call: &Call<'_>, host: &str) -> Result<Answer, Fault> {
    let (node, host) = (node.clone(), named(call, host)?);
    said(call, &host, "refresh");
    let view = carry_on(async move { node.refresh(&host).await }).await?;
    Ok(json(StatusCode::OK, &view))
}

pub(super) async fn forget(node: &Node, call: &Call<'_>, host: &str) -> Result<Answer, Fault> {
    let (node, host) = (node.clone(), named(call, host)?);
    said(call, &host, "forget");
    carry_on(async move { node.forget(&host).await }).await?;
    Ok(no_content())
}

pub(super) async fn steer(node: &Node, call: &Call<'_>, host: &str, steer: Steer) -> Result<Answer, Fault> {
    let (node, host, who) = (node.clone(), named(call, host)?, call.app.name.clone());
    let Steered { messages, peer } = carry_on(async move { node.steer(&host, steer, &who).await }).await?;
    Ok(json(StatusCode::OK, &SteeredOut { messages, peer }))
}

pub(super) fn flush(node: &Node, call: &Call<'_>) -> Result<Answer, Fault> {
    check(call)?;
    let hosts = node.flush_discovered();
    tracing::info!(who = %call.app.name, what = "flush", hosts, "an operator flushes what was discovered");
    Ok(json(StatusCode::OK, &FlushedOut { hosts }))
}

pub(super) fn ignored(node: &Node, call: &Call<'_>) -> Result<Answer, Fault> {
    check(call)?;
    let (services, others) = node.ignored();
    Ok(json(StatusCode::OK, &IgnoredOut { services, others }))
}

/// Who did it: what comes of it is logged by the node.
fn said(call: &Call<'_>, host: &PeerHost, what: &'static str) {
    tracing::info!(peer = %host, who = %call.app.name, what, "an operator steers the link");
}

fn check(call: &Call<'_>) -> Result<(), Fault> {
    call.check_admin()?;
    Query::read(call.query, &[]).map(drop)
}

fn named(call: &Call<'_>, host: &str) -> Result<PeerHost, Fault> {
    check(call)?;
    named_host("host", host)
}

/// A host that a caller wrote.
pub(super) fn named_host(name: &str, text: &str) -> Result<PeerHost, Fault> {
    PeerHost::parse_human(text).map_err(|error| fault(name, &format!("is no host name: {error}")))
}
