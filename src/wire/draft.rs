//! A message as an app hands it over: `sender.host` may be left out (it is ours), `id` too (one is made).
//!
//! What is interpreted is written anew in normal form, everything else is carried byte for byte.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use serde::{
    Deserialize,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{
    host::{OwnHost, PeerHost},
    limits::NAME_BYTES_MAX,
    packet::ServiceKey,
};

/// What is wrong with a draft: the property, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {what}")]
pub struct DraftError {
    /// The property at fault; `message` where it is no JSON object at all.
    pub field: String,
    /// What is wrong and what would be right.
    pub what: String,
}

/// A checked draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The service that sends it.
    pub sender: ServiceKey,
    /// The id that the app gave it.
    pub id: Option<Arc<str>>,
    /// The destination host.
    pub host: PeerHost,
    /// The destination service.
    pub service: ServiceKey,
    written: Written,
}

/// The parts as they will be written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    sender_protocol: String,
    sender_service: String,
    sender_others: Vec<(String, String)>,
    reply_to: Option<String>,
    protocol: String,
    service: String,
    action: Option<String>,
    payload: String,
    others: Vec<(String, String)>,
}

/// A JSON object with each value as it stands; a key may stand twice, callers decide.
struct Properties<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Properties<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Properties<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    all.push((Cow::Owned(key), map.next_value::<&'de RawValue>().map_err(A::Error::custom)?));
                }
                Ok(Properties(all))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Draft {
    /// Reads and checks one message of `POST /v1/messages`.
    ///
    /// # Errors
    /// `DraftError` names the property at fault.
    pub fn decode(raw: &[u8], own: &OwnHost) -> Result<Self, DraftError> {
        let mut properties = properties("message", raw)?;
        let mut sender = properties_of("sender", &properties.required("sender")?)?;
        let sender_protocol = sender.required_name("sender.protocol")?;
        let sender_service = sender.required_name("sender.service")?;
        //= NODE-API-10: may be left out
        if let Some(host) = sender.name("sender.host")? {
            let named =
                PeerHost::parse_human(&host).map_err(|error| fault("sender.host", &error.to_string()))?;
            if !own.is(&named) {
                return Err(fault("sender.host", &format!("must be left out or be this host, {own}")));
            }
        }
        let id = properties.name("id")?;
        if id.as_deref() == Some("") {
            return Err(fault("id", "is empty: leave it out and one is made"));
        }
        let reply_to = properties.name("reply-to")?;
        let host = properties.required_name("host")?;
        let protocol = properties.required_name("protocol")?;
        let service = properties.required_name("service")?;
        let action = properties.name("action")?;
        if action.is_none() && reply_to.is_none() {
            return Err(fault("action", "is missing: a request has one, an answer has `reply-to`"));
        }
        let payload = properties.required("payload")?;
        if !payload.starts_with('{') {
            return Err(fault("payload", "must be an object"));
        }
        Ok(Self {
            sender: ServiceKey::new(&sender_protocol, &sender_service),
            id: id.map(Into::into),
            host: PeerHost::parse_human(&host).map_err(|error| fault("host", &error.to_string()))?,
            service: ServiceKey::new(&protocol, &service),
            written: Written {
                sender_protocol,
                sender_service,
                sender_others: sender.others(),
                reply_to,
                protocol,
                service,
                action,
                payload,
                others: properties.others(),
            },
        })
    }

    /// Whether it answers another message.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.written.reply_to.is_some()
    }

    /// The id of the message that it answers.
    #[must_use]
    pub fn reply_to(&self) -> Option<&str> {
        self.written.reply_to.as_deref()
    }

    /// The message as it will be sent: `sender.host` exactly as our `host` setting, hosts in normal form.
    #[must_use]
    pub fn compose(&self, own: &OwnHost, id: &str) -> Bytes {
        let written = &self.written;
        let mut sender = ObjectWriter::new();
        //= YMP-HOST-07: exactly as our setting
        sender.text("host", own.as_str());
        sender.text("protocol", &written.sender_protocol);
        sender.text("service", &written.sender_service);
        sender.others(&written.sender_others);
        let mut message = ObjectWriter::new();
        message.raw("sender", &sender.end());
        message.text("id", id);
        if let Some(reply_to) = &written.reply_to {
            message.text("reply-to", reply_to);
        }
        message.text("host", self.host.as_str());
        message.text("protocol", &written.protocol);
        message.text("service", &written.service);
        if let Some(action) = &written.action {
            message.text("action", action);
        }
        //= YMP-MSG-07: byte for byte
        message.raw("payload", &written.payload);
        //= YMP-MSG-08: untouched
        message.others(&written.others);
        Bytes::from(message.end())
    }

    //= NODE-API-14: byte for byte
    /// Digest of what makes two messages of one id the same: the interpreted strings, the payload and the other
    /// properties, byte for byte.
    #[must_use]
    pub fn content(&self, own: &OwnHost) -> [u8; 32] {
        Sha256::digest(self.compose(own, "")).into()
    }
}

fn fault(field: &str, what: &str) -> DraftError {
    DraftError { field: field.to_owned(), what: what.to_owned() }
}

struct Bag(Vec<(String, String)>);

