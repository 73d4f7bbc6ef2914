//! A step, and what became of it.

use std::fmt::Display;

use serde::Serialize;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, and there is something to know.
    Note,
    /// It does not work.
    Wrong,
    /// It was not tested.
    Skipped,
}

/// A step that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which: the same name for each address in turn.
    pub name: &'static str,
    /// What became of it.
    pub state: State,
    /// What was found, in words.
    pub what: String,
    /// What to do, where something can be done.
    pub mend: Option<String>,
}

impl Step {
    fn new(name: &'static str, state: State, what: impl Display) -> Self {
        Self { name, state, what: what.to_string(), mend: None }
    }

    /// As it should be.
    pub fn ok(name: &'static str, what: impl Display) -> Self {
        Self::new(name, State::Ok, what)
    }

    /// Something to know.
    pub fn note(name: &'static str, what: impl Display) -> Self {
        Self::new(name, State::Note, what)
    }

    /// Something that does not work, and what to do.
    pub fn wrong(name: &'static str, what: impl Display, mend: impl Display) -> Self {
        Self::new(name, State::Wrong, what).mended_by(mend)
    }

    /// Not tested, because the way ends before it.
    pub(super) fn beyond(name: &'static str) -> Self {
        Self::skipped(name, "not tested: the way ends before it")
    }

    /// Not tested, and why.
    pub fn skipped(name: &'static str, what: impl Display) -> Self {
        Self::new(name, State::Skipped, what)
    }

    /// The same with what to do.
    #[must_use]
    pub fn mended_by(self, mend: impl Display) -> Self {
        Self { mend: Some(mend.to_string()).filter(|mend| !mend.is_empty()), ..self }
    }
}
