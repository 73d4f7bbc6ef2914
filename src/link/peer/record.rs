//! A peer's machine as it is stored: the link's record, and what a change writes.
//!
//! A change and the link as it will be with it are one commit. Mail, waits and asks are not stored: after a restart the
//! mail is read from the outbox, and what was asked is asked anew (`https-token`, "A crash between two steps").

use std::{collections::VecDeque, sync::Arc};

use super::Peer;
use crate::{
    link::{asking::Asking, context::Context, dice::Dice, event::Change, health::Health, settings::Settings},
    token::{
        families::Families,
        family::{Family, Subject},
    },
    wire::{
        family::FamilyRecord,
        parameters::Found,
        record::{LinkRecord, VaultWrite},
        secret::SECRET_BYTES,
        time::Now,
    },
};

impl Peer {
    //= HT-CRASH-01: asked anew
    /// A peer as stored. `found` is how it is spoken to: what the record says of that, under what is pinned by now.
    #[must_use]
    pub fn from_record(
        record: LinkRecord,
        found: Option<Found>,
        families: impl Iterator<Item = FamilyRecord>,
        settings: Arc<Settings>,
        dice: &mut dyn Dice,
    ) -> Self {
        let mut peer = Self::new(record.host, settings, dice);
        peer.asking = Asking::new(record.held, record.repeats, dice);
        peer.found = found.map(Box::new);
        peer.paused = record.paused;
        peer.sending.condemned = record.condemned;
        peer.families = Families::from_records(Subject::Peer(peer.host.clone()), families);
        peer.health = Health {
            tries: record.tries,
            failures: record.failures,
            heard: record.heard,
            succeeded: record.succeeded,
            failed: record.failed,
        };
        peer
    }

    //= HT-ASK-07, HT-GRANT-10: one commit
    /// The writes that keep a change: the link as it will be, the family that the change opens, those that made room.
    #[must_use]
    pub fn writes(&self, change: &Change, now: Now) -> Vec<VaultWrite> {
        let mut asking = self.asking.clone();
        let (mut out, mut dice) = (VecDeque::new(), NoDice);
        asking.on_kept(
            change,
            &mut Context {
                now,
                dice: &mut dice,
                settings: &self.settings,
                bounds: self.bounds(),
                out: &mut out,
            },
        );
        let mut writes = vec![VaultWrite::PutLink(Box::new(self.record_with(&asking)))];
        if let Some((family, pair)) = change.opens() {
            let subject = self.families.subject();
            writes.extend(
                self.outed.iter().map(|id| VaultWrite::DropFamily { subject: subject.to_text(), id: *id }),
            );
            if !self.families.iter().any(|open| open.id() == family) {
                let family = Family::open(subject, family, pair, now.wall);
                writes.push(VaultWrite::PutFamily(Box::new(family.to_record())));
            }
        }
        writes
    }

    /// The link as it is stored.
    #[must_use]
    pub fn record(&self) -> LinkRecord {
        self.record_with(&self.asking)
    }

    fn record_with(&self, asking: &Asking) -> LinkRecord {
        LinkRecord {
            host: self.host.clone(),
            held: asking.held_records(),
            repeats: asking.repeats().to_vec(),
            tries: self.health.tries,
            failures: self.health.failures,
            heard: self.health.heard,
            succeeded: self.health.succeeded,
            failed: self.health.failed.clone(),
            paused: self.paused,
            condemned: self.sending.condemned,
            published: self.found.as_ref().and_then(|found| found.published.clone()),
        }
    }
}

/// A record is a picture: what chance would decide in it is not stored.
struct NoDice;

impl Dice for NoDice {
    fn bytes(&mut self) -> [u8; SECRET_BYTES] {
        [0; SECRET_BYTES]
    }
}
