//! Every kind of problem that a caller can be told, once: its status, its code, what to do, and when it happens.
//!
//! `respond` chooses the kind of a fault; the document of the local API (`local_api/document`) lists the same kinds.

use hyper::StatusCode;

/// A kind of problem (RFC 9457): `type` is `urn:ymp:problem:CODE`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// With the code it tells kinds apart.
    pub(crate) status: StatusCode,
    /// Stable.
    pub(crate) code: &'static str,
    /// What to do; stable.
    pub(crate) title: &'static str,
    /// When it happens, for the document.
    pub(crate) when: &'static str,
}

impl Kind {
    /// The problem's `type`.
    pub(crate) fn urn(&self) -> String {
        format!("urn:ymp:problem:{}", self.code)
    }
}

/// `NAME: STATUS, CODE, TITLE, WHEN;`, and all of them in the list named first.
macro_rules! kinds {
    ($(#[$doc:meta])* $all:ident; $($name:ident: $status:ident, $code:literal, $title:literal, $when:literal;)+) => {
        $(
            #[doc = $when]
            pub(crate) static $name: Kind =
                Kind { status: StatusCode::$status, code: $code, title: $title, when: $when };
        )+
        $(#[$doc])*
        pub(crate) static $all: &[&Kind] = &[$(&$name),+];
    };
}

kinds! {
    /// What the local API answers with.
    LOCAL;
    MALFORMED: BAD_REQUEST, "malformed", "Mend the body as the detail says",
        "the body is not JSON of this call, or it broke off";
    DRAFT: BAD_REQUEST, "draft", "Mend the message and its property named",
        "a message is not as it must be, or is for a service of this host that does not run; nothing is taken";
    PARAMETER: BAD_REQUEST, "parameter", "Mend the parameter named",
        "a parameter is unknown, stands twice, or is outside of its bounds";
    CURSOR: BAD_REQUEST, "cursor", "Use a cursor that this inbox gave", "the cursor is not one of this inbox";
    TOKEN_MISSING: UNAUTHORIZED, "token-missing", "Show a bearer token", "no bearer token is shown";
    TOKEN_UNKNOWN: UNAUTHORIZED, "token-unknown",
        "Show a token that this host gave you and that is still valid",
        "the bearer token is not one of an app of this host";
    FORBIDDEN: FORBIDDEN, "forbidden", "Use an app that the configuration lets do this",
        "the app may not act for the service, or is not an admin";
    POLICY: FORBIDDEN, "policy", "Ask the operator of this host to allow the federation",
        "the policy of this host refuses the other host";
    NO_SUCH_PATH: NOT_FOUND, "no-such-path", "Check the path of the call",
        "nothing is served at this path: a part of it is empty, or not percent-encoded UTF-8";
    NOT_FOUND: NOT_FOUND, "not-found", "Check the id or the host",
        "there is no such message or link, or the app may not see it";
    METHOD: METHOD_NOT_ALLOWED, "method", "Use a method that this path takes",
        "the path takes other methods, which `Allow` names";
    TOO_LATE: REQUEST_TIMEOUT, "too-late", "Send the body without pauses", "the body did not come in time";
    CONFLICT: CONFLICT, "conflict", "Give a message with other content another id",
        "an id belongs to a message with other content; nothing is taken";
    BACKUP: CONFLICT, "backup", "Name a folder that is not there yet, in one with room that the node may write in",
        "a backup cannot be made there, or another is under way; nothing is left of it";
    TOO_LARGE: PAYLOAD_TOO_LARGE, "too-large", "Send less at once",
        "the body, a message or the count of messages is over its limit";
    MEDIA_TYPE: UNSUPPORTED_MEDIA_TYPE, "media-type", "Set Content-Type: application/json",
        "the body is not said to be JSON, or is encoded";
    DAMAGED: INTERNAL_SERVER_ERROR, "damaged", "Have the operator look at the disk and the last backup",
        "what is asked for lies on the disk and cannot be read; coming again does not help";
    INTERNAL: INTERNAL_SERVER_ERROR, "internal", "See the log of this host", "this host has a fault";
    PEER: BAD_GATEWAY, "peer", "See why the peer did not do its part",
        "the peer did not do its part; `step` says where it failed";
    UNAVAILABLE: SERVICE_UNAVAILABLE, "unavailable", "Nothing was taken: come back after Retry-After",
        "a queue is full, storage takes nothing, or the node is stopping";
    UNANSWERED: GATEWAY_TIMEOUT, "unanswered", "Read the answer from the inbox when it comes",
        "no answer came in time; it may still come, to the inbox";
}

kinds! {
    /// What only other hosts are answered with.
    #[cfg(test)]
    PEERS;
    HOST_MISSING: BAD_REQUEST, "malformed", "Send one Host header", "`Host` does not stand once";
    MISDIRECTED: MISDIRECTED_REQUEST, "misdirected", "Call this host by its name",
        "the request is for a name that is not this host's";
    GRANT_OTHER_HOST: FORBIDDEN, "grant-other-host", "Grant under the name that was asked",
        "the grant names another host than the one that was asked";
    GRANT_ALTERED: FORBIDDEN, "grant-altered", "Repeat the first grant or request anew",
        "another grant was accepted under this bearer";
    STATE_UNKNOWN: FORBIDDEN, "state-unknown", "Grant with the state of a request that waits",
        "no request with this state is waiting";
    SENDER_NOT_HOLDER: FORBIDDEN, "sender-not-holder", "Send only what your own host sends",
        "a message of another host than the one that the token was given to";
    NOT_FOR_US: FORBIDDEN, "not-for-us", "Send only what is for this host", "a message for another host";
    TOO_FAST: TOO_MANY_REQUESTS, "too-fast", "Come back after Retry-After", "over the rate";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_one_status() {
        let all: Vec<_> = LOCAL.iter().chain(PEERS).collect();
        for (place, one) in all.iter().enumerate() {
            for other in all.iter().skip(place + 1).filter(|other| other.code == one.code) {
                assert_eq!(one.status, other.status, "{}", one.code);
            }
        }
    }
}
