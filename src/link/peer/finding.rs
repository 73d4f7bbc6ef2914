//! How the peer is spoken to: learned before each exchange, and anew where a path of its answers that nothing is there.
//!
//! ```text
//!   packet: 404, 405, 410 --> the parameters are looked up anew --others than before--> sent again, under them
//!                                                               --the same, or no answer--> refused: the link backs off
//! ```
//!
//! Source: `https-token`, "Sending"; `ymp`, "Host information".

use super::Peer;
use crate::{
    link::{
        asking::Unreached,
        context::{Bounds, Context},
        event::{Action, Fact},
    },
    wire::{
        answer::{CallError, CallStage, Reply},
        parameters::Found,
    },
};

impl Peer {
    /// How it is spoken to, as far as is known.
    #[must_use]
    pub fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds::new(&self.settings, self.found.as_ref().map(|found| &found.parameters))
    }

    pub(super) fn on_found(&mut self, found: Result<Found, CallError>, ctx: &mut Context<'_>) {
        let changed = self.is_news(&found);
        let form = found.as_ref().map(|found| found.parameters.form());
        let form = form.map_err(|error| format!("look-up: {error}"));
        if let Ok(found) = found
            && self.found.as_ref() != Some(&found)
        {
            self.found = Some(found);
            self.dirty = true;
            // What was found must be there after a restart in which nothing can be looked up.
            self.save = true;
        }
        match self.gone.take() {
            Some(reason) if changed => {
                self.health.tries += 1;
                ctx.note(Fact::PacketFailed(reason));
            }
            Some(reason) => self.refuse(&reason, ctx),
            None => {}
        }
        let outcome = self.asking.on_found(form, changed, ctx);
        self.on_outcome(outcome, ctx);
    }

    fn is_news(&self, found: &Result<Found, CallError>) -> bool {
        let known = self.found.as_ref().map(|known| &known.parameters);
        found.as_ref().is_ok_and(|found| known != Some(&found.parameters))
    }

    //= HT-SEND-15: looked up anew
    pub(super) fn on_gone(&mut self, reason: String, ctx: &mut Context<'_>) {
        self.gone = Some(reason);
        ctx.out.push_back(Action::LookUp);
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
            | CallStage::Connect
            | CallStage::Tls => Some(Unreached::Away(format!("request: {error}"))),
            CallStage::Exchange | CallStage::Timeout => None,
        },
    }
}
