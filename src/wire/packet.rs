//! Packets and messages (`ymp`, "Packet" and "Message").
//!
//! A message is read once for what we interpret and carried whole, byte for byte: its payload's digits, the order of
//! its keys and properties that we do not know pass through untouched.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use self::shape::{Shape, Varied};
use super::{
    host::PeerHost,
    limits::NAME_BYTES_MAX,
    object::{object, object_at_start, object_of_slice, object_of_str, present, text, told},
    refusal::Refusal,
};

/// A service of some host: its protocol, which compares case-insensitively and is kept in lower case, and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceKey(Arc<Names>);

#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Names {
    protocol: Box<str>,
    service: Box<str>,
}

impl ServiceKey {
    /// From the names as written.
    #[must_use]
    pub fn new(protocol: &str, service: &str) -> Self {
        //= YMP-MSG-10: the protocol's case folds
        Self(Arc::new(Names { protocol: folded(protocol).into(), service: service.into() }))
    }

    /// The protocol in lower case.
    #[must_use]
    pub fn protocol(&self) -> &str {
        &self.0.protocol
    }

    /// The service, exactly as written.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.0.service
    }
}

/// A protocol's name in lower case; most are written so.
fn folded(protocol: &str) -> Cow<'_, str> {
    let is_folded = protocol.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
    if is_folded { protocol.into() } else { protocol.to_lowercase().into() }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol(), self.service())
    }
}

/// A message that came in a packet: what is interpreted of it, and the whole of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `sender.host`, in normal form.
    pub sender_host: PeerHost,
    /// `id`: unique in the sender host.
    pub id: ByteString,
    /// `reply-to`, in answers.
    pub reply_to: Option<Arc<str>>,
    /// `host`: the destination.
    pub host: PeerHost,
    /// `protocol` and `service` of the destination.
    pub service: ServiceKey,
    /// The message as it stood in the packet.
    pub raw: Bytes,
    /// What it says, summed up: see `content_sum`.
    pub content_sum: u64,
}

//= HT-PKT-04: with another payload
/// What a message that comes again is compared by: the payload byte for byte, and what else is interpreted, however it is written.
/// No key: who makes two messages that look alike has but the first of them kept, as anybody has.
#[must_use]
pub fn content_sum(names: &[&str], payload: &str) -> u64 {
    sum(names_sum(names), payload)
}

fn sum(names_sum: u64, payload: &str) -> u64 {
    names_sum.wrapping_add(xxh3_64(payload.as_bytes()))
}

fn names_sum(names: &[&str]) -> u64 {
    let mut all = Vec::with_capacity(256);
    for name in names {
        all.extend_from_slice(&name.len().to_be_bytes());
        all.extend_from_slice(name.as_bytes());
    }
    xxh3_64(&all)
}

/// The body of a packet, read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Packet {
    /// In the order of the body; none is valid.
    pub messages: Vec<Message>,
}

mod shape;

#[derive(Deserialize)]
#[serde(expecting = "an object with `packet`")]
struct BodyIn<'a> {
    #[serde(borrow, deserialize_with = "object")]
    packet: PacketIn<'a>,
}

//= YMP-PKT-01: any number
#[derive(Deserialize)]
#[serde(expecting = "an object with `messages`")]
struct PacketIn<'a> {
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
}

//= YMP-MSG-01: three strings
#[derive(Deserialize)]
#[serde(expecting = "a sender: an object with `host`, `protocol` and `service`")]
struct SenderIn<'a> {
    #[serde(borrow, deserialize_with = "text")]
    host: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "text")]
    protocol: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "text")]
    service: Cow<'a, str>,
}

//= HT-CHK-10: twice is an error of the derive
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "a message: an object")]
struct MessageIn<'a> {
    #[serde(borrow, deserialize_with = "object")]
    sender: SenderIn<'a>,
    //= YMP-MSG-02: a string
    #[serde(borrow, deserialize_with = "text")]
    id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    reply_to: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    host: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "text")]
    protocol: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "text")]
    service: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    action: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl MessageIn<'_> {
    fn names_sum(&self) -> u64 {
        // Protocols compare in any case.
        let (from, to) = (folded(&self.sender.protocol), folded(&self.protocol));
        let answers = self.reply_to.as_deref().unwrap_or_default();
        let action = self.action.as_deref().unwrap_or_default();
        names_sum(&[&from, &self.sender.service, answers, &to, &self.service, action])
    }
}

