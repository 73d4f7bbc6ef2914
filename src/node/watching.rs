//! What happens to a link, told as it happens to those who watch it: operators who wait for an exchange, and consoles.

use std::sync::{Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::mpsc;

use super::views::{Moment, rfc3339};
use crate::{link::event::Fact, wire::time::Wall};

/// Events that wait for one watcher; who lags further behind is told no more.
const BEHIND_MAX: usize = 64;
/// Watchers of one link; the next takes the place of the first.
const WATCHERS_MAX: usize = 16;

/// What happened to a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "LinkEvent")]
pub struct LinkEvent {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    #[schemars(with = "Moment")]
    pub at: Wall,
    /// In one word.
    pub what: Happened,
    /// In words for people.
    pub text: String,
}

/// It, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    /// An exchange began.
    Asking,
    /// Its first step is done: how the peer is spoken to is known.
    LookUp,
    /// The second: the peer took the request.
    Request,
    /// The last: the peer granted.
    Grant,
    /// An exchange failed.
    ExchangeFailed,
    /// The peer took a grant of ours.
    Granted,
    /// New tokens came by a refresh.
    Refreshed,
    /// A refresh failed.
    RefreshFailed,
    /// The peer does not know its token any more.
    TokenRefused,
    /// Messages flow.
    Up,
    /// Messages stay queued until a later try.
    Down,
    /// The peer refuses the link.
    Refused,
    /// Messages were set aside.
    Dead,
    /// An operator did something.
    Steered,
}

/// Those who watch one link.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Vec<mpsc::Sender<LinkEvent>>>);

impl Watchers {
    /// What happens from here on.
    pub(super) fn watch(&self) -> mpsc::Receiver<LinkEvent> {
        let (watcher, events) = mpsc::channel(BEHIND_MAX);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|watcher| !watcher.is_closed());
        if all.len() >= WATCHERS_MAX {
            all.remove(0);
        }
        all.push(watcher);
        events
    }

    /// Tells all of them.
    pub(super) fn tell(&self, at: Wall, what: Happened, text: impl Into<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        let event = LinkEvent { at, what, text: text.into() };
        all.retain(|watcher| watcher.try_send(event.clone()).is_ok());
    }

    /// Tells a fact of the link, where it is news.
    pub(super) fn tell_fact(&self, at: Wall, fact: &Fact) {
        use Happened as H;
        let (what, text) = match fact {
            Fact::AskStarted => (H::Asking, "the node asks the peer for tokens".to_owned()),
            Fact::AskFailed(reason) => (H::ExchangeFailed, reason.clone()),
            Fact::GrantAccepted => (H::Grant, "the peer called back and granted".to_owned()),
            Fact::GrantTaken { surely: true } => (H::Granted, "the peer took our grant".to_owned()),
            Fact::GrantTaken { surely: false } => {
                (H::Granted, "granted: whether the peer took it shows when it sends".to_owned())
            }
            Fact::RefreshDone => (H::Refreshed, "new tokens came".to_owned()),
            Fact::RefreshRefused(reason) | Fact::RefreshFailed(reason) => (H::RefreshFailed, reason.clone()),
            Fact::TokenRefused(reason) => (H::TokenRefused, reason.clone()),
            Fact::MailDead { messages, reason } => (H::Dead, format!("{messages}: {reason}")),
            Fact::LinkUp => (H::Up, "messages flow".to_owned()),
            Fact::LinkDown { reason, wait } => (H::Down, format!("{reason}; next try in {wait:.1?}")),
            Fact::LinkRefused(reason) => (H::Refused, reason.clone()),
            Fact::GrantRepeated | Fact::PacketDelivered { .. } | Fact::PacketFailed(_) => return,
        };
        self.tell(at, what, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_watches_is_told_and_who_lags_or_is_gone_is_not_kept() {
        let watchers = Watchers::default();
        watchers.tell(Wall(1), Happened::Up, "nobody hears it");
        let (mut one, gone, slow) = (watchers.watch(), watchers.watch(), watchers.watch());
        drop(gone);
        for n in 0..=BEHIND_MAX as u64 {
            watchers.tell_fact(Wall(n), &Fact::LinkUp);
            watchers.tell_fact(Wall(n), &Fact::PacketFailed("no news".to_owned()));
            assert_eq!(one.try_recv().map(|event| (event.at, event.what)), Ok((Wall(n), Happened::Up)));
            assert!(one.try_recv().is_err());
        }
        assert_eq!(watchers.0.lock().unwrap().len(), 1);
        assert_eq!(slow.len(), BEHIND_MAX);
    }

    #[test]
    fn the_newest_watchers_have_the_places() {
        let watchers = Watchers::default();
        let mut all: Vec<_> = (0..=WATCHERS_MAX).map(|_| watchers.watch()).collect();
        watchers.tell(Wall(1), Happened::Up, "x");
        let told: Vec<_> = all.iter_mut().map(|events| events.try_recv().is_ok()).collect();
        assert_eq!((told[0], told[1..].iter().all(|told| *told)), (false, true));
    }
}
