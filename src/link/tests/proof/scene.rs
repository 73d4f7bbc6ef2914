//! What a run is about: who speaks what, how it begins, and how much may go wrong.

use crate::wire::parameters::Form;

use super::world::{M, Place};

/// How often each thing may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Left {
    /// Calls or answers that are lost.
    pub(super) losses: u8,
    /// Restarts of a host.
    pub(super) crashes: u8,
    /// Moves of Mallory.
    pub(super) evil: u8,
    /// Exchanges that an operator wants, by host.
    pub(super) connects: [u8; 2],
    /// Exchanges with Mallory's host that an operator wants, by host.
    pub(super) trysts: [u8; 2],
    /// Messages that an app hands in, by host.
    pub(super) mails: [u8; 2],
    /// Times that the clock goes on to the next moment at which somebody wants to be woken.
    pub(super) ticks: u8,
    /// Writes that fail.
    pub(super) stumbles: u8,
}

impl Left {
    /// What is not 0.
    pub(super) fn in_words(self) -> String {
        let Self { losses, crashes, evil, connects, trysts, mails, ticks, stumbles } = self;
        let counts = [
            (losses, "lost"),
            (crashes, "restarts"),
            (evil, "of Mallory"),
            (connects[0], "A asks"),
            (connects[1], "B asks"),
            (trysts[0], "A asks Mallory"),
            (trysts[1], "B asks Mallory"),
            (mails[0], "mail of A"),
            (mails[1], "mail of B"),
            (ticks, "ticks"),
            (stumbles, "writes fail"),
        ];
        let words =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
        words.collect::<Vec<_>>().join(", ")
    }
}

/// A run.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    /// The form in which A, and B, speak to the other one.
    pub(super) forms: [Form; 2],
    /// Who answers every grant with 204.
    pub(super) yes: [bool; 2],
    /// Mallory has a host of her own, spoken to in this form.
    pub(super) mallory_hosts: bool,
    pub(super) mallory_form: Form,
    /// Hosts call from the addresses that their names lead to.
    pub(super) likely: bool,
    /// Calls may arrive after their caller gave them up.
    pub(super) late: bool,
    /// A and B are linked at the start, in both directions, and both tokens have sent a packet.
    pub(super) linked: bool,
    pub(super) bounds: Left,
    /// Whether steps are told.
    pub(super) told: bool,
}

impl Scene {
    /// Two hosts that speak so, with nothing at the start.
    pub(super) fn of(name: &'static str, forms: [Form; 2], bounds: Left) -> Self {
        Self {
            name,
            forms,
            yes: [false; 2],
            mallory_hosts: false,
            mallory_form: Form::Tokens,
            likely: true,
            late: false,
            linked: false,
            bounds,
            told: false,
        }
    }

    /// Whether this host answers every grant with 204.
    pub(super) fn yes(&self, place: Place) -> bool {
        place == M || self.yes[place]
    }

    /// Whether this host answers grants of R1 with 204 that nothing asked for.
    pub(super) fn vouches(&self, place: Place) -> bool {
        place != M && self.yes[place] && self.forms[1 - place] == Form::Tokens
    }

    /// Whether a message can go from this host to the other at all: each asks in the form that the other one speaks.
    pub(super) fn is_way(&self, from: Place) -> bool {
        self.forms[from] == self.forms[1 - from]
            || self.forms[from] == Form::State && self.forms[1 - from] == Form::Tokens
    }

    /// Whether nothing but Mallory goes wrong.
    pub(super) fn is_calm(&self) -> bool {
        let Left { losses, crashes, ticks, stumbles, .. } = self.bounds;
        // When time passes calls may run out of it, which is as good as losing them.
        losses == 0 && crashes == 0 && ticks == 0 && stumbles == 0
    }
}
