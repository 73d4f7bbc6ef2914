//! The one place that builds all parts, binds, runs, and drains in order; the only one that names a store engine.
//!
//! ```text
//!   start: certificates -> store -> client -> node -> sockets -> ready -> couriers and faces
//!   live:  SIGHUP, or certificates that changed on disk -> the parts go on under other settings (`live`)
//!   end:   SIGTERM or ctrl-c -> faces and couriers finish what is in hand -> the store is flushed -> exit 0
//! ```
//!
//! Everything that can fail fails before `ready`. The end comes in time, whatever hangs (`ending`).

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    access::Access,
    client::Client,
    config::{Config, finding::Findings},
    link::dice::Dice as _,
    node::{self, Node, clock},
    serve::{
        ConnectionSettings,
        information::PlainInformation,
        listener,
        local_api::LocalApi,
        ops::Ops,
        peer_api::PeerApi,
        stop::{Stop, Stopping, stop},
    },
    store::{Store, StoreError, embedded::Embedded},
    telemetry::{log::LogError, metrics::Metrics},
    tls::{
        self, TlsError,
        authority::{self, Existing, Written},
    },
    wire::{
        host::OwnHost,
        limits::DRAIN_TIME,
        secret::FreshSecret,
        time::{ReadClock, Wall},
    },
};

mod certificates;
mod descriptors;
pub mod doctor;
mod ending;
mod live;
mod metrics;
mod notify;

use certificates::Certificates;
use descriptors::within_descriptors;
use ending::{Ending, Left};
use live::Live;
use notify::News;

pub use crate::telemetry::log::Log;

/// Why the node did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Certificate, key or roots.
    #[error(transparent)]
    Tls(#[from] tls::Unusable),
    /// The data folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data folder is a backup, and nobody said that this is known.
    #[error("the data folder {} is a backup, with tokens that were spent since: start with `ymp serve --restored`", .0.display())]
    Backup(PathBuf),
    /// A listener.
    #[error("{key} = \"{address}\": {cause}; {}", unbound(cause, key, *address))]
    Bind {
        /// The setting.
        key: &'static str,
        /// What it says.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The runtime or the signals.
    #[error("the system refused {what}: {cause}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it says.
        cause: io::Error,
    },
}

/// Where a node that is ready can be reached, with the real ports where 0 was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The peers' listener.
    pub peer: SocketAddr,
    /// The local listener.
    pub local: SocketAddr,
}

/// From what a node starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From the data folder as the last run left it.
    AsLeft,
    /// From a copy of it: the tokens of all links are dropped before anything listens.
    Restored,
}

/// Runs a node until it is told to end; `ready` is called when it can be reached.
///
/// # Errors
/// `AppError`: what kept it from starting.
pub fn serve(config: Config, log: Log, start: Start, ready: impl FnOnce(Ready)) -> Result<(), AppError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|cause| AppError::System { what: "a runtime", cause })?;
    let outcome = runtime.block_on(async { App::build(config, log, start).await?.run(ready).await });
    // Tasks that wait for nothing but a peer are not waited for.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// All parts of a node, bound and not yet running.
struct App {
    node: Node,
    store: Arc<dyn Store>,
    peer: (TcpListener, SocketAddr),
    local: (TcpListener, SocketAddr),
    plain: Option<TcpListener>,
    faces: Faces,
    live: Live,
    signals: Signals,
}

struct Faces {
    peer: PeerApi,
    local: LocalApi,
    plain: Option<PlainInformation>,
    serving: Arc<ArcSwap<rustls::ServerConfig>>,
    connections: Arc<ArcSwap<ConnectionSettings>>,
    metrics: Arc<Metrics>,
    stop: Stop,
    stopping: Stopping,
}

struct Signals {
    ending: Ending,
    hang_up: Signal,
}

