//! What all verbs of the node share: the parts, what is under way, and the roads to other hosts.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use tokio::sync::{Notify, oneshot, watch};

use super::{
    Error, Settings,
    clock::SystemDice,
    directory::Directory,
    ignored::Ignored,
    readership::Readership,
    registry::{Registry, Slot},
    seldom::Lines,
    timer::Timer,
    waiters::Waiters,
};
use crate::{
    client::Client,
    link::{
        self,
        admission::Bucket,
        event::CallId,
        lobby::{self, Lobby},
    },
    store::{Store, StoreError},
    telemetry::metrics::Metrics,
    wire::{
        host::{OwnHost, PeerHost},
        packet::ServiceKey,
        record::LinkRecord,
        refusal::Refusal,
        time::{Mono, Now, ReadClock},
    },
};

/// The answer to a grant, on its way to its caller. `None`: it could not be kept.
pub(super) type GrantAnswer = Option<Result<(), Refusal>>;

/// The parts.
pub(super) struct Shell {
    /// Our name: it stays as long as the node runs.
    pub(super) host: OwnHost,
    settings: ArcSwap<Settings>,
    link: ArcSwap<link::settings::Settings>,
    pub(super) store: Arc<dyn Store>,
    pub(super) client: Client,
    pub(super) clock: ReadClock,
    pub(super) metrics: Arc<Metrics>,
    pub(super) registry: Registry,
    pub(super) directory: Directory,
    pub(super) lobby: Mutex<Lobby>,
    pub(super) timer: Timer,
    /// Callers of grants that wait for the disk.
    pub(super) grants: DashMap<CallId, oneshot::Sender<GrantAnswer>>,
    /// Requests of apps that wait for their answers.
    pub(super) waiters: Waiters,
    /// Readers that wait for mail, by service.
    pub(super) readers: DashMap<ServiceKey, Arc<Notify>>,
    /// Whose acknowledgement inboxes wait for.
    pub(super) readership: Readership,
    /// Messages for services that do not run here.
    pub(super) ignored: Ignored,
    /// Lines that others can cause.
    pub(super) lines: Lines,
    /// How fast client addresses ask for tokens.
    pub(super) paces: DashMap<lobby::Origin, Bucket>,
    pub(super) calls: AtomicU64,
    pub(super) last_id: AtomicU64,
    /// Milliseconds on the monotonic clock until which nothing is too old on the wall's word.
    distrusted_until: AtomicU64,
    draining: watch::Sender<bool>,
    tasks: Arc<Tasks>,
    stopped: AtomicBool,
}

/// Counts what is under way, so that a drain can wait for it.
#[derive(Default)]
struct Tasks {
    running: AtomicU64,
    done: Notify,
}

struct Running(Arc<Tasks>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.done.notify_waiters();
    }
}

impl Shell {
    pub(super) fn new(
        settings: Settings,
        store: Arc<dyn Store>,
        client: Client,
        clock: ReadClock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let lobby = Lobby::new(settings.lobby());
        let readers = settings.services.iter().map(|service| (service.clone(), Arc::default())).collect();
        Self {
            host: settings.host.clone(),
            link: ArcSwap::from_pointee(settings.link()),
            settings: ArcSwap::from_pointee(settings),
            store,
            client,
            clock,
            metrics,
            registry: Registry::default(),
            directory: Directory::default(),
            lobby: Mutex::new(lobby),
            timer: Timer::default(),
            grants: DashMap::new(),
            waiters: Waiters::default(),
            readers,
            readership: Readership::default(),
            ignored: Ignored::default(),
            lines: Lines::default(),
            paces: DashMap::new(),
            calls: AtomicU64::new(1),
            last_id: AtomicU64::new(0),
            distrusted_until: AtomicU64::new(0),
            draining: watch::Sender::new(false),
            tasks: Arc::default(),
            stopped: AtomicBool::new(false),
        }
    }

    pub(super) fn now(&self) -> Now {
        (self.clock)()
    }

    /// The settings as they are now: read once per verb.
    pub(super) fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// The machines' part of them.
    pub(super) fn link(&self) -> Arc<link::settings::Settings> {
        self.link.load_full()
    }

    /// Takes other settings in place of those that were there: verbs that have begun go on under the old ones. Readers of
    /// services that do not run any more are woken.
    pub(super) fn take(&self, settings: Settings) {
        self.readers.retain(|service, reader| {
            let stays = settings.services.contains(service);
            if !stays {
                reader.notify_waiters();
            }
            stays
        });
        for service in &settings.services {
            self.readers.entry(service.clone()).or_default();
        }
        self.link.store(Arc::new(settings.link()));
        self.settings.store(Arc::new(settings));
    }

    /// Takes the wall's word for no age until then.
    pub(super) fn distrust_wall_until(&self, until: Mono) {
        self.distrusted_until.store(until.0, Ordering::Release);
    }

