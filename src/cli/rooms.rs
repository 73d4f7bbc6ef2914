//! What the commands need of the house below, in one place.

use std::path::{Path, PathBuf};

use super::output::CliError;
use crate::{
    app,
    config::{Config, finding::Findings},
    wire::{
        host::OwnHost,
        secret::FreshSecret,
        time::{ReadClock, Wall},
    },
};

pub(super) use app::{
    Log, Ready, Start,
    doctor::{State, Step, Walked},
};

/// Walks to a host and tells each step as it is made.
pub(super) async fn walk<E>(
    config: &Config,
    host: &str,
    tell: impl FnMut(Step) -> Result<(), E>,
) -> Result<Walked, E> {
    app::doctor::walk(config, host, tell).await
}

/// Runs the node until it is told to end.
pub(super) fn serve(config: Config, log: Log, start: Start, ready: impl FnOnce(Ready)) -> Result<(), String> {
    app::serve(config, log, start, ready).map_err(|error| error.to_string())
}

/// What is wrong, or doubtful, with the certificates that a configuration names.
pub(super) fn certificates(config: &Config) -> Findings {
    app::check_certificates(config)
}

/// Writes a development CA (unless there is one) and a certificate per host; gives back what was written.
pub(super) fn write_development(dir: &Path, hosts: &[OwnHost]) -> Result<Vec<PathBuf>, CliError> {
    let (written, _) = app::write_development(dir, hosts).map_err(|error| CliError::failed(error, ""))?;
    Ok(written)
}

/// Starts the log as the configuration says.
pub(super) fn start_log(config: &Config) -> Result<Log, CliError> {
    app::start_log(config).map_err(|error| CliError::failed(error, ""))
}

/// The time, for showing how far away other times are.
pub(super) fn now() -> Wall {
    app::now()
}

/// Both clocks, for commands that measure.
pub(super) fn clock() -> ReadClock {
    app::clock()
}

/// A secret for an app.
pub(super) fn fresh_token() -> FreshSecret {
    app::fresh_token()
}
