//! What operators do to links and queues.

use serde_json::{Value, json};

use super::{harness::*, pair};

async fn steer(node: &Node, verb: &str) -> Value {
    let got = node.app().verb("POST", &format!("/v1/peers/beta.test/{verb}")).await;
    assert_eq!(got.status, 200, "{verb}: {}", String::from_utf8_lossy(&got.body));
    got.json()
}

/// A linked pair whose failures are waited out for a minute.
async fn patient() -> (Yard, Node, Peer) {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let slow = "retry-min = \"60s\"\nretry-max = \"60s\"\nretry-max-silent = \"60s\"";
    let node = Node::new(&yard, ALPHA).pin(&peer).with("delivery", slow).started().await;
    peer.meets(&node);
    node.app().connect(BETA).await;
    (yard, node, peer)
}

async fn rests(node: &Node) {
    eventually("the link rests", || async {
        (node.app().link(BETA).await["sending"]["state"] == "backing-off").then_some(())
    })
    .await;
}

#[tokio::test]
async fn retry_ends_a_rest_also_one_that_the_peer_asked_for() {
    let (_yard, node, peer) = patient().await;
    for does in [Does::status(500), Does::Answers(Reply::of(503).header("retry-after", "3000"))] {
        let before = peer.received().len();
        peer.next(Kind::Packet, does);
        node.app().submit(&[node.message_to(BETA, &format!("r{before}"))]).await;
        rests(&node).await;
        steer(&node, "retry").await;
        peer.receives(before + 1).await;
    }
    let log = node.log();
    assert!(log.contains("who=\"form-app\"") || log.contains("who=form-app"), "it is said who did it");
}

#[tokio::test]
async fn a_paused_link_sends_nothing_and_takes_what_comes_over_a_restart_until_it_is_resumed() {
    let (_yard, mut node, peer) = patient().await;
    assert_eq!(steer(&node, "pause").await["peer"]["sending"]["state"], "paused");
    node.app().submit(&[node.message_to(BETA, "one")]).await;
    node.restart().await;
    node.app().submit(&[node.message_to(BETA, "two")]).await;
    assert_eq!(peer.send(&node, &[peer.message(&node, "in")]).await.status, 204);
    assert_eq!(node.app().receives(1).await, ["in"]);
    let link = node.app().link(BETA).await;
    assert_eq!(
        (link["sending"]["state"].clone(), link["queue"]["messages"].clone()),
        (json!("paused"), json!(2))
    );
    assert_eq!(peer.received(), Vec::<String>::new());
    steer(&node, "resume").await;
    assert_eq!(peer.receives(2).await, ["one", "two"]);
}

#[tokio::test]
async fn a_pause_outlives_the_link_that_is_forgotten_and_the_next_start() {
    let (_yard, mut node, peer) = pair().await;
    let app = node.app();
    steer(&node, "pause").await;
    assert_eq!(app.verb("DELETE", "/v1/peers/beta.test").await.status, 204);
    app.submit(&[node.message_to(BETA, "held")]).await;
    node.kill().await;
    node.start().await;
    assert_eq!(node.app().link(BETA).await["sending"]["state"], "paused");
    steer(&node, "resume").await;
    assert_eq!(peer.receives(1).await, ["held"]);
}

#[tokio::test]
async fn a_pause_that_was_answered_survives_a_kill_at_once() {
    let (_yard, mut node, _peer) = patient().await;
    for verb in ["pause", "resume", "pause", "resume", "pause"] {
        steer(&node, verb).await;
        node.kill().await;
        node.start().await;
        let state = node.app().link(BETA).await["sending"]["state"].clone();
        assert_eq!(state == "paused", verb == "pause", "{verb}: {state}");
    }
}

