//! Keys and values as they lie on disk.
//!
//! Numbers are big-endian, so that keys sort as their numbers do. A value opens with the version of its own layout;
//! one that this program does not know is `Damaged`, as is one that ends too early. Layouts of version 1:
//!
//! ```text
//! inbox    received u64 | from text | the message         several: `bundle`
//! outbox   queued u64 | expires u64 | id text | the message   several: `bundle`
//! dead     id text | the message
//! seen     hash 16 | peer u32 | received u64 | content u64    several: `bundle`
//! status   content 32 | state u8 | place u64 | tries-before u64 | attempts u64 | queued u64 | ended u64+1 or 0
//!          | host text | protocol text | service text | last error text, where there is one
//! small    a number, or JSON
//! text     length u16 | bytes
//! ```

use std::sync::Arc;

use bytes::Bytes;

use super::kv::Space;
use crate::{
    store::StoreError,
    wire::{
        host::PeerHost,
        packet::ServiceKey,
        record::{MessageState, MessageStatus},
        time::Wall,
    },
};

const VERSION: u8 = 1;

/// First byte of a key in `Space::Small`; `o` is the store's own.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Small {
    /// A peer's number.
    Peer = b'p',
    /// A service's number and its last cursor.
    Service = b's',
    /// What an app has acknowledged.
    App = b'a',
    /// A link.
    Link = b'l',
    /// A family.
    Family = b'f',
    /// Which messages of a bundle in the outbox are settled.
    Settled = b'm',
}

/// Key of the highest place in the outbox that ever was.
pub(crate) const SEQ_KEY: &[u8] = b"oseq";
/// Key of the key that the window hashes with.
pub(crate) const HASH_KEY: &[u8] = b"ohash";
/// Key of the last wall time that was seen and believed.
pub(crate) const CLOCK_KEY: &[u8] = b"oclock";

/// Key of how far the tables have the log.
pub(crate) const REACH_KEY: &[u8] = b"oreach";
/// Begins the keys of how many bytes are live in a segment of the log.
pub(crate) const LIVE_KEY: &[u8] = b"olive";
/// Key, in each space, of the last commit of the log that changed the space; behind all that a reader asks for.
pub(crate) const MARK_KEY: &[u8] = &[0xff; 24];

/// Whether a small key is one of `REACH_KEY` and `LIVE_KEY`, which say nothing outside of the folder that they lie in.
pub(crate) fn is_of_the_log(key: &[u8]) -> bool {
    key == REACH_KEY || key.starts_with(LIVE_KEY)
}

/// A key of number and place: inbox and outbox.
pub(crate) fn place(number: u32, at: u64) -> Vec<u8> {
    [&number.to_be_bytes()[..], &at.to_be_bytes()].concat()
}

/// Takes such a key apart.
pub(crate) fn split_place(key: &[u8]) -> Option<(u32, u64)> {
    let (number, at) = key.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*number), u64::from_be_bytes(at.try_into().ok()?)))
}

