//! A node of one's own: init, check, serve, and the commands that talk to it.

use std::{collections::BTreeSet, fs, net::TcpListener};

use crate::world::World;

const TOKEN: &str = "0123456789abcdef";

#[test]
fn what_init_writes_is_checked_and_served() {
    let world = World::new();
    world.good(&["init", "--host", "alpha.test"], &[]);
    assert!(world.good(&["check"], &[]).contains("good, for host alpha.test"));
    let ports = [("YMP_PEER__LISTEN", "127.0.0.1:0"), ("YMP_LOCAL__LISTEN", "127.0.0.1:0")];
    let node = world.serve(&ports);
    assert!(node.ready.starts_with("ready host=alpha.test peer=127.0.0.1:"), "{}", node.ready);
    let token = fs::read_to_string(world.path().join("operator.token")).unwrap();
    let at = [("YMP_LOCAL", node.local.as_str()), ("YMP_TOKEN", token.trim())];
    assert_eq!(world.good(&["health"], &at[..1]), "ready\n");
    let send =
        ["send", "--as", "example/form", "--to", "alpha.test", "--action", "put", "{\"n\":1}", "--wait"];
    assert!(world.good(&send, &at).ends_with("delivered\n"));
    assert!(world.good(&["inbox", "example/form"], &at).contains("{\"n\":1}"));
    assert!(world.good(&["peer", "list"], &at).contains("no links yet"));
    assert_eq!(world.good(&["dead", "list"], &at), "no dead messages\n");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_second_node_beside_the_first_federates_with_it_as_it_stands() {
    let world = World::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // Ports above it must be left for the other.
    let alpha = format!("alpha.test:{}", 20_000 + free % 10_000);
    world.good(&["init", "--host", &alpha, "--dir", "alpha"], &[]);
    let said = world.good(&["init", "--host", "beta.test", "--dir", "beta", "--beside", "alpha"], &[]);
    assert!(said.contains("added [[peers]] beta.test to alpha/ymp.toml"), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    assert!(!world.path().join("alpha/certs/beta.test.key").exists(), "a key has one place");
    for file in ["alpha/ymp.toml", "beta/ymp.toml"] {
        assert!(world.good(&["check", "--config", file], &[]).contains("good, for host"));
    }

    let anywhere = [("YMP_LOCAL__LISTEN", "127.0.0.1:0")];
    let _first = world.serve_with(&["--config", "alpha/ymp.toml"], &anywhere);
    let second = world.serve_with(&["--config", "beta/ymp.toml"], &anywhere);
    let token = fs::read_to_string(world.path().join("beta/operator.token")).unwrap();
    let at = [("YMP_LOCAL", second.local.as_str()), ("YMP_TOKEN", token.trim())];
    assert!(world.good(&["peer", "connect", &alpha], &at).contains("linked"));
    let send = ["send", "--as", "example/form", "--to", &alpha, "--action", "put", "{\"n\":1}", "--wait"];
    assert!(world.good(&send, &at).ends_with("delivered\n"));
}

#[test]
fn nothing_is_written_where_a_node_cannot_be_put_beside_another() {
    let world = World::new();
    world.good(&["init", "--host", "alpha.test", "--dir", "alpha"], &[]);
    let file = world.path().join("alpha/ymp.toml");
    let first = fs::read_to_string(&file).unwrap();
    let refused = |host: &str, words: &str| {
        let ended = world.run(&["init", "--host", host, "--dir", "other", "--beside", "alpha"], &[]);
        assert_eq!(ended.code, Some(1), "{}", ended.out);
        assert!(ended.err.contains(words), "{}", ended.err);
        assert!(!world.path().join("other").exists());
    };
    refused("alpha.test", "itself\n");
    refused("alpha.test:9443", "for all ports of a name");
    for (changed, words) in [
        (format!("{first}\n[[peers]]\nhost = \"beta.test\"\n"), "under [[peers]] already"),
        (first.replace("\"certs/ca.pem\"", ""), "does not trust"),
        (first.replace("0.0.0.0:8443", "0.0.0.0:0"), "listens on any port"),
        (format!("peers = []\n{first}"), "as a table of its own"),
        ("host = 7".to_owned(), "ymp check"),
    ] {
        fs::write(&file, &changed).unwrap();
        refused("beta.test", words);
        assert_eq!(fs::read_to_string(&file).unwrap(), changed);
    }
    fs::write(&file, &first).unwrap();
    for name in ["beta.test.pem", "beta.test.key"] {
        let own = world.path().join("alpha/certs").join(name);
        fs::write(&own, "mine").unwrap();
        refused("beta.test", &format!("alpha/certs/{name} is there already"));
        assert_eq!(fs::read_to_string(&own).unwrap(), "mine");
        fs::remove_file(&own).unwrap();
    }
    fs::remove_file(world.path().join("alpha/certs/ca.key")).unwrap();
    refused("beta.test", "Pair two hosts");
}

/// What stands in a node's file: the ports that it listens on.
fn ports(world: &World, dir: &str) -> Vec<String> {
    let text = fs::read_to_string(world.path().join(dir).join("ymp.toml")).unwrap();
    let listens = text.lines().filter(|line| line.starts_with("listen = "));
    listens.map(|line| line.split(['"', ':']).nth(2).unwrap().to_owned()).collect()
}

#[test]
fn each_node_beside_another_has_ports_of_its_own_whether_the_others_run_or_not() {
    for busy in [false, true] {
        // Where somebody else has it already, it is busy both times.
        let somebody = busy.then(|| std::net::TcpListener::bind("127.0.0.1:9080"));
        let world = World::new();
        world.good(&["init", "--host", "alpha.test", "--dir", "alpha"], &[]);
        for (host, dir) in [
            ("b.test", "b"),
            ("c.test:17443", "c"),
            ("d.test:17444", "d"),
            ("e.test", "e"),
            ("f.test:1100", "f"),
            ("g.test:2100", "g"),
        ] {
            world.good(&["init", "--host", host, "--dir", dir, "--beside", "alpha"], &[]);
        }
        let all: Vec<_> =
            ["alpha", "b", "c", "d", "e", "f", "g"].iter().flat_map(|dir| ports(&world, dir)).collect();
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!((all.len(), different.len()), (14, 14), "{all:?}");
        let taken = ["init", "--host", "h.test:17443", "--dir", "h", "--beside", "alpha"];
        let ended = world.run(&taken, &[]);
        assert!(ended.err.contains("port 17443 is one of another node's here"), "{}", ended.err);
        assert!(!world.path().join("h").exists());
        drop(somebody);
    }
}

#[test]
fn a_node_that_listens_on_one_address_is_reached_there() {
    let world = World::new();
    world.good(&["init", "--host", "alpha.test", "--dir", "alpha"], &[]);
    let file = world.path().join("alpha/ymp.toml");
    let first = fs::read_to_string(&file).unwrap();
    for (n, (listen, reached)) in
        [("0.0.0.0", "127.0.0.1"), ("[::]", "127.0.0.1"), ("[::1]", "[::1]"), ("127.0.0.2", "127.0.0.2")]
            .into_iter()
            .enumerate()
    {
        fs::write(&file, first.replace("0.0.0.0:8443", &format!("{listen}:8443"))).unwrap();
        let dir = format!("n{n}");
        world.good(&["init", "--host", &format!("{dir}.test"), "--dir", &dir, "--beside", "alpha"], &[]);
        let beside = fs::read_to_string(world.path().join(dir).join("ymp.toml")).unwrap();
        assert!(beside.contains(&format!("address = \"{reached}:8443\"")), "{listen}: {beside}");
    }
}

#[test]
fn nothing_is_written_where_no_port_is_free() {
    let world = World::new();
    world.good(&["init", "--host", "alpha.test:65000", "--dir", "alpha"], &[]);
    let ended = world.run(&["init", "--host", "beta.test", "--dir", "beta", "--beside", "alpha"], &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    assert!(ended.err.contains("no port is free"), "{}", ended.err);
    assert!(!world.path().join("beta").exists());
}

#[test]
fn the_paths_of_printed_commands_are_quoted_for_the_shell() {
    let world = World::new();
    let said = world.good(&["init", "--host", "alpha.test", "--dir", "it's a"], &[]);
    assert!(said.contains(r"ymp serve --config 'it'\''s a/ymp.toml'"), "{said}");
    assert!(said.contains(r#""$(cat 'it'\''s a/operator.token')""#), "{said}");
    assert!(said.contains(r"--beside 'it'\''s a'"), "{said}");
    let said = world.good(&["init", "--host", "beta.test", "--dir", "b b", "--beside", "it's a"], &[]);
    assert!(said.contains(r"ymp serve --config 'it'\''s a/ymp.toml'"), "{said}");
    assert!(said.contains("ymp serve --config 'b b/ymp.toml'"), "{said}");
    assert!(said.contains(r#""$(cat 'b b/operator.token')""#), "{said}");
    assert!(said.contains("ymp doctor alpha.test --config 'b b/ymp.toml'"), "{said}");
}

//= NODE-CONF-03
#[test]
fn variables_alone_are_enough() {
    let world = World::new();
    world.good(&["certs", "--dir", "certs", "alpha.test"], &[]);
    let apps = format!("[{{name = \"a\", token = \"{TOKEN}\", services = [\"example/form\"]}}]");
    let variables = [
        ("YMP_HOST", "alpha.test"),
        ("YMP_PEER__LISTEN", "127.0.0.1:0"),
        ("YMP_LOCAL__LISTEN", "127.0.0.1:0"),
        ("YMP_APPS", apps.as_str()),
    ];
    assert!(world.good(&["check"], &variables).contains("good, for host alpha.test"));
    let node = world.serve(&variables);
    world.good(&["inbox", "example/form"], &[("YMP_LOCAL", &node.local), ("YMP_TOKEN", TOKEN)]);
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn without_a_file_and_without_variables_the_way_out_is_named() {
    let world = World::new();
    for command in ["serve", "check"] {
        let ended = world.run(&[command], &[]);
        assert_eq!(ended.code, Some(1), "{command}");
        assert!(format!("{}{}", ended.out, ended.err).contains("`ymp init --host NAME` writes one"));
    }
    let ended = world.run(&["serve", "--config", "other.toml"], &[("YMP_HOST", "alpha.test")]);
    assert_eq!(ended.code, Some(1), "a file that is named must be there");
}

#[test]
fn a_node_that_is_not_there_is_not_healthy() {
    let world = World::new();
    // Port 1 is nobody's.
    let ended = world.run(&["health", "--local", "http://127.0.0.1:1"], &[]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.contains("no node answers"), "{}", ended.err);
    let ended = world.run(&["health", "--json", "--local", "http://127.0.0.1:1"], &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.starts_with("{\"ready\":false,"), "{}", ended.out);
}
