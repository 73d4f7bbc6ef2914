//! A message that is answered with its answer.
//!
//! `POST /v1/requests?wait=30s`: one message that has an `action`; `wait` is at most 60 s (default 30 s). 200 with the answer
//! message itself as the body, byte for byte as it came, or 504 when the time is over. The answer comes from the host that
//! was asked, is addressed to the service that asked, and names the request in `reply-to`. It stands in the inbox like any
//! message, also when it comes late. The same `id` with the same content again asks nobody twice and finds the answer that
//! has come meanwhile, so that a caller whose connection broke may just call again.

use std::time::Duration;

use hyper::StatusCode;

use super::{
    Call, messages,
    operation::{Body, Operation, Parameter, Reply, Who, of},
    shapes::{Asked, Message},
};
use crate::{
    node,
    serve::{
        carry::carry_on,
        problem,
        query::Span,
        respond::{Answer, Fault, json_bytes},
    },
    wire::{limits::POLL_TIME_MAX, refusal::Refusal},
};

/// How long is waited where the call does not say.
const WAIT_DEFAULT: Duration = Duration::from_secs(30);
const WAIT: Span = Span {
    name: "wait",
    what: "How long the answer is waited for",
    default: Some(WAIT_DEFAULT),
    min: Duration::ZERO,
    max: POLL_TIME_MAX,
};

pub(super) const CALLS: &[Operation] = &[Operation {
    method: "POST",
    path: "/v1/requests",
    who: Who::App,
    summary: "Send a message and wait for its answer",
    notes: "The answer comes from the host that was asked, is addressed to the service that asked, and names the request \
            in `reply-to`. It stands in the inbox as well, also when it comes late; the same call again finds it and \
            asks nobody twice. For apps of the sending service.",
    parameters: &[Parameter::Span(&WAIT)],
    body: Some(Body { schema: of::<Asked>, example: messages::EXAMPLE }),
    answers: &[Reply::json(
        "the answer, as it came",
        of::<Message>,
        r#"{"sender":{"host":"beta.test","protocol":"example","service":"form"},"id":"a-1","reply-to":"order-17",
            "host":"alpha.test","protocol":"example","service":"form","payload":{"done":true}}"#,
    )],
    problems: &[
        &problem::DRAFT,
        &problem::FORBIDDEN,
        &problem::POLICY,
        &problem::CONFLICT,
        &problem::UNANSWERED,
    ],
    run: |call| Box::pin(ask(call)),
}];

//= NODE-API-38: 200, or 504
async fn ask(mut call: Call<'_>) -> Result<Answer, Fault> {
    let wait = call.query.span(&WAIT)?.unwrap_or(WAIT_DEFAULT);
    let (node, mut stopping) = (call.node(), call.face.stopping.clone());
    let body = call.json().await?;
    let mut drafts = messages::drafts(&body, node.host(), call.app)?;
    drop(body);
    let (Some(draft), 0) = (drafts.pop(), drafts.len()) else {
        let what = "a request is one message; POST /v1/messages takes many".to_owned();
        return Err(Refusal::Malformed { what, index: None }.into());
    };
    if draft.is_answer() {
        let what = "an answer (`reply-to`) is not answered: send it with POST /v1/messages".to_owned();
        return Err(Refusal::Malformed { what, index: Some(0) }.into());
    }
    let (asker, waiting, sender) = (node.clone(), node.clone(), draft.sender.clone());
    let (share, app) = (call.share, call.app.name.clone());
    // It is sent, whether or not the caller stays.
    let request = carry_on(async move {
        let request = asker.request(&app, draft).await;
        // What waits for an answer has no body in hand.
        drop(share);
        request
    })
    .await?;
    let id = request.id();
    let answer = tokio::select! {
        biased;
        answer = waiting.answer(request, wait) => answer?,
        // It was taken: whoever asks again does so under its id.
        () = stopping.asked() => {
            let when = "before this node was stopped".to_owned();
            return Err(node::Error::unanswered(id, when).into());
        }
    };
    call.face.still(call.app, call.headers, &sender)?;
    Ok(json_bytes(StatusCode::OK, answer))
}
