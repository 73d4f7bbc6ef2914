//! What `[[peers]]`, `[[services]]`, `[[apps]]` and `metrics.peers` mean.
//!
//! What the host runs is what it publishes and whatever an app may read besides. A token is taken from the file or from
//! a file of its own, and appears in no finding.

use std::collections::{HashMap, HashSet};

use super::{
    reader::Reader,
    sections::{Federation, HOST_MEND, PATH_MEND, distinct, peer_host},
};
use crate::{
    access::AppSettings,
    client::Address,
    node::PeerPin,
    wire::{
        host::{OwnHost, PeerHost},
        information::Offered,
        limits::METRICS_PEERS_MAX,
        packet::ServiceKey,
        parameters::PinnedPaths,
        path::UrlPath,
        policy::Policy,
    },
};

const TOKEN_CHARACTERS_MIN: usize = 16;
const SERVICE_MEND: &str = "write \"protocol/service\", as in \"example/form\"";

/// `[[peers]]`.
pub(super) fn peers(
    root: &Reader<'_>,
    ours: &[&OwnHost],
    federation: &Federation,
) -> HashMap<PeerHost, PeerPin> {
    let policy = Policy { listed: None, deny: federation.deny.clone() };
    let mut all = HashMap::new();
    for reader in root.tables("peers") {
        let pin = pin(&reader);
        let Some(host) = peer_host(&reader) else { continue };
        if ours.iter().any(|own| own.is(&host)) {
            reader.problem_at(
                "host",
                "is this host itself",
                "remove the table: a host needs no link to itself",
            );
        }
        if !policy.allows(&host) {
            reader.warn_at("host", "is refused by `federation.deny`", "remove it here or there");
        }
        if all.insert(host, pin).is_some() {
            reader.problem_at("host", "stands under [[peers]] already", "make one table of the two");
        }
    }
    if federation.listed && all.is_empty() {
        let what = "is \"listed\" and nothing stands under [[peers]]: nobody can federate";
        root.table("federation").warn_at("policy", what, "add [[peers]] host = \"..\"");
    }
    all
}

/// `metrics.peers`: peers with series of their own.
pub(super) fn metrics_peers(reader: &Reader<'_>, ours: &[&OwnHost]) -> Vec<PeerHost> {
    let mut all: Vec<PeerHost> = Vec::new();
    for text in reader.texts("peers") {
        let Some(found) = reader.parse(text, HOST_MEND, PeerHost::parse_human) else { continue };
        if ours.iter().any(|own| own.is(&found.value)) {
            reader.problem(&found.key, &found.place, "is this host itself", "name a peer, or remove it");
        } else if all.contains(&found.value) {
            reader.warn(&found.key, &found.place, "stands in the list already", "remove it");
        } else {
            all.push(found.value);
        }
    }
    if all.len() > METRICS_PEERS_MAX {
        let what = format!("names {} peers: a time series database bears {METRICS_PEERS_MAX}", all.len());
        reader.problem_at("peers", &what, "name those that matter most");
    }
    all
}

fn pin(reader: &Reader<'_>) -> PeerPin {
    let path = |name: &str| reader.parsed(name, PATH_MEND, UrlPath::parse).map(|found| found.value);
    let address_mend = "write an address or a name with a port: \"127.0.0.1:9443\"";
    let pin = PeerPin {
        address: reader.parsed("address", address_mend, str::parse::<Address>).map(|found| found.value),
        paths: PinnedPaths {
            request: path("request-path"),
            grant: path("grant-path"),
            refresh: path("refresh-path"),
            packet: path("packet-path"),
        },
    };
    let named = [
        ("request-path", &pin.paths.request),
        ("grant-path", &pin.paths.grant),
        ("refresh-path", &pin.paths.refresh),
        ("packet-path", &pin.paths.packet),
    ];
    distinct(reader, &named);
    pin
}

