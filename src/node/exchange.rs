//! What peers call about tokens: grants and refreshes; and what operators do with links.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    Error,
    courier::drive,
    forgetting, granting,
    registry::{At, Opens, Outcome, Slot},
    shell::Shell,
    showing::view,
    views::PeerView,
    watching::Happened,
};
use crate::{
    link::{
        dice::Dice as _,
        event::{CallId, Event, Granted},
        lobby::Forgot,
        peer::{Peer, family_writes},
    },
    token::{
        families::{Changes, NotRotated},
        family::{Family, NewPair},
    },
    wire::{
        exchange::{FreshPair, TokenGrant},
        host::PeerHost,
        limits::{CALL_TIME, OFFER_WAIT},
        refusal::Refusal,
        secret::{Digest, FreshSecret, ShownToken},
    },
};

/// A link that is just being taken is looked at again after this.
const TAKE_PAUSE: Duration = Duration::from_millis(2);
/// A peer that has granted answers the request within so many looks, or is shown without what it was spoken to over.
const ANSWER_LOOKS: u32 = 100;
const ANSWER_PAUSE: Duration = Duration::from_millis(10);
/// A store that took no change of a family is asked again after this.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

/// The machine that a shown token belongs to; waits where it is offered and not settled.
pub(super) async fn opened(shell: &Shell, at: At, digest: Digest) -> Result<Arc<Slot>, Error> {
    let mut settled = match shell.registry.look_up(at, digest) {
        None => return Err(Error::Refused(Refusal::TokenUnknown)),
        Some(Opens::Peer(slot)) => return Ok(slot),
        Some(Opens::Offered(settled)) => settled,
    };
    let look = async {
        loop {
            // An error says that the offer is settled: look again.
            drop(settled.changed().await);
            match shell.registry.look_up(at, digest) {
                None => return Err(Error::Refused(Refusal::TokenUnknown)),
                Some(Opens::Peer(slot)) => return Ok(slot),
                Some(Opens::Offered(next)) => settled = next,
            }
        }
    };
    //= HT-ASK-06: at most 10 s, then 503
    tokio::time::timeout(OFFER_WAIT, look).await.unwrap_or_else(|_| {
        let what = "the exchange that offered this token is not settled yet".to_owned();
        Err(Error::Unavailable { what, retry_after: Duration::from_secs(1) })
    })
}

/// A grant of a peer, kept when this ends well.
pub(super) async fn granted(
    shell: &Arc<Shell>,
    from: IpAddr,
    bearer: Option<ShownToken>,
    grant: TokenGrant,
) -> Result<(), Error> {
    let (at, digest, unknown, grant) = match grant {
        TokenGrant::Tokens(offer) => {
            let bearer = bearer.ok_or(Refusal::TokenMissing)?.digest();
            (At::Grant, bearer, Refusal::TokenUnknown, Granted::Tokens { bearer, offer })
        }
        TokenGrant::State(grant) => (At::State, grant.state, Refusal::StateUnknown, Granted::State(grant)),
        TokenGrant::Bare => return Err(Refusal::TokenMissing.into()),
    };
    let Some(Opens::Peer(slot)) = shell.registry.look_up(at, digest) else { return Err(unknown.into()) };
    let host = slot.lock().host().clone();
    shell
        .settings()
        .allowed(&host)
        .inspect_err(|refusal| say_denied(shell, &host, from, refusal, "grant"))?;
    let call = CallId(shell.calls.fetch_add(1, Ordering::Relaxed));
    let (sender, answer) = oneshot::channel();
    shell.grants.insert(call, sender);
    slot.saw(from, shell.now().mono);
    drive(shell, &slot, Event::GrantArrived { call, grant });
    match answer.await {
        Ok(Some(Ok(()))) => Ok(()),
        Ok(Some(Err(refusal))) => {
            if let Some(unsaid) = shell.lines.refused.say(shell.now().mono) {
                tracing::warn!(peer = %host, %from, reason = %refusal, unsaid, "a grant is refused");
            }
            Err(refusal.into())
        }
        Ok(None) | Err(_) => Err(Error::Unavailable {
            what: "the grant could not be kept".to_owned(),
            retry_after: Duration::from_secs(1),
        }),
    }
}

