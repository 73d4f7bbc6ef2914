//! x

pub mod client;
pub mod store;
pub mod tls;
pub mod wire;
