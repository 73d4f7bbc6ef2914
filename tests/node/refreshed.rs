//! `https-token`, "Refreshing", where the peer refreshes what we gave it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{harness::*, pair};

async fn refreshed(node: &Node, peer: &Peer, refresh: &str) -> Value {
    let got = peer.refresh_with(node, refresh).await;
    assert_eq!(got.status, 200);
    got.json()
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap().to_owned()
}

//= SEED-REFRESH-1, HT-REV-03, HT-DOOR-03, HT-REF-01, HT-REF-03
#[tokio::test]
async fn a_refresh_answers_200_with_both_new_tokens() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    let (access, refresh) = peer.held();
    let got = peer.refresh_with(&node, &refresh).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.header("content-type"), Some("application/json"));
    assert_eq!(got.header("cache-control"), Some("no-store"));
    let body = got.json();
    assert_eq!(body["expires-in"], 3600);
    assert!(body["expires"].as_u64().unwrap().abs_diff(unix_seconds() + 3600) <= 3);
    assert_eq!(body.as_object().unwrap().len(), 4);
    for (new, old) in [(text(&body, "token"), access), (text(&body, "refresh-token"), refresh)] {
        assert_ne!(new, old);
        assert_eq!(new.len(), 43, "256 bits in base64url without padding");
    }
    peer.holds(&body);
    assert_eq!(peer.send(&node, &[peer.message(&node, "new")]).await.status, 204);
}

//= HT-REF-02
#[tokio::test]
async fn a_body_is_not_needed_and_is_ignored() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    let (_, refresh) = peer.held();
    for http in [Http::One, Http::Two] {
        let with = node.post("/refresh").over(http).bearer(&refresh);
        assert_eq!(with.clone().send().await.status, 200);
        assert_eq!(with.clone().text("{").send().await.status, 200);
        assert_eq!(
            with.header("content-type", "text/plain").bytes("x".repeat(100_000)).send().await.status,
            200
        );
    }
}

//= HT-REF-04, HT-REF-05, HT-REF-06, HT-CRASH-03
#[tokio::test]
async fn a_lost_answer_costs_nothing_the_old_token_gives_another_pair() {
    let (_yard, mut node, peer) = pair().await;
    peer.link(&node).await;
    let (access, refresh) = peer.held();
    let lost = refreshed(&node, &peer, &refresh).await;
    let second = refreshed(&node, &peer, &refresh).await;
    assert_ne!(lost["token"], second["token"]);
    assert_eq!(peer.send_with(&node, &access, &[]).await.status, 204, "the old pair is valid still");
    node.restart().await;
    let third = refreshed(&node, &peer, &refresh).await;
    assert_eq!(peer.send_with(&node, &text(&second, "token"), &[]).await.status, 401, "it died unused");
    assert_eq!(peer.send_with(&node, &text(&third, "token"), &[]).await.status, 204);
}

//= HT-REF-07
#[tokio::test]
async fn an_old_access_token_is_taken_for_packets_under_way() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    let (access, refresh) = peer.held();
    let new = refreshed(&node, &peer, &refresh).await;
    assert_eq!(peer.send_with(&node, &text(&new, "token"), &[]).await.status, 204);
    assert_eq!(peer.send_with(&node, &access, &[]).await.status, 204, "within 30 s of the first use");
}

//= HT-REF-09, HT-REF-10, HT-REF-11
#[tokio::test]
async fn a_spent_refresh_token_is_401_and_revokes_the_family() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    let (access, refresh) = peer.held();
    let new = refreshed(&node, &peer, &refresh).await;
    assert_eq!(peer.send_with(&node, &text(&new, "token"), &[]).await.status, 204);
    let got = peer.refresh_with(&node, &refresh).await;
    assert_eq!((got.status, got.header("www-authenticate")), (401, Some("Bearer")));
    let problem = got.problem();
    let unknown = peer.refresh_with(&node, "never-given").await.problem();
    assert_eq!(problem, unknown, "who replays learns nothing");
    for token in [&access, &text(&new, "token")] {
        assert_eq!(peer.send_with(&node, token, &[]).await.status, 401);
    }
    assert_eq!(peer.refresh_with(&node, &text(&new, "refresh-token")).await.status, 401);
    node.logs("security: a spent refresh token was shown again").await;
    assert_eq!(node.app().metric("ymp_refresh_replays_total").await, 1);
    peer.link(&node).await;
    assert_eq!(peer.send(&node, &[]).await.status, 204, "the peer can always request anew");
}

