//! Messages for services that nobody runs here: how many, from whom, under which names. Bounded: peers choose the names.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use schemars::JsonSchema;
use serde::Serialize;

use super::views::{Moment, rfc3339};
use crate::wire::{host::PeerHost, limits::IGNORED_SERVICES, packet::ServiceKey, time::Wall};

/// Messages of one host for one service that does not run here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Ignored")]
pub struct IgnoredView {
    /// Who sent them.
    pub from: PeerHost,
    /// The protocol that they name.
    pub protocol: String,
    /// The service that they name.
    pub service: String,
    /// How many since the start of the node.
    pub messages: u64,
    /// When the last one came.
    #[serde(serialize_with = "rfc3339")]
    #[schemars(with = "Moment")]
    pub last_at: Wall,
}

#[derive(Debug, Default)]
struct Counts {
    named: BTreeMap<(PeerHost, ServiceKey), (u64, Wall)>,
    others: u64,
}

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Ignored(Mutex<Counts>);

impl Ignored {
    /// One more.
    pub(super) fn count(&self, from: &PeerHost, service: &ServiceKey, now: Wall) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (from.clone(), service.clone());
        if counts.named.len() >= IGNORED_SERVICES && !counts.named.contains_key(&key) {
            counts.others += 1;
            return;
        }
        let (messages, last) = counts.named.entry(key).or_default();
        *messages += 1;
        *last = now;
    }

    /// All that are named, and how many messages beyond them are not.
    pub(super) fn list(&self) -> (Vec<IgnoredView>, u64) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let view =
            |((from, service), (messages, last)): (&(PeerHost, ServiceKey), &(u64, Wall))| IgnoredView {
                from: from.clone(),
                protocol: service.protocol().to_owned(),
                service: service.service().to_owned(),
                messages: *messages,
                last_at: *last,
            };
        (counts.named.iter().map(view).collect(), counts.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_what_is_beyond_is_counted() {
        let (ignored, peer) = (Ignored::default(), PeerHost::parse("b.test").unwrap());
        for n in 0..IGNORED_SERVICES + 10 {
            ignored.count(&peer, &ServiceKey::new("p", &format!("s{n:04}")), Wall(n as u64));
        }
        ignored.count(&peer, &ServiceKey::new("P", "s0000"), Wall(7));
        let (named, others) = ignored.list();
        assert_eq!((named.len(), others), (IGNORED_SERVICES, 10));
        assert_eq!((named[0].messages, named[0].last_at), (2, Wall(7)));
    }
}
