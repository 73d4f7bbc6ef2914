//! The brain: what can be decided about a peer without touching the network, the clock, the dice or the disk.
//!
//! Events and `now` go in, actions come out. The same three verbs on every machine: `handle(event, now, dice)`,
//! `actions()`, `wake_at()`. One event, then all actions, then wait. What happened is reported as a `Fact`.
//!
//! - `peer`: one federated host; routes events to `asking` (the tokens that we hold) and `sending` (its mail).
//! - `lobby`: somebody asked in a host's name and we owe that host a grant; a bounded table of these.
//! - `admission`: may this packet come in.
//! - `discovery`: how a host is spoken to, and when that is looked up anew.
//! - `eviction`: which links end where there are too many.
//! - `health`: how a link does, and when it is tried again. `verdict`: what a peer's answer means.

pub mod admission;
mod asking;
mod context;
pub mod dice;
pub mod discovery;
pub mod event;
pub mod eviction;
pub mod health;
pub mod lobby;
pub mod peer;
mod sending;
pub mod settings;
pub mod verdict;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
