//! What the handling of an event needs beside the machine itself.

use std::collections::VecDeque;

use super::{
    dice::Dice,
    event::{Action, Fact},
    settings::Settings,
};
use crate::wire::time::Now;

/// Handed from `Peer` to its parts for the time of one event.
pub(super) struct Context<'a> {
    pub(super) now: Now,
    pub(super) dice: &'a mut dyn Dice,
    pub(super) settings: &'a Settings,
    pub(super) out: &'a mut VecDeque<Action>,
}

impl Context<'_> {
    pub(super) fn note(&mut self, fact: Fact) {
        self.out.push_back(Action::Note(fact));
    }
}
