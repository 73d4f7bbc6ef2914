//! The rules of the configuration, one by one.

use std::{path::Path, time::Duration};

use super::{Config, ConfigError, finding::Finding};
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

const APP: &str = "[[apps]]\nname = \"a\"\ntoken = \"0123456789abcdef\"\nadmin = true\n";

fn read_with(text: &str, env: &[(&str, &str)]) -> Result<(Config, Vec<Finding>), ConfigError> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::read(Path::new("/etc/ymp/ymp.toml"), text, env)
}

/// A configuration of `host`, this, and an app.
fn with(text: &str) -> Result<(Config, Vec<Finding>), ConfigError> {
    read_with(&format!("host = \"alpha.test\"\n{text}\n{APP}"), &[])
}

/// The problems as `line key: what; mend`.
fn problems(result: Result<(Config, Vec<Finding>), ConfigError>) -> Vec<String> {
    result.map(|_| ()).unwrap_err().0.problems.iter().map(ToString::to_string).collect()
}

fn one_problem(text: &str) -> String {
    let all = problems(with(text));
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all[0].strip_prefix("/etc/ymp/ymp.toml:").unwrap().to_owned()
}

fn one_warning(text: &str) -> String {
    let (_, all) = with(text).unwrap();
    assert_eq!(all.len(), 1, "{text}: {all:?}");
    all[0].to_string()
}

#[test]
fn the_documented_settings_are_the_defaults() {
    let (documented, _) = read_with(&format!("{DOCUMENTED}{APP}"), &[]).unwrap();
    let (defaults, _) = with("[trust]\nroots = [\"certs/ca.pem\"]").unwrap();
    assert_eq!(format!("{documented:?}"), format!("{defaults:?}"));
}

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
    assert!(!node.private_addresses && node.policy.listed.is_none() && node.policy.deny.is_empty());
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

#[test]
fn the_documented_lists_are_read() {
    let (config, warnings) = read_with(&format!("{DOCUMENTED}{LISTS}"), &[]).unwrap();
    let form = ServiceKey::new("example", "form");
    let pin = &config.node.peers[&PeerHost::parse("beta.test").unwrap()];
    assert!(pin.address.is_some());
    assert_eq!(pin.refresh.as_ref().unwrap().as_str(), "/refresh");
    assert_eq!(config.node.services, [form.clone(), ServiceKey::new("example", "repository")]);
    assert_eq!(config.node.readers[&form], ["form-app"]);
    let document = config.serve.information.unwrap();
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["message-protocols"][0]["version"], "1.0.0");
    assert_eq!(config.access.apps[0].services, [form]);
    assert_eq!(config.access.apps[0].token.as_str(), "at least 16 characters");
    assert_eq!(warnings, []);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    assert_eq!(
        one_problem("[peer]\nlistn = \"0.0.0.0:1\""),
        "3: peer.listn: is not a known key; did you mean `peer.listen`?"
    );
    assert_eq!(
        one_problem("\n[[peers]]\nhost = \"b.test\"\nadress = \"x:1\""),
        "5: peers[0].adress: is not a known key; did you mean `peers.address`?"
    );
    assert!(one_problem("[limit]\npacket-messages = 1").contains("did you mean `limits`?"));
}

#[test]
fn all_problems_are_found_at_once_in_the_order_of_the_file() {
    let all = problems(read_with(
        "[peer]\nlisten = \"nowhere\"\n[tokens]\nlifetime = \"1 fortnight\"\n[trust]\nweb-pki = \"yes\"\n",
        &[],
    ));
    let starts = [
        "ymp.toml: host: is missing",
        "ymp.toml:2: peer.listen:",
        "ymp.toml:4: tokens.lifetime:",
        "ymp.toml:6: trust.web-pki:",
    ];
    assert_eq!(all.len(), starts.len(), "{all:?}");
    for (problem, start) in all.iter().zip(starts) {
        assert!(problem.starts_with(&format!("/etc/ymp/{start}")), "{problem}");
    }
}

#[test]
fn what_is_not_toml_is_named_with_its_line() {
    let problem = one_problem("[peer\nlisten = 1");
    assert!(problem.starts_with("2: is not TOML: "), "{problem}");
    assert!(one_problem("host = \"twice.test\"").starts_with("2: is not TOML: "));
}

