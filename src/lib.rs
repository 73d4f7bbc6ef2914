//! x

pub mod client;
pub mod link;
pub mod node;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod wire;
