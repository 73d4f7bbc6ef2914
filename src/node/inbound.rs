//! Packets: the hot road. One look-up by digest, one pure check, one durable append; no lock is held across an await.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use bytestring::ByteString;

use super::{
    Error,
    courier::drive,
    exchange::{keep_all_families, keep_families, opened, say_denied},
    registry::{At, Slot},
    shell::Shell,
    views::Caller,
    waiters::{AnswerKey, key_of},
};
use crate::{
    link::{
        admission::{self, Bucket},
        event::Event,
        peer::family_writes,
    },
    store::{Inbox, Receipt, StoreError},
    token::family::Family,
    wire::{
        host::PeerHost,
        packet::{Message, Packet, ServiceKey},
        record::{Appended, InboxBatch, InboxItem},
        refusal::Refusal,
        secret::ShownToken,
        time::Now,
    },
};

/// A sign of life is worth an event this often; while the link rests, each is.
const HEARD_EVERY: Duration = Duration::from_secs(1);

//= HT-PKT-01: the bearer names the peer
/// Who shows this bearer. It is used with the packet; where none comes, `used` says so.
pub(super) async fn recognise(shell: &Arc<Shell>, from: IpAddr, bearer: ShownToken) -> Result<Caller, Error> {
    let bearer = bearer.digest();
    let slot = opened(shell, At::Access, bearer).await?;
    let now = shell.now();
    let (host, heard) = {
        let peer = slot.lock();
        //= HT-PKT-05: unknown, expired, revoked
        if !peer.families().admits(&bearer, now.wall) {
            return Err(Refusal::TokenUnknown.into());
        }
        let news = peer.rests_until().is_some()
            || peer.health().heard.is_none_or(|at| now.wall.since(at) >= HEARD_EVERY);
        (peer.host().clone(), news)
    };
    let caller = Caller { host, from, bearer };
    //= HT-CHK-05: 429 after 401, before the body
    if let Err(refusal) = take_turn(shell, &slot, now) {
        used(shell, &caller).await?;
        return Err(refusal.into());
    }
    slot.saw(from, now.mono);
    if heard {
        drive(shell, &slot, Event::Heard);
    }
    Ok(caller)
}

//= HT-REF-08: committed before the answer
/// The token was shown and no packet is kept: the mark of its first use is on disk when this ends.
pub(super) async fn used(shell: &Arc<Shell>, caller: &Caller) -> Result<(), Error> {
    let Some(slot) = shell.registry.find(&caller.host) else { return Ok(()) };
    let kept = {
        let mut peer = slot.lock();
        // Revoked meanwhile: there is nothing to mark.
        let changes = peer.families_mut().admit(&caller.bearer, shell.now().wall).unwrap_or_default();
        keep_families(shell, &slot, &peer, changes)
    };
    if let Some(kept) = kept {
        kept.await?;
        say_used(&slot, &caller.host);
    }
    Ok(())
}

fn say_used(slot: &Slot, host: &PeerHost) {
    if slot.lock().families().iter().any(Family::is_single) {
        // Before, its 204 for our grant proved nothing.
        tracing::info!(peer = %host, "the peer shows the token that we gave: it may send");
    }
}

fn take_turn(shell: &Shell, slot: &Slot, now: Now) -> Result<(), Refusal> {
    let rate = shell.settings().packets_per_second;
    let mut bucket = slot.bucket.lock().unwrap_or_else(PoisonError::into_inner);
    bucket.get_or_insert_with(|| Bucket::full(rate, now.mono)).take(rate, now.mono)
}

//= HT-PKT-10: checked whole, then kept
/// A packet: on stable storage when this ends well.
pub(super) async fn packet(shell: &Arc<Shell>, caller: Caller, packet: Packet) -> Result<(), Error> {
    //= HT-CHK-08: 403 last
    admission::admit(&shell.host, &caller.host, &shell.settings().policy, &packet)
        .inspect_err(|refusal| say_denied(shell, &caller.host, caller.from, refusal, "packet"))?;
    let answers = answers(shell, &packet);
    let items = wanted(shell, &caller.host, packet);
    let services = services(&items);
    let received = shell.now().wall;
    let batch = InboxBatch { from: Some(caller.host.clone()), received, items, marks: Vec::new() };
    let slot = shell.registry.find(&caller.host).ok_or(Refusal::TokenUnknown)?;
    let Some((receipt, marked)) = hand_over(shell, &slot, &caller, batch)? else { return Ok(()) };
    //= HT-PKT-02: on stable storage, then 204
    let appended = match receipt {
        Ok(receipt) => receipt.await,
        Err(error) => Err(error),
    };
    if marked && appended.is_ok() {
        say_used(&slot, &caller.host);
    } else if marked {
        keep_all_families(shell, &slot).await;
    }
    let appended = appended?;
    shell.metrics.messages_in.add(appended.kept as u64);
    slot.traffic.messages_in.add(appended.kept as u64);
    shell.metrics.messages_repeated.add(appended.repeats as u64);
    //= HT-PKT-04: counted and logged
    shell.metrics.messages_altered.add(appended.altered.len() as u64);
    if let Some(first) = appended.altered.first()
        && let Some(unsaid) = shell.lines.altered.say(shell.now().mono)
    {
        let (messages, id) = (appended.altered.len(), shown(first));
        tracing::warn!(peer = %caller.host, messages, ?id, unsaid, "messages came again with another content: the first were kept");
    }
    for service in &services {
        shell.wake_readers(service);
    }
    // Of a repeat with another content the first one counts.
    for (_, key, answer) in answers.iter().filter(|(id, ..)| !appended.altered.contains(id)) {
        shell.waiters.tell(key, answer);
    }
    Ok(())
}

