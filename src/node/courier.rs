//! The hands of a peer's machine: each action is started here, and what it comes to is an event.
//!
//! `drive` is the one way in which an event reaches a machine: under the machine's lock it handles the event, hands
//! writes over to the store in the machine's order, starts calls, and keeps the index and the timer in step. Nothing is
//! awaited under the lock.

use std::sync::Arc;

use bytes::Bytes;

use super::{facts, lookup, registry::Slot, shell::Shell, timer::Alarm, watching::Happened};
use crate::{
    link::{
        event::{Action, Ask, Change, Event, Fact},
        lobby::Took,
        peer::Peer,
    },
    store::{Receipt, StoreError},
    telemetry::histogram::Stopwatch,
    wire::{
        answer::{Refreshed, Reply},
        exchange::encode_state_request,
        host::PeerHost,
        limits::CALL_TIME,
        packet::Packet,
        record::{Mail, Seq, Settlement, VaultWrite},
        secret::HeldToken,
        time::Wall,
    },
};

/// One event for one machine, and all that follows from it.
pub(super) fn drive(shell: &Arc<Shell>, slot: &Arc<Slot>, event: Event) {
    let now = shell.now();
    let mut peer = slot.lock();
    // Families change when something is kept, asks by their version: else the index stands.
    let (kept, asks) = (matches!(event, Event::Kept), peer.asks_version());
    peer.handle(event, now, &mut Shell::dice());
    // Before anything leaves: a grant may come before this thread goes on, and what a 204 makes valid is used at once.
    if kept || asks != peer.asks_version() {
        shell.registry.reindex(slot, &peer);
    }
    for action in peer.actions() {
        perform(shell, slot, &mut peer, action);
    }
    shell.timer.set(Alarm::Peer(peer.host().clone()), peer.wake_at(now));
}

/// Starts one action.
fn perform(shell: &Arc<Shell>, slot: &Arc<Slot>, peer: &mut Peer, action: Action) {
    let host = peer.host().clone();
    match action {
        Action::LookUp => {
            call(
                shell,
                slot,
                |shell, _| async move { Event::Found(lookup::look_up(&shell, &host, false).await) },
            )
        }
        Action::Ask(request) => {
            call(shell, slot, |shell, slot| async move {
                let reply = ask(&shell, &slot, &host, &request).await;
                if let Ok(answer) = &reply {
                    slot.heard_over(answer);
                }
                Event::Asked(reply)
            });
        }
        Action::Untaken { family } => slot.settle_take(family, Took::NoPlace),
        Action::Refresh(token) => {
            call(shell, slot, |shell, slot| async move {
                let reply = refresh(&shell, &host, &token).await;
                if let Refreshed::Answered(answer) = &reply {
                    slot.heard_over(answer);
                }
                Event::Refreshed(reply)
            });
        }
        Action::LoadMail { after, messages, bytes } => {
            call(
                shell,
                slot,
                move |shell, _| async move { load(&shell, host, after, messages, bytes).await },
            );
        }
        Action::Send { token, mail } => {
            call(shell, slot, |shell, slot| async move {
                let reply = send(&shell, &host, &token, &mail).await;
                if let Ok(answer) = &reply {
                    slot.heard_over(answer);
                }
                Event::Sent(reply)
            });
        }
        Action::Settle { delivered, dead } => settle(shell, slot, peer, delivered, dead),
        Action::Keep(change) => keep(shell, slot, peer, change),
        Action::AnswerGrant { call, verdict } => {
            if let Some((_, caller)) = shell.grants.remove(&call) {
                // A caller that went away will send the grant again.
                let _ = caller.send(verdict);
            }
        }
        Action::Save => {
            peer.take_dirty();
            let record = VaultWrite::PutLink(Box::new(peer.record()));
            if let Err(error) = shell.store.commit(vec![record]) {
                tracing::debug!(peer = %host, %error, "the link's history was not written");
            }
        }
        Action::Note(fact) => {
            if matches!(fact, Fact::AskFailed(_)) {
                // It may be spoken to in another way by now.
                shell.directory.refresh(&host, shell.now());
            }
            facts::note(shell, slot, &host, &fact);
        }
    }
}

/// A call of its own; none is begun once the node drains.
fn call<F>(shell: &Arc<Shell>, slot: &Arc<Slot>, work: impl FnOnce(Arc<Shell>, Arc<Slot>) -> F)
where
    F: Future<Output = Event> + Send + 'static,
{
    if shell.is_draining() {
        return;
    }
    let (shell_then, slot_then) = (Arc::clone(shell), Arc::clone(slot));
    let work = work(Arc::clone(shell), Arc::clone(slot));
    shell.spawn(async move {
        let event = work.await;
        drive(&shell_then, &slot_then, event);
    });
}

