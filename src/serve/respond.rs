//! The one table: what went wrong -> status, headers and problem document (RFC 9457).
//!
//! | | status | headers |
//! | --- | --- | --- |
//! | no or an unknown bearer | 401 | `WWW-Authenticate: Bearer`, with `error="invalid_token"` on packets |
//! | over a rate, not now | 429, 503 | `Retry-After`, whole seconds, at least 1 |
//! | another method | 405 | `Allow` |
//!
//! A problem has `type` (`urn:ymp:problem:CODE`, stable), `title` (what to do, stable), `status`, `detail`, and where they
//! apply `index` (the message at fault), `field` (its property) and `step` (of an exchange). Nothing here repeats a token,
//! and a replayed refresh token looks like an unknown one.

use std::time::Duration;

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::Body as _,
    header::{self, HeaderValue},
};
use serde::Serialize;

use super::{body::BodyError, content::Content};
use crate::{
    node,
    wire::{draft::DraftError, limits, refusal::Refusal},
};

/// What is sent back.
pub type Answer = Response<Content>;

/// Whose rule is asked at a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Request, grant, refresh and the local API.
    Plain,
    /// Packets: the peer is told that it is the token.
    Packet,
}

/// Everything that can stand in the way of an answer; its text is the problem's `detail`.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Node(#[from] node::Error),
    #[error("nothing is served at this path")]
    Path,
    #[error("`Host` must stand once")]
    HostMissing,
    #[error("this host is not known by the name that the request is for")]
    Misdirected,
    #[error("this path takes {0} only")]
    Method(&'static str),
    #[error("`Content-Type` must be application/json, without a Content-Encoding")]
    MediaType,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("{what}")]
    Forbidden { what: String, index: Option<usize> },
    #[error("message {index}: {error}")]
    Draft { index: usize, error: DraftError },
    #[error("`{name}` {what}")]
    Parameter { name: String, what: String },
    #[error("the call was not finished")]
    Internal,
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Node(refusal.into())
    }
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
}

/// One line of the table: status, code, title.
type Row = (StatusCode, &'static str, &'static str);

