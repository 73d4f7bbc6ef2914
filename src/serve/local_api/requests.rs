//! A message that is answered with its answer.
//!
//! `POST /v1/requests?wait=30s`: one message that has an `action`; `wait` is at most 60 s (default 30 s). 200 with the answer
//! message itself as the body, byte for byte as it came, or 504 when the time is over. The answer comes from the host that
//! was asked, is addressed to the service that asked, and names the request in `reply-to`. It stands in the inbox like any
//! message, also when it comes late. The same `id` with the same content again asks nobody twice and finds the answer that
//! has come meanwhile, so that a caller whose connection broke may just call again.

use std::time::Duration;

use hyper::StatusCode;

use super::{Call, messages};
use crate::{
    node::Node,
    serve::{
        peer_api::carry_on,
        query::Query,
        respond::{Answer, Fault, json_bytes},
        stop::Stopping,
    },
    wire::{limits::POLL_TIME_MAX, refusal::Refusal},
};

/// How long is waited where the call does not say.
const WAIT: Duration = Duration::from_secs(30);

//= NODE-API-38: 200, or 504
pub(super) async fn ask(
    node: &Node,
    mut call: Call<'_>,
    time: Duration,
    mut stopping: Stopping,
) -> Result<Answer, Fault> {
    let query = Query::read(call.query, &["wait"])?;
    let wait = query.duration("wait", Duration::ZERO, POLL_TIME_MAX)?.unwrap_or(WAIT);
    let body = call.json(time).await?;
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
    let (asker, waiting) = (node.clone(), node.clone());
    // It is sent, whether or not the caller stays.
    let request = carry_on(async move { asker.request(draft).await }).await?;
    let answer = tokio::select! {
        biased;
        answer = waiting.answer(request, wait) => answer?,
        () = stopping.asked() => return Err(crate::node::Error::stopping().into()),
    };
    Ok(json_bytes(StatusCode::OK, answer))
}
