//! The action of the request that an app answers, for answers that do not say it (`ymp`, "Message": of an answer we write the
//! request's).
//!
//! The request stands in the inbox of the service that answers. It is looked for where the apps of that service read, which is
//! around what each has acknowledged last, and in the newest messages; one that is elsewhere, or there no more, leaves the
//! answer as the app wrote it.

use std::{collections::HashMap, sync::Arc};

use super::{outbound::reading, shell::Shell};
use crate::{
    store::{Inbox, Store, StoreError},
    wire::{
        asked::Asked, cursor::Cursor, draft::Draft, host::PeerHost, limits::INBOX_READ_BYTES,
        packet::ServiceKey,
    },
};

/// Most apps acknowledge when they have answered: it is here then, before and after what is acknowledged.
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

/// The actions that these answers lack.
pub(super) async fn of_requests(shell: &Shell, drafts: &[Draft]) -> Actions {
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
            let apps = settings.readers.get(service).into_iter().flatten().take(APPS).cloned().collect();
            Look { service: service.clone(), apps, wanted, bytes: BYTES, found: Actions::new() }
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
    /// Who reads it.
    apps: Vec<String>,
    wanted: Wanted,
    /// That may still be read.
    bytes: usize,
    found: Actions,
}

impl Look {
    /// Where apps read first, then more widely, then at the end.
    fn around(mut self, store: &dyn Store) -> Result<Actions, StoreError> {
        let end = Inbox::last(store, &self.service)?.0;
        let look = LOOK.saturating_add(self.wanted.values().map(|ids| ids.len() as u64).sum());
        let mut acknowledged = Vec::new();
        for app in &self.apps {
            acknowledged.push(store.acknowledged(app, &self.service)?.0);
        }
        acknowledged.sort_unstable();
        acknowledged.dedup();
        let near = acknowledged.iter().map(|at| (at.saturating_sub(NEAR), at.saturating_add(NEAR)));
        let after = acknowledged.iter().map(|at| (*at, at.saturating_add(look)));
        let before = acknowledged.iter().map(|at| (at.saturating_sub(look), *at));
        let newest = std::iter::once((end.saturating_sub(look), end));
        for (from, to) in near.chain(after).chain(newest).chain(before) {
            self.between(store, from, to.min(end))?;
        }
        Ok(self.found)
    }

    /// What was given a cursor after `from`, up to `to`.
    fn between(&mut self, store: &dyn Store, mut from: u64, to: u64) -> Result<(), StoreError> {
        while from < to && self.bytes > 0 && !self.wanted.is_empty() {
            let most = usize::try_from((to - from).min(PAGE)).unwrap_or(usize::MAX);
            let page =
                Inbox::read(store, &self.service, Cursor(from), most, self.bytes.min(INBOX_READ_BYTES))?;
            let Some(last) = page.last() else { break };
            from = last.cursor.0;
            for entry in page.iter().take_while(|entry| entry.cursor.0 <= to) {
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
