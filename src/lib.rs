//! x

pub mod access;
pub mod client;
pub mod node;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod wire;
