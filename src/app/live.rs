//! A node that runs goes on under other settings: SIGHUP, and certificates that changed on disk.
//!
//! ```text
//!   SIGHUP -> the configuration is read again -> all of it can be used, certificates too? --no--> every problem is said,
//!                                                        | yes                                   nothing changes
//!                                                        v
//!             log, store, client, node, faces, apps take their part; one line says what changed
//! ```
//!
//! Each part swaps its settings as a whole and reads them once per call, so that no call sees two configurations and nothing
//! that is open or under way ends. One task does all of this, so that two readings never cross.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use tokio::{signal::unix::Signal, task::spawn_blocking, time::sleep};

use super::{
    certificates::{self, Certificates, Loaded, Look, Renewed},
    descriptors::within_descriptors,
};
use crate::{
    access::Access,
    client::Client,
    config::{
        Again, Config,
        changes::Changes,
        environment,
        finding::{Finding, Place},
    },
    node::Node,
    serve::{ConnectionSettings, information::PlainInformation, peer_api::PeerApi},
    store::Store,
    telemetry::log::Log,
    wire::time::{ReadClock, Wall},
};

/// What the node runs on, and every part that takes settings while it runs.
pub(super) struct Live {
    pub(super) node: Node,
    pub(super) client: Client,
    pub(super) store: Arc<dyn Store>,
    /// `limits.outbox-messages`, for the metrics.
    pub(super) outbox_max: Arc<AtomicU64>,
    pub(super) access: Arc<Access>,
    pub(super) peer: PeerApi,
    pub(super) plain: Option<PlainInformation>,
    pub(super) connections: Arc<ArcSwap<ConnectionSettings>>,
    pub(super) log: Log,
    pub(super) clock: ReadClock,
    /// As it is now, without the apps: their tokens are not kept.
    pub(super) config: Config,
    pub(super) certificates: Certificates,
}

impl Live {
    /// Until the node ends.
    pub(super) async fn run(mut self, mut hang_up: Signal) {
        loop {
            let time_to_look = sleep(self.config.tls.check_every);
            tokio::select! {
                _ = hang_up.recv() => self.read_again().await,
                () = time_to_look => self.look().await,
            }
        }
    }

    //= NODE-SERVE-03, NODE-SERVE-04: SIGHUP reads both again
    /// SIGHUP.
    async fn read_again(&mut self) {
        let (config, now) = (self.config.clone(), (self.clock)().wall);
        match spawn_blocking(move || read(&config, now)).await {
            Ok(Ok((again, loaded))) => self.take(again, loaded),
            Ok(Err(problems)) => {
                for problem in &problems {
                    tracing::error!("SIGHUP: {problem}");
                }
                let problems = problems.len();
                tracing::warn!(problems, "SIGHUP: the configuration cannot be used: all stays as it was");
            }
            Err(failure) => tracing::error!(%failure, "SIGHUP: reading ended without an outcome"),
        }
    }

    fn take(&mut self, again: Again, loaded: Loaded) {
        let Again { mut config, warnings, waiting } = again;
        config.connections.connections = within_descriptors(config.connections.connections);
        let mut changes = Changes::between(&self.config, &config);
        for warning in warnings.iter().map(Finding::to_string).chain(loaded.warnings().iter().cloned()) {
            tracing::warn!("SIGHUP: {warning}");
        }
        self.log.renew(&config.log.filter);
        self.store.bound(config.store.outbox);
        self.outbox_max.store(config.store.outbox.messages, Ordering::Relaxed);
        let renewed = self.certificates.take(loaded);
        changes.note("certificates changed", renewed.names());
        let calls_otherwise = renewed.roots || config.client != self.config.client;
        if calls_otherwise {
            self.client.renew(config.client.clone(), &self.certificates.trusted());
        }
        self.node.renew(config.node.clone());
        if calls_otherwise {
            self.node.try_all();
        }
        self.connections.store(Arc::new(config.connections.clone()));
        self.peer.renew(config.serve.clone());
        if let (Some(plain), Some(document)) = (&self.plain, &config.serve.information) {
            plain.renew(document.clone());
        }
        let apps = self.access.replace(std::mem::take(&mut config.access));
        changes.note("apps added", apps.added.iter());
        changes.note("apps removed", apps.removed.iter());
        changes.note("apps changed", apps.changed.iter());
        self.config = config;
        say_what_waits(&waiting);
        tracing::info!("SIGHUP: the configuration was read again: {changes}");
    }

    /// Certificates may have been renewed.
    async fn look(&mut self) {
        let (config, now) = (self.config.clone(), (self.clock)());
        let last = self.certificates.sight();
        match spawn_blocking(move || certificates::look(&config, &last, now.wall)).await {
            Ok(Look::Same) => {}
            Ok(Look::Renewed(loaded)) => self.take_certificates(loaded),
            Ok(Look::Unusable(sight, why)) => self.certificates.refuse(sight, &why),
            Err(failure) => {
                tracing::error!(%failure, "the look at the certificates ended without an outcome")
            }
        }
        self.certificates.remind(&self.config, now);
    }

    fn take_certificates(&mut self, loaded: Loaded) {
        for warning in loaded.warnings() {
            tracing::warn!("{warning}");
        }
        let renewed = self.certificates.take(loaded);
        if renewed.roots {
            self.client.renew(self.config.client.clone(), &self.certificates.trusted());
            self.node.try_all();
        }
        // Files that were only touched are no news.
        if renewed != (Renewed { own: false, roots: false }) {
            let what = renewed.names().collect::<Vec<_>>().join(" and ");
            tracing::info!("{what} changed on disk: new connections go by what lies there now");
        }
    }
}

/// All that a configuration names, or all that is wrong with it.
fn read(config: &Config, now: Wall) -> Result<(Again, Loaded), Vec<Finding>> {
    let again = config.read_again(environment()).map_err(|error| error.0.problems)?;
    let loaded = Loaded::load(&again.config, now);
    let loaded = loaded.map_err(|why| certificates::problems(&again.config, &why))?;
    Ok((again, loaded))
}

fn say_what_waits(waiting: &[(&'static str, Place)]) {
    for (key, place) in waiting {
        tracing::warn!("SIGHUP: {place}: {key}: needs a restart to change: it stays as it was until then");
    }
}
