//! What commands print: JSON for machines, at most 80 columns for people, errors with their mend, no colour, completions.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::world::World;

/// A node whose peer beta.test is at an address where nothing listens.
fn alone(world: &World) -> (crate::world::Serving, String) {
    world.good(&["init", "--host", "alpha.test"], &[]);
    let config = world.path().join("ymp.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + "\n[[peers]]\nhost = \"beta.test\"\naddress = \"127.0.0.1:1\"\n").unwrap();
    let node = world.serve(&[("YMP_PEER__LISTEN", "127.0.0.1:0"), ("YMP_LOCAL__LISTEN", "127.0.0.1:0")]);
    let token = fs::read_to_string(world.path().join("operator.token")).unwrap();
    (node, token.trim().to_owned())
}

/// One JSON document per line.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_prints_data_prints_json_on_request() {
    let world = World::new();
    let written = lines(&world.good(&["certs", "--dir", "certs", "x.test", "--json"], &[]));
    assert!(written[0]["written"].as_array().unwrap().contains(&"certs/x.test.pem".into()), "{written:?}");
    let twice = world.run(&["certs", "--dir", "certs", "y.test", "y.test", "y.test:8443"], &[]);
    assert_eq!((twice.code, twice.out.lines().count()), (Some(0), 2), "{}{}", twice.out, twice.err);
    let again = world.run(&["certs", "--dir", "certs", "x.test", "y.test"], &[]);
    assert_eq!((again.code, &*again.out), (Some(0), ""));
    assert!(again.err.contains("nothing was written"), "{}", again.err);
    let (node, token) = alone(&world);
    let at = [("YMP_LOCAL", node.local.as_str()), ("YMP_TOKEN", token.as_str())];
    assert_eq!(lines(&world.good(&["check", "--json"], &[]))[0]["ok"], true);
    let send = |host: &str, id: &str| {
        let words =
            ["send", "--as", "example/form", "--to", host, "--action", "put", "{}", "--json", "--id", id];
        lines(&world.good(&words, &at))
    };
    assert_eq!(send("alpha.test", "1"), [json!({"messages": [{"id": "1", "state": "delivered"}]})]);
    assert_eq!(send("beta.test", "2")[0]["messages"][0]["state"], "queued");
    assert_eq!(lines(&world.good(&["peer", "list", "--json"], &at))[0]["peers"][0]["host"], "beta.test");
    assert_eq!(lines(&world.good(&["peer", "purge", "beta.test", "--json"], &at))[0]["messages"], 1);
    assert_eq!(lines(&world.good(&["dead", "list", "--json"], &at))[0]["messages"][0]["id"], "2");
    assert_eq!(
        lines(&world.good(&["dead", "retry", "2", "--json"], &at)),
        [json!({"id": "2", "outcome": "queued"})]
    );
    let all = ["dead", "delete", "--host", "beta.test", "--json"];
    assert_eq!(lines(&world.good(&all, &at))[0]["messages"], 0);
    assert_eq!(
        lines(&world.good(&["inbox", "example/form", "--json"], &at))[0]["messages"][0]["from"],
        "alpha.test"
    );
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn tables_fit_80_columns_and_nothing_is_coloured() {
    let world = World::new();
    let (node, token) = alone(&world);
    let at = [("YMP_LOCAL", node.local.as_str()), ("YMP_TOKEN", token.as_str())];
    let failed = world.run(&["peer", "connect", "beta.test"], &at);
    assert_eq!((failed.code, failed.out.as_str()), (Some(1), ""));
    // The steps as they happened, then cause and mend.
    let (steps, error) = failed.err.split_once("ymp: ").unwrap();
    assert!(
        steps.lines().all(|line| line.chars().count() <= 80) && steps.contains("exchange-failed"),
        "{steps}"
    );
    assert!(error.contains("\n     "), "{error}");
    let send = ["send", "--as", "example/form", "--to", "beta.test", "--action", "put", "{}"];
    world.good(&send, &at);
    world.good(&["peer", "purge", "beta.test"], &at);
    for words in [&["peer", "list"][..], &["peer", "show", "beta.test"], &["dead", "list"]] {
        let said = world.good(words, &at);
        assert!(said.lines().all(|line| line.chars().count() <= 80), "{words:?}\n{said}");
        assert!(!said.contains('\x1b'), "{words:?}\n{said}");
    }
    assert!(!failed.err.contains('\x1b'));
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn completions_know_the_commands_and_bash_can_read_its_own() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.good(&["completions", shell], &[]);
        for word in ["ymp", "inbox", "completions", "follow"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        fs::write(world.path().join(shell), script).unwrap();
    }
    let parsed = Command::new("bash").arg("-n").arg(world.path().join("bash")).status().unwrap();
    assert!(parsed.success());
    assert_eq!(world.run(&["completions", "tcsh"], &[]).code, Some(2));
    assert!(world.good(&["completions", "--help"], &[]).contains("ymp completions bash >"));
}
