//! Messages on their way out.
//!
//! `POST /v1/messages?time-to-live=7d`: one message (it has `sender`), or `{"messages":[...]}`, at most 10,000; `time-to-live`
//! from 1 s to 400 d. 202 `{"messages":[{"id","state"}]}` once all are on stable storage; 400 names the message and the
//! property at fault, and nothing is queued.
//!
//! `GET /v1/messages/{id}`: where it is; 404 for those who may not see it.

use std::{fmt, time::Duration};

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Call,
    operation::{Body, Operation, Parameter, Reply, Shape, Who, of},
    shapes::Drafts,
};
use crate::{
    access::Principal,
    node::{
        self, Node,
        views::{MessageView, Moment, rfc3339, rfc3339_option},
    },
    serve::{
        carry::carry_on,
        problem,
        query::Span,
        respond::{Answer, Fault, json},
    },
    wire::{
        draft::{Draft, DraftError},
        host::OwnHost,
        limits::{LIFETIME_MAX, LOCAL_MESSAGES_MAX},
        object::{object_of_str, told},
        record::MessageState,
        refusal::Refusal,
        time::Wall,
    },
};

const TIME_TO_LIVE: Span = Span {
    name: "time-to-live",
    what: "After this a message that was not delivered is dead; as `delivery.time-to-live` says where it is left out",
    default: None,
    min: Duration::from_secs(1),
    max: LIFETIME_MAX,
};

/// A message, for the document.
pub(super) const EXAMPLE: &str = r#"{"sender":{"protocol":"example","service":"form"},"id":"order-17",
    "host":"beta.test","protocol":"example","service":"form","action":"put","payload":{"n":1}}"#;

pub(super) const CALLS: &[Operation] = &[
    Operation {
        method: "POST",
        path: "/v1/messages",
        who: Who::App,
        summary: "Hand over one message or many",
        notes: "All are taken, or none: answered once they are on stable storage. A message to this host itself goes \
                straight to its inbox. The same id with the same content again gets the same answer and is sent once. \
                For apps of the sending services.",
        parameters: &[Parameter::Span(&TIME_TO_LIVE)],
        body: Some(Body { schema: of::<Drafts>, example: EXAMPLE }),
        answers: &[Reply {
            status: StatusCode::ACCEPTED,
            what: "all are on stable storage",
            content: Shape::Json {
                schema: of::<AcceptedOut<'_>>,
                example: r#"{"messages":[{"id":"order-17","state":"queued"}]}"#,
            },
        }],
        problems: &[&problem::DRAFT, &problem::FORBIDDEN, &problem::POLICY, &problem::CONFLICT],
        run: |call| Box::pin(submit(call)),
    },
    Operation {
        method: "GET",
        path: "/v1/messages/{id}",
        who: Who::App,
        summary: "Where a message is",
        notes: "Kept for 7 days after its end. For apps of the sending service and admins; others get 404.",
        parameters: &[],
        body: None,
        answers: &[Reply::json(
            "where it is",
            of::<MessageOut<'_>>,
            r#"{"id":"order-17","host":"beta.test","state":"delivered","attempts":0,"last-error":null,
                "queued-at":"2026-01-31T12:00:00.000Z","delivered-at":"2026-01-31T12:00:00.006Z"}"#,
        )],
        problems: &[&problem::NOT_FOUND, &problem::UNAVAILABLE],
        run: |call| Box::pin(async move { show(&call) }),
    },
];

/// What was taken, in the order given.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Accepted")]
struct AcceptedOut<'a> {
    messages: Vec<AcceptedOne<'a>>,
}

/// A message that was taken.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AcceptedMessage")]
struct AcceptedOne<'a> {
    /// As it was given, or made.
    id: &'a str,
    /// `queued`, unless it is a repeat or went to a service of this host.
    state: MessageState,
}

