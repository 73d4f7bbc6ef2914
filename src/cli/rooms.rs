//! What the commands need of the house below, in one place.
//!
//! Stand-ins until `app` and `tls` are there: `serve`, `certificates` and `write_development` are to be replaced.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::output::CliError;
use crate::{
    config::{Config, finding::Finding},
    node::clock,
    telemetry::log,
    wire::{host::OwnHost, secret::FreshSecret, time::Wall},
};

/// Where a node that is ready can be reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    /// The peer listener, with its real port.
    pub(super) peer: SocketAddr,
    /// The local listener, with its real port.
    pub(super) local: SocketAddr,
}

/// Runs the node until it is told to end. Stand-in: says that it is ready and ends.
pub(super) fn serve(config: Config, ready: impl FnOnce(Ready)) -> Result<(), String> {
    ready(Ready { peer: config.peer_listen, local: config.local_listen });
    Ok(())
}

/// What is wrong with the certificates that a configuration names. Stand-in: only whether the files can be read.
pub(super) fn certificates(config: &Config) -> Vec<Finding> {
    let tls = &config.tls;
    let named = [("peer.certificate".to_owned(), &tls.certificate), ("peer.key".to_owned(), &tls.key)];
    let roots = tls.roots.iter().enumerate().map(|(index, root)| (format!("trust.roots[{index}]"), root));
    let unreadable = |(key, path): (String, &PathBuf)| {
        let error = std::fs::read(path).err()?;
        Some(Finding {
            place: config.place(&key),
            key,
            what: format!("cannot be read: {}: {error}", path.display()),
            mend: "name another file; `ymp certs --dir DIR HOST` writes development certificates".to_owned(),
        })
    };
    named.into_iter().chain(roots).filter_map(unreadable).collect()
}

/// Writes a development CA (unless there is one) and a certificate per host; gives back what was written. Stand-in:
/// writes nothing.
pub(super) fn write_development(dir: &Path, hosts: &[OwnHost]) -> Result<Vec<PathBuf>, CliError> {
    let files =
        hosts.iter().flat_map(|host| [format!("{}.pem", host.name()), format!("{}.key", host.name())]);
    Ok(std::iter::once("ca.pem".to_owned()).chain(files).map(|file| dir.join(file)).collect())
}

/// Starts the log.
pub(super) fn start_log() -> Result<(), CliError> {
    log::start().map_err(|error| CliError::failed(error, ""))
}

/// The time, for showing how far away other times are.
pub(super) fn now() -> Wall {
    clock::system()().wall
}

/// A secret for an app.
pub(super) fn fresh_token() -> FreshSecret {
    FreshSecret::from_chance(clock::Dice::bytes())
}
