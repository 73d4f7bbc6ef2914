//! Packets: the hot road. One look-up by digest, one pure check, one durable append; no lock is held across an await.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    Error,
    exchange::{keep_families, opened},
    registry::{At, Slot},
    shell::Shell,
    views::Caller,
};
use crate::{
    link::{
        admission::{self, Bucket},
        event::Event,
    },
    store::Inbox,
    wire::{
        packet::Packet,
        record::{InboxBatch, InboxItem},
        refusal::Refusal,
        secret::ShownToken,
        time::Now,
    },
};

/// A sign of life is worth an event this often; while the link rests, each is.
const HEARD_EVERY: Duration = Duration::from_secs(1);

/// Who shows this bearer. The mark of a token's first use is on disk when this ends.
pub(super) async fn recognise(shell: &Arc<Shell>, from: IpAddr, bearer: ShownToken) -> Result<Caller, Error> {
    let slot = opened(shell, At::Access, bearer.digest()).await?;
    let now = shell.now();
    let (host, first_use, heard) = {
        let mut peer = slot.lock();
        let changes = peer.families_mut().admit(&bearer.digest(), now.wall).ok_or(Refusal::TokenUnknown)?;
        let news = peer.look(now).rests_until.is_some()
            || peer.health().heard.is_none_or(|at| now.wall.since(at) >= HEARD_EVERY);
        (peer.host().clone(), keep_families(shell, &slot, &peer, changes), news)
    };
    if let Some(kept) = first_use {
        kept.await?;
    }
    take_turn(shell, &slot, now)?;
    slot.saw(from);
    if heard {
        shell.drive(&slot, Event::Heard);
    }
    Ok(Caller { host })
}

fn take_turn(shell: &Shell, slot: &Slot, now: Now) -> Result<(), Refusal> {
    let rate = shell.settings.packets_per_second;
    let mut bucket = slot.bucket.lock().unwrap_or_else(PoisonError::into_inner);
    bucket.get_or_insert_with(|| Bucket::full(rate, now.mono)).take(rate, now.mono)
}

/// A packet: on stable storage when this ends well.
pub(super) async fn packet(shell: &Arc<Shell>, caller: Caller, packet: Packet) -> Result<(), Error> {
    admission::admit(&shell.settings.host, &caller.host, &shell.settings.policy, &packet)?;
    let mut items = Vec::with_capacity(packet.messages.len());
    for message in packet.messages {
        if shell.readers.contains_key(&message.service) {
            items.push(InboxItem { service: message.service, id: message.id, raw: message.raw });
        } else {
            shell.metrics.messages_ignored.up();
            tracing::info!(peer = %caller.host, service = %message.service, id = %message.id, "ignored: this host does not run that service");
        }
    }
    if items.is_empty() {
        return Ok(());
    }
    let services: std::collections::HashSet<_> = items.iter().map(|item| item.service.clone()).collect();
    let ids: Vec<_> = items.iter().map(|item| Arc::clone(&item.id)).collect();
    let batch =
        InboxBatch { from: Some(caller.host.clone()), received: shell.now().wall, items, marks: Vec::new() };
    let appended = Inbox::append(&*shell.store, batch)?.await?;
    shell.metrics.messages_in.add(appended.kept as u64);
    shell.metrics.messages_repeated.add(appended.repeats as u64);
    for id in appended.altered.iter().filter_map(|place| ids.get(*place)) {
        shell.metrics.messages_altered.up();
        tracing::warn!(peer = %caller.host, %id, "a message came again with another content: the first was kept");
    }
    for service in &services {
        shell.wake_readers(service);
    }
    Ok(())
}
