//! The shell around the lobby: somebody asked in a host's name, and we grant to that host.

use std::{net::IpAddr, sync::Arc, time::Duration};

use super::{courier, lookup, shell::Shell, timer::Alarm, views::FailureView};
use crate::{
    client::Address,
    link::{
        admission::Bucket,
        event::Event,
        lobby::{self, Action, Asked, Ended, Grant, LookedUp, NotFound, Origin, Took},
        peer::Standing,
    },
    token::family::{Family, NewPair, Subject},
    wire::{
        answer::{CallError, CallStage, Reply},
        exchange::TokenRequest,
        host::PeerHost,
        limits::{GRANT_TIME_STRANGER, REQUEST_ORIGINS, REQUESTS_PER_SECOND},
        parameters::Form,
        record::VaultWrite,
        refusal::Refusal,
    },
};

/// A body came to the request path. Whatever becomes of it, the caller has its 204.
pub(super) fn asked(shell: &Arc<Shell>, from: IpAddr, body: Result<TokenRequest, Refusal>) {
    let dropped = match body {
        Ok(request) => admit(shell, from, request),
        Err(refusal) => Err(refusal.to_string()),
    };
    //= HT-ASK-02: the reason goes to the log and the metrics
    if let Err(reason) = dropped {
        shell.metrics.requests_dropped.up();
        tracing::debug!(%from, %reason, "a token request is not granted");
    }
    perform(shell);
}

fn admit(shell: &Shell, from: IpAddr, request: TokenRequest) -> Result<(), String> {
    let host = request.host();
    let settings = shell.settings();
    //= HT-ASK-19: not our own
    if settings.host.is(host) || settings.aliases.iter().any(|alias| alias.is(host)) {
        return Err("it names this very host".to_owned());
    }
    if shell.is_draining() {
        return Err("the node is stopping".to_owned());
    }
    // The policy stands on the road.
    settings.road(host).map_err(|error| error.to_string())?;
    let origin = Origin::of(from);
    let known = shell.knows(&settings, host);
    let likely = shell.registry.find(host).is_some_and(|slot| slot.has_seen(origin, shell.now().mono))
        || settings
            .pin(host)
            .and_then(|pin| pin.address.as_ref())
            .and_then(Address::ip)
            .is_some_and(|ip| Origin::of(ip) == origin)
        || shell.directory.addresses(host, shell.now()).contains(&origin);
    if !likely {
        pace(shell, origin)?;
    }
    let asked = Asked { origin, request, known, likely };
    shell.lobby().asked(asked, shell.now()).map_err(|dropped| dropped.to_string())
}

/// A forged request costs its sender nothing and us a call: an address may send only so many.
fn pace(shell: &Shell, origin: Origin) -> Result<(), String> {
    let now = shell.now().mono;
    if shell.paces.len() >= REQUEST_ORIGINS {
        shell.paces.retain(|_, bucket| !bucket.is_full(REQUESTS_PER_SECOND, now));
    }
    if shell.paces.len() >= REQUEST_ORIGINS && !shell.paces.contains_key(&origin) {
        return Err("too many client addresses ask".to_owned());
    }
    let mut bucket = shell.paces.entry(origin).or_insert_with(|| Bucket::full(REQUESTS_PER_SECOND, now));
    bucket.take(REQUESTS_PER_SECOND, now).map_err(|refusal| refusal.to_string())
}

/// The lobby goes on under other settings.
pub(super) fn renew(shell: &Arc<Shell>, settings: lobby::Settings) {
    shell.lobby().renew(settings, shell.now());
    perform(shell);
}

/// The lobby's moment has come.
pub(super) fn wake(shell: &Arc<Shell>) {
    shell.lobby().woken(shell.now());
    perform(shell);
}

/// The link that a taken grant makes is on disk, or could not be kept. The tokens are valid by now where it is.
fn finished(shell: &Arc<Shell>, host: &PeerHost, pair: &NewPair, took: Took) {
    if took == Took::Kept {
        //= HT-ASK-07: before waiting calls go on
        shell.registry.settle_offer(pair);
        if let Some(slot) = shell.registry.find(host) {
            *slot.ungranted() = None;
        }
    }
    shell.lobby().finished(host, took, shell.now());
    perform(shell);
}

/// Starts what the lobby wants.
pub(super) fn perform(shell: &Arc<Shell>) {
    loop {
        let mut lobby = shell.lobby();
        let actions: Vec<_> = lobby.actions().collect();
        shell.timer.set(Alarm::Lobby, lobby.wake_at());
        drop(lobby);
        if actions.is_empty() {
            return;
        }
        for action in actions {
            start(shell, action);
        }
    }
}

