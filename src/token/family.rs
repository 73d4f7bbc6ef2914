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

use crate::wire::{
    host::PeerHost,
    limits::{SPENT_PER_FAMILY, UNDER_WAY},
    record::{FailureRecord, FamilyRecord, PairRecord, SpentRecord},
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

/// Digests of a fresh pair and how long each may live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPair {
    /// Of the access token.
    pub access: Digest,
    /// When it runs out.
    pub access_until: Wall,
    /// Of the refresh token.
    pub refresh: Digest,
    /// When it runs out.
    pub refresh_until: Wall,
}

/// One family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    record: FamilyRecord,
}

/// What showing an access token comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It opens; nothing changes.
    Known,
    /// It opens, for the first time: the family becomes this, committed no later than the answer to the call.
    First(Family),
    /// It opens nothing: never issued here, run out, retired or revoked.
    Unknown,
}

/// What showing a refresh token comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The fresh pair is the newest; commit the family, then hand the pair out.
    Fresh(Family),
    /// A replay: the family is closed; commit it, refuse, log a security event.
    Replayed(Family),
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

    /// Whether it was revoked.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.record.closed.is_some()
    }

    /// When the newest access token runs out; `None` where the family is closed.
    #[must_use]
    pub fn open_until(&self) -> Option<Wall> {
        (!self.is_closed()).then_some(self.record.current.access_until)
    }

    /// Whether everything that it ever issued has run out, replays included: it may be forgotten.
    #[must_use]
    pub fn is_over(&self, now: Wall) -> bool {
        let record = &self.record;
        let pairs = [Some(&record.current), record.previous.as_ref()];
        let pairs_over =
            pairs.iter().flatten().all(|pair| pair.access_until <= now && pair.refresh_until <= now);
        pairs_over && record.lingering.iter().chain(&record.spent).all(|spent| spent.until <= now)
    }

    /// Every digest that this family must be found by, with its door: also spent ones, so that a replay is seen.
    pub fn digests(&self) -> impl Iterator<Item = (Door, Digest)> + '_ {
        let record = &self.record;
        let pairs = std::iter::once(&record.current).chain(&record.previous);
        pairs
            .flat_map(|pair| [(Door::Access, pair.access), (Door::Refresh, pair.refresh)])
            .chain(record.lingering.iter().map(|spent| (Door::Access, spent.digest)))
            .chain(record.spent.iter().map(|spent| (Door::Refresh, spent.digest)))
    }

    /// Shows an access token.
    #[must_use]
    pub fn admit(&self, shown: &Digest, now: Wall) -> Admitted {
        let record = &self.record;
        if self.is_closed() {
            return Admitted::Unknown;
        }
        if record.current.access == *shown && now < record.current.access_until {
            return if record.current.used { Admitted::Known } else { Admitted::First(self.used(now)) };
        }
        let previous = record.previous.as_ref();
        let taken = previous.is_some_and(|pair| pair.access == *shown && now < pair.access_until)
            || record.lingering.iter().any(|spent| spent.digest == *shown && now < spent.until);
        if taken { Admitted::Known } else { Admitted::Unknown }
    }

    /// Shows a refresh token; `fresh` becomes the newest pair where it opens.
    #[must_use]
    pub fn rotate(&self, shown: &Digest, fresh: NewPair, now: Wall) -> Rotated {
        let record = &self.record;
        if self.is_closed() {
            return Rotated::Unknown;
        }
        if record.current.refresh == *shown {
            if now >= record.current.refresh_until {
                return Rotated::Unknown;
            }
            let mut next = self.used(now);
            next.record.previous = Some(next.record.current);
            next.record.current = issued(fresh, next.record.current.step + 1);
            return Rotated::Fresh(next);
        }
        if record.previous.as_ref().is_some_and(|pair| pair.refresh == *shown) {
            if record.previous.as_ref().is_some_and(|pair| now >= pair.refresh_until) {
                return Rotated::Unknown;
            }
            // The answer was lost: what it carried dies unused, so that one live successor exists.
            let mut next = self.clone();
            next.spend(record.current.refresh, record.current.refresh_until, now);
            next.record.current = issued(fresh, record.current.step + 1);
            return Rotated::Fresh(next);
        }
        if record.spent.iter().any(|spent| spent.digest == *shown) {
            return Rotated::Replayed(self.close("a spent refresh token was shown again", now));
        }
        Rotated::Unknown
    }

    /// Revokes it.
    #[must_use]
    pub fn close(&self, why: &str, now: Wall) -> Self {
        let mut next = self.clone();
        if next.record.closed.is_none() {
            next.record.closed = Some(FailureRecord { at: now, reason: why.to_owned() });
        }
        next
    }

    /// Lets it run out soon: packets under way are taken, nothing is refreshed any more.
    #[must_use]
    pub fn wind_down(&self, now: Wall) -> Self {
        let end = now.plus(UNDER_WAY);
        let mut next = self.clone();
        let record = &mut next.record;
        let pairs = std::iter::once(&mut record.current).chain(&mut record.previous);
        for pair in pairs {
            pair.access_until = pair.access_until.min(end);
            pair.refresh_until = pair.refresh_until.min(end);
        }
        next
    }

    /// The newest pair is used: the one before it is retired.
    fn used(&self, now: Wall) -> Self {
        let mut next = self.clone();
        next.record.current.used = true;
        if let Some(previous) = next.record.previous.take() {
            let until = previous.access_until.min(now.plus(UNDER_WAY));
            next.record.lingering.retain(|spent| spent.until > now);
            next.record.lingering.push(SpentRecord { digest: previous.access, until });
            next.spend(previous.refresh, previous.refresh_until, now);
        }
        next
    }

    fn spend(&mut self, digest: Digest, until: Wall, now: Wall) {
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
        refresh_until: pair.refresh_until,
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
        Self { access, access_until: now.plus(access_life), refresh, refresh_until: now.plus(refresh_life) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const T0: Wall = Wall(1_000_000);

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn pair(n: u32, now: Wall) -> NewPair {
        NewPair::new(digest(&format!("a{n}")), HOUR, digest(&format!("r{n}")), DAY, now)
    }

    fn family() -> Family {
        Family::open(&Subject::Peer(PeerHost::parse("b.test").unwrap()), 1, pair(0, T0), T0)
    }

    fn rotated(family: &Family, shown: &str, n: u32, now: Wall) -> Family {
        match family.rotate(&digest(shown), pair(n, now), now) {
            Rotated::Fresh(next) => next,
            other => panic!("{shown}: {other:?}"),
        }
    }

    fn used(family: &Family, shown: &str, now: Wall) -> Family {
        match family.admit(&digest(shown), now) {
            Admitted::First(next) => next,
            Admitted::Known => family.clone(),
            Admitted::Unknown => panic!("{shown} is not admitted"),
        }
    }

    fn opens(family: &Family, shown: &str, now: Wall) -> bool {
        family.admit(&digest(shown), now) != Admitted::Unknown
    }

    #[test]
    fn each_token_opens_its_own_door_only_and_until_it_runs_out() {
        let family = family();
        assert!(opens(&family, "a0", T0));
        assert!(!opens(&family, "r0", T0));
        assert_eq!(family.rotate(&digest("a0"), pair(1, T0), T0), Rotated::Unknown);
        assert!(!opens(&family, "a0", T0.plus(HOUR)));
        assert_eq!(family.rotate(&digest("r0"), pair(1, T0), T0.plus(DAY)), Rotated::Unknown);
    }

    #[test]
    fn an_old_pair_is_taken_until_the_new_one_is_used_and_its_access_token_30_s_longer() {
        let family = used(&family(), "a0", T0);
        let family = rotated(&family, "r0", 1, T0);
        assert!(opens(&family, "a0", T0) && opens(&family, "a1", T0));
        let later = T0.plus(Duration::from_secs(60));
        let family = used(&family, "a1", later);
        let under_way = later.plus(Duration::from_millis(29_999));
        assert!(opens(&family, "a0", under_way));
        assert!(!opens(&family, "a0", later.plus(UNDER_WAY)));
        assert!(opens(&family, "a1", under_way));
    }

    #[test]
    fn a_lost_answer_costs_nothing_and_leaves_one_live_successor() {
        let family = rotated(&family(), "r0", 1, T0);
        let family = rotated(&family, "r0", 2, T0);
        assert!(opens(&family, "a0", T0) && opens(&family, "a2", T0));
        assert!(!opens(&family, "a1", T0));
        let family = rotated(&family, "r0", 3, T0);
        let family = rotated(&family, "r3", 4, T0);
        assert!(opens(&family, "a3", T0) && opens(&family, "a4", T0));
    }

    #[test]
    fn a_spent_refresh_token_closes_the_family() {
        for (first_use, replay) in [("a1", "r0"), ("", "r0")] {
            let mut family = rotated(&family(), "r0", 1, T0);
            family = if first_use.is_empty() {
                rotated(&family, "r1", 2, T0)
            } else {
                used(&family, first_use, T0)
            };
            let Rotated::Replayed(closed) = family.rotate(&digest(replay), pair(9, T0), T0) else {
                panic!("a replay was not seen after {first_use:?}")
            };
            for token in ["a0", "a1", "a2"] {
                assert!(!opens(&closed, token, T0));
            }
            assert_eq!(closed.rotate(&digest("r1"), pair(9, T0), T0), Rotated::Unknown);
        }
    }

    #[test]
    fn a_refresh_token_of_a_pair_that_died_unused_closes_the_family_too() {
        let family = rotated(&family(), "r0", 1, T0);
        let family = rotated(&family, "r0", 2, T0);
        assert!(matches!(family.rotate(&digest("r1"), pair(9, T0), T0), Rotated::Replayed(_)));
    }

    #[test]
    fn the_chain_holds_for_any_number_of_refreshes_and_remembers_64_spent_ones() {
        let mut family = family();
        for n in 1..200_u32 {
            family = rotated(&family, &format!("r{}", n - 1), n, T0);
            family = used(&family, &format!("a{n}"), T0);
        }
        assert_eq!(family.to_record().spent.len(), SPENT_PER_FAMILY);
        assert!(matches!(family.rotate(&digest("r190"), pair(999, T0), T0), Rotated::Replayed(_)));
        assert_eq!(family.rotate(&digest("r1"), pair(999, T0), T0), Rotated::Unknown);
        assert_eq!(Family::from_record(family.to_record()), family);
    }

    #[test]
    fn it_is_over_when_nothing_of_it_could_be_shown_any_more() {
        let family = used(&rotated(&family(), "r0", 1, T0), "a1", T0);
        assert!(!family.is_over(T0.plus(HOUR)));
        assert!(family.is_over(T0.plus(DAY)));
        let winding = family.wind_down(T0);
        assert!(opens(&winding, "a1", T0));
        assert!(!opens(&winding, "a1", T0.plus(UNDER_WAY)));
        assert_eq!(winding.rotate(&digest("r1"), pair(2, T0), T0.plus(UNDER_WAY)), Rotated::Unknown);
    }
}