/// Takes a key of 8 bytes apart.
pub(crate) fn split_at(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// The key of what is known of a message; opens with a byte of its own, since no key may be empty.
pub(crate) fn status_key(id: &str) -> Vec<u8> {
    status_key_of(id.as_bytes())
}

/// The same, from the bytes of the id.
pub(crate) fn status_key_of(id: &[u8]) -> Vec<u8> {
    [b"i", id].concat()
}

/// A key of time and id.
pub(crate) fn ended_key(at: Wall, id: &str) -> Vec<u8> {
    [&at.0.to_be_bytes()[..], id.as_bytes()].concat()
}

/// A key in the small space.
pub(crate) fn small(kind: Small, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![kind as u8];
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// The bounds of one kind of small key.
pub(crate) fn small_range(kind: Small) -> (Vec<u8>, Vec<u8>) {
    (vec![kind as u8], vec![kind as u8 + 1])
}

/// The key of an inbox itself.
pub(crate) fn service_key(service: &ServiceKey) -> Vec<u8> {
    let mut put = Put::bare(vec![Small::Service as u8]);
    put.text(service.protocol());
    put.text(service.service());
    put.0
}

/// A family's key; without an id the prefix of all of its subject.
pub(crate) fn family_key(subject: &str, id: Option<u64>) -> Vec<u8> {
    let mut put = Put::bare(vec![Small::Family as u8]);
    put.text(subject);
    if let Some(id) = id {
        put.u64(id);
    }
    put.0
}

/// An app's cursor in one inbox.
pub(crate) fn app_key(app: &str, service: u32) -> Vec<u8> {
    small(Small::App, &[&service.to_be_bytes(), app.as_bytes()])
}

/// What cannot be read, by its name.
pub(crate) fn damaged(space: Space, key: &[u8]) -> StoreError {
    let shown = key.escape_ascii().take(120).map(char::from).collect::<String>();
    StoreError::Damaged(format!("{}/{shown} cannot be read", space.name()).into())
}

/// Writes a value.
#[derive(Debug, Default)]
pub(crate) struct Put(pub(crate) Vec<u8>);

impl Put {
    pub(crate) fn new(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity + 1);
        bytes.push(VERSION);
        Self(bytes)
    }

    pub(crate) fn bare(start: Vec<u8>) -> Self {
        Self(start)
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.bytes(&number.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.bytes(&number.to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// At most 65,535 bytes of it; what is longer is cut at a character.
    pub(crate) fn text(&mut self, text: &str) {
        let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
        self.bytes(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.bytes(text.as_bytes());
    }
}

/// Reads a value.
pub(crate) struct Take<'a>(&'a [u8]);

impl<'a> Take<'a> {
    pub(crate) fn new(value: &'a [u8]) -> Option<Self> {
        Self::of(value, VERSION)
    }

    pub(crate) fn of(value: &'a [u8], layout: u8) -> Option<Self> {
        let (version, rest) = value.split_first()?;
        (*version == layout).then_some(Self(rest))
    }

    /// Of a value that opens with these bytes.
    pub(crate) fn of_magic(value: &'a [u8], magic: &[u8]) -> Option<Self> {
        value.strip_prefix(magic).map(Self)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        std::str::from_utf8(self.slice(length)?).ok()
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// A message in an inbox.
pub(crate) struct Arrived<'a> {
    pub(crate) received: Wall,
    pub(crate) from: &'a str,
    pub(crate) raw: &'a [u8],
}

impl<'a> Arrived<'a> {
    pub(crate) fn decode(value: &'a [u8]) -> Option<Self> {
        let mut take = Take::new(value)?;
        Some(Self { received: Wall(take.u64()?), from: take.text()?, raw: take.rest() })
    }
}

/// A message in the outbox.
pub(crate) struct Queued<'a> {
    pub(crate) queued: Wall,
    pub(crate) expires: Wall,
    pub(crate) id: &'a str,
    pub(crate) raw: &'a [u8],
}

impl<'a> Queued<'a> {
    pub(crate) fn decode(value: &'a [u8]) -> Option<Self> {
        let mut take = Take::new(value)?;
        Some(Self {
            queued: Wall(take.u64()?),
            expires: Wall(take.u64()?),
            id: take.text()?,
            raw: take.rest(),
        })
    }
}

/// What is known of an outgoing message, with what the engine needs.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Digest of its content.
    pub(crate) content: [u8; 32],
    /// Where its bytes are: place in the outbox, or order of death.
    pub(crate) place: u64,
    pub(crate) status: MessageStatus,
}

impl Known {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let status = &self.status;
        let mut put = Put::new(160);
        put.bytes(&self.content);
        put.bytes(&[match status.state {
            MessageState::Queued => 0,
            MessageState::Delivered => 1,
            MessageState::Dead => 2,
        }]);
        for number in [self.place, status.tries_before, status.attempts, status.queued.0] {
            put.u64(number);
        }
        put.u64(status.ended.map_or(0, |at| at.0.saturating_add(1)));
        put.text(status.host.as_str());
        put.text(status.sender.protocol());
        put.text(status.sender.service());
        if let Some(error) = &status.last_error {
            put.text(error);
        }
        put.0
    }

    pub(crate) fn decode(id: &str, value: &[u8]) -> Option<Self> {
        let mut take = Take::new(value)?;
        let content = take.array()?;
        let state = match take.array::<1>()? {
            [0] => MessageState::Queued,
            [1] => MessageState::Delivered,
            [2] => MessageState::Dead,
            _ => return None,
        };
        let (place, tries_before, attempts) = (take.u64()?, take.u64()?, take.u64()?);
        let (queued, ended) = (Wall(take.u64()?), take.u64()?.checked_sub(1).map(Wall));
        let host = PeerHost::parse(take.text()?).ok()?;
        let sender = ServiceKey::new(take.text()?, take.text()?);
        let last_error = if take.0.is_empty() { None } else { Some(take.text()?.to_owned()) };
        let id = Arc::from(id);
        let status =
            MessageStatus { id, host, sender, state, tries_before, attempts, last_error, queued, ended };
        Some(Self { content, place, status })
    }
}

/// The message of a record, on its own.
pub(crate) fn owned(raw: &[u8]) -> Bytes {
    Bytes::copy_from_slice(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            content: [7; 32],
            place: 9,
            status: MessageStatus {
                id: "m-1".into(),
                host: PeerHost::parse("beta.test:8443").unwrap(),
                sender: ServiceKey::new("Mail", "Tray"),
                state: MessageState::Dead,
                tries_before: 3,
                attempts: 4,
                last_error: Some("no route".into()),
                queued: Wall(5),
                ended: Some(Wall(0)),
            },
        }
    }

    #[test]
    fn a_status_reads_back_as_it_was_written() {
        let known = known();
        let read = Known::decode("m-1", &known.encode()).unwrap();
        assert_eq!((read.status, read.content, read.place), (known.status, known.content, known.place));
    }

    #[test]
    fn a_value_that_ends_early_or_is_of_another_version_is_not_read() {
        let whole = known().encode();
        for end in 0..whole.len() - 10 {
            assert!(Known::decode("m-1", &whole[..end]).is_none(), "{end}");
        }
        let mut newer = whole;
        newer[0] = 2;
        assert!(Known::decode("m-1", &newer).is_none());
    }

    #[test]
    fn keys_sort_as_their_numbers_do() {
        assert!(place(1, u64::MAX) < place(2, 0));
        assert!(place(2, 255) < place(2, 256));
        assert_eq!(split_place(&place(3, 4)), Some((3, 4)));
    }
}
