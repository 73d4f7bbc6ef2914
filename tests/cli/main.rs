//! The commands as somebody types them: the built binary, its exit code, what it prints.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking, as the test does")]

mod demo;
mod following;
mod node;
mod printed;
mod usage;
mod world;
