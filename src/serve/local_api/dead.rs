//! Messages that were set aside.
//!
//! `GET /v1/dead?max=1000`: `{"messages":[{"id","host","last-error","queued-at","dead-at","message"}]}`; an admin sees all, an app
//! those of its services. `max` is 1 to 10,000 (default 1,000), and a list ends with the message that reaches 16 MiB.
//!
//! `POST /v1/dead/{id}/retry`: 202, its time to live starts anew. `DELETE /v1/dead/{id}`: 204. Neither needs a body.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Call, messages::visible};
use crate::{
    node::{
        Node,
        views::{rfc3339, rfc3339_option},
    },
    serve::{
        content::Content,
        peer_api::carry_on,
        query::Query,
        respond::{Answer, Fault, json, no_content},
    },
    wire::{
        limits::{PAGE_BYTES_MAX, PAGE_MESSAGES_MAX},
        record::DeadMail,
        time::Wall,
    },
};

/// Enough for a person to read, few enough to answer at once.
const LISTED: usize = 1000;

#[derive(Serialize)]
struct DeadOut<'a> {
    messages: Vec<DeadOne<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct DeadOne<'a> {
    id: &'a str,
    host: &'a str,
    last_error: Option<&'a str>,
    #[serde(serialize_with = "rfc3339")]
    queued_at: Wall,
    #[serde(serialize_with = "rfc3339_option")]
    dead_at: Option<Wall>,
    /// `null` where what is stored is not JSON, which it always is.
    message: Option<&'a RawValue>,
}

pub(super) async fn list(node: &Node, call: &Call<'_>) -> Result<Answer, Fault> {
    let query = Query::read(call.query, &["max"])?;
    let max = query.count("max", LISTED, PAGE_MESSAGES_MAX)?;
    //= NODE-API-32: all, or its own
    let senders = (!call.app.admin).then_some(call.app.services.as_slice());
    Ok(page(&node.dead(senders, max).await?))
}

fn page(all: &[DeadMail]) -> Answer {
    let mut bytes = 0;
    let fits = |mail: &&DeadMail| {
        let fits = bytes <= PAGE_BYTES_MAX;
        bytes += mail.raw.len();
        fits
    };
    json(StatusCode::OK, &DeadOut { messages: all.iter().take_while(fits).map(one).collect() })
}

fn one(mail: &DeadMail) -> DeadOne<'_> {
    DeadOne {
        id: &mail.status.id,
        host: mail.status.host.as_str(),
        last_error: mail.status.last_error.as_deref(),
        queued_at: mail.status.queued,
        dead_at: mail.status.ended,
        message: serde_json::from_slice(&mail.raw).ok(),
    }
}

pub(super) async fn retry(node: &Node, call: &Call<'_>, id: String) -> Result<Answer, Fault> {
    Query::read(call.query, &[])?;
    visible(node, call.app, &id)?;
    let node = node.clone();
    carry_on(async move { node.retry_dead(&id).await }).await?;
    let mut answer = Answer::new(Content::default());
    *answer.status_mut() = StatusCode::ACCEPTED;
    Ok(answer)
}

pub(super) async fn delete(node: &Node, call: &Call<'_>, id: String) -> Result<Answer, Fault> {
    Query::read(call.query, &[])?;
    visible(node, call.app, &id)?;
    let node = node.clone();
    carry_on(async move { node.delete_dead(&id).await }).await?;
    Ok(no_content())
}
