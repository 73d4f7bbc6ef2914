//! `ymp send`: hands a message to the node, and waits for its delivery where asked.

use std::{io::Read as _, time::Duration};

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    args::{self, ServiceName},
    output::{CliError, Out, Outcome},
    remote::{Call, Remote, Target, block_on, read},
    render::clean,
};
use crate::wire::host::PeerHost;

/// How often the state is asked for: at first, and at most.
const POLL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Send a message; prints its id once it is on stable storage
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    ymp send --as example/form --to beta.test --action put '{\"n\":1}'\n  \
    ymp send --as example/form --to beta.test --service example/store --action put @n.json\n  \
    ymp send --as example/form --to beta.test --action put '{\"n\":1}' --wait=30s\n  \
    date +'{\"at\":%s}' | ymp send --as example/form --to beta.test --reply-to 17 -")]
pub(super) struct Send {
    /// The service that sends: one of the app's
    #[arg(long = "as", value_name = "PROTOCOL/SERVICE")]
    sender: ServiceName,
    /// The host that it is for
    #[arg(long, value_name = "HOST", value_parser = args::peer_host)]
    to: PeerHost,
    /// The service there; the sending service's name unless said otherwise
    #[arg(long, value_name = "PROTOCOL/SERVICE")]
    service: Option<ServiceName>,
    /// What a request asks for
    #[arg(long, required_unless_present = "reply_to")]
    action: Option<String>,
    /// The id of the message that this answers
    #[arg(long, value_name = "ID")]
    reply_to: Option<String>,
    /// An id of your own; one is made otherwise
    #[arg(long)]
    id: Option<String>,
    /// After this the message is dead, as in 7d
    #[arg(long, value_name = "TIME", value_parser = args::duration)]
    time_to_live: Option<Duration>,
    /// Wait until it is delivered or dead, at most this long where a time is given: --wait=30s
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, value_parser = args::duration)]
    wait: Option<Option<Duration>>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
    /// A JSON object, @FILE, or - for standard input
    #[arg(value_name = "PAYLOAD")]
    payload: String,
}

#[derive(Serialize)]
struct SenderOut<'a> {
    protocol: &'a str,
    service: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct MessageOut<'a> {
    sender: SenderOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<&'a str>,
    host: &'a str,
    protocol: &'a str,
    service: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct Taken {
    messages: Vec<TakenMessage>,
}

#[derive(Deserialize)]
struct TakenMessage {
    id: String,
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Status {
    state: String,
    #[serde(default)]
    attempts: u64,
    last_error: Option<String>,
}

impl Send {
    pub(super) fn run(self, out: &mut Out<'_>) -> Outcome {
        let payload = payload(&self.payload)?;
        let body = self.body(&payload)?;
        let need = format!("the app needs `{}` under its `services`", self.sender);
        let Self { target, json, wait, time_to_live, .. } = self;
        let remote = Remote::new(target)?;
        block_on(async {
            let mut call = Call::new(Method::POST, &["messages"], &need);
            call.body = Some(body);
            call.query.extend(time_to_live.map(|time| ("time-to-live", args::written(time))));
            let text = remote.text(call).await?;
            let taken: Taken = read(&text)?;
            let Some(TakenMessage { id, state }) = taken.messages.first() else {
                return Err(CliError::failed(
                    "the node took no message and said no reason",
                    "look at its log",
                ));
            };
            if !json {
                out.line(clean(id))?;
            } else if wait.is_none() {
                out.line(text.trim_end())?;
            }
            match wait {
                // To a service of our own, or a repeat: it has arrived.
                Some(_) if state == "delivered" && json => out.line(text.trim_end()),
                Some(_) if state == "delivered" => out.line("delivered"),
                Some(limit) => await_end(&remote, id, limit, json, out).await,
                None => Ok(()),
            }
        })
    }

    fn body(&self, payload: &RawValue) -> Result<String, CliError> {
        let service = self.service.as_ref().unwrap_or(&self.sender);
        let message = MessageOut {
            sender: SenderOut { protocol: &self.sender.protocol, service: &self.sender.service },
            id: self.id.as_deref(),
            reply_to: self.reply_to.as_deref(),
            host: self.to.as_str(),
            protocol: &service.protocol,
            service: &service.service,
            action: self.action.as_deref(),
            payload,
        };
        serde_json::to_string(&message).map_err(|error| CliError::failed(error, ""))
    }
}

/// Asks for the message's state until it is delivered (0), dead (1), or the time is over (1).
async fn await_end(
    remote: &Remote,
    id: &str,
    limit: Option<Duration>,
    json: bool,
    out: &mut Out<'_>,
) -> Outcome {
    let poll = async {
        let mut pause = POLL.0;
        loop {
            let path = ["messages", id];
            let text =
                remote.text(Call::new(Method::GET, &path, "the app needs the sending service")).await?;
            let status: Status = read(&text)?;
            if status.state != "queued" {
                return Ok::<_, CliError>((text, status));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL.1);
        }
    };
    let ended = match limit {
        Some(limit) => tokio::time::timeout(limit, poll).await.ok(),
        None => Some(poll.await),
    };
    let Some(ended) = ended else {
        let mend = "it stays queued and is tried again: `ymp peer show HOST` says what keeps it";
        return Err(CliError::failed("the message was not delivered in time", mend));
    };
    let (text, status) = ended?;
    let words = match status.attempts {
        0 => clean(&status.state),
        tries => format!("{}, failed tries: {tries}", clean(&status.state)),
    };
    out.line(if json { text.trim_end() } else { &words })?;
    if status.state == "delivered" {
        return Ok(());
    }
    let why = status.last_error.map_or("no reason is known".to_owned(), |error| clean(&error));
    Err(CliError::failed(format!("the message is dead: {why}"), "`ymp dead retry ID` queues it again"))
}

/// The payload as it will be sent, byte for byte.
fn payload(argument: &str) -> Result<Box<RawValue>, CliError> {
    let text = if argument == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else if let Some(file) = argument.strip_prefix('@') {
        std::fs::read_to_string(file)
    } else {
        Ok(argument.to_owned())
    };
    let mend = "give a JSON object such as '{\"n\":1}', @FILE, or - for standard input";
    let text =
        text.map_err(|error| CliError::failed(format!("the payload cannot be read: {error}"), mend))?;
    let value: Box<RawValue> = serde_json::from_str(&text)
        .map_err(|error| CliError::failed(format!("the payload is not JSON: {error}"), mend))?;
    if value.get().starts_with('{') {
        Ok(value)
    } else {
        Err(CliError::failed("the payload is JSON, but no object", mend))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_an_object_and_stays_as_written() {
        assert_eq!(payload(r#" {"b":1.0, "a":1} "#).unwrap().get(), r#"{"b":1.0, "a":1}"#);
        for wrong in ["[]", "1", "", "{", "@/nowhere"] {
            assert!(payload(wrong).is_err(), "{wrong}");
        }
    }
}
