//! What a scripted host is told, what it answers, what it saw.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{HeaderMap, Method, Version};
use serde_json::{Value, json};

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Request,
    Grant,
    Refresh,
    Packet,
    /// The host information, at any of its four places, published there or not.
    Information,
    /// A path that is none of the host's.
    Other,
}

/// A published form of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Revision {
    /// Lifetimes are `expires-in`.
    #[default]
    R1,
    /// Lifetimes are `expires`.
    R2,
    /// States instead of tokens in requests, and no refresh.
    R3,
}

impl Revision {
    /// As operators are shown it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::R1 => "R1",
            Self::R2 => "R2",
            Self::R3 => "R3",
        }
    }
}

/// What a peer does with a call.
#[derive(Clone)]
pub(crate) enum Does {
    /// Answers so, and nothing else.
    Answers(Reply),
    /// Does what the protocol asks, and breaks the connection instead of answering.
    LosesAnswer,
    /// Does what the protocol asks, and answers so much later.
    AnswersLate(Duration),
    /// Breaks the connection.
    Breaks,
    /// Waits, then does what the protocol asks.
    Waits(Duration),
    /// Asks this: an answer, or none to do what the protocol asks.
    Judges(Judge),
}

/// Decides from a call.
pub(crate) type Judge = Arc<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn of(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, kind: &str, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self.header("content-type", kind)
    }

    pub(crate) fn problem(status: u16, detail: &str, index: Option<usize>) -> Self {
        let mut problem = json!({"type": "urn:test:problem", "title": "Not so", "detail": detail});
        if let Some(index) = index {
            problem["index"] = json!(index);
        }
        Self::of(status).body("application/problem+json", &problem.to_string())
    }
}

impl Does {
    pub(crate) fn status(status: u16) -> Self {
        Self::Answers(Reply::of(status))
    }

    pub(crate) fn judges(judge: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) -> Self {
        Self::Judges(Arc::new(judge))
    }
}

/// A call that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) version: Version,
    pub(crate) authority: String,
    pub(crate) sni: Option<String>,
    pub(crate) bearer: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) at: Instant,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The messages of a packet.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.json()["packet"]["messages"].as_array().unwrap().clone()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.messages().iter().map(|message| message["id"].as_str().unwrap().to_owned()).collect()
    }
}
