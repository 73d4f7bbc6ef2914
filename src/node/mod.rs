//! The shell: the only asynchronous and stateful floor. The verbs that the faces may call stand here.
//!
//! - `shell`: the parts that all share. `courier`: the one way in which an event reaches a machine, and its hands.
//! - `inbound`, `outbound`, `answering`, `exchange`, `granting`, `steering`: the verbs, by who calls them and about what.
//! - `lookup`, `directory`: how hosts are spoken to. `waiters`: requests that wait for answers. `registry`: the live peers and the index of tokens. `timer`, `upkeep`: what happens by itself.
//! - `backup`: a copy of what is kept, and the start from one. `facts`, `seldom`, `gauges`: what is reported. `views`, `showing`: what the faces are shown. `clock`: the one clock and the one dice.

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{
    client::Client,
    store::{Store, StoreError},
    telemetry::{exposition::Exposition, metrics::Metrics},
    wire::{
        cursor::Cursor,
        draft::Draft,
        exchange::{TokenGrant, TokenRequest},
        host::{OwnHost, PeerHost},
        limits,
        packet::{Packet, ServiceKey},
        record::{DeadFilter, DeadMail, InboxEntry},
        refusal::Refusal,
        secret::ShownToken,
        time::ReadClock,
    },
};

mod actions;
mod answering;
mod backup;
pub mod clock;
mod courier;
mod directory;
mod error;
mod exchange;
mod facts;
mod forgetting;
mod gauges;
mod granting;
mod ignored;
mod inbound;
mod lookup;
mod outbound;
mod readership;
mod registry;
mod renewing;
mod seldom;
mod settings;
mod shell;
mod showing;
mod steering;
mod timer;
mod upkeep;
pub mod views;
mod waiters;
mod watching;

pub use answering::Request;
pub use backup::{BackupView, drop_tokens};
pub use error::Error;
use exchange::Wish;
pub use ignored::IgnoredView;
pub use settings::{PeerPin, Settings};
use shell::Shell;
pub use steering::{Steer, Steered};
use views::{Caller, MessageView, PeerView, Submitted};
pub use watching::{Happened, LinkEvent};

/// The node. Cheap to clone.
#[derive(Clone)]
pub struct Node(Arc<Shell>);

