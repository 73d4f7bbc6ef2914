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
    object::{text, told},
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
    reply_to: Option<String>,
    has_action: bool,
    /// The message as it will be sent, but for its id.
    written: Vec<u8>,
    /// Where the id goes.
    id_at: usize,
}

/// A JSON object with each value as it stands; a key may stand twice, callers decide.
struct Properties<'a>(Vec<(Cow<'a, str>, &'a str)>);

/// A key or a name, borrowed where it holds no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow, deserialize_with = "text")] Cow<'a, str>);

impl<'de> Deserialize<'de> for Properties<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Properties<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::with_capacity(PROPERTIES);
                while let Some(Text(key)) = map.next_key()? {
                    all.push((key, map.next_value::<&'de RawValue>().map_err(A::Error::custom)?.get()));
                }
                Ok(Properties(all))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// As many as a message mostly has.
const PROPERTIES: usize = 8;

/// What a message is written from: names as the app wrote them.
struct Parts<'a> {
    /// Protocol and service.
    sender: [&'a str; 2],
    sender_others: &'a Properties<'a>,
    reply_to: Option<&'a str>,
    host: &'a PeerHost,
    /// Protocol and service.
    service: [&'a str; 2],
    action: Option<&'a str>,
    payload: &'a str,
    others: &'a Properties<'a>,
}

impl Parts<'_> {
    /// The message without its id, and where that goes. It takes little more than the `length` that it came in.
    fn write(&self, own: &OwnHost, length: usize) -> (Vec<u8>, usize) {
        let mut writer = Writer(Vec::with_capacity(length + own.as_str().len() + 64));
        writer.open();
        writer.key("sender");
        writer.open();
        //= YMP-HOST-07: exactly as our setting
        writer.text("host", own.as_str());
        writer.service(self.sender);
        writer.others(self.sender_others);
        writer.close();
        writer.key("id");
        let id_at = writer.0.len();
        if let Some(reply_to) = self.reply_to {
            writer.text("reply-to", reply_to);
        }
        writer.text("host", self.host.as_str());
        writer.service(self.service);
        if let Some(action) = self.action {
            writer.text("action", action);
        }
        //= YMP-MSG-07: byte for byte
        writer.raw("payload", self.payload);
        //= YMP-MSG-08: untouched
        writer.others(self.others);
        writer.close();
        (writer.0, id_at)
    }
}

impl Draft {
    /// Reads and checks one message of `POST /v1/messages`.
    ///
    /// # Errors
    /// `DraftError` names the property at fault.
    pub fn decode(raw: &[u8], own: &OwnHost) -> Result<Self, DraftError> {
        let mut properties = Properties::read("message", raw)?;
        let mut sender = Properties::read("sender", properties.required("sender")?.as_bytes())?;
        let sender_protocol = sender.required_name("sender.protocol")?;
        let sender_service = sender.required_name("sender.service")?;
        //= NODE-API-10: may be left out
        if let Some(host) = sender.name("sender.host")? {
            let named = PeerHost::parse_human(&host)
                .map_err(|error| fault("sender.host", &format!("is no host name: {error}")))?;
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
        let host = PeerHost::parse_human(&host)
            .map_err(|error| fault("host", &format!("is no host name: {error}")))?;
        let parts = Parts {
            sender: [&sender_protocol, &sender_service],
            sender_others: &sender,
            reply_to: reply_to.as_deref(),
            host: &host,
            service: [&protocol, &service],
            action: action.as_deref(),
            payload,
            others: &properties,
        };
        let (written, id_at) = parts.write(own, raw.len());
        Ok(Self {
            sender: ServiceKey::new(&sender_protocol, &sender_service),
            id: id.as_deref().map(Into::into),
            host,
            service: ServiceKey::new(&protocol, &service),
            reply_to: reply_to.map(Cow::into_owned),
            has_action: action.is_some(),
            written,
            id_at,
        })
    }

    /// Whether it answers another message.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.reply_to.is_some()
    }

    /// The id of the message that it answers.
    #[must_use]
    pub fn reply_to(&self) -> Option<&str> {
        self.reply_to.as_deref()
    }

    /// Whether it is an answer that does not say what it answers to do.
    #[must_use]
    pub fn lacks_action(&self) -> bool {
        !self.has_action
    }

    //= YMP-MSG-05: we write the request's
    /// The message as it will be sent: `sender.host` exactly as our `host` setting, hosts in normal form; with this action
    /// where it lacks one.
    #[must_use]
    pub fn compose(&self, id: &str, action: Option<&str>) -> Bytes {
        let (before, after) = self.around_id();
        let action = action.filter(|_| self.lacks_action());
        let mut message =
            Vec::with_capacity(self.written.len() + id.len() + action.map_or(2, |action| action.len() + 16));
        message.extend_from_slice(before);
        quote(&mut message, id);
        if let Some(action) = action {
            message.extend_from_slice(b",\"action\":");
            quote(&mut message, action);
        }
        message.extend_from_slice(after);
        Bytes::from(message)
    }

    //= NODE-API-14: byte for byte
    /// Digest of what makes two messages of one id the same: the interpreted strings, the payload and the other
    /// properties, byte for byte.
    #[must_use]
    pub fn content(&self) -> [u8; 32] {
        let (before, after) = self.around_id();
        // As if its id were empty.
        Sha256::new().chain_update(before).chain_update("\"\"").chain_update(after).finalize().into()
    }

    fn around_id(&self) -> (&[u8], &[u8]) {
        self.written.split_at(self.id_at)
    }
}

fn fault(field: &str, what: &str) -> DraftError {
    DraftError { field: field.to_owned(), what: what.to_owned() }
}

impl<'a> Properties<'a> {
    fn read(field: &str, raw: &'a [u8]) -> Result<Self, DraftError> {
        serde_json::from_slice(raw)
            .map_err(|error| fault(field, &format!("is not a JSON object: {}", told(&error))))
    }

    /// Takes an interpreted property out; it may stand once.
    fn take(&mut self, field: &str) -> Result<Option<&'a str>, DraftError> {
        let key = field.rsplit('.').next().unwrap_or(field);
        let Some(place) = self.0.iter().position(|(name, _)| name == key) else { return Ok(None) };
        let (_, value) = self.0.remove(place);
        if self.0.iter().any(|(name, _)| name == key) {
            return Err(fault(field, "stands twice"));
        }
        Ok(Some(value))
    }

    fn required(&mut self, field: &str) -> Result<&'a str, DraftError> {
        self.take(field)?.ok_or_else(|| fault(field, "is missing"))
    }

    fn name(&mut self, field: &str) -> Result<Option<Cow<'a, str>>, DraftError> {
        let Some(raw) = self.take(field)? else { return Ok(None) };
        let Text(text) = serde_json::from_str(raw).map_err(|_| fault(field, "must be a string"))?;
        if text.len() > NAME_BYTES_MAX {
            return Err(fault(field, &format!("is longer than {NAME_BYTES_MAX} bytes")));
        }
        Ok(Some(text))
    }

    fn required_name(&mut self, field: &str) -> Result<Cow<'a, str>, DraftError> {
        self.name(field)?.ok_or_else(|| fault(field, "is missing"))
    }
}

