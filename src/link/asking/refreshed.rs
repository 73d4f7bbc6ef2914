//! What a refresh came to: new tokens, once more later, or an exchange.

use std::time::Duration;

use super::{Asking, Cure, Outcome, Refused, Renewal, held};
use crate::{
    link::{
        context::Context,
        event::{Change, Fact},
    },
    wire::{exchange::RefreshReply, secret::Digest},
};

/// With no token left to send with, a refresh that gets no answer is tried this often before an exchange.
const REFRESH_TRIES: u32 = 3;

impl Asking {
    /// New tokens came, or did not.
    pub(in crate::link) fn on_refreshed(
        &mut self,
        reply: Result<RefreshReply, Refused>,
        ctx: &mut Context<'_>,
    ) -> (Option<Change>, Outcome) {
        let Renewal::Running { old, tries } = self.renewal else {
            self.renewal.end_abandoned();
            return (None, Outcome::Quiet);
        };
        match reply {
            Ok(reply) => {
                //= HT-REF-17: committed, then used
                self.renewal = Renewal::Keeping { tries };
                let held = held::renewed(reply, self.held.is_confirmed(&old), ctx.now);
                (Some(Change::Renewed { old, held }), Outcome::Quiet)
            }
            Err(Refused { again: true, asked, reason }) => {
                (None, self.on_refresh_failed(&old, asked, reason, ctx))
            }
            Err(Refused { again: false, reason, .. }) => {
                self.on_refresh_refused(&old, reason, ctx);
                (None, Outcome::Quiet)
            }
        }
    }

    fn on_refresh_failed(
        &mut self,
        old: &Digest,
        asked: Option<Duration>,
        reason: String,
        ctx: &mut Context<'_>,
    ) -> Outcome {
        self.renewal.rest(asked, ctx);
        ctx.note(Fact::RefreshFailed(reason.clone()));
        if self.current(ctx.now).is_some() {
            return Outcome::Quiet;
        }
        if self.renewal.tries() >= REFRESH_TRIES {
            // A refresh path that only fails must not hold the mail for ever: exchange anew.
            self.held.spend(old);
            self.renewal = Renewal::Idle;
        }
        // What the peer asked for holds the refresh alone: a token that comes otherwise is used.
        Outcome::Failed(format!("refresh: {reason}"))
    }

    //= HT-REF-20: requested anew, mail stays
    fn on_refresh_refused(&mut self, old: &Digest, reason: String, ctx: &mut Context<'_>) {
        self.renewal = Renewal::Idle;
        self.held.spend(old);
        if !self.held.is_refreshable() {
            self.cure = Cure::Exchanged;
            self.connect_wanted = !self.is_asking();
        }
        ctx.note(Fact::RefreshRefused(reason));
    }
}