impl App {
    async fn build(mut config: Config, log: Log, start: Start) -> Result<Self, AppError> {
        let signals = Signals::new()?;
        config.connections.connections = within_descriptors(config.connections.connections);
        let clock = clock::system();
        let certificates = Certificates::load(&config, clock().wall)?;
        for warning in certificates.warnings() {
            tracing::warn!("{warning}");
        }
        let store: Arc<dyn Store> = open_store(&config, Arc::clone(&clock), start).await?;
        let metrics = Arc::new(Metrics::default());
        let client = Client::new(config.client.clone(), certificates.trusted(), Arc::clone(&clock));
        let node = Node::new(
            config.node.clone(),
            Arc::clone(&store),
            client.clone(),
            Arc::clone(&clock),
            Arc::clone(&metrics),
        )?;
        let peer = bind("peer.listen", config.peer_listen)?;
        let local = bind("local.listen", config.local_listen)?;
        let plain = config.plain_listen.map(|address| bind("peer.plain-listen", address)).transpose()?;
        let (stop, stopping) = stop();
        let access = Arc::new(Access::new(std::mem::take(&mut config.access)));
        let outbox_max = Arc::new(AtomicU64::new(config.store.outbox.messages));
        let ops = Ops::new(
            Arc::clone(&metrics),
            metrics::beside(&node, &store, certificates.expires(), Arc::clone(&outbox_max), clock().wall),
        );
        let faces = Faces {
            local: LocalApi::new(node.clone(), access.clone(), ops, Arc::clone(&metrics), stopping.clone()),
            plain: config.serve.information.clone().map(PlainInformation::new),
            peer: PeerApi::new(node.clone(), config.serve.clone(), Arc::clone(&metrics), Arc::clone(&clock)),
            serving: certificates.serving(),
            connections: Arc::new(ArcSwap::from_pointee(config.connections.clone())),
            metrics,
            stop,
            stopping,
        };
        let live = Live {
            node: node.clone(),
            client,
            store: Arc::clone(&store),
            outbox_max,
            access,
            peer: faces.peer.clone(),
            plain: faces.plain.clone(),
            connections: Arc::clone(&faces.connections),
            log,
            clock,
            config,
            certificates,
        };
        let plain = plain.map(|(listener, _)| listener);
        Ok(Self { node, store, peer, local, plain, faces, live, signals })
    }

    async fn run(self, ready: impl FnOnce(Ready)) -> Result<(), AppError> {
        let Self { node, store, peer, local, plain, faces, live, signals } = self;
        let (stop, stopping, metrics) = (faces.stop, faces.stopping, faces.metrics);
        let peers = listener::serve_peers(
            peer.0,
            faces.serving,
            faces.peer,
            Arc::clone(&faces.connections),
            Arc::clone(&metrics),
            stopping.clone(),
        );
        let apps = listener::serve_local(
            local.0,
            faces.local,
            Arc::new(ArcSwap::from_pointee(ConnectionSettings::local())),
            Arc::clone(&metrics),
            stopping.clone(),
        );
        let information = async move {
            match (plain, faces.plain) {
                (Some(listener), Some(face)) => {
                    listener::serve_local(listener, face, faces.connections, metrics, stopping).await
                }
                (Some(_) | None, _) => 0,
            }
        };
        ready(Ready { peer: peer.1, local: local.1 });
        notify::tell(News::Ready);
        let Signals { mut ending, hang_up } = signals;
        let stopped = async {
            //= NODE-SERVE-02: drains
            tokio::select! {
                () = ending.told() => {}
                () = live.run(hang_up) => {}
            }
            tracing::info!("stopping: finishing what is in hand");
            notify::tell(News::Stopping);
            stop.now();
            node.drain(DRAIN_TIME).await
        };
        let running = node.clone();
        let (peers, apps, information, (), calls) = tokio::join!(
            among_workers(peers),
            among_workers(apps),
            among_workers(information),
            among_workers(async move { running.run().await }),
            stopped,
        );
        // What is left must end with the store, not with an answer that nobody hears.
        ending.leaves(Left::Store);
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        if closed.is_err() {
            tracing::error!("the store did not close in order");
        }
        ending.leaves(Left::Nothing);
        said_at_the_end(peers + information, apps, calls);
        Ok(())
    }
}

