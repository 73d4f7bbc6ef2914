//! A scripted host's information: where it stands, what it says, where its paths are.
//!
//! ```text
//!   peer.publishes(&["/.ymp"])                  its own document there and nowhere else
//!   peer.shows("/.well-known/ymp", Reply::..)   something else at one of the places
//!   peer.moves(Kind::Packet, "/elsewhere")      the old path is nobody's; the document says so at once
//!   peer.speaks(Revision::R3)                   a new implementation, which knows no old token
//! ```

use serde_json::{Value, json};

use super::{Kind, Peer, Reply, Revision, Seen};
use crate::harness::eventually;

/// Where host information is looked for, in this order.
pub(crate) const PLACES: [&str; 4] = ["/.well-known/ymp", "/.ymp", "/.well-known/amorphos", "/.amorphos"];

/// What stands at one of the places.
#[derive(Clone)]
pub(super) enum Page {
    /// The host's document as it is when it is read.
    Own,
    Says(Reply),
}

impl Peer {
    /// Its own document stands at these places, and nothing at the others.
    pub(crate) fn publishes(&self, places: &[&str]) {
        assert!(places.iter().all(|place| PLACES.contains(place)), "{places:?}");
        self.state().pages = places.iter().map(|place| ((*place).to_owned(), Page::Own)).collect();
    }

    /// This is the answer at this place.
    pub(crate) fn shows(&self, place: &str, reply: Reply) {
        self.state().pages.insert(place.to_owned(), Page::Says(reply));
    }

    /// With its own document it says for how long it holds.
    pub(crate) fn caches(&self, cache_control: &str) {
        self.state().cache = Some(cache_control.to_owned());
    }

    /// One more parameter in its own document, or another value for one that is there.
    pub(crate) fn announces(&self, name: &str, value: Value) {
        self.state().announced.insert(name.to_owned(), value);
    }

    /// One of its paths is another from now on.
    pub(crate) fn moves(&self, kind: Kind, path: &str) {
        self.state().paths.insert(kind, path.to_owned());
    }

    /// What it answers at paths that are none of its own.
    pub(crate) fn answers_elsewhere(&self, status: u16) {
        self.state().elsewhere = status;
    }

    /// From now on it speaks this revision, and knows nothing of before.
    pub(crate) fn speaks(&self, revision: Revision) {
        let mut state = self.state();
        state.revision = revision;
        if revision == Revision::R3 {
            state.paths.remove(&Kind::Refresh);
        } else {
            state.paths.entry(Kind::Refresh).or_insert_with(|| "/refresh".to_owned());
        }
        state.access.clear();
        state.refresh.clear();
        state.asked.clear();
    }

    pub(crate) fn revision(&self) -> Revision {
        self.state().revision
    }

    /// Its parameters, as its document carries them.
    pub(crate) fn parameters(&self) -> Value {
        let state = self.state();
        let mut parameters = json!({});
        let names = [
            (Kind::Request, "request-path"),
            (Kind::Grant, "grant-path"),
            (Kind::Refresh, "refresh-path"),
            (Kind::Packet, "packet-path"),
        ];
        for (kind, name) in names {
            if let Some(path) = state.paths.get(&kind) {
                parameters[name] = json!(path);
            }
        }
        for (name, value) in &state.announced {
            parameters[name] = value.clone();
        }
        parameters
    }

    /// Its document, as it stands now.
    pub(crate) fn document(&self) -> Value {
        self.document_with(&[("https-token", "0.0.0", self.parameters())])
    }

    /// A document with these connection protocols.
    #[expect(clippy::unused_self, reason = "reads as the host's own document")]
    pub(crate) fn document_with(&self, protocols: &[(&str, &str, Value)]) -> Value {
        let entry = |(name, version, parameters): &(&str, &str, Value)| json!({"name": name, "version": version, "parameters": parameters});
        json!({
            "ymp-version": "0.0.0",
            "connection-protocols": protocols.iter().map(entry).collect::<Vec<_>>(),
            "message-protocols": [{"name": "example", "version": "1.0.0", "services": ["form"], "parameters": {}}],
        })
    }

    /// What came to a place, or to all of them: reads of the host information.
    pub(crate) fn reads(&self, place: &str) -> usize {
        self.seen(Kind::Information).iter().filter(|seen| seen.path == place).count()
    }

    /// The places that were read, in order.
    pub(crate) fn places_read(&self) -> Vec<String> {
        self.seen(Kind::Information).into_iter().map(|seen| seen.path).collect()
    }

    /// Waits until this place was read so often.
    pub(crate) async fn is_read(&self, place: &str, count: usize) {
        eventually(&format!("{} is read {count} times at {place}", self.name), || async {
            (self.reads(place) >= count).then_some(())
        })
        .await;
    }

    pub(super) fn on_information(&self, seen: &Seen) -> Reply {
        let (page, cache) = {
            let state = self.state();
            (state.pages.get(&seen.path).cloned(), state.cache.clone())
        };
        match page {
            None => Reply::of(404),
            Some(Page::Says(reply)) => reply,
            Some(Page::Own) => {
                let reply = Reply::of(200).body("application/json", &self.document().to_string());
                cache.iter().fold(reply, |reply, value| reply.header("cache-control", value))
            }
        }
    }

    /// What a call is about, by its method and its path.
    pub(super) fn kind(&self, method: &str, path: &str) -> Kind {
        if PLACES.contains(&path) {
            return Kind::Information;
        }
        let state = self.state();
        let found = state.paths.iter().find(|(_, known)| *known == path).map(|(kind, _)| *kind);
        found.filter(|_| method == "POST").unwrap_or(Kind::Other)
    }
}
