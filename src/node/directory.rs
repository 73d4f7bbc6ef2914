//! How hosts are spoken to, as far as was found out. What is remembered, and how long, `link/discovery` says.
//!
//! Bounded: over the bound the hosts without a link are forgotten first. `lookup` fills it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool};

use dashmap::DashMap;
use tokio::sync::Notify;

use crate::{
    link::{discovery::Discovery, lobby::Origin},
    wire::{
        answer::Reply,
        host::PeerHost,
        limits::DISCOVERIES,
        parameters::{Found, PinnedPaths, Published},
        time::{Mono, Now},
    },
};

/// What is known of one host.
#[derive(Default)]
pub(super) struct Seat {
    book: Mutex<Discovery>,
    addresses: Mutex<(Vec<Origin>, Option<Mono>)>,
    /// Who fetches: for us, and for strangers.
    pub(super) turns: [tokio::sync::Mutex<()>; 2],
    /// A look-up that nobody waits for is under way.
    pub(super) renewing: AtomicBool,
}

impl Seat {
    /// What was found.
    pub(super) fn book(&self) -> MutexGuard<'_, Discovery> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is, and when that was looked up.
    pub(super) fn addresses(&self) -> MutexGuard<'_, (Vec<Origin>, Option<Mono>)> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All hosts of which something is known.
#[derive(Default)]
pub(super) struct Directory {
    seats: DashMap<PeerHost, Arc<Seat>>,
    /// Hosts of which something was found that their machines have not heard of.
    news: Mutex<Vec<(PeerHost, Found)>>,
    told: Notify,
}

impl Directory {
    /// What was known before a restart.
    pub(super) fn seed(&self, host: &PeerHost, published: Published) {
        let seat = Seat { book: Mutex::new(Discovery::of(published)), ..Seat::default() };
        self.seats.insert(host.clone(), Arc::new(seat));
    }

    /// How a host is spoken to as far as is known, fresh or stale.
    pub(super) fn current(&self, host: &PeerHost, pins: &PinnedPaths) -> Option<Found> {
        if let Some(parameters) = pins.whole() {
            return Some(Found::pinned(parameters));
        }
        let known = self.seats.get(host)?.book().known().cloned();
        known.map(|published| Found::published(published, pins))
    }

    /// The addresses of a host, as far as they were looked up.
    pub(super) fn addresses(&self, host: &PeerHost) -> Vec<Origin> {
        self.seats.get(host).map(|seat| seat.addresses().0.clone()).unwrap_or_default()
    }

    /// What a call to a path of a host came to: where nothing is there, what is known is doubted.
    pub(super) fn heed(&self, host: &PeerHost, reply: &Reply, now: Now) {
        if let Ok(answer) = reply
            && matches!(answer.status, 404 | 405 | 410)
            && let Some(seat) = self.seats.get(host)
        {
            seat.book().doubt(now);
        }
    }

    /// A look-up that failed a moment ago may be made again at once.
    pub(super) fn forgive(&self, host: &PeerHost) {
        if let Some(seat) = self.seats.get(host) {
            seat.book().forgive();
        }
    }

    /// Forgets what was found out about one host, or about all; how many it were.
    pub(super) fn flush(&self, host: Option<&PeerHost>) -> usize {
        let before = self.seats.len();
        match host {
            Some(host) => drop(self.seats.remove(host)),
            None => self.seats.clear(),
        }
        before.saturating_sub(self.seats.len())
    }

    /// Forgets what is over of hosts without a link.
    pub(super) fn sweep(&self, now: Now, keeps: impl Fn(&PeerHost) -> bool) {
        // Whoever fetches holds one too.
        self.seats
            .retain(|host, seat| Arc::strong_count(seat) > 1 || keeps(host) || !seat.book().is_over(now));
    }

    /// What is known of a host, where anything is.
    pub(super) fn find(&self, host: &PeerHost) -> Option<Arc<Seat>> {
        self.seats.get(host).map(|seat| Arc::clone(&seat))
    }

    /// Something was found that the host's machine shall hear of.
    pub(super) fn tell(&self, host: &PeerHost, found: Found) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push((host.clone(), found));
        self.told.notify_one();
    }

    /// Waits for what machines shall hear of.
    pub(super) async fn news(&self) -> Vec<(PeerHost, Found)> {
        loop {
            let news = std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner));
            if !news.is_empty() {
                return news;
            }
            self.told.notified().await;
        }
    }

    /// What is known of a host; a place for it where nothing is.
    pub(super) fn seat(&self, host: &PeerHost, keeps: impl Fn(&PeerHost) -> bool) -> Arc<Seat> {
        if let Some(seat) = self.seats.get(host) {
            return Arc::clone(&seat);
        }
        if self.seats.len() >= DISCOVERIES {
            self.seats.retain(|host, seat| Arc::strong_count(seat) > 1 || keeps(host));
        }
        Arc::clone(&self.seats.entry(host.clone()).or_default())
    }
}
