//! What the caller asks for.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Parser};

/// Measures the node against bare baselines, side by side on this machine, and prints ratios.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench", disable_help_subcommand = true)]
#[command(group = ArgGroup::new("drawn").args(["curves", "from"]).multiple(true))]
pub(crate) struct Arguments {
    /// Only these groups or curves; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Three runs of a third of the time: for a look, not for figures
    #[arg(long)]
    quick: bool,
    /// How many runs of each side, alternating
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Where the table goes as JSON; the folder of scratch files unless said otherwise
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Where a picture of the curves goes, as SVG
    #[arg(long, value_name = "FILE", requires = "drawn")]
    pub(crate) picture: Option<PathBuf>,
    /// Draws what is in this JSON and measures nothing; may be given several times
    #[arg(long, value_name = "FILE", requires = "picture")]
    pub(crate) from: Vec<PathBuf>,
    /// Measures curves instead of the table
    #[arg(long)]
    pub(crate) curves: bool,
    /// Measures the load generator against h2load, and nothing else
    #[arg(long)]
    pub(crate) generator: bool,
    /// `cargo bench` says so.
    #[arg(long, hide = true)]
    bench: bool,
    /// A part that the benchmark plays in a process of its own
    #[arg(long, hide = true, num_args = 1.., value_name = "PART")]
    pub(crate) part: Vec<String>,
}

impl Arguments {
    /// Whether a group is asked for.
    pub(crate) fn wants(&self, group: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == group)
    }

    /// A name under `--only` that is none of these groups.
    pub(crate) fn unknown(&self, groups: &[&str]) -> Option<&str> {
        self.only.iter().map(String::as_str).find(|name| !groups.contains(name))
    }

    /// Runs of each side.
    pub(crate) fn runs(&self) -> usize {
        self.runs.unwrap_or(if self.quick { 3 } else { 5 }).max(1)
    }

    /// Whether a look is enough.
    pub(crate) fn is_quick(&self) -> bool {
        self.quick
    }

    /// A span or a number that `--quick` makes smaller.
    pub(crate) fn span(&self, whole: Duration) -> Duration {
        if self.quick { whole / 3 } else { whole }
    }

    /// As `span`.
    pub(crate) fn count(&self, whole: u64) -> u64 {
        if self.quick { whole / 3 } else { whole }
    }
}
