//! `ymp doctor`: why two hosts do not find each other.
//!
//! ```text
//!   rooms::walk   name, address, tcp, tls, alpn, information, sending, receiving, the paths, clock, certificate
//!   running       look-up, request, grant (--exchange), link: through the local API of the running node
//!   report        each step a line, as it happens; with --json one object at the end
//! ```
//!
//! The walk needs no node and disturbs none. Exit code 0 where no step is wrong: then a packet could be sent, as far as was
//! tested.

use super::{
    output::{CliError, Out, Outcome},
    remote::{Remote, Target, block_on},
    rooms::{self, Step},
    settings::ConfigFile,
};
use report::Report;

mod report;
mod running;

/// Go the whole way to a peer, step by step, and say what is wrong on it and how to mend it
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  ymp doctor beta.test\n  ymp doctor beta.test --exchange\n  \
    ymp doctor beta.test:8443 --config /etc/ymp/ymp.toml --json\n\n\
    Works whether the node runs or not, and opens neither its store nor a port. With a token (YMP_TOKEN) it \
    also says what the running node knows of the link; --exchange lets that node exchange tokens with the \
    peer now. Without --exchange no token is made or shown: the peer's paths are called with nothing in \
    hand, and what counts is how each refuses. Exit code 0 if a packet could be sent as far as was tested, \
    1 otherwise.")]
pub(super) struct Doctor {
    /// The peer's name
    #[arg(value_name = "HOST")]
    host: String,
    #[command(flatten)]
    config: ConfigFile,
    /// Let the running node exchange tokens with the peer (needs the token of an app with `admin = true`)
    #[arg(long)]
    exchange: bool,
    /// Print JSON: one object with all steps
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

impl Doctor {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        out.verdict();
        let (config, _) = self.config.usable()?;
        let told = self.exchange || self.target.has_token();
        let target = self.target.or_at(config.local_listen);
        let remote = if told { Some(Remote::new(target)?) } else { None };
        let mut report = Report::new(out, self.json, &self.host);
        report.open(config.node.host.as_str())?;
        block_on(async {
            let walked = rooms::walk(&config, &self.host, |step| report.say(step)).await?;
            if self.exchange {
                match (&walked.host, &remote) {
                    (Some(host), Some(remote)) if walked.open => {
                        running::exchange(remote, host, |step| report.say(step)).await?;
                    }
                    _ => report.say(Step::skipped("exchange", "not tried: the way is not open"))?,
                }
            }
            if let Some(host) = &walked.host {
                for step in running::link(remote.as_ref(), host, report.is_good()).await {
                    report.say(step)?;
                }
            }
            Ok(())
        })?;
        if report.close(self.exchange)? { Ok(()) } else { Err(CliError::Said) }
    }
}
