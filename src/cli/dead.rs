//! `ymp dead`: messages that could not be delivered.

use clap::Subcommand;
use reqwest::Method;
use serde::Deserialize;

use super::{
    args,
    output::{CliError, Out, Outcome},
    remote::{Call, Remote, Target, block_on, read},
    render::{self, clean, distance, plural},
    rooms,
};

use crate::wire::host::PeerHost;

const NEED: &str = "the app needs the service that sent the message, or `admin = true`";

/// List, retry and delete messages that could not be delivered
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n  ymp dead list\n  ymp dead retry 0197c2f193a10000d41d8cd98f00b204\n  ymp dead list --json"
)]
pub(super) struct Dead {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// All of them that the app may see, with the reason
    #[command(after_help = "Examples:\n  ymp dead list\n  ymp dead list --host beta.test")]
    List {
        /// Only those for this host
        #[arg(long, value_name = "HOST", value_parser = args::peer_host)]
        host: Option<PeerHost>,
        /// Print JSON, page after page, one document a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Queue them again; their time to live starts anew
    #[command(
        after_help = "Examples:\n  ymp dead retry 0197c2f193a10000d41d8cd98f00b204\n  ymp dead retry --host beta.test"
    )]
    Retry(Ids),
    /// Delete them for good
    #[command(
        after_help = "Examples:\n  ymp dead delete 0197c2f193a10000d41d8cd98f00b204\n  ymp dead delete --host beta.test"
    )]
    Delete(Ids),
}

#[derive(clap::Args, Debug)]
struct Ids {
    /// The messages' ids
    #[arg(
        value_name = "ID",
        required_unless_present = "host",
        conflicts_with = "host",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    ids: Vec<String>,
    /// All that are for this host; needs an admin
    #[arg(long, value_name = "HOST", value_parser = args::peer_host)]
    host: Option<PeerHost>,
    /// Print JSON, one document a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct Letters {
    messages: Vec<Letter>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Steered {
    messages: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Letter {
    id: String,
    host: String,
    last_error: Option<String>,
    dead_at: Option<String>,
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    protocol: String,
    service: String,
}

impl Dead {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        block_on(async {
            match self.verb {
                Verb::List { host, json, target } => {
                    list(&Remote::new(target)?, host.as_ref(), json, out).await
                }
                Verb::Retry(Ids { host: Some(host), target, json, .. }) => {
                    all(&host, target, json, ("retry-dead", "queued"), out).await
                }
                Verb::Delete(Ids { host: Some(host), target, json, .. }) => {
                    all(&host, target, json, ("drop-dead", "deleted"), out).await
                }
                Verb::Retry(ids) => each(ids, Method::POST, Some("retry"), "queued", out).await,
                Verb::Delete(ids) => each(ids, Method::DELETE, None, "deleted", out).await,
            }
        })
    }
}

/// Page after page, until there is no more.
async fn list(remote: &Remote, host: Option<&PeerHost>, json: bool, out: &mut Out<'_>) -> Outcome {
    let (mut all, mut after) = (Vec::new(), None::<String>);
    loop {
        let mut call = Call::new(Method::GET, &["dead"], NEED);
        call.query.extend(host.map(|host| ("host", host.to_string())));
        call.query.extend(after.clone().map(|after| ("after", after)));
        let text = remote.text(call).await?;
        let letters: Letters = read(&text)?;
        if json && (after.is_none() || !letters.messages.is_empty()) {
            out.line(text.trim_end())?;
        }
        after = letters.next;
        if after.is_none() || letters.messages.is_empty() {
            break;
        }
        if !json {
            all.extend(letters.messages);
        }
    }
    if json { Ok(()) } else { table(&all, out) }
}

fn table(letters: &[Letter], out: &mut Out<'_>) -> Outcome {
    if letters.is_empty() {
        return out.line("no dead messages");
    }
    let now = rooms::now();
    let row = |letter: &Letter| {
        let when = letter.dead_at.as_ref().map_or("?".to_owned(), |at| distance(at, now));
        let why = letter.last_error.as_deref().unwrap_or("no reason is known");
        let Letter { id, host, message: Message { protocol, service }, .. } = letter;
        // The id must be copied whole; the host may be long: it goes where the text is wrapped.
        vec![id.clone(), when, format!("{host} {protocol}/{service}: {why}")]
    };
    let rows: Vec<_> = letters.iter().map(row).collect();
    out.line(render::table(&["ID", "DEAD", "FOR WHOM, AND WHY"], &rows, render::width()))
}

/// All dead messages of a host.
async fn all(
    host: &PeerHost,
    target: Target,
    json: bool,
    (verb, done): (&str, &str),
    out: &mut Out<'_>,
) -> Outcome {
    let path = ["peers", host.as_str(), verb];
    let text = Remote::new(target)?.text(Call::new(Method::POST, &path, NEED)).await?;
    if json {
        return out.line(text.trim_end());
    }
    let steered: Steered = read(&text)?;
    out.line(format!("{done} {} for {host}", plural(steered.messages, "message")))
}

/// One call per id, in order. One that the node does not have is named, and the others are done.
async fn each(ids: Ids, method: Method, verb: Option<&str>, done: &str, out: &mut Out<'_>) -> Outcome {
    let remote = Remote::new(ids.target)?;
    let mut unknown = Vec::new();
    out.verdict();
    for id in &ids.ids {
        let path: Vec<&str> = ["dead", id.as_str()].into_iter().chain(verb).collect();
        match remote.text(Call::new(method.clone(), &path, NEED)).await {
            Ok(_) => {}
            Err(CliError::Unknown { .. }) => {
                unknown.push(clean(id));
                continue;
            }
            Err(error) => return Err(error),
        }
        if ids.json {
            out.line(serde_json::json!({"id": id, "outcome": done}))?;
        } else {
            out.line(format!("{done} {}", clean(id)))?;
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let what = format!("no dead message has the id {}, or the app may not see it", unknown.join(", "));
    Err(CliError::failed(what, "see `ymp dead list`; an id must be given whole"))
}
