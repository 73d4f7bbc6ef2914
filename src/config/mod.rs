//! Settings as meant: what every room must know, read from one file and the environment (`node`, "Configuration").
//!
//! `source` reads what is written, `keys` knows every key, `sections` and `lists` say what the texts mean, `parts` sorts
//! that by room; here it is put together. A reading finds all problems at once, each with its key, its place and what would be right.
//! Nothing here opens a socket, a store or a certificate: `Config` may be wrong about the machine, not about itself.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{access, client, node, serve, store, tls};

pub mod finding;
mod keys;
mod lists;
mod parts;
mod reader;
mod sections;
mod source;
#[cfg(test)]
mod tests;
pub mod units;

use finding::{ConfigError, Finding, Findings, Place};
use parts::Parts;
use reader::Reader;

/// The settings of one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file they came from: for reading it again.
    pub file: PathBuf,
    /// The brain's and the couriers'.
    pub node: node::Settings,
    /// The faces'.
    pub serve: serve::Settings,
    /// Bounds of the peers' listener.
    pub connections: serve::ConnectionSettings,
    /// The voice's.
    pub client: client::Settings,
    /// The memory's.
    pub store: store::Settings,
    /// Certificates and trust.
    pub tls: tls::Settings,
    /// Who may use the local API.
    pub access: access::Settings,
    /// Where the store lives. Default: `data`.
    pub data_dir: PathBuf,
    /// Where other hosts reach us. Default: `0.0.0.0:8443`.
    pub peer_listen: SocketAddr,
    /// Host information over plain HTTP. Default: nowhere.
    pub plain_listen: Option<SocketAddr>,
    /// Where our own apps and the operator reach us. Default: `127.0.0.1:8080`.
    pub local_listen: SocketAddr,
    /// Where each key was written.
    places: BTreeMap<String, Place>,
}

impl Config {
    /// Reads the file and the variables over it. With the settings come the warnings.
    ///
    /// # Errors
    /// All problems, and the warnings beside them.
    pub fn load(
        path: &Path,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(Self, Vec<Finding>), ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::read(path, &text, env),
            Err(error) => {
                let place = Place::File { path: path.to_owned(), line: None };
                let what = format!("cannot be read: {error}");
                let mend = "`ymp init --host NAME` writes one, `--config FILE` names another".to_owned();
                let problem = Finding { place, key: String::new(), what, mend };
                Err(ConfigError(Findings { problems: vec![problem], warnings: Vec::new() }))
            }
        }
    }

    /// As `load`, where the file's text is at hand.
    ///
    /// # Errors
    /// As `load`.
    pub fn read(
        path: &Path,
        text: &str,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(Self, Vec<Finding>), ConfigError> {
        let variables: Vec<_> = env.into_iter().collect();
        let mut findings = Findings::default();
        let Some(root) = source::read(path, text, &variables, &mut findings) else {
            return Err(ConfigError(findings));
        };
        let findings = RefCell::new(findings);
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        let parts = Parts::read(&Reader::new(&root, base, &findings));
        let mut findings = findings.into_inner();
        match parts {
            Some(parts) if findings.problems.is_empty() => {
                Ok((Self::of(path, parts, source::places(&root)), findings.warnings))
            }
            _ => {
                findings.problems.sort_by_key(|problem| line(&problem.place));
                Err(ConfigError(findings))
            }
        }
    }

    /// Where `key` (`peer.key`, `trust.roots[0]`) was written, for findings about what it names; the file where nobody
    /// wrote it.
    #[must_use]
    pub fn place(&self, key: &str) -> Place {
        let file = || Place::File { path: self.file.clone(), line: None };
        self.places.get(key).cloned().unwrap_or_else(file)
    }

    //= NODE-CONF-01: the defaults
    fn of(path: &Path, parts: Parts, places: BTreeMap<String, Place>) -> Self {
        Self {
            file: path.to_owned(),
            node: parts.node(),
            serve: parts.serve(),
            connections: parts.connections(),
            plain_listen: parts.peer.plain_listen,
            client: parts.client(),
            store: parts.store(),
            tls: tls::Settings {
                certificate: parts.peer.certificate,
                key: parts.peer.key,
                roots: parts.trust.roots,
                web_pki: parts.trust.web_pki,
            },
            access: access::Settings { apps: parts.apps },
            data_dir: parts.data_dir,
            peer_listen: parts.peer.listen,
            local_listen: parts.local_listen,
            places,
        }
    }
}

/// The process's variables. A value that is not Unicode is shown to be wrong rather than passed over.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

fn line(place: &Place) -> Option<usize> {
    match place {
        Place::File { line, .. } => *line,
        Place::Variable(_) => None,
    }
}
