//! Metrics and log set-up. Ground floor: imports its crates only.

pub mod log;
pub mod metrics;
