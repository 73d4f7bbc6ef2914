//! Variables over the file, files beside it, and secrets that stay where they are.

use std::{path::Path, time::Duration};

use super::{APP, Config, problems, read_with, with};
use crate::wire::host::PeerHost;

//= NODE-CONF-03, NODE-CONF-04, NODE-CONF-10
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
    assert!(config.client.private_addresses);
    assert_eq!(config.client.ports, [1..=1, 2..=3]);
    assert_eq!((config.node.token_lifetime, config.node.packet_messages), (Duration::from_secs(5), 7));
    assert_eq!(config.access.apps[0].name, "e");
    assert_eq!((config.node.peers.len(), warnings), (1, vec![]));
}

//= NODE-CONF-04
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

//= NODE-CONF-06
#[test]
fn an_unknown_variable_is_a_warning_and_the_commands_own_are_none() {
    let own = [("YMP_TOKEN", "x"), ("YMP_LOCAL", "x"), ("YMP_LOG", ""), ("YMP_LOG_FORMAT", "")];
    let text = format!("host = \"a.test\"\n{APP}");
    assert_eq!(read_with(&text, &own).unwrap().1, []);
    let (_, warnings) = read_with(&text, &[("YMP_PEER__LISTENS", "x")]).unwrap();
    assert_eq!(
        warnings[0].to_string(),
        "YMP_PEER__LISTENS: is no setting and changes nothing; the nearest known variable is YMP_PEER__LISTEN"
    );
}

//= NODE-CONF-07
#[test]
fn the_logs_short_variables_win_and_are_named_where_they_are_wrong() {
    let text = format!("host = \"a.test\"\n[log]\nfilter = \"warn\"\n{APP}");
    let filter = |env: &[(&str, &str)]| format!("{:?}", read_with(&text, env).unwrap().0.log.filter);
    assert!(filter(&[]).contains("warn") && filter(&[("YMP_LOG", "")]).contains("warn"));
    assert!(filter(&[("YMP_LOG__FILTER", "debug")]).contains("debug"));
    assert!(filter(&[("YMP_LOG", "trace"), ("YMP_LOG__FILTER", "debug")]).contains("trace"));
    let all = problems(read_with(&text, &[("YMP_LOG", "ymp=loud"), ("YMP_LOG_FORMAT", "xml")]));
    assert!(
        all[0].starts_with("YMP_LOG: log.filter: `ymp=loud` does not do: it is no log filter"),
        "{all:?}"
    );
    assert!(all[1].starts_with("YMP_LOG_FORMAT: log.format: `xml` does not do"), "{all:?}");
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
