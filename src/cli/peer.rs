//! `ymp peer`: the links to peers.

use clap::Subcommand;
use reqwest::Method;
use serde::Deserialize;

use super::{
    args,
    output::{Out, Outcome},
    remote::{Call, Remote, Target, block_on, read},
    render::{self, distance, moment},
    rooms,
};
use crate::wire::{host::PeerHost, time::Wall};

const NEED: &str = "the app needs `admin = true`, and the host must be one that `[federation]` allows";

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

/// The list, bare or under its name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Links {
    Named { peers: Vec<Link> },
    Bare(Vec<Link>),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Link {
    host: String,
    configured: bool,
    allowed: bool,
    revision: Option<String>,
    negotiation: Negotiation,
    http: Option<String>,
    tls: Option<String>,
    sending: Direction,
    receiving: Direction,
    queue: Queue,
    failures: u64,
    last_success_at: Option<String>,
    last_failure: Option<Failure>,
    last_heard_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Direction {
    state: String,
    expires_at: Option<String>,
    next_try_at: Option<String>,
    families: Option<u64>,
    revision: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Negotiation {
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Queue {
    messages: u64,
    in_flight: u64,
    oldest_at: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    at: String,
    reason: String,
}

impl Peer {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        block_on(async {
            match self.verb {
                Verb::List(common) => list(common, out).await,
                Verb::Show(host) => one(host, Method::GET, None, out).await,
                Verb::Connect(host) => one(host, Method::POST, Some("connect"), out).await,
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
    let (Links::Named { peers } | Links::Bare(peers)) = read(&text)?;
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

async fn steer(host: Host, verb: &str, out: &mut Out<'_>) -> Outcome {
    let remote = Remote::new(host.common.target)?;
    let path = ["peers", host.host.as_str(), verb];
    let text = remote.text(Call::new(Method::POST, &path, NEED)).await?;
    if host.common.json {
        return out.line(text.trim_end());
    }
    let steered: Steered = read(&text)?;
    if verb == "purge" {
        let mend = "`ymp dead retry --host` queues them again";
        out.line(format!("{} messages were set aside: {mend}", steered.messages))?;
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

impl Link {
    fn row(&self, now: Wall) -> Vec<String> {
        let last = match (&self.last_failure, &self.last_success_at) {
            (Some(failure), _) if self.failures > 0 => {
                format!("failed {}: {}", distance(&failure.at, now), failure.reason)
            }
            (_, Some(at)) => format!("ok {}", distance(at, now)),
            _ if !self.allowed => "refused by [federation]".to_owned(),
            _ => "never".to_owned(),
        };
        vec![
            self.host.clone(),
            self.sending.state.clone(),
            self.receiving.state.clone(),
            self.queue.messages.to_string(),
            last,
        ]
    }

    fn over(&self) -> String {
        match (&self.http, &self.tls) {
            (Some(http), Some(tls)) => format!("{http}, {tls}"),
            (Some(http), None) => http.clone(),
            (None, _) => "unknown".to_owned(),
        }
    }

    fn entries(&self, now: Wall) -> Vec<(&'static str, String)> {
        let at = |at: &Option<String>| at.as_ref().map_or("never".to_owned(), |at| moment(at, now));
        let mut waiting = format!("{} messages", self.queue.messages);
        if self.queue.in_flight > 0 {
            waiting = format!("{waiting} ({} under way)", self.queue.in_flight);
        }
        if let Some(oldest) = &self.queue.oldest_at {
            waiting = format!("{waiting}, the oldest from {}", moment(oldest, now));
        }
        let families =
            self.receiving.families.map_or(String::new(), |count| format!(", open families: {count}"));
        let failure = self.last_failure.as_ref().map_or("never".to_owned(), |failure| {
            format!("{}: {}", moment(&failure.at, now), failure.reason)
        });
        vec![
            ("host", self.host.clone()),
            ("configured", yes_no(self.configured)),
            ("allowed", yes_no(self.allowed)),
            ("revision", by(self.revision.as_ref(), Some(&self.negotiation.reason), "unknown")),
            ("over", self.over()),
            ("sending", self.sending.words(now)),
            ("sends by", self.sending.by()),
            ("receiving", format!("{}{families}", self.receiving.words(now))),
            ("receives by", self.receiving.by()),
            ("waiting", waiting),
            ("failures", format!("{} since the last success", self.failures)),
            ("last success", at(&self.last_success_at)),
            ("last failure", failure),
            ("last heard", at(&self.last_heard_at)),
        ]
    }
}

impl Direction {
    fn by(&self) -> String {
        by(self.revision.as_ref(), self.reason.as_ref(), "nothing exchanged yet")
    }

    fn words(&self, now: Wall) -> String {
        let mut words = self.state.clone();
        if let Some(at) = &self.expires_at {
            words = format!("{words}, expires {}", distance(at, now));
        }
        if let Some(at) = &self.next_try_at {
            words = format!("{words}, next try {}", distance(at, now));
        }
        words
    }
}

/// A revision and why it is that one.
fn by(revision: Option<&String>, reason: Option<&String>, none: &str) -> String {
    match (revision, reason) {
        (Some(revision), Some(reason)) => format!("{revision}: {reason}"),
        (Some(revision), None) => revision.clone(),
        (None, Some(reason)) => format!("{none}: {reason}"),
        (None, None) => none.to_owned(),
    }
}

fn yes_no(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        node::views::{
            DirectionState, FailureView, NegotiationView, PeerView, QueueView, ReceivingView, SendingView,
        },
        wire::{
            answer::{HttpVersion, TlsVersion},
            parameters::Revision,
        },
    };

    const NOW: Wall = Wall(1_700_000_000_000);

    fn link() -> Link {
        let ago = |seconds: u64| Wall(NOW.0 - seconds * 1000);
        let view = PeerView {
            host: PeerHost::parse("beta.test").unwrap(),
            configured: true,
            allowed: true,
            revision: Some(Revision::R1),
            negotiation: NegotiationView {
                reason: "pinned: a refresh-path".to_owned(),
                ..NegotiationView::default()
            },
            http: Some(HttpVersion::Http2),
            tls: Some(TlsVersion::Tls13),
            sending: SendingView {
                state: DirectionState::BackingOff,
                expires_at: None,
                next_try_at: Some(Wall(NOW.0 + 90_000)),
                revision: None,
                reason: None,
            },
            receiving: ReceivingView {
                state: DirectionState::Linked,
                expires_at: None,
                families: 2,
                revision: Some(Revision::R3),
                reason: Some("it asked with a state"),
            },
            queue: QueueView { messages: 3, in_flight: 1, oldest_at: Some(ago(300)) },
            failures: 1,
            last_success_at: None,
            last_failure: Some(FailureView { at: ago(60), reason: "no route".into() }),
            last_heard_at: None,
        };
        serde_json::from_value(serde_json::to_value(view).unwrap()).unwrap()
    }

    #[test]
    fn a_link_is_shown_as_the_node_writes_it() {
        assert_eq!(link().row(NOW), ["beta.test", "backing-off", "linked", "3", "failed 60s ago: no route"]);
        let entries = link().entries(NOW);
        let shown = |name: &str| entries.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!(shown("sending"), "backing-off, next try in 90s");
        assert_eq!(shown("receiving"), "linked, open families: 2");
        assert_eq!(shown("receives by"), "R3: it asked with a state");
        assert_eq!(shown("sends by"), "nothing exchanged yet");
        assert_eq!(shown("revision"), "R1: pinned: a refresh-path");
        assert_eq!(
            shown("waiting"),
            "3 messages (1 under way), the oldest from 2023-11-14 22:08:20Z, 5m ago"
        );
        assert_eq!(shown("last heard"), "never");
    }

    #[test]
    fn the_list_may_be_bare_or_named() {
        for text in [r#"{"peers":[]}"#, "[]"] {
            assert!(serde_json::from_str::<Links>(text).is_ok(), "{text}");
        }
    }
}
