//! Limits that hosts announce in the parameters of https-token: ours, and what we do with theirs. The bound on links.

use serde_json::{Value, json};

use super::harness::*;

async fn announcing(name: &str, value: Value) -> (Yard, Node, Peer) {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, Revision::R1).await;
    peer.announces(name, value);
    let node = Node::new(&yard, ALPHA).know(&peer).started().await;
    peer.meets(&node);
    (yard, node, peer)
}

async fn submit_held_back(node: &Node, peer: &Peer, messages: &[Value]) {
    peer.always(Kind::Request, Does::status(204));
    node.app().submit(messages).await;
    let request = peer.sees(Kind::Request, 1).await[0].json();
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
}

fn many(count: usize) -> Vec<Value> {
    (0..count).map(|n| numbered(ALPHA, BETA, n)).collect()
}

#[tokio::test]
async fn ours_stand_in_our_document() {
    let yard = Yard::new();
    let limits = "packet-bytes = \"64KiB\"\npacket-messages = 77";
    let node = Node::new(&yard, ALPHA).with("limits", limits).started().await;
    let document = node.get(PLACES[0]).send().await.json();
    let parameters = &document["connection-protocols"][0]["parameters"];
    assert_eq!((&parameters["packet-bytes"], &parameters["packet-messages"]), (&json!(65536), &json!(77)));
}

//= HT-SEND-03
#[tokio::test]
async fn no_packet_has_more_messages_than_the_peer_announces() {
    let (_yard, node, peer) = announcing("packet-messages", json!(3)).await;
    submit_held_back(&node, &peer, &many(20)).await;
    assert_eq!(peer.receives(20).await, in_order(20));
    let sizes: Vec<_> = peer.seen(Kind::Packet).iter().map(|seen| seen.ids().len()).collect();
    assert!(sizes.iter().all(|size| *size <= 3), "{sizes:?}");
    assert!(sizes.len() <= 8, "and they are filled: {sizes:?}");
}

//= HT-SEND-03
#[tokio::test]
async fn no_packet_has_more_bytes_than_the_peer_announces() {
    let (_yard, node, peer) = announcing("packet-bytes", json!(4096)).await;
    let big = json!({"x": "x".repeat(1500)});
    let mut messages = many(20);
    messages.extend((20..26).map(|n| message(ALPHA, BETA, &format!("m{n:05}"), &big)));
    submit_held_back(&node, &peer, &messages).await;
    assert_eq!(peer.receives(26).await, in_order(26));
    let sizes: Vec<_> = peer.seen(Kind::Packet).iter().map(|seen| seen.body.len()).collect();
    assert!(sizes.iter().all(|size| *size <= 4096), "{sizes:?}");
    assert!(sizes.len() <= 6, "and they are filled: {sizes:?}");
}

//= HT-SEND-03
#[tokio::test]
async fn our_own_limits_hold_where_the_peer_takes_more() {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, Revision::R3).await;
    peer.announces("packet-messages", json!(1_000_000));
    peer.announces("packet-bytes", json!(1_000_000_000));
    let node = Node::new(&yard, ALPHA).know(&peer).with("limits", "packet-messages = 7").started().await;
    peer.meets(&node);
    submit_held_back(&node, &peer, &many(20)).await;
    assert_eq!(peer.receives(20).await, in_order(20));
    assert!(peer.seen(Kind::Packet).iter().all(|seen| seen.ids().len() <= 7));
}

#[tokio::test]
async fn a_single_message_over_the_peers_limit_is_dead_with_a_reason_and_the_rest_goes_on() {
    let (_yard, node, peer) = announcing("packet-bytes", json!(2048)).await;
    let big = message(ALPHA, BETA, "big", &json!({"x": "x".repeat(3000)}));
    let mut messages = many(4);
    messages.insert(2, big);
    submit_held_back(&node, &peer, &messages).await;
    assert_eq!(peer.receives(4).await, in_order(4));
    let status = node.app().becomes("big", "dead").await;
    let why = status["last-error"].as_str().unwrap();
    assert!(why.contains("2048") || why.contains("2 KiB"), "{why}");
    assert!(peer.seen(Kind::Packet).iter().all(|seen| seen.body.len() <= 2048), "it was not even tried");
    assert_eq!(node.app().get("/v1/dead").await.json()["messages"][0]["id"], "big");
}

#[tokio::test]
async fn limits_that_make_no_sense_are_none() {
    for (name, value) in [
        ("packet-messages", json!(0)),
        ("packet-messages", json!(-1)),
        ("packet-messages", json!("3")),
        ("packet-bytes", json!(0)),
        ("packet-bytes", json!(1.5)),
        ("packet-bytes", json!(null)),
        ("packet-bytes", json!({})),
    ] {
        let (_yard, node, peer) = announcing(name, value.clone()).await;
        node.app().submit(&many(5)).await;
        assert_eq!(peer.receives(5).await, in_order(5), "{name}: {value}");
    }
}

#[tokio::test]
async fn of_more_links_with_strangers_than_may_be_the_least_used_end() {
    let yard = Yard::new();
    let (mut peers, mut node) = (Vec::new(), Node::new(&yard, ALPHA));
    // Of the second nothing shows that it has the tokens that were given in its name.
    for (name, revision) in [
        (BETA, Revision::R1),
        ("zeta.test", Revision::R3),
        ("gamma.test", Revision::R1),
        ("delta.test", Revision::R1),
        ("epsilon.test", Revision::R1),
    ] {
        let peer = Peer::start(&yard, name).await;
        peer.speaks(revision);
        node = node.pin(&peer);
        peers.push(peer);
    }
    let mut node = node.with("limits", "links = 2").started().await;
    let mut tokens = Vec::new();
    for peer in &peers {
        peer.meets(&node);
        tokens.push(peer.link(&node).await);
        // So that it is known which is the older one: the peer has its token before the node has the peer's 204.
        let name = &peer.name;
        eventually("the node has the link", || async {
            (node.app().link(name).await["receiving"]["state"] != "none").then_some(())
        })
        .await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let [beta, zeta, gamma, delta, epsilon] = &peers[..] else { panic!() };
    assert_eq!(beta.send_with(&node, &tokens[0], &[]).await.status, 204);
    node.stop().await;
    // Strangers now, all but the last.
    node.pins_only(&[epsilon]);
    node.start().await;
    node.logs("the least used ended").await;
    let all = node.app().get("/v1/peers").await.json();
    let hosts: Vec<_> = all["peers"].as_array().unwrap().iter().map(|link| &link["host"]).collect();
    assert_eq!(hosts, [BETA, "delta.test", "epsilon.test"]);
    let answers = [(beta, 0, 204), (zeta, 1, 401), (gamma, 2, 401), (delta, 3, 204), (epsilon, 4, 204)];
    for (peer, token, status) in answers.map(|(p, t, s)| (p, &tokens[t], s)) {
        assert_eq!(peer.send_with(&node, token, &[]).await.status, status, "{}", peer.name);
    }
    assert_eq!(node.app().metric("ymp_links_evicted_total").await, 2);
    node.stop().await;
    node.start().await;
    assert_eq!(gamma.send_with(&node, &tokens[2], &[]).await.status, 401, "on disk too");
}
