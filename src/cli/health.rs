//! `ymp health`: is the node ready? For the health checks of containers, in an image without a shell.

use std::time::Duration;

use serde_json::json;

use super::{
    output::{CliError, Out, Outcome},
    remote::{Remote, block_on},
    render::clean,
};

/// A node that takes longer is not ready.
const READY_TIME: Duration = Duration::from_secs(4);

/// Ask whether the node is ready: exit code 0, or 1 with the reason
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  ymp health --local http://127.0.0.1:8080\n\nNeeds no token.")]
pub(super) struct Health {
    /// The node's local API [env: YMP_LOCAL] [default: http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    local: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Health {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        out.verdict();
        let answer = block_on(async {
            let (status, text) = Remote::without_token(self.local)?.plain("readyz", READY_TIME).await?;
            let reason = clean(text.trim());
            if status == 200 {
                return Ok(());
            }
            Err(CliError::failed(format!("the node is not ready: {reason}"), "its log says more"))
        });
        if self.json {
            return in_json(answer, out);
        }
        answer?;
        out.line("ready")
    }
}

fn in_json(answer: Outcome, out: &mut Out<'_>) -> Outcome {
    match answer {
        Ok(()) => out.line(json!({"ready": true})),
        Err(
            CliError::Failed { what, .. }
            | CliError::Unknown { what, .. }
            | CliError::Busy { what, .. }
            | CliError::Away { what, .. },
        ) => {
            out.line(json!({"ready": false, "reason": what}))?;
            Err(CliError::Said)
        }
        Err(error) => Err(error),
    }
}