fn properties(field: &str, raw: &[u8]) -> Result<Bag, DraftError> {
    let read: Properties<'_> = serde_json::from_slice(raw)
        .map_err(|error| fault(field, &format!("is not a JSON object: {error}")))?;
    Ok(Bag(read.0.into_iter().map(|(key, value)| (key.into_owned(), value.get().to_owned())).collect()))
}

fn properties_of(field: &str, raw: &str) -> Result<Bag, DraftError> {
    properties(field, raw.as_bytes())
}

impl Bag {
    /// Takes an interpreted property out; it may stand once.
    fn take(&mut self, field: &str) -> Result<Option<String>, DraftError> {
        let key = field.rsplit('.').next().unwrap_or(field);
        let Some(place) = self.0.iter().position(|(name, _)| name == key) else { return Ok(None) };
        let (_, value) = self.0.remove(place);
        if self.0.iter().any(|(name, _)| name == key) {
            return Err(fault(field, "stands twice"));
        }
        Ok(Some(value))
    }

    fn required(&mut self, field: &str) -> Result<String, DraftError> {
        self.take(field)?.ok_or_else(|| fault(field, "is missing"))
    }

    fn name(&mut self, field: &str) -> Result<Option<String>, DraftError> {
        let Some(raw) = self.take(field)? else { return Ok(None) };
        let text: String = serde_json::from_str(&raw).map_err(|_| fault(field, "must be a string"))?;
        if text.len() > NAME_BYTES_MAX {
            return Err(fault(field, &format!("is longer than {NAME_BYTES_MAX} bytes")));
        }
        Ok(Some(text))
    }

    fn required_name(&mut self, field: &str) -> Result<String, DraftError> {
        self.name(field)?.ok_or_else(|| fault(field, "is missing"))
    }

    fn others(self) -> Vec<(String, String)> {
        self.0
    }
}

struct ObjectWriter(String);

impl ObjectWriter {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn raw(&mut self, key: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quoted(key));
        self.0.push(':');
        self.0.push_str(value);
    }

    fn text(&mut self, key: &str, value: &str) {
        self.raw(key, &quoted(value));
    }

    fn others(&mut self, others: &[(String, String)]) {
        for (key, value) in others {
            self.raw(key, value);
        }
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::packet::Message;

    fn own() -> OwnHost {
        OwnHost::parse("a.test:8443").unwrap()
    }

    const DRAFT: &str = r#"{"sender":{"protocol":"P","service":"s","x":1},"host":"B\u00fccher.example:443","protocol":"Q",
        "service":"t","action":"go","payload":{ "n":1.00, "n":2 },"extra":[1, 2]}"#;

    //= YMP-HOST-06, YMP-HOST-07, YMP-MSG-07, YMP-MSG-08, NODE-API-10
    #[test]
    fn what_is_left_out_is_filled_in_and_the_rest_is_carried_byte_for_byte() {
        let draft = Draft::decode(DRAFT.as_bytes(), &own()).unwrap();
        let text = draft.compose(&own(), "id-1");
        let want = concat!(
            r#"{"sender":{"host":"a.test:8443","protocol":"P","service":"s","x":1},"id":"id-1","host":"xn--bcher-kva.example","#,
            r#""protocol":"Q","service":"t","action":"go","payload":{ "n":1.00, "n":2 },"extra":[1, 2]}"#
        );
        assert_eq!(std::str::from_utf8(&text).unwrap(), want);
        let message = Message::decode(text, 0).unwrap();
        assert_eq!((&message.host, &message.service), (&draft.host, &draft.service));
    }

    //= NODE-API-14
    #[test]
    fn the_content_is_the_same_whatever_the_id_and_changes_with_the_payload() {
        let one = Draft::decode(DRAFT.as_bytes(), &own()).unwrap();
        let same = Draft::decode(DRAFT.replacen('{', r#"{"id":"7","#, 1).as_bytes(), &own()).unwrap();
        let other = Draft::decode(DRAFT.replace("1.00", "1.0").as_bytes(), &own()).unwrap();
        assert_eq!(one.content(&own()), same.content(&own()));
        assert_ne!(one.content(&own()), other.content(&own()));
    }

    //= YMP-MSG-05, NODE-API-12
    #[test]
    fn a_fault_names_its_property() {
        for (from, to, field) in [
            (r#""action":"go","#, "", "action"),
            (r#""service":"t","#, "", "service"),
            (r#""service":"s","#, "", "sender.service"),
            (r#""service":"t""#, r#""service":null"#, "service"),
            (r#""protocol":"P""#, r#""host":"c.test","protocol":"P""#, "sender.host"),
            (r#""extra":"#, r#""id":"","extra":"#, "id"),
            (r#""extra":"#, r#""id":"1","\u0069d":"1","extra":"#, "id"),
            (r#""payload":{"#, r#""payload":[],"y":{"#, "payload"),
            (r#":443""#, r#":0""#, "host"),
        ] {
            let text = DRAFT.replacen(from, to, 1);
            assert_eq!(Draft::decode(text.as_bytes(), &own()).unwrap_err().field, field, "{text}");
        }
        assert_eq!(Draft::decode(b"[]", &own()).unwrap_err().field, "message");
    }
}
