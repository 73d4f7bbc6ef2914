//! `ymp inbox`: reads or follows an inbox.
//!
//! What was printed is acknowledged only with `--ack`, and only after it has been printed: a reader that breaks off
//! sees it again.

use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    args::{self, ServiceName},
    events::Events,
    output::{CliError, Out, Outcome, progress},
    remote::{CALL_TIME, Call, Remote, Target, block_on, read},
    render::{clean, indented, moment},
    rooms,
    watching::end_on_interrupt,
};

/// A stream that broke off is opened again after this.
const PAUSE: Duration = Duration::from_secs(1);
/// The node sends at least a comment every 15 s: a stream that is silent for longer is dead.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Read an inbox, oldest first, from the first message that the app has not acknowledged
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    ymp inbox example/form --max 10\n  \
    ymp inbox example/form --wait 30s --ack\n  \
    ymp inbox example/form --follow --ack")]
pub(super) struct Inbox {
    /// Whose inbox
    #[arg(value_name = "PROTOCOL/SERVICE")]
    service: ServiceName,
    /// At most so many messages
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000), conflicts_with = "follow")]
    max: u32,
    /// Wait for one, at most 60s
    #[arg(long, value_name = "TIME", value_parser = args::inbox_wait, conflicts_with = "follow")]
    wait: Option<Duration>,
    /// Acknowledge what was printed: the app does not see it again
    #[arg(long)]
    ack: bool,
    /// Print messages as they come, until ctrl-c; goes on over restarts of the node
    #[arg(long)]
    follow: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    messages: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Entry<'a> {
    cursor: String,
    received_at: String,
    from: String,
    #[serde(borrow)]
    message: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Message<'a> {
    id: String,
    reply_to: Option<String>,
    action: Option<String>,
    sender: Sender,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct Sender {
    protocol: String,
    service: String,
}

/// One inbox of a node.
struct Reading {
    remote: Remote,
    service: ServiceName,
    need: String,
    ack: bool,
    json: bool,
}

impl Inbox {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        let need = format!("the app needs `{}` under its `services`", self.service);
        let remote = Remote::new(self.target)?;
        let reading = Reading { remote, service: self.service, need, ack: self.ack, json: self.json };
        block_on(async {
            if self.follow {
                end_on_interrupt();
                reading.follow(out).await
            } else {
                reading.page(self.max, self.wait, out).await
            }
        })
    }
}

impl Reading {
    async fn page(&self, max: u32, wait: Option<Duration>, out: &mut Out<'_>) -> Outcome {
        let path = ["inbox", &self.service.protocol, &self.service.service];
        let mut call = Call::new(Method::GET, &path, &self.need);
        call.time = CALL_TIME + wait.unwrap_or_default();
        call.query.push(("max", max.to_string()));
        call.query.extend(wait.map(|wait| ("wait", args::written(wait))));
        let text = self.remote.text(call).await?;
        let page: Page<'_> = read(&text)?;
        if self.json {
            out.line(text.trim_end())?;
        } else if page.messages.is_empty() {
            out.line("no messages")?;
        } else {
            page.messages.iter().try_for_each(|entry| out.line(entry.text()))?;
        }
        match page.messages.last() {
            Some(last) if self.ack => self.acknowledge(&last.cursor).await,
            _ => Ok(()),
        }
    }

    /// Reads the stream; opens it again where it breaks off, also over a restart of the node. A node that refuses, or
    /// that is not there at the start, ends it.
    async fn follow(&self, out: &mut Out<'_>) -> Outcome {
        let mut seen = String::new();
        let mut met = false;
        'stream: loop {
            let path = ["inbox", &self.service.protocol, &self.service.service, "events"];
            let call = Call::new(Method::GET, &path, &self.need);
            let mut stream = match self.remote.open(call, Some(&seen)).await {
                Err(CliError::Away { .. } | CliError::Busy { .. }) if met => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(CliError::Unknown { .. }) if !seen.is_empty() => {
                    anew(&mut seen);
                    continue;
                }
                opened => opened?,
            };
            met = true;
            let mut events = Events::default();
            while let Ok(Ok(Some(bytes))) = tokio::time::timeout(SILENCE_MAX, stream.chunk()).await {
                for event in events.feed(&bytes) {
                    match self.show(&event.data, out).await {
                        Err(CliError::Unknown { .. }) => {
                            anew(&mut seen);
                            continue 'stream;
                        }
                        shown => shown?,
                    }
                    seen = event.id;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn show(&self, data: &str, out: &mut Out<'_>) -> Outcome {
        let entry: Entry<'_> = read(data)?;
        if self.json {
            out.line(data)?
        } else {
            out.line(entry.text())?
        }
        if !self.ack {
            return Ok(());
        }
        // The node may go away with this in hand; to acknowledge twice changes nothing.
        loop {
            match self.acknowledge(&entry.cursor).await {
                Err(CliError::Away { .. } | CliError::Busy { .. }) => tokio::time::sleep(PAUSE).await,
                done => return done,
            }
        }
    }

    async fn acknowledge(&self, cursor: &str) -> Outcome {
        let path = ["inbox", &self.service.protocol, &self.service.service, "ack"];
        let mut call = Call::new(Method::POST, &path, &self.need);
        call.body = Some(json!({"cursor": cursor}).to_string());
        self.remote.text(call).await.map(|_| ())
    }
}

/// The node was restored to an older state, as it seems: what came since is shown again rather than missed.
fn anew(seen: &mut String) {
    progress("the node does not know this message any more: on from the first that is not acknowledged");
    seen.clear();
}

impl Entry<'_> {
    /// Who, when, what, and the payload below, as it came.
    fn text(&self) -> String {
        let when = moment(&self.received_at, rooms::now());
        let Ok(message) = serde_json::from_str::<Message<'_>>(self.message.get()) else {
            return format!("{}  {when}\n  {}", clean(&self.from), indented(self.message.get()));
        };
        let Message { id, reply_to, action, sender, payload } = message;
        let mut what = format!("id {id}");
        what.extend(action.map(|action| format!("  action {action}")));
        what.extend(reply_to.map(|reply_to| format!("  answers {reply_to}")));
        let payload = indented(payload.get());
        let from = format!("{} {}/{}", self.from, sender.protocol, sender.service);
        format!("{}  {when}\n  {}\n  {payload}", clean(&from), clean(&what))
    }
}
