//! Expiry and refresh, with lifetimes of seconds.

use std::time::Duration;

use serde_json::json;

use super::{harness::*, pair};

/// Sends messages until the peer was asked for so many refreshes; returns how many were sent.
async fn flow_over(node: &Node, peer: &Peer, refreshes: usize) -> usize {
    flow(node, BETA, "the refreshes come", || peer.seen(Kind::Refresh).len() >= refreshes).await
}

//= HT-REF-21
#[tokio::test]
async fn a_chain_of_refreshes_while_messages_flow_loses_none() {
    let (_yard, node, peer) = pair().await;
    peer.lifetime(3);
    let sent = flow_over(&node, &peer, 5).await;
    assert_eq!(peer.receives(sent).await, in_order(sent));
    assert_eq!(peer.seen(Kind::Request).len(), 1, "the chain held: no new exchange");
    let refreshes = peer.seen(Kind::Refresh);
    for pair in refreshes.windows(2) {
        assert_ne!(pair[0].bearer, pair[1].bearer, "each with the newest refresh token");
        let gap = pair[1].at - pair[0].at;
        assert!(gap >= Duration::from_millis(1800) && gap < Duration::from_secs(3), "{gap:?}: at 3/4 of 3 s");
    }
    assert!(peer.seen(Kind::Packet).iter().all(|seen| seen.bearer.is_some()));
}

#[tokio::test]
async fn two_nodes_with_tokens_of_seconds_lose_nothing() {
    let yard = Yard::new();
    let tokens = "lifetime = \"4s\"";
    let (alpha, beta) = (Node::new(&yard, ALPHA), Node::new(&yard, BETA));
    let (at_alpha, at_beta) = (alpha.peer, beta.peer);
    let alpha = alpha.pin_at(BETA, at_beta).with("tokens", tokens).started().await;
    let beta = beta.pin_at(ALPHA, at_alpha).with("tokens", tokens).started().await;
    let (a, b) = (alpha.app(), beta.app());
    let mut sent = 0;
    within(Duration::from_secs(45), "five refreshes", || {
        sent += 1;
        let (a, b) = (a.clone(), b.clone());
        async move {
            a.submit(&[numbered(ALPHA, BETA, sent - 1)]).await;
            b.submit(&[numbered(BETA, ALPHA, sent - 1)]).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let both =
                a.metric("ymp_refreshes_out_total").await.min(b.metric("ymp_refreshes_out_total").await);
            (both >= 5).then_some(())
        }
    })
    .await;
    assert_eq!(b.receives(sent).await, in_order(sent));
    assert_eq!(a.receives(sent).await, in_order(sent));
    let asked = a.metric("ymp_exchanges_started_total").await + b.metric("ymp_exchanges_started_total").await;
    assert!(asked <= 2, "the chain held: {asked} exchanges");
    assert_eq!(a.metric("ymp_refresh_replays_total").await + b.metric("ymp_refresh_replays_total").await, 0);
}

//= HT-REF-15
#[tokio::test]
async fn packets_go_on_with_the_old_token_while_a_refresh_is_under_way() {
    let (_yard, node, peer) = pair().await;
    node.app().submit(&[node.message_to(BETA, "one")]).await;
    peer.receives(1).await;
    peer.next(Kind::Refresh, Does::Waits(Duration::from_secs(3)));
    let app = node.app();
    let refreshing = tokio::spawn(async move { app.verb("POST", "/v1/peers/beta.test/refresh").await });
    peer.sees(Kind::Refresh, 1).await;
    let start = now();
    node.app().submit(&[node.message_to(BETA, "two")]).await;
    peer.receives(2).await;
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(refreshing.await.unwrap().status, 200);
    node.app().submit(&[node.message_to(BETA, "three")]).await;
    peer.receives(3).await;
    let bearers: Vec<_> = peer.seen(Kind::Packet).iter().map(|seen| seen.bearer.clone()).collect();
    assert_eq!(bearers[0], bearers[1]);
    assert_ne!(bearers[1], bearers[2]);
}

//= HT-REF-19
#[tokio::test]
async fn a_refresh_without_an_answer_is_tried_again_with_the_old_refresh_token() {
    let (_yard, node, peer) = pair().await;
    peer.lifetime(16);
    for does in [Does::LosesAnswer, Does::status(503), Does::status(429)] {
        peer.next(Kind::Refresh, does);
    }
    node.app().submit(&[node.message_to(BETA, "one")]).await;
    peer.receives(1).await;
    // Long before the token ends, so that there is time for four tries, two seconds apart.
    let app = node.app();
    tokio::spawn(async move { app.verb("POST", "/v1/peers/beta.test/refresh").await });
    let refreshes = peer.sees(Kind::Refresh, 4).await;
    assert!(refreshes[..4].iter().all(|seen| seen.bearer == refreshes[0].bearer));
    peer.lifetime(3600);
    node.app().submit(&[node.message_to(BETA, "two")]).await;
    assert_eq!(peer.receives(2).await, ["one", "two"]);
}

