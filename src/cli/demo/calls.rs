//! What the demo asks of its nodes, through the local API and nothing else.

use std::{collections::HashMap, time::Duration};

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::child::Node;
use crate::cli::{
    output::CliError,
    remote::{Call, Remote, read},
};

/// More than any step takes, also on a busy machine; what is not there by then does not come.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(5);
/// Messages that one call hands over.
const BATCH: usize = 50;

/// A message as the demo numbers it: in which round, and as which of its sender's messages there.
pub(super) type Number = (u64, u64);

#[derive(Deserialize)]
struct Taken {
    messages: Vec<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Page {
    messages: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    round: u64,
    n: u64,
}

/// A link, as much of it as the demo looks at.
#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) sending: Direction,
    pub(super) receiving: Direction,
    queue: Queue,
    #[serde(default, rename = "last-failure")]
    last_failure: Option<Failure>,
}

#[derive(Deserialize)]
pub(super) struct Direction {
    pub(super) state: String,
}

#[derive(Deserialize)]
struct Queue {
    messages: u64,
}

#[derive(Deserialize)]
struct Failure {
    reason: String,
}

/// A node's counters.
pub(super) struct Counters(HashMap<String, u64>);

impl Counters {
    /// One of them; 0 where there is no such.
    pub(super) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    fn read(text: &str) -> Self {
        let number = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self(text.lines().filter_map(number).collect())
    }
}

/// Hands over messages `numbers` of `round` for `to`; each batch is accepted once the answer is there. How many were.
pub(super) async fn submit(
    from: &Node,
    to: &str,
    round: u64,
    numbers: std::ops::Range<u64>,
) -> Result<u64, CliError> {
    let all: Vec<u64> = numbers.collect();
    let mut accepted = 0;
    for numbers in all.chunks(BATCH) {
        let message = |n: &u64| {
            json!({
                "sender": {"protocol": "example", "service": "form"},
                "host": to, "protocol": "example", "service": "form", "action": "put",
                "payload": {"round": round, "n": n},
            })
        };
        let body: Value = json!({"messages": numbers.iter().map(message).collect::<Vec<_>>()});
        let mut call = Call::new(Method::POST, &["messages"], "");
        call.body = Some(body.to_string());
        let taken: Taken = read(&from.remote.text(call).await?)?;
        if taken.messages.len() != numbers.len() {
            let what =
                format!("{} accepted {} of {} messages", from.host.name, taken.messages.len(), numbers.len());
            return Err(CliError::failed(what, ""));
        }
        accepted += numbers.len() as u64;
    }
    Ok(accepted)
}

/// All that a node has received, oldest first. Nothing is acknowledged, so that it stays.
pub(super) async fn inbox(node: &Node) -> Result<Vec<Number>, CliError> {
    let mut call = Call::new(Method::GET, &["inbox", "example", "form"], "");
    call.query.push(("max", "10000".to_owned()));
    let page: Page = read(&node.remote.text(call).await?)?;
    Ok(page.messages.iter().map(|entry| (entry.message.payload.round, entry.message.payload.n)).collect())
}

/// `show`, or a verb, on the link to `peer`.
pub(super) async fn link(node: &Node, peer: &str, verb: Option<&str>) -> Result<Link, CliError> {
    let path: Vec<&str> = ["peers", peer].into_iter().chain(verb).collect();
    let method = if verb.is_some() { Method::POST } else { Method::GET };
    read(&node.remote.text(Call::new(method, &path, "")).await?)
}

/// Messages that wait for `peer`.
pub(super) async fn waiting(node: &Node, peer: &str) -> Result<u64, CliError> {
    Ok(link(node, peer, None).await?.queue.messages)
}

/// Returns when both directions have a token.
pub(super) async fn linked(node: &Node, peer: &str) -> Result<(), CliError> {
    until(node, peer, "both directions are linked", |link| {
        link.sending.state == "linked" && link.receiving.state == "linked"
    })
    .await
}

/// Returns when nothing waits for `peer` any more: the peer has answered for all of it.
pub(super) async fn delivered(node: &Node, peer: &str) -> Result<(), CliError> {
    until(node, peer, "everything is delivered", |link| link.queue.messages == 0).await
}

async fn until(node: &Node, peer: &str, what: &str, good: impl Fn(&Link) -> bool) -> Result<(), CliError> {
    let mut last = None;
    let look = async {
        loop {
            let link = link(node, peer, None).await?;
            if good(&link) {
                return Ok(());
            }
            last = link.last_failure.map(|failure| failure.reason);
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let why = last.unwrap_or_else(|| "no failure is known".to_owned());
            let name = &node.host.name;
            Err(CliError::failed(format!("{name}: not within {} s: {what}; {why}", PATIENCE.as_secs()), ""))
        }
    }
}

/// The node's counters now.
pub(super) async fn counters(remote: &Remote) -> Result<Counters, CliError> {
    let (_, text) = remote.plain("metrics", PATIENCE).await?;
    Ok(Counters::read(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_the_text_format() {
        let counters = Counters::read("# HELP a_total Some 7.\n# TYPE a_total counter\na_total 7\nb 8\n");
        assert_eq!((counters.of("a_total"), counters.of("b"), counters.of("#")), (7, 8, 0));
    }
}
