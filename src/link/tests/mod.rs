//! Machines together, and machines as tables.

mod lobby;
mod network;
mod pair;
mod pinned;
mod pinned_tokens;
mod proof;
mod world;
