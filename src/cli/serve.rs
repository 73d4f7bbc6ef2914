//! `ymp serve`: runs the node.

use std::net::SocketAddr;

use super::{
    output::{CliError, Out, Outcome},
    rooms::{self, Start},
    settings::ConfigFile,
};
use crate::wire::host::OwnHost;

/// Run the node: SIGTERM or ctrl-c finishes what is in hand and ends it, SIGHUP reads the configuration again
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  ymp serve --config /etc/ymp/ymp.toml\n  \
    YMP_HOST=alpha.test YMP_TRUST__ROOTS='[\"certs/ca.pem\"]' ymp serve\n\n\
    Any key can be a variable, and variables alone are enough: YMP_ and the key's path in capitals, two \
    underscores between levels, one for each hyphen. YMP_LOG=debug logs more, YMP_LOG_FORMAT=json logs \
    for machines. When the node is ready, one line on standard output says where it is reached.")]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// The data folder is a backup: drop the tokens of all links first, which were spent since it was made
    #[arg(long)]
    restored: bool,
    /// End at once when the process that started this one ends, however it does: for the demo.
    #[arg(long, hide = true)]
    with_parent: bool,
}

impl Serve {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        let (config, warnings) = self.config.usable()?;
        let log = rooms::start_log(&config)?;
        if self.with_parent {
            end_with_parent()?;
        }
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        let host = config.node.host.clone();
        let mut said = Ok(());
        let start = if self.restored { Start::Restored } else { Start::AsLeft };
        rooms::serve(config, log, start, |ready| said = out.line(ready_line(&host, ready.peer, ready.local)))
            .map_err(|error| CliError::failed(error, ""))?;
        said
    }
}

//= NODE-SERVE-01: the real ports
/// What scripts wait for.
fn ready_line(host: &OwnHost, peer: SocketAddr, local: SocketAddr) -> String {
    format!("ready host={host} peer={peer} local={local}")
}

/// So that a demo that is itself killed leaves no nodes behind.
#[cfg(target_os = "linux")]
fn end_with_parent() -> Outcome {
    let asked = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    asked.map_err(|error| CliError::failed(format!("the parent's end cannot be waited for: {error}"), ""))
}

/// Elsewhere there is no such thing, and nodes stay until somebody ends them.
#[cfg(not(target_os = "linux"))]
fn end_with_parent() -> Outcome {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    //= NODE-SERVE-01
    #[test]
    fn the_ready_line_is_the_documented_one() {
        let host = OwnHost::parse("alpha.test").unwrap();
        let line = ready_line(&host, "127.0.0.1:8443".parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
        assert_eq!(line, "ready host=alpha.test peer=127.0.0.1:8443 local=127.0.0.1:8080");
    }
}
