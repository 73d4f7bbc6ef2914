//! Changes on their way to the disk, one at a time: handed over, then applied or let go.
//!
//! What arrives meanwhile lines up. A link that is forgotten while a change is on its way stays forgotten: on disk the
//! end of the link comes after the change, and here the change is not applied.

use super::Peer;
use crate::link::{
    context::Context,
    event::{Action, Change, Fact},
    health::Health,
};

impl Peer {
    /// Forgets the link: tokens in both directions. The mail stays, and with it the history. Then `Woken`, as after any event.
    pub fn forget(&mut self) {
        if self.asking.is_asking() {
            let reason = "request: the link was forgotten meanwhile".to_owned();
            self.out.push_back(Action::Note(Fact::AskFailed(reason)));
        }
        self.asking.forget();
        self.families.clear();
        if !self.sending.has_mail() {
            self.health = Health { tries: self.health.tries, ..Health::default() };
            self.sending.condemned = 0;
        }
        self.rest = None;
        self.seeking = None;
        self.forgotten = !self.keeping.is_empty();
        let later = self.keeping.split_off(self.keeping.len().min(1));
        for change in later {
            match change {
                Change::Granted { call, .. } => {
                    self.out.push_back(Action::AnswerGrant { call, verdict: None });
                }
                // It was offered before the end of the link.
                Change::Taken { family, .. } => self.out.push_back(Action::Untaken { family }),
                Change::Renewed { .. } => {}
            }
        }
    }

    /// Hands a change over, or lines it up behind the one that is on its way.
    pub(super) fn keep(&mut self, change: Change, ctx: &mut Context<'_>) {
        self.keeping.push_back(change);
        if self.keeping.len() == 1 {
            self.hand_over(ctx);
        }
    }

    fn hand_over(&mut self, ctx: &mut Context<'_>) {
        while let Some(change) = self.keeping.front() {
            let Some((family, pair)) = change.opens() else {
                self.outed.clear();
                break;
            };
            // Now, so that the disk and the memory agree on which family made room.
            let room = self.families.make_room(family, pair.unsure, ctx.now.wall);
            self.outed = room.dropped;
            if room.fits {
                break;
            }
            ctx.out.push_back(Action::Untaken { family });
            self.keeping.pop_front();
        }
        if let Some(change) = self.keeping.front() {
            ctx.out.push_back(Action::Keep(change.clone()));
        }
    }

    pub(super) fn on_kept(&mut self, ctx: &mut Context<'_>) {
        let Some(change) = self.keeping.pop_front() else { return };
        if std::mem::take(&mut self.forgotten) {
            return self.on_lost(&change, ctx);
        }
        self.asking.on_kept(&change, ctx);
        match change {
            Change::Granted { call, opens, .. } => {
                if let Some((family, pair)) = opens {
                    self.families.open(family, pair, ctx.now.wall);
                }
                ctx.note(Fact::GrantAccepted);
                //= HT-GRANT-10: then 204
                ctx.out.push_back(Action::AnswerGrant { call, verdict: Some(Ok(())) });
                self.come_up(ctx);
            }
            Change::Taken { held, family, pair } => {
                self.families.open(family, pair, ctx.now.wall);
                ctx.note(Fact::GrantTaken { surely: held.is_some() });
                //= HT-REV-17: an R3 peer's 204 proves nothing
                if held.is_some() {
                    self.come_up(ctx);
                }
            }
            Change::Renewed { .. } => {}
        }
        self.hand_over(ctx);
    }

    pub(super) fn on_not_kept(&mut self, ctx: &mut Context<'_>) {
        let Some(change) = self.keeping.pop_front() else { return };
        self.forgotten = false;
        self.on_lost(&change, ctx);
    }

    /// A change came to nothing.
    fn on_lost(&mut self, change: &Change, ctx: &mut Context<'_>) {
        self.asking.on_not_kept(change, ctx);
        if let Change::Granted { call, .. } = change {
            ctx.out.push_back(Action::AnswerGrant { call: *call, verdict: None });
        }
        self.hand_over(ctx);
    }
}
