//! Metrics and log set-up. Ground floor: imports its crates only.

pub mod exposition;
pub mod histogram;
pub mod log;
pub mod metrics;
pub mod process;
