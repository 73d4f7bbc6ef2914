//! `ymp backup`: a copy of all that a running node keeps.

use std::{path::PathBuf, time::Duration};

use reqwest::Method;
use serde::Deserialize;

use super::{
    output::{CliError, Out, Outcome},
    remote::{Call, Remote, Target, block_on, read},
    render::{clean, plural},
};

const NEED: &str = "the app needs `admin = true`";
/// A large store on a slow disk takes its time, and the node answers at the end.
const COPY_TIME: Duration = Duration::from_secs(24 * 3600);

/// Copy all that a running node keeps into a new folder
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  ymp backup /var/backups/ymp/2026-01-31\n  ymp backup copy --json\n\n\
    The node writes the folder, on its own machine. Copy configuration, certificates and token files \
    beside it. To go back: put the folder in the place of data-dir and start `ymp serve --restored`.")]
pub(super) struct Backup {
    /// The folder: not there yet, or empty
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Made {
    dir: String,
    bytes: u64,
    inbox_messages: u64,
    outbox_messages: u64,
    dead_messages: u64,
}

impl Backup {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        let Self { dir, json, target } = self;
        let absolute = std::path::absolute(&dir).ok().and_then(|dir| dir.to_str().map(str::to_owned));
        let absolute = absolute.ok_or_else(|| {
            let what = format!("`{}` cannot be written as an absolute path", dir.display());
            CliError::failed(what, "name a folder by a path in UTF-8")
        })?;
        block_on(async {
            let mut call = Call::new(Method::POST, &["backup"], NEED);
            call.body = Some(serde_json::json!({"dir": absolute}).to_string());
            call.time = COPY_TIME;
            let text = Remote::new(target)?.text(call).await?;
            if json {
                return out.line(text.trim_end());
            }
            let made: Made = read(&text)?;
            out.line(format!(
                "{}: {} received, {} waiting, {} dead; {} bytes",
                clean(&made.dir),
                plural(made.inbox_messages, "message"),
                made.outbox_messages,
                made.dead_messages,
                made.bytes
            ))
        })
    }
}
