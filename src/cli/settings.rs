//! Where a node's configuration comes from: the file that is named, else `ymp.toml` here, else variables alone.
//!
//! Containers are often set up by variables only. So that a mistyped folder is not taken for that, variables alone are
//! enough only where `YMP_HOST` is one of them and no file was named.

use std::path::{Path, PathBuf};

use super::output::CliError;
use crate::config::{
    Config, environment,
    finding::{ConfigError, Finding},
};

/// The file in the current folder that is read unless another is named.
const HERE: &str = "ymp.toml";
/// What stands for the file where there is none. Paths in variables are then relative to the current folder.
const NO_FILE: &str = "(variables)";

/// Which configuration.
#[derive(clap::Args, Debug)]
pub(super) struct ConfigFile {
    /// The configuration [default: ymp.toml, or variables alone where that is not there and YMP_HOST is set]
    #[arg(long = "config", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl ConfigFile {
    /// What it is called in messages.
    pub(super) fn name(&self) -> &Path {
        self.source().unwrap_or(Path::new(NO_FILE))
    }

    /// Reads it, and the variables over it.
    pub(super) fn load(&self) -> Result<(Config, Vec<Finding>), ConfigError> {
        match self.source() {
            Some(file) => Config::load(file, environment()),
            None => Config::read(Path::new(NO_FILE), "", environment()),
        }
    }

    /// As `load`, for commands that do nothing without it: an error says all problems.
    pub(super) fn usable(&self) -> Result<(Config, Vec<Finding>), CliError> {
        self.load().map_err(|error| {
            let count = error.0.problems.len();
            let noun = if count == 1 { "problem" } else { "problems" };
            let what = format!("{} has {count} {noun}:\n{error}", self.name().display());
            CliError::failed(what, "mend it, then try `ymp check`")
        })
    }

    fn source(&self) -> Option<&Path> {
        let here = Path::new(HERE);
        match &self.file {
            Some(file) => Some(file),
            None if std::env::var_os("YMP_HOST").is_some() && !here.exists() => None,
            None => Some(here),
        }
    }
}