/// Says, seldom, that a call of an authenticated peer is answered with 403.
pub(super) fn say_denied(shell: &Shell, peer: &PeerHost, from: IpAddr, refusal: &Refusal, call: &str) {
    if let Some(unsaid) = shell.lines.denied.say(shell.now().mono) {
        tracing::info!(%peer, %from, call, reason = %refusal, unsaid, "a call of the peer is refused with 403");
    }
}

/// A refresh of a peer: the body of the 200.
pub(super) async fn refreshed(shell: &Arc<Shell>, from: IpAddr, bearer: ShownToken) -> Result<Bytes, Error> {
    let slot = opened(shell, At::Refresh, bearer.digest()).await?;
    let host = slot.lock().host().clone();
    let settings = shell.settings();
    settings.allowed(&host).inspect_err(|refusal| say_denied(shell, &host, from, refusal, "refresh"))?;
    let (outcome, kept) = {
        let now = shell.now();
        let fresh = FreshPair {
            token: FreshSecret::from_chance(Shell::dice().bytes()),
            refresh: FreshSecret::from_chance(Shell::dice().bytes()),
            lifetime: settings.token_lifetime,
            made: now.wall,
        };
        let (access, refresh) = (fresh.token.digest(), fresh.refresh.digest());
        //= NODE-CONF-15: with a refresh
        let pair = NewPair::new(access, fresh.lifetime, refresh, settings.refresh_lifetime, now.wall);
        let mut peer = slot.lock();
        let (outcome, changes) = match peer.families_mut().rotate(&bearer.digest(), pair, now.wall) {
            Ok(changes) => (Ok(fresh), changes),
            //= HT-REF-13: 401
            Err(NotRotated::Unknown) => return Err(Refusal::TokenUnknown.into()),
            Err(NotRotated::Replayed(changes)) => (Err(Refusal::TokenReplayed), changes),
        };
        let kept = keep_families(shell, &slot, &peer, changes);
        (outcome, kept)
    };
    //= HT-REF-04: committed, then answered
    if let Some(kept) = kept {
        kept.await?;
    }
    match outcome {
        Ok(fresh) => {
            slot.saw(from, shell.now().mono);
            drive(shell, &slot, Event::Heard);
            tracing::debug!(peer = %host, "tokens refreshed for the peer");
            Ok(Bytes::from(fresh.encode_refresh()))
        }
        Err(refusal) => {
            //= HT-REF-10: a security event
            shell.metrics.replays.up();
            tracing::warn!(
                peer = %host, %from,
                "security: a spent refresh token was shown again: all tokens of that exchange are revoked"
            );
            Err(refusal.into())
        }
    }
}

/// Hands changed families over, in the machine's order; `None` where nothing changed. They stand in memory from here, which
/// may honour less than the disk does, never more. Where they cannot be kept they are written again until they are.
pub(super) fn keep_families(
    shell: &Arc<Shell>,
    slot: &Arc<Slot>,
    peer: &Peer,
    changes: Changes,
) -> Option<impl Future<Output = Result<(), Error>> + use<>> {
    let writes = family_writes(peer.families(), changes);
    if writes.is_empty() {
        return None;
    }
    shell.registry.reindex(slot, peer);
    let receipt = shell.store.commit(writes);
    let (shell, slot) = (Arc::clone(shell), Arc::clone(slot));
    Some(async move {
        let kept = match receipt {
            Ok(receipt) => receipt.await,
            Err(error) => Err(error),
        };
        if kept.is_err() {
            tokio::spawn(async move { write_again(&shell, &slot).await });
        }
        Ok(kept?)
    })
}

/// Writes all families of a peer, of which a change was not kept with what it came with.
pub(super) async fn keep_all_families(shell: &Arc<Shell>, slot: &Arc<Slot>) {
    if !write_all(shell, slot).await {
        let (shell, slot) = (Arc::clone(shell), Arc::clone(slot));
        tokio::spawn(async move { write_again(&shell, &slot).await });
    }
}

/// Writes all families of a peer until the store takes them.
async fn write_again(shell: &Arc<Shell>, slot: &Arc<Slot>) {
    while !shell.is_draining() {
        tokio::time::sleep(WRITE_AGAIN).await;
        if write_all(shell, slot).await {
            return;
        }
    }
}

