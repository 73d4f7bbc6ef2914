//! Places in inboxes, and the opaque text that apps are given of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{packet::ServiceKey, secret::Digest};

/// A place in one service's inbox: grows with arrival, starts at 1. 0 stands before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub u64);

impl Cursor {
    //= NODE-API-08: opaque
    /// The opaque text that apps are given: the place, and a check that it is a place of this inbox.
    #[must_use]
    pub fn encode(self, service: &ServiceKey) -> String {
        Cursors::of(service).text(self).to_string()
    }

    /// Reads what `encode` wrote; `None` for any other text and for a place of another inbox.
    #[must_use]
    pub fn decode(text: &str, service: &ServiceKey) -> Option<Self> {
        let (place, _) = text.split_once('.')?;
        let cursor = Self(u64::from_str_radix(place, 16).ok()?);
        (cursor.encode(service) == text).then_some(cursor)
    }
}

/// Writes many cursors of one inbox.
#[derive(Clone, Copy, Debug)]
pub struct Cursors {
    check: u32,
}

impl Cursors {
    /// Those of this inbox.
    #[must_use]
    pub fn of(service: &ServiceKey) -> Self {
        let digest = Digest::of(service.to_string().as_bytes());
        let check = digest.as_bytes().iter().take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        Self { check }
    }

    /// As `Cursor::encode`.
    pub fn text(self, cursor: Cursor) -> impl fmt::Display + use<> {
        fmt::from_fn(move |f| write!(f, "{:x}.{:08x}", cursor.0, self.check))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= NODE-API-08
    #[test]
    fn a_cursor_opens_only_the_inbox_that_it_is_of() {
        let (one, other) = (ServiceKey::new("p", "s"), ServiceKey::new("p", "t"));
        let text = Cursor(258).encode(&one);
        assert_eq!(Cursor::decode(&text, &one), Some(Cursor(258)));
        assert_eq!(Cursor::decode(&text, &other), None);
        for bad in ["", "258", "+1.0", "x.y", "0102.00000000"] {
            assert_eq!(Cursor::decode(bad, &one), None, "{bad}");
        }
    }
}
