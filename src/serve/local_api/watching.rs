//! What happens to a link, as Server-Sent Events.
//!
//! `GET /v1/peers/{host}/events`: from now on; `data` is `{"at","what","text"}`. Nothing is kept for a reader that comes later. A
//! comment every 15 s says that the stream lives. It ends when the node stops, when its app may not see links any more, and
//! when its reader takes nothing for 30 s.

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    Call,
    events::{EVENT_STREAM, PATIENCE, SIGN_OF_LIFE, stream},
    operation::{Operation, Reply, Shape, Who},
    peers::named_host,
};
use crate::{
    access::Access,
    node::LinkEvent,
    serve::{
        headers::bearer,
        problem,
        respond::{Answer, Fault},
    },
    wire::{refusal::Refusal, secret::ShownToken},
};

pub(super) const CALLS: &[Operation] = &[Operation {
    method: "GET",
    path: "/v1/peers/{host}/events",
    who: Who::Admin,
    summary: "Follow what happens to a link as Server-Sent Events",
    notes: "From now on. `data` is `{\"at\",\"what\",\"text\"}`: `what` is one of asking, look-up, request, grant, \
            exchange-failed, granted, refreshed, refresh-failed, token-refused, up, down, refused, dead, steered; `text` says it in \
            words. A comment at least every 15 s. The stream ends when the node stops, and when its reader takes nothing for 30 s.",
    parameters: &[],
    body: None,
    answers: &[Reply {
        status: StatusCode::OK,
        what: "the stream",
        content: Shape::Text {
            kind: EVENT_STREAM,
            example: ": connected\n\ndata: {\"at\":\"2026-01-31T12:00:00.000Z\",\"what\":\"grant\",\"text\":\"the peer called \
                      back and granted\"}\n\n",
        },
    }],
    problems: &[&problem::NOT_FOUND],
    run: |call| Box::pin(async move { open(&call) }),
}];

/// One reader.
struct Watching {
    access: Arc<Access>,
    token: ShownToken,
    events: mpsc::Receiver<LinkEvent>,
    reader: mpsc::Sender<Bytes>,
}

fn open(call: &Call<'_>) -> Result<Answer, Fault> {
    let events = call.face.node.watch(&named_host("host", call.part("host"))?)?;
    let (reader, answer) = stream();
    let access = Arc::clone(&call.face.access);
    let token = bearer(call.headers)?.ok_or(Refusal::TokenMissing)?;
    let (watching, mut stopping) = (Watching { access, token, events, reader }, call.face.stopping.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = watching.run() => {}
            () = stopping.asked() => {}
        }
    });
    Ok(answer)
}

impl Watching {
    async fn run(mut self) {
        let mut bit = Bytes::from_static(b": connected\n\n");
        while let Ok(Ok(())) = timeout(PATIENCE, self.reader.send(bit)).await {
            bit = tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => line(&event),
                    None => return,
                },
                () = sleep(SIGN_OF_LIFE) => Bytes::from_static(b":\n\n"),
                () = self.reader.closed() => return,
            };
            // Whoever was shut out meanwhile gets nothing more.
            if !self.access.authenticate(self.token).is_some_and(|app| app.admin) {
                return;
            }
        }
    }
}

fn line(event: &LinkEvent) -> Bytes {
    // An event is numbers and texts: it is always written.
    let data = serde_json::to_string(event).unwrap_or_default();
    format!("data: {data}\n\n").into()
}
