//! An inbox as Server-Sent Events.
//!
//! `GET /v1/inbox/{protocol}/{service}/events`: from the first message that this app has not acknowledged, or the one after
//! `Last-Event-ID`, whichever comes later; `id` is the cursor, `data` the entry as `inbox` writes it. A line break between two
//! JSON tokens of a message becomes the end of a `data` line, which readers join with LF. A comment every 15 s says that the
//! stream lives. It ends when the node stops, when storage fails, when its app may not read this inbox any more or has another
//! token by now, and when its reader takes nothing for 30 s: a reader that comes again with the last id that it saw misses
//! nothing.

use std::{io::Write as _, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    Call,
    inbox::{ENTRY_BYTES, EntryWriter},
    operation::{Operation, Parameter, Reply, Shape, Who},
};
use crate::{
    access::Access,
    node::{self, Node},
    serve::{
        content::Content,
        headers::bearer,
        problem,
        respond::{Answer, Fault},
    },
    wire::{
        cursor::Cursor, limits::STREAM_BYTES, packet::ServiceKey, record::InboxEntry, refusal::Refusal,
        secret::ShownToken,
    },
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Something is written at least this often (`node`, "Local API").
pub(super) const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// A reader that takes nothing for so long is gone, or will come again.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Messages that are read at once; `STREAM_BYTES` bounds what they weigh.
const PAGE: usize = 256;

pub(super) const EVENT_STREAM: &str = "text/event-stream";

pub(super) const CALLS: &[Operation] = &[Operation {
    method: "GET",
    path: "/v1/inbox/{protocol}/{service}/events",
    who: Who::Service,
    summary: "Follow an inbox as Server-Sent Events",
    notes: "From the first message that this app has not acknowledged, or the one after `Last-Event-ID`, whichever comes \
            later. `id` is the cursor, `data` an entry as the inbox has it (`InboxEntry`); line breaks between JSON \
            tokens may become LF. A comment at least every 15 s. The stream ends when the node stops, when storage fails, \
            when its app may not read the inbox any more, and when its reader takes nothing for 30 s; the last id goes on \
            where it ended. An id that this inbox has not given yet is 400.",
    parameters: &[Parameter::Header {
        name: "Last-Event-ID",
        what: "The last id that was seen; a new reader leaves it out",
        example: "1.10db4126",
    }],
    body: None,
    answers: &[Reply {
        status: StatusCode::OK,
        what: "the stream",
        content: Shape::Text {
            kind: EVENT_STREAM,
            example: ": connected\n\nid: 1.10db4126\ndata: {\"cursor\":\"1.10db4126\",\"received-at\":\
                      \"2026-01-31T12:00:00.000Z\",\"from\":\"beta.test\",\"message\":{}}\n\n",
        },
    }],
    problems: &[&problem::CURSOR],
    run: |call| Box::pin(async move { open(&call) }),
}];

/// One reader.
struct Stream {
    node: Node,
    access: Arc<Access>,
    token: ShownToken,
    app: String,
    service: ServiceKey,
    after: Cursor,
    reader: mpsc::Sender<Bytes>,
}

fn open(call: &Call<'_>) -> Result<Answer, Fault> {
    let (service, mut stopping) = (call.service(), call.face.stopping.clone());
    let after = last_seen(call.headers, &service)?;
    // From before the node was restored to an older state, perhaps: to wait for what comes after it would skip messages.
    if after > call.face.node.last_cursor(&service)? {
        return Err(node::Error::Cursor.into());
    }
    let (reader, answer) = stream();
    let access = Arc::clone(&call.face.access);
    let token = bearer(call.headers)?.ok_or(Refusal::TokenMissing)?;
    let stream =
        Stream { node: call.node(), access, token, app: call.app.name.clone(), service, after, reader };
    tokio::spawn(async move {
        tokio::select! {
            biased;
            // First: a wait that ends with the node is no sign of life.
            () = stopping.asked() => {}
            () = stream.run() => {}
        }
    });
    Ok(answer)
}

/// An answer that is a stream, and where it is written.
pub(super) fn stream() -> (mpsc::Sender<Bytes>, Answer) {
    let (reader, content) = Content::stream();
    let mut answer = Answer::new(content);
    *answer.status_mut() = StatusCode::OK;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (reader, answer)
}

//= NODE-API-27: resumes
/// Where the reader was; the start where it says nothing.
fn last_seen(headers: &HeaderMap, service: &ServiceKey) -> Result<Cursor, Fault> {
    let mut all = headers.get_all(LAST_EVENT_ID).iter();
    let Some(first) = all.next() else { return Ok(Cursor::default()) };
    let text = first.to_str().ok().filter(|_| all.next().is_none());
    match text.map(str::trim) {
        Some("") => Ok(Cursor::default()),
        Some(text) => Cursor::decode(text, service).ok_or_else(|| node::Error::Cursor.into()),
        None => Err(node::Error::Cursor.into()),
    }
}

impl Stream {
    async fn run(mut self) {
        // So that the reader knows at once that it is connected.
        let mut bit = Bytes::from_static(b": connected\n\n");
        loop {
            if !matches!(timeout(PATIENCE, self.reader.send(bit)).await, Ok(Ok(()))) {
                return;
            }
            let next =
                self.node.follow(&self.app, &self.service, self.after, PAGE, STREAM_BYTES, SIGN_OF_LIFE);
            let entries = tokio::select! {
                entries = next => entries,
                () = self.reader.closed() => return,
            };
            let Ok(entries) = entries else { return };
            // Whoever was shut out meanwhile gets nothing more.
            let app = self.access.authenticate(self.token);
            if !app.is_some_and(|app| app.name == self.app && app.may_act_for(&self.service)) {
                return;
            }
            if let Some(last) = entries.last() {
                self.after = last.cursor;
            }
            bit = if entries.is_empty() {
                //= NODE-API-37: every 15 s
                Bytes::from_static(b":\n\n")
            } else {
                events(&self.service, &entries)
            };
        }
    }
}

//= NODE-API-26: the cursor and the entry
fn events(service: &ServiceKey, entries: &[InboxEntry]) -> Bytes {
    let length: usize = entries.iter().map(|entry| entry.raw.len() + 2 * ENTRY_BYTES).sum();
    let (mut text, mut data) = (Vec::with_capacity(length), Vec::new());
    let mut writer = EntryWriter::new(service);
    for entry in entries {
        // Writing to memory does not fail.
        let _ = writeln!(text, "id: {}", writer.cursor(entry));
        data.clear();
        writer.write(&mut data, entry);
        // No line break stands inside a JSON string.
        for line in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
            text.extend_from_slice(b"data: ");
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        text.push(b'\n');
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{host::PeerHost, time::Wall};

    //= NODE-API-26
    #[test]
    fn a_message_with_line_breaks_is_several_data_lines_and_the_same_json() {
        let service = ServiceKey::new("p", "s");
        let raw = "{\r\n \"n\": 1,\r \"x\":\"\\n\"\n}";
        let from = PeerHost::parse("b.test").unwrap();
        let entry = InboxEntry { cursor: Cursor(7), received: Wall(0), from, raw: Bytes::from(raw) };
        let text = String::from_utf8(events(&service, &[entry.clone(), entry]).to_vec()).unwrap();
        let all: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(all.len(), 2, "{text:?}");
        let mut lines = all[0].lines();
        assert_eq!(lines.next(), Some(&*format!("id: {}", Cursor(7).encode(&service))));
        let data: Vec<&str> = lines.map(|line| line.strip_prefix("data: ").unwrap()).collect();
        let json: serde_json::Value = serde_json::from_str(&data.join("\n")).unwrap();
        assert_eq!(json["message"], serde_json::json!({"n": 1, "x": "\n"}));
    }

    //= NODE-API-27
    #[test]
    fn the_last_id_is_a_cursor_of_this_inbox_or_nothing() {
        let service = ServiceKey::new("p", "s");
        let seen = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(LAST_EVENT_ID, HeaderValue::from_str(value).unwrap());
            }
            last_seen(&headers, &service).map_err(|fault| fault.status().as_u16())
        };
        let ours = Cursor(7).encode(&service);
        assert_eq!(seen(&[]), Ok(Cursor(0)));
        assert_eq!(seen(&[""]), Ok(Cursor(0)));
        assert_eq!(seen(&[&ours]), Ok(Cursor(7)));
        assert_eq!(seen(&["7"]), Err(400));
        assert_eq!(seen(&[&ours, &ours]), Err(400));
        assert_eq!(seen(&[&Cursor(7).encode(&ServiceKey::new("p", "t"))]), Err(400));
    }
}