#[test]
fn each_rule_of_a_section_is_kept() {
    for (text, start) in [
        ("[peer]\nlisten = \"localhost:8443\"", "3: peer.listen: `localhost:8443` does not do"),
        ("[peer]\nrequest-path = \"request\"", "3: peer.request-path: `request` does not do"),
        ("[peer]\ngrant-path = \"/packet\"", "2: peer.packet-path: is the same as `grant-path`"),
        (
            "[peer]\npacket-path = \"/.well-known/ymp\"",
            "3: peer.packet-path: is where the host information stands",
        ),
        ("[peer]\naliases = [\n\"a_b\"]", "4: peer.aliases[0]: `a_b` does not do"),
        ("[peer]\ncertificate = \"\"", "3: peer.certificate: `` does not do"),
        ("[local]\nlisten = \"127.0.0.1:8443\"", "3: local.listen: is the address of `peer.listen`"),
        ("[federation]\npolicy = \"closed\"", "3: federation.policy: `closed` does not do"),
        ("[federation]\ndeny = [\"*\"]", "3: federation.deny[0]: `*` does not do"),
        ("[federation]\nports = [0]", "3: federation.ports[0]: is no port"),
        ("[federation]\nports = [443,\n\"9-1\"]", "4: federation.ports[1]: is no port"),
        ("[tokens]\nlifetime = \"0s\"", "3: tokens.lifetime: `0s` does not do: it must be more than nothing"),
        ("[delivery]\nretry-min = \"1h\"", "2: delivery.retry-max: is shorter than `retry-min`"),
        ("[delivery]\nretry-max = \"7h\"", "2: delivery.retry-max-silent: is shorter than `retry-max`"),
        ("[inbox]\ndedupe-per-peer = 0", "3: inbox.dedupe-per-peer: `0` is out of bounds"),
        (
            "[limits]\npacket-bytes = \"1023B\"",
            "3: limits.packet-bytes: `1023B` does not do: it must be 1024 to 67108864",
        ),
        ("[limits]\npacket-bytes = \"65MiB\"", "3: limits.packet-bytes:"),
        ("[limits]\npacket-messages = 1.5", "3: limits.packet-messages: is of another type"),
        ("[limits]\ngrant-slots = 1", "3: limits.grant-slots: `1` is out of bounds; write a number from 2"),
        ("[trust]\nroots = [1]", "3: trust.roots: is of another type"),
        ("peers = 1", "2: peers: is of another type"),
    ] {
        let problem = one_problem(text);
        assert!(problem.starts_with(start), "{text}: {problem}");
        assert!(problem.contains("; "), "says what would be right: {problem}");
    }
}

#[test]
fn each_rule_of_a_list_is_kept() {
    for (text, start) in [
        ("[[peers]]\naddress = \"127.0.0.1:1\"", "2: peers[0].host: is missing"),
        ("[[peers]]\nhost = \"b_b\"", "3: peers[0].host: `b_b` does not do"),
        ("[[peers]]\nhost = \"Alpha.test:443\"", "3: peers[0].host: is this host itself"),
        (
            "[peer]\naliases = [\"c.test\"]\n[[peers]]\nhost = \"c.test\"",
            "5: peers[0].host: is this host itself",
        ),
        (
            "[[peers]]\nhost = \"b.test\"\n[[peers]]\nhost = \"B.test\"",
            "5: peers[1].host: stands under [[peers]] already",
        ),
        ("[[services]]\nservices = [\"a\"]", "2: services[0].protocol: is missing"),
        (
            "[[services]]\nprotocol = \"a/b\"\nservices = [\"a\"]",
            "3: services[0].protocol: must be a name without `/`",
        ),
        ("[[services]]\nprotocol = \"a\"", "2: services[0].services: is missing"),
        ("[[apps]]\ntoken = \"0123456789abcdeF\"\nadmin = true", "2: apps[0].name: is missing"),
        ("[[apps]]\nname = \"b\"\nadmin = true", "2: apps[0].token: is missing"),
        ("[[apps]]\nname = \"b\"\nadmin = true\ntoken = \"short\"", "5: apps[0].token: is shorter than 16"),
        (
            "[[apps]]\nname = \"b\"\nadmin = true\ntoken = \"0123456789abcde\u{e4}\"",
            "5: apps[0].token: holds what a header",
        ),
        (
            "[[apps]]\nname = \"b\"\nadmin = true\ntoken = \"x\"\ntoken-file = \"y\"",
            "6: apps[0].token-file: stands beside",
        ),
        (
            "[[apps]]\nname = \"b\"\nadmin = true\ntoken-file = \"missing\"",
            "5: apps[0].token-file: cannot be read: /etc/ymp/missing",
        ),
        (
            "[[apps]]\nname = \"b\"\ntoken = \"0123456789abcdeF\"\nservices = [\"form\"]",
            "5: apps[0].services[0]: `form` does not do",
        ),
        (
            "[[apps]]\nname = \"a\"\nadmin = true\ntoken = \"0123456789abcdeF\"",
            "7: apps[1].name: stands under [[apps]] already",
        ),
        (
            "[[apps]]\nname = \"b\"\nadmin = true\ntoken = \"0123456789abcdef\"",
            "8: apps[1].token: is also that of `b`",
        ),
    ] {
        let problem = one_problem(text);
        assert!(problem.starts_with(start), "{text}: {problem}");
        assert!(!problem.contains("0123456789"), "{problem}");
    }
}

