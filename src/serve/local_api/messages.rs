//! Messages on their way out.
//!
//! `POST /v1/messages?time-to-live=7d`: one message (it has `sender`), or `{"messages":[...]}`, at most 10,000; `time-to-live`
//! from 1 s to 400 d. 202 `{"messages":[{"id","state"}]}` once all are on stable storage; 400 names the message and the
//! property at fault, and nothing is queued.
//!
//! `GET /v1/messages/{id}`: where it is; 404 for those who may not see it.

use std::{fmt, time::Duration};

use hyper::StatusCode;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::Call;
use crate::{
    access::Principal,
    node::{
        self, Node,
        views::{MessageView, rfc3339, rfc3339_option},
    },
    serve::{
        peer_api::carry_on,
        query::Query,
        respond::{Answer, Fault, json},
    },
    wire::{
        draft::Draft,
        host::OwnHost,
        limits::{LIFETIME_MAX, LOCAL_MESSAGES_MAX},
        object::object_of_str,
        record::MessageState,
        refusal::Refusal,
        time::Wall,
    },
};

#[derive(Serialize)]
struct AcceptedOut<'a> {
    messages: Vec<AcceptedOne<'a>>,
}

#[derive(Serialize)]
struct AcceptedOne<'a> {
    id: &'a str,
    state: MessageState,
}

pub(super) async fn submit(node: &Node, mut call: Call<'_>, time: Duration) -> Result<Answer, Fault> {
    let query = Query::read(call.query, &["time-to-live"])?;
    //= NODE-API-17: its own
    let time_to_live = query.duration("time-to-live", Duration::from_secs(1), LIFETIME_MAX)?;
    let body = call.json(time).await?;
    let drafts = drafts(&body, node.host(), call.app)?;
    drop(body);
    let node = node.clone();
    let submitted = carry_on(async move { node.submit(drafts, time_to_live).await }).await?;
    let messages = submitted.iter().map(|one| AcceptedOne { id: &one.id, state: one.state }).collect();
    Ok(json(StatusCode::ACCEPTED, &AcceptedOut { messages }))
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct MessageOut<'a> {
    id: &'a str,
    host: &'a str,
    state: MessageState,
    attempts: u64,
    last_error: Option<&'a str>,
    #[serde(serialize_with = "rfc3339")]
    queued_at: Wall,
    #[serde(serialize_with = "rfc3339_option")]
    delivered_at: Option<Wall>,
}

//= NODE-API-18: its state
pub(super) fn show(node: &Node, call: &Call<'_>, id: &str) -> Result<Answer, Fault> {
    Query::read(call.query, &[])?;
    let message = visible(node, call.app, id)?;
    let delivered_at = message.ended.filter(|_| message.state == MessageState::Delivered);
    let out = MessageOut {
        id: &message.id,
        host: message.host.as_str(),
        state: message.state,
        attempts: message.attempts,
        last_error: message.last_error.as_deref(),
        queued_at: message.queued,
        delivered_at,
    };
    Ok(json(StatusCode::OK, &out))
}

//= NODE-API-19: others get 404
/// A message that this app may see. One that it may not is told like one that is not there.
pub(super) fn visible(node: &Node, app: &Principal, id: &str) -> Result<MessageView, Fault> {
    let message = node.message(id)?;
    if app.may_see(&message.sender) { Ok(message) } else { Err(not_found()) }
}

fn not_found() -> Fault {
    node::Error::NotFound("no message has this id".to_owned()).into()
}

/// Reads and checks all messages of a call, or names the first at fault.
pub(super) fn drafts(body: &[u8], own: &OwnHost, app: &Principal) -> Result<Vec<Draft>, Fault> {
    let raws = split(body)?;
    raws.iter().enumerate().map(|(index, raw)| draft(index, raw, own, app)).collect()
}

//= NODE-API-12: named
fn draft(index: usize, raw: &str, own: &OwnHost, app: &Principal) -> Result<Draft, Fault> {
    let draft = Draft::decode(raw.as_bytes(), own).map_err(|error| Fault::Draft { index, error })?;
    if app.may_act_for(&draft.sender) {
        return Ok(draft);
    }
    let what = format!("message {index}: the app `{}` may not act for {}", app.name, draft.sender);
    Err(Fault::Forbidden { what, index: Some(index) })
}

#[derive(Deserialize)]
struct TopIn<'a> {
    #[serde(borrow)]
    sender: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
}

