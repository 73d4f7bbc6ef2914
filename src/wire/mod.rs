//! The nouns, parsed once: what stands here has been checked at the door and is trusted inside.
//!
//! Ground floor: imports no other room, names no clock, socket, dice or log.

pub mod answer;
pub mod asked;
pub mod cursor;
pub mod draft;
pub mod exchange;
pub mod family;
pub mod host;
pub mod information;
pub mod limits;
pub mod object;
pub mod packet;
pub mod parameters;
pub mod path;
pub mod policy;
pub mod record;
pub mod refusal;
pub mod secret;
pub mod time;

#[cfg(test)]
mod tests;