/// Writes one JSON object, which may hold another.
struct Writer(Vec<u8>);

impl Writer {
    fn open(&mut self) {
        self.0.push(b'{');
    }

    fn close(&mut self) {
        self.0.push(b'}');
    }

    fn key(&mut self, key: &str) {
        // No whole value ends like that.
        if !self.0.ends_with(b"{") {
            self.0.push(b',');
        }
        quote(&mut self.0, key);
        self.0.push(b':');
    }

    fn raw(&mut self, key: &str, value: &str) {
        self.key(key);
        self.0.extend_from_slice(value.as_bytes());
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        quote(&mut self.0, value);
    }

    fn service(&mut self, [protocol, service]: [&str; 2]) {
        self.text("protocol", protocol);
        self.text("service", service);
    }

    fn others(&mut self, others: &Properties<'_>) {
        others.0.iter().for_each(|(key, value)| self.raw(key, value));
    }
}

fn quote(to: &mut Vec<u8>, text: &str) {
    // Writing to memory does not fail, nor does a text.
    let _ = serde_json::to_writer(to, text);
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
        let text = draft.compose("id-1", None);
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
        assert_eq!(one.content(), same.content());
        assert_ne!(one.content(), other.content());
        // As it lies in stores since the first version.
        assert_eq!(one.content(), <[u8; 32]>::from(Sha256::digest(one.compose("", None))));
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