impl Packet {
    //= HT-PKT-01: the body
    /// Reads a packet's body; each message becomes a slice of `body`, not a copy.
    ///
    /// # Errors
    /// `TooLarge` over `messages_max`; `Malformed` names what is wrong and the first message at fault.
    pub fn decode(body: &Bytes, messages_max: usize) -> Result<Self, Refusal> {
        //= YMP-MSG-13: UTF-8
        let text = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8", None))?;
        if let Some(packet) = Self::decode_plain(body, text, messages_max) {
            return Ok(packet);
        }
        Self::decode_any(body, text, messages_max)
    }

    /// Reads a body as any encoder may write it.
    fn decode_any(body: &Bytes, text: &str, messages_max: usize) -> Result<Self, Refusal> {
        let packet = object_of_str::<BodyIn<'_>>(text).map_err(|error| unread(&error, None))?.packet;
        //= HT-PKT-11: 413
        if packet.messages.len() > messages_max {
            return Err(Refusal::TooLarge {
                index: None,
                what: format!("a packet holds at most {messages_max} messages here"),
            });
        }
        let mut messages = Vec::with_capacity(packet.messages.len());
        for (index, raw) in packet.messages.iter().enumerate() {
            let raw = body.slice_ref(raw.get().as_bytes());
            messages.push(Message::decode_after(messages.last(), raw, index)?);
        }
        Ok(Self { messages })
    }

    /// Reads a body that stands as `encode` writes it, each message once and where it stands. `None` for any other, which may
    /// be as good or at fault: to be read as a whole.
    fn decode_plain(body: &Bytes, text: &str, messages_max: usize) -> Option<Self> {
        let plain = text.strip_prefix(PACKET_HEAD)?;
        let mut rest = plain.strip_suffix(PACKET_TAIL)?;
        let (mut messages, mut shape, mut names) = (Vec::<Message>::new(), None::<Shape<'_>>, 0);
        while messages.len() < messages_max {
            let alike = shape.and_then(|shape| shape.read(rest)).zip(messages.last());
            let (message, after) = if let Some((varied, before)) = alike {
                let (raw, after) = rest.split_at_checked(varied.length)?;
                let raw = body.slice_ref(raw.as_bytes());
                (Message::alike(before, names, varied, raw, messages.len()).ok()?, after)
            } else {
                let (read, length) = object_at_start::<MessageIn<'_>>(rest)?.ok()?;
                let (raw, after) = rest.split_at_checked(length)?;
                shape = Shape::of(raw, &read.id, read.payload.get());
                names = read.names_sum();
                let raw = body.slice_ref(raw.as_bytes());
                (Message::check(messages.last(), &read, names, raw, messages.len()).ok()?, after)
            };
            if messages.is_empty() {
                // Those that follow are mostly as long.
                messages.reserve((rest.len() / (rest.len() - after.len() + 1)).min(messages_max - 1) + 1);
            }
            messages.push(message);
            if after.is_empty() {
                return Some(Self { messages });
            }
            rest = after.strip_prefix(',')?;
        }
        None
    }

    /// The body of a packet of these messages, each as it is.
    #[must_use]
    pub fn encode<'a>(messages: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut body = PACKET_HEAD.as_bytes().to_vec();
        for (index, message) in messages.enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(message);
        }
        body.extend_from_slice(PACKET_TAIL.as_bytes());
        body
    }
}

const PACKET_HEAD: &str = r#"{"packet":{"messages":["#;
const PACKET_TAIL: &str = "]}}";
/// What a packet weighs beside its messages and the commas between them.
pub const PACKET_FRAME_BYTES: usize = PACKET_HEAD.len() + PACKET_TAIL.len();

impl Message {
    //= HT-PKT-09: or 400
    /// Reads one message; `index` is its place, for the refusal.
    ///
    /// # Errors
    /// `Malformed` names what is wrong.
    pub fn decode(raw: Bytes, index: usize) -> Result<Self, Refusal> {
        Self::decode_after(None, raw, index)
    }

    fn decode_after(before: Option<&Self>, raw: Bytes, index: usize) -> Result<Self, Refusal> {
        let read = object_of_slice(&raw).map_err(|error| unread(&error, Some(index)))?;
        Self::check(before, &read, read.names_sum(), raw.clone(), index)
    }

