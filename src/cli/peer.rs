//! `ymp peer`: the links to peers.

use clap::Subcommand;
use reqwest::Method;
use serde::Deserialize;

use super::{
    args,
    link::Link,
    output::{CliError, Out, Outcome, progress},
    remote::{Call, Remote, Target, block_on, read},
    render::{self, plural},
    rooms,
    watching::{Happened, Watching, end_on_interrupt, exchange},
};
use crate::wire::host::PeerHost;

const NEED: &str = "the app needs `admin = true`";

/// See and steer the links to peers
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  ymp peer list\n  ymp peer connect beta.test\n  ymp peer show beta.test --json"
)]
pub(super) struct Peer {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// All links and configured peers
    #[command(after_help = "Example:\n  ymp peer list")]
    List(Common),
    /// One of them, in full
    #[command(after_help = "Example:\n  ymp peer show beta.test")]
    Show(Host),
    /// Exchange tokens now, and wait for the outcome
    #[command(after_help = "Example:\n  ymp peer connect beta.test")]
    Connect(Host),
    /// Show what happens to the link, as it happens, until ctrl-c
    #[command(after_help = "Example:\n  ymp peer watch beta.test")]
    Watch(Host),
    /// Refresh the token that the peer gave, and wait for the outcome
    #[command(after_help = "Example:\n  ymp peer refresh beta.test")]
    Refresh(Host),
    /// Try now, whatever the link rests for
    #[command(after_help = "Example:\n  ymp peer retry beta.test")]
    Retry(Host),
    /// Send nothing to it until resumed, over restarts too; what it sends is taken
    #[command(after_help = "Example:\n  ymp peer pause beta.test")]
    Pause(Host),
    /// Send again
    #[command(after_help = "Example:\n  ymp peer resume beta.test")]
    Resume(Host),
    /// Set all mail that waits for it aside: see `ymp dead list --host`
    #[command(after_help = "Example:\n  ymp peer purge beta.test")]
    Purge(Host),
    /// Forget what was found out about how it is spoken to, or about all hosts
    #[command(after_help = "Examples:\n  ymp peer flush beta.test\n  ymp peer flush")]
    Flush(MaybeHost),
    /// Forget the link, and revoke what the peer was given; mail that waits stays
    #[command(after_help = "Example:\n  ymp peer forget beta.test")]
    Forget(Host),
}

#[derive(clap::Args, Debug)]
struct Common {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Args, Debug)]
struct Host {
    /// The peer's name
    #[arg(value_name = "HOST", value_parser = args::peer_host)]
    host: PeerHost,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
struct MaybeHost {
    /// The peer's name; all hosts unless given
    #[arg(value_name = "HOST", value_parser = args::peer_host)]
    host: Option<PeerHost>,
    #[command(flatten)]
    common: Common,
}

/// What an operator's change came to.
#[derive(Deserialize)]
struct Steered {
    messages: u64,
    peer: Link,
}

#[derive(Deserialize)]
struct Links {
    peers: Vec<Link>,
}

impl Peer {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        block_on(async {
            match self.verb {
                Verb::List(common) => list(common, out).await,
                Verb::Show(host) => one(host, Method::GET, None, out).await,
                Verb::Connect(host) => connect(host, out).await,
                Verb::Watch(host) => {
                    end_on_interrupt();
                    watch(host, out).await
                }
                Verb::Refresh(host) => one(host, Method::POST, Some("refresh"), out).await,
                Verb::Retry(host) => steer(host, "retry", out).await,
                Verb::Pause(host) => steer(host, "pause", out).await,
                Verb::Resume(host) => steer(host, "resume", out).await,
                Verb::Purge(host) => steer(host, "purge", out).await,
                Verb::Flush(MaybeHost { host: Some(host), common }) => {
                    steer(Host { host, common }, "flush", out).await
                }
                Verb::Flush(MaybeHost { host: None, common }) => flush(common, out).await,
                Verb::Forget(host) => forget(host, out).await,
            }
        })
    }
}

