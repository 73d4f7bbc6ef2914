//! A link to a peer as the node's API writes it, in words.

use serde::Deserialize;

use super::render::{distance, moment};
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
}

#[derive(Deserialize)]
struct Negotiation {
    reason: String,
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
            (Some(failure), _) if self.failures > 0 => {
                format!("failed {}: {}", distance(&failure.at, now), failure.reason)
            }
            (_, Some(at)) => format!("ok {}", distance(at, now)),
            _ if !self.allowed => "refused by [federation]".to_owned(),
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
        let mut waiting = format!("{} messages", self.queue.messages);
        if self.queue.in_flight > 0 {
            waiting = format!("{waiting} ({} under way)", self.queue.in_flight);
        }
        if let Some(oldest) = &self.queue.oldest_at {
            waiting = format!("{waiting}, the oldest from {}", moment(oldest, now));
        }
        let families =
            self.receiving.families.map_or(String::new(), |count| format!(", open families: {count}"));
        let failure = self.last_failure.as_ref().map_or("never".to_owned(), |failure| {
            format!("{}: {}", moment(&failure.at, now), failure.reason)
        });
        vec![
            ("host", self.host.clone()),
            ("configured", yes_no(self.configured)),
            ("allowed", yes_no(self.allowed)),
            ("revision", by(self.revision.as_ref(), Some(&self.negotiation.reason), "unknown")),
            ("over", self.over()),
            ("sending", self.sending.words(now)),
            ("sends by", self.sending.by()),
            ("receiving", format!("{}{families}", self.receiving.words(now))),
            ("receives by", self.receiving.by()),
            ("waiting", waiting),
            ("failures", format!("{} since the last success", self.failures)),
            ("last success", at(&self.last_success_at)),
            ("last failure", failure),
            ("last heard", at(&self.last_heard_at)),
        ]
    }
}

impl Direction {
    fn by(&self) -> String {
        by(self.revision.as_ref(), self.reason.as_ref(), "nothing exchanged yet")
    }

    fn words(&self, now: Wall) -> String {
        let mut words = self.state.clone();
        if let Some(at) = &self.expires_at {
            words = format!("{words}, expires {}", distance(at, now));
        }
        if let Some(at) = &self.next_try_at {
            words = format!("{words}, next try {}", distance(at, now));
        }
        words
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
                reason: "pinned: a refresh-path".to_owned(),
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
    fn a_link_is_shown_as_the_node_writes_it() {
        assert_eq!(link().row(NOW), ["beta.test", "backing-off", "linked", "3", "failed 60s ago: no route"]);
        let entries = link().entries(NOW);
        let shown = |name: &str| entries.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!(shown("sending"), "backing-off, next try in 90s");
        assert_eq!(shown("receiving"), "linked, open families: 2");
        assert_eq!(shown("receives by"), "R3: it asked with a state");
        assert_eq!(shown("sends by"), "nothing exchanged yet");
        assert_eq!(shown("revision"), "R1: pinned: a refresh-path");
        assert_eq!(
            shown("waiting"),
            "3 messages (1 under way), the oldest from 2023-11-14 22:08:20Z, 5m ago"
        );
        assert_eq!(shown("last heard"), "never");
    }
}
