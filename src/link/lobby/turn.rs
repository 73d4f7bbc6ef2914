//! How far the request is whose turn it is, and who waits behind it.

use super::{
    offering::{Offering, Step},
    waiting::{Asked, Waiting},
};
use crate::wire::time::Mono;

/// A request whose turn it is.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) asked: Asked,
    /// When the request came: what it offers lives from there.
    pub(super) came: Mono,
    pub(super) stage: Stage,
}

#[derive(Clone, Debug)]
pub(super) enum Stage {
    LookingUp {
        /// When it is given up.
        until: Mono,
        /// Our own bounds were reached: looked up again then.
        again: Option<Mono>,
    },
    Granting(Box<Offering>),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) turn: Option<Turn>,
    pub(super) waiting: Waiting,
}

impl Entry {
    /// When it is to be woken.
    pub(super) fn rests_until(&self) -> Option<Mono> {
        match &self.turn.as_ref()?.stage {
            Stage::Granting(offering) => match offering.step {
                Step::Resting { until } => Some(until),
                Step::Offering | Step::Calling | Step::Seeking { .. } | Step::Taking => None,
            },
            Stage::LookingUp { again, .. } => *again,
        }
    }
}
