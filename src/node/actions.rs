//! The action of the request that an app answers, for answers that do not say it (`ymp`, "Message": of an answer we write the
//! request's).
//!
//! The request stands in the inbox of the service that answers. It is looked for where the app that answers reads, which is around
//! what it acknowledged last, then in the newest messages and where the other apps of the service read; one that is elsewhere, or
//! there no more, leaves the answer as the app wrote it.

use std::{collections::HashMap, sync::Arc};

use super::{outbound::reading, shell::Shell};
use crate::{
    store::{Inbox, Store, StoreError},
    wire::{
        asked::Asked, cursor::Cursor, draft::Draft, host::PeerHost, limits::INBOX_READ_BYTES,
        packet::ServiceKey,
    },
};

/// Most apps acknowledge when they have answered: it is here then, after or before what is acknowledged.
const NEAR: u64 = 100;
/// Else in so many messages, beyond as many as there are answers ...
const LOOK: u64 = 2000;
/// ... which are read in pages of so many ...
const PAGE: u64 = 500;
/// ... for so many apps ...
const APPS: usize = 8;
/// ... and in no more bytes than this, in each inbox.
const BYTES: usize = 8 * INBOX_READ_BYTES;

/// For each answer without an action, by its place among the drafts: the request's.
pub(super) type Actions = HashMap<usize, Box<str>>;

/// Which answers answer what: by who asked, then by the request's id.
type Wanted = HashMap<PeerHost, HashMap<Box<str>, Vec<usize>>>;

/// The actions that these answers of `app` lack.
pub(super) async fn of_requests(shell: &Shell, app: &str, drafts: &[Draft]) -> Actions {
    let mut wanted: HashMap<&ServiceKey, Wanted> = HashMap::new();
    for (place, draft) in drafts.iter().enumerate() {
        if let Some(reply_to) = draft.reply_to().filter(|_| draft.lacks_action()) {
            let of_host = wanted.entry(&draft.sender).or_default().entry(draft.host.clone()).or_default();
            of_host.entry(reply_to.into()).or_default().push(place);
        }
    }
    if wanted.is_empty() {
        return Actions::new();
    }
    let settings = shell.settings();
    let looks: Vec<_> = wanted
        .into_iter()
        .map(|(service, wanted)| {
            let others = settings.readers.get(service).into_iter().flatten().filter(|other| *other != app);
            let apps = std::iter::once(app.to_owned()).chain(others.take(APPS - 1).cloned()).collect();
            let (service, found) = (service.clone(), Actions::new());
            Look { service, apps, wanted, bytes: BYTES, read: Vec::new(), found }
        })
        .collect();
    let store = Arc::clone(&shell.store);
    let found = reading(move || {
        let found = looks.into_iter().map(|look| look.around(&*store)).collect::<Result<Vec<_>, _>>()?;
        Ok::<Actions, StoreError>(found.into_iter().flatten().collect())
    });
    found.await.unwrap_or_else(|error| {
        tracing::debug!(%error, "answers go without the action of what they answer");
        Actions::new()
    })
}

/// Looking through one inbox.
struct Look {
    service: ServiceKey,
    /// Who answers, then others that read it.
    apps: Vec<String>,
    wanted: Wanted,
    /// That may still be read.
    bytes: usize,
    /// What was read: after, up to.
    read: Vec<(u64, u64)>,
    found: Actions,
}

impl Look {
    /// Where apps read first, then at the end, then more widely.
    fn around(mut self, store: &dyn Store) -> Result<Actions, StoreError> {
        let Some(oldest) =
            Inbox::read(store, &self.service, Cursor(0), 1, 1)?.first().map(|one| one.cursor.0)
        else {
            return Ok(self.found);
        };
        let (low, end) = (oldest.saturating_sub(1), Inbox::last(store, &self.service)?.0);
        let look = LOOK.saturating_add(self.wanted.values().map(|ids| ids.len() as u64).sum());
        let mut reads = Vec::new();
        for app in &self.apps {
            reads.push(store.acknowledged(app, &self.service)?.0.max(low));
        }
        let own = reads.first().copied().unwrap_or(low);
        let after = |at: u64, count: u64| (at, at.saturating_add(count));
        let before = |at: u64, count: u64| (at.saturating_sub(count), at);
        let first = [after(own, NEAR), before(own, NEAR), before(end, NEAR)];
        let near = reads.iter().skip(1).map(|at| after(*at, NEAR));
        let then = [after(own, look), before(end, look), before(own, look)];
        let wide = reads.iter().skip(1).map(|at| after(*at, look));
        for (from, to) in first.into_iter().chain(near).chain(then).chain(wide) {
            self.once(store, from.max(low), to.min(end))?;
        }
        Ok(self.found)
    }

