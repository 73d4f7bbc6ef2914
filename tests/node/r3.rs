//! `https-token` with a peer of R3: "Being granted" row by row, and what is done with requests.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::harness::*;

/// Alpha and a beta of R3 that is pinned, and nothing exchanged yet.
async fn r3_pair() -> (Yard, Node, Peer) {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    peer.speaks(Revision::R3);
    let node = Node::new(&yard, ALPHA).pin_without_refresh(&peer).started().await;
    peer.meets(&node);
    (yard, node, peer)
}

/// The node asks, and the peer keeps the request to itself: the request's body.
async fn asked(node: &Node, peer: &Peer) -> Value {
    peer.always(Kind::Request, Does::status(204));
    let before = peer.seen(Kind::Request).len();
    node.app().submit(&[node.message_to(&peer.name, &format!("asks-{}-{before}", peer.name))]).await;
    peer.sees(Kind::Request, before + 1).await.last().unwrap().json()
}

async fn grant(node: &Node, offer: &Value) -> Got {
    node.post("/grant").json(offer).send().await
}

//= HT-REV-04, HT-REV-20
#[tokio::test]
async fn a_request_carries_our_name_and_a_state_and_nothing_else() {
    let (_yard, node, peer) = r3_pair().await;
    let mut states = Vec::new();
    for n in 1..=3 {
        node.app().connect(BETA).await;
        let request = peer.sees(Kind::Request, n).await[n - 1].clone();
        assert!(request.bearer.is_none());
        let body = request.json();
        assert_eq!((body.as_object().unwrap().len(), &body["host"]), (2, &json!(ALPHA)));
        let state = body["state"].as_str().unwrap().to_owned();
        assert_eq!(state.len(), 43, "256 bits in base64url without padding");
        assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(&state).unwrap().len(), 32);
        assert!(!states.contains(&state), "each its own");
        states.push(state);
    }
}

//= HT-REV-06
#[tokio::test]
async fn a_grant_carries_our_name_a_token_its_end_and_the_state_and_no_bearer() {
    let (_yard, node, peer) = r3_pair().await;
    peer.link(&node).await;
    let grant = peer.sees(Kind::Grant, 1).await[0].clone();
    assert!(grant.bearer.is_none() && grant.header("authorization").is_none());
    let body = grant.json();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["expires", "host", "state", "token"]);
    assert_eq!((&body["host"], body["token"].as_str().unwrap().len()), (&json!(ALPHA), 43));
    assert!(body["expires"].as_u64().unwrap().abs_diff(unix_seconds() + 3600) <= 5, "{}", body["expires"]);
    assert!(body["state"].as_str().unwrap().starts_with("state-of-beta"));
}

//= HT-REV-16, HT-GRANT-06
#[tokio::test]
async fn a_grant_with_the_state_of_our_request_is_204_and_serves_our_direction_only() {
    let (_yard, node, peer) = r3_pair().await;
    let request = asked(&node, &peer).await;
    let got = peer.grants(&request).await.unwrap();
    assert_eq!((got.status, got.body.len()), (204, 0));
    assert_eq!(peer.receives(1).await, ["asks-beta.test-0"]);
    let link = node.app().link(BETA).await;
    assert_eq!((&link["sending"]["state"], &link["receiving"]["state"]), (&json!("linked"), &json!("none")));
    assert_eq!(link["sending"]["revision"], "R3");
    assert!(link["receiving"]["revision"].is_null());
}