//= HT-REF-20
#[tokio::test]
async fn a_refused_refresh_is_followed_by_a_new_exchange_and_nothing_is_lost() {
    let (_yard, node, peer) = pair().await;
    peer.lifetime(3);
    for status in [401, 400, 403] {
        peer.next(Kind::Refresh, Does::status(status));
    }
    let sent = flow_over(&node, &peer, 4).await;
    assert_eq!(peer.receives(sent).await, in_order(sent));
    eventually("exchanged anew", || async { (peer.seen(Kind::Request).len() >= 4).then_some(()) }).await;
}

//= HT-REF-18
#[tokio::test]
async fn a_refresh_reply_without_tokens_is_not_a_success() {
    let (_yard, node, peer) = pair().await;
    node.app().submit(&[node.message_to(BETA, "one")]).await;
    peer.receives(1).await;
    peer.next(Kind::Refresh, Does::Answers(Reply::of(200).body("application/json", "{\"token\":\"x\"}")));
    let got = node.app().verb("POST", "/v1/peers/beta.test/refresh").await;
    assert_eq!((got.status, &got.json()["step"]), (502, &json!("refresh")));
    node.app().submit(&[node.message_to(BETA, "two")]).await;
    assert_eq!(peer.receives(2).await, ["one", "two"]);
}

//= HT-SEND-09
#[tokio::test]
async fn a_401_on_a_packet_is_followed_by_one_refresh() {
    let (_yard, node, peer) = pair().await;
    node.app().submit(&[node.message_to(BETA, "one")]).await;
    peer.receives(1).await;
    peer.revoke_access();
    node.app().submit(&[node.message_to(BETA, "two")]).await;
    assert_eq!(peer.receives(2).await, ["one", "two"]);
    assert_eq!((peer.seen(Kind::Refresh).len(), peer.seen(Kind::Request).len()), (1, 1));
}

//= HT-SEND-09
#[tokio::test]
async fn a_401_that_a_refresh_does_not_cure_is_followed_by_one_exchange() {
    let (_yard, node, peer) = pair().await;
    node.app().submit(&[node.message_to(BETA, "one")]).await;
    peer.receives(1).await;
    peer.revoke_access();
    peer.revoke_refresh();
    node.app().submit(&[node.message_to(BETA, "two")]).await;
    assert_eq!(peer.receives(2).await, ["one", "two"]);
    assert_eq!((peer.seen(Kind::Refresh).len(), peer.seen(Kind::Request).len()), (1, 2));
}

//= HT-SEND-10, HT-SEND-11
#[tokio::test]
async fn a_401_with_fresh_tokens_is_a_link_that_failed_and_does_not_spin() {
    let (_yard, node, peer) = pair().await;
    peer.always(Kind::Packet, Does::status(401));
    node.app().submit(&[node.message_to(BETA, "refused")]).await;
    eventually("the link fails", || async {
        (node.app().link(BETA).await["failures"].as_u64().unwrap() >= 1).then_some(())
    })
    .await;
    let calls = || peer.seen(Kind::Refresh).len() + peer.seen(Kind::Request).len();
    let (before, start) = (calls(), now());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let per_two_seconds = start.elapsed().as_secs_f64() / 2.0;
    assert!((calls() - before) as f64 <= per_two_seconds + 1.0, "at most one refresh or exchange in 2 s");
    assert_eq!(node.app().status("refused").await["state"], "queued");
    peer.usual(Kind::Packet);
    assert_eq!(peer.receives(1).await, ["refused"]);
}

#[tokio::test]
async fn held_tokens_and_given_tokens_outlive_a_restart() {
    let (_yard, mut node, peer) = pair().await;
    node.app().submit(&[node.message_to(BETA, "one")]).await;
    peer.receives(1).await;
    node.restart().await;
    node.app().submit(&[node.message_to(BETA, "two")]).await;
    peer.receives(2).await;
    // Killed between the 204 and its commit, it would be sent again.
    node.app().becomes("two", "delivered").await;
    node.kill().await;
    node.start().await;
    node.app().submit(&[node.message_to(BETA, "three")]).await;
    assert_eq!(peer.receives(3).await, ["one", "two", "three"]);
    assert_eq!(peer.seen(Kind::Request).len(), 1, "no new exchange was needed");
    assert_eq!(peer.send(&node, &[]).await.status, 204);
}
