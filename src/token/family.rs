//! A family: one grant of rights to one subject, with the pairs that it went through.
//!
//! ```text
//!            rotate(current)                     first use of the new pair
//!  [current] ---------------> [previous|current] -------------------------> [current] + lingering access (30 s)
//!                                  ^      |                                           + spent refresh
//!                                  |      | rotate(previous): the answer was lost; the unused pair dies
//!                                  +------+
//!  a spent refresh token, or one of a pair that died unused, shown again: replay, the family closes
//! ```
//!
//! Source: `https-token`, "Refreshing"; `token-core`, "Rotation, one rule with one knob". The knob for peers: an old
//! pair is taken until its successor is first used, and its access token 30 s longer.

use std::time::Duration;

use super::fault::fault;
use crate::wire::{
    family::{FailureRecord, FamilyRecord, PairRecord, RefreshRecord, SpentRecord},
    host::PeerHost,
    limits::{LINGERING_PER_FAMILY, SPENT_PER_FAMILY, UNDER_WAY},
    secret::Digest,
    time::Wall,
};

/// To whom a family was issued.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A federated host.
    Peer(PeerHost),
}

const PEER_PREFIX: &str = "peer:";

impl Subject {
    /// As records write it.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Peer(host) => format!("{PEER_PREFIX}{host}"),
        }
    }

    /// From a record; `None` where this version does not know such a subject.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        text.strip_prefix(PEER_PREFIX).and_then(|host| PeerHost::parse(host).ok()).map(Self::Peer)
    }
}

/// The door that a digest opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    /// Packets.
    Access,
    /// Refreshes.
    Refresh,
}

/// Digests of a fresh pair and how long each may live. For an R3 peer an access token alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NewPair {
    /// Of the access token.
    pub access: Digest,
    /// When it runs out.
    pub access_until: Wall,
    /// The refresh token; none with R3.
    pub refresh: Option<RefreshRecord>,
    /// Anybody could have caused it: an R3 request proves nothing, nor does the 204 that its grant is answered with, and it
    /// came from an address that is not likely the host's. Such a family takes the place of no other kind.
    pub unsure: bool,
}

/// One family.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Family {
    record: FamilyRecord,
}

/// What showing an access token comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It opens; nothing changes.
    Known,
    /// It opens, for the first time: the family becomes this, committed no later than the answer to the call.
    First(Box<Family>),
    /// It opens nothing: never issued here, run out, retired or revoked.
    Unknown,
}

/// What showing a refresh token comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The fresh pair is the newest; commit the family, then hand the pair out.
    Fresh(Box<Family>),
    /// A replay: the family is closed; commit it, refuse, log a security event.
    Replayed(Box<Family>),
    /// It opens nothing here.
    Unknown,
}

impl Family {
    /// A family with its first pair.
    #[must_use]
    pub fn open(subject: &Subject, id: u64, pair: NewPair, now: Wall) -> Self {
        Self {
            record: FamilyRecord {
                subject: subject.to_text(),
                id,
                opened: now,
                offered: false,
                revoked: false,
                unsure: pair.unsure,
                closed: None,
                current: issued(pair, 0),
                previous: None,
                lingering: Vec::new(),
                spent: Vec::new(),
            },
        }
    }

    /// As stored.
    #[must_use]
    pub fn from_record(record: FamilyRecord) -> Self {
        Self { record }
    }

    /// For storing.
    #[must_use]
    pub fn to_record(&self) -> FamilyRecord {
        self.record.clone()
    }

