//! The one place that builds all parts, binds, runs, and drains in order; the only one that names a store engine.
//!
//! ```text
//!   start: certificates -> store -> client -> node -> sockets -> ready -> couriers and faces
//!   end:   SIGTERM or ctrl-c -> faces and couriers finish what is in hand -> the store is flushed -> exit 0
//! ```
//!
//! Everything that can fail fails before `ready`. A second signal ends the process at once.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    access::Access,
    client::Client,
    config::Config,
    link::dice::Dice as _,
    node::{Node, clock},
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
        limits::{DESCRIPTORS_RESERVED, DRAIN_TIME},
        secret::FreshSecret,
        time::{ReadClock, Wall},
    },
};

pub use crate::telemetry::log::Log;

/// Why the node did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Certificate, key or roots.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The data folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A listener.
    #[error("{key} = \"{address}\": {cause}; set {key} to an address of this machine that is free")]
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

/// Runs a node until it is told to end; `ready` is called when it can be reached.
///
/// # Errors
/// `AppError`: what kept it from starting.
pub fn serve(config: Config, _log: Log, ready: impl FnOnce(Ready)) -> Result<(), AppError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|cause| AppError::System { what: "a runtime", cause })?;
    let outcome = runtime.block_on(async { App::build(config)?.run(ready).await });
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
    signals: Signals,
}

struct Faces {
    peer: PeerApi,
    local: LocalApi,
    plain: Option<PlainInformation>,
    certificates: Certificates,
    connections: ConnectionSettings,
    metrics: Arc<Metrics>,
    stop: Stop,
    stopping: Stopping,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl App {
    fn build(mut config: Config) -> Result<Self, AppError> {
        let signals = Signals::new()?;
        config.connections.connections = within_descriptors(config.connections.connections);
        let clock = clock::system();
        let identity = tls::load(&config.tls, &config.node.host, clock().wall)?;
        let certificates = Certificates {
            settings: config.tls,
            host: config.node.host.clone(),
            serving: Arc::new(ArcSwap::new(Arc::clone(&identity.server))),
        };
        for warning in &identity.certificate.warnings {
            tracing::warn!("{warning}");
        }
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(&config.data_dir, config.store, Arc::clone(&clock))?);
        let metrics = Arc::new(Metrics::default());
        let client = Client::new(config.client, identity.client, Arc::clone(&clock));
        let node =
            Node::new(config.node, Arc::clone(&store), client, Arc::clone(&clock), Arc::clone(&metrics))?;
        let peer = bind("peer.listen", config.peer_listen)?;
        let local = bind("local.listen", config.local_listen)?;
        let plain = config.plain_listen.map(|address| bind("peer.plain-listen", address)).transpose()?;
        let (stop, stopping) = stop();
        let access = Arc::new(Access::new(config.access));
        let ops = Ops::new(Arc::clone(&metrics), gauges(&node, &store));
        let faces = Faces {
            local: LocalApi::new(node.clone(), access, ops, Arc::clone(&metrics), stopping.clone()),
            plain: config.serve.information.clone().map(PlainInformation::new),
            peer: PeerApi::new(node.clone(), config.serve, Arc::clone(&metrics), clock),
            certificates,
            connections: config.connections,
            metrics,
            stop,
            stopping,
        };
        let plain = plain.map(|(listener, _)| listener);
        Ok(Self { node, store, peer, local, plain, faces, signals })
    }

