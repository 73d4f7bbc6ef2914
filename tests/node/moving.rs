//! Peers that change while they are linked: other paths, another revision, information that cannot be read for a while.

use std::time::Duration;

use serde_json::json;

use super::harness::*;

/// A node that knows where beta is, and a beta that publishes; linked in our direction by a first message.
async fn linked(revision: Revision) -> (Yard, Node, Peer) {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, revision).await;
    let node = Node::new(&yard, ALPHA).know(&peer).started().await;
    peer.meets(&node);
    node.app().submit(&[numbered(ALPHA, BETA, 0)]).await;
    peer.receives(1).await;
    node.app().becomes("m00000", "delivered").await;
    (yard, node, peer)
}

async fn submit(node: &Node, numbers: std::ops::Range<usize>) {
    node.app().submit(&numbers.map(|n| numbered(ALPHA, BETA, n)).collect::<Vec<_>>()).await;
}

//= HT-SEND-15
#[tokio::test]
async fn a_packet_path_that_moved_is_followed_at_once_and_nothing_is_lost_or_doubled() {
    for (revision, status) in
        [(Revision::R1, 404), (Revision::R2, 405), (Revision::R3, 404), (Revision::R3, 405)]
    {
        let (_yard, node, peer) = linked(revision).await;
        peer.answers_elsewhere(status);
        peer.moves(Kind::Packet, "/moved/packet");
        let start = now();
        submit(&node, 1..40).await;
        assert_eq!(peer.receives(40).await, in_order(40), "{revision:?} {status}");
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        node.app().becomes("m00039", "delivered").await;
        assert_eq!(peer.received(), in_order(40));
        assert_eq!(peer.reads(PLACES[0]), 2, "read again, once");
        assert_eq!(peer.seen(Kind::Other).len(), 1, "the old path was tried once");
        assert_eq!(peer.seen(Kind::Request).len(), 1, "the tokens are as good as before");
        assert!(node.app().get("/v1/dead").await.json()["messages"].as_array().unwrap().is_empty());
    }
}

//= HT-GRANT-14
#[tokio::test]
async fn a_request_path_that_moved_is_followed_at_once() {
    for (revision, status) in [(Revision::R1, 404), (Revision::R3, 405)] {
        let (_yard, node, peer) = linked(revision).await;
        peer.answers_elsewhere(status);
        peer.moves(Kind::Request, "/moved/request");
        peer.revoke_access();
        peer.revoke_refresh();
        let start = now();
        submit(&node, 1..10).await;
        assert_eq!(peer.receives(10).await, in_order(10), "{revision:?} {status}");
        assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
        assert_eq!(peer.reads(PLACES[0]), 2, "read again, once");
        assert_eq!(peer.seen(Kind::Request).last().unwrap().path, "/moved/request");
    }
}

#[tokio::test]
async fn an_operators_connect_follows_a_request_path_that_moved() {
    let (_yard, node, peer) = linked(Revision::R3).await;
    peer.moves(Kind::Request, "/moved/request");
    node.app().connect(BETA).await;
    assert_eq!(peer.seen(Kind::Request).last().unwrap().path, "/moved/request");
}

//= HT-SEND-15
#[tokio::test]
async fn a_path_that_is_gone_and_published_still_does_not_spin() {
    let (_yard, node, peer) = linked(Revision::R3).await;
    peer.always(Kind::Packet, Does::status(404));
    let before = peer.seen(Kind::Packet).len();
    submit(&node, 1..2).await;
    peer.sees(Kind::Packet, before + 2).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(peer.seen(Kind::Packet).len() - before <= 10, "{}", peer.seen(Kind::Packet).len());
    assert!(peer.reads(PLACES[0]) <= 3, "{} reads", peer.reads(PLACES[0]));
    assert_eq!(node.app().status("m00001").await["state"], "queued");
    peer.usual(Kind::Packet);
    assert_eq!(peer.receives(2).await, in_order(2));
}

/// Another implementation stands there now, with paths of its own, and the old ones are gone.
async fn turns(node: &Node, peer: &Peer, revision: Revision) {
    peer.speaks(revision);
    for (kind, path) in
        [(Kind::Request, "/new/request"), (Kind::Grant, "/new/grant"), (Kind::Packet, "/new/packet")]
    {
        peer.moves(kind, path);
    }
    submit(node, 1..10).await;
    assert_eq!(peer.receives(10).await, in_order(10));
    let app = node.app();
    eventually("the revision is shown", || async {
        let link = app.link(BETA).await;
        (link["revision"] == revision.name() && link["sending"]["revision"] == revision.name()).then_some(())
    })
    .await;
    peer.link(node).await;
    assert_eq!(peer.send(node, &[peer.message(node, "in")]).await.status, 204);
    assert_eq!(app.receives(1).await, ["in"]);
    assert_eq!(app.link(BETA).await["receiving"]["revision"], revision.name());
}

//= HT-REV-01
#[tokio::test]
async fn a_peer_that_goes_from_r3_to_r1_is_followed() {
    let (_yard, node, peer) = linked(Revision::R3).await;
    turns(&node, &peer, Revision::R1).await;
    assert_eq!(node.app().verb("POST", "/v1/peers/beta.test/refresh").await.status, 200);
    assert_eq!(peer.seen(Kind::Refresh).len(), 1);
}

//= HT-REV-01
#[tokio::test]
async fn a_peer_that_goes_from_r1_to_r3_is_followed() {
    let (_yard, node, peer) = linked(Revision::R1).await;
    turns(&node, &peer, Revision::R3).await;
    assert!(peer.seen(Kind::Request).last().unwrap().json()["state"].is_string());
}

#[tokio::test]
async fn information_that_was_found_keeps_the_link_alive_over_a_restart_while_it_cannot_be_read() {
    for revision in [Revision::R1, Revision::R3] {
        let (_yard, mut node, peer) = linked(revision).await;
        peer.link(&node).await;
        node.restart().await;
        peer.publishes(&[]);
        submit(&node, 1..10).await;
        assert_eq!(peer.receives(10).await, in_order(10), "{revision:?}");
        assert_eq!(peer.send(&node, &[peer.message(&node, "in")]).await.status, 204);
        // An exchange or a refresh goes to the paths that are known too.
        peer.revoke_access();
        submit(&node, 10..20).await;
        assert_eq!(peer.receives(20).await, in_order(20), "{revision:?}");
        peer.link(&node).await;
        assert_eq!(peer.send(&node, &[]).await.status, 204);
    }
}

#[tokio::test]
async fn information_that_was_found_outlives_a_kill() {
    let (_yard, mut node, peer) = linked(Revision::R3).await;
    node.kill().await;
    peer.always(Kind::Information, Does::Breaks);
    node.start().await;
    submit(&node, 1..10).await;
    assert_eq!(peer.receives(10).await, in_order(10));
    let link = node.app().link(BETA).await;
    assert_eq!((&link["revision"], &link["negotiation"]["source"]), (&json!("R3"), &json!("published")));
}
