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

use crate::{access, client, node, serve, store, telemetry::log, tls, wire::information::Offered};

pub mod changes;
pub mod finding;
mod keys;
mod lists;
mod parts;
mod proxies;
mod reader;
mod sections;
mod source;
#[cfg(test)]
mod tests;
pub mod units;

use finding::{ConfigError, Finding, Findings, Place};
use keys::Variable;
use parts::Parts;
use reader::Reader;
use source::Value;

/// The settings of one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file they came from.
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
    /// The log's.
    pub log: log::Settings,
    /// Where the store lives. Default: `data`.
    pub data_dir: PathBuf,
    /// Where other hosts reach us. Default: `0.0.0.0:8443`.
    pub peer_listen: SocketAddr,
    /// Host information over plain HTTP. Default: nowhere.
    pub plain_listen: Option<SocketAddr>,
    /// Where our own apps and the operator reach us. Default: `127.0.0.1:8080`.
    pub local_listen: SocketAddr,
    /// What `[[services]]` says.
    published: Vec<Offered>,
    /// Whether there is a file to be read again, beside the variables.
    is_file: bool,
    /// What was written for the keys that are read at the start only.
    at_start: Vec<(Variable, Option<Value>)>,
    /// Where each key was written.
    places: BTreeMap<String, Place>,
}

/// What another reading came to.
#[derive(Clone, Debug)]
pub struct Again {
    /// The settings by which the node goes on.
    pub config: Config,
    /// As `Config::load`.
    pub warnings: Vec<Finding>,
    /// Keys whose change waits for a restart, and where it was written.
    pub waiting: Vec<(&'static str, Place)>,
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
        let (config, warnings) = Self::read(path, &text_of(path)?, env)?;
        Ok((Self { is_file: true, ..config }, warnings))
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
        Self::read_keeping(path, text, &variables, &[])
    }

    /// Reads it again from where it came. Keys that are read at the start only keep what they mean; those among them that say
    /// something else by now are named.
    ///
    /// # Errors
    /// As `load`.
    pub fn read_again(&self, env: impl IntoIterator<Item = (String, String)>) -> Result<Again, ConfigError> {
        let variables: Vec<_> = env.into_iter().collect();
        let text = if self.is_file { text_of(&self.file)? } else { String::new() };
        // First as at a start, so that what is wrong is found wherever it stands.
        let (written, _) = Self::read_keeping(&self.file, &text, &variables, &[])?;
        let waiting = changes::changed_keys(self, &written, true);
        let (config, warnings) = Self::read_keeping(&self.file, &text, &variables, &self.at_start)?;
        let waiting = waiting.into_iter().map(|key| (key, written.place(key))).collect();
        Ok(Again { config: Self { is_file: self.is_file, ..config }, warnings, waiting })
    }

    fn read_keeping(
        path: &Path,
        text: &str,
        variables: &[(String, String)],
        at_start: &[(Variable, Option<Value>)],
    ) -> Result<(Self, Vec<Finding>), ConfigError> {
        let mut findings = Findings::default();
        let Some(mut root) = source::read(path, text, variables, &mut findings) else {
            return Err(ConfigError(findings));
        };
        source::keep(&mut root, at_start);
        let findings = RefCell::new(findings);
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        let parts = Parts::read(&Reader::new(&root, base, &findings));
        let mut findings = findings.into_inner();
        match parts {
            Some(parts) if findings.problems.is_empty() => {
                Ok((Self::of(path, parts, &root), findings.warnings))
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
    fn of(path: &Path, parts: Parts, root: &Value) -> Self {
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
                check_every: parts.peer.certificate_check,
            },
            access: access::Settings { apps: parts.apps },
            log: parts.log,
            data_dir: parts.data_dir,
            peer_listen: parts.peer.listen,
            local_listen: parts.local_listen,
            published: parts.published,
            is_file: false,
            at_start: source::at_start(root),
            places: source::places(root),
        }
    }
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| {
        let place = Place::File { path: path.to_owned(), line: None };
        let what = format!("cannot be read: {error}");
        let mend = "`ymp init --host NAME` writes one, `--config FILE` names another".to_owned();
        let problem = Finding { place, key: String::new(), what, mend };
        ConfigError(Findings { problems: vec![problem], warnings: Vec::new() })
    })
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
