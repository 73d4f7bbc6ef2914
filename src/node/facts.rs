//! Facts become counts, log lines and answers to waiting operators. Levels by who must wake up: WARN an operator soon,
//! INFO what changed, DEBUG one exchange.

use std::sync::Arc;

use super::{
    registry::{Slot, tell},
    shell::Shell,
};
use crate::{link::event::Fact, wire::host::PeerHost};

/// Reports one fact about a peer.
pub(super) fn note(shell: &Arc<Shell>, slot: &Slot, peer: &PeerHost, fact: &Fact) {
    let metrics = &shell.metrics;
    slot.watchers.tell_fact(shell.now().wall, fact);
    match fact {
        Fact::AskStarted => {
            metrics.asks_out.up();
            tracing::info!(%peer, "asking the peer for tokens");
        }
        Fact::AskFailed(reason) => {
            metrics.asks_failed.up();
            tracing::info!(%peer, %reason, "the exchange failed");
            let (step, rest) = match reason.split_once(": ") {
                Some(("grant", rest)) => ("grant", rest),
                Some(("request", rest)) => ("request", rest),
                Some(("look-up", rest)) => ("look-up", rest),
                _ => ("request", reason.as_str()),
            };
            tell(&mut slot.waiting().connect, &Err((step, rest.to_owned())));
        }
        Fact::GrantAccepted => {
            metrics.grants_in.up();
            tracing::info!(%peer, "tokens exchanged: the peer granted");
            tell(&mut slot.waiting().connect, &Ok(()));
        }
        Fact::GrantRepeated => tracing::debug!(%peer, "a grant came again"),
        Fact::GrantTaken { surely } => {
            metrics.grants_out.up();
            if *surely {
                tracing::info!(%peer, "tokens exchanged: the peer took our grant");
            } else {
                tracing::debug!(%peer, "granted a state: whether the peer took it shows when it sends");
            }
        }
        Fact::RefreshDone => {
            metrics.refreshes_out.up();
            tracing::debug!(%peer, "tokens refreshed");
            tell(&mut slot.waiting().refresh, &Ok(()));
        }
        Fact::RefreshRefused(reason) => {
            metrics.refreshes_failed.up();
            tracing::info!(%peer, %reason, "the peer refused the refresh: asking anew");
            tell(&mut slot.waiting().refresh, &Err(("refresh", reason.clone())));
        }
        Fact::RefreshFailed(reason) => {
            metrics.refreshes_failed.up();
            tracing::info!(%peer, %reason, "the refresh got no answer");
            tell(&mut slot.waiting().refresh, &Err(("refresh", reason.clone())));
        }
        Fact::PacketDelivered { messages } => {
            metrics.packets_out.up();
            let count = u64::try_from(*messages).unwrap_or(u64::MAX);
            metrics.messages_out.add(count);
            slot.traffic.messages_out.add(count);
            tracing::trace!(%peer, messages, "delivered");
        }
        Fact::PacketFailed(reason) => {
            metrics.sends_failed.up();
            tracing::debug!(%peer, %reason, "a packet got no 204");
        }
        Fact::TokenRefused(reason) => {
            metrics.sends_failed.up();
            tracing::info!(%peer, %reason, "the peer does not know its token any more: another is sought, messages stay queued");
        }
        Fact::MailDead { messages, reason } => {
            metrics.messages_dead.add(u64::try_from(*messages).unwrap_or(u64::MAX));
            tracing::warn!(%peer, messages, %reason, "messages were set aside: see `ymp dead list`");
        }
        Fact::LinkUp => tracing::info!(%peer, "the link is up: messages flow"),
        Fact::LinkDown { reason, wait } => {
            metrics.links_lost.up();
            tracing::warn!(%peer, %reason, wait = format_args!("{wait:.1?}"), "the link is down: messages stay queued");
        }
        Fact::LinkRefused(reason) => {
            metrics.sends_failed.up();
            tracing::warn!(%peer, %reason, "the peer refuses our packets: messages stay queued");
        }
    }
}