/// Whether the store took them.
async fn write_all(shell: &Arc<Shell>, slot: &Arc<Slot>) -> bool {
    let receipt = {
        let peer = slot.lock();
        let put = peer.families().iter().map(Family::to_record).collect();
        shell.store.commit(family_writes(peer.families(), Changes { put, dropped: Vec::new() }))
    };
    match receipt {
        Ok(receipt) => receipt.await.is_ok(),
        Err(_) => false,
    }
}

/// What an operator wants of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// An exchange now.
    Connect,
    /// A refresh now.
    Refresh,
}

impl Wish {
    /// The step that fails where nothing else is known.
    fn step(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Refresh => "refresh",
        }
    }
}

/// A host has no link to itself.
pub(super) fn foreign(shell: &Shell, host: &PeerHost) -> Result<(), Error> {
    if shell.host.is(host) {
        return Err(Error::NotFound(format!("{host} is this host itself")));
    }
    Ok(())
}

/// Waits for the outcome of an exchange or a refresh that an operator wants.
pub(super) async fn wanted(shell: &Arc<Shell>, host: &PeerHost, wish: Wish) -> Result<PeerView, Error> {
    foreign(shell, host)?;
    let settings = shell.settings();
    settings.allowed(host)?;
    let slot = shell.slot(host);
    // Whoever asks wants to see how it is now.
    shell.directory.forgive(host);
    let (sender, outcome) = oneshot::channel();
    {
        let mut waiting = slot.waiting();
        match wish {
            Wish::Connect => waiting.connect.push(sender),
            Wish::Refresh => waiting.refresh.push(sender),
        }
    }
    drive(
        shell,
        &slot,
        match wish {
            Wish::Connect => Event::ConnectWanted,
            Wish::Refresh => Event::RefreshWanted,
        },
    );
    let longest = settings.grant_wait + CALL_TIME;
    let outcome: Outcome = tokio::select! {
        outcome = outcome => outcome.unwrap_or_else(|_| Err((wish.step(), "the link was forgotten".to_owned()))),
        () = shell.drained() => Err((wish.step(), "the node is stopping".to_owned())),
        () = tokio::time::sleep(longest) => {
            Err((wish.step(), format!("nothing came of it within {} s", longest.as_secs())))
        }
    };
    match outcome {
        Ok(()) => {
            // A peer may grant before it answers the request, and only an answer says what it came over.
            for _ in 0..ANSWER_LOOKS {
                if wish == Wish::Refresh || slot.over().is_some() || shell.is_draining() {
                    break;
                }
                tokio::time::sleep(ANSWER_PAUSE).await;
            }
            Ok(view(shell, host, Some(&slot)))
        }
        Err((step, reason)) => Err(Error::Peer { step, reason }),
    }
}

//= NODE-API-31: revokes
/// Forgets a link and revokes what we gave: committed, then answered.
pub(super) async fn forget(shell: &Arc<Shell>, host: &PeerHost, who: &str) -> Result<(), Error> {
    let offered = forget_offered(shell, host).await?;
    let Some(slot) = shell.registry.find(host) else {
        return if offered { Ok(()) } else { Err(Error::NotFound(format!("there is no link to {host}"))) };
    };
    forgetting::unlink(shell, &slot).await?;
    tracing::info!(peer = %host, "the link is forgotten: tokens in both directions are dropped");
    slot.watchers.tell(shell.now().wall, Happened::Steered, format!("`{who}`: forget"));
    Ok(())
}

/// What is offered to a host has not been taken into its link yet. Whether anything was; waits where that is just being done.
async fn forget_offered(shell: &Arc<Shell>, host: &PeerHost) -> Result<bool, Error> {
    let forget = async {
        loop {
            let forgot = shell.lobby().forget(host, shell.now());
            granting::perform(shell);
            match forgot {
                Forgot::Nothing => return false,
                Forgot::Offered => return true,
                // A commit's time.
                Forgot::Taking => tokio::time::sleep(TAKE_PAUSE).await,
            }
        }
    };
    tokio::time::timeout(OFFER_WAIT, forget).await.map_err(|_| {
        let what = format!("an exchange with {host} is not on disk yet");
        Error::Unavailable { what, retry_after: Duration::from_secs(1) }
    })
}
