//! Messages that were set aside.
//!
//! `GET /v1/dead?host=&max=1000&after=`: `{"messages":[{"id","host","last-error","queued-at","dead-at","message"}],"next"}`, in the order
//! in which they died; an admin sees all, an app those of its services. `max` is 1 to 10,000 (default 1,000), and a list ends
//! with the message that reaches 16 MiB. `next` is what `after` goes on with, and `null` where the list is empty.
//!
//! `POST /v1/dead/{id}/retry`: 202, its time to live starts anew. `DELETE /v1/dead/{id}`: 204. Neither needs a body.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Call, messages::visible, peers::named_host};
use crate::{
    node::{
        Node,
        views::{rfc3339, rfc3339_option},
    },
    serve::{
        content::Content,
        peer_api::carry_on,
        query::{Query, fault},
        respond::{Answer, Fault, json, no_content},
    },
    wire::{
        limits::{PAGE_BYTES_MAX, PAGE_MESSAGES_MAX},
        record::{DeadFilter, DeadMail},
        time::Wall,
    },
};

/// Enough for a person to read, few enough to answer at once.
const LISTED: usize = 1000;

#[derive(Serialize)]
struct DeadOut<'a> {
    messages: Vec<DeadOne<'a>>,
    next: Option<String>,
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
    let query = Query::read(call.query, &["host", "max", "after"])?;
    let max = query.count("max", LISTED, PAGE_MESSAGES_MAX)?;
    //= NODE-API-32: all, or its own
    let senders = (!call.app.admin).then(|| call.app.services.clone());
    let host = query.value("host").map(|text| named_host("host", text)).transpose()?;
    let after = match query.value("after") {
        Some(text) => u64::from_str_radix(text, 16)
            .map_err(|_| fault("after", "must be what `next` of an answer said"))?,
        None => 0,
    };
    Ok(page(&node.dead(DeadFilter { senders, host, after }, max).await?))
}

fn page(all: &[DeadMail]) -> Answer {
    let mut bytes = 0;
    let fits = |mail: &&DeadMail| {
        let fits = bytes <= PAGE_BYTES_MAX;
        bytes += mail.raw.len();
        fits
    };
    let listed: Vec<_> = all.iter().take_while(fits).collect();
    let next = listed.last().map(|last| format!("{:x}", last.place));
    json(StatusCode::OK, &DeadOut { messages: listed.into_iter().map(one).collect(), next })
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
