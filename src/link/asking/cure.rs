//! What packets say of their token. After a 401: the token before the newest, else refresh once, exchange once, back off.

use super::{After401, Asking};
use crate::wire::{secret::Digest, time::Now};

/// How far the cure for 401 has come since the last 204.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Cure {
    None,
    Refreshed,
    Exchanged,
}

impl Asking {
    /// A packet leaves with this token.
    pub(in crate::link) fn on_shown(&mut self, token: &Digest) {
        self.held.show(token);
    }

    /// A packet sent with this token was answered with 204. Whether the held tokens changed.
    pub(in crate::link) fn on_confirmed(&mut self, token: &Digest) -> bool {
        self.cure = Cure::None;
        self.held.confirm(token)
    }

    /// A packet sent with this token was answered with 401.
    pub(in crate::link) fn on_401(&mut self, token: &Digest, now: Now) -> After401 {
        //= HT-SEND-08: with the current one
        let shown_is_current = self.current(now).is_some_and(|current| current.digest() == *token);
        self.held.reject(token);
        //= HT-ASK-14: the previous one first
        if self.current(now).is_some() {
            if shown_is_current {
                // The newest one never worked: the one before it is the current one from here.
                self.held.drop_rejected();
            }
            return After401::SendAgain;
        }
        //= HT-SEND-09: refresh once, exchange once
        match self.cure {
            Cure::None if self.held.is_refreshable() => {
                self.cure = Cure::Refreshed;
                self.refresh_wanted = !self.renewal.is_under_way() && !self.renewal.is_held_back();
                After401::Wait
            }
            Cure::None | Cure::Refreshed => {
                self.cure = Cure::Exchanged;
                self.drop_held();
                self.connect_wanted = !self.is_asking();
                After401::Wait
            }
            // An older token: the exchange that cures it has not come to its end yet.
            Cure::Exchanged if self.connect_wanted || self.is_asking() => {
                self.drop_held();
                After401::Wait
            }
            // The cure stays where it is: after the back-off one more exchange is the probe.
            //= HT-SEND-10: the link has failed
            Cure::Exchanged => {
                self.drop_held();
                After401::Failed
            }
        }
    }
}