async fn ask(shell: &Arc<Shell>, slot: &Slot, host: &PeerHost, request: &Ask) -> Reply {
    let (route, parameters) = lookup::way(shell, host, false).await?;
    let told = |what, text| slot.watchers.tell(shell.now().wall, what, text);
    told(
        Happened::LookUp,
        format!("its paths are known: it is asked at {}", parameters.request_path.as_str()),
    );
    let own = &shell.host;
    let body = match request {
        Ask::Tokens(pair) => pair.encode_offer(own),
        Ask::State(state) => encode_state_request(own, state),
    };
    let path = parameters.request_path.as_str();
    let reply = shell.client.request(&route, path, body, shell.settings().grant_wait).await;
    // A grant that was faster says more.
    if reply.as_ref().is_ok_and(|answer| answer.status == 204) && slot.lock().look(shell.now()).asking {
        told(Happened::Request, "the peer took the request: it is to call back".to_owned());
    }
    shell.directory.heed(host, &reply, shell.now());
    reply
}

async fn refresh(shell: &Arc<Shell>, host: &PeerHost, token: &HeldToken) -> Refreshed {
    let (route, parameters) = match lookup::way(shell, host, false).await {
        Ok(way) => way,
        Err(error) => return Refreshed::Failed(error),
    };
    let Some(path) = &parameters.refresh_path else { return Refreshed::Unspoken };
    lookup::renew(shell, host);
    let refreshed = shell.client.refresh(&route, path.as_str(), token, CALL_TIME).await;
    if let Refreshed::Answered(answer) = &refreshed {
        shell.directory.heed(host, &Ok(answer.clone()), shell.now());
    }
    refreshed
}

async fn send(shell: &Arc<Shell>, host: &PeerHost, token: &HeldToken, mail: &[Mail]) -> Reply {
    let (route, parameters) = lookup::way(shell, host, false).await?;
    lookup::renew(shell, host);
    let body = Bytes::from(Packet::encode(mail.iter().map(|mail| mail.raw.as_ref())));
    let (bytes, begun) = (body.len() as u64, Stopwatch::start());
    let reply = shell.client.send(&route, parameters.packet_path.as_str(), token, body, CALL_TIME).await;
    if reply.as_ref().is_ok_and(|answer| answer.status == 204) {
        shell.metrics.packet_bytes_out.add(bytes);
        shell.metrics.packet_out_time.observe(begun.elapsed());
    }
    shell.directory.heed(host, &reply, shell.now());
    reply
}

async fn load(shell: &Arc<Shell>, host: PeerHost, after: Seq, messages: usize, bytes: usize) -> Event {
    let store = Arc::clone(&shell.store);
    let read = tokio::task::spawn_blocking(move || store.load(&host, after, messages, bytes)).await;
    match read {
        Ok(Ok(mut mail)) => {
            if !shell.trusts_wall() {
                mail.iter_mut().for_each(|mail| mail.expires = Wall(u64::MAX));
            }
            Event::MailLoaded(mail)
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "the outbox could not be read");
            Event::MailNotLoaded(error.to_string())
        }
        Err(_) => Event::MailNotLoaded("the read was ended".to_owned()),
    }
}

fn settle(
    shell: &Arc<Shell>,
    slot: &Arc<Slot>,
    peer: &mut Peer,
    delivered: Vec<Seq>,
    dead: Vec<(Seq, String)>,
) {
    let marks =
        if peer.take_dirty() { vec![VaultWrite::PutLink(Box::new(peer.record()))] } else { Vec::new() };
    let settlement = Settlement {
        host: peer.host().clone(),
        now: shell.now().wall,
        tries: peer.health().tries,
        delivered,
        dead,
        marks,
    };
    //= HT-SEND-07: one commit
    let receipt = shell.store.settle(settlement);
    when_kept(shell, slot, receipt, |shell, slot, kept| {
        drive(shell, slot, if kept { Event::Settled } else { Event::NotSettled });
    });
}

fn keep(shell: &Arc<Shell>, slot: &Arc<Slot>, peer: &Peer, change: Change) {
    let receipt = shell.store.commit(peer.writes(&change, shell.now()));
    when_kept(shell, slot, receipt, move |shell, slot, kept| {
        drive(shell, slot, if kept { Event::Kept } else { Event::NotKept });
        if let Change::Taken { family, .. } = change {
            slot.settle_take(family, if kept { Took::Kept } else { Took::Lost });
        }
    });
}

/// Waits for the disk outside the lock, then goes on.
fn when_kept<T: Send + 'static>(
    shell: &Arc<Shell>,
    slot: &Arc<Slot>,
    receipt: Result<Receipt<T>, StoreError>,
    then: impl FnOnce(&Arc<Shell>, &Arc<Slot>, bool) + Send + 'static,
) {
    let (shell_then, slot_then) = (Arc::clone(shell), Arc::clone(slot));
    shell.spawn(async move {
        let outcome = match receipt {
            Ok(receipt) => receipt.await.map(|_| ()),
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            // The store has raised the alarm where it is one: a full queue passes.
            tracing::warn!(%error, "a change of a link could not be kept");
        }
        then(&shell_then, &slot_then, outcome.is_ok());
    });
}
