//! What is true in every state: the named rules of the proof that a state alone can show.
//!
//! - (a) a token opens a host only for the host that it was given to, over that host's name, at its own door
//! - (b) no exchange is confirmed that its owner did not begin or answer
//! - (c) a stranger revokes, replaces and delays no token that works, and gets none of his own into use
//! - (d) both sides ask at once: both are linked. (e) an answer is lost anywhere: both are linked again
//! - (f) when the network is well, both are linked after a bounded number of steps
//! - (g) one live successor per family at most. (h) a spent refresh token never yields a pair
//! - (i) refreshes and exchanges are bounded in bounded time
//!
//! (a), (b), (h) and (i) are judged where they happen (`doors`, `hands`), (d), (e), (f) and the delay of (c) in `well`.

use crate::{
    token::family::{Admitted, NewPair, Rotated},
    wire::{parameters::Form, record::HeldRecord, secret::Digest},
};

use super::{naming::maker, world::*};

impl World {
    /// The first rule that this state breaks.
    pub(super) fn judge(&self) -> Option<String> {
        self.broken.clone().or_else(|| self.judge_state().err())
    }

    fn judge_state(&self) -> Result<(), String> {
        for at in HONEST {
            for of in self.hosts[at].others() {
                self.judge_successors(at, of)?;
            }
        }
        for at in HONEST {
            for of in self.hosts[at].others() {
                self.judge_held(at, of)?;
            }
            self.judge_working(at, 1 - at)?;
            for Offer { of, pair, .. } in &self.hosts[at].offered {
                if self.opens(at, *of, &pair.access) {
                    return Err("(b) what is only offered opens".to_owned());
                }
            }
        }
        Ok(())
    }

    /// Whose tokens `at` holds as those of `of`.
    fn judge_held(&self, at: Place, of: Place) -> Result<(), String> {
        for held in self.held(at, of) {
            let is_theirs = maker(&held.token.digest()) == of;
            // A host of R1 that says 204 to grants that it never asked for: what came with the forged request is tried once.
            let is_tried = self.scene.vouches(of) && !held.confirmed;
            if !is_theirs && !is_tried {
                return Err("(c) a host holds a token as another host's that it did not make".to_owned());
            }
        }
        Ok(())
    }

    /// Tokens that work go on working.
    fn judge_working(&self, at: Place, of: Place) -> Result<(), String> {
        let now = self.now().wall;
        let held: Vec<_> = self.held(at, of).into_iter().filter(|held| now < held.expires).collect();
        let stands = |held: &HeldRecord| {
            let shown = held.token.digest();
            self.opens(of, at, &shown) || self.is_pending(of, at, &shown)
        };
        let Some(newest) = held.first() else {
            let lost = self.scene.linked && self.scene.is_calm();
            return if lost { Err("(c) a token that works is held no more".to_owned()) } else { Ok(()) };
        };
        let any = held.iter().any(&stands);
        // The newest too, where nothing but strangers' requests happens, and a forged one in the name of `at` is refused by it
        // or proves nothing. Where both asked at once, what is offered may be held before it opens.
        let refuses = !self.scene.yes(at) || self.scene.forms[of] == Form::State;
        let is_sure =
            self.scene.linked && self.scene.is_calm() && refuses && self.scene.likely && !self.crossed;
        if is_sure && maker(&newest.token.digest()) == of && !stands(newest) {
            return Err("(c) the newest token opens nothing".to_owned());
        }
        let is_known = held.iter().any(|held| held.confirmed) || (self.scene.linked && self.scene.is_calm());
        // A host of R1 that says 204 to all vouches for what it never asked for, or has forgotten: when answers are lost at the
        // same time, nobody can tell which of the tokens works. Both must be linked again all the same.
        let is_blurred = self.scene.vouches(of) && !self.scene.is_calm();
        if is_known && !any && !self.stale && !is_blurred {
            return Err("(c) no token opens, and one did".to_owned());
        }
        Ok(())
    }

    // `https-token`, "Refreshing": the unused one dies
    fn judge_successors(&self, at: Place, of: Place) -> Result<(), String> {
        let side = self.side(at, of);
        let live = |refresh: &Digest| {
            let fresh = NewPair::single(*refresh, model_settings().token_lifetime, false, self.now().wall);
            let rotate =
                |family: &crate::token::family::Family| family.rotate(refresh, fresh, self.now().wall);
            side.peer.families().iter().any(|family| matches!(rotate(family), Rotated::Fresh(_)))
        };
        for pair in &side.seen.successors {
            let twins = side.seen.successors.iter().filter(|twin| twin.of == pair.of && live(&twin.refresh));
            if twins.count() > 1 {
                return Err("(g) two successors of one pair live".to_owned());
            }
        }
        Ok(())
    }

    /// The tokens of `of` that `at` would show, newest first.
    pub(super) fn held(&self, at: Place, of: Place) -> Vec<HeldRecord> {
        self.side(at, of).peer.record().held
    }

    /// Whether this access token of `at` opens for `of`.
    pub(super) fn opens(&self, at: Place, of: Place, shown: &Digest) -> bool {
        let families = self.side(at, of).peer.families();
        families.iter().any(|family| family.admit(shown, self.now().wall) != Admitted::Unknown)
    }

    /// Whether it is neither valid nor unknown: its grant is not settled.
    fn is_pending(&self, at: Place, of: Place, shown: &Digest) -> bool {
        self.hosts[at].offered.iter().any(|offer| offer.of == of && offer.pair.access == *shown)
    }
}