#[tokio::test]
async fn purged_mail_is_dead_and_can_be_queued_again_or_deleted() {
    let (_yard, node, peer) = patient().await;
    steer(&node, "pause").await;
    let messages: Vec<_> = (0..2500).map(|n| node.message_to(BETA, &format!("p{n:04}"))).collect();
    node.app().submit(&messages).await;
    assert_eq!(steer(&node, "purge").await["messages"], 2500);
    // It is answered when it is done: whoever asks then finds it so.
    let status = node.app().get("/v1/messages/p2499").await.json();
    assert_eq!(status["state"], "dead");
    assert_eq!(status["last-error"], "purged by `form-app`");
    // Page by page.
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = node.app().get(&format!("/v1/dead?host=beta.test&max=700{after}")).await.json();
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
        let ids =
            page["messages"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
        seen.extend(ids);
    }
    assert_eq!(seen.len(), 2500);
    assert_eq!((seen[0].as_str(), seen[2499].as_str()), ("p0000", "p2499"));
    assert_eq!(
        node.app().get("/v1/dead?host=gamma.test").await.json(),
        json!({"messages": [], "next": null})
    );
    let (code, out, _) = node.ymp(&["dead", "retry", "--host", BETA]).await;
    assert_eq!((code, out.trim()), (0, "queued 2500 messages for beta.test"));
    steer(&node, "resume").await;
    assert_eq!(peer.receives(2500).await, seen, "in their order");
    steer(&node, "pause").await;
    node.app().submit(&[node.message_to(BETA, "last")]).await;
    steer(&node, "purge").await;
    assert_eq!(node.app().get("/v1/messages/last").await.json()["state"], "dead");
    assert_eq!(steer(&node, "drop-dead").await["messages"], 1);
    assert_eq!(node.app().get("/v1/dead").await.json()["messages"], json!([]));
}

#[tokio::test]
async fn what_is_unknown_or_not_an_admins_is_refused() {
    let (_yard, node, _peer) = pair().await;
    let other = node.app_with(Some(super::harness::node::OTHER));
    assert_eq!(other.verb("POST", "/v1/peers/beta.test/pause").await.status, 403);
    assert_eq!(other.verb("DELETE", "/v1/discovered").await.status, 403);
    for (method, path, status) in [
        ("POST", "/v1/peers/nobody.test/pause", 404),
        ("POST", "/v1/peers/a_b/pause", 400),
        ("POST", "/v1/peers/beta.test/explode", 404),
        ("GET", "/v1/peers/beta.test/pause", 405),
        ("GET", "/v1/dead?after=x", 400),
        ("GET", "/v1/dead?host=a_b", 400),
    ] {
        let got = node.app().verb(method, path).await;
        assert_eq!(got.status, status, "{method} {path}");
        got.problem();
    }
}

#[tokio::test]
async fn the_commands_say_what_they_did() {
    let (_yard, node, peer) = patient().await;
    let (code, out, _) = node.ymp(&["peer", "pause", BETA]).await;
    assert!(code == 0 && out.contains("sending       paused"), "{out}");
    node.app().submit(&[node.message_to(BETA, "x")]).await;
    let (code, out, _) = node.ymp(&["peer", "purge", BETA]).await;
    assert!(code == 0 && out.starts_with("1 message set aside:"), "{out}");
    node.app().becomes("x", "dead").await;
    let (code, out, _) = node.ymp(&["dead", "list", "--host", BETA]).await;
    assert!(code == 0 && out.contains("purged by `form-app`"), "{out}");
    for line in out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let (code, out, err) = node.ymp(&["peer", "resume", BETA]).await;
    assert!(code == 0 && out.contains("TLS 1.3"), "{code}: {out}{err}");
    assert_eq!(node.ymp(&["peer", "flush"]).await.0, 0);
    assert_eq!(peer.received(), Vec::<String>::new());
}

#[tokio::test]
async fn messages_for_services_that_nobody_runs_are_shown_with_their_names() {
    let (_yard, node, peer) = patient().await;
    let mut stray = peer.message(&node, "s1");
    stray["service"] = json!("nowhere");
    let mut again = stray.clone();
    again["id"] = json!("s2");
    assert_eq!(peer.send(&node, &[stray, peer.message(&node, "in"), again]).await.status, 204);
    let shown = node.app().get("/v1/ignored").await.json();
    let one = &shown["services"][0];
    assert_eq!(
        (one["from"].clone(), one["service"].clone(), one["messages"].clone()),
        (json!(BETA), json!("nowhere"), json!(2))
    );
    assert_eq!((shown["services"].as_array().unwrap().len(), shown["others"].clone()), (1, json!(0)));
    let other = node.app_with(Some(super::harness::node::OTHER));
    assert_eq!(other.get("/v1/ignored").await.status, 403);
}