async fn list(common: Common, out: &mut Out<'_>) -> Outcome {
    let remote = Remote::new(common.target)?;
    let text = remote.text(Call::new(Method::GET, &["peers"], NEED)).await?;
    if common.json {
        return out.line(text.trim_end());
    }
    let Links { peers } = read(&text)?;
    if peers.is_empty() {
        return out.line("no links yet, and no [[peers]]: `ymp peer connect HOST` makes one");
    }
    let now = rooms::now();
    let rows: Vec<Vec<String>> = peers.iter().map(|link| link.row(now)).collect();
    let head = ["HOST", "SENDING", "RECEIVING", "WAITING", "LAST"];
    out.line(render::table(&head, &rows, render::width()))
}

async fn one(host: Host, method: Method, verb: Option<&str>, out: &mut Out<'_>) -> Outcome {
    let remote = Remote::new(host.common.target)?;
    let path: Vec<&str> = ["peers", host.host.as_str()].into_iter().chain(verb).collect();
    let text = remote.text(Call::new(method, &path, NEED)).await?;
    if host.common.json {
        return out.line(text.trim_end());
    }
    let link: Link = read(&text)?;
    out.line(render::list(&link.entries(rooms::now()), render::width()))
}

/// Shows the steps as they happen, then the link.
async fn connect(host: Host, out: &mut Out<'_>) -> Outcome {
    if host.common.json {
        return one(host, Method::POST, Some("connect"), out).await;
    }
    let remote = Remote::new(host.common.target)?;
    let clock = rooms::clock();
    let begun = clock().mono;
    let text = exchange(&remote, &host.host, |event| {
        let after = clock().mono.since(begun).as_secs_f64();
        progress(line(&format!("{after:6.2} s"), event));
        Ok(())
    })
    .await?;
    let link: Link = read(&text)?;
    progress("");
    out.line(render::list(&link.entries(rooms::now()), render::width()))
}

/// One line, wrapped below its text.
fn line(when: &str, event: &Happened) -> String {
    let (when, what) = (render::clean(when), render::clean(&event.what));
    render::list(&[(&format!("{when}  {what:<15}"), event.text.clone())], render::width())
}

async fn watch(host: Host, out: &mut Out<'_>) -> Outcome {
    let remote = Remote::new(host.common.target)?;
    let mut watching = Watching::of(&remote, &host.host).await?;
    while let Some(event) = watching.next().await? {
        if host.common.json {
            out.line(&event.json)?;
        } else {
            out.line(line(&event.at, &event))?;
        }
    }
    Err(CliError::failed("the node has ended the stream", "is it stopping? start this again"))
}

async fn steer(host: Host, verb: &str, out: &mut Out<'_>) -> Outcome {
    let remote = Remote::new(host.common.target)?;
    let path = ["peers", host.host.as_str(), verb];
    let text = remote.text(Call::new(Method::POST, &path, NEED)).await?;
    if host.common.json {
        return out.line(text.trim_end());
    }
    let steered: Steered = read(&text)?;
    if verb == "purge" {
        match steered.messages {
            0 => out.line("nothing was waiting")?,
            count => {
                let mend = "`ymp dead retry --host` queues them again";
                out.line(format!("{} set aside: {mend}", plural(count, "message")))?;
            }
        }
    }
    out.line(render::list(&steered.peer.entries(rooms::now()), render::width()))
}

async fn flush(common: Common, out: &mut Out<'_>) -> Outcome {
    let remote = Remote::new(common.target)?;
    let text = remote.text(Call::new(Method::DELETE, &["discovered"], NEED)).await?;
    if common.json {
        return out.line(text.trim_end());
    }
    out.line("forgot what was found out: each host is looked up again when it is needed")
}

async fn forget(host: Host, out: &mut Out<'_>) -> Outcome {
    let remote = Remote::new(host.common.target)?;
    remote.text(Call::new(Method::DELETE, &["peers", host.host.as_str()], NEED)).await?;
    if host.common.json {
        return out.line(serde_json::json!({"host": host.host.as_str(), "forgotten": true}));
    }
    out.line(format!("forgot {}", host.host))
}
