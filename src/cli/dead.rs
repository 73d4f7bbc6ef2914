//! `ymp dead`: messages that could not be delivered.

use clap::Subcommand;
use reqwest::Method;
use serde::Deserialize;

use super::{
    output::{Out, Outcome},
    remote::{Call, Remote, Target, block_on, read},
    render::{self, clean, distance},
    rooms,
};

const NEED: &str = "the app needs the service that sent the message, or `admin = true`";

/// List, retry and delete messages that could not be delivered
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  ymp dead list\n  ymp dead retry 0197c2f1\n  ymp dead list --json")]
pub(super) struct Dead {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// All of them that the app may see, with the reason
    #[command(after_help = "Example:\n  ymp dead list")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Queue them again; their time to live starts anew
    #[command(after_help = "Example:\n  ymp dead retry 0197c2f1")]
    Retry(Ids),
    /// Delete them for good
    #[command(after_help = "Example:\n  ymp dead delete 0197c2f1")]
    Delete(Ids),
}

#[derive(clap::Args, Debug)]
struct Ids {
    /// The messages' ids
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct Letters {
    messages: Vec<Letter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Letter {
    id: String,
    host: String,
    last_error: Option<String>,
    dead_at: Option<String>,
}

impl Dead {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        block_on(async {
            match self.verb {
                Verb::List { json, target } => list(Remote::new(target)?, json, out).await,
                Verb::Retry(ids) => each(ids, Method::POST, Some("retry"), "queued", out).await,
                Verb::Delete(ids) => each(ids, Method::DELETE, None, "deleted", out).await,
            }
        })
    }
}

async fn list(remote: Remote, json: bool, out: &mut Out<'_>) -> Outcome {
    let text = remote.text(Call::new(Method::GET, &["dead"], NEED)).await?;
    if json {
        return out.line(text.trim_end());
    }
    let letters: Letters = read(&text)?;
    if letters.messages.is_empty() {
        return out.line("no dead messages");
    }
    let now = rooms::now();
    let row = |letter: &Letter| {
        let when = letter.dead_at.as_ref().map_or("?".to_owned(), |at| distance(at, now));
        let why = letter.last_error.clone().unwrap_or_else(|| "no reason is known".to_owned());
        // The id must be copied whole; the host may be long: it goes where the text is wrapped.
        vec![letter.id.clone(), when, format!("{}: {why}", letter.host)]
    };
    let rows: Vec<_> = letters.messages.iter().map(row).collect();
    out.line(render::table(&["ID", "DEAD", "HOST AND REASON"], &rows, render::width()))
}

/// One call per id, in order; ends with the first that fails.
async fn each(ids: Ids, method: Method, verb: Option<&str>, done: &str, out: &mut Out<'_>) -> Outcome {
    let remote = Remote::new(ids.target)?;
    for id in &ids.ids {
        let path: Vec<&str> = ["dead", id.as_str()].into_iter().chain(verb).collect();
        remote.text(Call::new(method.clone(), &path, NEED)).await?;
        out.line(format!("{done} {}", clean(id)))?;
    }
    Ok(())
}
