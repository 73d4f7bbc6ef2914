//! What happens by itself: the start from the store, and what has to be swept from time to time.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;

use super::{
    courier::drive, forgetting, granting, registry::Slot, shell::Shell, timer::Alarm, views::rfc3339_text,
};
use crate::{
    link::{
        event::Event,
        eviction,
        peer::{Peer, family_writes},
    },
    store::{STRANGE_START, StoreError, Vault},
    token::family::Subject,
    wire::{
        family::FamilyRecord,
        host::PeerHost,
        packet::ServiceKey,
        record::{LinkRecord, Seq, VaultWrite},
        time::{Now, Wall},
    },
};

/// Peers that become due together start at this pace (`https-token`, "Sending": 50 a second).
pub(super) const START_PACE: Duration = Duration::from_millis(20);
const DUE_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Messages whose time is over that are looked for at once.
const DUE_MAX: usize = 1000;
/// Ids and states are kept this long after the end (`node`, "Local API").
const STATUS_KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// So long nothing is declared dead or trimmed on the word of a clock that may be wrong: time to set it right.
const DISTRUST: Duration = Duration::from_secs(3600);

/// Looks whether the wall's clock is far from what the store saw last: then it is not taken at its word for a while.
fn mind_the_clock(shell: &Shell) {
    let Some(seen) = shell.store.last_seen() else { return };
    let now = shell.now();
    if now.wall.since(seen).max(seen.since(now.wall)) <= STRANGE_START {
        return;
    }
    let (clock, last) = (rfc3339_text(now.wall), rfc3339_text(seen));
    if now.wall < seen {
        tracing::error!(
            clock,
            last,
            "the clock is more than a day behind the time that the store saw last: set it"
        );
    } else {
        tracing::warn!(
            clock,
            last,
            "the store was away for more than a day, or the clock is wrong: set it if it is"
        );
    }
    tracing::warn!("for an hour nothing is declared dead, trimmed or forgotten by its age");
    shell.distrust_wall_until(now.mono.plus(DISTRUST));
}

/// Reads what the store keeps and makes the machines of it.
pub(super) fn recover(shell: &Arc<Shell>) -> Result<(), StoreError> {
    mind_the_clock(shell);
    let contents = Vault::read(&*shell.store)?;
    let mut families: HashMap<PeerHost, Vec<FamilyRecord>> = HashMap::new();
    let mut offers = Vec::new();
    for family in contents.families {
        match Subject::from_text(&family.subject) {
            Some(_) if family.offered => {
                offers.push(VaultWrite::DropFamily { subject: family.subject, id: family.id });
            }
            Some(Subject::Peer(host)) => {
                // Most hosts have one, and what is read here stays.
                let own = families.entry(host).or_default();
                own.reserve_exact(1);
                own.push(family);
            }
            None => {
                tracing::warn!(subject = %family.subject, "tokens of an unknown kind of subject are left alone")
            }
        }
    }
    if !offers.is_empty() {
        drop(shell.store.commit(offers)?);
    }
    for link in contents.links {
        let own = families.remove(&link.host).unwrap_or_default();
        stand(shell, link, own);
    }
    // Tokens are there, and no history of the link.
    for (host, own) in families {
        stand(shell, LinkRecord::new(host), own);
    }
    Ok(())
}

/// Makes a machine of what is kept of its link.
fn stand(shell: &Arc<Shell>, link: LinkRecord, families: Vec<FamilyRecord>) {
    let host = link.host.clone();
    if let Some(published) = link.published.clone() {
        shell.directory.seed(&host, published);
    }
    let found = shell.directory.current(&host, &shell.settings().pins(&host));
    let settings = shell.link();
    let make = || Peer::from_record(link, found, families.into_iter(), settings, &mut Shell::dice());
    let slot = shell.registry.slot(&host, make);
    let peer = slot.lock();
    shell.registry.reindex(&slot, &peer);
}

