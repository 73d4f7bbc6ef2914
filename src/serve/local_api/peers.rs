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
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Call,
    operation::{Operation, Reply, Run, Who, of},
};
use crate::{
    node::{self, IgnoredView, Steer, Steered, views::PeerView},
    serve::{
        carry::carry_on,
        problem::{self, Kind},
        query::fault,
        respond::{Answer, Fault, json, no_content},
    },
    wire::host::PeerHost,
};

/// A link, for the document.
macro_rules! link {
    () => {
        r#"{"host":"beta.test","configured":true,"allowed":true,"revision":"R1","negotiation":{"source":"pinned",
            "reason":"pinned: a refresh-path","fetched-at":null,"fresh-until":null,"parameters":{
            "request-path":"/request","grant-path":"/grant","refresh-path":"/refresh","packet-path":"/packet"}},
            "http":"HTTP/2","tls":"TLS 1.3","sending":{"state":"linked","expires-at":"2026-01-31T13:00:00.000Z",
            "next-try-at":null,"revision":"R1","reason":"its lifetime came as expires-in"},"receiving":{
            "state":"linked","expires-at":"2026-01-31T13:00:00.000Z","families":1,"revision":"R1",
            "reason":"it asked with tokens","last-failure":null},"queue":{"messages":0,"in-flight":0,"oldest-at":null},"failures":0,
            "last-success-at":"2026-01-31T12:00:00.000Z","last-failure":null,
            "last-heard-at":"2026-01-31T12:00:00.000Z"}"#
    };
}

const LINK: Reply = Reply::json("the link as it is then", of::<PeerView>, link!());

/// What all calls about links have in common.
const ADMIN: Operation = Operation {
    method: "GET",
    path: "",
    who: Who::Admin,
    summary: "",
    notes: "",
    parameters: &[],
    body: None,
    answers: &[LINK],
    problems: &[],
    run: |call| Box::pin(async move { show(&call) }),
};

