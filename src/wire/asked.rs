//! What an answer takes over from the request that it answers.

use std::borrow::Cow;

use serde::Deserialize;

use super::object::{object_of_slice, present, text};

/// A message, as far as its answer needs it.
#[derive(Deserialize)]
#[serde(expecting = "a message: an object")]
pub struct Asked<'a> {
    /// Its id.
    #[serde(borrow, deserialize_with = "text")]
    pub id: Cow<'a, str>,
    /// What it asks for.
    #[serde(borrow, default, deserialize_with = "present")]
    pub action: Option<Cow<'a, str>>,
}

impl<'a> Asked<'a> {
    /// Reads it; `None` where it is no message.
    #[must_use]
    pub fn read(raw: &'a [u8]) -> Option<Self> {
        object_of_slice(raw).ok()
    }
}
