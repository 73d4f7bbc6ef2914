//! The one place that looks up how a host is spoken to, and where it is.
//!
//! Two look-ups of one host at once are one fetch; a stranger's never makes one of ours wait. What comes of one that nobody
//! waited for reaches the host's machine through `upkeep`, as all that happens by itself.

use std::sync::{Arc, atomic::Ordering};

use super::{
    directory::{ADDRESSES_TIME, Seat},
    shell::Shell,
};
use crate::{
    client::{Discovered, Route},
    link::{
        discovery::{Look, freshness},
        lobby::Origin,
    },
    wire::{
        answer::CallError,
        host::PeerHost,
        parameters::{Found, Parameters, Published},
        time::Now,
    },
};

/// How a host is spoken to, looked up where that is due. No look-up goes to a host that the policy refuses.
pub(super) async fn look_up(shell: &Shell, host: &PeerHost, stranger: bool) -> Result<Found, CallError> {
    let settings = shell.settings();
    let (route, pins) = (settings.road(host)?, settings.pins(host));
    //= NODE-PIN-02: not looked up
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
        // A stale document keeps a working link alive while the fetch fails.
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
    let Ok(route) = shell.settings().road(host) else { return Vec::new() };
    let seat = shell.directory.seat(host, |host| shell.registry.find(host).is_some());
    let now = shell.now().mono;
    {
        let known = seat.addresses();
        if known.1.is_some_and(|at| now.since(at) < ADDRESSES_TIME) {
            return known.0.clone();
        }
    }
    match shell.client.addresses(&route, stranger).await {
        Ok(found) => {
            let found: Vec<_> = found.into_iter().map(Origin::of).collect();
            *seat.addresses() = (found.clone(), Some(now));
            found
        }
        // What was known a while ago is better than nothing, for this once.
        Err(_) => seat.addresses().0.clone(),
    }
}

/// Looks anew where that is due, while calls go on under what is known; the peer's machine is told what comes of it.
pub(super) fn renew(shell: &Arc<Shell>, host: &PeerHost) {
    let Some(seat) = shell.directory.find(host) else { return };
    let due = shell.settings().pins(host).whole().is_none() && seat.book().is_due(shell.now());
    if !due || shell.is_draining() || seat.renewing.swap(true, Ordering::AcqRel) {
        return;
    }
    let (shell_then, host) = (Arc::clone(shell), host.clone());
    shell.spawn(async move {
        let found = look_up(&shell_then, &host, false).await;
        seat.renewing.store(false, Ordering::Release);
        drop(found);
        tell(&shell_then, &host);
    });
}

/// A peer's machine, where there is one, shall hear how the peer is spoken to.
pub(super) fn tell(shell: &Shell, host: &PeerHost) {
    let found = shell.directory.current(host, &shell.settings().pins(host));
    if let (Some(found), Some(slot)) = (found, shell.registry.find(host))
        && slot.lock().found() != Some(&found)
    {
        shell.directory.tell(host);
    }
}

/// How this host is reached, and how it is spoken to: as far as is known, and looked up where nothing is.
pub(super) async fn way(
    shell: &Shell,
    host: &PeerHost,
    stranger: bool,
) -> Result<(Route, Parameters), CallError> {
    let settings = shell.settings();
    let route = settings.road(host)?;
    if let Some(found) = shell.directory.current(host, &settings.pins(host)) {
        return Ok((route, found.parameters));
    }
    let found = look_up(shell, host, stranger).await;
    tell(shell, host);
    Ok((route, found?.parameters))
}
