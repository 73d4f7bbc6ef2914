//! What local apps call: messages out, inboxes, dead messages.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Error, Settings, actions,
    courier::drive,
    shell::Shell,
    views::{MessageView, Submitted},
    waiters::{AnswerKey, key_of},
};
use bytes::Bytes;

use crate::{
    link::{dice::Dice as _, event::Event},
    store::{Inbox, Outbox, StoreError},
    wire::{
        cursor::Cursor,
        draft::Draft,
        packet::{Message, PACKET_FRAME_BYTES, ServiceKey},
        record::{Accepted, DeadFilter, DeadMail, InboxEntry, MessageState, OutboxBatch, OutboxItem},
        refusal::Refusal,
        time::Wall,
    },
};

/// Messages that were accepted.
pub(super) struct Taken {
    pub(super) all: Vec<Submitted>,
    /// How many had not been accepted before.
    pub(super) fresh: usize,
}

/// Accepts messages of `app`: on stable storage when this ends well.
pub(super) async fn take(
    shell: &Arc<Shell>,
    app: &str,
    drafts: Vec<Draft>,
    time_to_live: Option<Duration>,
) -> Result<Taken, Error> {
    let (queued, settings) = (shell.now().wall, shell.settings());
    //= HT-SEND-26: its own or the configured
    let expires = queued.plus(time_to_live.unwrap_or(settings.time_to_live));
    for (index, draft) in drafts.iter().enumerate() {
        check(shell, &settings, index, draft)?;
    }
    let actions = actions::of_requests(shell, app, &drafts).await;
    let items = drafts
        .iter()
        .enumerate()
        .map(|(index, draft)| {
            let action = actions.get(&index).map(|action| &**action);
            item(shell, &settings, index, Composing { draft, action, expires })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<_> = items.iter().map(|item| Arc::clone(&item.id)).collect();
    let answers = answers(shell, &items);
    let own: HashSet<_> = items.iter().filter_map(|item| item.own.clone()).collect();
    let hosts: HashSet<_> =
        items.iter().filter(|item| item.own.is_none()).map(|item| item.host.clone()).collect();
    //= NODE-API-11: on stable storage, then 202
    let accepted = Outbox::append(&*shell.store, OutboxBatch { items, queued })?.await?;
    let (states, fresh) = match accepted {
        Accepted::All { states, fresh } => (states, fresh),
        Accepted::Conflict(index) => {
            let id = ids.get(index).cloned().unwrap_or_else(|| Arc::from(""));
            return Err(Error::Conflict { index, id });
        }
    };
    shell.metrics.messages_accepted.add(fresh as u64);
    for service in &own {
        shell.wake_readers(service);
    }
    for (key, answer) in &answers {
        shell.waiters.tell(key, answer);
    }
    for host in &hosts {
        drive(shell, &shell.slot(host), Event::MailQueued);
    }
    let all = ids.into_iter().zip(states).map(|(id, state)| Submitted { id, state }).collect();
    Ok(Taken { all, fresh })
}

/// Those that answer a request of one of our own services which waits.
fn answers(shell: &Shell, items: &[OutboxItem]) -> Vec<(AnswerKey, Bytes)> {
    if shell.waiters.is_empty() {
        return Vec::new();
    }
    let own = items.iter().filter(|item| item.own.is_some());
    own.filter_map(|item| Some((key_of(&Message::decode(item.raw.clone(), 0).ok()?)?, item.raw.clone())))
        .collect()
}

/// What a message is made of.
struct Composing<'a> {
    draft: &'a Draft,
    /// Of the request that it answers, where it does not say it.
    action: Option<&'a str>,
    expires: Wall,
}

/// Whether a message may go where it is meant to go.
fn check(shell: &Shell, settings: &Settings, index: usize, draft: &Draft) -> Result<(), Error> {
    let own = settings.host.is(&draft.host);
    //= NODE-API-16: 400
    if own && !shell.readers.contains_key(&draft.service) {
        let what = format!("names {}, which this host does not run", draft.service);
        return Err(Error::Draft { index, field: "service", what });
    }
    if settings.aliases.iter().any(|alias| alias.is(&draft.host)) {
        let what = format!("is an alias of this host: write {}", settings.host);
        return Err(Error::Draft { index, field: "host", what });
    }
    if !own {
        //= NODE-API-07: 403
        let host = &draft.host;
        let refused = |_| Refusal::Policy { host: host.to_string(), index: Some(index) };
        settings.allowed(host).map_err(refused)?;
    }
    Ok(())
}

fn item(
    shell: &Shell,
    settings: &Settings,
    index: usize,
    Composing { draft, action, expires }: Composing<'_>,
) -> Result<OutboxItem, Error> {
    let own = settings.host.is(&draft.host);
    let id = draft.id.clone().unwrap_or_else(|| fresh_id(shell));
    let most = settings.packet_bytes.saturating_sub(PACKET_FRAME_BYTES);
    let mut raw = draft.compose(&id, action);
    if raw.len() > most && action.is_some() {
        // What the app wrote goes before what we would add.
        raw = draft.compose(&id, None);
    }
    if raw.len() > most {
        let what = format!("message {index} has {} bytes: a packet holds at most {most}", raw.len());
        return Err(Refusal::TooLarge { what, index: Some(index) }.into());
    }
    let tries_before = shell.registry.find(&draft.host).map_or(0, |slot| slot.lock().health().tries);
    Ok(OutboxItem {
        id,
        host: draft.host.clone(),
        own: own.then(|| draft.service.clone()),
        sender: draft.sender.clone(),
        raw,
        content: draft.content(),
        expires,
        tries_before,
    })
}

//= NODE-API-10: ordered by time
/// An id that is ordered by time within this host: 16 hex digits of time and count, 16 of chance.
pub(super) fn fresh_id(shell: &Shell) -> Arc<str> {
    let time = shell.now().wall.0 << 16;
    let next = |last: u64| Some(time.max(last + 1));
    let last = shell.last_id.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).unwrap_or(time);
    let chance: String = Shell::dice().bytes().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{:016x}{chance}", time.max(last + 1)).into()
}

