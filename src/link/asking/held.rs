//! The pairs that a peer gave us, newest first: the newest, and behind it one that works.
//!
//! What an exchange brings does not displace a token that works: the one before the newest is kept until the newest has
//! had a 204 for a packet. A token that was answered with 401 is never shown again; its refresh token may be.

use std::time::Duration;

use crate::{
    link::dice::{Dice, thousandths},
    wire::{
        exchange::{RefreshReply, TokenOffer},
        record::HeldRecord,
        secret::{Digest, HeldToken},
        time::{Now, Wall},
    },
};

/// The newest, and the one that works.
const HELD_MAX: usize = 2;

/// A pair that the peer gave us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) record: HeldRecord,
    /// When it is refreshed.
    pub(super) renew_at: Wall,
    /// It was answered with 401: never shown again.
    rejected: bool,
    /// Its refresh token was refused.
    spent: bool,
}

impl Held {
    //= HT-REF-14: at 3/4, with jitter
    fn new(record: HeldRecord, dice: &mut dyn Dice) -> Self {
        let life = record.expires.since(record.received);
        // At 3/4, less up to a tenth of the lifetime.
        let share = u32::try_from(750 - thousandths(dice) / 10).unwrap_or(750);
        let renew_at = record.received.plus(life.saturating_mul(share) / 1000);
        Self { record, renew_at, rejected: false, spent: false }
    }

    /// What it may be refreshed with: nothing with R3, and nothing where that was refused.
    pub(super) fn refresh(&self) -> Option<&HeldToken> {
        self.record.refresh.as_ref().filter(|_| !self.spent)
    }

    fn opens(&self, now: Wall) -> bool {
        !self.rejected && now < self.record.expires
    }
}

/// All that are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldTokens(Vec<Held>);

impl HeldTokens {
    pub(super) fn new(records: Vec<HeldRecord>, dice: &mut dyn Dice) -> Self {
        Self(records.into_iter().take(HELD_MAX).map(|record| Held::new(record, dice)).collect())
    }

    /// As they are stored: without those that were rejected.
    pub(super) fn records(&self) -> Vec<HeldRecord> {
        self.0.iter().filter(|held| !held.rejected).map(|held| held.record.clone()).collect()
    }

    //= HT-ASK-16: the newest
    /// The token to send with: the newest that opens.
    pub(super) fn current(&self, now: Now) -> Option<&HeldToken> {
        self.0.iter().find(|held| held.opens(now.wall)).map(|held| &held.record.token)
    }

    /// When that one runs out.
    pub(super) fn until(&self, now: Now) -> Option<Wall> {
        self.0.iter().find(|held| held.opens(now.wall)).map(|held| held.record.expires)
    }

    /// The newest.
    pub(super) fn newest(&self) -> Option<&Held> {
        self.0.first()
    }

    /// Whether the newest can be refreshed.
    pub(super) fn is_refreshable(&self) -> bool {
        self.newest().is_some_and(|held| held.refresh().is_some())
    }

    //= HT-ASK-13: the one that works stays
    /// An exchange brought a pair. `false`: it was there already.
    pub(super) fn take(&mut self, record: &HeldRecord, now: Now, dice: &mut dyn Dice) -> bool {
        if self.0.iter().any(|held| held.record.token == record.token) {
            return false;
        }
        self.0.retain(|held| !held.rejected);
        let works = self.0.iter().position(|held| held.record.confirmed && held.opens(now.wall)).unwrap_or(0);
        self.0 = self.0.drain(..).skip(works).take(HELD_MAX - 1).collect();
        self.0.insert(0, Held::new(record.clone(), dice));
        true
    }

    /// A refresh brought a pair for the one with the token `old`.
    pub(super) fn renew(&mut self, old: &Digest, record: &HeldRecord, now: Now, dice: &mut dyn Dice) {
        match self.place(old).and_then(|place| self.0.get_mut(place)) {
            Some(held) => *held = Held::new(record.clone(), dice),
            None => drop(self.take(record, now, dice)),
        }
    }

    /// A packet sent with this token was answered with 204: what is older goes. Whether that is news.
    pub(super) fn confirm(&mut self, token: &Digest) -> bool {
        let Some(place) = self.place(token) else { return false };
        let Some(held) = self.0.get_mut(place) else { return false };
        let newly = !std::mem::replace(&mut held.record.confirmed, true);
        let older = self.0.len() > place + 1;
        self.0.truncate(place + 1);
        newly || older
    }

    /// A packet sent with this token was answered with 401.
    pub(super) fn reject(&mut self, token: &Digest) {
        if let Some(held) = self.place(token).and_then(|place| self.0.get_mut(place)) {
            held.rejected = true;
        }
    }

    /// Forgets the rejected ones, with their refresh tokens.
    pub(super) fn drop_rejected(&mut self) {
        self.0.retain(|held| !held.rejected);
    }

    /// The refresh token beside this token was refused.
    pub(super) fn spend(&mut self, token: &Digest) {
        if let Some(held) = self.place(token).and_then(|place| self.0.get_mut(place)) {
            held.spent = true;
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn place(&self, token: &Digest) -> Option<usize> {
        self.0.iter().position(|held| held.record.token.digest() == *token)
    }
}

/// What was offered, as it came at `now`.
pub(super) fn offered(offer: &TokenOffer, now: Now) -> HeldRecord {
    let pair = Some((offer.refresh.clone(), offer.dated));
    record(offer.token.clone(), pair, offer.lifetime, now)
}

/// What a refresh brought at `now`.
pub(super) fn renewed(reply: RefreshReply, now: Now) -> HeldRecord {
    record(reply.token, Some((reply.refresh, reply.dated)), reply.lifetime, now)
}

/// An R3 token that came at `now`.
pub(super) fn single(token: HeldToken, lifetime: Duration, now: Now) -> HeldRecord {
    record(token, None, lifetime, now)
}

fn record(token: HeldToken, pair: Option<(HeldToken, bool)>, lifetime: Duration, now: Now) -> HeldRecord {
    let (refresh, dated) = pair.map_or((None, true), |(refresh, dated)| (Some(refresh), dated));
    let (received, expires) = (now.wall, now.wall.plus(lifetime));
    HeldRecord { token, refresh, dated, received, expires, confirmed: false }
}
