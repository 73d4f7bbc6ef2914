//! What happens to a link, as a running node tells it; and an exchange, step by step.

use std::{collections::VecDeque, time::Duration};

use reqwest::{Method, Response};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::{
    events::Events,
    output::CliError,
    remote::{Call, Remote, block_on, read},
};
use crate::wire::host::PeerHost;

const NEED: &str = "the app needs `admin = true`";
/// The node writes something every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// What the node told before its answer is on its way when the answer is there.
const LATE: Duration = Duration::from_millis(300);
/// By then a node that has been asked for an exchange has begun it.
const BEGUN: Duration = Duration::from_millis(50);

/// From here on ctrl-c is how it is meant to end: at once, also where what reads our output does not read on.
pub(super) fn end_on_interrupt() {
    std::thread::spawn(|| {
        block_on(async {
            tokio::signal::ctrl_c().await.map_err(|error| CliError::failed(error.to_string(), ""))?;
            std::process::exit(0)
        })
    });
}

/// Something that happened.
#[derive(Deserialize)]
struct Told {
    at: String,
    what: String,
    text: String,
}

/// The same, and as it was written.
pub(super) struct Happened {
    /// RFC 3339.
    pub(super) at: String,
    /// In one word.
    pub(super) what: String,
    /// In words.
    pub(super) text: String,
    /// An object.
    pub(super) json: String,
}

/// A link that is watched.
pub(super) struct Watching {
    stream: Response,
    events: Events,
    come: VecDeque<Happened>,
}

impl Watching {
    /// Watches from here on.
    pub(super) async fn of(remote: &Remote, host: &PeerHost) -> Result<Self, CliError> {
        let path = ["peers", host.as_str(), "events"];
        let stream = remote.open(Call::new(Method::GET, &path, NEED), Some("")).await?;
        Ok(Self { stream, events: Events::default(), come: VecDeque::new() })
    }

    /// What happens next; `None` where the node has ended the stream, or is silent.
    pub(super) async fn next(&mut self) -> Result<Option<Happened>, CliError> {
        loop {
            if let Some(event) = self.come.pop_front() {
                return Ok(Some(event));
            }
            let Ok(Ok(Some(bytes))) = timeout(SILENCE_MAX, self.stream.chunk()).await else {
                return Ok(None);
            };
            for event in self.events.feed(&bytes) {
                let Told { at, what, text } = read(&event.data)?;
                self.come.push_back(Happened { at, what, text, json: event.data });
            }
        }
    }
}

/// Lets the node exchange tokens with the peer now, and tells what happens to the link meanwhile; gives back the link as it is
/// then, as JSON.
pub(super) async fn exchange(
    remote: &Remote,
    host: &PeerHost,
    mut tell: impl FnMut(&Happened) -> Result<(), CliError>,
) -> Result<String, CliError> {
    let mut watching = watched(remote, host).await?;
    let path = ["peers", host.as_str(), "connect"];
    let outcome = remote.text(Call::new(Method::POST, &path, NEED));
    let mut outcome = std::pin::pin!(outcome);
    let mut listens = true;
    let answer = loop {
        tokio::select! {
            answer = &mut outcome => break answer,
            event = next(&mut watching, remote, host), if listens => match event? {
                Some(event) => tell(&event)?,
                None => listens = false,
            },
        }
    };
    while listens
        && let Some(watching) = &mut watching
        && let Ok(event) = timeout(LATE, watching.next()).await
    {
        let Some(event) = event? else { break };
        let is_last = matches!(&*event.what, "up" | "exchange-failed" | "down");
        tell(&event)?;
        if is_last {
            break;
        }
    }
    answer
}

/// The link; `None` where the node knows nothing of the host yet.
async fn watched(remote: &Remote, host: &PeerHost) -> Result<Option<Watching>, CliError> {
    match Watching::of(remote, host).await {
        Ok(watching) => Ok(Some(watching)),
        Err(CliError::Unknown { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What happens next. A link that the node did not know is one as soon as the exchange has begun.
async fn next(
    watching: &mut Option<Watching>,
    remote: &Remote,
    host: &PeerHost,
) -> Result<Option<Happened>, CliError> {
    if watching.is_none() {
        sleep(BEGUN).await;
        *watching = watched(remote, host).await?;
    }
    match watching {
        Some(watching) => watching.next().await,
        None => Ok(None),
    }
}
