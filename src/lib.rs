//! x

pub mod store;
pub mod tls;
pub mod wire;
