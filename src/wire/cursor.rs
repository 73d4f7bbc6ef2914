//! Places in inboxes, and the opaque text that apps are given of them.

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
        format!("{:x}.{:08x}", self.0, inbox_check(service))
    }

    /// Reads what `encode` wrote; `None` for any other text and for a place of another inbox.
    #[must_use]
    pub fn decode(text: &str, service: &ServiceKey) -> Option<Self> {
        let (place, _) = text.split_once('.')?;
        let cursor = Self(u64::from_str_radix(place, 16).ok()?);
        (cursor.encode(service) == text).then_some(cursor)
    }
}

fn inbox_check(service: &ServiceKey) -> u32 {
    let digest = Digest::of(service.to_string().as_bytes());
    digest.as_bytes().iter().take(4).fold(0, |sum, byte| sum << 8 | u32::from(*byte))
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
