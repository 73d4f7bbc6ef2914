//! How hosts are spoken to: what is pinned, what was found, and the one place that looks it up.
//!
//! Two look-ups of one host at once are one fetch; a stranger's never makes one of ours wait. What is remembered, and how
//! long, `link/discovery` says. Bounded: over the bound the hosts without a link are forgotten first.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use dashmap::DashMap;

use super::{courier::drive, shell::Shell};
use crate::{
    client::Discovered,
    link::{
        discovery::{Discovery, Look, freshness},
        event::Event,
        lobby::Origin,
    },
    wire::{
        answer::{CallError, Reply},
        host::PeerHost,
        limits::DISCOVERIES,
        parameters::{Found, PinnedPaths, Published},
        time::{Mono, Now},
    },
};

/// A host's addresses are looked up anew after this.
const ADDRESSES_MS: u64 = 300_000;

#[derive(Default)]
struct Seat {
    book: Mutex<Discovery>,
    addresses: Mutex<(Vec<Origin>, Option<Mono>)>,
    /// Who fetches: for us, and for strangers.
    turns: [tokio::sync::Mutex<()>; 2],
    /// A look-up that nobody waits for is under way.
    renewing: AtomicBool,
}

impl Seat {
    fn book(&self) -> MutexGuard<'_, Discovery> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn addresses(&self) -> MutexGuard<'_, (Vec<Origin>, Option<Mono>)> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All hosts of which something is known.
#[derive(Default)]
pub(super) struct Directory {
    seats: DashMap<PeerHost, Arc<Seat>>,
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

    fn seat(&self, host: &PeerHost, keeps: impl Fn(&PeerHost) -> bool) -> Arc<Seat> {
        if let Some(seat) = self.seats.get(host) {
            return Arc::clone(&seat);
        }
        if self.seats.len() >= DISCOVERIES {
            self.seats.retain(|host, seat| Arc::strong_count(seat) > 1 || keeps(host));
        }
        Arc::clone(&self.seats.entry(host.clone()).or_default())
    }
}

/// How a host is spoken to, looked up where that is due. No look-up goes to a host that the policy refuses.
pub(super) async fn look_up(shell: &Shell, host: &PeerHost, stranger: bool) -> Result<Found, CallError> {
    let route = shell.road(host)?;
    let pins = shell.pins(host);
    if let Some(parameters) = pins.whole() {
        return Ok(Found::pinned(parameters));
    }
    let seat = shell.directory.seat(host, |host| shell.registry.find(host).is_some());
    let known = |seat: &Seat| match seat.book().look(stranger, shell.now()) {
        Look::Use(published) => Some(Ok(Found::published(published, &pins))),
        Look::Failed(error) => Some(Err(error)),
        Look::Fetch => None,
    };
    if let Some(known) = known(&seat) {
        return known;
    }
    let _turn = seat.turns[usize::from(stranger)].lock().await;
    // Whoever had the turn before may have found it.
    if let Some(known) = known(&seat) {
        return known;
    }
    let fetched = shell.client.discover(&route, stranger).await;
    let now = shell.now();
    shell.metrics.look_ups.up();
    if let Err(error) = &fetched {
        shell.metrics.look_ups_failed.up();
        tracing::debug!(peer = %host, %error, "the host information was not found");
    }
    let fetched = fetched.map(|found| published(found, now));
    seat.book().fetched(fetched.clone(), stranger, now);
    match (fetched, seat.book().known()) {
        (Ok(published), _) => Ok(Found::published(published, &pins)),
        //= ymp, "Host information": a stale document keeps a working link alive while the fetch fails
        (Err(_), Some(stale)) => Ok(Found::published(stale.clone(), &pins)),
        (Err(error), None) => Err(error),
    }
}

fn published(found: Discovered, now: Now) -> Published {
    let Discovered { parameters, path, max_age } = found;
    let fresh_until = now.wall.plus(freshness(max_age));
    Published { parameters, path: path.to_owned(), fetched: now.wall, fresh_until }
}

/// The addresses that a host is likely to call from: those that its name leads to.
pub(super) async fn addresses(shell: &Shell, host: &PeerHost, stranger: bool) -> Vec<Origin> {
    let Ok(route) = shell.road(host) else { return Vec::new() };
    let seat = shell.directory.seat(host, |host| shell.registry.find(host).is_some());
    let now = shell.now().mono;
    {
        let known = seat.addresses();
        if known.1.is_some_and(|at| now.since(at).as_millis() < u128::from(ADDRESSES_MS)) {
            return known.0.clone();
        }
    }
    let found = shell.client.addresses(&route, stranger).await.unwrap_or_default();
    let found: Vec<_> = found.into_iter().map(Origin::of).collect();
    *seat.addresses() = (found.clone(), Some(now));
    found
}

/// Looks anew where that is due, while calls go on under what is known; the peer's machine is told what comes of it.
pub(super) fn renew(shell: &Arc<Shell>, host: &PeerHost) {
    let Some(seat) = shell.directory.seats.get(host).map(|seat| Arc::clone(&seat)) else { return };
    let due = shell.pins(host).whole().is_none() && seat.book().is_due(shell.now());
    if !due || shell.is_draining() || seat.renewing.swap(true, Ordering::AcqRel) {
        return;
    }
    let (shell_then, host) = (Arc::clone(shell), host.clone());
    shell.spawn(async move {
        let found = look_up(&shell_then, &host, false).await;
        seat.renewing.store(false, Ordering::Release);
        tell(&shell_then, &host, found);
    });
}

/// Tells a peer's machine, where there is one, how the peer is spoken to.
pub(super) fn tell(shell: &Arc<Shell>, host: &PeerHost, found: Result<Found, CallError>) {
    if let (Ok(found), Some(slot)) = (found, shell.registry.find(host))
        && slot.lock().found() != Some(&found)
    {
        drive(shell, &slot, Event::Found(Ok(found)));
    }
}
