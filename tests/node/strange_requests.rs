//! `https-token`, "Being asked": every request is answered 204 with no body, and what does not fit the host that it names
//! is dropped.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::*;

async fn with_peer(revision: Revision) -> (Yard, Node, Peer) {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, revision).await;
    let node = Node::new(&yard, ALPHA).know(&peer).started().await;
    peer.meets(&node);
    (yard, node, peer)
}

/// Nothing more comes of what was asked before.
async fn quiet(node: &Node) {
    node.logs_nothing_for(Duration::from_millis(500)).await;
}

async fn request(node: &Node, body: &Value) {
    let got = node.post("/request").json(body).send().await;
    assert_eq!((got.status, got.body.len()), (204, 0), "{body}");
    assert!(got.header("content-type").is_none());
}

fn r1_request(token: &str) -> Value {
    json!({"host": BETA, "token": token, "expires-in": 600, "expires": unix_seconds() + 600, "refresh-token": "r"})
}

//= HT-ASK-01
#[tokio::test]
async fn every_request_is_answered_204_with_an_empty_body() {
    let (_yard, node, peer) = with_peer(Revision::R3).await;
    request(&node, &json!({"host": BETA, "state": "good"})).await;
    peer.sees(Kind::Grant, 1).await;
    for body in [
        json!({"host": BETA, "state": ""}),
        json!({"host": BETA, "state": "with space"}),
        json!({"host": BETA, "state": "x".repeat(513)}),
        json!({"host": BETA, "state": 7}),
        json!({"host": BETA}),
        json!({"state": "no-host"}),
        json!({"host": ALPHA, "state": "our-own-name"}),
        json!({"host": "no host", "state": "x"}),
        json!({"host": "nowhere.invalid", "state": "x"}),
        json!({"host": "127.0.0.1", "state": "x"}),
        json!({"host": BETA, "token": "half"}),
        r1_request("of-another-revision"),
    ] {
        request(&node, &body).await;
    }
    quiet(&node).await;
    let grants = peer.seen(Kind::Grant);
    let states: Vec<_> = grants.iter().map(|grant| grant.json()["state"].clone()).collect();
    assert_eq!(states, ["good"], "only what fits is granted");
}

//= HT-REV-14
#[tokio::test]
async fn a_request_of_r1_in_the_name_of_a_host_of_r3_is_dropped() {
    let (_yard, node, peer) = with_peer(Revision::R3).await;
    request(&node, &r1_request("not-theirs")).await;
    // What it is must be looked up first.
    peer.is_read(PLACES[0], 1).await;
    quiet(&node).await;
    request(&node, &json!({"host": BETA, "state": "theirs"})).await;
    let grants = peer.sees(Kind::Grant, 1).await;
    quiet(&node).await;
    assert_eq!((grants[0].bearer.clone(), grants[0].json()["state"].clone()), (None, json!("theirs")));
    assert_eq!(peer.seen(Kind::Grant).len(), 1);
    assert!(node.app().link(BETA).await["sending"]["revision"].is_null(), "its tokens are not ours to use");
}

//= HT-REV-14
#[tokio::test]
async fn a_request_of_r1_in_the_name_of_a_pinned_host_of_r3_is_dropped() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    peer.speaks(Revision::R3);
    let node = Node::new(&yard, ALPHA).pin_without_refresh(&peer).started().await;
    request(&node, &r1_request("not-theirs")).await;
    quiet(&node).await;
    peer.link(&node).await;
    let grants = peer.seen(Kind::Grant);
    assert!(grants.iter().all(|grant| grant.bearer.is_none()), "{grants:?}");
}

//= HT-REV-13
#[tokio::test]
async fn a_request_of_r3_in_the_name_of_a_host_of_r1_is_granted_while_we_hold_no_token_of_it() {
    let (_yard, node, peer) = with_peer(Revision::R1).await;
    request(&node, &json!({"host": BETA, "state": "of-an-old-part-of-it"})).await;
    let grant = peer.sees(Kind::Grant, 1).await[0].clone();
    assert_eq!((grant.bearer.clone(), grant.json()["state"].clone()), (None, json!("of-an-old-part-of-it")));
    assert!(grant.json()["refresh-token"].is_null(), "answered in its own kind");
}

//= HT-REV-15
#[tokio::test]
async fn a_request_of_r3_in_the_name_of_a_host_of_r1_is_dropped_while_we_hold_a_token_of_it() {
    let (_yard, node, peer) = with_peer(Revision::R1).await;
    node.app().submit(&[node.message_to(BETA, "out")]).await;
    peer.receives(1).await;
    request(&node, &json!({"host": BETA, "state": "a-strangers"})).await;
    quiet(&node).await;
    peer.link(&node).await;
    let grants = peer.seen(Kind::Grant);
    assert!(grants.iter().all(|grant| grant.bearer.is_some()), "{grants:?}");
    assert_eq!(peer.send(&node, &[]).await.status, 204);
}

//= HT-REV-11
#[tokio::test]
async fn a_request_with_token_and_state_is_one_of_r1() {
    let (_yard, node, peer) = with_peer(Revision::R1).await;
    let mut body = r1_request("a-token");
    body["state"] = json!("of-no-meaning");
    request(&node, &body).await;
    let grant = peer.sees(Kind::Grant, 1).await[0].clone();
    assert_eq!((grant.bearer.as_deref(), grant.json()["refresh-token"].is_string()), (Some("a-token"), true));
}

//= HT-ASK-03
#[tokio::test]
async fn our_204_waits_for_no_look_up() {
    let (_yard, node, peer) = with_peer(Revision::R3).await;
    peer.always(Kind::Information, Does::Waits(Duration::from_secs(1)));
    let start = now();
    assert_eq!(peer.ask(&node).await.status, 204);
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    eventually("the grant", || async { (peer.pairs_held() == 1).then_some(()) }).await;
}