#[test]
fn what_may_surprise_is_a_warning() {
    for (text, part) in [
        ("[local]\nlisten = \"0.0.0.0:8080\"", "local.listen: lets other machines reach the local API"),
        ("[trust]\nweb-pki = false", "trust.roots: is empty and `web-pki` is off"),
        (
            "[federation]\npolicy = \"listed\"",
            "federation.policy: is \"listed\" and nothing stands under [[peers]]",
        ),
        ("[tokens]\nlifetime = \"31d\"", "tokens.refresh-lifetime: is shorter than `lifetime`"),
        ("[tokens]\nrefresh-lifetime = \"401d\"", "tokens.refresh-lifetime: is over 400 days"),
        ("[peer]\naliases = [\"alpha.test\"]", "peer.aliases[0]: names the host a second time"),
        (
            "[federation]\ndeny = [\"b.test\"]\n[[peers]]\nhost = \"b.test\"",
            "peers[0].host: is refused by `federation.deny`",
        ),
        (
            "[[peers]]\nhost = \"b.test\"\nrequest-path = \"/r\"\ngrant-path = \"/g\"\npacket-path = \"/p\"",
            "peers[0].refresh-path: is left out: this pins an R3 peer, which this version does not speak yet",
        ),
        (
            "[[peers]]\nhost = \"b.test\"\npacket-path = \"/p\"",
            "peers[0].request-path: request-path, grant-path, refresh-path not pinned",
        ),
        (
            "[[apps]]\nname = \"b\"\ntoken = \"0123456789abcdeF\"\nservices = [\"x/y\"]",
            "apps[0].services[0]: `x/y` runs here but is not published",
        ),
        (
            "[[apps]]\nname = \"b\"\ntoken = \"0123456789abcdeF\"",
            "apps[0].services: is missing: the app may do nothing",
        ),
    ] {
        let warning = one_warning(text);
        assert!(warning.contains(part), "{text}: {warning}");
    }
    let (_, warnings) = read_with("host = \"alpha.test\"", &[]).unwrap();
    assert!(warnings[0].to_string().contains("apps: has no table"), "{warnings:?}");
}

#[test]
fn a_service_of_an_app_runs_though_it_is_not_published() {
    let (config, _) =
        with("[[apps]]\nname = \"b\"\ntoken = \"0123456789abcdeF\"\nservices = [\"X/y\"]").unwrap();
    assert_eq!(config.node.services, [ServiceKey::new("x", "y")]);
    let document = String::from_utf8(config.serve.information.unwrap().to_vec()).unwrap();
    assert!(document.contains("\"message-protocols\":[]"), "{document}");
}

#[test]
fn only_listed_hosts_are_allowed_where_the_policy_says_so() {
    let (config, _) = with("[federation]\npolicy = \"listed\"\n[[peers]]\nhost = \"b.test\"").unwrap();
    assert!(config.node.policy.allows(&PeerHost::parse("b.test").unwrap()));
    assert!(!config.node.policy.allows(&PeerHost::parse("c.test").unwrap()));
}

#[test]
fn lifetimes_of_seconds_are_allowed() {
    let (config, warnings) = with("[tokens]\nlifetime = \"2s\"\nrefresh-lifetime = \"250ms\"").unwrap();
    assert_eq!(config.node.refresh_lifetime, Duration::from_millis(250));
    assert_eq!(warnings.len(), 1);
}

