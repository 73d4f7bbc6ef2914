//! The commands against a running node: what they print, and their exit codes.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};

use super::{harness::*, pair};
use crate::harness::node::{ADMIN, OTHER};

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn peers_are_listed_connected_shown_refreshed_and_forgotten() {
    let (_yard, node, _peer) = pair().await;
    let (code, out, _) = node.ymp(&["peer", "list"]).await;
    assert_eq!(code, 0);
    assert!(out.contains(BETA) && out.contains("none"), "{out}");
    let (code, out, _) = node.ymp(&["peer", "connect", BETA, "--json"]).await;
    assert_eq!((code, &json_of(&out)["sending"]["state"]), (0, &json!("linked")));
    let (code, out, _) = node.ymp(&["peer", "show", BETA]).await;
    assert_eq!(code, 0);
    assert!(out.contains("linked, expires in"), "{out}");
    let (code, out, _) = node.ymp(&["peer", "list", "--json"]).await;
    assert_eq!((code, &json_of(&out)["peers"][0]["host"]), (0, &json!(BETA)));
    assert_eq!(node.ymp(&["peer", "refresh", BETA]).await.0, 0);
    let (code, out, _) = node.ymp(&["peer", "forget", BETA]).await;
    assert_eq!((code, out.trim()), (0, "forgot beta.test"));
    let (code, out, err) = node.ymp(&["peer", "show", "unknown.test"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("unknown.test"), "{err}");
}

#[tokio::test]
async fn a_connect_that_fails_says_which_step_and_exits_1() {
    let (_yard, node, peer) = pair().await;
    peer.down().await;
    let (code, out, err) = node.ymp(&["peer", "connect", BETA]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("step `request`"), "{err}");
}

/// What stands behind the time and before the text.
fn steps(err: &str) -> Vec<String> {
    // Of a request and its grant the grant may be faster, and says more.
    let lines = err.lines().filter(|line| line.contains(" s  ") && !line.contains(" request "));
    lines.map(|line| line.split_whitespace().nth(2).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_connect_shows_its_steps_as_they_happen() {
    let (_yard, node, peer) = pair().await;
    let (code, out, err) = node.ymp(&["peer", "connect", BETA]).await;
    assert_eq!((code, steps(&err)), (0, ["asking", "look-up", "grant", "up"].map(str::to_owned).into()));
    assert!(out.starts_with("host "), "what is printed is the link alone: {out}");

    // The peer takes the request and does not call back: the step is told while the command still waits.
    peer.next(Kind::Request, Does::Answers(Reply::of(204)));
    let mut command = node.command();
    command
        .args(["peer", "connect", BETA])
        .env("YMP_TOKEN", ADMIN)
        .env("YMP_LOCAL", format!("http://{}", node.local));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let err = child.stderr.take().unwrap();
    let told = tokio::task::spawn_blocking(move || {
        let mut lines = BufReader::new(err).lines().map(Result::unwrap);
        let found = lines.find(|line| line.contains(" request ")).unwrap();
        (found, child.try_wait().unwrap().is_none(), child)
    });
    let (line, waits, mut child) = told.await.unwrap();
    assert!(line.contains("it is to call back") && waits, "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn who_watches_a_link_is_told_who_forgot_it() {
    let (_yard, node, _peer) = pair().await;
    node.app().connect(BETA).await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/v1/peers/{BETA}/events", node.local);
    let mut stream = http.get(&url).bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(node.ymp(&["peer", "forget", BETA]).await.0, 0);
    let told = async {
        let mut text = String::new();
        while !text.contains("`: forget\"") {
            text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
        }
        text
    };
    let text = tokio::time::timeout(PATIENCE, told).await.unwrap();
    assert!(text.contains("\"what\":\"steered\""), "{text}");
}

#[tokio::test]
async fn what_happens_to_a_link_can_be_watched_by_admins_as_long_as_they_are_admins() {
    let (_yard, node, peer) = pair().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}/v1/peers/{BETA}/events", node.local);
    let mut stream = http.get(&url).bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(
        (stream.status(), &stream.headers()["content-type"]),
        (200.try_into().unwrap(), &"text/event-stream".parse().unwrap())
    );
    node.app().connect(BETA).await;
    peer.down().await;
    node.app().submit(&[node.message_to(BETA, "x")]).await;
    let mut text = String::new();
    while !text.contains("\"down\"") {
        text.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    let events: Vec<Value> =
        text.lines().filter_map(|line| line.strip_prefix("data: ")).map(json_of).collect();
    let whats: Vec<_> = events.iter().map(|event| event["what"].as_str().unwrap()).collect();
    let whats: Vec<_> = whats.into_iter().filter(|what| *what != "request").collect();
    assert_eq!(whats, ["asking", "look-up", "grant", "up", "down"]);
    assert!(events.iter().all(|event| event["at"].as_str().unwrap().ends_with('Z')));
    let last = events.last().unwrap();
    assert!(last["text"].as_str().unwrap().contains("refused"), "{last}");
    for secret in peer.secrets() {
        assert!(!text.contains(&secret));
    }

    let own = format!("http://{}/v1/peers/{ALPHA}/events", node.local);
    assert_eq!(http.get(&own).bearer_auth(ADMIN).send().await.unwrap().status(), 404);
    let unknown = own.replace(ALPHA, "unknown.test");
    assert_eq!(http.get(&unknown).bearer_auth(ADMIN).send().await.unwrap().status(), 404);
    let listed = node.ymp(&["peer", "list"]).await.1;
    assert!(!listed.contains("unknown.test"), "to watch makes no link: {listed}");
    let (code, _, err) = node.ymp(&["peer", "connect", "unknown.test"]).await;
    assert!(code == 1 && err.contains("step `look-up`"), "what is not known can be connected to: {err}");
    assert_eq!(http.get(&url).bearer_auth(OTHER).send().await.unwrap().status(), 403);
    // It ends with the right to it: the next event finds nobody.
    let config = std::fs::read_to_string(node.config()).unwrap().replace("admin = true", "admin = false");
    std::fs::write(node.config(), config).unwrap();
    node.hang_up().await;
    peer.up().await;
    let mut rest = String::new();
    let ends = async {
        while let Some(bytes) = stream.chunk().await.unwrap() {
            rest.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, ends).await.unwrap();
    assert!(!rest.contains("\"up\""), "{rest}");
}

#[tokio::test]
async fn a_message_is_sent_and_waited_for() {
    let (_yard, node, peer) = pair().await;
    let send = ["send", "--as", "example/form", "--to", BETA, "--action", "put", "--id", "cli-1"];
    let args = [&send[..], &["--wait=20s", r#"{"n":1.0}"#]].concat();
    let (code, out, err) = node.ymp(&args).await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(out.lines().collect::<Vec<_>>(), ["cli-1", "delivered"]);
    assert_eq!(peer.receives(1).await, ["cli-1"]);
    assert!(String::from_utf8_lossy(&peer.seen(Kind::Packet)[0].body).contains(r#"{"n":1.0}"#));
    peer.always(Kind::Packet, Does::Answers(Reply::problem(422, "not this one", None)));
    let send = [
        "send",
        "--as",
        "example/form",
        "--to",
        BETA,
        "--action",
        "put",
        "--id",
        "cli-2",
        "--wait=20s",
        "{}",
    ];
    let (code, _, err) = node.ymp(&send).await;
    assert_eq!(code, 1);
    assert!(err.contains("dead") && err.contains("not this one"), "{err}");
    let (code, out, _) = node.ymp(&["dead", "list"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("cli-2") && out.contains("not this one"), "{out}");
    peer.usual(Kind::Packet);
    let (code, out, err) = node.ymp(&["dead", "retry", "cli-1", "cli-2"]).await;
    assert_eq!((code, out.as_str()), (1, "queued cli-2\n"), "the others are done");
    assert!(err.contains("no dead message has the id cli-1"), "{err}");
    assert_eq!(peer.receives(2).await, ["cli-1", "cli-2"]);
    assert_eq!(node.ymp(&["dead", "delete", "cli-2"]).await.0, 1, "it is not dead any more");
}

#[tokio::test]
async fn an_inbox_is_read_and_acknowledged() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    let messages: Vec<_> = (0..3).map(|n| numbered(BETA, ALPHA, n)).collect();
    assert_eq!(peer.send(&node, &messages).await.status, 204);
    let (code, out, _) = node.ymp(&["inbox", "example/form", "--max", "2", "--json"]).await;
    assert_eq!((code, json_of(&out)["messages"].as_array().unwrap().len()), (0, 2));
    let (code, out, _) = node.ymp(&["inbox", "example/form", "--max", "2", "--ack"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("id m00000") && out.contains("id m00001"), "{out}");
    let (_, out, _) = node.ymp(&["inbox", "example/form", "--ack"]).await;
    assert!(out.contains("id m00002") && !out.contains("m00001"), "{out}");
    assert_eq!(node.ymp(&["inbox", "example/form"]).await.1.trim(), "no messages");
    let (code, _, err) = node.ymp(&["inbox", "example/other"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("example/other"), "{err}");
}

#[tokio::test]
async fn wrong_usage_exits_2_and_a_wrong_token_or_no_node_1() {
    let (_yard, mut node, _peer) = pair().await;
    for args in
        [&["peer"][..], &["peer", "show"], &["send", "--to", BETA], &["inbox", "no-slash"], &["nonsense"]]
    {
        let (code, out, err) = node.ymp(args).await;
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(!err.is_empty());
    }
    let (code, _, err) = node.ymp(&["peer", "list", "--token", "not-a-token-of-any-app"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("does not know this token") && !err.contains("not-a-token"), "{err}");
    node.stop().await;
    let (code, _, err) = node.ymp(&["peer", "list"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("is `ymp serve` running?"), "{err}");
}

#[tokio::test]
async fn a_configuration_is_checked() {
    let (_yard, node, _peer) = pair().await;
    let config = node.config();
    let config = config.to_str().unwrap();
    assert_eq!(node.ymp(&["check", "--config", config]).await.0, 0);
    let text = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, text.replace("data-dir", "data-dirr")).unwrap();
    let (code, out, err) = node.ymp(&["check", "--config", config]).await;
    assert_eq!(code, 1);
    assert!(format!("{out}{err}").contains("data-dirr"), "{out}{err}");
}
