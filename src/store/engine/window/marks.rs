//! What is remembered of a message: keyed hashes of whose it is and of what it says.

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
    /// Keyed hash of the whole message.
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

/// The key of both hashes; random, kept on disk.
#[derive(Clone, Copy)]
pub(crate) struct HashKey(pub(crate) [u8; 16]);

impl HashKey {
    //= HT-PKT-03: by sender host and id
    /// What a message is recognised by.
    pub(crate) fn mark(&self, from: &PeerHost, id: &str) -> Mark {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(from.as_str().as_bytes());
        hasher.write(&[0]);
        hasher.write(id.as_bytes());
        let hash = hasher.finish128();
        Mark([hash.h1, hash.h2])
    }

    /// What its content is compared by: who makes two that look alike has but the first of them kept, as anybody has.
    pub(crate) fn content(&self, raw: &[u8]) -> u64 {
        let seed = self.0.first_chunk().map_or(0, |half| u64::from_be_bytes(*half));
        xxh3_64_with_seed(raw, seed)
    }

    /// Whether this is the content of a message that came first; what is remembered of long ago was made in another way.
    pub(crate) fn is_content(&self, first: u64, content: u64, raw: &[u8]) -> bool {
        first == content || first == SipHasher13::new_with_key(&self.0).hash(raw).h1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_of_what_is_remembered_of_long_ago_is_known_again() {
        let key = HashKey([7; 16]);
        let before = SipHasher13::new_with_key(&key.0).hash(b"{}").h1;
        let content = key.content(b"{}");
        assert_ne!(before, content);
        for first in [before, content] {
            assert!(key.is_content(first, content, b"{}"));
            assert!(!key.is_content(first, key.content(b"[]"), b"[]"));
        }
    }
}
