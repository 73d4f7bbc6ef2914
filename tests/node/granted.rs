//! `https-token`, "Being granted": the table, row by row.

use serde_json::{Value, json};

use super::{harness::*, pair};

/// The node asks, and the peer keeps the request to itself: the request's body.
async fn asked(node: &Node, peer: &Peer) -> Value {
    peer.always(Kind::Request, Does::status(204));
    let before = peer.seen(Kind::Request).len();
    node.app().submit(&[node.message_to(BETA, &format!("asks-{before}"))]).await;
    peer.sees(Kind::Request, before + 1).await.last().unwrap().json()
}

//= SEED-GRANT-1, HT-PIC-01, HT-DOOR-02, HT-GRANT-01
#[tokio::test]
async fn a_grant_with_the_token_of_our_request_opens_both_directions() {
    let (_yard, node, peer) = pair().await;
    let request = asked(&node, &peer).await;
    assert_eq!(request["host"], ALPHA);
    let got = peer.grants(&request).await.unwrap();
    assert_eq!((got.status, got.body.len()), (204, 0));
    assert_eq!(peer.receives(1).await, ["asks-0"]);
    assert_eq!(peer.send(&node, &[peer.message(&node, "back")]).await.status, 204);
    assert_eq!(node.app().receives(1).await, ["back"]);
}

//= HT-GRANT-02
#[tokio::test]
async fn the_same_grant_again_is_204_and_changes_nothing() {
    let (_yard, mut node, peer) = pair().await;
    let request = asked(&node, &peer).await;
    let offer = peer.offer();
    assert_eq!(peer.grants_with(&request, &offer).await.unwrap().status, 204);
    peer.holds(&request);
    for _ in 0..3 {
        assert_eq!(peer.grants_with(&request, &offer).await.unwrap().status, 204);
    }
    let mut renamed = offer.clone();
    renamed["expires-in"] = json!("1800");
    assert_eq!(peer.grants_with(&request, &renamed).await.unwrap().status, 204, "tokens are what counts");
    assert_eq!(node.app().link(BETA).await["receiving"]["families"], 1);
    node.restart().await;
    assert_eq!(peer.grants_with(&request, &offer).await.unwrap().status, 204, "the record is on disk");
    assert_eq!(peer.send(&node, &[]).await.status, 204);
}

//= HT-GRANT-05
#[tokio::test]
async fn the_same_bearer_with_other_tokens_is_403_and_the_first_stay() {
    let (_yard, node, peer) = pair().await;
    let request = asked(&node, &peer).await;
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
    let got = peer.grants_with(&request, &peer.offer()).await.unwrap();
    assert_eq!(got.status, 403);
    got.problem();
    assert_eq!(peer.receives(1).await.len(), 1);
    assert_eq!(peer.send(&node, &[]).await.status, 204);
}

//= HT-CHK-04, HT-GRANT-03
#[tokio::test]
async fn an_unknown_bearer_is_401_with_a_challenge() {
    let (_yard, node, peer) = pair().await;
    let stranger = json!({"token": "nobody-asked-with-this-token"});
    let got = peer.grants_with(&stranger, &peer.offer()).await.unwrap();
    assert_eq!((got.status, got.header("www-authenticate")), (401, Some("Bearer")));
    got.problem();
    // Before the body is looked at.
    let got = node.post("/grant").bearer("nobody-asked-with-this-token").text("{").send().await;
    assert_eq!(got.status, 401);
}