async fn submit(mut call: Call<'_>) -> Result<Answer, Fault> {
    //= NODE-API-17: its own
    let time_to_live = call.query.span(&TIME_TO_LIVE)?;
    let body = call.json().await?;
    let node = call.node();
    let drafts = drafts(&body, node.host(), call.app)?;
    drop(body);
    let (share, app) = (call.share, call.app.name.clone());
    let submit = async move {
        let submitted = node.submit(&app, drafts, time_to_live).await;
        // Also where the caller went away: the drafts are in hand until here.
        drop(share);
        submitted
    };
    let submitted = carry_on(submit).await?;
    let messages = submitted.iter().map(|one| AcceptedOne { id: &one.id, state: one.state }).collect();
    Ok(json(StatusCode::ACCEPTED, &AcceptedOut { messages }))
}

/// Where an outgoing message is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "MessageStatus")]
struct MessageOut<'a> {
    /// Its id.
    id: &'a str,
    /// The host that it is for.
    host: &'a str,
    /// Where it is.
    state: MessageState,
    /// Tries that ended without success, also before a connection.
    attempts: u64,
    /// Why the last of them failed.
    last_error: Option<&'a str>,
    /// When it was taken.
    #[serde(serialize_with = "rfc3339")]
    #[schemars(with = "Moment")]
    queued_at: Wall,
    /// When it was delivered.
    #[serde(serialize_with = "rfc3339_option")]
    #[schemars(with = "Option<Moment>")]
    delivered_at: Option<Wall>,
}

//= NODE-API-18: its state
fn show(call: &Call<'_>) -> Result<Answer, Fault> {
    let message = visible(&call.face.node, call.app, call.part("id"))?;
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
    if app.may_see(&message.sender) { Ok(message) } else { Err(node::Error::no_message().into()) }
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
#[serde(expecting = "a message, or an object with `messages`")]
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
    let unread =
        |error: serde_json::Error| malformed(format!("the body is not JSON of this call: {}", told(&error)));
    let top: TopIn<'_> = object_of_str(text).map_err(unread)?;
    match (top.sender, top.messages) {
        (None, Some(messages)) => {
            let Raws(all) = serde_json::from_str(messages.get()).map_err(unread)?;
            if all.len() <= LOCAL_MESSAGES_MAX {
                return Ok(all);
            }
            let what = format!("a call takes at most {LOCAL_MESSAGES_MAX} messages");
            Err(Refusal::TooLarge { what, index: None }.into())
        }
        (Some(_), _) => Ok(vec![text]),
        (None, None) => {
            let what = "is missing (a call with many messages has them in `messages`, an array)";
            let error = DraftError { field: "sender".to_owned(), what: what.to_owned() };
            Err(Fault::Draft { index: 0, error })
        }
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
        for body in
            [ONE.replacen("\"sender\"", "\"from\"", 1), "{}".to_owned(), r#"{"sender":null}"#.to_owned()]
        {
            let (status, problem) = refused(&body);
            assert_eq!(
                (status, &problem["index"], &problem["field"]),
                (400, &0.into(), &"sender".into()),
                "{body}"
            );
        }
        let (status, problem) = refused(r#"{"messages":"a-secret"}"#);
        assert!(status == 400 && !problem.to_string().contains("secret"), "{problem}");
        let (status, problem) = refused(r#"{"messages":[7]}"#);
        assert_eq!((status, &problem["index"], &problem["field"]), (400, &0.into(), &"message".into()));
    }

    //= NODE-API-02
    #[test]
    fn a_draft_needs_what_the_document_says() {
        let document = super::super::document::value(super::super::TABLE);
        let schema = &document["components"]["schemas"]["Draft"];
        let example: serde_json::Value = serde_json::from_str(EXAMPLE).unwrap();
        let without = |place: &str, name: &str| {
            let mut one = example.clone();
            one.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(name).unwrap();
            Draft::decode(one.to_string().as_bytes(), &OwnHost::parse("a.test").unwrap()).is_err()
        };
        for (place, schema) in [("", schema), ("/sender", &schema["properties"]["sender"])] {
            let properties = example.pointer(place).unwrap().as_object().unwrap().keys();
            for name in properties.filter(|name| !matches!(name.as_str(), "action")) {
                let required = schema["required"].as_array().unwrap().contains(&name.as_str().into());
                assert_eq!(without(place, name), required, "{place}/{name}");
            }
        }
        assert!(without("", "action"), "an action or a reply-to");
    }

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