/// `[[services]]`, as published.
pub(super) fn services(root: &Reader<'_>) -> Vec<Offered> {
    let mut all: Vec<Offered> = Vec::new();
    let mut seen = HashSet::new();
    for reader in root.tables("services") {
        let Some(protocol) = reader.required("protocol", "write the protocol's name") else { continue };
        if protocol.value.is_empty() || protocol.value.contains('/') {
            reader.problem_at("protocol", "must be a name without `/`", "write the protocol's name");
        }
        let mut names = Vec::new();
        for service in reader.texts("services") {
            if service.value.is_empty() {
                reader.problem(&service.key, &service.place, "is empty", "write the service's name");
            } else if seen.insert(ServiceKey::new(protocol.value, service.value)) {
                names.push(service.value.to_owned());
            } else {
                reader.warn(&service.key, &service.place, "stands under [[services]] already", "remove it");
            }
        }
        if !reader.has("services") {
            reader.problem_at("services", "is missing", "write services = [\"form\"]");
        }
        let version = reader.text("version").map_or("1.0.0", |found| found.value);
        if version.is_empty() {
            reader.problem_at("version", "is empty", "write a version such as \"1.0.0\"");
        }
        all.push(Offered {
            protocol: protocol.value.to_owned(),
            version: version.to_owned(),
            services: names,
        });
    }
    all
}

/// `[[apps]]`.
pub(super) fn apps(root: &Reader<'_>, published: &[ServiceKey]) -> Vec<AppSettings> {
    let (mut all, mut names) = (Vec::<AppSettings>::new(), Vec::new());
    for reader in root.tables("apps") {
        let name = reader.required("name", "write a name for the app").map(|found| found.value);
        let token = token(&reader);
        let services = app_services(&reader, published);
        let admin = reader.flag("admin", false);
        if services.is_empty() && !admin && !reader.has("services") {
            reader.warn_at(
                "services",
                "is missing: the app may do nothing",
                "write services = [\"example/form\"], or admin = true",
            );
        }
        let Some(name) = name else { continue };
        if name.is_empty() {
            reader.problem_at("name", "is empty", "write a name for the app");
        } else if names.contains(&name) {
            reader.problem_at("name", "stands under [[apps]] already", "give each app its own name");
        }
        names.push(name);
        let Some(token) = token else { continue };
        if let Some(other) = all.iter().find(|app| *app.token == token) {
            let key = if reader.has("token") { "token" } else { "token-file" };
            reader.problem_at(
                key,
                &format!("is also that of `{}`", other.name),
                "give each app its own token",
            );
        }
        all.push(AppSettings { name: name.to_owned(), token: token.into(), services, admin });
    }
    if !root.has("apps") {
        root.warn_at(
            "apps",
            "has no table: nobody can use the local API",
            "add [[apps]] with name, token and services",
        );
    }
    all
}

fn token(reader: &Reader<'_>) -> Option<String> {
    const MEND: &str = "write at least 16 visible ASCII characters, best random ones: `ymp init` makes one";
    let (key, text) = match (reader.has("token"), reader.has("token-file")) {
        (true, true) => {
            reader.problem_at("token-file", "stands beside `token`", "keep one of the two");
            return None;
        }
        (false, false) => {
            reader.problem_at("token", "is missing", "write token = \"..\" or token-file = \"path\"");
            return None;
        }
        (true, false) => ("token", reader.text("token")?.value.to_owned()),
        (false, true) => {
            let path = reader.path("token-file")?;
            let text = std::fs::read_to_string(&path).map_err(|error| {
                let what = format!("cannot be read: {}: {error}", path.display());
                reader.problem_at("token-file", &what, "write the token into that file, or name another");
            });
            ("token-file", text.ok()?.trim().to_owned())
        }
    };
    if text.len() < TOKEN_CHARACTERS_MIN {
        reader.problem_at(key, "is shorter than 16 characters", MEND);
        return None;
    }
    // A header carries inner spaces, but not those at the ends.
    if text.trim() != text || !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        reader.problem_at(key, "holds what a header cannot carry", MEND);
        return None;
    }
    Some(text)
}

fn app_services(reader: &Reader<'_>, published: &[ServiceKey]) -> Vec<ServiceKey> {
    let mut all = Vec::new();
    for text in reader.texts("services") {
        let Some(found) = reader.parse(text, SERVICE_MEND, service_key) else { continue };
        if !published.contains(&found.value) {
            let what = format!("`{}` runs here but is not published", found.value);
            reader.warn(&found.key, &found.place, &what, "add it under [[services]] if peers shall find it");
        }
        if !all.contains(&found.value) {
            all.push(found.value);
        }
    }
    all
}

/// `protocol/service`.
pub(super) fn service_key(text: &str) -> Result<ServiceKey, &'static str> {
    match text.split_once('/') {
        Some((protocol, service)) if !protocol.is_empty() && !service.is_empty() => {
            Ok(ServiceKey::new(protocol, service))
        }
        _ => Err("it is no service"),
    }
}
