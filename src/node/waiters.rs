//! What requests of apps wait for: an answer from this host, to this service, in reply to this id.

use std::sync::Arc;

use bytes::Bytes;
use dashmap::DashMap;
use tokio::sync::watch;

use crate::wire::{
    host::PeerHost,
    packet::{Message, ServiceKey},
};

//= NODE-API-39: host, service, reply-to
/// What an answer must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AnswerKey {
    /// The host that was asked.
    pub(super) from: PeerHost,
    /// The service that asked.
    pub(super) service: ServiceKey,
    /// The id of the request.
    pub(super) reply_to: Arc<str>,
}

/// Those who wait, by what they wait for. Several may wait for one answer: they called with the same id.
#[derive(Default)]
pub(super) struct Waiters(DashMap<AnswerKey, Waiting>);

struct Waiting {
    answer: watch::Sender<Option<Bytes>>,
    /// How many wait.
    count: usize,
}

impl Waiters {
    //= NODE-API-40: a copy
    /// An answer is on disk.
    pub(super) fn tell(&self, key: &AnswerKey, answer: &Bytes) {
        if let Some(waiting) = self.0.get(key) {
            waiting.answer.send_replace(Some(answer.clone()));
        }
    }

    /// One more waits for this; ends with the answer.
    pub(super) fn wait(&self, key: &AnswerKey) -> watch::Receiver<Option<Bytes>> {
        let mut waiting = self
            .0
            .entry(key.clone())
            .or_insert_with(|| Waiting { answer: watch::Sender::new(None), count: 0 });
        waiting.count += 1;
        waiting.answer.subscribe()
    }

    /// One of those who wait goes away.
    pub(super) fn leave(&self, key: &AnswerKey) {
        self.0.remove_if_mut(key, |_, waiting| {
            waiting.count -= 1;
            waiting.count == 0
        });
    }

    /// How many answers are waited for.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether anybody waits at all: the hot road asks no further where not.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What message an answer would be.
pub(super) fn key_of(message: &Message) -> Option<AnswerKey> {
    let reply_to = message.reply_to.clone()?;
    Some(AnswerKey { from: message.sender_host.clone(), service: message.service.clone(), reply_to })
}
