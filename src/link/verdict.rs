//! What a peer's answer means, for packets and for grants. A refusal is never treated as unreachability, nor the other
//! way round (`https-token`, "Sending").

use std::time::Duration;

use crate::{
    token::fault::fault,
    wire::answer::{Answer, Reply},
};

/// What the answer to a packet means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 204: it is on the peer's disk.
    Delivered,
    /// 401: the token does not open.
    Unauthorized,
    /// 413: too much at once.
    TooLarge,
    /// 400, 409, 422: a message is at fault; the peer may say which.
    Faulty(Option<usize>),
    /// 404, 405, 410: the path is not there (any more).
    Elsewhere,
    /// 408, 425, 429, 503: later, and perhaps when.
    Later(Option<Duration>),
    /// 403: the peer refuses the link, or the token is not one of this link.
    Forbidden,
    /// Another 4xx: the peer refuses the link.
    Refused,
    /// No answer, another 5xx, or one that no YMP host would give.
    Transient,
}

//= HT-SEND-19: one meaning each
/// Judges the answer to a packet.
#[must_use]
pub fn of_packet(reply: &Reply) -> Verdict {
    let Ok(answer) = reply else { return Verdict::Transient };
    match answer.status {
        //= HT-SEND-06: 204 alone
        204 => Verdict::Delivered,
        // Also a proxy may say when to come back.
        408 | 425 | 429 | 503 => Verdict::Later(answer.wait()),
        // Also where the page is a web server's: what it was moved to is looked up, and nothing is refused for it.
        404 | 405 | 410 => Verdict::Elsewhere,
        //= HT-SEND-18: a proxy's page
        _ if answer.page => Verdict::Transient,
        401 => Verdict::Unauthorized,
        413 => Verdict::TooLarge,
        400 | 409 | 422 => Verdict::Faulty(answer.index),
        403 => Verdict::Forbidden,
        400..=499 => Verdict::Refused,
        _ => Verdict::Transient,
    }
}

/// What the answer to our grant means (`https-token`, "Being asked").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantVerdict {
    /// 204: both sides' tokens may be used.
    Taken,
    /// 408, 429, 5xx or no answer: the very same grant again.
    Again,
    /// 401, 403: somebody used the peer's name.
    Misused,
    /// 404, 405, 410: the path is not there (any more).
    Elsewhere,
    /// Any other: both sides' tokens are dropped.
    Refused,
}

/// Judges the answer to our grant.
#[must_use]
pub fn of_grant(reply: &Reply) -> GrantVerdict {
    match reply.as_ref().map(|answer| answer.status) {
        //= HT-ASK-08: the very same grant again
        Err(_) | Ok(408 | 429 | 500..=599) => GrantVerdict::Again,
        Ok(204) => GrantVerdict::Taken,
        Ok(401 | 403) if fault!(TakenAnyway) => GrantVerdict::Taken,
        Ok(401 | 403) => GrantVerdict::Misused,
        Ok(404 | 405 | 410) => GrantVerdict::Elsewhere,
        Ok(_) => GrantVerdict::Refused,
    }
}

/// For people: what came of a call.
#[must_use]
pub fn describe(reply: &Reply) -> String {
    match reply {
        Ok(answer) => answer.describe(),
        Err(error) => error.to_string(),
    }
}

//= HT-REF-19: again with the old one
/// Whether an answer to a refresh leaves the old refresh token good: 429, 5xx or no answer.
#[must_use]
pub fn refresh_again(answer: &Answer) -> bool {
    matches!(answer.status, 429 | 500..=599) || answer.page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::answer::{CallError, CallStage};

    //= HT-SEND-06, HT-SEND-16, HT-SEND-18, HT-SEND-19
    #[test]
    fn every_status_has_one_meaning() {
        for (status, want) in [
            (204, Verdict::Delivered),
            (200, Verdict::Transient),
            (302, Verdict::Transient),
            (400, Verdict::Faulty(None)),
            (401, Verdict::Unauthorized),
            (403, Verdict::Forbidden),
            (404, Verdict::Elsewhere),
            (405, Verdict::Elsewhere),
            (408, Verdict::Later(None)),
            (409, Verdict::Faulty(None)),
            (410, Verdict::Elsewhere),
            (413, Verdict::TooLarge),
            (415, Verdict::Refused),
            (421, Verdict::Refused),
            (422, Verdict::Faulty(None)),
            (425, Verdict::Later(None)),
            (429, Verdict::Later(None)),
            (500, Verdict::Transient),
            (502, Verdict::Transient),
            (503, Verdict::Later(None)),
        ] {
            assert_eq!(of_packet(&Ok(Answer::bare(status))), want, "{status}");
        }
        let page = Answer { page: true, ..Answer::bare(403) };
        assert_eq!(of_packet(&Ok(page)), Verdict::Transient);
        let nothing = CallError { stage: CallStage::Connect, detail: "refused".to_owned() };
        assert_eq!(of_packet(&Err(nothing)), Verdict::Transient);
    }

    //= HT-ASK-08
    #[test]
    fn a_grant_is_taken_sent_again_or_dropped() {
        for (status, want) in [
            (204, GrantVerdict::Taken),
            (200, GrantVerdict::Refused),
            (400, GrantVerdict::Refused),
            (401, GrantVerdict::Misused),
            (403, GrantVerdict::Misused),
            (404, GrantVerdict::Elsewhere),
            (405, GrantVerdict::Elsewhere),
            (410, GrantVerdict::Elsewhere),
            (408, GrantVerdict::Again),
            (429, GrantVerdict::Again),
            (500, GrantVerdict::Again),
            (503, GrantVerdict::Again),
        ] {
            assert_eq!(of_grant(&Ok(Answer::bare(status))), want, "{status}");
        }
    }
}
