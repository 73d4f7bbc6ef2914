//! What went wrong -> its kind (`problem`), headers and problem document (RFC 9457).
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

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::Body as _,
    header::{self, HeaderValue},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    body::BodyError,
    content::Content,
    problem::{self, Kind},
};
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
    Method(Cow<'static, str>),
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

/// What went wrong (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Problem<'a> {
    /// `urn:ymp:problem:CODE`; stable.
    r#type: String,
    /// What to do; stable.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong here, for people.
    detail: &'a str,
    /// The message at fault, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    /// The property or the parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The failing step of an exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'static str>,
}

impl Fault {
    /// Its line of the table.
    pub(crate) fn kind(&self) -> &'static Kind {
        match self {
            Self::Node(error) => kind_of_error(error),
            Self::Path => &problem::NO_SUCH_PATH,
            Self::HostMissing => &problem::HOST_MISSING,
            Self::Misdirected => &problem::MISDIRECTED,
            Self::Method(_) => &problem::METHOD,
            Self::MediaType => &problem::MEDIA_TYPE,
            Self::Body(BodyError::TooLarge { .. }) => &problem::TOO_LARGE,
            Self::Body(BodyError::Late) => &problem::TOO_LATE,
            Self::Body(BodyError::Broken) => &problem::MALFORMED,
            Self::Body(BodyError::Busy) => &problem::UNAVAILABLE,
            Self::Forbidden { .. } => &problem::FORBIDDEN,
            Self::Draft { .. } => &problem::DRAFT,
            Self::Parameter { .. } => &problem::PARAMETER,
            Self::Internal => &problem::INTERNAL,
        }
    }

    /// The status that it is answered with.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind().status
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
        let kind = self.kind();
        let status = kind.status;
        let detail = self.detail();
        let problem = Problem {
            r#type: kind.urn(),
            title: kind.title,
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
        if let Self::Method(allow) = self
            && let Ok(allow) = HeaderValue::from_str(allow)
        {
            headers.insert(header::ALLOW, allow);
        }
        if let Some(wait) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        answer
    }
}

fn kind_of_error(error: &node::Error) -> &'static Kind {
    match error {
        node::Error::Refused(refusal) => kind_of_refusal(refusal),
        node::Error::Unavailable { .. } => &problem::UNAVAILABLE,
        node::Error::Damaged => &problem::DAMAGED,
        node::Error::Conflict { .. } => &problem::CONFLICT,
        node::Error::Unanswered { .. } => &problem::UNANSWERED,
        node::Error::Draft { .. } => &problem::DRAFT,
        node::Error::Backup(_) => &problem::BACKUP,
        node::Error::NotFound(_) => &problem::NOT_FOUND,
        node::Error::Cursor => &problem::CURSOR,
        node::Error::Peer { .. } => &problem::PEER,
    }
}

fn kind_of_refusal(refusal: &Refusal) -> &'static Kind {
    match refusal {
        Refusal::TokenMissing => &problem::TOKEN_MISSING,
        Refusal::TokenUnknown | Refusal::TokenReplayed => &problem::TOKEN_UNKNOWN,
        Refusal::GrantOtherHost => &problem::GRANT_OTHER_HOST,
        Refusal::GrantAltered => &problem::GRANT_ALTERED,
        Refusal::StateUnknown => &problem::STATE_UNKNOWN,
        Refusal::Policy { .. } => &problem::POLICY,
        Refusal::SenderNotHolder { .. } => &problem::SENDER_NOT_HOLDER,
        Refusal::NotForUs { .. } => &problem::NOT_FOR_US,
        Refusal::Malformed { .. } => &problem::MALFORMED,
        Refusal::TooLarge { .. } => &problem::TOO_LARGE,
        Refusal::TooFast { .. } => &problem::TOO_FAST,
    }
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
