//! The file read again while a node runs on it.

use std::path::Path;

use super::{APP, Config, problems, read_with, with};
use crate::config::Again;

const FIRST: &str = "host = \"alpha.test\"\n[peer]\nlisten = \"127.0.0.1:1\"\n";

/// A node that was started on `FIRST` reads this.
fn again(text: &str) -> Again {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ymp.toml");
    std::fs::write(&file, format!("{FIRST}{APP}")).unwrap();
    let (config, _) = Config::load(&file, []).unwrap();
    std::fs::write(&file, format!("{text}{APP}")).unwrap();
    config.read_again([]).unwrap()
}

fn waiting(again: &Again) -> Vec<&str> {
    again.waiting.iter().map(|(key, _)| *key).collect()
}

#[test]
fn what_needs_a_restart_is_named_with_its_line_and_the_rest_is_taken() {
    let again = again(
        "host = \"other.test\"\ndata-dir = \"elsewhere\"\n[peer]\nlisten = \"127.0.0.1:2\"\n[inbox]\n\
         dedupe = \"1d\"\nkeep = \"1d\"\n[limits]\nfree-space-min = \"1B\"\n[log]\nformat = \"json\"\n",
    );
    let all = ["host", "data-dir", "peer.listen", "inbox.dedupe", "limits.free-space-min", "log.format"];
    assert_eq!(waiting(&again), all);
    assert!(again.waiting[2].1.to_string().ends_with("ymp.toml:4"));
    assert_eq!(again.config.node.host.as_str(), "alpha.test");
    assert!(again.config.tls.certificate.ends_with("certs/alpha.test.pem"), "as the host that it runs as");
    assert_eq!(again.config.peer_listen.port(), 1);
    assert_eq!(again.config.node.inbox_keep.as_secs(), 86_400);
}

#[test]
fn a_default_that_is_written_down_by_now_is_no_change() {
    assert!(waiting(&again(&format!("{FIRST}[inbox]\ndedupe = \"192h\"\n"))).is_empty());
}

#[test]
fn a_key_that_waits_is_named_at_each_reading_and_no_more_when_it_is_taken_back() {
    let first = again("host = \"other.test\"\n[peer]\nlisten = \"127.0.0.1:1\"\n");
    assert_eq!(waiting(&first), ["host"]);
    let Config { file, .. } = &first.config;
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, format!("{FIRST}{APP}")).unwrap();
    assert!(waiting(&first.config.read_again([]).unwrap()).is_empty());
    std::fs::remove_dir_all(file.parent().unwrap()).unwrap();
}

#[test]
fn what_is_wrong_is_found_also_in_a_key_that_would_wait() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ymp.toml");
    std::fs::write(&file, format!("{FIRST}{APP}")).unwrap();
    let (config, _) = Config::load(&file, []).unwrap();
    std::fs::write(&file, "host = \"alpha.test\"\n[peer]\nlisten = \"nowhere\"\n[limits]\ngrant-slots = 1\n")
        .unwrap();
    let all = problems(config.read_again([]).map(|again| (again.config, again.warnings)));
    assert!(
        all[0].contains("ymp.toml:3: peer.listen:") && all[1].contains("ymp.toml:5: limits.grant-slots:"),
        "{all:?}"
    );
    std::fs::remove_file(&file).unwrap();
    assert!(config.read_again([]).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn variables_alone_are_read_again_without_a_file() {
    let env = |deny: &str| {
        let apps = "[{name = 'e', token = 'fedcba9876543210', admin = true}]";
        [("YMP_HOST", "a.test"), ("YMP_APPS", apps), ("YMP_FEDERATION__DENY", deny)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let (config, _) = Config::read(Path::new("(variables)"), "", env("[]")).unwrap();
    let again = config.read_again(env("['b.test']")).unwrap();
    assert_eq!(again.config.node.policy.deny.len(), 1);
}

#[test]
fn no_debug_output_carries_what_was_written() {
    let (config, _) = with("").unwrap();
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    assert!(read_with("", &[]).is_err());
}
