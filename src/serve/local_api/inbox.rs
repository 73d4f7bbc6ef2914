//! Reading an inbox and saying what is done.
//!
//! `GET /v1/inbox/{protocol}/{service}?max=100&wait=30s`: `{"messages":[{"cursor","received-at","from","message"}]}`, oldest first.
//! `max` is 1 to 10,000 (default 100), `wait` at most 60 s (default none); outside of that: 400. An answer may hold fewer than
//! `max` and less than there is: of more than one message it is 8 MiB at most. A node that stops ends a wait with an empty list.
//!
//! `POST /v1/inbox/{protocol}/{service}/ack` `{"cursor"}`: 204; that message and all before it are done for this app.

use std::{fmt, io::Write as _, time::Duration};

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use super::{
    Call,
    operation::{Body, Operation, Parameter, Reply, Who, of},
    shapes::{Ack, Page},
};
use crate::{
    node::{self, views::rfc3339_text},
    serve::{
        carry::carry_on,
        problem,
        query::{Count, Span},
        respond::{Answer, Fault, json_bytes, no_content},
    },
    wire::{
        cursor::{Cursor, Cursors},
        limits::{PAGE_MESSAGES, PAGE_MESSAGES_MAX, POLL_TIME_MAX},
        object::object_of_slice,
        packet::ServiceKey,
        record::InboxEntry,
        refusal::Refusal,
        time::Wall,
    },
};

const MAX: Count = Count {
    name: "max",
    what: "At most so many messages; an answer may hold fewer than there are",
    default: PAGE_MESSAGES,
    max: PAGE_MESSAGES_MAX,
};

const WAIT: Span = Span {
    name: "wait",
    what: "How long to wait for a message where there is none; then the list is empty",
    default: Some(Duration::ZERO),
    min: Duration::ZERO,
    max: POLL_TIME_MAX,
};

pub(super) const CALLS: &[Operation] = &[
    Operation {
        method: "GET",
        path: "/v1/inbox/{protocol}/{service}",
        who: Who::Service,
        summary: "Read an inbox",
        notes: "Oldest first, from the first message that this app has not acknowledged. An answer of more than one \
                message is 8 MiB at most.",
        parameters: &[Parameter::Count(&MAX), Parameter::Span(&WAIT)],
        body: None,
        answers: &[Reply::json(
            "what there is",
            of::<Page>,
            r#"{"messages":[{"cursor":"1.10db4126","received-at":"2026-01-31T12:00:00.000Z","from":"beta.test",
                "message":{"sender":{"host":"beta.test","protocol":"example","service":"form"},"id":"order-17",
                "host":"alpha.test","protocol":"example","service":"form","action":"put","payload":{"n":1}}}]}"#,
        )],
        problems: &[&problem::UNAVAILABLE],
        run: |call| Box::pin(async move { read(&call).await }),
    },
    Operation {
        method: "POST",
        path: "/v1/inbox/{protocol}/{service}/ack",
        who: Who::Service,
        summary: "Acknowledge a message and all before it",
        notes: "An older cursor than the last changes nothing.",
        parameters: &[],
        body: Some(Body { schema: of::<Ack>, example: r#"{"cursor":"1.10db4126"}"# }),
        answers: &[Reply::empty(StatusCode::NO_CONTENT, "this app does not see them again")],
        problems: &[&problem::CURSOR],
        run: |call| Box::pin(acknowledge(call)),
    },
];

async fn read(call: &Call<'_>) -> Result<Answer, Fault> {
    let (service, mut stopping) = (call.service(), call.face.stopping.clone());
    //= NODE-API-23: at most 10,000
    let max = call.query.counted(&MAX)?;
    //= NODE-API-22: at most 60 s
    let wait = call.query.span(&WAIT)?.unwrap_or_default();
    let entries = tokio::select! {
        biased;
        entries = call.face.node.inbox(&call.app.name, &service, max, wait) => entries?,
        () = stopping.asked() => Vec::new(),
    };
    call.face.still(call.app, call.headers, &service)?;
    Ok(json_bytes(StatusCode::OK, page(&service, &entries)))
}

fn page(service: &ServiceKey, entries: &[InboxEntry]) -> Bytes {
    let length: usize = entries.iter().map(|entry| entry.raw.len() + ENTRY_BYTES).sum();
    let mut body = Vec::with_capacity(length + 16);
    body.extend_from_slice(b"{\"messages\":[");
    let mut writer = EntryWriter::new(service);
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        writer.write(&mut body, entry);
    }
    body.extend_from_slice(b"]}");
    Bytes::from(body)
}

