//! What operators, and the rules for strangers' requests, are shown of a machine.

use std::time::Duration;

use super::Peer;
use crate::{
    link::eviction::Worth,
    token::family::Family,
    wire::{
        parameters::Revision,
        time::{Mono, Now, Wall},
    },
};

/// What operators are shown of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// An exchange is under way.
    pub asking: bool,
    /// When the token that we send with runs out.
    pub held_until: Option<Wall>,
    /// The revision by which it came.
    pub held_by: Option<Revision>,
    /// When the next try is due, while it rests.
    pub rests_until: Option<Mono>,
    /// An operator wants nothing sent.
    pub paused: bool,
    /// Messages of the packet that is under way.
    pub in_flight: usize,
    /// When the newest token of ours runs out.
    pub given_until: Option<Wall>,
    /// The revision by which it was given.
    pub given_by: Option<Revision>,
    /// Whether a token of ours is out that the peer has shown or has proven to hold: its 204 for an R3 grant proves nothing.
    pub given_surely: bool,
    /// Families of ours that stand open.
    pub families: usize,
}

/// How a peer stands, for judging a request in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// We hold an unexpired token of it, which a stranger cannot have brought.
    pub holds: bool,
    /// A family that anybody could have caused would find a place.
    pub has_room: bool,
}

/// How long an operator can read why a try failed where nothing else is known of the peer.
const FAILURE_KEPT: Duration = Duration::from_secs(3600);

impl Standing {
    /// Of a peer of which nothing is known.
    #[must_use]
    pub fn blank() -> Self {
        Self { holds: false, has_room: true }
    }
}

impl Peer {
    /// Whether an operator wants nothing sent.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// When the rest after a failure ends.
    #[must_use]
    pub fn rests_until(&self) -> Option<Mono> {
        self.rest.map(|rest| rest.until)
    }

    /// What operators are shown.
    #[must_use]
    pub fn look(&self, now: Now) -> Look {
        let open = || self.families.iter().filter(|family| family.open_until() > now.wall);
        let held_by = self.asking.held_revision();
        let pairs = held_by.filter(|by| *by != Revision::R3).unwrap_or(Revision::R1);
        let newest = open().max_by_key(|family| (family.opened(), family.id()));
        Look {
            asking: self.asking.is_asking(),
            held_until: self.asking.held_until(now),
            held_by: self.asking.held_until(now).and(held_by),
            rests_until: self.rests_until(),
            paused: self.paused,
            in_flight: self.sending.in_flight(),
            given_until: self.families.open_until(now.wall),
            given_by: newest.map(|newest| if newest.is_single() { Revision::R3 } else { pairs }),
            given_surely: open().any(Family::is_surely_held),
            families: open().count(),
        }
    }

    /// How much the link is worth where there are too many; `None` where no token is held in either direction.
    #[must_use]
    pub fn worth(&self) -> Option<Worth> {
        let exchanged = self.families.iter().map(Family::opened).max();
        if exchanged.is_none() && self.asking.held_records().is_empty() {
            return None;
        }
        let used = self.families.iter().any(Family::is_used) || self.asking.is_confirmed();
        Some(Worth { used, last: self.health.heard.max(self.health.succeeded).max(exchanged) })
    }

    /// How it stands when somebody asks in its name.
    #[must_use]
    pub fn standing(&self, now: Now) -> Standing {
        Standing { holds: self.asking.has_sure(now), has_room: self.families.has_room_for_unsure(now.wall) }
    }

    /// Whether there is a link: tokens that the peer gave, or tokens of ours that it has shown to hold.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        !self.asking.held_records().is_empty() || self.families.iter().any(Family::is_surely_held)
    }

    /// Whether nothing is known or under way, nor why a try failed of late: the machine may be dropped.
    #[must_use]
    pub fn is_blank(&self, now: Now) -> bool {
        let failed = self.health.failed.as_ref().filter(|failed| now.wall.since(failed.at) < FAILURE_KEPT);
        !self.asking.is_asking()
            && self.asking.held_until(now).is_none()
            && self.families.iter().count() == 0
            && !self.paused
            && !self.sending.has_mail()
            && self.keeping.is_empty()
            && self.asking.held_records().is_empty()
            && self.grant_keys().next().is_none()
            && failed.is_none()
    }
}
