//! x

pub mod access;
pub mod client;
pub mod link;
pub mod node;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod wire;