#[test]
fn variables_override_the_file() {
    let env = [
        ("YMP_HOST", "gamma.test"),
        ("YMP_PEER__LISTEN", "127.0.0.1:0"),
        ("YMP_PEER__CERTIFICATE", "env.pem"),
        ("YMP_FEDERATION__DENY", "['*.example.org']"),
        ("YMP_FEDERATION__PRIVATE_ADDRESSES", "true"),
        ("YMP_FEDERATION__PORTS", "[1, '2-3']"),
        ("YMP_TOKENS__LIFETIME", "5s"),
        ("YMP_LIMITS__PACKET_MESSAGES", "7"),
        ("YMP_APPS", "[{name = 'e', token = 'fedcba9876543210', admin = true}]"),
        ("YMP_PEERS", "[{host = 'b.test', address = '127.0.0.1:9'}]"),
        ("PATH", "/bin"),
    ];
    let (config, warnings) =
        read_with(&format!("host = 3\n[tokens]\nlifetime = \"x\"\n{APP}"), &env).unwrap();
    assert_eq!(config.node.host.as_str(), "gamma.test");
    assert_eq!(config.peer_listen.to_string(), "127.0.0.1:0");
    assert_eq!(config.tls.certificate, Path::new("/etc/ymp/env.pem"));
    assert!(!config.node.policy.allows(&PeerHost::parse("x.example.org").unwrap()));
    assert!(config.node.private_addresses && config.client.private_addresses);
    assert_eq!(config.client.ports, [1..=1, 2..=3]);
    assert_eq!((config.node.token_lifetime, config.node.packet_messages), (Duration::from_secs(5), 7));
    assert_eq!(config.access.apps[0].name, "e");
    assert_eq!((config.node.peers.len(), warnings), (1, vec![]));
}

#[test]
fn a_wrong_variable_is_named() {
    let env = [
        ("YMP_TRUST__WEB_PKI", "perhaps"),
        ("YMP_TOKENS__LIFETIME", "soon"),
        ("YMP_LIMITS__CONNECTIONS", "1.5"),
        ("YMP_APPS", "[{name = 'e', token = 'fedcba', admin = true}]"),
    ];
    let all = problems(read_with("host = \"a.test\"", &env));
    for start in [
        "YMP_TRUST__WEB_PKI: trust.web-pki: is not a TOML value; write true or false",
        "YMP_TOKENS__LIFETIME: tokens.lifetime: `soon` does not do: it is no duration",
        "YMP_LIMITS__CONNECTIONS: limits.connections: is of another type",
        "YMP_APPS: apps[0].token: is shorter than 16",
    ] {
        assert!(all.iter().any(|problem| problem.starts_with(start)), "{start}: {all:?}");
    }
    assert_eq!(all.len(), 4);
    assert!(!all.concat().contains("fedcba"));
}

#[test]
fn an_unknown_variable_is_a_warning_and_the_commands_own_are_none() {
    let own = [("YMP_TOKEN", "x"), ("YMP_LOCAL", "x"), ("YMP_LOG", "x"), ("YMP_LOG_FORMAT", "x")];
    let text = format!("host = \"a.test\"\n{APP}");
    assert_eq!(read_with(&text, &own).unwrap().1, []);
    let (_, warnings) = read_with(&text, &[("YMP_PEER__LISTENS", "x")]).unwrap();
    assert_eq!(
        warnings[0].to_string(),
        "YMP_PEER__LISTENS: is no setting and changes nothing; the nearest known variable is YMP_PEER__LISTEN"
    );
}

#[test]
fn a_token_file_is_read_beside_the_configuration_and_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "0123456789abcdef\n").unwrap();
    let text = "host = \"a.test\"\n[[apps]]\nname = \"a\"\ntoken-file = \"token\"\nadmin = true";
    let (config, _) = Config::read(&dir.path().join("ymp.toml"), text, []).unwrap();
    assert_eq!(config.access.apps[0].token.as_str(), "0123456789abcdef");
}

#[test]
fn no_debug_output_carries_a_token() {
    let (config, _) = with("").unwrap();
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    let (config, _) = with("[[apps]]\nname = \"b\"\ntoken = \"very-secret-0123456\"").unwrap();
    assert!(!format!("{config:?}").contains("very-secret"));
}

#[test]
fn a_missing_file_says_what_writes_one() {
    let error = Config::load(Path::new("/nowhere/ymp.toml"), []).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("ymp init"), "{error}");
}
