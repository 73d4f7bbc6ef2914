//! How a step ends: with a value, or with the words that end the run.

use std::error::Error;

/// Why a run ends. A figure without a right answer behind it is none.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// What a step gives.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// A failure in words of our own.
pub(crate) fn failed<T>(what: impl Into<String>) -> Outcome<T> {
    Err(what.into().into())
}

/// Adds what was tried to a failure.
pub(crate) trait Trying<T> {
    /// `what: cause`.
    fn trying(self, what: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: std::fmt::Display> Trying<T> for Result<T, E> {
    fn trying(self, what: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|cause| format!("{}: {cause}", what()).into())
    }
}
