//! What is wrong, or doubtful, in a configuration: where, which key, what it is and what would be right.
//!
//! A finding never carries the value of a secret: keys that hold one are only named.

use std::{fmt, path::PathBuf};

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the file; without a line where the trouble is that something is missing.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// Counted from 1.
        line: Option<usize>,
    },
    /// In an environment variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// One thing to mend, or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it stands.
    pub place: Place,
    /// The key with its path: `peer.listen`, `peers[0].host`; empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        if self.mend.is_empty() { Ok(()) } else { write!(f, "; {}", self.mend) }
    }
}

/// All that was found in one reading, in the order of reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Each of them keeps the node from starting.
    pub problems: Vec<Finding>,
    /// The node starts, but somebody may be surprised.
    pub warnings: Vec<Finding>,
}

/// A configuration that cannot be used: all its problems, and the warnings beside them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Findings);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.problems.iter().enumerate() {
            let line_break = if index > 0 { "\n" } else { "" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}
