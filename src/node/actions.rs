//! The action of the request that an app answers, for answers that do not say it (`ymp`, "Message": of an answer we write the
//! request's).
//!
//! The request stands in the inbox of the service that answers, near its end where the app keeps up. It is looked for in the
//! newest messages alone: one that is further back, or there no more, leaves the answer as the app wrote it.

use std::{collections::HashMap, sync::Arc};

use super::{outbound::reading, shell::Shell};
use crate::{
    store::{Inbox, Store, StoreError},
    wire::{
        asked::Asked, cursor::Cursor, draft::Draft, host::PeerHost, limits::INBOX_READ_BYTES,
        packet::ServiceKey,
    },
};

/// Messages that are looked through at once ...
const PAGE: u64 = 1000;
/// ... and in all, in each inbox, beyond as many as there are answers.
const LOOK: u64 = 2000;

/// For each answer without an action, by its place among the drafts: the request's.
pub(super) type Actions = HashMap<usize, Box<str>>;

/// Who asked, under which id; and which answers that are.
type Wanted = HashMap<(PeerHost, Box<str>), Vec<usize>>;

/// The actions that these answers lack.
pub(super) async fn of_requests(shell: &Shell, drafts: &[Draft]) -> Actions {
    let mut wanted: HashMap<ServiceKey, Wanted> = HashMap::new();
    for (place, draft) in drafts.iter().enumerate() {
        if let Some(reply_to) = draft.reply_to().filter(|_| draft.lacks_action()) {
            let of_service = wanted.entry(draft.sender.clone()).or_default();
            of_service.entry((draft.host.clone(), reply_to.into())).or_default().push(place);
        }
    }
    if wanted.is_empty() {
        return Actions::new();
    }
    let store = Arc::clone(&shell.store);
    let found = reading(move || {
        let mut found = Actions::new();
        for (service, wanted) in wanted {
            look(&*store, &service, wanted, &mut found)?;
        }
        Ok::<_, StoreError>(found)
    });
    found.await.unwrap_or_else(|error| {
        tracing::debug!(%error, "answers go without the action of what they answer");
        Actions::new()
    })
}

/// From the end of an inbox backward, page by page.
fn look(
    store: &dyn Store,
    service: &ServiceKey,
    mut wanted: Wanted,
    found: &mut Actions,
) -> Result<(), StoreError> {
    let end = Inbox::last(store, service)?.0;
    let (mut to, most) = (end, LOOK.saturating_add(wanted.len() as u64));
    while to > 0 && end - to < most && !wanted.is_empty() {
        let from = to.saturating_sub(PAGE);
        let mut after = from;
        while after < to {
            let rest = usize::try_from(to - after).unwrap_or(usize::MAX);
            let page = Inbox::read(store, service, Cursor(after), rest, INBOX_READ_BYTES)?;
            let Some(last) = page.last() else { break };
            after = last.cursor.0;
            for entry in page.iter().take_while(|entry| entry.cursor.0 <= to) {
                if !wanted.keys().any(|(host, _)| *host == entry.from) {
                    continue;
                }
                let Some(Asked { id, action: Some(action) }) = Asked::read(&entry.raw) else { continue };
                for place in wanted.remove(&(entry.from.clone(), (*id).into())).into_iter().flatten() {
                    found.insert(place, (*action).into());
                }
            }
        }
        to = from;
    }
    Ok(())
}