/// Those that may answer a request which waits, with their ids.
fn answers(shell: &Shell, packet: &Packet) -> Vec<(ByteString, AnswerKey, Bytes)> {
    if shell.waiters.is_empty() {
        return Vec::new();
    }
    let answer = |message: &Message| Some((message.id.clone(), key_of(message)?, message.raw.clone()));
    packet.messages.iter().filter_map(answer).collect()
}

//= YMP-MSG-11: counted and logged
/// The messages for services that run here; the others are counted, and said once for the packet.
fn wanted(shell: &Shell, host: &PeerHost, packet: Packet) -> Vec<InboxItem> {
    let (mut ours, mut others) = (Vec::with_capacity(packet.messages.len()), Vec::new());
    // The messages of a packet go to few services: each is looked up where it changes.
    let mut known: Option<(ServiceKey, bool)> = None;
    for message in packet.messages {
        let runs = match &known {
            Some((service, runs)) if *service == message.service => *runs,
            Some(_) | None => {
                let runs = shell.readers.contains_key(&message.service);
                known = Some((message.service.clone(), runs));
                runs
            }
        };
        let Message { id, service, raw, content_sum, .. } = message;
        let item = InboxItem { service, id, raw, content_sum };
        if runs { ours.push(item) } else { others.push(item) }
    }
    if !others.is_empty() {
        ignored(shell, host, &others);
    }
    ours
}

fn ignored(shell: &Shell, host: &PeerHost, others: &[InboxItem]) {
    shell.metrics.messages_ignored.add(others.len() as u64);
    let now = shell.now();
    others.iter().for_each(|message| shell.ignored.count(host, &message.service, now.wall));
    if let Some(first) = others.first()
        && let Some(unsaid) = shell.lines.ignored.say(now.mono)
    {
        let (messages, service, id) = (others.len(), shown(&first.service.to_string()), shown(&first.id));
        tracing::info!(peer = %host, messages, ?service, ?id, unsaid, "ignored: this host does not run that service");
    }
}

/// Those that have a message.
fn services(items: &[InboxItem]) -> HashSet<ServiceKey> {
    items
        .chunk_by(|one, next| one.service == next.service)
        .filter_map(|run| run.first())
        .map(|item| item.service.clone())
        .collect()
}

/// A packet on its way to the disk, and whether the mark of its token's first use goes with it.
type HandedOver = (Result<Receipt<Appended>, StoreError>, bool);

//= HT-CRASH-07: asked again under the lock
//= HT-REF-08: with the packet
/// Hands a packet over while its token still opens: one that was revoked while the body came is not honoured. Where it is
/// the first that shows the token, the mark is of the same commit. `None`: there is nothing to keep.
fn hand_over(
    shell: &Shell,
    slot: &Arc<Slot>,
    caller: &Caller,
    mut batch: InboxBatch,
) -> Result<Option<HandedOver>, Error> {
    let mut peer = slot.lock();
    let changes = peer.families_mut().admit(&caller.bearer, batch.received).ok_or(Refusal::TokenUnknown)?;
    batch.marks = family_writes(peer.families(), changes);
    let marked = !batch.marks.is_empty();
    if batch.items.is_empty() && !marked {
        return Ok(None);
    }
    if marked {
        shell.registry.reindex(slot, &peer);
    }
    Ok(Some((Inbox::append(&*shell.store, batch), marked)))
}

/// A peer's word in a log line: its start only. It is written quoted, so that it cannot break the line.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARACTERS).collect()
}

/// Of a peer's word so much stands in a log line.
const SHOWN_CHARACTERS: usize = 80;
