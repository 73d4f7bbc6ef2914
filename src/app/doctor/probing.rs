//! The paths: is something there?
//!
//! Each is POSTed to without a token, a content and a content type. That asks for nothing and gives nothing: a request
//! names a host, a grant a host and a token or a state, and a packet and a refresh need a bearer. So the answer of a path that
//! works is a refusal (401 by R1 to R3; 400, 403, 411, 415 where the content is looked at first; 204 on a request path, which
//! tells nothing by rule; 204 to any grant and 500 to any other content type by hosts of 2017), and 404 or 405 that of
//! a path that is not there. The peer counts one refused call for each.

use super::{Way, step::Step, times::Dated};
use crate::wire::{
    answer::Answer,
    parameters::{Found, Source},
    path::UrlPath,
};

/// A path under its key.
pub(super) type Named<'a> = (&'static str, &'a UrlPath);

/// The paths of a host, in the order of their use.
pub(super) fn paths(found: &Found) -> Vec<Named<'_>> {
    let all = &found.parameters;
    let refresh = all.refresh_path.as_ref().map(|path| ("refresh-path", path));
    let mut paths = vec![("request-path", &all.request_path), ("grant-path", &all.grant_path)];
    paths.extend(refresh);
    paths.push(("packet-path", &all.packet_path));
    paths
}

/// Knocks at one; with the peer's clock, where it tells it.
pub(super) async fn probe(way: &Way, (name, path): Named<'_>, source: Source) -> (Step, Option<Dated>) {
    match way.client.probe(&way.route, path.as_str()).await {
        Ok(probed) => {
            let dated = probed.date.map(|theirs| Dated { theirs, ours: (way.clock)().wall });
            (judge(name, path, &probed.answer, source), dated)
        }
        Err(error) => {
            let mend = "the connection works and the call does not: the peer's log says more";
            (Step::wrong(name, format!("{path}: {error}"), mend), None)
        }
    }
}

fn judge(name: &'static str, path: &UrlPath, answer: &Answer, source: Source) -> Step {
    let said = answer.describe();
    let wrong = |what: &str, mend: &str| Step::wrong(name, format!("{path} {said}: {what}"), mend);
    let asks = matches!(name, "request-path" | "grant-path");
    match answer.status {
        404 | 405 | 410 => wrong("nothing takes a POST there", misplaced(source)),
        421 => wrong(
            "the peer does not know itself by this name",
            "its `host` or one of its peer.aliases must be the name that was called, with its port",
        ),
        300..400 => {
            wrong("calls must not be redirected", "its operator, or that of its proxy, must end that")
        }
        502 | 504 => {
            wrong("a proxy before the peer does not reach it", "is the node behind that proxy running?")
        }
        200..300 if answer.page => wrong(
            "a web site answers there",
            "the peer, or the proxy before it, must pass this path to the node",
        ),
        204 if asks => Step::ok(name, format!("{path} is there: answered 204, as to any call")),
        200..300 if asks => Step::note(name, format!("{path} is there: {said}, where 204 is usual")),
        200..300 => {
            Step::note(name, format!("{path} {said} to a call without a token, which it should refuse"))
        }
        408 | 425 | 429 | 503 => Step::note(name, format!("{path} is there, and busy: {said}")),
        500.. => Step::note(name, format!("{path} is there: {said}, as old hosts do to an empty call")),
        _ => Step::ok(name, format!("{path} is there: answered {} to an empty call", answer.status)),
    }
}

fn misplaced(source: Source) -> &'static str {
    match source {
        Source::Pinned => {
            "compare it with the peer's [peer] section; or strike its four paths from [[peers]], and they are looked up"
        }
        Source::Published => {
            "the peer publishes a path that it, or the proxy before it, does not serve: its operator must mend that"
        }
        Source::Both => {
            "where it is pinned under [[peers]], compare or strike it; where not, the peer publishes what it does \
             not serve"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::step::State;

    fn state(name: &'static str, answer: &Answer) -> State {
        judge(name, &UrlPath::parse("/p").unwrap(), answer, Source::Published).state
    }

    #[test]
    fn the_answers_of_all_revisions_say_that_a_path_is_there() {
        for (name, status, want) in [
            ("request-path", 204, State::Ok),
            ("grant-path", 415, State::Ok),
            ("grant-path", 204, State::Ok),
            ("refresh-path", 401, State::Ok),
            ("packet-path", 401, State::Ok),
            ("packet-path", 403, State::Ok),
            ("packet-path", 204, State::Note),
            ("request-path", 200, State::Note),
            ("grant-path", 500, State::Note),
            ("packet-path", 503, State::Note),
        ] {
            assert_eq!(state(name, &Answer::bare(status)), want, "{name} {status}");
        }
    }

    #[test]
    fn what_is_no_path_of_a_host_is_wrong() {
        for status in [301, 404, 405, 410, 421, 502, 504] {
            assert_eq!(state("packet-path", &Answer::bare(status)), State::Wrong, "{status}");
        }
        assert_eq!(state("request-path", &Answer { page: true, ..Answer::bare(200) }), State::Wrong);
    }

    #[test]
    fn the_mend_depends_on_who_said_the_path() {
        let mend = |source| {
            let path = UrlPath::parse("/p").unwrap();
            judge("grant-path", &path, &Answer::bare(404), source).mend.unwrap()
        };
        assert!(mend(Source::Pinned).contains("strike its four paths from [[peers]]"));
        assert!(mend(Source::Published).starts_with("the peer publishes"));
    }
}