/// Wakes the peers that have mail, at a pace; then sweeps until the node drains.
pub(super) async fn run(shell: Arc<Shell>) {
    let started = AtomicBool::new(false);
    //= HT-SEND-25: 50 a second after a restart
    let start = async {
        for waiting in shell.store.waiting() {
            drive(&shell, &shell.slot(&waiting.host), Event::MailQueued);
            tokio::time::sleep(START_PACE).await;
        }
        started.store(true, Ordering::Relaxed);
        std::future::pending::<()>().await;
    };
    let work = async {
        let mut since_sweep = SWEEP_EVERY;
        loop {
            let trusted = shell.trusts_wall();
            // What is due now stays due: in doubt nothing of it could be settled.
            if trusted && !matches!(shell.store.healthy(), Err(StoreError::Doubt(_))) {
                expire(&shell);
            }
            if since_sweep >= SWEEP_EVERY {
                since_sweep = Duration::ZERO;
                if trusted && let Err(error) = sweep(&shell).await {
                    tracing::warn!(%error, "sweeping is put off");
                }
                // Not by age: what there is too much of ends whatever the clock says.
                bound_links(&shell).await;
                if started.load(Ordering::Relaxed) {
                    remind(&shell);
                }
            }
            tokio::time::sleep(DUE_EVERY).await;
            since_sweep += DUE_EVERY;
        }
    };
    tokio::select! {
        () = work => {}
        () = start => {}
        () = shell.drained() => {}
    }
}

/// Wakes machines until the node drains. Peers that rested after a failure come back at a pace, a lone one at once: after an
/// outage they are due together.
pub(super) async fn wake(shell: Arc<Shell>) {
    // Never longer than there are peers: each has one alarm, and it is set again only after its turn.
    let (probes, mut waiting) = mpsc::unbounded_channel::<Arc<Slot>>();
    let alarms = async {
        loop {
            match shell.timer.next(&shell.clock).await {
                Alarm::Lobby => granting::wake(&shell),
                Alarm::Peer(host) => {
                    let Some(slot) = shell.registry.find(&host) else { continue };
                    let rested = slot.lock().rests_until().is_some();
                    match rested.then(|| probes.send(Arc::clone(&slot))) {
                        Some(Ok(())) => {}
                        Some(Err(_)) | None => drive(&shell, &slot, Event::Woken),
                    }
                }
            }
        }
    };
    // What was found out while nobody waited for it.
    let found = async {
        loop {
            for host in shell.directory.news().await {
                let found = shell.directory.current(&host, &shell.settings().pins(&host));
                if let (Some(found), Some(slot)) = (found, shell.registry.find(&host)) {
                    drive(&shell, &slot, Event::Found(Ok(found)));
                }
            }
        }
    };
    //= HT-SEND-25: 50 a second after an outage
    let paced = async {
        while let Some(slot) = waiting.recv().await {
            drive(&shell, &slot, Event::Woken);
            tokio::time::sleep(START_PACE).await;
        }
    };
    tokio::select! {
        () = alarms => {}
        () = found => {}
        () = paced => {}
        () = shell.drained() => {}
    }
}

//= HT-SEND-26: whatever state its peer is in
/// Messages whose time to live is over become dead, whatever state their peer is in.
fn expire(shell: &Arc<Shell>) {
    let due = match shell.store.due(shell.now().wall, DUE_MAX) {
        Ok(due) => due,
        Err(error) => {
            tracing::error!(%error, "the outbox could not be read");
            return;
        }
    };
    let mut by_host: HashMap<PeerHost, Vec<Seq>> = HashMap::new();
    for (host, seq) in due {
        by_host.entry(host).or_default().push(seq);
    }
    for (host, seqs) in by_host {
        drive(shell, &shell.slot(&host), Event::MailExpired(seqs));
    }
}

