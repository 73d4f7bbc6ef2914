//! The pairs that a peer gave us, newest first: the newest, and behind it one that works and one that was shown.
//!
//! What an exchange brings does not displace a token that works: the one before the newest is kept until the newest has
//! had a 204 for a packet. A token that was answered with 401 is never shown again; its refresh token may be.

use std::time::Duration;

use crate::{
    link::{
        context::Context,
        dice::{Dice, thousandths},
    },
    token::fault::fault,
    wire::{
        exchange::{RefreshReply, TokenOffer},
        record::HeldRecord,
        secret::{Digest, HeldToken},
        time::{Now, Wall},
    },
};

/// The newest, the one that works, and one that was shown and not answered yet.
const HELD_MAX: usize = 3;

/// A pair that the peer gave us.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) record: HeldRecord,
    /// When it is refreshed.
    pub(super) renew_at: Wall,
    /// It was answered with 401: never shown again.
    rejected: bool,
    /// Its refresh token was refused.
    spent: bool,
    /// A packet was sent with it, as far as is known.
    shown: bool,
}

impl Held {
    //= HT-REF-14: at 3/4, with jitter
    fn new(record: HeldRecord, dice: &mut dyn Dice) -> Self {
        let life = record.expires.since(record.received);
        // At 3/4, less up to a tenth of the lifetime.
        let share = u32::try_from(750 - thousandths(dice) / 10).unwrap_or(750);
        let renew_at = record.received.plus(life.saturating_mul(share) / 1000);
        Self { record, renew_at, rejected: false, spent: false, shown: false }
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HeldTokens(Vec<Held>);

impl HeldTokens {
    pub(super) fn new(records: Vec<HeldRecord>, dice: &mut dyn Dice) -> Self {
        let held = |record| Held { shown: true, ..Held::new(record, dice) };
        Self(records.into_iter().take(HELD_MAX).map(held).collect())
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

    /// Whether one that the host surely gave opens.
    pub(super) fn has_sure(&self, now: Now) -> bool {
        self.0.iter().any(|held| (held.record.confirmed || held.record.sure) && held.opens(now.wall))
    }

    /// Whether a packet sent with this token was answered with 204.
    pub(super) fn has_confirmed(&self) -> bool {
        self.0.iter().any(|held| held.record.confirmed)
    }

    pub(super) fn is_confirmed(&self, token: &Digest) -> bool {
        self.place(token).and_then(|place| self.0.get(place)).is_some_and(|held| held.record.confirmed)
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
    /// An exchange brought a pair. `false`: it was there already, and can be refreshed as before.
    pub(super) fn take(&mut self, record: &HeldRecord, ctx: &mut Context<'_>) -> bool {
        if let Some(held) = self.0.iter_mut().find(|held| held.record.token == record.token) {
            // The same token anew: it lives as long as it is said now.
            let same = held.record.refresh.is_some() && held.record.refresh == record.refresh;
            let confirmed = held.record.confirmed;
            let anew = Held::new(HeldRecord { confirmed, ..record.clone() }, ctx.dice);
            *held = Held { spent: held.spent && same, shown: held.shown, ..anew };
            return !same;
        }
        self.0.retain(|held| !held.rejected);
        let works = self.0.iter().position(|held| held.record.confirmed && held.opens(ctx.now.wall));
        // The peer may have seen it, and then closes what is older: it may turn out to be the one that works.
        let shown = self.0.iter().position(|held| held.shown && !held.record.confirmed);
        let kept = [works.filter(|_| !fault!(Displaced)).or((shown.is_none()).then_some(0)), shown];
        let mut place = 0;
        self.0.retain(|_| {
            place += 1;
            kept.contains(&Some(place - 1))
        });
        self.0.insert(0, Held::new(record.clone(), ctx.dice));
        true
    }

    /// A refresh brought a pair for the one with the token `old`.
    pub(super) fn renew(&mut self, old: &Digest, record: &HeldRecord, ctx: &mut Context<'_>) {
        if let Some(held) = self.place(old).and_then(|place| self.0.get_mut(place)) {
            *held = Held::new(record.clone(), ctx.dice);
        } else if self.current(ctx.now).is_none() {
            self.take(record, ctx);
        } else {
            // A newer exchange has replaced the old pair, and the peer may close its family: it stands behind what opens.
            self.0.insert(1, Held::new(record.clone(), ctx.dice));
            self.0.truncate(HELD_MAX);
        }
    }

    /// A packet leaves with this token.
    pub(super) fn show(&mut self, token: &Digest) {
        if let Some(held) = self.place(token).and_then(|place| self.0.get_mut(place)) {
            held.shown = true;
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

    /// A packet sent with this token was answered with 403. Whether one that works takes its place: where nobody has shown yet
    /// that the host gave this one, the refusal says nothing of that one.
    pub(super) fn steps_back(&mut self, token: &Digest, now: Now) -> bool {
        let works = self.0.iter().any(|held| held.record.confirmed && held.opens(now.wall));
        let back = works && !self.is_confirmed(token);
        if back {
            self.0.retain(|held| held.record.token.digest() != *token);
        }
        back
    }

    /// Forgets what nobody will show or refresh any more. Whether there was anything of that.
    pub(super) fn sweep(&mut self, now: Now, refresh_lifetime: Duration) -> bool {
        let before = self.0.len();
        self.0.retain(|held| {
            let record = &held.record;
            let refreshable = held.refresh().is_some();
            // What was never used is no link: anybody may have brought it, for as long as he pleased.
            let most = if record.confirmed { record.expires } else { record.received };
            now.wall < most.plus(refresh_lifetime) && (refreshable || now.wall < record.expires)
        });
        self.0.len() != before
    }

    /// Forgets the rejected ones, with their refresh tokens.
    pub(super) fn drop_rejected(&mut self) {
        self.0.retain(|held| !held.rejected);
    }

    /// The refresh token beside this token was refused.
    pub(super) fn spend(&mut self, token: &Digest) {
        if let Some(held) = self.place(token).and_then(|place| self.0.get_mut(place)) {
            held.spent = !fault!(RefusedIsShown);
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn place(&self, token: &Digest) -> Option<usize> {
        self.0.iter().position(|held| held.record.token.digest() == *token)
    }
}

/// What was offered, as it came at `now`. `sure`: by the host itself.
pub(super) fn offered(offer: &TokenOffer, sure: bool, now: Now) -> HeldRecord {
    let pair = Some((offer.refresh.clone(), offer.dated));
    HeldRecord { sure, ..record(offer.token.clone(), pair, offer.lifetime, now) }
}

/// What a refresh brought at `now`. `confirmed`: the old token was.
pub(super) fn renewed(reply: RefreshReply, confirmed: bool, now: Now) -> HeldRecord {
    let pair = Some((reply.refresh, reply.dated));
    HeldRecord { confirmed, sure: true, ..record(reply.token, pair, reply.lifetime, now) }
}

/// An R3 token that came at `now`, by an exchange that we began: there is no other.
pub(super) fn single(token: HeldToken, lifetime: Duration, now: Now) -> HeldRecord {
    HeldRecord { sure: true, ..record(token, None, lifetime, now) }
}

fn record(token: HeldToken, pair: Option<(HeldToken, bool)>, lifetime: Duration, now: Now) -> HeldRecord {
    let (refresh, dated) = pair.map_or((None, true), |(refresh, dated)| (Some(refresh), dated));
    let (received, expires) = (now.wall, now.wall.plus(lifetime));
    HeldRecord { token, refresh, dated, received, expires, confirmed: false, sure: false }
}
