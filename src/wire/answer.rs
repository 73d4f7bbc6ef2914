//! What came of a call to a peer, as the brain sees it: an answer, or none and why.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::{exchange::RefreshReply, limits::RETRY_AFTER_MAX};

/// The HTTP version that a call went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum HttpVersion {
    /// HTTP/1.1
    #[serde(rename = "HTTP/1.1")]
    Http1,
    /// HTTP/2
    #[serde(rename = "HTTP/2")]
    Http2,
}

/// The TLS version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2
    #[serde(rename = "TLS 1.2")]
    Tls12,
    /// TLS 1.3
    #[serde(rename = "TLS 1.3")]
    Tls13,
}

/// How far a call came that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallStage {
    /// The peer's paths are not known.
    LookUp,
    /// The name did not resolve.
    Resolve,
    /// Our own bounds on what strangers may cause: it says nothing of the peer.
    Busy,
    /// The address or the port is one that this host does not connect to.
    Guard,
    /// No TCP connection.
    Connect,
    /// No TLS session: a wrong name, an unknown authority, an expired certificate.
    Tls,
    /// The connection broke, or what came was no HTTP.
    Exchange,
    /// No answer in time.
    Timeout,
}

/// A peer did not answer. Retried; never taken for a refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct CallError {
    /// How far it came.
    pub stage: CallStage,
    /// The cause, for people; holds no secret.
    pub detail: String,
}

/// A peer's answer, reduced to what decisions need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `Retry-After`, as a wait from now, at most an hour.
    pub retry_after: Option<Duration>,
    /// `index` of the problem document.
    pub index: Option<usize>,
    /// What the peer says is wrong: the problem's `title` and `detail`, or the start of a text body; printable ASCII, at
    /// most 200 characters.
    pub text: Option<String>,
    /// An HTML page: an answer that no YMP host would give, so a proxy's.
    pub page: bool,
    /// The version it came over.
    pub version: HttpVersion,
    /// The TLS version of its connection.
    pub tls: Option<TlsVersion>,
}

impl Answer {
    /// An answer that is nothing but its status, for tests and for callers that look no further.
    #[must_use]
    pub fn bare(status: u16) -> Self {
        Self {
            status,
            retry_after: None,
            index: None,
            text: None,
            page: false,
            version: HttpVersion::Http2,
            tls: None,
        }
    }

    /// The wait that the peer asks for, within bounds.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after.map(|wait| wait.min(RETRY_AFTER_MAX))
    }

    /// For people: `503 Service Unavailable` without the words, and what the peer says.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.text {
            Some(text) => format!("answered {}: {text}", self.status),
            None if self.page => format!("answered {} with a page that no YMP host would send", self.status),
            None => format!("answered {}", self.status),
        }
    }
}

/// What came of a request, a grant or a packet.
pub type Reply = Result<Answer, CallError>;

/// What came of a refresh.
#[derive(Clone, Debug)]
pub enum Refreshed {
    /// 200 with a valid body.
    Fresh(RefreshReply),
    /// Another status, or a 200 whose body is not valid.
    Answered(Answer),
    /// No answer.
    Failed(CallError),
    /// Not asked: the peer's parameters have no refresh path any more.
    Unspoken,
}
