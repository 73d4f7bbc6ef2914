//! What operators do to links and queues. Each change is logged with who did it.

use std::{sync::Arc, time::Duration};

use super::{
    Error,
    courier::drive,
    outbound::{delete_dead, reading, retry_dead},
    registry::Slot,
    shell::Shell,
    showing::view,
    views::PeerView,
    watching::Happened,
};
use crate::{
    link::event::Event,
    store::StoreError,
    wire::{
        host::PeerHost,
        record::{DeadFilter, Mail, Seq, VaultWrite},
    },
};

/// What an operator wants done to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// Try now, whatever the link rests for.
    Retry,
    /// Send nothing until told otherwise. What the peer sends is taken.
    Pause,
    /// Send again.
    Resume,
    /// Set all waiting mail aside: it is dead, can be listed and queued again.
    Purge,
    /// Queue all its dead messages again.
    RetryDead,
    /// Delete all its dead messages for good.
    DropDead,
    /// Forget what was found out about how it is spoken to.
    Flush,
}

impl Steer {
    /// As the log and the local API name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Purge => "purge",
            Self::RetryDead => "retry-dead",
            Self::DropDead => "drop-dead",
            Self::Flush => "flush",
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Steered {
    /// Messages that it concerned.
    pub messages: u64,
    /// The link as it is then.
    pub peer: PeerView,
}

/// How often it is looked whether a link's changes are on disk: mostly they are, or take a sync.
const KEPT_LOOK: Duration = Duration::from_millis(2);
/// ... and how many times: a store that takes nothing for so long says so.
const KEPT_LOOKS: u32 = 2500;
/// Messages that are read at once.
const PAGE: usize = 1000;
const PAGE_BYTES: usize = 8 * 1024 * 1024;

pub(super) async fn steer(
    shell: &Arc<Shell>,
    host: &PeerHost,
    steer: Steer,
    who: &str,
) -> Result<Steered, Error> {
    let settings = shell.settings();
    if shell.registry.find(host).is_none() && settings.pin(host).is_none() {
        return Err(Error::NotFound(format!("nothing is known of {host}")));
    }
    let slot = shell.slot(host);
    let mut messages = 0;
    match steer {
        Steer::Retry => {
            settings.allowed(host)?;
            shell.directory.forgive(host);
            drive(shell, &slot, Event::RetryWanted);
        }
        Steer::Pause | Steer::Resume => {
            drive(shell, &slot, Event::PauseWanted(steer == Steer::Pause));
            kept(shell, &slot).await?;
        }
        Steer::Purge => messages = purge(shell, host, who).await?,
        Steer::RetryDead => {
            settings.allowed(host)?;
            messages = each_dead(shell, host, true).await?;
        }
        Steer::DropDead => messages = each_dead(shell, host, false).await?,
        Steer::Flush => drop(shell.directory.flush(Some(host))),
    }
    tracing::info!(peer = %host, who, what = steer.name(), messages, "an operator steers the link");
    slot.watchers.tell(shell.now().wall, Happened::Steered, format!("`{who}`: {}", steer.name()));
    Ok(Steered { messages, peer: view(shell, host, Some(&slot)) })
}

/// What the link is now is on disk when this ends.
async fn kept(shell: &Shell, slot: &Slot) -> Result<(), Error> {
    for _ in 0..KEPT_LOOKS {
        let receipt = {
            let peer = slot.lock();
            let keep = || shell.store.commit(vec![VaultWrite::PutLink(Box::new(peer.record()))]);
            (!peer.is_keeping()).then(keep)
        };
        match receipt {
            Some(receipt) => return Ok(receipt?.await?),
            None => tokio::time::sleep(KEPT_LOOK).await,
        }
    }
    Err(StoreError::Doubt("a change of the link is still on its way to the disk".into()).into())
}

/// All that waits, but for the packet under way.
async fn purge(shell: &Arc<Shell>, host: &PeerHost, who: &str) -> Result<u64, Error> {
    let (mut after, before, reason) = (Seq(0), shell.store.dead_last(), format!("purged by `{who}`"));
    loop {
        let (store, peer) = (Arc::clone(&shell.store), host.clone());
        let page: Vec<Mail> = reading(move || store.load(&peer, after, PAGE, PAGE_BYTES)).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        let seqs = page.iter().map(|mail| mail.seq).collect();
        drive(shell, &shell.slot(host), Event::MailPurged(seqs, reason.clone()));
    }
    // The store does in order what it is handed: when it has done nothing more, it has done all of that.
    shell.store.commit(Vec::new())?.await?;
    let (store, mut filter) = (
        Arc::clone(&shell.store),
        DeadFilter { host: Some(host.clone()), after: before, ..DeadFilter::default() },
    );
    // Some were delivered before they could be set aside.
    let purged = reading(move || {
        let mut purged = 0;
        loop {
            let page = store.dead(&filter, PAGE)?;
            let Some(last) = page.last() else { return Ok::<_, StoreError>(purged) };
            filter.after = last.place;
            let of_this = page.iter().filter(|dead| dead.status.last_error.as_ref() == Some(&reason));
            purged += of_this.count() as u64;
        }
    });
    purged.await
}

/// Queues all dead messages of a host again, or deletes them; not what dies meanwhile.
async fn each_dead(shell: &Arc<Shell>, host: &PeerHost, again: bool) -> Result<u64, Error> {
    let until = shell.store.dead_last();
    let (mut filter, mut done) = (DeadFilter { host: Some(host.clone()), ..DeadFilter::default() }, 0);
    loop {
        let (store, page) = (Arc::clone(&shell.store), filter.clone());
        let dead: Vec<(u64, Arc<str>)> = reading(move || {
            let dead = store.dead(&page, PAGE)?.into_iter().filter(|dead| dead.place <= until);
            Ok::<_, StoreError>(dead.map(|dead| (dead.place, dead.status.id)).collect())
        })
        .await?;
        let Some((last, _)) = dead.last() else { return Ok(done) };
        filter.after = *last;
        for (_, id) in &dead {
            let outcome = if again { retry_dead(shell, id).await } else { delete_dead(shell, id).await };
            match outcome {
                Ok(()) => done += 1,
                // Somebody else was faster.
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
