//! All families of one subject: at most four, the newest that was used closes the older ones.
//!
//! A family comes to be *offered* (a grant of ours is in flight: neither valid nor unknown) or open at once (a grant
//! that we accepted). Source: `https-token`, "Being asked".

use super::family::{Admitted, Door, Family, NewPair, Rotated, Subject};
use crate::wire::{family::FamilyRecord, limits::FAMILIES_PER_PEER, secret::Digest, time::Wall};

/// The families of one subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Families {
    subject: Subject,
    /// Oldest first.
    open: Vec<Family>,
}

/// Families that an operation changed: to be committed, in this order, with what the operation is part of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// To be written.
    pub put: Vec<FamilyRecord>,
    /// To be forgotten, by id.
    pub dropped: Vec<u64>,
}

impl Families {
    /// None yet.
    #[must_use]
    pub fn new(subject: Subject) -> Self {
        Self { subject, open: Vec::new() }
    }

    //= HT-CRASH-02: what was offered is nothing
    /// As stored. Families that were only offered are left out: their grant's outcome is not known, the peer exchanges
    /// anew (`https-token`, "A crash between two steps").
    #[must_use]
    pub fn from_records(subject: Subject, records: impl Iterator<Item = FamilyRecord>) -> Self {
        let mut open: Vec<_> = records.filter(|record| !record.offered).map(Family::from_record).collect();
        open.sort_by_key(|family| (family.opened(), family.id()));
        open.shrink_to_fit();
        Self { subject, open }
    }

    /// Whose they are.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Family> {
        self.open.iter()
    }

    /// When the newest access token that opens runs out.
    #[must_use]
    pub fn open_until(&self, now: Wall) -> Option<Wall> {
        self.open.iter().map(Family::open_until).filter(|until| *until > now).max()
    }

    /// Opens a family; where there are too many, one makes room. Opening the same id again changes nothing; so does one that
    /// takes nobody's place where there is none.
    pub fn open(&mut self, id: u64, pair: NewPair, now: Wall) -> Changes {
        let room = self.make_room(id, pair.unsure, now);
        let mut changes = Changes { put: Vec::new(), dropped: room.dropped };
        if room.fits && self.open.iter().all(|family| family.id() != id) {
            let family = Family::open(&self.subject, id, pair, now);
            changes.put.push(family.to_record());
            // Most have one: a vector that grows by itself would have room for four.
            self.open.reserve_exact(1);
            self.open.push(family);
        }
        changes
    }

    //= HT-ASK-17: at most 4, the oldest never used goes first
    /// Forgets what is over, and one more where a family `id` would be one too many: the oldest that is unsure, else the
    /// oldest never used, else the oldest. One that is `unsure` itself takes the place only of its own kind, and of those of
    /// which nothing was used before the access token ran out.
    pub fn make_room(&mut self, id: u64, unsure: bool, now: Wall) -> Room {
        let mut room = Room { dropped: self.sweep(now).dropped, fits: true };
        while self.open.len() >= FAMILIES_PER_PEER && self.open.iter().all(|family| family.id() != id) {
            let sure = || {
                let unused = self.open.iter().position(|family| !family.is_used());
                (!unsure).then(|| unused.unwrap_or(0))
            };
            let Some(place) = self.open.iter().position(|family| yields(family, now)).or_else(sure) else {
                room.fits = false;
                break;
            };
            room.dropped.push(self.open.remove(place).id());
        }
        room
    }

    /// Whether a family that is unsure would find a place.
    #[must_use]
    pub fn has_room_for_unsure(&self, now: Wall) -> bool {
        let stands = |family: &&Family| !family.is_over(now);
        self.open.iter().filter(stands).count() < FAMILIES_PER_PEER
            || self.open.iter().any(|family| yields(family, now))
    }

    /// Whether an access token opens, without showing it.
    #[must_use]
    pub fn admits(&self, shown: &Digest, now: Wall) -> bool {
        self.open.iter().any(|family| family.admit(shown, now) != Admitted::Unknown)
    }

    //= HT-ASK-16: every unexpired one
    /// Shows an access token: `None` where it opens nothing, else what has to be committed with the call.
    pub fn admit(&mut self, shown: &Digest, now: Wall) -> Option<Changes> {
        let (place, admitted) = self.open.iter().enumerate().find_map(|(place, family)| {
            let admitted = family.admit(shown, now);
            (admitted != Admitted::Unknown).then_some((place, admitted))
        })?;
        let Admitted::First(next) = admitted else { return Some(Changes::default()) };
        Some(self.first_use(place, *next, now))
    }

    /// Shows a refresh token; `fresh` becomes the newest pair of its family where it opens. `Err` says whether it was a
    /// replay, which closed the family.
    ///
    /// # Errors
    /// `NotRotated` when the token opens nothing.
    pub fn rotate(&mut self, shown: &Digest, fresh: NewPair, now: Wall) -> Result<Changes, NotRotated> {
        for place in 0..self.open.len() {
            let Some(family) = self.open.get(place) else { break };
            match family.rotate(shown, fresh, now) {
                Rotated::Unknown => {}
                Rotated::Fresh(next) => return Ok(self.first_use(place, *next, now)),
                Rotated::Replayed(next) => {
                    let changes = Changes { put: vec![next.to_record()], dropped: Vec::new() };
                    self.replace(place, *next);
                    return Err(NotRotated::Replayed(changes));
                }
            }
        }
        Err(NotRotated::Unknown)
    }

    /// Whether `digest` stands in one of them for this door.
    #[must_use]
    pub fn knows(&self, door: Door, digest: &Digest) -> bool {
        self.open.iter().flat_map(Family::digests).any(|(at, known)| at == door && known == *digest)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.open.clear();
    }

    /// Forgets families of which nothing could be shown any more.
    pub fn sweep(&mut self, now: Wall) -> Changes {
        let dropped = self.open.iter().filter(|family| family.is_over(now)).map(Family::id).collect();
        self.open.retain(|family| !family.is_over(now));
        Changes { put: Vec::new(), dropped }
    }

    /// The family at `place` becomes `next`; when that is its first use, older ones wind down.
    fn first_use(&mut self, place: usize, next: Family, now: Wall) -> Changes {
        let newly = !self.open.get(place).is_some_and(Family::is_used);
        let mut changes = Changes { put: vec![next.to_record()], dropped: Vec::new() };
        self.replace(place, next);
        if newly {
            for older in self.open.iter_mut().take(place).filter(|family| !family.is_closed(now)) {
                *older = older.wind_down(now);
                changes.put.push(older.to_record());
            }
        }
        changes
    }

    fn replace(&mut self, place: usize, next: Family) {
        if let Some(family) = self.open.get_mut(place) {
            *family = next;
        }
    }
}