impl Node {
    /// A node on these parts, with everything that the store keeps read back. Nothing runs before `run`.
    ///
    /// # Errors
    /// What the store says when it is read.
    pub fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        client: Client,
        clock: ReadClock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let shell = Arc::new(Shell::new(settings, store, client, clock, metrics));
        upkeep::recover(&shell)?;
        Ok(Self(shell))
    }

    /// Goes on under other settings, of the same host. Verbs that have begun end under the old ones; nothing that waits or is
    /// under way is lost.
    pub fn renew(&self, settings: Settings) {
        renewing::renew(&self.0, settings);
    }

    /// The client calls otherwise from here on: peers whose calls failed are tried.
    pub fn try_all(&self) {
        renewing::try_all(&self.0);
    }

    /// Starts what happens by itself: timers, couriers of peers with mail, sweeps. Ends when the node drains.
    pub async fn run(&self) {
        tokio::join!(upkeep::wake(Arc::clone(&self.0)), upkeep::run(Arc::clone(&self.0)));
    }

    /// Begins no new calls to peers, and waits until those under way are done, at most so long. Answers how many were left; their
    /// messages stay queued.
    pub async fn drain(&self, at_most: Duration) -> u64 {
        self.0.begin_drain();
        self.0.wait_idle(at_most).await
    }

    /// Our name.
    pub fn host(&self) -> &OwnHost {
        &self.0.host
    }

    // What peers call.

    /// A body was posted to the request path from `from`: returns at once, whatever it was; the grant goes its own way.
    /// `Err` is a body that could not be read: counted and logged only.
    pub fn asked(&self, from: IpAddr, body: Result<TokenRequest, Refusal>) {
        granting::asked(&self.0, from, body);
    }

    /// Before a grant's body is read: whether `bearer` is one that a grant may show.
    ///
    /// # Errors
    /// `Refused(TokenUnknown)`.
    pub fn recognise_grant(&self, bearer: ShownToken) -> Result<(), Error> {
        match self.0.registry.look_up(registry::At::Grant, bearer.digest()) {
            Some(registry::Opens::Peer(_)) => Ok(()),
            Some(registry::Opens::Offered(_)) | None => Err(Refusal::TokenUnknown.into()),
        }
    }

    /// A grant, answered with 204 when this returns `Ok`.
    ///
    /// # Errors
    /// `Refused` as the table of `https-token`, "Being granted"; `Unavailable` when it could not be kept.
    pub async fn granted(
        &self,
        from: IpAddr,
        bearer: Option<ShownToken>,
        grant: TokenGrant,
    ) -> Result<(), Error> {
        exchange::granted(&self.0, from, bearer, grant).await
    }

    /// A refresh: the body of the 200, on disk before this returns.
    ///
    /// # Errors
    /// `Refused(TokenUnknown | TokenReplayed)`, `Unavailable`.
    pub async fn refreshed(&self, from: IpAddr, bearer: ShownToken) -> Result<Bytes, Error> {
        exchange::refreshed(&self.0, from, bearer).await
    }

    /// Before a packet's body is read: who shows this bearer. Waits (at most 10 s) where it is offered and not settled.
    ///
    /// # Errors
    /// `Refused(TokenUnknown | TooFast)`, `Unavailable`.
    pub async fn recognise(&self, from: IpAddr, bearer: ShownToken) -> Result<Caller, Error> {
        inbound::recognise(&self.0, from, bearer).await
    }

    /// A packet of this caller was refused before it came to `packet`, or by it: that its token was shown is on disk when
    /// this ends.
    ///
    /// # Errors
    /// `Unavailable` when storage cannot take it.
    pub async fn used(&self, caller: &Caller) -> Result<(), Error> {
        inbound::used(&self.0, caller).await
    }

    /// A packet, answered with 204 when this returns `Ok`: on stable storage by then. Goes on when its future is dropped.
    ///
    /// # Errors
    /// `Refused` as the table of `https-token`, "Packets"; `Unavailable` when storage cannot take it.
    pub async fn packet(&self, caller: Caller, packet: Packet) -> Result<(), Error> {
        inbound::packet(&self.0, caller, packet).await
    }

    // What local apps call.

    /// Accepts messages of `app`, all or none, on stable storage when this returns.
    ///
    /// # Errors
    /// `Conflict`, `Draft`, `Refused(Policy)`, `Unavailable`.
    pub async fn submit(
        &self,
        app: &str,
        drafts: Vec<Draft>,
        time_to_live: Option<Duration>,
    ) -> Result<Vec<Submitted>, Error> {
        Ok(outbound::take(&self.0, app, drafts, time_to_live).await?.all)
    }

    /// An outgoing message.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub fn message(&self, id: &str) -> Result<MessageView, Error> {
        outbound::message(&self.0, id)
    }

    /// The next messages in an inbox that `app` has not acknowledged, at most `max`; waits for one up to `wait`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn inbox(
        &self,
        app: &str,
        service: &ServiceKey,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<InboxEntry>, Error> {
        let bytes = limits::INBOX_READ_BYTES;
        outbound::inbox(&self.0, app, service, outbound::Page { after: Cursor::default(), max, bytes }, wait)
            .await
    }

    /// The last cursor that was given in this inbox.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn last_cursor(&self, service: &ServiceKey) -> Result<Cursor, Error> {
        Ok(self.0.store.last(service)?)
    }

    /// The same from the message after `after`, where `app` has acknowledged less, and of at most so many bytes beyond the
    /// first message.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn follow(
        &self,
        app: &str,
        service: &ServiceKey,
        after: Cursor,
        max: usize,
        bytes: usize,
        wait: Duration,
    ) -> Result<Vec<InboxEntry>, Error> {
        outbound::inbox(&self.0, app, service, outbound::Page { after, max, bytes }, wait).await
    }

    /// Accepts a request, on stable storage when this returns; its answer is waited for with `answer`.
    ///
    /// # Errors
    /// As `submit`; `Unavailable` also where too many wait.
    pub async fn request(&self, app: &str, draft: Draft) -> Result<Request, Error> {
        answering::request(&self.0, app, draft).await
    }

    /// The answer to a request, byte for byte as it came.
    ///
    /// # Errors
    /// `Unanswered`.
    pub async fn answer(&self, request: Request, wait: Duration) -> Result<Bytes, Error> {
        answering::answer(request, wait).await
    }

    /// Acknowledges for `app` everything up to `cursor`.
    ///
    /// # Errors
    /// `Cursor`, `Unavailable`.
    pub async fn acknowledge(&self, app: &str, service: &ServiceKey, cursor: Cursor) -> Result<(), Error> {
        outbound::acknowledge(&self.0, app, service, cursor).await
    }

    /// Dead messages that `filter` takes, in the order in which they died, at most `max`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn dead(&self, filter: DeadFilter, max: usize) -> Result<Vec<DeadMail>, Error> {
        outbound::dead(&self.0, filter, max).await
    }

    /// Queues a dead message again; its time to live starts anew.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn retry_dead(&self, id: &str) -> Result<(), Error> {
        outbound::retry_dead(&self.0, id).await
    }

    /// Deletes a dead message.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn delete_dead(&self, id: &str) -> Result<(), Error> {
        outbound::delete_dead(&self.0, id).await
    }

    // What operators call.

    /// All links and configured peers, by name.
    pub fn peers(&self) -> Vec<PeerView> {
        let mut hosts: Vec<PeerHost> = self.0.settings().peers.keys().cloned().collect();
        hosts.extend(self.0.registry.slots().iter().map(|slot| slot.lock().host().clone()));
        hosts.sort();
        hosts.dedup();
        hosts.iter().filter_map(|host| self.peer(host)).collect()
    }

    /// One of them; `None` where nothing is known of it.
    pub fn peer(&self, host: &PeerHost) -> Option<PeerView> {
        let slot = self.0.registry.find(host);
        let known = slot.is_some() || self.0.settings().pin(host).is_some();
        known.then(|| showing::view(&self.0, host, slot.as_ref()))
    }

    /// Exchanges tokens now and waits for the outcome.
    ///
    /// # Errors
    /// `Peer` names the failing step, `Refused(Policy)`.
    pub async fn connect(&self, host: &PeerHost) -> Result<PeerView, Error> {
        exchange::wanted(&self.0, host, Wish::Connect).await
    }

    /// Refreshes the token that we hold and waits for the outcome.
    ///
    /// # Errors
    /// `Peer`, `NotFound` where no token is held.
    pub async fn refresh(&self, host: &PeerHost) -> Result<PeerView, Error> {
        if self.0.registry.find(host).is_none() {
            return Err(Error::NotFound(format!("there is no link to {host}")));
        }
        exchange::wanted(&self.0, host, Wish::Refresh).await
    }

    /// What happens to a link from here on.
    ///
    /// # Errors
    /// `NotFound` for this host itself, and where there is no link and nothing is configured: to watch makes none.
    pub fn watch(&self, host: &PeerHost) -> Result<mpsc::Receiver<LinkEvent>, Error> {
        exchange::foreign(&self.0, host)?;
        if self.0.registry.find(host).is_none() && self.0.settings().pin(host).is_none() {
            return Err(Error::NotFound(format!("nothing is known of {host}")));
        }
        Ok(self.0.slot(host).watchers.watch())
    }

    /// Does what an operator wants done to a link, and shows it as it is then. `who` is named in the log.
    ///
    /// # Errors
    /// `NotFound` where there is no link and nothing is configured, `Refused(Policy)`, `Unavailable`.
    pub async fn steer(&self, host: &PeerHost, steer: Steer, who: &str) -> Result<Steered, Error> {
        steering::steer(&self.0, host, steer, who).await
    }

    /// Messages for services that do not run here, by who sent them and the names that they name; and how many beyond those
    /// that are named.
    pub fn ignored(&self) -> (Vec<IgnoredView>, u64) {
        self.0.ignored.list()
    }

    /// Forgets what was found out about how hosts are spoken to; what is pinned stays.
    pub fn flush_discovered(&self) -> usize {
        self.0.directory.flush(None)
    }

    /// Copies all that the store keeps into the new folder `dir` (absolute, on this machine), on disk when this returns. All that
    /// was accepted before the call is in it. `who` is named in the log.
    ///
    /// # Errors
    /// `Backup`, `Unavailable`.
    pub async fn backup(&self, dir: &Path, who: &str) -> Result<BackupView, Error> {
        backup::make(&self.0, dir, who).await
    }

    /// Forgets the link and revokes what we gave. Mail that waits stays. Who watches is told that `who` did it.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn forget(&self, host: &PeerHost, who: &str) -> Result<(), Error> {
        exchange::forget(&self.0, host, who).await
    }

    /// Queues, links and grants, and the peers that the configuration lists.
    pub fn write_metrics(&self, text: &mut Exposition) {
        gauges::write(&self.0, text);
    }

    /// Whether the node can take packets and messages now; `Err` says why not.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn ready(&self) -> Result<(), String> {
        if self.0.is_draining() {
            return Err("the node is stopping".to_owned());
        }
        self.0.store.healthy().map_err(|error| error.to_string())
    }
}