//= HT-CHK-07, HT-GRANT-03
#[tokio::test]
async fn a_grant_with_neither_bearer_nor_state_is_401_after_its_shape() {
    let (_yard, node, peer) = pair().await;
    let got = node.post("/grant").json(&peer.offer()).send().await;
    assert_eq!((got.status, got.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(node.post("/grant").text("{").send().await.status, 400);
    assert_eq!(node.post("/grant").json(&json!({"host": BETA})).send().await.status, 400);
}

//= HT-GRANT-08
#[tokio::test]
async fn a_grant_with_an_unknown_state_is_403() {
    let (_yard, node, _peer) = pair().await;
    let grant = json!({"host": BETA, "token": "a-token", "expires": unix_seconds() + 60, "state": "unknown"});
    let got = node.post("/grant").json(&grant).send().await;
    assert_eq!(got.status, 403);
    got.problem();
}

//= HT-GRANT-04
#[tokio::test]
async fn a_grant_in_another_name_than_was_asked_is_403_and_the_exchange_waits_on() {
    let (_yard, node, peer) = pair().await;
    let request = asked(&node, &peer).await;
    let mut offer = peer.offer();
    offer["host"] = json!("gamma.test");
    assert_eq!(peer.grants_with(&request, &offer).await.unwrap().status, 403);
    assert_eq!(node.app().link(BETA).await["sending"]["state"], "asking");
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
    peer.receives(1).await;
}

//= SEED-GRANT-2, HT-GRANT-09, HT-GRANT-12
#[tokio::test]
async fn a_grant_of_wrong_shape_is_400_and_the_exchange_waits_on() {
    let (_yard, node, peer) = pair().await;
    let request = asked(&node, &peer).await;
    let mut good = peer.offer();
    // A good one beside it does not cure a bad `expires-in`.
    good["expires"] = json!(unix_seconds() + 3600);
    let with = |name: &str, value: Value| {
        let mut offer = good.clone();
        offer[name] = value;
        offer.to_string()
    };
    let without = |names: &[&str]| {
        let mut offer = good.clone();
        for name in names {
            offer.as_object_mut().unwrap().remove(*name);
        }
        offer.to_string()
    };
    let twice = format!(r#"{{"token":"first",{}"#, &good.to_string()[1..]);
    let escaped = format!(r#"{{"\u0074oken":"first",{}"#, &good.to_string()[1..]);
    for body in [
        String::new(),
        "[]".to_owned(),
        "{".to_owned(),
        "\"text\"".to_owned(),
        without(&["host"]),
        without(&["token"]),
        without(&["refresh-token"]),
        without(&["expires-in", "expires"]),
        with("host", json!("not a host")),
        with("host", json!(7)),
        with("token", json!("")),
        with("token", json!("with space")),
        with("token", json!("x".repeat(4097))),
        with("refresh-token", json!(null)),
        with("expires-in", json!(0)),
        with("expires-in", json!(-5)),
        with("expires-in", json!(1.5)),
        with("expires-in", json!("1.5")),
        with("expires-in", json!("1234567890123456")),
        with("expires-in", json!(true)),
        twice,
        escaped,
    ] {
        let got = node.post("/grant").bearer(request["token"].as_str().unwrap()).text(&body).send().await;
        assert_eq!(got.status, 400, "{body}");
        got.problem();
    }
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
    peer.receives(1).await;
}

//= HT-REV-07, HT-REV-09, HT-REV-10
#[tokio::test]
async fn lifetimes_are_read_as_integers_or_strings_and_expires_in_wins() {
    let (_yard, node, peer) = pair().await;
    let mut offer = peer.offer();
    for (expires_in, expires, minutes) in [
        (json!("600"), json!(1), 10),
        (json!(1200), json!(null), 20),
        (json!(null), json!((unix_seconds() + 1800).to_string()), 30),
        (json!(1_000_000_000_u64), json!(null), 400 * 24 * 60),
    ] {
        offer["token"] = json!(peer.secret("access"));
        offer["expires-in"] = expires_in.clone();
        offer["expires"] = expires;
        for name in ["expires-in", "expires"] {
            if offer[name].is_null() {
                offer.as_object_mut().unwrap().remove(name);
            }
        }
        let before = peer.seen(Kind::Request).len();
        peer.always(Kind::Request, Does::status(204));
        let app = node.app();
        let connecting = tokio::spawn(async move { app.connect(BETA).await });
        let request = peer.sees(Kind::Request, before + 1).await.last().unwrap().json();
        assert_eq!(peer.grants_with(&request, &offer).await.unwrap().status, 204, "{offer}");
        let link = connecting.await.unwrap();
        let until: jiff::Timestamp = link["sending"]["expires-at"].as_str().unwrap().parse().unwrap();
        let left = until.as_second() - i64::try_from(unix_seconds()).unwrap();
        assert!((left - minutes * 60).abs() <= 5, "{expires_in}: {left} s");
    }
}

/// Of whichever revision the peer is.
pub(super) async fn a_grant_before_the_answer_is_taken(node: &Node, peer: &Peer) {
    peer.next(Kind::Request, Does::Waits(std::time::Duration::from_secs(3)));
    node.app().submit(&[node.message_to(BETA, "early")]).await;
    let request = peer.sees(Kind::Request, 1).await[0].json();
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
    assert_eq!(peer.receives(1).await, ["early"]);
}

//= HT-GRANT-13
#[tokio::test]
async fn a_grant_that_comes_before_our_request_is_answered_is_taken() {
    let (_yard, node, peer) = pair().await;
    a_grant_before_the_answer_is_taken(&node, &peer).await;
}

//= HT-GRANT-14
#[tokio::test]
async fn what_our_request_is_answered_decides_nothing_but_404_and_405() {
    let (_yard, node, peer) = pair().await;
    for status in [200, 400, 500, 503] {
        peer.next(Kind::Request, Does::status(status));
        let app = node.app();
        let connecting = tokio::spawn(async move { app.connect(BETA).await });
        let request = peer.sees(Kind::Request, 1).await.last().unwrap().json();
        assert_eq!(peer.grants(&request).await.unwrap().status, 204, "{status}");
        connecting.await.unwrap();
        assert_eq!(node.app().verb("DELETE", "/v1/peers/beta.test").await.status, 204);
        peer.forget_seen();
    }
    for status in [404, 405] {
        peer.next(Kind::Request, Does::status(status));
        let got = node.app().verb("POST", "/v1/peers/beta.test/connect").await;
        assert_eq!((got.status, &got.json()["step"]), (502, &json!("request")), "{status}");
    }
}