/// Whether a family makes room for any other.
fn yields(family: &Family, now: Wall) -> bool {
    family.is_unsure() || (!family.is_used() && family.open_until() <= now)
}

/// What making room came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Ids of the families that went.
    pub dropped: Vec<u64>,
    /// Whether there is a place now.
    pub fits: bool,
}

/// A refresh token that opened nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRotated {
    /// Unknown, run out or revoked.
    Unknown,
    /// Spent: its family is closed; commit that, then refuse.
    Replayed(Changes),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::{host::PeerHost, limits::UNDER_WAY};

    const T0: Wall = Wall(1_000_000);

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn pair(name: &str) -> NewPair {
        let hour = Duration::from_secs(3600);
        NewPair::new(digest(&format!("a{name}")), hour, digest(&format!("r{name}")), hour * 24, T0)
    }

    fn families() -> Families {
        Families::new(Subject::Peer(PeerHost::parse("b.test").unwrap()))
    }

    //= HT-ASK-16, HT-ASK-18
    #[test]
    fn every_unexpired_token_is_taken_until_a_newer_exchange_is_used() {
        let mut all = families();
        all.open(1, pair("1"), T0);
        all.open(2, pair("2"), T0);
        assert!(all.admit(&digest("a1"), T0).is_some());
        assert!(all.admit(&digest("a2"), T0).is_some());
        let under_way = T0.plus(UNDER_WAY);
        assert!(all.admit(&digest("a1"), Wall(under_way.0 - 1)).is_some());
        assert!(all.admit(&digest("a1"), under_way).is_none());
        assert!(all.admit(&digest("a2"), under_way).is_some());
    }

    #[test]
    fn a_single_family_has_room_for_itself_alone() {
        let mut all = families();
        all.open(1, pair("1"), T0);
        assert_eq!(all.open.capacity(), 1);
        let records = all.iter().map(Family::to_record).collect::<Vec<_>>();
        let roomy = records.into_iter().chain(std::iter::empty());
        assert_eq!(Families::from_records(all.subject.clone(), roomy).open.capacity(), 1);
    }

    #[test]
    fn using_an_older_family_does_not_close_a_newer_one() {
        let mut all = families();
        all.open(1, pair("1"), T0);
        all.open(2, pair("2"), T0);
        all.admit(&digest("a1"), T0);
        assert!(all.admit(&digest("a2"), T0.plus(UNDER_WAY)).is_some());
    }

    //= HT-ASK-15, HT-ASK-18
    #[test]
    fn an_older_exchange_that_is_first_used_while_it_winds_down_stays() {
        let mut all = families();
        all.open(1, pair("1"), T0);
        all.open(2, pair("2"), T0);
        all.admit(&digest("a2"), T0);
        let changes = all.admit(&digest("a1"), T0.plus(UNDER_WAY / 2)).unwrap();
        assert_eq!(
            changes.put.iter().map(|record| (record.id, record.closed.is_some())).collect::<Vec<_>>(),
            [(1, false)]
        );
        let later = T0.plus(UNDER_WAY * 2);
        assert!(all.admit(&digest("a1"), later).is_some());
        assert!(all.admit(&digest("a2"), later).is_some());
        all.open(3, pair("3"), later);
        all.admit(&digest("a3"), later);
        let end = later.plus(UNDER_WAY);
        assert!(all.admit(&digest("a1"), end).is_none() && all.admit(&digest("a2"), end).is_none());
    }

    //= HT-ASK-17
    #[test]
    fn of_five_the_oldest_never_used_goes() {
        let mut all = families();
        all.open(1, pair("1"), T0);
        all.admit(&digest("a1"), T0);
        for id in 2..=5 {
            all.open(id, pair(&id.to_string()), T0);
        }
        assert!(all.admit(&digest("a1"), T0).is_some());
        assert!(all.admit(&digest("a2"), T0).is_none());
        assert_eq!(all.iter().count(), FAMILIES_PER_PEER);
    }

    #[test]
    fn a_replay_closes_its_own_family_only() {
        let mut all = families();
        all.open(1, pair("1"), T0);
        all.rotate(&digest("r1"), pair("1b"), T0).unwrap();
        all.rotate(&digest("r1b"), pair("1c"), T0).unwrap();
        all.open(2, pair("2"), T0);
        assert!(matches!(all.rotate(&digest("r1"), pair("x"), T0), Err(NotRotated::Replayed(_))));
        assert!(all.admit(&digest("a1c"), T0).is_none());
        assert!(all.admit(&digest("a2"), T0).is_some());
    }

    #[test]
    fn opening_the_same_family_again_changes_nothing() {
        let mut all = families();
        all.open(1, pair("1"), T0);
        assert_eq!(all.open(1, pair("other"), T0), Changes::default());
        assert!(all.knows(Door::Access, &digest("a1")));
        assert!(!all.knows(Door::Access, &digest("r1")));
    }

    //= HT-CRASH-02
    #[test]
    fn what_was_only_offered_does_not_come_back() {
        let mut record = Family::open(&families().subject, 7, pair("7"), T0).to_record();
        record.offered = true;
        let all = Families::from_records(families().subject, [record].into_iter());
        assert_eq!(all.iter().count(), 0);
    }

    #[test]
    fn what_nobody_used_before_its_token_ran_out_yields_to_anything() {
        let mut all = families();
        for id in 1..=4 {
            all.open(id, pair(&id.to_string()), T0);
        }
        let unsure = NewPair::single(digest("s"), Duration::from_secs(60), true, T0);
        assert!(!all.has_room_for_unsure(T0));
        assert!(!all.make_room(5, true, T0).fits);
        let later = T0.plus(Duration::from_secs(3601));
        assert!(all.has_room_for_unsure(later));
        all.open(5, unsure, later);
        assert_eq!(all.iter().map(Family::id).collect::<Vec<_>>(), [2, 3, 4, 5]);
    }
}
