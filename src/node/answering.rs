//! Requests of apps that wait for their answers.
//!
//! A request waits under what its answer must be: from this host, to this service, in reply to this id. An answer is handed
//! to whoever waits once it is on disk; it stands in the inbox all the same. What came before anybody waited (the process
//! was restarted, the caller's connection broke) is looked for in the inbox.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Error, outbound,
    shell::Shell,
    waiters::{AnswerKey, key_of},
};
use crate::{
    store::{Inbox, StoreError},
    wire::{
        cursor::Cursor,
        draft::Draft,
        limits::{INBOX_READ_BYTES, REQUESTS_WAITING},
        packet::Message,
        record::{InboxEntry, MessageState},
        time::Wall,
    },
};

/// Messages that are read at once.
const PAGE: u64 = 1000;
/// So much older than the request is what was certainly there before it.
const SLACK: Duration = Duration::from_secs(24 * 3600);

/// A request that was accepted, and the end at which its answer comes out. Dropped, nobody waits any more.
pub struct Request {
    key: AnswerKey,
    answer: watch::Receiver<Option<Bytes>>,
    /// It was asked before.
    repeats: bool,
    shell: Arc<Shell>,
}

impl Request {
    /// Its message's id: who asks again under it finds the answer.
    #[must_use]
    pub fn id(&self) -> Arc<str> {
        Arc::clone(&self.key.reply_to)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.shell.waiters.leave(&self.key);
    }
}

/// Accepts a request, on stable storage when this ends well; who waits is there before it can be answered.
pub(super) async fn request(shell: &Arc<Shell>, app: &str, mut draft: Draft) -> Result<Request, Error> {
    if shell.waiters.count() >= REQUESTS_WAITING {
        let what = format!("{REQUESTS_WAITING} requests wait for their answers already");
        return Err(Error::Unavailable { what, retry_after: Duration::from_secs(1) });
    }
    let id = draft.id.clone().unwrap_or_else(|| outbound::fresh_id(shell));
    draft.id = Some(Arc::clone(&id));
    let key =
        AnswerKey { from: draft.host.clone(), service: draft.sender.clone(), reply_to: Arc::clone(&id) };
    let answer = shell.waiters.wait(&key);
    let mut request = Request { key, answer, repeats: false, shell: Arc::clone(shell) };
    request.repeats = outbound::take(shell, app, vec![draft], None).await?.fresh == 0;
    if request.repeats
        && let Some(answer) = come_already(shell, &request.key).await?
    {
        shell.waiters.tell(&request.key, &answer);
    }
    Ok(request)
}

/// Waits for the answer to a request.
pub(super) async fn answer(mut request: Request, wait: Duration) -> Result<Bytes, Error> {
    let id = request.id();
    if let Ok(Ok(answer)) = tokio::time::timeout(wait, request.answer.wait_for(Option::is_some)).await {
        return Ok(answer.clone().unwrap_or_default());
    }
    Err(unanswered(&request, id, format!("within {} s", wait.as_secs())))
}

/// What can be expected of a request that is not answered.
fn unanswered(request: &Request, id: Arc<str>, when: String) -> Error {
    // Where it cannot be read, that much is not known; no answer came all the same.
    let status = request.shell.store.status(&id).ok().flatten();
    let next = match status.filter(|status| status.state == MessageState::Dead) {
        Some(dead) => {
            let why = dead.last_error.map(|why| format!(": {why}")).unwrap_or_default();
            format!("the message is dead{why}")
        }
        None if request.repeats => {
            "it goes to the inbox when it comes, and is not kept when every app has acknowledged it"
                .to_owned()
        }
        None => return Error::unanswered(id, when),
    };
    Error::Unanswered { id, when, next }
}

/// The first answer that stands in the inbox. None came before the request was accepted, so it is looked for from the end
/// backward until what is older, and a day more, since clocks are set.
async fn come_already(shell: &Arc<Shell>, key: &AnswerKey) -> Result<Option<Bytes>, Error> {
    let (store, key) = (Arc::clone(&shell.store), key.clone());
    outbound::reading(move || {
        let asked = store.status(&key.reply_to)?.map_or(Wall(0), |status| status.queued);
        let is_it = |entry: &InboxEntry| {
            entry.from == key.from
                && Message::decode(entry.raw.clone(), 0)
                    .is_ok_and(|message| key_of(&message).as_ref() == Some(&key))
        };
        let oldest = Inbox::read(&*store, &key.service, Cursor(0), 1, 1)?.first().map(|entry| entry.cursor);
        let (mut to, mut first) = (Inbox::last(&*store, &key.service)?, None);
        while oldest.is_some_and(|oldest| to >= oldest) {
            let from = Cursor(to.0.saturating_sub(PAGE));
            let (mut after, mut is_older) = (from, false);
            let mut found = None;
            while after < to {
                let page = Inbox::read(&*store, &key.service, after, PAGE as usize, INBOX_READ_BYTES)?;
                let Some(last) = page.last() else { break };
                after = last.cursor;
                let these = || page.iter().take_while(|entry| entry.cursor <= to);
                is_older |= these().any(|entry| asked.since(entry.received) > SLACK);
                found = found.or_else(|| these().find(|entry| is_it(entry)).map(|entry| entry.raw.clone()));
            }
            first = found.or(first);
            if is_older {
                break;
            }
            to = from;
        }
        Ok::<_, StoreError>(first)
    })
    .await
}
