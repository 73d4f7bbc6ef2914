//! Links, for admins.
//!
//! `GET /v1/peers`: `{"peers":[...]}`. `GET /v1/peers/{host}`: one of them. `POST .../connect` and `.../refresh`: now, and the link as it
//! is then, or 502 with the failing `step`. `DELETE`: 204, the link is forgotten and what we gave is revoked. A host may be
//! written with U-labels. None of these needs a body, and none shows a token.

use hyper::StatusCode;
use serde::Serialize;

use super::Call;
use crate::{
    node::{self, Node, views::PeerView},
    serve::{
        peer_api::carry_on,
        query::{Query, fault},
        respond::{Answer, Fault, json, no_content},
    },
    wire::host::PeerHost,
};

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
    let view = carry_on(async move { node.connect(&host).await }).await?;
    Ok(json(StatusCode::OK, &view))
}

//= NODE-API-30: now
pub(super) async fn refresh(node: &Node, call: &Call<'_>, host: &str) -> Result<Answer, Fault> {
    let (node, host) = (node.clone(), named(call, host)?);
    let view = carry_on(async move { node.refresh(&host).await }).await?;
    Ok(json(StatusCode::OK, &view))
}

pub(super) async fn forget(node: &Node, call: &Call<'_>, host: &str) -> Result<Answer, Fault> {
    let (node, host) = (node.clone(), named(call, host)?);
    carry_on(async move { node.forget(&host).await }).await?;
    Ok(no_content())
}

fn check(call: &Call<'_>) -> Result<(), Fault> {
    call.check_admin()?;
    Query::read(call.query, &[]).map(drop)
}

fn named(call: &Call<'_>, host: &str) -> Result<PeerHost, Fault> {
    check(call)?;
    PeerHost::parse_human(host).map_err(|error| fault("host", &format!("is no host name: {error}")))
}