/// At most one more than may be taken, so that a body of commas costs no more than it must.
struct Raws<'a>(Vec<&'a str>);

impl<'de> Deserialize<'de> for Raws<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Raws<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(raw) = seq.next_element::<&'de RawValue>()? {
                    if all.len() <= LOCAL_MESSAGES_MAX {
                        all.push(raw.get());
                    }
                }
                Ok(Raws(all))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

//= NODE-API-09: one, or many
/// The text of each message: one that stands alone has `sender`, many stand in `messages`.
fn split(body: &[u8]) -> Result<Vec<&str>, Fault> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8".to_owned()))?;
    let unread = |error: serde_json::Error| malformed(format!("the body is not JSON of this call: {error}"));
    let top: TopIn<'_> = object_of_str(text).map_err(unread)?;
    match (top.sender, top.messages) {
        (Some(_), _) => Ok(vec![text]),
        (None, Some(messages)) => {
            let Raws(all) = serde_json::from_str(messages.get()).map_err(unread)?;
            if all.len() <= LOCAL_MESSAGES_MAX {
                return Ok(all);
            }
            let what = format!("a call takes at most {LOCAL_MESSAGES_MAX} messages");
            Err(Refusal::TooLarge { what, index: None }.into())
        }
        (None, None) => Err(malformed(
            "a message has `sender`, a call with many has `messages`: neither is there".to_owned(),
        )),
    }
}

fn malformed(what: String) -> Fault {
    Refusal::Malformed { what, index: None }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::packet::ServiceKey;

    const ONE: &str = r#"{"sender":{"protocol":"p","service":"s"},"host":"b.test","protocol":"p","service":"t",
        "action":"go","payload":{}}"#;

    fn read(body: &str) -> Result<Vec<Draft>, Fault> {
        let services = vec![ServiceKey::new("P", "s")];
        let app = Principal { name: "app".into(), admin: true, services };
        drafts(body.as_bytes(), &OwnHost::parse("a.test").unwrap(), &app)
    }

    fn refused(body: &str) -> (u16, serde_json::Value) {
        use http_body_util::BodyExt as _;
        let answer = read(body).unwrap_err().answer(crate::serve::respond::Door::Plain);
        let status = answer.status().as_u16();
        let body = futures_now(answer.into_body().collect()).unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn futures_now<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    //= NODE-API-09
    #[test]
    fn one_message_stands_alone_and_many_stand_in_messages() {
        assert_eq!(read(ONE).unwrap().len(), 1);
        assert_eq!(read(&format!(" {{\"messages\":[{ONE},{ONE}]}}")).unwrap().len(), 2);
        assert_eq!(read(r#"{"messages":[]}"#).unwrap().len(), 0);
        let with_property = ONE.replacen('{', r#"{"messages":7,"#, 1);
        assert_eq!(read(&with_property).unwrap().len(), 1);
    }

    //= NODE-API-12
    #[test]
    fn the_message_and_the_property_at_fault_are_named() {
        let (status, problem) = refused(&format!(
            r#"{{"messages":[{ONE},{}]}}"#,
            ONE.replace(r#""service":"t""#, r#""service":3"#)
        ));
        assert_eq!((status, &problem["index"], &problem["field"]), (400, &1.into(), &"service".into()));
        let (status, problem) = refused(r#"{"messages":[7]}"#);
        assert_eq!((status, &problem["index"], &problem["field"]), (400, &0.into(), &"message".into()));
    }

    //= NODE-API-02
    #[test]
    fn an_app_sends_only_as_its_services_also_an_admin() {
        let (status, problem) = refused(&ONE.replace(r#""service":"s""#, r#""service":"other""#));
        assert_eq!((status, &problem["index"]), (403, &0.into()));
    }

    #[test]
    fn what_is_neither_one_nor_many_is_refused() {
        for body in [
            "",
            "[]",
            "7",
            "null",
            "{}",
            r#"{"messages":7}"#,
            r#"{"messages":[]} x"#,
            "[null,[]]",
            "\u{feff}{}",
        ] {
            assert_eq!(refused(body).0, 400, "{body}");
        }
    }

    //= NODE-API-09
    #[test]
    fn more_than_ten_thousand_are_too_large() {
        let body = format!(r#"{{"messages":[1{}]}}"#, ",1".repeat(LOCAL_MESSAGES_MAX));
        assert_eq!(refused(&body).0, 413);
    }
}
