//! x

pub mod cli;
pub mod client;
pub mod config;
pub mod node;
pub mod store;
pub mod telemetry;
pub mod wire;