    /// Unique per subject.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.record.id
    }

    /// When it was opened.
    #[must_use]
    pub fn opened(&self) -> Wall {
        self.record.opened
    }

    /// Whether any of its tokens was ever used.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.record.current.used || self.record.current.step > 0
    }

    /// Whether anybody could have caused it, and nothing has shown since that the subject has it.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        self.record.unsure && !self.is_used()
    }

    /// Whether its subject surely has its tokens: it said so when it took them, which an R3 host's 204 does not say, or has shown
    /// one.
    #[must_use]
    pub fn is_surely_held(&self) -> bool {
        !self.is_single() || self.is_used()
    }

    /// Whether it came by R3: an access token and no refresh token.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.record.current.refresh.is_none()
    }

    /// Whether it was revoked or replaced, and that moment has come.
    #[must_use]
    pub fn is_closed(&self, now: Wall) -> bool {
        self.record.revoked || self.closes().is_some_and(|at| at <= now)
    }

    /// When the newest access token runs out, or the family closes before that.
    #[must_use]
    pub fn open_until(&self) -> Wall {
        if self.record.revoked {
            return Wall(0);
        }
        let until = self.record.current.access_until;
        self.closes().map_or(until, |at| at.min(until))
    }

    fn closes(&self) -> Option<Wall> {
        self.record.closed.as_ref().map(|closed| closed.at)
    }

    /// Whether nothing that it ever issued could have an effect any more: it is closed, or all of it has run out, replays
    /// included. It may be forgotten.
    #[must_use]
    pub fn is_over(&self, now: Wall) -> bool {
        if self.is_closed(now) {
            return true;
        }
        let record = &self.record;
        let pairs = [Some(&record.current), record.previous.as_ref()];
        let pairs_over = pairs
            .iter()
            .flatten()
            .all(|pair| pair.access_until <= now && pair.refresh.is_none_or(|refresh| refresh.until <= now));
        pairs_over && record.lingering.iter().chain(&record.spent).all(|spent| spent.until <= now)
    }

    /// Every digest that this family must be found by, with its door: also spent ones, so that a replay is seen.
    pub fn digests(&self) -> impl Iterator<Item = (Door, Digest)> + '_ {
        let record = &self.record;
        let pairs = std::iter::once(&record.current).chain(&record.previous);
        pairs
            .flat_map(|pair| {
                let refresh = pair.refresh.map(|refresh| (Door::Refresh, refresh.digest));
                std::iter::once((Door::Access, pair.access)).chain(refresh)
            })
            .chain(record.lingering.iter().map(|spent| (Door::Access, spent.digest)))
            .chain(record.spent.iter().map(|spent| (Door::Refresh, spent.digest)))
    }

    //= SEED-PACKET-2: an error when the bearer opens nothing
    /// Shows an access token.
    #[must_use]
    pub fn admit(&self, shown: &Digest, now: Wall) -> Admitted {
        let record = &self.record;
        if self.is_closed(now) {
            return Admitted::Unknown;
        }
        if record.current.access == *shown && now < record.current.access_until {
            return if record.current.used {
                Admitted::Known
            } else {
                Admitted::First(Box::new(self.used(now)))
            };
        }
        let previous = record.previous.as_ref();
        let taken = previous.is_some_and(|pair| pair.access == *shown && now < pair.access_until)
            || record.lingering.iter().any(|spent| spent.digest == *shown && now < spent.until);
        let elsewhere =
            fault!(AnyDoor) && record.current.refresh.is_some_and(|refresh| refresh.digest == *shown);
        if taken || elsewhere { Admitted::Known } else { Admitted::Unknown }
    }

    //= SEED-REFRESH-1, SEED-REFRESH-2: both new when it is valid; an error when it is not
    //= HT-REF-21: any number
    /// Shows a refresh token; `fresh` becomes the newest pair where it opens.
    #[must_use]
    pub fn rotate(&self, shown: &Digest, fresh: NewPair, now: Wall) -> Rotated {
        let record = &self.record;
        if self.is_closed(now) {
            return Rotated::Unknown;
        }
        if let Some(refresh) = record.current.refresh.filter(|refresh| refresh.digest == *shown) {
            if now >= refresh.until {
                return Rotated::Unknown;
            }
            let mut next = self.used(now);
            //= HT-REF-05: the old pair stays
            next.record.previous = Some(next.record.current).filter(|_| !fault!(OldPairDies));
            next.record.current = issued(fresh, next.record.current.step + 1);
            return Rotated::Fresh(Box::new(next));
        }
        //= HT-REF-06, HT-CRASH-03: the unused pair dies; the answer was lost
        let previous = record.previous.and_then(|pair| pair.refresh);
        if let Some(refresh) = previous.filter(|refresh| refresh.digest == *shown) {
            if now >= refresh.until {
                return Rotated::Unknown;
            }
            // The answer was lost: what it carried dies unused, so that one live successor exists.
            let mut next = self.clone();
            next.spend(record.current.refresh, now);
            if fault!(TwoSuccessors) {
                next.record.previous = Some(record.current);
            }
            next.record.current = issued(fresh, record.current.step + 1);
            return Rotated::Fresh(Box::new(next));
        }
        //= HT-REF-09: a replay closes the family
        if record.spent.iter().any(|spent| spent.digest == *shown && now < spent.until) {
            return Rotated::Replayed(Box::new(self.close("a spent refresh token was shown again", now)));
        }
        Rotated::Unknown
    }

    /// Revokes it.
    #[must_use]
    pub fn close(&self, why: &str, now: Wall) -> Self {
        let mut next = self.closed_at(why, now);
        next.record.revoked = true;
        next
    }

    //= HT-ASK-18: 30 s later
    /// A newer one replaces it: packets under way are taken, then it is closed, with what it issues meanwhile.
    #[must_use]
    pub fn wind_down(&self, now: Wall) -> Self {
        self.closed_at("a newer exchange's tokens are used", now.plus(UNDER_WAY))
    }

    fn closed_at(&self, why: &str, at: Wall) -> Self {
        let mut next = self.clone();
        if next.closes().is_none_or(|before| at < before) {
            next.record.closed = Some(FailureRecord { at, reason: why.to_owned() });
        }
        next
    }

    /// The newest pair is used: the one before it is retired. The first use of all ends a winding down: both asked at once,
    /// and of the two exchanges this is the one that the subject takes for the newer.
    fn used(&self, now: Wall) -> Self {
        let mut next = self.clone();
        if !self.is_used() && !fault!(NoSecondUse) {
            next.record.closed = None;
        }
        next.record.current.used = true;
        if !fault!(SpentOpens)
            && let Some(previous) = next.record.previous.take()
        {
            //= HT-REF-07: 30 s more
            let until = previous.access_until.min(now.plus(UNDER_WAY));
            next.record.lingering.retain(|spent| spent.until > now);
            next.record.lingering.push(SpentRecord { digest: previous.access, until });
            let over = next.record.lingering.len().saturating_sub(LINGERING_PER_FAMILY);
            next.record.lingering.drain(..over);
            next.spend(previous.refresh, now);
        }
        next
    }

    //= HT-REF-12: the last 64
    fn spend(&mut self, refresh: Option<RefreshRecord>, now: Wall) {
        let Some(RefreshRecord { digest, until }) = refresh else { return };
        let spent = &mut self.record.spent;
        spent.retain(|old| old.until > now);
        spent.push(SpentRecord { digest, until });
        let over = spent.len().saturating_sub(SPENT_PER_FAMILY);
        spent.drain(..over);
    }
}

fn issued(pair: NewPair, step: u32) -> PairRecord {
    PairRecord {
        step,
        access: pair.access,
        access_until: pair.access_until,
        refresh: pair.refresh,
        used: false,
    }
}

impl NewPair {
    /// From the digests of a fresh pair made at `now`.
    #[must_use]
    pub fn new(
        access: Digest,
        access_life: Duration,
        refresh: Digest,
        refresh_life: Duration,
        now: Wall,
    ) -> Self {
        let refresh = Some(RefreshRecord { digest: refresh, until: now.plus(refresh_life) });
        Self { access, access_until: now.plus(access_life), refresh, unsure: false }
    }

    /// An access token alone, for an R3 peer.
    #[must_use]
    pub fn single(access: Digest, life: Duration, unsure: bool, now: Wall) -> Self {
        Self { access, access_until: now.plus(life), refresh: None, unsure }
    }
}

#[cfg(test)]
mod tests;
