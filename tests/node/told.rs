//! The log at its usual level: each change of a link is a line that a person understands, with the peer and the reason.

use super::harness::*;

async fn usual(yard: &Yard, peer: &Peer) -> Node {
    let node = Node::new(yard, ALPHA).with("log", "filter = \"info\"").logging_as_configured();
    let node = node.know(peer).started().await;
    peer.meets(&node);
    node
}

/// The lines that have come since `before`, without time and colour.
fn since(node: &Node, before: usize) -> Vec<String> {
    let log = node.log()[before..].to_owned();
    log.lines().map(|line| line.split_once(": ").map_or(line, |(_, rest)| rest).to_owned()).collect()
}

#[tokio::test]
async fn a_link_is_told_from_its_first_exchange_to_its_end() {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, Revision::R1).await;
    let node = usual(&yard, &peer).await;
    let app = node.app();
    app.submit(&[node.message_to(BETA, "one")]).await;
    app.becomes("one", "delivered").await;
    for line in [
        "asking the peer for tokens peer=beta.test",
        "tokens exchanged: the peer granted peer=beta.test",
        "the link is up: messages flow peer=beta.test",
    ] {
        node.logs(line).await;
    }

    peer.revoke_access();
    let before = node.log().len();
    app.submit(&[node.message_to(BETA, "two")]).await;
    app.becomes("two", "delivered").await;
    let lines = since(&node, before);
    assert!(
        lines.iter().any(|line| line.contains("does not know its token any more") && line.contains("401")),
        "{lines:?}"
    );

    peer.down().await;
    let before = node.log().len();
    app.submit(&[node.message_to(BETA, "three")]).await;
    node.logs("the link is down: messages stay queued peer=beta.test reason=").await;
    let down: Vec<_> = since(&node, before).into_iter().filter(|line| line.contains("is down")).collect();
    assert!(down.len() == 1 && down[0].contains("refused") && down[0].contains("wait="), "{down:?}");

    let before = node.log().len();
    peer.up().await;
    app.becomes("three", "delivered").await;
    assert_eq!(since(&node, before).iter().filter(|line| line.contains("the link is up")).count(), 1);

    let before = node.log().len();
    for verb in ["pause", "resume"] {
        app.verb("POST", &format!("/v1/peers/{BETA}/{verb}")).await;
        node.logs(&format!("who=\"form-app\" what=\"{verb}\"")).await;
    }
    assert_eq!(app.verb("DELETE", &format!("/v1/peers/{BETA}")).await.status, 204);
    node.logs("the link is forgotten: tokens in both directions are dropped peer=beta.test").await;
    assert!(since(&node, before).len() <= 5, "{:?}", since(&node, before));
}

#[tokio::test]
async fn it_is_told_when_a_peer_of_r3_proves_that_it_may_send() {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, Revision::R3).await;
    let node = usual(&yard, &peer).await;
    peer.link(&node).await;
    assert!(!node.log().contains("it may send"));
    assert_eq!(peer.send(&node, &[peer.message(&node, "one")]).await.status, 204);
    node.logs("the peer shows the token that we gave: it may send peer=beta.test").await;
    let before = node.log().len();
    assert_eq!(peer.send(&node, &[peer.message(&node, "two")]).await.status, 204);
    assert_eq!(since(&node, before), Vec::<String>::new(), "traffic is no news");
}

#[tokio::test]
async fn calls_that_are_refused_with_403_are_told_once_in_a_while() {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, Revision::R1).await;
    let mut node = usual(&yard, &peer).await;
    peer.link(&node).await;
    node.set("federation", "deny = [\"beta.test\"]");
    node.reload().await;
    let before = node.log().len();
    for _ in 0..5 {
        assert_eq!(peer.send(&node, &[peer.message(&node, "one")]).await.status, 403);
    }
    // The exchange may be told only now.
    let lines: Vec<_> = since(&node, before).into_iter().filter(|line| line.contains("with 403")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("call=\"packet\"") && lines[0].contains("policy"), "{lines:?}");
}
