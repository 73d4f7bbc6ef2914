//! A link to a peer as the node's API writes it, in words.

use serde::Deserialize;

use super::render::{distance, moment, plural};
use crate::wire::time::Wall;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Link {
    host: String,
    configured: bool,
    allowed: bool,
    revision: Option<String>,
    negotiation: Negotiation,
    http: Option<String>,
    tls: Option<String>,
    sending: Direction,
    receiving: Direction,
    queue: Queue,
    failures: u64,
    last_success_at: Option<String>,
    last_failure: Option<Failure>,
    last_heard_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Direction {
    state: String,
    expires_at: Option<String>,
    next_try_at: Option<String>,
    families: Option<u64>,
    revision: Option<String>,
    reason: Option<String>,
    last_failure: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Negotiation {
    reason: String,
    fetched_at: Option<String>,
    fresh_until: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Queue {
    messages: u64,
    in_flight: u64,
    oldest_at: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    at: String,
    reason: String,
}

impl Link {
    pub(super) fn row(&self, now: Wall) -> Vec<String> {
        let last = match (&self.last_failure, &self.last_success_at) {
            _ if !self.allowed => "refused by [federation]".to_owned(),
            (Some(failure), _) if self.failures > 0 => {
                format!("failed {}: {}", distance(&failure.at, now), failure.reason)
            }
            (_, Some(at)) => format!("ok {}", distance(at, now)),
            _ => "never".to_owned(),
        };
        vec![
            self.host.clone(),
            self.sending.state.clone(),
            self.receiving.state.clone(),
            self.queue.messages.to_string(),
            last,
        ]
    }

    fn over(&self) -> String {
        match (&self.http, &self.tls) {
            (Some(http), Some(tls)) => format!("{http}, {tls}"),
            (Some(http), None) => http.clone(),
            (None, _) => "unknown".to_owned(),
        }
    }

    pub(super) fn entries(&self, now: Wall) -> Vec<(&'static str, String)> {
        let at = |at: &Option<String>| at.as_ref().map_or("never".to_owned(), |at| moment(at, now));
        let mut waiting = plural(self.queue.messages, "message");
        if self.queue.in_flight > 0 {
            waiting = format!("{waiting} ({} under way)", self.queue.in_flight);
        }
        if let Some(oldest) = &self.queue.oldest_at {
            waiting = format!("{waiting}, the oldest from {}", moment(oldest, now));
        }
        let failure = self.last_failure.as_ref().map_or("never".to_owned(), |failure| {
            format!("{}: {}", moment(&failure.at, now), failure.reason)
        });
        let mut entries = vec![
            ("host", self.host.clone()),
            ("configured", yes_no(self.configured)),
            ("allowed", yes_no(self.allowed)),
            ("revision", self.revision_words()),
        ];
        entries.extend(self.negotiation.looked_up(now).map(|words| ("looked up", words)));
        entries.push(("over", self.over()));
        for (name, direction) in [("sending", &self.sending), ("receiving", &self.receiving)] {
            entries.push((name, direction.words(now)));
            // The line above says which direction.
            entries.extend(direction.by().map(|by| ("", by)));
            entries.extend(direction.trouble(now).map(|trouble| ("", trouble)));
        }
        entries.extend([
            ("waiting", waiting),
            ("failures", format!("{} since the last success", self.failures)),
            ("last success", at(&self.last_success_at)),
            ("last failure", failure),
            ("last heard", at(&self.last_heard_at)),
        ]);
        entries
    }

    /// For each direction whether it is linked, and how it stands.
    pub(super) fn directions(&self, now: Wall) -> [(bool, String); 2] {
        [("we to it", &self.sending), ("it to us", &self.receiving)].map(|(whose, direction)| {
            let words = direction.words(now);
            let more = [direction.by(), direction.trouble(now)].into_iter().flatten();
            let more: String = more.map(|more| format!("; {more}")).collect();
            (direction.state == "linked", format!("{whose}: {words}{more}"))
        })
    }

    /// Whether an operator wants nothing sent.
    pub(super) fn is_paused(&self) -> bool {
        self.sending.state == "paused"
    }

    /// What did not go well of late.
    pub(super) fn trouble(&self, now: Wall) -> Option<String> {
        let failure = self.last_failure.as_ref().filter(|_| self.failures > 0)?;
        let times = if self.failures == 1 { "failure" } else { "failures" };
        Some(format!(
            "{} {times} since the last success, the last {}: {}",
            self.failures,
            distance(&failure.at, now),
            failure.reason
        ))
    }

    /// The revision in which it is spoken to, and why.
    fn revision_words(&self) -> String {
        by(self.revision.as_ref(), Some(&self.negotiation.reason), "unknown")
    }
}

impl Direction {
    /// The revision by which its token came, and how that is known; `None` where there is no token.
    fn by(&self) -> Option<String> {
        let known = self.revision.is_some() || self.reason.is_some();
        known.then(|| by(self.revision.as_ref(), self.reason.as_ref(), "unknown"))
    }

    /// Why the last request in its name came to nothing.
    fn trouble(&self, now: Wall) -> Option<String> {
        let failure = self.last_failure.as_ref()?;
        Some(format!(
            "a request in its name came to nothing {}: {}",
            distance(&failure.at, now),
            failure.reason
        ))
    }

    /// How it stands.
    fn words(&self, now: Wall) -> String {
        let mut words = if self.state == "none" { "nothing yet".to_owned() } else { self.state.clone() };
        if let Some(at) = &self.expires_at {
            words = format!("{words}, expires {}", distance(at, now));
        }
        if let Some(at) = &self.next_try_at {
            words = format!("{words}, next try {}", distance(at, now));
        }
        match self.families {
            Some(count) if count > 1 => format!("{words}; tokens of {count} exchanges are good"),
            Some(_) | None => words,
        }
    }
}

impl Negotiation {
    /// When its host information was fetched, and for how long it is taken.
    fn looked_up(&self, now: Wall) -> Option<String> {
        let fetched = moment(self.fetched_at.as_ref()?, now);
        let until = self.fresh_until.as_ref().map(|until| distance(until, now));
        Some(match until {
            Some(until) => format!("{fetched}; looked up again {until}"),
            None => fetched,
        })
    }
}

/// A revision and why it is that one.
fn by(revision: Option<&String>, reason: Option<&String>, none: &str) -> String {
    match (revision, reason) {
        (Some(revision), Some(reason)) => format!("{revision}: {reason}"),
        (Some(revision), None) => revision.clone(),
        (None, Some(reason)) => format!("{none}: {reason}"),
        (None, None) => none.to_owned(),
    }
}

fn yes_no(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        node::views::{
            DirectionState, FailureView, NegotiationView, PeerView, QueueView, ReceivingView, SendingView,
        },
        wire::{
            answer::{HttpVersion, TlsVersion},
            host::PeerHost,
            parameters::Revision,
        },
    };

    const NOW: Wall = Wall(1_700_000_000_000);

    fn link() -> Link {
        let ago = |seconds: u64| Wall(NOW.0 - seconds * 1000);
        let view = PeerView {
            host: PeerHost::parse("beta.test").unwrap(),
            configured: true,
            allowed: true,
            revision: Some(Revision::R1),
            negotiation: NegotiationView {
                reason: "what is pinned has a refresh-path".to_owned(),
                fetched_at: Some(ago(60)),
                fresh_until: Some(Wall(NOW.0 + 3_540_000)),
                ..NegotiationView::default()
            },
            http: Some(HttpVersion::Http2),
            tls: Some(TlsVersion::Tls13),
            sending: SendingView {
                state: DirectionState::BackingOff,
                expires_at: None,
                next_try_at: Some(Wall(NOW.0 + 90_000)),
                revision: None,
                reason: None,
            },
            receiving: ReceivingView {
                state: DirectionState::Linked,
                expires_at: None,
                families: 2,
                revision: Some(Revision::R3),
                reason: Some("it asked with a state"),
                last_failure: Some(FailureView { at: ago(20), reason: "it answered 403".into() }),
            },
            queue: QueueView { messages: 3, in_flight: 1, oldest_at: Some(ago(300)) },
            failures: 1,
            last_success_at: None,
            last_failure: Some(FailureView { at: ago(60), reason: "no route".into() }),
            last_heard_at: None,
        };
        serde_json::from_value(serde_json::to_value(view).unwrap()).unwrap()
    }

    #[test]
    fn a_link_that_the_policy_refuses_is_shown_as_that_whatever_went_well_before() {
        let refused = Link { allowed: false, failures: 0, last_success_at: Some("x".into()), ..link() };
        assert_eq!(refused.row(NOW).last().unwrap(), "refused by [federation]");
    }

    #[test]
    fn a_link_is_shown_as_the_node_writes_it() {
        assert_eq!(link().row(NOW), ["beta.test", "backing-off", "linked", "3", "failed 60s ago: no route"]);
        let entries = link().entries(NOW);
        let shown = |name: &str| entries.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!(shown("sending"), "backing-off, next try in 90s");
        assert_eq!(shown("receiving"), "linked; tokens of 2 exchanges are good");
        assert_eq!(shown(""), "R3: it asked with a state", "the other direction has no token");
        assert!(
            entries
                .contains(&("", "a request in its name came to nothing 20s ago: it answered 403".to_owned()))
        );
        assert_eq!(shown("revision"), "R1: what is pinned has a refresh-path");
        assert_eq!(shown("looked up"), "2023-11-14 22:12:20Z, 60s ago; looked up again in 59m");
        assert_eq!(
            shown("waiting"),
            "3 messages (1 under way), the oldest from 2023-11-14 22:08:20Z, 5m ago"
        );
        assert_eq!(shown("last heard"), "never");
    }
}