/// Runs a part among the runtime's workers: what it waits for comes to a worker, and a thread that it would have to wake for
/// each connection and each alarm costs more than what is done then. Its panic is ours.
async fn among_workers<T: Send + 'static>(part: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(part).await {
        Ok(done) => done,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}

/// Says what was left, if anything was. It is no failure of the stop: others were late, and what was accepted is kept.
fn said_at_the_end(peers: usize, apps: usize, calls: u64) {
    if (peers, apps, calls) == (0, 0, 0) {
        tracing::info!("stopped");
        return;
    }
    tracing::warn!(
        peers,
        apps,
        calls,
        "stopped: connections of peers and apps with requests in hand, and calls to peers, were left; what was accepted is kept"
    );
}

impl Signals {
    fn new() -> Result<Self, AppError> {
        let refused = |cause| AppError::System { what: "a signal", cause };
        Ok(Self {
            ending: Ending::listen().map_err(refused)?,
            hang_up: signal(SignalKind::hangup()).map_err(refused)?,
        })
    }
}

/// The store, without the tokens of a copy.
async fn open_store(config: &Config, clock: ReadClock, start: Start) -> Result<Arc<Embedded>, AppError> {
    let (dir, host) = (&config.data_dir, config.node.host.as_str());
    // To open it may change what an earlier version wrote.
    Embedded::check_host(dir, host)?;
    if start == Start::AsLeft && Embedded::is_backup(dir) {
        return Err(AppError::Backup(dir.clone()));
    }
    let store = Embedded::open(dir, config.store.clone(), clock)?;
    if start == Start::Restored {
        let links = node::drop_tokens(&store).await?;
        store.take_over()?;
        tracing::warn!(links, "restored: the tokens of all links were dropped, peers exchange anew");
    }
    if let Err(error) = store.claim(host) {
        // It may have come to empty a disk that is full.
        tracing::warn!(%error, "the data folder could not be marked as this host's");
    }
    Ok(Arc::new(store))
}

fn bind(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), AppError> {
    let bound = listener::bind(address).and_then(|listener| {
        let real = listener.local_addr()?;
        Ok((listener, real))
    });
    bound.map_err(|cause| AppError::Bind { key, address, cause })
}

/// What to do about a listener that the system refused.
fn unbound(cause: &io::Error, key: &str, address: SocketAddr) -> String {
    if cause.kind() == io::ErrorKind::PermissionDenied && address.port() < 1024 {
        let mend = "ports below 1024 need a right: let the service have CAP_NET_BIND_SERVICE, or set";
        return format!("{mend} {key} to a higher port");
    }
    format!("set {key} to an address of this machine that is free")
}

/// What a configuration's certificates come to, for `check`: what is wrong, and warnings.
#[must_use]
pub fn check_certificates(config: &Config) -> Findings {
    certificates::check(config, now())
}

/// Writes a development CA, unless there is one, and a certificate for each host that has none.
///
/// # Errors
/// As `tls::authority`.
pub fn write_development(dir: &Path, hosts: &[OwnHost]) -> Result<(Vec<PathBuf>, Vec<PathBuf>), TlsError> {
    let Written { written, kept } = authority::write_development(dir, hosts, Existing::Keep, now())?;
    Ok((written, kept))
}

/// Starts the log of this process as its configuration says.
///
/// # Errors
/// `LogError` where there is one already.
pub fn start_log(config: &Config) -> Result<Log, LogError> {
    Log::start(&config.log)
}

/// Both clocks, for commands that wait or show times.
#[must_use]
pub fn clock() -> ReadClock {
    clock::system()
}

/// The time.
#[must_use]
pub fn now() -> Wall {
    clock::system()().wall
}

/// A secret for an app.
#[must_use]
pub fn fresh_token() -> FreshSecret {
    FreshSecret::from_chance(clock::SystemDice.bytes())
}