/// Trims inboxes, forgets what ended long ago, forgets tokens that nobody could show any more.
async fn sweep(shell: &Arc<Shell>) -> Result<(), StoreError> {
    let (Now { wall: now, mono }, settings) = (shell.now(), shell.settings());
    let keep_from = Wall(now.0.saturating_sub(millis(settings.inbox_keep)));
    for service in shell.store.services()? {
        let apps = shell.readership.of(&service, &settings.readers, mono);
        match trim(shell, &service, &apps, keep_from).await {
            //= NODE-CONF-14: counted and logged
            Ok(unread) if unread > 0 => {
                shell.metrics.messages_trimmed_unread.add(unread);
                tracing::warn!(%service, unread, "messages were removed from an inbox by age before every app had read them");
            }
            Ok(_) => {}
            // One that cannot be read keeps neither the others nor what is swept beside them.
            Err(error) => tracing::warn!(%service, %error, "an inbox is not trimmed"),
        }
    }
    let before = Wall(now.0.saturating_sub(millis(STATUS_KEEP)));
    if let Err(error) = prune(shell, before).await {
        tracing::warn!(%error, "ended messages are not forgotten");
    }
    for slot in shell.registry.slots() {
        sweep_slot(shell, &slot);
    }
    shell.directory.sweep(shell.now(), |host| shell.registry.find(host).is_some());
    Ok(())
}

//= NODE-API-15: 7 days
async fn prune(shell: &Shell, before: Wall) -> Result<u64, StoreError> {
    shell.store.prune(before)?.await
}

async fn trim(
    shell: &Shell,
    service: &ServiceKey,
    apps: &[String],
    keep_from: Wall,
) -> Result<u64, StoreError> {
    shell.store.trim(service, apps, keep_from)?.await
}

/// A stranger makes as many links as it has names. Of those with hosts that are not configured, and for which no mail waits, the
/// least used end where there are more than may be: whoever had one exchanges anew.
async fn bound_links(shell: &Arc<Shell>) {
    let settings = shell.settings();
    let worth = |peer: &Peer| {
        let stays = settings.pin(peer.host()).is_some() || shell.store.waiting_for(peer.host()).is_some();
        // Of one that exchanges at this moment it will be another in a moment.
        peer.worth().filter(|_| !stays && !peer.is_keeping())
    };
    let links = shell.registry.slots().into_iter().filter_map(|slot| {
        let worth = worth(&slot.lock())?;
        Some((worth, slot))
    });
    let surplus = eviction::surplus(links.collect(), settings.links);
    if surplus.is_empty() {
        return;
    }
    // What was used meanwhile, or got mail, is not what was chosen.
    let chosen = surplus.into_iter().map(|(then, slot)| (slot, move |peer: &Peer| worth(peer) == Some(then)));
    let ended = forgetting::unlink_where(shell, chosen).await;
    shell.metrics.links_evicted.add(ended);
    if ended > 0 {
        tracing::warn!(
            ended,
            most = settings.links,
            "there are more links with hosts that are not configured than limits.links: the least used ended"
        );
    }
}

/// Mail that waits while its machine does not know of it: a commit in doubt that reached the disk after all.
fn remind(shell: &Arc<Shell>) {
    for waiting in shell.store.waiting() {
        let slot = shell.slot(&waiting.host);
        let sleeps = !slot.lock().has_mail();
        if sleeps {
            drive(shell, &slot, Event::MailQueued);
        }
    }
}

/// Forgets families that are over, and the machine itself where nothing is left of the link.
fn sweep_slot(shell: &Arc<Shell>, slot: &Arc<Slot>) {
    let now = shell.now();
    let mut peer = slot.lock();
    let was_linked = peer.is_linked();
    peer.forget_old(now);
    let changes = peer.families_mut().sweep(now.wall);
    if was_linked && !peer.is_linked() {
        tracing::info!(peer = %peer.host(), "the link is over: its tokens have run out");
    }
    let writes = family_writes(peer.families(), changes);
    if !writes.is_empty() {
        // What stays on disk is swept after the next start.
        drop(shell.store.commit(writes));
        shell.registry.reindex(slot, &peer);
    }
    drop(peer);
    forgetting::let_go(shell, slot);
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}
