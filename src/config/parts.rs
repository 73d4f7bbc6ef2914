//! All sections together, sorted by the room that must know them.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf};

use super::{
    lists,
    reader::Reader,
    sections::{self, Delivery, Federation, Inbox, Limits, Peer, Tokens, Trust},
};
use crate::{
    access::AppSettings,
    client,
    node::{self, PeerPin},
    serve::{self, ConnectionSettings, information::Document},
    store,
    telemetry::log,
    wire::{
        host::{OwnHost, PeerHost},
        information::{self, Offered, Taken},
        limits,
        packet::ServiceKey,
        path::Paths,
        policy::Policy,
    },
};

/// Calls to strangers under way at one address: a stranger cannot make us flood a third host.
const STRANGER_DIALS_PER_ADDRESS: usize = 4;

/// What the file and the environment mean, section by section.
pub(super) struct Parts {
    pub(super) host: OwnHost,
    pub(super) paths: Paths,
    pub(super) data_dir: PathBuf,
    pub(super) peer: Peer,
    pub(super) local_listen: SocketAddr,
    pub(super) trust: Trust,
    pub(super) federation: Federation,
    pub(super) tokens: Tokens,
    pub(super) delivery: Delivery,
    pub(super) inbox: Inbox,
    pub(super) bounds: Limits,
    pub(super) log: log::Settings,
    pub(super) metrics_peers: Vec<PeerHost>,
    pub(super) peers: HashMap<PeerHost, PeerPin>,
    pub(super) published: Vec<Offered>,
    pub(super) apps: Vec<AppSettings>,
    /// What is published, and what an app reads besides.
    pub(super) services: Vec<ServiceKey>,
}

impl Parts {
    /// Reads every section, so that every problem is found; `None` only where one was noted.
    pub(super) fn read(root: &Reader<'_>) -> Option<Self> {
        let host = sections::host(root);
        let mut peer = sections::peer(&root.table("peer"), host.as_ref());
        let local_listen = sections::local(&root.table("local"), &peer);
        let trust = sections::trust(&root.table("trust"));
        let federation = sections::federation(&root.table("federation"));
        let tokens = sections::tokens(&root.table("tokens"));
        let delivery = sections::delivery(&root.table("delivery"));
        let inbox = sections::inbox(&root.table("inbox"));
        let bounds = sections::limits(&root.table("limits"));
        let log = sections::log(&root.table("log"));
        let ours: Vec<&OwnHost> = host.iter().chain(&peer.aliases).collect();
        let metrics_peers = lists::metrics_peers(&root.table("metrics"), &ours);
        let peers = lists::peers(root, &ours, &federation);
        let published = lists::services(root);
        let mut services = service_keys(&published);
        let apps = lists::apps(root, &services);
        for service in apps.iter().flat_map(|app| &app.services) {
            if !services.contains(service) {
                services.push(service.clone());
            }
        }
        let data_dir = root.path_or("data-dir", "data");
        let (host, paths) = (host?, peer.paths.take()?);
        Some(Self {
            host,
            paths,
            data_dir,
            peer,
            local_listen,
            trust,
            federation,
            tokens,
            delivery,
            inbox,
            bounds,
            log,
            metrics_peers,
            peers,
            published,
            apps,
            services,
        })
    }

    //= NODE-CONF-08: open, or listed
    /// What `node` must know.
    pub(super) fn node(&self) -> node::Settings {
        let listed = self.federation.listed.then(|| self.peers.keys().cloned().collect());
        node::Settings {
            host: self.host.clone(),
            aliases: self.peer.aliases.clone(),
            services: self.services.clone(),
            readers: readers(&self.apps),
            policy: Policy { listed, deny: self.federation.deny.clone() },
            peers: self.peers.clone(),
            token_lifetime: self.tokens.lifetime,
            refresh_lifetime: self.tokens.refresh_lifetime,
            grant_wait: self.tokens.grant_wait,
            time_to_live: self.delivery.time_to_live,
            retry_min: self.delivery.retry_min,
            retry_max: self.delivery.retry_max,
            retry_max_silent: self.delivery.retry_max_silent,
            inbox_keep: self.inbox.keep,
            packet_bytes: self.bounds.packet_bytes,
            packet_messages: self.bounds.packet_messages,
            packets_per_second: self.bounds.packets_per_second,
            grant_slots: self.bounds.grant_slots,
            links: self.bounds.links,
            metrics_peers: self.metrics_peers.clone(),
        }
    }

    //= NODE-CONF-11: in both directions
    /// What `serve` must know.
    pub(super) fn serve(&self) -> serve::Settings {
        let taken =
            Taken { packet_bytes: self.bounds.packet_bytes, packet_messages: self.bounds.packet_messages };
        serve::Settings {
            aliases: self.peer.aliases.clone(),
            packet_bytes: self.bounds.packet_bytes,
            packet_messages: self.bounds.packet_messages,
            information: Some(Document::new(
                information::document(&self.paths, taken, &self.published).into(),
            )),
            ..serve::Settings::new(self.host.clone(), self.paths.clone())
        }
    }

    /// What the peers' listener must know.
    pub(super) fn connections(&self) -> ConnectionSettings {
        ConnectionSettings {
            connections: self.bounds.connections,
            connections_per_address: self.bounds.connections_per_address,
            body_bytes: self.bounds.packet_bytes,
            proxies: self.peer.proxies.clone(),
            ..ConnectionSettings::default()
        }
    }

    /// What `client` must know.
    pub(super) fn client(&self) -> client::Settings {
        client::Settings {
            private_addresses: self.federation.private_addresses,
            ports: self.federation.ports.clone(),
            call_time: limits::CALL_TIME,
            ping_every: limits::PING_EVERY,
            ping_time: limits::PING_TIME,
            idle_time: limits::IDLE_TIME,
            stranger_dials_per_address: STRANGER_DIALS_PER_ADDRESS,
        }
    }

    /// What `store` must know.
    pub(super) fn store(&self) -> store::Settings {
        store::Settings {
            dedupe: self.inbox.dedupe,
            dedupe_per_peer: self.inbox.dedupe_per_peer,
            dedupe_total: self.inbox.dedupe_total,
            free_space_min: self.bounds.free_space_min,
            outbox: store::OutboxBounds {
                messages: self.bounds.outbox_messages,
                messages_per_peer: self.bounds.outbox_messages_per_peer,
            },
            ..store::Settings::default()
        }
    }
}

fn service_keys(published: &[Offered]) -> Vec<ServiceKey> {
    let keys = |entry: &Offered| {
        entry.services.iter().map(|service| ServiceKey::new(&entry.protocol, service)).collect::<Vec<_>>()
    };
    published.iter().flat_map(keys).collect()
}

/// For each service the apps that may read its inbox.
fn readers(apps: &[AppSettings]) -> HashMap<ServiceKey, Vec<String>> {
    let mut all: HashMap<ServiceKey, Vec<String>> = HashMap::new();
    for app in apps {
        for service in &app.services {
            all.entry(service.clone()).or_default().push(app.name.clone());
        }
    }
    all
}