//= HT-GRANT-07
#[tokio::test]
async fn the_same_state_and_token_again_is_204_and_changes_nothing() {
    let (_yard, mut node, peer) = r3_pair().await;
    let request = asked(&node, &peer).await;
    let offer = peer.offer_for(&request);
    peer.gives(&offer);
    assert_eq!(grant(&node, &offer).await.status, 204);
    let expires = node.app().link(BETA).await["sending"]["expires-at"].clone();
    let mut later = offer.clone();
    later["expires"] = json!(unix_seconds() + 1800);
    for again in [&offer, &later, &offer] {
        assert_eq!(grant(&node, again).await.status, 204);
    }
    let link = node.app().link(BETA).await;
    assert_eq!((&link["sending"]["state"], &link["sending"]["expires-at"]), (&json!("linked"), &expires));
    node.restart().await;
    assert_eq!(grant(&node, &offer).await.status, 204, "the record is on disk");
    assert_eq!(node.app().link(BETA).await["sending"]["expires-at"], expires);
}

#[tokio::test]
async fn the_same_state_with_another_token_is_403_and_the_first_stays() {
    let (_yard, mut node, peer) = r3_pair().await;
    let request = asked(&node, &peer).await;
    let other = peer.offer_for(&request);
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
    let got = grant(&node, &other).await;
    assert_eq!(got.status, 403);
    got.problem();
    node.restart().await;
    assert_eq!(grant(&node, &other).await.status, 403, "the record is on disk");
    node.app().submit(&[node.message_to(BETA, "after")]).await;
    assert_eq!(peer.receives(2).await, ["asks-beta.test-0", "after"]);
    let shown = peer.seen(Kind::Packet).into_iter().map(|seen| seen.bearer.unwrap());
    assert!(shown.into_iter().all(|token| token != other["token"].as_str().unwrap()));
}

//= HT-GRANT-08, HT-GRANT-12
#[tokio::test]
async fn an_unknown_state_is_403_and_the_exchange_waits_on() {
    let (_yard, node, peer) = r3_pair().await;
    let request = asked(&node, &peer).await;
    for state in ["unknown".to_owned(), "x".repeat(512), request["state"].as_str().unwrap()[1..].to_owned()] {
        let mut offer = peer.offer();
        offer["state"] = json!(state);
        let got = grant(&node, &offer).await;
        assert_eq!((got.status, got.header("www-authenticate")), (403, None), "{state}");
        got.problem();
    }
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
    peer.receives(1).await;
}

//= HT-GRANT-04
#[tokio::test]
async fn a_state_that_was_sent_to_another_host_is_403_and_both_exchanges_wait_on() {
    let yard = Yard::new();
    let (beta, gamma) = (Peer::start(&yard, BETA).await, Peer::start(&yard, "gamma.test").await);
    let node = Node::new(&yard, ALPHA).pin_without_refresh(&beta).pin_without_refresh(&gamma).started().await;
    let mut requests = Vec::new();
    for peer in [&beta, &gamma] {
        peer.speaks(Revision::R3);
        peer.meets(&node);
        requests.push(asked(&node, peer).await);
    }
    // Gamma learned the state that was meant for beta, and claims it; or says that it is beta with its own.
    assert_eq!(grant(&node, &gamma.offer_for(&requests[0])).await.status, 403);
    let mut renamed = gamma.offer_for(&requests[1]);
    renamed["host"] = json!(BETA);
    assert_eq!(grant(&node, &renamed).await.status, 403);
    for (peer, request) in [&beta, &gamma].into_iter().zip(&requests) {
        assert_eq!(peer.grants(request).await.unwrap().status, 204);
        peer.receives(1).await;
    }
}

//= HT-CHK-07, HT-GRANT-03
#[tokio::test]
async fn neither_bearer_nor_state_is_401_with_a_challenge_after_the_shape() {
    let (_yard, node, peer) = r3_pair().await;
    let request = asked(&node, &peer).await;
    let got = grant(&node, &peer.offer()).await;
    assert_eq!((got.status, got.header("www-authenticate")), (401, Some("Bearer")));
    got.problem();
    assert_eq!(grant(&node, &json!({"host": BETA})).await.status, 400);
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
}