//= HT-REF-09
#[tokio::test]
async fn the_refresh_token_of_a_pair_that_died_unused_is_a_replay() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    let (_, refresh) = peer.held();
    let died = refreshed(&node, &peer, &refresh).await;
    let used = refreshed(&node, &peer, &refresh).await;
    assert_eq!(peer.send_with(&node, &text(&used, "token"), &[]).await.status, 204);
    assert_eq!(peer.refresh_with(&node, &text(&died, "refresh-token")).await.status, 401);
    assert_eq!(peer.send_with(&node, &text(&used, "token"), &[]).await.status, 401, "revoked");
}

//= HT-REF-12, HT-CRASH-05, HT-CRASH-07
#[tokio::test]
async fn a_revoked_family_stays_revoked_over_a_restart() {
    let (_yard, mut node, peer) = pair().await;
    peer.link(&node).await;
    let (_, refresh) = peer.held();
    let new = refreshed(&node, &peer, &refresh).await;
    assert_eq!(refreshed(&node, &peer, &text(&new, "refresh-token")).await["expires-in"], 3600);
    assert_eq!(peer.refresh_with(&node, &refresh).await.status, 401);
    node.kill().await;
    node.start().await;
    assert_eq!(peer.refresh_with(&node, &text(&new, "refresh-token")).await.status, 401);
    assert_eq!(peer.send_with(&node, &text(&new, "token"), &[]).await.status, 401);
}

//= HT-REF-04, HT-REF-21
#[tokio::test]
async fn a_chain_of_refreshes_goes_on_also_over_restarts() {
    let (_yard, mut node, peer) = pair().await;
    peer.link(&node).await;
    let (_, mut refresh) = peer.held();
    for step in 0..8 {
        let new = refreshed(&node, &peer, &refresh).await;
        refresh = text(&new, "refresh-token");
        if step % 2 == 0 {
            assert_eq!(peer.send_with(&node, &text(&new, "token"), &[]).await.status, 204, "{step}");
        }
        if step == 4 {
            node.kill().await;
            node.start().await;
        }
    }
}

//= SEED-REFRESH-2, HT-CHK-04, HT-REF-13, NODE-CONF-15
#[tokio::test]
async fn unknown_missing_and_expired_refresh_tokens_are_401_with_a_challenge() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let lifetimes = "lifetime = \"1s\"\nrefresh-lifetime = \"2s\"";
    let node = Node::new(&yard, ALPHA).pin(&peer).with("tokens", lifetimes).started().await;
    peer.link(&node).await;
    let (access, refresh) = peer.held();
    for call in [
        node.post("/refresh"),
        node.post("/refresh").bearer("unknown"),
        node.post("/refresh").bearer(&access),
        node.post("/refresh").header("authorization", "Basic dTpw"),
    ] {
        let got = call.send().await;
        assert_eq!((got.status, got.header("www-authenticate")), (401, Some("Bearer")));
        got.problem();
    }
    within(Duration::from_secs(10), "the refresh token expires", || async {
        let got = peer.refresh_with(&node, &refresh).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        (got.status == 401).then_some(())
    })
    .await;
}

//= HT-DOOR-01, HT-REF-01
#[tokio::test]
async fn every_secret_opens_its_own_door_only() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    let (access, refresh) = peer.held();
    assert_eq!(peer.send_with(&node, &refresh, &[]).await.status, 401);
    assert_eq!(peer.refresh_with(&node, &access).await.status, 401);
    for token in [&access, &refresh] {
        assert_eq!(node.post("/grant").bearer(token).json(&peer.offer()).send().await.status, 401);
    }
    assert_eq!(peer.send(&node, &[]).await.status, 204);
}

//= HT-REF-08
#[tokio::test]
async fn the_mark_of_a_first_use_is_on_disk_when_the_call_is_answered() {
    let (_yard, mut node, peer) = pair().await;
    for first in ["none at all", "a message", "no JSON", "for another host"] {
        peer.link(&node).await;
        let (_, refresh) = peer.held();
        let new = text(&refreshed(&node, &peer, &refresh).await, "token");
        let answer = match first {
            "none at all" => peer.send_with(&node, &new, &[]).await.status,
            "a message" => peer.send_with(&node, &new, &[peer.message(&node, "first")]).await.status,
            "no JSON" => peer.post(&node, "/packet").bearer(&new).text("{").send().await.status,
            _ => peer.send_with(&node, &new, &[message(BETA, BETA, "x", &json!({}))]).await.status,
        };
        let kept = ["none at all", "a message"].contains(&first);
        assert_eq!(answer == 204, kept, "{first}: {answer}");
        node.kill().await;
        node.start().await;
        let again = peer.refresh_with(&node, &refresh).await.status;
        assert_eq!(again, 401, "{first}: spent, as the node still knows");
        assert_eq!(peer.send_with(&node, &new, &[]).await.status, 401, "{first}: so it was a replay");
    }
    assert_eq!(node.app().ids().await, ["first"]);
}