    /// A message that says the same as the one before but for its id and its payload, which is an object.
    fn alike(
        before: &Self,
        names_sum: u64,
        varied: Varied<'_>,
        raw: Bytes,
        index: usize,
    ) -> Result<Self, Refusal> {
        check_id(varied.id, index)?;
        Ok(Self {
            sender_host: before.sender_host.clone(),
            id: part_of(&raw, varied.id),
            content_sum: sum(names_sum, varied.payload),
            reply_to: before.reply_to.clone(),
            host: before.host.clone(),
            service: before.service.clone(),
            raw,
        })
    }

    /// What was read of a message. The messages of a packet mostly share their names: those that are written as in the
    /// message `before`, in normal form, are shared with it.
    fn check(
        before: Option<&Self>,
        read: &MessageIn<'_>,
        names_sum: u64,
        raw: Bytes,
        index: usize,
    ) -> Result<Self, Refusal> {
        let at = Some(index);
        //= YMP-MSG-04: strings
        let names = [
            ("sender.host", &read.sender.host),
            ("sender.protocol", &read.sender.protocol),
            ("sender.service", &read.sender.service),
            ("host", &read.host),
            ("protocol", &read.protocol),
            ("service", &read.service),
        ];
        for (name, value) in names.into_iter().chain(read.reply_to.iter().map(|value| ("reply-to", value))) {
            check_name(name, value, index)?;
        }
        check_id(&read.id, index)?;
        //= YMP-MSG-05: a request has it
        match &read.action {
            Some(action) => check_name("action", action, index)?,
            //= YMP-MSG-03: a request without it has an action
            None if read.reply_to.is_none() => {
                let what = "neither `action` (a request has one) nor `reply-to` (an answer has one)";
                return Err(malformed(&format!("message {index}: {what}"), at));
            }
            None => {}
        }
        //= YMP-MSG-06: an object
        if !read.payload.get().starts_with('{') {
            return Err(malformed(&format!("message {index}: `payload` is not an object"), at));
        }
        let host = |name: &str, text: &str, before: Option<&PeerHost>| match before {
            Some(before) if before.as_str() == text => Ok(before.clone()),
            Some(_) | None => PeerHost::parse(text).map_err(|error| {
                malformed(&format!("message {index}: `{name}` is no host name: {error}"), at)
            }),
        };
        let service = before.map(|before| &before.service);
        let service = service.filter(|key| key.protocol() == read.protocol && key.service() == read.service);
        Ok(Self {
            sender_host: host("sender.host", &read.sender.host, before.map(|before| &before.sender_host))?,
            id: match &read.id {
                Cow::Borrowed(id) => part_of(&raw, id),
                Cow::Owned(id) => id.as_str().into(),
            },
            reply_to: read.reply_to.as_deref().map(Into::into),
            host: host("host", &read.host, before.map(|before| &before.host))?,
            service: service.cloned().unwrap_or_else(|| ServiceKey::new(&read.protocol, &read.service)),
            content_sum: sum(names_sum, read.payload.get()),
            //= YMP-MSG-07: byte for byte
            raw,
        })
    }
}

/// A part of a message, held with it and not copied.
fn part_of(raw: &Bytes, part: &str) -> ByteString {
    ByteString::try_from(raw.slice_ref(part.as_bytes())).unwrap_or_else(|_| part.into())
}

//= YMP-MSG-12: not empty
fn check_id(id: &str, index: usize) -> Result<(), Refusal> {
    if id.is_empty() {
        return Err(malformed(&format!("message {index}: `id` is empty"), Some(index)));
    }
    check_name("id", id, index)
}

//= YMP-MSG-12: at most 512 bytes
fn check_name(name: &str, value: &str, index: usize) -> Result<(), Refusal> {
    if value.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(malformed(&format!("message {index}: `{name}` is longer than {NAME_BYTES_MAX} bytes"), Some(index)))
}

fn malformed(what: &str, index: Option<usize>) -> Refusal {
    Refusal::Malformed { what: what.to_owned(), index }
}

//= HT-PKT-19: nor anything else that stood there
/// serde's own words name the property (missing, twice, of another type).
fn unread(error: &serde_json::Error, index: Option<usize>) -> Refusal {
    let words = told(error);
    let what = match (error.classify(), index) {
        (serde_json::error::Category::Data, Some(index)) => format!("message {index}: {words}"),
        (serde_json::error::Category::Data, None) => words,
        (_, Some(index)) => format!("message {index} is not JSON: {words}"),
        (_, None) => format!("the body is not JSON: {words}"),
    };
    malformed(&what.chars().take(200).collect::<String>(), index)
}

#[cfg(test)]
mod tests;