//= HT-REV-12
#[tokio::test]
async fn an_unknown_bearer_beside_a_good_state_is_401() {
    let (_yard, node, peer) = r3_pair().await;
    let request = asked(&node, &peer).await;
    let offer = peer.offer_for(&request);
    peer.gives(&offer);
    for bearer in ["never-given", request["state"].as_str().unwrap()] {
        let got = node.post("/grant").bearer(bearer).json(&offer).send().await;
        assert_eq!((got.status, got.header("www-authenticate")), (401, Some("Bearer")), "{bearer}");
    }
    assert_eq!(grant(&node, &offer).await.status, 204, "the exchange waited on");
}

//= HT-REV-12
#[tokio::test]
async fn a_grant_of_r1_may_carry_a_state_besides() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let node = Node::new(&yard, ALPHA).pin(&peer).started().await;
    peer.meets(&node);
    let request = asked(&node, &peer).await;
    let mut offer = peer.offer();
    offer["state"] = json!("of-no-meaning");
    peer.gives(&offer);
    assert_eq!(peer.grants_with(&request, &offer).await.unwrap().status, 204, "the bearer tells");
    assert_eq!(node.app().link(BETA).await["sending"]["revision"], "R1");
}

//= SEED-GRANT-2, HT-GRANT-09, HT-GRANT-12
#[tokio::test]
async fn a_grant_of_wrong_shape_is_400_and_the_exchange_waits_on() {
    let (_yard, node, peer) = r3_pair().await;
    let request = asked(&node, &peer).await;
    let good = peer.offer_for(&request);
    let with = |name: &str, value: Value| {
        let mut offer = good.clone();
        offer[name] = value;
        offer.to_string()
    };
    let without = |name: &str| {
        let mut offer = good.clone();
        offer.as_object_mut().unwrap().remove(name);
        offer.to_string()
    };
    for body in [
        with("state", json!("")),
        with("state", json!("x".repeat(513))),
        with("state", json!("with space")),
        with("state", json!("line\nbreak")),
        with("state", json!("\u{7f}")),
        with("state", json!("st\u{e4}te")),
        with("state", json!(7)),
        with("token", json!("")),
        with("token", json!("with space")),
        with("token", json!("x".repeat(4097))),
        with("host", json!("not a host")),
        with("expires", json!(0)),
        with("expires", json!(unix_seconds() - 10)),
        with("expires", json!(1.5)),
        without("host"),
        without("token"),
        without("expires"),
        format!(r#"{{"state":"first",{}"#, &good.to_string()[1..]),
        format!(r#"{{"\u0073tate":"first",{}"#, &good.to_string()[1..]),
    ] {
        let got = node.post("/grant").text(&body).send().await;
        assert_eq!(got.status, 400, "{body}");
        got.problem();
    }
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
    peer.receives(1).await;
}

//= HT-DOOR-01
#[tokio::test]
async fn a_state_opens_no_other_door_and_nothing_else_opens_its_own() {
    let (_yard, node, peer) = r3_pair().await;
    let ours = asked(&node, &peer).await["state"].as_str().unwrap().to_owned();
    let access = peer.link(&node).await;
    let theirs = peer.sees(Kind::Grant, 1).await[0].json()["state"].as_str().unwrap().to_owned();
    for state in [&ours, &theirs] {
        assert_eq!(peer.send_with(&node, state, &[]).await.status, 401);
        assert_eq!(peer.refresh_with(&node, state).await.status, 401);
        let mut r1 = peer.offer();
        r1["refresh-token"] = json!("refresh");
        assert_eq!(node.post("/grant").bearer(state).json(&r1).send().await.status, 401);
    }
    for other in [&access, &theirs] {
        let mut offer = peer.offer();
        offer["state"] = json!(other);
        assert_eq!(grant(&node, &offer).await.status, 403, "that is no state of ours");
    }
    assert_eq!(peer.send(&node, &[]).await.status, 204);
}

//= HT-GRANT-13
#[tokio::test]
async fn a_grant_that_comes_before_our_request_is_answered_is_taken() {
    let (_yard, node, peer) = r3_pair().await;
    super::granted::a_grant_before_the_answer_is_taken(&node, &peer).await;
}

#[tokio::test]
async fn tokens_of_both_directions_outlive_a_kill() {
    let (_yard, mut node, peer) = r3_pair().await;
    node.app().submit(&[node.message_to(BETA, "one")]).await;
    peer.receives(1).await;
    node.app().becomes("one", "delivered").await;
    peer.link(&node).await;
    assert_eq!(peer.send(&node, &[peer.message(&node, "in")]).await.status, 204);
    node.kill().await;
    node.start().await;
    node.app().submit(&[node.message_to(BETA, "two")]).await;
    assert_eq!(peer.receives(2).await, ["one", "two"]);
    assert_eq!(peer.send(&node, &[peer.message(&node, "in-2")]).await.status, 204);
    assert_eq!(peer.seen(Kind::Request).len(), 1, "no new exchange was needed");
    let link = node.app().link(BETA).await;
    let shown = [&link["revision"], &link["sending"]["revision"], &link["receiving"]["revision"]];
    assert_eq!(shown, [&json!("R3"); 3], "{link}");
}

#[tokio::test]
async fn a_dead_token_is_followed_by_one_new_exchange_and_nothing_is_lost() {
    let (_yard, node, peer) = r3_pair().await;
    node.app().submit(&[node.message_to(BETA, "one")]).await;
    peer.receives(1).await;
    peer.revoke_access();
    node.app().submit(&[node.message_to(BETA, "two")]).await;
    assert_eq!(peer.receives(2).await, ["one", "two"]);
    assert_eq!(peer.seen(Kind::Request).len(), 2);
    assert!(peer.seen(Kind::Other).is_empty(), "there is no refresh to try");
}

//= HT-REV-18
#[tokio::test]
async fn an_operator_who_wants_a_refresh_is_told_that_there_is_none() {
    let (_yard, node, peer) = r3_pair().await;
    node.app().submit(&[node.message_to(BETA, "one")]).await;
    peer.receives(1).await;
    let got = node.app().verb("POST", "/v1/peers/beta.test/refresh").await;
    assert_eq!((got.status, &got.json()["step"]), (502, &json!("refresh")));
    assert!(got.problem()["detail"].as_str().unwrap().contains("R3"), "{}", got.json());
    node.app().submit(&[node.message_to(BETA, "two")]).await;
    peer.receives(2).await;
    let shown = peer.seen(Kind::Packet);
    assert_eq!(shown[0].bearer, shown[1].bearer, "the token is as good as before");
    assert!(peer.seen(Kind::Other).is_empty());
}

//= HT-REV-17
#[tokio::test]
async fn a_peers_204_for_our_grant_proves_nothing_until_it_sends() {
    let (_yard, node, peer) = r3_pair().await;
    // Whoever asks so, the peer answers every grant with 204; four families is all there is room for.
    let token = peer.link(&node).await;
    assert_eq!(peer.send(&node, &[peer.message(&node, "in")]).await.status, 204);
    for n in 0..6 {
        let forged = json!({"host": BETA, "state": format!("forged-{n}")});
        assert_eq!(node.post("/request").elsewhere().json(&forged).send().await.status, 204);
        peer.sees(Kind::Grant, n + 2).await;
    }
    assert_eq!(peer.send_with(&node, &token, &[peer.message(&node, "in-2")]).await.status, 204);
    assert_eq!(node.app().receives(2).await, ["in", "in-2"]);
}

#[tokio::test]
async fn strangers_requests_do_not_close_a_token_that_the_peer_has_not_used_yet() {
    let (_yard, node, peer) = r3_pair().await;
    let token = peer.link(&node).await;
    for n in 0..12 {
        let forged = json!({"host": BETA, "state": format!("forged-{n}")});
        assert_eq!(node.post("/request").elsewhere().json(&forged).send().await.status, 204);
        peer.sees(Kind::Grant, n + 2).await;
    }
    assert_eq!(peer.send_with(&node, &token, &[]).await.status, 204);
}
