//! x

pub mod client;
pub mod node;
pub mod store;
pub mod telemetry;
pub mod wire;