    /// What of this has not been read yet.
    fn once(&mut self, store: &dyn Store, from: u64, to: u64) -> Result<(), StoreError> {
        let mut left = vec![(from, to)];
        for (start, end) in &self.read {
            let without = |(from, to): (u64, u64)| [(from, to.min(*start)), (from.max(*end), to)];
            left = left.into_iter().flat_map(without).filter(|(from, to)| from < to).collect();
        }
        for (from, to) in left {
            self.between(store, from, to)?;
            self.read.push((from, to));
        }
        Ok(())
    }

    /// What was given a cursor after `from`, up to `to`.
    fn between(&mut self, store: &dyn Store, mut from: u64, to: u64) -> Result<(), StoreError> {
        while from < to && self.bytes > 0 && !self.wanted.is_empty() {
            let most = usize::try_from((to - from).min(PAGE)).unwrap_or(usize::MAX);
            let page =
                Inbox::read(store, &self.service, Cursor(from), most, self.bytes.min(INBOX_READ_BYTES))?;
            let Some(last) = page.last() else { break };
            from = last.cursor.0;
            for entry in &page {
                self.bytes = self.bytes.saturating_sub(entry.raw.len());
                self.compare(&entry.from, &entry.raw);
            }
        }
        Ok(())
    }

    fn compare(&mut self, from: &PeerHost, raw: &[u8]) {
        let Some(of_host) = self.wanted.get_mut(from) else { return };
        let Some(Asked { id, action }) = Asked::read(raw) else { return };
        let Some(places) = of_host.remove(&*id) else { return };
        if of_host.is_empty() {
            self.wanted.remove(from);
        }
        // One without an action leaves its answer without.
        if let Some(action) = action {
            self.found.extend(places.into_iter().map(|place| (place, (*action).into())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        store::{Settings, memory::Memory},
        wire::{
            record::{InboxBatch, InboxItem},
            time::Wall,
        },
    };

    fn host() -> PeerHost {
        PeerHost::parse("b.test").unwrap()
    }

    fn service() -> ServiceKey {
        ServiceKey::new("p", "s")
    }

    /// An inbox in which each message asks for what its id is, and has about so many bytes.
    fn inbox(count: u64, bytes: usize) -> Memory {
        let store = Memory::new(Settings::default()).unwrap();
        let padding = "x".repeat(bytes);
        let item = |n: u64| InboxItem {
            service: service(),
            id: format!("q{n}").into(),
            raw: format!(r#"{{"id":"q{n}","action":"do {n}","payload":"{padding}"}}"#).into(),
            content_sum: n,
        };
        let batch = InboxBatch {
            from: Some(host()),
            received: Wall(1),
            items: (1..=count).map(item).collect(),
            marks: Vec::new(),
        };
        Inbox::append(&store, batch).unwrap().wait().unwrap();
        store
    }

    fn acknowledged(store: &Memory, app: &str, cursor: u64) {
        assert!(store.acknowledge(app, &service(), Cursor(cursor)).unwrap().wait().unwrap());
    }

    /// The action for an answer to `q{asked}`, looked for as `a`, beside whom `b` reads.
    fn look(store: &Memory, asked: u64, bytes: usize) -> Option<String> {
        let ids = HashMap::from([(format!("q{asked}").into(), vec![7])]);
        let look = Look {
            service: service(),
            apps: vec!["a".to_owned(), "b".to_owned()],
            wanted: HashMap::from([(host(), ids)]),
            bytes,
            read: Vec::new(),
            found: Actions::new(),
        };
        look.around(store).unwrap().get(&7).map(|action| action.to_string())
    }

    #[test]
    fn an_app_that_has_acknowledged_less_than_is_kept_reads_from_the_oldest() {
        let store = inbox(8000, 1);
        acknowledged(&store, "b", 3000);
        store.trim(&service(), &["b".to_owned()], Wall(0)).unwrap().wait().unwrap();
        acknowledged(&store, "b", 8000);
        assert_eq!(look(&store, 3005, BYTES).as_deref(), Some("do 3005"));
        assert_eq!(look(&store, 7990, BYTES).as_deref(), Some("do 7990"));
        assert_eq!(look(&store, 5500, BYTES), None, "neither read by now nor new");
    }

    #[test]
    fn what_the_app_reads_itself_comes_before_what_others_read() {
        let store = inbox(5000, 1000);
        acknowledged(&store, "a", 2500);
        acknowledged(&store, "b", 100);
        let few = 150 * 1000;
        assert_eq!(look(&store, 2501, few).as_deref(), Some("do 2501"));
        assert_eq!(look(&store, 101, few), None);
        assert_eq!(look(&store, 101, BYTES).as_deref(), Some("do 101"));
        assert_eq!(look(&store, 2400, BYTES).as_deref(), Some("do 2400"));
    }
}
