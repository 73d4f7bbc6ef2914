//! `ymp completions`: what a shell needs to complete the commands, made from the commands themselves.

use clap::{CommandFactory as _, ValueEnum};
use clap_complete::{Shell, generate};

use super::{
    Cli,
    output::{Out, Outcome},
};

/// Print the completions of a shell
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    ymp completions bash > ~/.local/share/bash-completion/completions/ymp\n  \
    ymp completions zsh > ~/.zfunc/_ymp\n  \
    ymp completions fish > ~/.config/fish/completions/ymp.fish")]
pub(super) struct Completions {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Known,
}

/// The shells that a test or a user has seen it with.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        let shell = match self.shell {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut Cli::command(), "ymp", &mut script);
        out.line(String::from_utf8_lossy(&script).trim_end())
    }
}