    /// Whether the wall's word is taken for how old something is.
    pub(super) fn trusts_wall(&self) -> bool {
        self.now().mono.0 >= self.distrusted_until.load(Ordering::Acquire)
    }

    pub(super) fn dice() -> SystemDice {
        SystemDice
    }

    pub(super) fn lobby(&self) -> MutexGuard<'_, Lobby> {
        self.lobby.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine of this host, made where there is none.
    pub(super) fn slot(&self, host: &PeerHost) -> Arc<Slot> {
        if let Some(slot) = self.registry.find(host) {
            return slot;
        }
        // Before the registry is held: it and the directory are never held together.
        let found = self.directory.current(host, &self.settings().pins(host));
        self.registry.slot(host, || {
            // Read while the registry is held, so that settings that come later reach this machine, too.
            let (blank, settings) = (LinkRecord::new(host.clone()), self.link());
            link::peer::Peer::from_record(blank, found, std::iter::empty(), settings, &mut Self::dice())
        })
    }

    /// A task that a drain waits for.
    pub(super) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.running.fetch_add(1, Ordering::AcqRel);
        let running = Running(Arc::clone(&self.tasks));
        tokio::spawn(async move {
            work.await;
            drop(running);
        });
    }

    /// No new calls to peers from here; what is under way finishes.
    pub(super) fn begin_drain(&self) {
        self.draining.send_replace(true);
        self.stopped.store(true, Ordering::Release);
        for reader in &self.readers {
            reader.notify_waiters();
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Ends when the node drains.
    pub(super) async fn drained(&self) {
        let mut draining = self.draining.subscribe();
        // The sender lives as long as the shell does.
        let _ = draining.wait_for(|draining| *draining).await;
    }

    /// Waits until what is under way is done, at most so long. Answers how much was left.
    pub(super) async fn wait_idle(&self, at_most: Duration) -> u64 {
        let idle = async {
            loop {
                let done = self.tasks.done.notified();
                if self.tasks.running.load(Ordering::Acquire) == 0 {
                    return;
                }
                done.await;
            }
        };
        match tokio::time::timeout(at_most, idle).await {
            Ok(()) => 0,
            Err(_) => self.tasks.running.load(Ordering::Acquire),
        }
    }

    /// Whether this host stands under `[[peers]]` or has a link.
    pub(super) fn knows(&self, settings: &Settings, host: &PeerHost) -> bool {
        settings.pin(host).is_some() || self.registry.find(host).is_some_and(|slot| slot.lock().is_linked())
    }

    pub(super) fn wake_readers(&self, service: &ServiceKey) {
        if let Some(reader) = self.readers.get(service) {
            reader.notify_waiters();
        }
    }
}

impl From<StoreError> for Error {
    //= HT-PKT-13: 503, come back
    /// The store's trouble, outside: come back. The alarm is raised where it is swallowed.
    fn from(error: StoreError) -> Self {
        if let StoreError::Backup { .. } = error {
            return Self::Backup(error.to_string());
        }
        let retry_after = match error {
            StoreError::Full => Duration::from_secs(1),
            //= NODE-API-06: 503, come back
            StoreError::OutboxFull(_) => Duration::from_secs(10),
            StoreError::Space { .. } => Duration::from_secs(30),
            StoreError::Doubt(_)
            | StoreError::Locked(_)
            | StoreError::Backup { .. }
            | StoreError::Newer { .. }
            | StoreError::Damaged(_)
            | StoreError::Io { .. }
            | StoreError::Closed => Duration::from_secs(5),
        };
        match &error {
            // That the disk is nearly full is said when it becomes so.
            StoreError::Full | StoreError::OutboxFull(_) | StoreError::Space { .. } => {
                tracing::debug!(%error, "the store takes nothing now");
            }
            StoreError::Closed => tracing::debug!("the store is closed"),
            StoreError::Doubt(_)
            | StoreError::Locked(_)
            | StoreError::Backup { .. }
            | StoreError::Newer { .. }
            | StoreError::Damaged(_)
            | StoreError::Io { .. } => tracing::error!(%error, "the store failed"),
        }
        if let StoreError::Damaged(_) = error {
            return Self::Damaged;
        }
        let what = match error {
            StoreError::OutboxFull(what) => format!("the outbox is full: {what}"),
            StoreError::Space { .. } => "the disk is nearly full".to_owned(),
            StoreError::Full
            | StoreError::Doubt(_)
            | StoreError::Locked(_)
            | StoreError::Backup { .. }
            | StoreError::Newer { .. }
            | StoreError::Damaged(_)
            | StoreError::Io { .. }
            | StoreError::Closed => "storage cannot take it now".to_owned(),
        };
        Self::Unavailable { what, retry_after }
    }
}