/// What an entry mostly takes beside its message.
pub(super) const ENTRY_BYTES: usize = 160;

/// Writes entries of one inbox, by hand, because a message is carried byte for byte.
pub(super) struct EntryWriter {
    cursors: Cursors,
    /// The last moment that was written: messages of one packet have the same.
    received: Option<(Wall, String)>,
}

impl EntryWriter {
    pub(super) fn new(service: &ServiceKey) -> Self {
        Self { cursors: Cursors::of(service), received: None }
    }

    pub(super) fn cursor(&self, entry: &InboxEntry) -> impl fmt::Display + use<> {
        self.cursors.text(entry.cursor)
    }

    /// One entry, its message as it came.
    pub(super) fn write(&mut self, body: &mut Vec<u8>, entry: &InboxEntry) {
        let at = entry.received;
        let received = match self.received.take() {
            Some((last, text)) if last == at => text,
            Some(_) | None => rfc3339_text(at),
        };
        // Neither a cursor, a time nor a host name holds a character that JSON would escape; writing to memory does not fail.
        let (cursor, from) = (self.cursor(entry), entry.from.as_str());
        let _ =
            write!(body, r#"{{"cursor":"{cursor}","received-at":"{received}","from":"{from}","message":"#);
        body.extend_from_slice(&entry.raw);
        body.push(b'}');
        self.received = Some((at, received));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AckIn {
    cursor: String,
}

//= NODE-API-25: 204, or 400
async fn acknowledge(mut call: Call<'_>) -> Result<Answer, Fault> {
    let service = call.service();
    let body = call.json().await?;
    let cursor = cursor(&body, &service)?;
    let (node, app) = (call.node(), call.app.name.clone());
    carry_on(async move { node.acknowledge(&app, &service, cursor).await }).await?;
    Ok(no_content())
}

fn cursor(body: &[u8], service: &ServiceKey) -> Result<Cursor, Fault> {
    let malformed = || {
        let what = "the body must be {\"cursor\":\"...\"}, as the inbox gave it".to_owned();
        Fault::from(Refusal::Malformed { what, index: None })
    };
    let ack: AckIn = object_of_slice(body).map_err(|_| malformed())?;
    Cursor::decode(&ack.cursor, service).ok_or_else(|| node::Error::Cursor.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::host::PeerHost;

    fn entry(cursor: u64, raw: &str) -> InboxEntry {
        let from = PeerHost::parse("b.test:8443").unwrap();
        let (cursor, received) = (Cursor(cursor), Wall(1_700_000_000_123));
        InboxEntry { cursor, received, from, raw: Bytes::copy_from_slice(raw.as_bytes()) }
    }

    //= NODE-API-21
    #[test]
    fn a_page_carries_messages_byte_for_byte() {
        let service = ServiceKey::new("p", "s");
        let raw = r#"{ "n":1.00, "x":"\u0041" }"#;
        let body = page(&service, &[entry(1, raw), entry(2, "{}")]);
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains(raw));
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        let first = &json["messages"][0];
        assert_eq!(first["received-at"], "2023-11-14T22:13:20.123Z");
        assert_eq!(first["from"], "b.test:8443");
        assert_eq!(Cursor::decode(first["cursor"].as_str().unwrap(), &service), Some(Cursor(1)));
        assert_eq!(json["messages"].as_array().unwrap().len(), 2);
        assert_eq!(&page(&service, &[])[..], br#"{"messages":[]}"#);
    }

    #[test]
    fn an_entry_has_the_properties_that_the_document_names() {
        let body = page(&ServiceKey::new("p", "s"), &[entry(1, "{}")]);
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let document = super::super::document::value(super::super::TABLE);
        let named = &document["components"]["schemas"]["InboxEntry"]["properties"];
        let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&json["messages"][0]), keys(named));
    }

    //= NODE-API-25
    #[test]
    fn only_a_cursor_of_this_inbox_is_taken() {
        let service = ServiceKey::new("p", "s");
        let good = format!(r#"{{"cursor":"{}"}}"#, Cursor(7).encode(&service));
        assert_eq!(cursor(good.as_bytes(), &service).unwrap(), Cursor(7));
        assert_eq!(cursor(good.as_bytes(), &ServiceKey::new("p", "t")).unwrap_err().status(), 400);
        for bad in ["", "{}", r#"["7"]"#, r#"{"cursor":7}"#, r#"{"cursor":"7"}"#, r#"{"cursor":"7","x":1}"#] {
            assert_eq!(cursor(bad.as_bytes(), &service).unwrap_err().status(), 400, "{bad}");
        }
    }
}
