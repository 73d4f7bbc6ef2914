//! The commands as somebody types them: the built binary, its exit code, what it prints.

mod demo;
mod node;
mod usage;
mod world;