    async fn run(self, ready: impl FnOnce(Ready)) -> Result<(), AppError> {
        let Self { node, store, peer, local, plain, faces, mut signals } = self;
        let certificates = faces.certificates;
        let (stop, stopping, metrics) = (faces.stop, faces.stopping, faces.metrics);
        let peers = listener::serve_peers(
            peer.0,
            Arc::clone(&certificates.serving),
            faces.peer,
            faces.connections.clone(),
            Arc::clone(&metrics),
            stopping.clone(),
        );
        let apps = listener::serve_local(
            local.0,
            faces.local,
            ConnectionSettings::local(),
            Arc::clone(&metrics),
            stopping.clone(),
        );
        let information = async {
            if let (Some(listener), Some(face)) = (plain, faces.plain) {
                listener::serve_local(listener, face, faces.connections, metrics, stopping).await;
            }
        };
        ready(Ready { peer: peer.1, local: local.1 });
        let stopped = async {
            signals.end(&certificates).await;
            tracing::info!("stopping: finishing what is in hand");
            stop.now();
            if !node.drain(DRAIN_TIME).await {
                tracing::warn!("calls to peers were left unfinished: their messages stay queued");
            }
        };
        tokio::join!(peers, apps, information, node.run(), stopped);
        // What is left must end with the store, not with an answer that nobody hears.
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        if closed.is_err() {
            tracing::error!("the store did not close in order");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// What we show to peers, and where it comes from.
struct Certificates {
    settings: tls::Settings,
    host: OwnHost,
    serving: Arc<ArcSwap<rustls::ServerConfig>>,
}

impl Certificates {
    /// SIGHUP: the certificate and its key from their files. What cannot be used is said, and the old one stays.
    fn read_again(&self) {
        match tls::load(&self.settings, &self.host, now()) {
            Ok(identity) => {
                self.serving.store(identity.server);
                tracing::info!("SIGHUP: new connections are shown the certificate that lies there now");
            }
            Err(error) => tracing::error!(%error, "SIGHUP: the certificate stays as it was"),
        }
        tracing::warn!("SIGHUP: all other settings are read at the start only");
    }
}

impl Signals {
    fn new() -> Result<Self, AppError> {
        let listen = |kind| signal(kind).map_err(|cause| AppError::System { what: "a signal", cause });
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Returns at the first signal to end. After it, a second one ends the process at once.
    async fn end(&mut self, certificates: &Certificates) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hang_up.recv() => certificates.read_again(),
            }
        }
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            return;
        };
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::warn!("told to stop twice: stopping at once");
            std::process::exit(1);
        });
    }
}

/// Raises the limit of open files as far as it goes; answers how many connections fit beside what the node needs itself.
fn within_descriptors(wanted: usize) -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    let open = if setrlimit(Resource::Nofile, raised).is_ok() { limits.maximum } else { limits.current };
    let Some(open) = open.and_then(|open| usize::try_from(open).ok()) else { return wanted };
    let fit = open.saturating_sub(DESCRIPTORS_RESERVED).max(open / 2);
    if wanted > fit {
        tracing::warn!(
            wanted,
            fit,
            "limits.connections is more than the limit of open files allows: taking what fits"
        );
    }
    wanted.min(fit)
}

fn bind(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), AppError> {
    let bound = listener::bind(address).and_then(|listener| {
        let real = listener.local_addr()?;
        Ok((listener, real))
    });
    bound.map_err(|cause| AppError::Bind { key, address, cause })
}

fn gauges(node: &Node, store: &Arc<dyn Store>) -> crate::serve::ops::ExtraMetrics {
    let (node, store) = (node.clone(), Arc::clone(store));
    Arc::new(move |text| {
        node.write_gauges(text);
        let figures = store.figures();
        use crate::telemetry::metrics::write_metric as write;
        write(text, "ymp_store_commits_total", "counter", "Commits made.", figures.commits);
        write(text, "ymp_store_batches_total", "counter", "Batches that they held.", figures.batches);
        write(
            text,
            "ymp_store_failed_commits_total",
            "counter",
            "Commits that failed.",
            figures.failed_commits,
        );
        write(
            text,
            "ymp_dedupe_entries",
            "gauge",
            "Messages that repeats are recognised of.",
            figures.window_entries,
        );
        let help = "Entries that left the window of repeats early, for want of room.";
        write(text, "ymp_dedupe_evicted_total", "counter", help, figures.window_evicted);
    })
}

/// What a configuration's certificates come to, for `check`: warnings, or what is wrong.
///
/// # Errors
/// As `tls::load`.
pub fn check_certificates(config: &Config) -> Result<Vec<String>, TlsError> {
    tls::load(&config.tls, &config.node.host, now()).map(|identity| identity.certificate.warnings)
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