/// A call that steers a link.
const fn steering(path: &'static str, summary: &'static str, notes: &'static str, run: Run) -> Operation {
    const DONE: Reply = Reply::json(
        "how many messages it concerned, and the link as it is then",
        of::<SteeredOut>,
        concat!(r#"{"messages":0,"peer":"#, link!(), "}"),
    );
    const PROBLEMS: &[&Kind] = &[&problem::NOT_FOUND, &problem::POLICY, &problem::UNAVAILABLE];
    Operation { method: "POST", path, summary, notes, answers: &[DONE], problems: PROBLEMS, run, ..ADMIN }
}

pub(super) const CALLS: &[Operation] = &[
    Operation {
        path: "/v1/peers",
        summary: "All links and configured peers",
        answers: &[Reply::json("all of them", of::<PeersOut>, concat!(r#"{"peers":["#, link!(), "]}"))],
        run: |call| Box::pin(async move { Ok(list(&call)) }),
        ..ADMIN
    },
    Operation {
        path: "/v1/peers/{host}",
        summary: "One link",
        problems: &[&problem::NOT_FOUND],
        run: |call| Box::pin(async move { show(&call) }),
        ..ADMIN
    },
    Operation {
        method: "DELETE",
        path: "/v1/peers/{host}",
        summary: "Forget a link and revoke what the peer was given",
        notes: "Mail that waits for it stays.",
        answers: &[Reply::empty(StatusCode::NO_CONTENT, "it is forgotten")],
        problems: &[&problem::NOT_FOUND, &problem::UNAVAILABLE],
        run: |call| Box::pin(async move { forget(&call).await }),
        ..ADMIN
    },
    Operation {
        method: "POST",
        path: "/v1/peers/{host}/connect",
        summary: "Exchange tokens now, and wait for the outcome",
        problems: &[&problem::NOT_FOUND, &problem::POLICY, &problem::PEER, &problem::UNAVAILABLE],
        run: |call| Box::pin(async move { connect(&call).await }),
        ..ADMIN
    },
    Operation {
        method: "POST",
        path: "/v1/peers/{host}/refresh",
        summary: "Refresh the token that the peer gave, and wait for the outcome",
        problems: &[&problem::NOT_FOUND, &problem::POLICY, &problem::PEER, &problem::UNAVAILABLE],
        run: |call| Box::pin(async move { refresh(&call).await }),
        ..ADMIN
    },
    steering(
        "/v1/peers/{host}/retry",
        "Try now",
        "Whatever the link rests for; and look up at once what could not be found a moment ago.",
        |call| Box::pin(async move { steer(&call, Steer::Retry).await }),
    ),
    steering(
        "/v1/peers/{host}/pause",
        "Send nothing until it is resumed",
        "Over restarts too. What the peer sends is taken.",
        |call| Box::pin(async move { steer(&call, Steer::Pause).await }),
    ),
    steering("/v1/peers/{host}/resume", "Send again", "", |call| {
        Box::pin(async move { steer(&call, Steer::Resume).await })
    }),
    steering(
        "/v1/peers/{host}/purge",
        "Set all waiting mail aside",
        "All but the packet under way: it is dead, listed, and can be queued again.",
        |call| Box::pin(async move { steer(&call, Steer::Purge).await }),
    ),
    steering("/v1/peers/{host}/retry-dead", "Queue all its dead messages again", "", |call| {
        Box::pin(async move { steer(&call, Steer::RetryDead).await })
    }),
    steering("/v1/peers/{host}/drop-dead", "Delete all its dead messages for good", "", |call| {
        Box::pin(async move { steer(&call, Steer::DropDead).await })
    }),
    steering("/v1/peers/{host}/flush", "Forget what was found out about how it is spoken to", "", |call| {
        Box::pin(async move { steer(&call, Steer::Flush).await })
    }),
    Operation {
        method: "DELETE",
        path: "/v1/discovered",
        summary: "Forget what was found out about how all hosts are spoken to",
        answers: &[Reply::json("how many hosts it concerned", of::<FlushedOut>, r#"{"hosts":3}"#)],
        run: |call| Box::pin(async move { Ok(flush(&call)) }),
        ..ADMIN
    },
    Operation {
        path: "/v1/ignored",
        summary: "Messages for services that nobody runs here",
        notes: "Since the start of the node.",
        answers: &[Reply::json(
            "who sent how many, under which names",
            of::<IgnoredOut>,
            r#"{"services":[{"from":"beta.test","protocol":"example","service":"store","messages":7,
                "last-at":"2026-01-31T12:00:00.000Z"}],"others":0}"#,
        )],
        run: |call| Box::pin(async move { Ok(ignored(&call)) }),
        ..ADMIN
    },
];

/// What came of steering a link.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Steered")]
struct SteeredOut {
    /// How many messages it concerned.
    messages: u64,
    /// The link as it is then.
    peer: PeerView,
}

/// What was forgotten.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Flushed")]
struct FlushedOut {
    /// How many hosts it concerned.
    hosts: usize,
}

/// Messages for services that nobody runs here.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IgnoredMessages")]
struct IgnoredOut {
    /// By sender and name, 256 at most.
    services: Vec<IgnoredView>,
    /// Messages beyond those.
    others: u64,
}

/// All links and configured peers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Peers")]
struct PeersOut {
    peers: Vec<PeerView>,
}

fn list(call: &Call<'_>) -> Answer {
    json(StatusCode::OK, &PeersOut { peers: call.face.node.peers() })
}

fn show(call: &Call<'_>) -> Result<Answer, Fault> {
    let host = named(call)?;
    let unknown = || node::Error::NotFound(format!("nothing is known of {host}"));
    Ok(json(StatusCode::OK, &call.face.node.peer(&host).ok_or_else(unknown)?))
}

//= NODE-API-29: and wait
async fn connect(call: &Call<'_>) -> Result<Answer, Fault> {
    let (node, host) = (call.node(), named(call)?);
    said(call, &host, "connect");
    let view = carry_on(async move { node.connect(&host).await }).await?;
    Ok(json(StatusCode::OK, &view))
}

//= NODE-API-30: now
async fn refresh(call: &Call<'_>) -> Result<Answer, Fault> {
    let (node, host) = (call.node(), named(call)?);
    said(call, &host, "refresh");
    let view = carry_on(async move { node.refresh(&host).await }).await?;
    Ok(json(StatusCode::OK, &view))
}

async fn forget(call: &Call<'_>) -> Result<Answer, Fault> {
    let (node, host, who) = (call.node(), named(call)?, call.app.name.clone());
    said(call, &host, "forget");
    carry_on(async move { node.forget(&host, &who).await }).await?;
    Ok(no_content())
}

async fn steer(call: &Call<'_>, steer: Steer) -> Result<Answer, Fault> {
    let (node, host, who) = (call.node(), named(call)?, call.app.name.clone());
    let Steered { messages, peer } = carry_on(async move { node.steer(&host, steer, &who).await }).await?;
    Ok(json(StatusCode::OK, &SteeredOut { messages, peer }))
}

fn flush(call: &Call<'_>) -> Answer {
    let hosts = call.face.node.flush_discovered();
    tracing::info!(who = %call.app.name, what = "flush", hosts, "an operator flushes what was discovered");
    json(StatusCode::OK, &FlushedOut { hosts })
}

fn ignored(call: &Call<'_>) -> Answer {
    let (services, others) = call.face.node.ignored();
    json(StatusCode::OK, &IgnoredOut { services, others })
}

/// Who did it: what comes of it is logged by the node.
fn said(call: &Call<'_>, host: &PeerHost, what: &'static str) {
    tracing::info!(peer = %host, who = %call.app.name, what, "an operator steers the link");
}

fn named(call: &Call<'_>) -> Result<PeerHost, Fault> {
    named_host("host", call.part("host"))
}

/// A host that a caller wrote.
pub(super) fn named_host(name: &str, text: &str) -> Result<PeerHost, Fault> {
    PeerHost::parse_human(text).map_err(|error| fault(name, &format!("is no host name: {error}")))
}
