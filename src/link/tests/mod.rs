//! Machines together, and machines as tables.

mod network;
mod pair;
mod pinned;
mod world;
