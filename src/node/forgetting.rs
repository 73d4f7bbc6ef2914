//! The end of a link.

use std::sync::Arc;

use super::{
    Error,
    courier::drive,
    registry::{Slot, Waiters},
    shell::Shell,
};
use crate::{
    link::{event::Event, peer::Peer},
    store::{Receipt, StoreError},
    wire::record::VaultWrite,
};

/// So many links end in one commit, or few.
const TOGETHER: usize = 256;

/// Drops the tokens of a link in both directions: on disk when this ends well. The mail stays, and what it needs.
pub(super) async fn unlink(shell: &Arc<Shell>, slot: &Arc<Slot>) -> Result<(), Error> {
    let receipt = cut(shell, slot, &mut slot.lock())?;
    finish(shell, slot, receipt).await?;
    Ok(())
}

/// Drops the tokens of those links of which it still holds, looked at under their lock. Answers how many ended.
pub(super) async fn unlink_where<F: FnOnce(&Peer) -> bool>(
    shell: &Arc<Shell>,
    mut links: impl Iterator<Item = (Arc<Slot>, F)>,
) -> u64 {
    let mut ended = 0;
    loop {
        let mut some: Vec<_> = links.by_ref().take(TOGETHER).collect();
        if some.is_empty() {
            return ended;
        }
        let mut failed = None;
        let mut under_way = Vec::with_capacity(some.len());
        for (slot, holds) in some.drain(..) {
            let receipt = {
                let mut peer = slot.lock();
                holds(&peer).then(|| cut(shell, &slot, &mut peer))
            };
            match receipt {
                Some(Ok(receipt)) => under_way.push((slot, receipt)),
                Some(Err(error)) => failed = Some(error),
                None => {}
            }
        }
        // What was cut opens nothing any more, whatever becomes of it on disk.
        ended += under_way.len() as u64;
        for (slot, receipt) in under_way {
            failed = finish(shell, &slot, receipt).await.err().or(failed);
        }
        if let Some(error) = failed {
            tracing::warn!(%error, "links that end for want of room may stand again after a restart");
            return ended;
        }
    }
}

/// Under the lock of the machine: hands the end over, then nothing of the link is valid any more.
fn cut(shell: &Arc<Shell>, slot: &Arc<Slot>, peer: &mut Peer) -> Result<Receipt<()>, StoreError> {
    let host = peer.host().clone();
    let mut writes = vec![VaultWrite::DropLink(host.clone())];
    let mut after = peer.clone();
    after.forget();
    // The mail's count of tries goes on from the link's, and a pause is an operator's, not the link's.
    if shell.store.waiting_for(&host).is_some() || after.is_paused() {
        writes.push(VaultWrite::PutLink(Box::new(after.record())));
    }
    let receipt = shell.store.commit(writes)?;
    peer.forget();
    *slot.waiting() = Waiters::default();
    shell.registry.reindex(slot, peer);
    Ok(receipt)
}

//= HT-CRASH-05: committed, then answered
/// Waits until the end of a link is on disk.
async fn finish(shell: &Arc<Shell>, slot: &Arc<Slot>, receipt: Receipt<()>) -> Result<(), StoreError> {
    drive(shell, slot, Event::Woken);
    receipt.await?;
    let_go(shell, slot);
    Ok(())
}

/// Drops the machine of a host that is not configured and of which there is nothing left to know.
pub(super) fn let_go(shell: &Shell, slot: &Arc<Slot>) {
    let host = slot.lock().host().clone();
    let is_over = || {
        slot.lock().is_blank(shell.now())
            && shell.settings().pin(&host).is_none()
            && shell.store.waiting_for(&host).is_none()
    };
    if !is_over() {
        return;
    }
    shell.registry.forget(&host, slot, || {
        // Nobody else can have it by now: what was done to it meanwhile counts.
        let over = is_over();
        if over {
            drop(shell.store.commit(vec![VaultWrite::DropLink(host.clone())]));
        }
        over
    });
}
