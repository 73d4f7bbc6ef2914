//! What the file may not say, and what it had better not say.

use std::time::Duration;

use proptest::prelude::*;

use super::{one_problem, one_warning, problems, read_with, with};
use crate::wire::{host::PeerHost, packet::ServiceKey};

//= NODE-CONF-05
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
fn a_name_that_stands_twice_is_told_also_where_more_is_wrong_with_the_first() {
    let all = problems(with(
        "[[apps]]\nname = \"b\"\nadmin = true\ntoken = \"short\"\n[[apps]]\nname = \"b\"\nadmin = true\ntoken = \"0123456789abcdeF\"",
    ));
    let told = |start: &str| all.iter().any(|problem| problem.contains(start));
    assert!(told("apps[0].token: is shorter") && told("apps[1].name: stands under"), "{all:?}");
}

#[test]
fn what_is_not_toml_is_named_with_its_line() {
    let problem = one_problem("[peer\nlisten = 1");
    assert!(problem.starts_with("2: is not TOML: "), "{problem}");
    assert!(one_problem("host = \"twice.test\"").starts_with("2: is not TOML: "));
}

//= NODE-CONF-10
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
        ("[peer]\nplain-listen = \"127.0.0.1:8443\"", "3: peer.plain-listen: is the address of `listen`"),
        (
            "[limits]\npacket-bytes = 1",
            "3: limits.packet-bytes: is of another type than this key takes; write a whole",
        ),
        ("[peer]\nproxy-protocol = true", "2: peer.proxies: names nobody"),
        ("[peer]\nproxy-protocol = true\nproxies = []", "4: peer.proxies: names nobody"),
        ("[peer]\nproxies = [\n\"10.0.0.1/8\"]", "4: peer.proxies[0]: `10.0.0.1/8` does not do: it has bits"),
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
        ("[peer]\ncertificate-check = \"1ms\"", "3: peer.certificate-check: would look at the files"),
        ("[log]\nfilter = \"ymp=loud\"", "3: log.filter: `ymp=loud` does not do: it is no log filter"),
        ("[log]\nformat = \"xml\"", "3: log.format: `xml` does not do: there is no such format"),
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

//= NODE-PIN-04
#[test]
fn any_part_of_a_peers_paths_may_be_pinned() {
    for paths in
        ["", "packet-path = \"/p\"", "request-path = \"/r\"\ngrant-path = \"/g\"\npacket-path = \"/p\""]
    {
        let apps = "[[apps]]\nname = \"b\"\ntoken = \"0123456789abcdeF\"\nadmin = true";
        let text = format!("host = \"alpha.test\"\n[[peers]]\nhost = \"b.test\"\n{paths}\n{apps}");
        let (config, warnings) = read_with(&text, &[]).unwrap();
        assert_eq!(warnings, [], "{paths}");
        let pin = &config.node.peers[&PeerHost::parse("b.test").unwrap()];
        assert_eq!(pin.paths.packet.is_some(), paths.contains("packet"));
        assert_eq!(pin.paths.whole().is_some(), paths.contains("request"));
    }
}

#[test]
fn a_service_of_an_app_runs_though_it_is_not_published() {
    let (config, _) =
        with("[[apps]]\nname = \"b\"\ntoken = \"0123456789abcdeF\"\nservices = [\"X/y\"]").unwrap();
    assert_eq!(config.node.services, [ServiceKey::new("x", "y")]);
    let document = String::from_utf8(config.serve.information.unwrap().bytes().to_vec()).unwrap();
    assert!(document.contains("\"message-protocols\":[]"), "{document}");
}

#[test]
fn proxies_count_where_the_protocol_is_on() {
    let (config, warnings) =
        with("[peer]\nproxy-protocol = true\nproxies = [\"10.0.0.0/8\", \"::1\"]").unwrap();
    let proxies = config.connections.proxies.unwrap();
    assert_eq!(proxies.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
    assert!(warnings.is_empty());
    assert!(one_warning("[peer]\nproxies = [\"::1\"]").contains("3: peer.proxies: has no effect"));
    assert_eq!(with("").unwrap().0.connections.proxies, None);
}

//= HT-ASK-20, NODE-CONF-08
#[test]
fn only_listed_hosts_are_allowed_where_the_policy_says_so() {
    let (config, _) = with("[federation]\npolicy = \"listed\"\n[[peers]]\nhost = \"b.test\"").unwrap();
    assert!(config.node.policy.allows(&PeerHost::parse("b.test").unwrap()));
    assert!(!config.node.policy.allows(&PeerHost::parse("c.test").unwrap()));
}

//= NODE-CONF-15
#[test]
fn lifetimes_of_seconds_are_allowed() {
    let (config, warnings) = with("[tokens]\nlifetime = \"2s\"\nrefresh-lifetime = \"250ms\"").unwrap();
    assert_eq!(config.node.refresh_lifetime, Duration::from_millis(250));
    assert_eq!(warnings.len(), 1);
}

#[test]
fn what_a_key_names_can_be_found_again() {
    let (config, _) = with("[trust]\nroots = [\"a.pem\",\n\"b.pem\"]").unwrap();
    assert_eq!(config.place("trust.roots[1]").to_string(), "/etc/ymp/ymp.toml:4");
    assert_eq!(config.place("peer.key").to_string(), "/etc/ymp/ymp.toml");
}

proptest! {
    #[test]
    fn no_text_makes_the_reading_panic(
        text in "\\PC{0,80}",
        key in "(peer|federation|limits|tokens)",
        value in "\\[?(\"[a-z*./:0-9-]{0,12}\"|-?[0-9]{1,20}|true|\\{\\}),?\\]?",
        name in "(listen|deny|ports|packet-bytes|lifetime|grant-slots|request-path|aliases)",
    ) {
        let _ = read_with(&text, &[]);
        let _ = read_with(&format!("host = \"a.test\"\n[{key}]\n{name} = {value}"), &[("YMP_PEERS", &value)]);
    }
}