/// An outgoing message.
pub(super) fn message(shell: &Shell, id: &str) -> Result<MessageView, Error> {
    let status = shell.store.status(id)?.ok_or_else(Error::no_message)?;
    let mut view = MessageView {
        id: status.id,
        host: status.host,
        sender: status.sender,
        state: status.state,
        attempts: status.attempts,
        last_error: status.last_error,
        queued: status.queued,
        ended: status.ended,
    };
    if view.state == MessageState::Queued
        && let Some(slot) = shell.registry.find(&view.host)
    {
        let peer = slot.lock();
        //= NODE-API-20: tries without 204
        view.attempts = peer.health().tries.saturating_sub(status.tries_before);
        let failed =
            peer.health().failed.as_ref().filter(|failed| view.attempts > 0 && failed.at >= view.queued);
        view.last_error = failed.map(|failed| failed.reason.clone());
    }
    Ok(view)
}

/// The next messages that `app` has not acknowledged; waits for one.
pub(super) async fn inbox(
    shell: &Arc<Shell>,
    app: &str,
    service: &ServiceKey,
    page: Page,
    wait: Duration,
) -> Result<Vec<InboxEntry>, Error> {
    let Some(reader) = shell.readers.get(service).map(|reader| Arc::clone(&reader)) else {
        return Ok(Vec::new());
    };
    let until = tokio::time::sleep(wait);
    tokio::pin!(until);
    loop {
        // Registered before the look, so that what comes between is not missed.
        let news = reader.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        // Nobody wakes the readers of a service that does not run any more.
        if !shell.readers.contains_key(service) {
            return Ok(Vec::new());
        }
        let entries = read(shell, app, service, page).await?;
        if !entries.is_empty() || shell.is_draining() {
            return Ok(entries);
        }
        tokio::select! {
            () = news => {}
            () = &mut until => return Ok(Vec::new()),
        }
    }
}

/// What is read of an inbox at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    /// Nothing up to here, whatever was acknowledged.
    pub(super) after: Cursor,
    /// Messages at most.
    pub(super) max: usize,
    /// Bytes at most, beyond the first message.
    pub(super) bytes: usize,
}

async fn read(shell: &Shell, app: &str, service: &ServiceKey, page: Page) -> Result<Vec<InboxEntry>, Error> {
    let (store, app, service) = (Arc::clone(&shell.store), app.to_owned(), service.clone());
    reading(move || {
        //= NODE-API-21: from the first not acknowledged
        let after = store.acknowledged(&app, &service)?.max(page.after);
        Inbox::read(&*store, &service, after, page.max, page.bytes)
    })
    .await
}

/// Acknowledges everything up to `cursor`.
pub(super) async fn acknowledge(
    shell: &Shell,
    app: &str,
    service: &ServiceKey,
    cursor: Cursor,
) -> Result<(), Error> {
    if shell.store.acknowledge(app, service, cursor)?.await? { Ok(()) } else { Err(Error::Cursor) }
}

/// Dead messages.
pub(super) async fn dead(shell: &Shell, filter: DeadFilter, max: usize) -> Result<Vec<DeadMail>, Error> {
    let store = Arc::clone(&shell.store);
    reading(move || store.dead(&filter, max)).await
}

/// Reads from the disk beside the threads that serve.
pub(super) async fn reading<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(read).await {
        Ok(found) => Ok(found?),
        Err(_) => Err(Error::Unavailable {
            what: "the node is stopping".to_owned(),
            retry_after: Duration::from_secs(1),
        }),
    }
}

/// Queues a dead message again.
pub(super) async fn retry_dead(shell: &Arc<Shell>, id: &str) -> Result<(), Error> {
    let status = shell
        .store
        .status(id)?
        .filter(|status| status.state == MessageState::Dead)
        .ok_or_else(Error::no_dead_message)?;
    let settings = shell.settings();
    settings.allowed(&status.host)?;
    let slot = shell.slot(&status.host);
    let tries = slot.lock().health().tries;
    let now = shell.now().wall;
    if !shell.store.revive(id, now, now.plus(settings.time_to_live), tries)?.await? {
        return Err(Error::no_dead_message());
    }
    drive(shell, &slot, Event::MailQueued);
    Ok(())
}

//= NODE-API-15: its id and state stay
/// Deletes a dead message.
pub(super) async fn delete_dead(shell: &Shell, id: &str) -> Result<(), Error> {
    if shell.store.bury(id, shell.now().wall)?.await? { Ok(()) } else { Err(Error::no_dead_message()) }
}
