//! How the peer is spoken to: learned before each exchange, and anew before anything is decided on what may be old.
//!
//! ```text
//!   packet: 404, 405, 410 --> looked up anew --others than before--> sent again, under them
//!                                            --the same, or no answer--> refused: the link backs off
//!   a token and mail, and nothing known --> looked up --found--> sent     --not found--> the link backs off
//!   a message larger than the peer announces --> looked up where that is old --still so--> set aside, ten in a row at most
//! ```
//!
//! Source: `https-token`, "Sending"; `ymp`, "Host information".

use super::Peer;
use crate::{
    link::{
        asking::Unreached,
        context::{Bounds, Context},
        discovery::is_fresh,
        event::{Action, Fact},
        sending::Sent,
    },
    wire::{
        answer::{CallError, CallStage, Reply},
        parameters::Found,
        path::UrlPath,
        time::Now,
    },
};

/// Why it is looked up how the peer is spoken to before anything more is sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Seeking {
    /// A packet found nobody.
    Gone {
        /// What was answered.
        reason: String,
        /// By a web server, as no YMP host would.
        page: bool,
    },
    /// Nothing is known.
    First,
    /// A message is larger than the peer announced a while ago.
    Oversize,
}

impl Peer {
    /// How it is spoken to, as far as is known.
    #[must_use]
    pub fn found(&self) -> Option<&Found> {
        self.found.as_deref()
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds::new(&self.settings, self.found.as_deref().map(|found| &found.parameters))
    }

    pub(super) fn on_found(&mut self, found: Result<Found, CallError>, ctx: &mut Context<'_>) {
        let changed = self.is_news(&found);
        let form = found.as_ref().map(|found| found.parameters.form());
        let form = form.map_err(|error| format!("look-up: {error}"));
        if let Ok(found) = found
            && self.found.as_deref() != Some(&found)
        {
            self.found = Some(Box::new(found));
            self.dirty = true;
            // What was found must be there after a restart in which nothing can be looked up.
            self.save = true;
        }
        if changed && self.rest.is_some_and(|rest| rest.may_be_cut) {
            // What failed may have failed for what was old.
            self.rest = None;
            self.cut = true;
        }
        match self.seeking.take() {
            Some(Seeking::Gone { reason, .. }) if changed => self.on_moved(reason, ctx),
            Some(Seeking::Gone { reason, page: false }) => self.refuse(&reason, ctx),
            Some(Seeking::Gone { reason, page: true }) => {
                ctx.note(Fact::PacketFailed(reason.clone()));
                self.fail(&format!("packet: {reason}"), None, ctx);
            }
            Some(Seeking::First) => {
                if let Err(reason) = &form {
                    self.fail(reason, None, ctx);
                }
            }
            Some(Seeking::Oversize) => self.on_oversize(ctx),
            None => {}
        }
        let outcome = self.asking.on_found(form, changed, ctx);
        self.on_outcome(outcome, ctx);
    }

    fn is_news(&self, found: &Result<Found, CallError>) -> bool {
        let known = self.found.as_deref().map(|known| &known.parameters);
        found.as_ref().is_ok_and(|found| known != Some(&found.parameters))
    }

    //= HT-SEND-15: looked up anew
    pub(super) fn on_gone(&mut self, reason: String, page: bool, ctx: &mut Context<'_>) {
        if self.sent_under.as_ref().is_some_and(|under| Some(under) != self.packet_path()) {
            // It went to the old path while the new one was being found.
            return self.on_moved(reason, ctx);
        }
        self.seeking = Some(Seeking::Gone { reason, page });
        ctx.out.push_back(Action::LookUp);
    }

    /// The path is another by now: the packet is sent again.
    fn on_moved(&mut self, reason: String, ctx: &mut Context<'_>) {
        self.health.note(&format!("packet: {reason}"), ctx.now);
        ctx.note(Fact::PacketFailed(reason));
    }

    fn packet_path(&self) -> Option<&UrlPath> {
        self.found.as_deref().map(|found| &found.parameters.packet_path)
    }

    /// Whether it must be looked up how the peer is spoken to before the mail that waits is sent.
    pub(super) fn seeks_first(&mut self, ctx: &mut Context<'_>) -> bool {
        if !self.sending.has_mail() {
            return false;
        }
        if self.found.is_none() {
            self.seeking = Some(Seeking::First);
        } else if self.sending.is_stuck(ctx.bounds) {
            if self.is_stale(ctx.now) {
                self.seeking = Some(Seeking::Oversize);
            } else {
                self.on_oversize(ctx);
            }
        }
        if self.seeking.is_some() {
            ctx.out.push_back(Action::LookUp);
        }
        self.seeking.is_some() || self.rest.is_some()
    }

    /// Whether what the peer publishes may be otherwise by now.
    fn is_stale(&self, now: Now) -> bool {
        let published = self.found.as_deref().and_then(|found| found.published.as_ref());
        published.is_some_and(|published| !is_fresh(published, now))
    }

    /// Messages that are larger than the peer says that it takes are set aside; it is known that it still says so.
    fn on_oversize(&mut self, ctx: &mut Context<'_>) {
        ctx.bounds = self.bounds();
        loop {
            match self.sending.condemn_oversize(ctx) {
                Sent::Judged(_) => self.dirty = true,
                Sent::Refused(reason) => return self.refuse(&reason, ctx),
                Sent::Nothing
                | Sent::Delivered(_)
                | Sent::Unauthorized(_)
                | Sent::Pause(..)
                | Sent::Elsewhere { .. }
                | Sent::Forbidden { .. }
                | Sent::Failed(_) => return,
            }
        }
    }

    /// A packet may have been sent: under which path.
    pub(super) fn note_sent(&mut self, ctx: &Context<'_>) {
        if ctx.out.iter().any(|action| matches!(action, Action::Send { .. })) {
            self.sent_under = self.packet_path().cloned();
            if let Some(token) = self.sending.token_in_flight() {
                self.asking.on_shown(&token);
            }
        }
    }

    //= HT-SEND-16: backs off, mail stays
    /// The peer refuses the link: it backs off, and the mail stays.
    pub(super) fn refuse(&mut self, reason: &str, ctx: &mut Context<'_>) {
        ctx.note(Fact::LinkRefused(reason.to_owned()));
        self.fail(&format!("packet: {reason}"), None, ctx);
    }
}

//= HT-GRANT-14: 404 and 405 alone
/// Why our request cannot have reached the peer's grant code, where that is so.
pub(super) fn unreached(reply: &Reply) -> Option<Unreached> {
    match reply {
        Ok(answer) if matches!(answer.status, 404 | 405) => {
            Some(Unreached::Gone(format!("request: {}", answer.describe())))
        }
        Ok(_) => None,
        Err(error) => match error.stage {
            CallStage::LookUp
            | CallStage::Resolve
            | CallStage::Guard
            | CallStage::Busy
            | CallStage::Connect
            | CallStage::Tls => Some(Unreached::Away(format!("request: {error}"))),
            CallStage::Exchange | CallStage::Timeout => None,
        },
    }
}
