//! The end of a link.

use std::sync::Arc;

use super::{
    Error,
    courier::drive,
    registry::{Slot, Waiters},
    shell::Shell,
};
use crate::{link::event::Event, wire::record::VaultWrite};

/// Drops the tokens of a link in both directions: on disk when this ends well. The mail stays, and what it needs.
pub(super) async fn unlink(shell: &Arc<Shell>, slot: &Arc<Slot>) -> Result<(), Error> {
    let receipt = {
        let mut peer = slot.lock();
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
        shell.registry.reindex(slot, &peer);
        receipt
    };
    drive(shell, slot, Event::Woken);
    //= HT-CRASH-05: committed, then answered
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
