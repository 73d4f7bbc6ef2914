//! No token in a log line, an answer or a file: peers' tokens, ours, and those of apps.

use std::{fs, path::Path, time::Duration};

use super::harness::{
    node::{ADMIN, OTHER},
    *,
};

/// All files below a folder; what is not text is replaced, tokens are ASCII and stay.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            all.push((path.display().to_string(), text));
        }
    }
    all
}

/// A peer that repeats what it was shown.
fn echo(status: u16) -> Does {
    Does::judges(move |seen| {
        let words =
            format!("{} {}", seen.bearer.clone().unwrap_or_default(), String::from_utf8_lossy(&seen.body));
        Some(Reply::problem(status, &words, None))
    })
}

/// None of these is in the log, in an answer or, running or stopped, in a file.
async fn none_is_shown(node: &mut Node, answers: &[Got], secrets: &[String]) {
    node.logs_nothing_for(Duration::from_millis(300)).await;
    let (log, running) = (node.log(), files(&node.data_dir()));
    node.stop().await;
    let stopped = files(&node.data_dir());
    assert!(!running.is_empty());
    for secret in secrets {
        assert!(!log.contains(secret), "in the log: {secret}");
        for answer in answers {
            assert!(!String::from_utf8_lossy(&answer.body).contains(secret), "in an answer: {secret}");
        }
        for (name, text) in running.iter().chain(&stopped) {
            assert!(!text.contains(secret), "in {name}: {secret}");
        }
    }
}

//= HT-PKT-19, NODE-API-28, NODE-API-36
#[tokio::test]
async fn no_token_is_logged_answered_or_stored_in_the_clear() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let mut node = Node::new(&yard, ALPHA).pin(&peer).tracing().started().await;
    peer.meets(&node);
    let app = node.app();
    // The peer repeats what it was shown, in every answer that it can.
    peer.next(Kind::Request, echo(500));
    peer.next(Kind::Grant, echo(403));
    peer.ask(&node).await;
    peer.sees(Kind::Grant, 1).await;
    app.submit(&[node.message_to(BETA, "one")]).await;
    let request = peer.sees(Kind::Request, 1).await[0].json();
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
    peer.receives(1).await;
    for status in [500, 403, 503] {
        peer.next(Kind::Packet, echo(status));
    }
    app.submit(&[node.message_to(BETA, "two")]).await;
    peer.receives(2).await;
    peer.next(Kind::Packet, echo(400));
    app.submit(&[node.message_to(BETA, "dead")]).await;
    app.becomes("dead", "dead").await;
    peer.next(Kind::Refresh, echo(503));
    app.verb("POST", "/v1/peers/beta.test/refresh").await;
    app.verb("POST", "/v1/peers/beta.test/refresh").await;
    peer.revoke_access();
    app.submit(&[node.message_to(BETA, "three")]).await;
    peer.receives(3).await;
    // The peer's own mistakes.
    peer.link(&node).await;
    let (access, refresh) = peer.held();
    let mut answers = vec![
        peer.refresh_with(&node, &access).await,
        peer.send_with(&node, &refresh, &[]).await,
        peer.post(&node, "/packet").bearer(&access).text("{").send().await,
        peer.grants_with(&request, &peer.offer()).await.unwrap(),
        node.post("/grant").bearer(&access).json(&peer.offer()).send().await,
    ];
    let new = peer.refresh_with(&node, &refresh).await;
    peer.holds(&new.json());
    assert_eq!(peer.send(&node, &[peer.message(&node, "in")]).await.status, 204);
    answers.push(peer.refresh_with(&node, &refresh).await);
    peer.link(&node).await;
    for path in [
        "/v1/peers",
        "/v1/peers/beta.test",
        "/v1/dead",
        "/v1/messages/two",
        "/v1/messages/dead",
        "/metrics",
        "/readyz",
    ] {
        answers.push(app.get(path).await);
    }
    answers.push(app.get("/v1/inbox/example/form").await);
    answers.push(node.app_with(Some("a-wrong-app-token-of-some-length")).get("/v1/peers").await);
    let mut secrets = peer.secrets();
    secrets.extend([ADMIN, OTHER, "a-wrong-app-token-of-some-length"].map(str::to_owned));
    assert!(secrets.len() > 20);
    none_is_shown(&mut node, &answers, &secrets).await;
}

#[tokio::test]
async fn no_state_and_no_token_of_r3_is_logged_answered_or_stored_in_the_clear() {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, Revision::R3).await;
    let mut node = Node::new(&yard, ALPHA).know(&peer).tracing().started().await;
    peer.meets(&node);
    let app = node.app();
    peer.next(Kind::Request, echo(500));
    for status in [500, 403] {
        peer.next(Kind::Grant, echo(status));
    }
    peer.ask(&node).await;
    peer.sees(Kind::Grant, 2).await;
    app.submit(&[node.message_to(BETA, "one")]).await;
    let request = peer.sees(Kind::Request, 1).await[0].json();
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
    peer.receives(1).await;
    for status in [500, 403] {
        peer.next(Kind::Packet, echo(status));
    }
    app.submit(&[node.message_to(BETA, "two")]).await;
    peer.receives(2).await;
    peer.revoke_access();
    app.submit(&[node.message_to(BETA, "three")]).await;
    peer.receives(3).await;
    peer.link(&node).await;
    let state = request["state"].as_str().unwrap();
    // The peer's own mistakes.
    let mut unknown = peer.offer();
    unknown["state"] = serde_json::json!(peer.secret("state"));
    let mut too_long = peer.offer();
    too_long["state"] = serde_json::json!(format!("{}{}", peer.secret("state"), "x".repeat(512)));
    let mut answers = vec![
        peer.send_with(&node, state, &[]).await,
        peer.refresh_with(&node, state).await,
        node.post("/grant").json(&unknown).send().await,
        node.post("/grant").json(&too_long).send().await,
        node.post("/grant").json(&peer.offer_for(&request)).send().await,
        node.post("/grant").bearer(state).json(&unknown).send().await,
        node.post("/request").json(&too_long).send().await,
    ];
    for path in ["/v1/peers", "/v1/peers/beta.test", "/v1/messages/two", "/metrics"] {
        answers.push(app.get(path).await);
    }
    let secrets = peer.secrets();
    assert!(secrets.len() > 12);
    none_is_shown(&mut node, &answers, &secrets).await;
}