fn start(shell: &Arc<Shell>, action: Action) {
    match action {
        Action::LookUp { host, stranger, likely, recent } => {
            let shell_then = Arc::clone(shell);
            shell.spawn(async move { look_up(&shell_then, &host, stranger, likely, recent).await });
        }
        Action::Drop { host, reason } => {
            shell.metrics.requests_dropped.up();
            // It may be spoken to in another way by now: the next request finds what it publishes then.
            shell.directory.refresh(&host, shell.now());
            note(shell, &host, &reason);
            let said = shell.settings().pin(&host).and_then(|_| shell.lines.dropped.say(shell.now().mono));
            match said {
                Some(unsaid) => {
                    tracing::info!(peer = %host, %reason, unsaid, "a configured peer's token request is not granted");
                }
                None => tracing::debug!(peer = %host, %reason, "a token request is not granted"),
            }
        }
        Action::Offer { host, family, pair } => offer(shell, host, family, pair),
        Action::Grant { host, grant, deadline, stranger } => {
            let shell_then = Arc::clone(shell);
            shell.spawn(async move {
                let reply = send(&shell_then, &host, &grant, deadline, stranger).await;
                shell_then.directory.heed(&host, &reply, shell_then.now());
                shell_then.lobby().answered(&host, &reply, shell_then.now());
                perform(&shell_then);
                // A grant that was refused makes no link, and so none to note it at.
                if let (Ok(answer), Some(slot)) = (&reply, shell_then.registry.find(&host)) {
                    slot.heard_over(answer);
                }
            });
        }
        Action::Take { host, family, pair, offer, likely } => {
            //= HT-ASK-12: a link is touched only from here
            let slot = shell.slot(&host);
            let taken = slot.awaits_take(family);
            courier::drive(shell, &slot, Event::GrantTaken { family, pair, offer, likely });
            let shell_then = Arc::clone(shell);
            shell.spawn(async move {
                let took = taken.await.unwrap_or(Took::Lost);
                finished(&shell_then, &host, &pair, took);
            });
        }
        Action::Withdraw { host, family, pair, ended } => withdraw(shell, &host, family, &pair, &ended),
    }
}

//= HT-ASK-04: committed before the grant leaves
fn offer(shell: &Arc<Shell>, host: PeerHost, family: u64, pair: NewPair) {
    shell.registry.offer(&pair);
    let mut record = Family::open(&Subject::Peer(host.clone()), family, pair, shell.now().wall).to_record();
    record.offered = true;
    let receipt = shell.store.commit(vec![VaultWrite::PutFamily(Box::new(record))]);
    let shell_then = Arc::clone(shell);
    shell.spawn(async move {
        let kept = match receipt {
            Ok(receipt) => receipt.await.is_ok(),
            Err(_) => false,
        };
        shell_then.lobby().kept(&host, kept, shell_then.now());
        perform(&shell_then);
    });
}

/// How the host is spoken to, and where it is unless that decides nothing.
async fn look_up(shell: &Arc<Shell>, host: &PeerHost, stranger: bool, likely: bool, recent: bool) {
    if recent {
        shell.directory.refresh(host, shell.now());
    }
    let addresses =
        async { if likely { Vec::new() } else { lookup::addresses(shell, host, stranger).await } };
    let (found, addresses) = tokio::join!(lookup::look_up(shell, host, stranger), addresses);
    lookup::tell(shell, host);
    let now = shell.now();
    let found = found.map(|found| LookedUp {
        parameters: found.parameters,
        addresses,
        standing: shell.registry.find(host).map_or(Standing::blank(), |slot| slot.lock().standing(now)),
    });
    let found =
        found.map_err(|error| NotFound { reason: error.to_string(), busy: error.stage == CallStage::Busy });
    shell.lobby().looked_up(host, found, now, &mut Shell::dice());
    perform(shell);
}

async fn send(
    shell: &Arc<Shell>,
    host: &PeerHost,
    grant: &Grant,
    deadline: Duration,
    stranger: bool,
) -> Reply {
    //= HT-PIC-02: our grant goes to the name that the request claims
    let (mut route, parameters) = lookup::way(shell, host, stranger).await?;
    route.trusted = route.trusted && !stranger;
    //= HT-ASK-29: 10 s
    let deadline = if stranger { deadline.min(GRANT_TIME_STRANGER) } else { deadline };
    let (own, path) = (&shell.host, parameters.grant_path.as_str());
    match grant {
        Grant::Tokens { .. } if parameters.form() == Form::State => {
            let detail =
                format!("{host} has no refresh-path any more: what asked with tokens is not granted");
            Err(CallError { stage: CallStage::Guard, detail })
        }
        Grant::Tokens { bearer, pair } => {
            shell.client.grant(&route, path, Some(bearer), pair.encode_offer(own), deadline).await
        }
        Grant::State { state, access } => {
            shell.client.grant(&route, path, None, access.encode_grant(own, state), deadline).await
        }
    }
}

//= HT-ASK-10: both sides' tokens are dropped
fn withdraw(shell: &Arc<Shell>, host: &PeerHost, family: u64, pair: &NewPair, ended: &Ended) {
    shell.registry.settle_offer(pair);
    shell.metrics.grants_failed.up();
    let subject = Subject::Peer(host.clone()).to_text();
    if let Err(error) = shell.store.commit(vec![VaultWrite::DropFamily { subject, id: family }]) {
        // An offer that stays on disk is dropped at the next start.
        tracing::debug!(%error, "an offer was not removed from the disk");
    }
    let reason = ended.to_string();
    note(shell, host, &reason);
    match ended {
        //= HT-ASK-11: counted, logged, not retried
        Ended::Misused(_) => {
            shell.metrics.names_misused.up();
            if let Some(unsaid) = shell.lines.misused.say(shell.now().mono) {
                tracing::warn!(peer = %host, %reason, unsaid, "somebody asked for a token in the name of this host");
            }
        }
        Ended::Refused(_) | Ended::Unanswered(_) | Ended::Forgotten => {
            tracing::info!(peer = %host, %reason, "a grant came to nothing");
        }
        Ended::NoPlace => tracing::debug!(peer = %host, %reason, "a grant came to nothing"),
        Ended::NotKept => tracing::warn!(peer = %host, %reason, "a grant came to nothing"),
    }
}

/// Operators see at a known peer why it has no token of ours though somebody asked in its name.
fn note(shell: &Shell, host: &PeerHost, reason: &str) {
    if shell.knows(&shell.settings(), host) {
        *shell.slot(host).ungranted() = Some(FailureView { at: shell.now().wall, reason: reason.to_owned() });
    }
}