impl Fault {
    fn row(&self) -> Row {
        match self {
            Self::Node(error) => row_of_error(error),
            Self::Path => (StatusCode::NOT_FOUND, "no-such-path", "Check the path of the call"),
            Self::HostMissing => (StatusCode::BAD_REQUEST, "malformed", "Send one Host header"),
            Self::Misdirected => {
                (StatusCode::MISDIRECTED_REQUEST, "misdirected", "Call this host by its name")
            }
            Self::Method(_) => {
                (StatusCode::METHOD_NOT_ALLOWED, "method", "Use a method that this path takes")
            }
            Self::MediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "Set Content-Type: application/json")
            }
            Self::Body(BodyError::TooLarge { .. }) => TOO_LARGE,
            Self::Body(BodyError::Late) => {
                (StatusCode::REQUEST_TIMEOUT, "too-late", "Send the body without pauses")
            }
            Self::Body(BodyError::Broken) => MALFORMED,
            Self::Body(BodyError::Busy) => UNAVAILABLE,
            Self::Forbidden { .. } => {
                (StatusCode::FORBIDDEN, "forbidden", "Use an app that the configuration lets do this")
            }
            Self::Draft { .. } => DRAFT,
            Self::Parameter { .. } => (StatusCode::BAD_REQUEST, "parameter", "Mend the parameter named"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "See the log of this host"),
        }
    }

    /// The status that it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.row().0
    }

    fn index(&self) -> Option<usize> {
        if let Self::Node(node::Error::Refused(refusal)) = self {
            return refusal.index();
        }
        if let Self::Forbidden { index, .. } = self {
            return *index;
        }
        if let Self::Node(node::Error::Conflict { index, .. } | node::Error::Draft { index, .. })
        | Self::Draft { index, .. } = self
        {
            return Some(*index);
        }
        None
    }

    fn field(&self) -> Option<&str> {
        if let Self::Draft { error: DraftError { field: name, .. }, .. } | Self::Parameter { name, .. } = self
        {
            return Some(name);
        }
        if let Self::Node(node::Error::Draft { field, .. }) = self { Some(field) } else { None }
    }

    fn step(&self) -> Option<&'static str> {
        if let Self::Node(node::Error::Peer { step, .. }) = self { Some(step) } else { None }
    }

    fn retry_after(&self) -> Option<Duration> {
        if let Self::Node(
            node::Error::Unavailable { retry_after, .. }
            | node::Error::Refused(Refusal::TooFast { retry_after }),
        ) = self
        {
            return Some(*retry_after);
        }
        matches!(self, Self::Body(BodyError::Busy)).then_some(limits::BUSY_WAIT)
    }

    /// What is wrong, for people: within bounds, whatever it is that it quotes.
    pub(crate) fn detail(&self) -> String {
        // Told as unknown: whoever replays is not told that the token was once good.
        if matches!(self, Self::Node(node::Error::Refused(Refusal::TokenReplayed))) {
            return Refusal::TokenUnknown.to_string();
        }
        self.to_string().chars().take(limits::DETAIL_CHARS_MAX).collect()
    }

    //= HT-PKT-18, NODE-API-03: a problem document
    /// The answer.
    pub(crate) fn answer(&self, door: Door) -> Answer {
        let (status, code, title) = self.row();
        let detail = self.detail();
        let problem = Problem {
            r#type: format!("urn:ymp:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &detail,
            index: self.index(),
            field: self.field(),
            step: self.step(),
        };
        let mut answer = json(status, &problem);
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        //= HT-GRANT-03: the challenge
        if status == StatusCode::UNAUTHORIZED {
            let challenge = match door {
                Door::Plain => "Bearer",
                Door::Packet => "Bearer error=\"invalid_token\"",
            };
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Self::Method(allow) = self {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(wait) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        answer
    }
}

const MALFORMED: Row = (StatusCode::BAD_REQUEST, "malformed", "Mend the body as the detail says");
const DRAFT: Row = (StatusCode::BAD_REQUEST, "draft", "Mend the message and its property named");
const UNAVAILABLE: Row =
    (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Nothing was taken: come back after Retry-After");
const TOO_LARGE: Row = (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Send less at once");

fn row_of_error(error: &node::Error) -> Row {
    match error {
        node::Error::Refused(refusal) => row_of_refusal(refusal),
        node::Error::Unavailable { .. } => UNAVAILABLE,
        node::Error::Conflict { .. } => {
            (StatusCode::CONFLICT, "conflict", "Give a message with other content another id")
        }
        node::Error::Unanswered { .. } => {
            (StatusCode::GATEWAY_TIMEOUT, "unanswered", "Read the answer from the inbox when it comes")
        }
        node::Error::Draft { .. } => DRAFT,
        node::Error::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Check the id or the host"),
        node::Error::Cursor => (StatusCode::BAD_REQUEST, "cursor", "Use a cursor that this inbox gave"),
        node::Error::Peer { .. } => (StatusCode::BAD_GATEWAY, "peer", "See why the peer did not do its part"),
    }
}

fn row_of_refusal(refusal: &Refusal) -> Row {
    let (status, title) = match refusal {
        Refusal::TokenMissing => (StatusCode::UNAUTHORIZED, "Show a bearer token"),
        Refusal::TokenUnknown | Refusal::TokenReplayed => {
            (StatusCode::UNAUTHORIZED, "Show a token that this host gave you and that is still valid")
        }
        Refusal::GrantOtherHost => (StatusCode::FORBIDDEN, "Grant under the name that was asked"),
        Refusal::GrantAltered => (StatusCode::FORBIDDEN, "Repeat the first grant or request anew"),
        Refusal::StateUnknown => (StatusCode::FORBIDDEN, "Grant with the state of a request that waits"),
        Refusal::Policy { .. } => {
            (StatusCode::FORBIDDEN, "Ask the operator of this host to allow the federation")
        }
        Refusal::SenderNotHolder { .. } => (StatusCode::FORBIDDEN, "Send only what your own host sends"),
        Refusal::NotForUs { .. } => (StatusCode::FORBIDDEN, "Send only what is for this host"),
        Refusal::Malformed { .. } => (MALFORMED.0, MALFORMED.2),
        Refusal::TooLarge { .. } => (TOO_LARGE.0, TOO_LARGE.2),
        Refusal::TooFast { .. } => (StatusCode::TOO_MANY_REQUESTS, "Come back after Retry-After"),
    };
    (status, refusal.code(), title)
}

/// `Retry-After` counts whole seconds; a part of one is a whole one.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// 204.
pub(crate) fn no_content() -> Answer {
    let mut answer = Answer::new(Content::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// A JSON body.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // What is sent here has string keys only, so it always has a JSON form.
    json_bytes(status, serde_json::to_vec(value).unwrap_or_default().into())
}

/// A body that is JSON already.
pub(crate) fn json_bytes(status: StatusCode, body: Bytes) -> Answer {
    with_type(status, "application/json", body)
}

/// The answer to HEAD: what GET would answer, its length told, its body left away.
pub(crate) fn without_body(mut answer: Answer) -> Answer {
    if let Some(bytes) = answer.body().size_hint().exact() {
        answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    *answer.body_mut() = Content::default();
    answer
}

/// A text.
pub(crate) fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    with_type(status, kind, body.into())
}

fn with_type(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Answer::new(Content::whole(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod tests;
