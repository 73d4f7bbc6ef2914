//! Messages that are written alike.
//!
//! What a host sends in one packet mostly differs in `id` and `payload` alone, and its encoder writes the same properties in the
//! same order. A message that has, byte for byte, all else as the one before says the same in it: only its id and its payload are
//! read. JSON is read from left to right, so that equal bytes before and after leave nothing else to be said.

use serde::de::IgnoredAny;

/// What varies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Varies {
    /// What stands between the quotes of the id.
    Id,
    /// The payload, an object.
    Payload,
}

/// A message without what varies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    start: &'a str,
    first: Varies,
    middle: &'a str,
    second: Varies,
    end: &'a str,
}

impl<'a> Shape<'a> {
    /// The shape of a message, `id` and `payload` being parts of it. `None` where they are not: an id with an escape is not read
    /// where it stands.
    pub(super) fn of(message: &'a str, id: &str, payload: &str) -> Option<Self> {
        let (id, payload) = (place(message, id)?, place(message, payload)?);
        let (first, second, one, other) = if id.1 <= payload.0 {
            (Varies::Id, Varies::Payload, id, payload)
        } else {
            (Varies::Payload, Varies::Id, payload, id)
        };
        let (start, middle, end) =
            (message.get(..one.0)?, message.get(one.1..other.0)?, message.get(other.1..)?);
        Some(Self { start, first, middle, second, end })
    }

    /// What the message that a text opens with says in its own way; `None` where it has another shape or is at fault.
    pub(super) fn read<'b>(&self, text: &'b str) -> Option<Varied<'b>> {
        let rest = text.strip_prefix(self.start)?;
        let (one, rest) = varying(self.first, rest)?;
        let (other, rest) = varying(self.second, rest.strip_prefix(self.middle)?)?;
        let rest = rest.strip_prefix(self.end)?;
        let (id, payload) = if self.first == Varies::Id { (one, other) } else { (other, one) };
        Some(Varied { id, payload, length: text.len() - rest.len() })
    }
}

/// What varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Varied<'a> {
    pub(super) id: &'a str,
    pub(super) payload: &'a str,
    /// Bytes of the whole message.
    pub(super) length: usize,
}

/// Where a part of a text begins and ends in it.
fn place(text: &str, part: &str) -> Option<(usize, usize)> {
    let from = part.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
    let to = from.checked_add(part.len())?;
    (to <= text.len()).then_some((from, to))
}

/// What varies, and what follows it.
fn varying(what: Varies, text: &str) -> Option<(&str, &str)> {
    let length = match what {
        // An escape or what no string may hold is left to the one that reads all.
        Varies::Id => text.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ')?,
        Varies::Payload if text.starts_with('{') => {
            let mut reader = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
            reader.next()?.ok()?;
            reader.byte_offset()
        }
        Varies::Payload => return None,
    };
    text.split_at_checked(length)
}
