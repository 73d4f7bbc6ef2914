//! How the peer is spoken to, by what it publishes and what is pinned; and how it will speak to us.

use super::{Way, probing, step::Step, teller::Teller, times::Dated};
use crate::{
    client::{Discovered, Looked},
    wire::{
        host::PeerHost,
        parameters::{Form, Found, Published, Source},
        path::UrlPath,
    },
};

const INFORMATION: &str = "information";

/// Finds out how the peer is spoken to, and knocks at its paths. What its clock showed, where it said so.
pub(super) async fn ask<E>(way: &Way, teller: &mut Teller<'_, E>) -> Result<Option<Dated>, E> {
    let (found, mut dated) = match way.pins.whole() {
        Some(parameters) => {
            let what = "not looked up: the peer's paths are pinned under [[peers]]";
            teller.say(Step::note(INFORMATION, what))?;
            (Found::pinned(parameters), None)
        }
        None => {
            let (step, found, dated) = look(way).await;
            teller.say(step)?;
            let Some(found) = found else { return Ok(dated) };
            (found, dated)
        }
    };
    let host = &way.route.host;
    teller.say(sending(&found))?;
    teller.say(receiving(host, &found, &way.refresh))?;
    for path in probing::paths(&found) {
        let (step, answered) = probing::probe(way, path, found.source).await;
        teller.say(step)?;
        dated = answered.or(dated);
    }
    Ok(dated)
}

async fn look(way: &Way) -> (Step, Option<Found>, Option<Dated>) {
    let looked = match way.client.look(&way.route, false).await {
        Ok(looked) => looked,
        Err(error) => {
            let mend = "the connection works and HTTP on it does not: the peer's log says more";
            return (Step::wrong(INFORMATION, error, mend), None, None);
        }
    };
    let now = (way.clock)().wall;
    let dated = looked.date.map(|theirs| Dated { theirs, ours: now });
    let Looked { missed, found, .. } = looked;
    match found {
        Some(Discovered { parameters, path, .. }) => {
            let what = match missed.is_empty() {
                true => format!("found at {path}"),
                false => format!("found at {path}; before it, {}", answers(&missed)),
            };
            let published = Published { parameters, path: path.to_owned(), fetched: now, fresh_until: now };
            (Step::ok(INFORMATION, what), Some(Found::published(published, &way.pins)), dated)
        }
        None => (missing(&missed), None, dated),
    }
}

fn missing(missed: &[(&'static str, String)]) -> Step {
    let what = format!("there is none: {}", answers(missed));
    // What answers with a document has one to mend.
    let there = missed.iter().any(|(_, why)| !why.starts_with("answered ") && !why.starts_with("broke "));
    let mend = if there {
        "the peer's operator must mend the document; until then its paths can be pinned under [[peers]]"
    } else {
        "is it a YMP host? It, or the proxy before it, must serve its host information; else pin its four paths \
         under [[peers]]"
    };
    Step::wrong(INFORMATION, what, mend)
}

/// What each path answered; once where all did the same.
fn answers(missed: &[(&'static str, String)]) -> String {
    if let [(_, first), rest @ ..] = missed
        && !rest.is_empty()
        && rest.iter().all(|(_, why)| why == first)
    {
        let paths: Vec<_> = missed.iter().map(|(path, _)| *path).collect();
        return format!("{} each {first}", paths.join(", "));
    }
    let all: Vec<_> = missed.iter().map(|(path, why)| format!("{path} {why}")).collect();
    all.join("; ")
}

//= HT-REV-02: a refresh-path, or none
fn sending(found: &Found) -> Step {
    let by = match found.source {
        Source::Pinned => "what is pinned under [[peers]]",
        Source::Published => "its host information",
        Source::Both => "its host information, with what is pinned under [[peers]]",
    };
    let what = match &found.parameters.refresh_path {
        Some(path) => format!(
            "we speak R1 to it, in a form that R2 reads too, because {by} has a refresh-path ({path})"
        ),
        None => format!("we speak R3 to it, because {by} has no refresh-path"),
    };
    Step::ok("sending", what)
}

fn receiving(host: &PeerHost, found: &Found, own: &UrlPath) -> Step {
    let what = match found.parameters.form() {
        Form::Tokens => format!(
            "it speaks R1 or R2 to us, because our own host information has a refresh-path ({own}); one exchange \
             serves both directions"
        ),
        Form::State => format!(
            "it speaks R3 to us, because without a refresh-path it knows no other; {host} must ask us itself \
             before it can send"
        ),
    };
    Step::ok("receiving", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parameters::Parameters;

    fn missed(whys: &[&str]) -> Vec<(&'static str, String)> {
        let paths = crate::wire::information::INFORMATION_PATHS;
        paths.into_iter().zip(whys.iter().map(|why| (*why).to_owned())).collect()
    }

    #[test]
    fn the_same_answer_of_all_paths_is_said_once() {
        let step = missing(&missed(&["answered 404"; 4]));
        assert_eq!(
            step.what,
            "there is none: /.well-known/ymp, /.ymp, /.well-known/amorphos, /.amorphos each answered 404"
        );
        assert!(step.mend.unwrap().starts_with("is it a YMP host?"));
        let step = missing(&missed(&["is no valid document: it is not JSON", "answered 404"]));
        assert!(
            step.what.ends_with("/.well-known/ymp is no valid document: it is not JSON; /.ymp answered 404")
        );
        assert!(step.mend.unwrap().contains("must mend the document"));
    }

    #[test]
    fn a_revision_and_its_reason_are_said_for_each_direction() {
        let path = |text: &str| UrlPath::parse(text).unwrap();
        let mut found = Found::pinned(Parameters {
            request_path: path("/q"),
            grant_path: path("/g"),
            refresh_path: Some(path("/f")),
            packet_path: path("/p"),
            packet_bytes: None,
            packet_messages: None,
        });
        let host = PeerHost::parse("b.test").unwrap();
        let words = |found: &Found| (sending(found).what, receiving(&host, found, &path("/refresh")).what);
        let (to, from) = words(&found);
        assert!(to.ends_with("because what is pinned under [[peers]] has a refresh-path (/f)"), "{to}");
        assert!(from.contains("our own host information has a refresh-path (/refresh)"), "{from}");
        assert_eq!(probing::paths(&found).len(), 4);
        found.parameters.refresh_path = None;
        let (to, from) = words(&found);
        assert!(to.starts_with("we speak R3") && to.ends_with("has no refresh-path"), "{to}");
        assert!(from.starts_with("it speaks R3") && from.contains("b.test must ask us itself"), "{from}");
        assert_eq!(probing::paths(&found).len(), 3);
    }
}
