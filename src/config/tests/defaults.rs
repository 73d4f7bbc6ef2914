//! What holds where nothing is written is what the documentation says.

use std::{path::Path, time::Duration};

use super::{APP, Config, read_with, with};
use crate::{
    store,
    wire::{host::PeerHost, limits, packet::ServiceKey},
};

/// The block of the documentation, word for word but for the app's token.
const DOCUMENTED: &str = r#"host = "alpha.test"               # the name that peers know us by; required
data-dir = "data"

[peer]                            # the listener that other hosts reach
listen = "0.0.0.0:8443"
certificate = "certs/alpha.test.pem"
key = "certs/alpha.test.key"
certificate-check = "30s"         # how often the files are looked at for renewed ones
request-path = "/request"
grant-path = "/grant"
refresh-path = "/refresh"
packet-path = "/packet"
aliases = []                      # other names under which peers may reach us; any other Host gets 421
# plain-listen = "0.0.0.0:8080"   # host information over plain HTTP, nothing else, for old implementations

[local]                           # the listener that our own apps and the operator reach
listen = "127.0.0.1:8080"

[trust]
web-pki = true                    # the public roots
roots = ["certs/ca.pem"]          # and these

[federation]
policy = "open"                   # or "listed": only hosts under [[peers]]
deny = []                         # host names, "*.example.org" for all below a name
private-addresses = false         # may a host resolve to an address that is not public
ports = [443, "1024-65535"]       # ports that a stranger's host name may carry

[tokens]
lifetime = "1h"                   # of the access tokens that we give
refresh-lifetime = "30d"
grant-wait = "30s"

[delivery]
time-to-live = "7d"
retry-min = "1s"
retry-max = "15m"                 # while the peer was heard from in the last day
retry-max-silent = "6h"           # after that

[inbox]
keep = "30d"
dedupe = "8d"
dedupe-per-peer = 1000000
dedupe-total = 10000000

[limits]
packet-bytes = "1MiB"
packet-messages = 1000
connections-per-address = 256
free-space-min = "256MiB"         # below it nothing more is taken (503), until there is room

[log]
filter = "info"
format = "text"
"#;

const LISTS: &str = r#"
[[peers]]                         # what we know of a peer; everything but host is optional
host = "beta.test"
address = "127.0.0.1:9443"        # connect here, whatever the name resolves to (may be private)
request-path = "/request"         # paths pinned here are not looked up
grant-path = "/grant"
refresh-path = "/refresh"         # request, grant and packet pinned and this one not: an R3 peer;
packet-path = "/packet"           # any other part of the four: the rest is looked up

[[services]]                      # what this host runs, and publishes
protocol = "example"
version = "1.0.0"
services = ["form", "repository"]

[[apps]]                          # who may use the local API
name = "form-app"
token = "at least 16 characters"  # or token-file = "path"
services = ["example/form"]       # may send as these, and read their inboxes
admin = false                     # may see and steer links, dead messages, metrics
"#;

//= NODE-CONF-01
#[test]
fn the_documented_settings_are_the_defaults() {
    let (documented, _) = read_with(&format!("{DOCUMENTED}{APP}"), &[]).unwrap();
    let (defaults, _) = with("[trust]\nroots = [\"certs/ca.pem\"]").unwrap();
    let without_places = |mut config: Config| {
        config.places.clear();
        config.at_start.clear();
        format!("{config:?}")
    };
    assert_eq!(without_places(documented), without_places(defaults));
}

//= HT-ASK-23, HT-PKT-16, NODE-CONF-01, NODE-CONF-07
#[test]
fn the_defaults_are_those_of_the_documentation() {
    let (config, warnings) = with("").unwrap();
    let day = Duration::from_secs(24 * 3600);
    let node = &config.node;
    assert_eq!(node.token_lifetime, Duration::from_secs(3600));
    assert_eq!((node.refresh_lifetime, node.grant_wait), (30 * day, Duration::from_secs(30)));
    assert_eq!((node.time_to_live, node.inbox_keep), (7 * day, 30 * day));
    assert_eq!((node.retry_min, node.retry_max), (Duration::from_secs(1), Duration::from_secs(900)));
    assert_eq!(node.retry_max_silent, Duration::from_secs(6 * 3600));
    assert_eq!((node.packet_bytes, node.packet_messages), (limits::PACKET_BYTES, limits::PACKET_MESSAGES));
    assert_eq!((node.packets_per_second, node.grant_slots), (1000, 64));
    assert!(!config.client.private_addresses && node.policy.listed.is_none() && node.policy.deny.is_empty());
    assert_eq!(config.client.ports, [443..=443, 1024..=65535]);
    assert_eq!((config.connections.connections_per_address, config.plain_listen), (256, None));
    assert_eq!(format!("{:?}", config.store), format!("{:?}", store::Settings::default()));
    assert_eq!(config.tls.certificate, Path::new("/etc/ymp/certs/alpha.test.pem"));
    assert_eq!(config.tls.key, Path::new("/etc/ymp/certs/alpha.test.key"));
    assert!(config.tls.web_pki && config.tls.roots.is_empty());
    assert_eq!(config.data_dir, Path::new("/etc/ymp/data"));
    assert_eq!(config.peer_listen.to_string(), "0.0.0.0:8443");
    assert_eq!(config.local_listen.to_string(), "127.0.0.1:8080");
    assert_eq!(warnings, []);
}

//= YMP-INFO-05
#[test]
fn the_documented_lists_are_read() {
    let (config, warnings) = read_with(&format!("{DOCUMENTED}{LISTS}"), &[]).unwrap();
    let form = ServiceKey::new("example", "form");
    let pin = &config.node.peers[&PeerHost::parse("beta.test").unwrap()];
    assert!(pin.address.is_some());
    assert_eq!(pin.paths.refresh.as_ref().unwrap().as_str(), "/refresh");
    assert_eq!(config.node.services, [form.clone(), ServiceKey::new("example", "repository")]);
    assert_eq!(config.node.readers[&form], ["form-app"]);
    let document = config.serve.information.unwrap();
    let document: serde_json::Value = serde_json::from_slice(document.bytes()).unwrap();
    assert_eq!(document["message-protocols"][0]["version"], "1.0.0");
    assert_eq!(config.access.apps[0].services, [form]);
    assert_eq!(config.access.apps[0].token.as_str(), "at least 16 characters");
    assert_eq!(warnings, []);
}
