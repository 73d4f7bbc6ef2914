//! `ymp certs`: development certificates.

use std::path::PathBuf;

use super::{
    args,
    output::{Out, Outcome, progress},
    rooms,
};
use crate::wire::host::OwnHost;

/// Write a development CA and a certificate for each host: `ca.pem`, `HOST.pem`, `HOST.key`
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  ymp certs --dir certs alpha.test beta.test\n\n\
    For tests: real hosts get their certificates from an authority that their peers trust.")]
pub(super) struct Certs {
    /// Where they are written
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The hosts' names
    #[arg(value_name = "HOST", required = true, value_parser = args::own_host)]
    hosts: Vec<OwnHost>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Certs {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        let written = rooms::write_development(&self.dir, &self.hosts)?;
        if self.json {
            let names: Vec<String> = written.iter().map(|file| file.display().to_string()).collect();
            return out.line(serde_json::json!({"written": names}));
        }
        if written.is_empty() {
            progress("nothing was written: each host has its certificate and key there");
        }
        written.iter().try_for_each(|file| out.line(file.display()))
    }
}
