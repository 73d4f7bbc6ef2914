//! How hosts are spoken to, as far as was found out. What is remembered, and how long, `link/discovery` says.
//!
//! Bounded: over the bound the hosts without a link are forgotten first. `lookup` fills it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

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

/// A host's addresses are looked up anew after this.
pub(super) const ADDRESSES_TIME: Duration = Duration::from_secs(300);

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
    news: Mutex<HashSet<PeerHost>>,
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

    /// The addresses of a host, as far as they were looked up not long ago.
    pub(super) fn addresses(&self, host: &PeerHost, now: Now) -> Vec<Origin> {
        let Some(seat) = self.find(host) else { return Vec::new() };
        let known = seat.addresses();
        if known.1.is_some_and(|at| now.mono.since(at) < ADDRESSES_TIME) {
            known.0.clone()
        } else {
            Vec::new()
        }
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

    /// What is known of a host shall not be older than it must be.
    pub(super) fn refresh(&self, host: &PeerHost, now: Now) {
        if let Some(seat) = self.find(host) {
            seat.book().refresh(now);
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

    /// Forgets what is over of hosts without a link. Nobody is asked whether a host has one while the map is held.
    pub(super) fn sweep(&self, now: Now, keeps: impl Fn(&PeerHost) -> bool) {
        let over = |seat: &Seat| seat.book().is_over(now);
        let hosts: Vec<_> =
            self.seats.iter().filter(|seat| over(seat.value())).map(|seat| seat.key().clone()).collect();
        for host in hosts.into_iter().filter(|host| !keeps(host)) {
            // Whoever fetches holds one too.
            self.seats.remove_if(&host, |_, seat| Arc::strong_count(seat) == 1 && over(seat));
        }
    }

    /// What is known of a host, where anything is.
    pub(super) fn find(&self, host: &PeerHost) -> Option<Arc<Seat>> {
        self.seats.get(host).map(|seat| Arc::clone(&seat))
    }

    /// Something was found that the host's machine shall hear of.
    pub(super) fn tell(&self, host: &PeerHost) {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone());
        self.told.notify_one();
    }

    /// Waits for hosts whose machines shall hear what is known by now.
    pub(super) async fn news(&self) -> HashSet<PeerHost> {
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
            let hosts: Vec<_> = self.seats.iter().map(|seat| seat.key().clone()).collect();
            for host in hosts.into_iter().filter(|host| !keeps(host)) {
                self.seats.remove_if(&host, |_, seat| Arc::strong_count(seat) == 1);
            }
        }
        Arc::clone(&self.seats.entry(host.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;
    use crate::wire::time::{Mono, Wall};

    fn host(n: usize) -> PeerHost {
        PeerHost::parse(&format!("h{n}.test")).unwrap()
    }

    /// The registry's part is played by another map of the same kind, which is held while it asks the directory nothing.
    #[test]
    fn sweeping_and_seating_never_hold_the_map_while_they_ask_who_has_a_link() {
        let (directory, links) = (Arc::new(Directory::default()), Arc::new(DashMap::<PeerHost, ()>::new()));
        let now = Now { mono: Mono(0), wall: Wall(0) };
        let (done, ended) = mpsc::channel();
        for worker in 0..3_usize {
            let (directory, links, done) = (Arc::clone(&directory), Arc::clone(&links), done.clone());
            thread::spawn(move || {
                for n in 0..3000 {
                    let known = |host: &PeerHost| links.contains_key(host);
                    match worker {
                        0 => directory.sweep(now, known),
                        1 => drop(directory.seat(&host(n % 500), known)),
                        _ => {
                            links.entry(host(n % 500)).or_insert_with(|| {
                                // Held for writing, and the directory is asked: what must not deadlock.
                                drop(directory.current(&host((n + 1) % 500), &PinnedPaths::default()));
                            });
                            links.remove(&host(n % 500));
                        }
                    }
                }
                let _ = done.send(());
            });
        }
        for _ in 0..3 {
            ended.recv_timeout(Duration::from_secs(30)).expect("the maps wait for each other");
        }
    }

    #[test]
    fn over_the_bound_the_hosts_without_a_link_go_first() {
        let directory = Directory::default();
        for n in 0..DISCOVERIES {
            directory.seat(&host(n), |_| true);
        }
        directory.seat(&host(DISCOVERIES), |known| *known == host(7));
        assert_eq!(directory.seats.len(), 2);
        assert!(directory.find(&host(7)).is_some());
    }
}
