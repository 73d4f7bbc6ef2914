//! Messages that were set aside.
//!
//! `GET /v1/dead?host=&max=1000&after=`: `{"messages":[{"id","host","last-error","queued-at","dead-at","message"}],"next"}`, in the order
//! in which they died; an admin sees all, an app those of its services. `max` is 1 to 10,000 (default 1,000), and a list ends
//! with the message that reaches 8 MiB. `next` is what `after` goes on with, and `null` where the list is empty.
//!
//! `POST /v1/dead/{id}/retry`: 202, its time to live starts anew. `DELETE /v1/dead/{id}`: 204, its id and state are kept 7
//! days more. Neither needs a body.

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Call,
    messages::visible,
    operation::{Operation, Parameter, Reply, Who, of},
    peers::named_host,
    shapes::Message,
};
use crate::{
    node::views::{Moment, rfc3339, rfc3339_option},
    serve::{
        carry::carry_on,
        content::Content,
        problem,
        query::{Count, fault},
        respond::{Answer, Fault, json, no_content},
    },
    wire::{
        limits::PAGE_MESSAGES_MAX,
        record::{DeadFilter, DeadMail},
        time::Wall,
    },
};

/// Enough for a person to read, few enough to answer at once.
const LISTED: usize = 1000;

const MAX: Count = Count {
    name: "max",
    what: "At most so many messages; an answer ends with the message that reaches 8 MiB",
    default: LISTED,
    max: PAGE_MESSAGES_MAX,
};

/// What all calls about dead messages have in common.
const ONE: Operation = Operation {
    method: "GET",
    path: "",
    who: Who::App,
    summary: "",
    notes: "For apps of the sending service and admins; others get 404.",
    parameters: &[],
    body: None,
    answers: &[],
    problems: &[&problem::NOT_FOUND, &problem::UNAVAILABLE],
    run: |call| Box::pin(async move { list(&call).await }),
};

pub(super) const CALLS: &[Operation] = &[
    Operation {
        path: "/v1/dead",
        summary: "List dead messages",
        notes: "In the order in which they died, page by page. An admin sees all, an app those of its services.",
        parameters: &[
            Parameter::Host { name: "host", what: "Only those for this host" },
            Parameter::Count(&MAX),
            Parameter::Text { name: "after", what: "`next` of the page before", example: "1f" },
        ],
        answers: &[Reply::json(
            "a page",
            of::<DeadOut<'_>>,
            r#"{"messages":[{"id":"order-17","host":"beta.test","last-error":"no answer in time",
                "queued-at":"2026-01-24T12:00:00.000Z","dead-at":"2026-01-31T12:00:00.000Z",
                "message":{"sender":{"host":"alpha.test","protocol":"example","service":"form"},"id":"order-17",
                "host":"beta.test","protocol":"example","service":"form","action":"put","payload":{"n":1}}}],
                "next":"1f"}"#,
        )],
        problems: &[&problem::UNAVAILABLE],
        ..ONE
    },
    Operation {
        method: "DELETE",
        path: "/v1/dead/{id}",
        summary: "Delete a dead message for good",
        notes: "Its id and state are kept 7 days more, as of one that was delivered: `GET /v1/messages/{id}` says `dead`, \
                and other content under the same id is 409. For apps of the sending service and admins; others get 404.",
        answers: &[Reply::empty(StatusCode::NO_CONTENT, "it is gone")],
        run: |call| Box::pin(async move { delete(&call).await }),
        ..ONE
    },
    Operation {
        method: "POST",
        path: "/v1/dead/{id}/retry",
        summary: "Queue a dead message again",
        notes: "Its time to live starts anew. For apps of the sending service and admins; others get 404.",
        answers: &[Reply::empty(StatusCode::ACCEPTED, "it is queued")],
        problems: &[&problem::NOT_FOUND, &problem::POLICY, &problem::UNAVAILABLE],
        run: |call| Box::pin(async move { retry(&call).await }),
        ..ONE
    },
];

/// A page of dead messages.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeadPage")]
struct DeadOut<'a> {
    messages: Vec<DeadOne<'a>>,
    /// What `after` goes on with; `null` where the list is empty.
    next: Option<String>,
}

/// A message that was set aside.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "DeadMessage")]
struct DeadOne<'a> {
    /// Its id.
    id: &'a str,
    /// The host that it was for.
    host: &'a str,
    /// Why it is dead.
    last_error: Option<&'a str>,
    /// When it was taken.
    #[serde(serialize_with = "rfc3339")]
    #[schemars(with = "Moment")]
    queued_at: Wall,
    /// When it was set aside.
    #[serde(serialize_with = "rfc3339_option")]
    #[schemars(with = "Option<Moment>")]
    dead_at: Option<Wall>,
    /// `null` where what is stored is not JSON, which it always is.
    #[schemars(with = "Option<Message>")]
    message: Option<&'a RawValue>,
}

async fn list(call: &Call<'_>) -> Result<Answer, Fault> {
    let query = &call.query;
    let max = query.counted(&MAX)?;
    //= NODE-API-32: all, or its own
    let senders = (!call.app.admin).then(|| call.app.services.clone());
    let host = query.value("host").map(|text| named_host("host", text)).transpose()?;
    let after = match query.value("after") {
        Some(text) => u64::from_str_radix(text, 16)
            .map_err(|_| fault("after", "must be what `next` of an answer said"))?,
        None => 0,
    };
    Ok(page(&call.face.node.dead(DeadFilter { senders, host, after }, max).await?))
}

fn page(all: &[DeadMail]) -> Answer {
    let next = all.last().map(|last| format!("{:x}", last.place));
    json(StatusCode::OK, &DeadOut { messages: all.iter().map(one).collect(), next })
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

async fn retry(call: &Call<'_>) -> Result<Answer, Fault> {
    let (node, id) = (call.node(), call.part("id"));
    visible(&node, call.app, id)?;
    let dead = id.to_owned();
    carry_on(async move { node.retry_dead(&dead).await }).await?;
    tracing::info!(who = %call.app.name, id, what = "retry-dead", "an app queues a dead message again");
    let mut answer = Answer::new(Content::default());
    *answer.status_mut() = StatusCode::ACCEPTED;
    Ok(answer)
}

async fn delete(call: &Call<'_>) -> Result<Answer, Fault> {
    let (node, id) = (call.node(), call.part("id"));
    visible(&node, call.app, id)?;
    let dead = id.to_owned();
    carry_on(async move { node.delete_dead(&dead).await }).await?;
    tracing::info!(who = %call.app.name, id, what = "drop-dead", "an app deletes a dead message");
    Ok(no_content())
}
