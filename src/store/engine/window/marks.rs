//! What is remembered of a message: a keyed hash of whose it is, and what it says.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13, SipHasher24};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{
    store::engine::codec::{Put, Take},
    wire::{host::PeerHost, time::Wall},
};

/// Keyed hash of host and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) [u64; 2]);

/// One message that came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    /// Order of arrival, unique.
    pub(crate) arrival: u64,
    pub(crate) mark: Mark,
    pub(crate) peer: u32,
    pub(crate) received: Wall,
    /// What it says, summed up.
    pub(crate) content: u64,
}

impl Sighting {
    pub(crate) fn write(&self, put: &mut Put) {
        self.mark.0.iter().for_each(|half| put.u64(*half));
        put.u32(self.peer);
        put.u64(self.received.0);
        put.u64(self.content);
    }

    pub(crate) fn read(arrival: u64, take: &mut Take<'_>) -> Option<Self> {
        let mark = Mark([take.u64()?, take.u64()?]);
        Some(Self { arrival, mark, peer: take.u32()?, received: Wall(take.u64()?), content: take.u64()? })
    }
}

/// The key of what is hashed; random, kept on disk.
#[derive(Clone, Copy)]
pub(crate) struct HashKey(pub(crate) [u8; 16]);

impl HashKey {
    //= HT-PKT-03: by sender host and id
    /// What the messages of a host are recognised by.
    pub(crate) fn marks_of(&self, from: &PeerHost) -> MarksOf {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(from.as_str().as_bytes());
        hasher.write(&[0]);
        MarksOf(hasher)
    }

    /// Whether this is the content of the message that came first. What is remembered of long ago was made of the whole message, in
    /// one way or another.
    pub(crate) fn is_content(&self, first: u64, content_sum: u64, raw: &[u8]) -> bool {
        let seed = || self.0.first_chunk().map_or(0, |half| u64::from_be_bytes(*half));
        first == content_sum
            || first == xxh3_64_with_seed(raw, seed())
            || first == SipHasher13::new_with_key(&self.0).hash(raw).h1
    }
}

/// A host, hashed.
pub(crate) struct MarksOf(SipHasher24);

impl MarksOf {
    /// What a message of it is recognised by.
    pub(crate) fn mark(&self, id: &str) -> Mark {
        let mut hasher = self.0;
        hasher.write(id.as_bytes());
        let hash = hasher.finish128();
        Mark([hash.h1, hash.h2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::packet::content_sum;

    #[test]
    fn what_is_remembered_of_long_ago_is_known_again() {
        let key = HashKey([7; 16]);
        let sip = SipHasher13::new_with_key(&key.0).hash(b"{\"payload\":{}}").h1;
        let seeded = xxh3_64_with_seed(b"{\"payload\":{}}", 0x0707_0707_0707_0707);
        let now = content_sum(&[], "{}");
        assert!(now != sip && now != seeded && sip != seeded);
        for first in [sip, seeded, now] {
            assert!(key.is_content(first, now, b"{\"payload\":{}}"));
            assert!(!key.is_content(first, content_sum(&[], "[]"), b"{\"payload\":[]}"));
        }
    }
}
