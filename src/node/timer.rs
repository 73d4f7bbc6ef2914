//! One timer for all machines: when the next one wants to be woken.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::wire::{
    host::PeerHost,
    time::{Mono, ReadClock},
};

/// Who is woken.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// The table of requests.
    Lobby,
    /// A peer's machine.
    Peer(PeerHost),
}

#[derive(Default)]
struct Queue {
    due: BTreeSet<(Mono, Alarm)>,
    at: HashMap<Alarm, Mono>,
}

/// The alarms that are set: at most one for each machine.
#[derive(Default)]
pub(super) struct Timer {
    queue: Mutex<Queue>,
    changed: Notify,
}

impl Timer {
    /// Sets, moves or clears an alarm.
    pub(super) fn set(&self, alarm: Alarm, at: Option<Mono>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.at.get(&alarm).copied() == at {
            return;
        }
        if let Some(old) = queue.at.remove(&alarm) {
            queue.due.remove(&(old, alarm.clone()));
        }
        let Some(at) = at else { return };
        let sooner = queue.due.first().is_none_or(|(first, _)| at < *first);
        queue.at.insert(alarm.clone(), at);
        queue.due.insert((at, alarm));
        drop(queue);
        if sooner {
            self.changed.notify_one();
        }
    }

    /// Waits for the next alarm.
    pub(super) async fn next(&self, clock: &ReadClock) -> Alarm {
        loop {
            let first = self.queue.lock().unwrap_or_else(PoisonError::into_inner).due.first().cloned();
            let now = clock().mono;
            match first {
                Some((at, alarm)) if at <= now => {
                    self.set(alarm.clone(), None);
                    return alarm;
                }
                Some((at, _)) => {
                    tokio::select! {
                        () = tokio::time::sleep(at.since(now)) => {}
                        () = self.changed.notified() => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }
}
