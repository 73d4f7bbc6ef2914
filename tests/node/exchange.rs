//! Exchanges that cross, repeat, fail, or are started in another's name.

use std::time::Duration;

use serde_json::json;

use super::{harness::*, pair};

//= HT-PIC-02, HT-REV-05, HT-ASK-11, HT-ASK-12
#[tokio::test]
async fn a_strangers_request_in_a_linked_peers_name_disturbs_nothing() {
    let (_yard, node, peer) = pair().await;
    let app = node.app();
    app.submit(&[node.message_to(BETA, "before")]).await;
    peer.receives(1).await;
    let (token, held) = (peer.seen(Kind::Packet)[0].bearer.clone(), peer.token());
    for n in 0..4 {
        // Whoever this is, it is not beta: our grant goes to beta, who never asked.
        let forged = json!({"host": BETA, "token": format!("forged-{n}"), "expires-in": 60, "refresh-token": "forged-too"});
        assert_eq!(node.post("/request").json(&forged).send().await.status, 204);
        let grants = peer.sees(Kind::Grant, n + 1).await;
        assert_eq!(grants[n].bearer.as_deref(), Some(format!("forged-{n}").as_str()));
        app.counts("ymp_names_misused_total", n as u64 + 1).await;
        let offered = grants[n].json();
        let offered = offered["token"].as_str().unwrap();
        assert_eq!(peer.send_with(&node, offered, &[]).await.status, 401, "what was offered is dropped");
        assert_eq!(peer.send_with(&node, &held, &[]).await.status, 204, "the peer's token works on");
    }
    app.submit(&[node.message_to(BETA, "after")]).await;
    assert_eq!(peer.receives(2).await, ["before", "after"]);
    let packets = peer.seen(Kind::Packet);
    assert!(packets.iter().all(|seen| seen.bearer == token), "we send with the token that works");
    node.logs("somebody asked for a token in the name of this host").await;
    let link = app.link(BETA).await;
    assert_eq!((&link["failures"], &link["receiving"]["families"]), (&json!(0), &json!(1)));
}

//= HT-ASK-03, HT-ASK-12
#[tokio::test]
async fn a_strangers_request_that_the_real_peer_never_answers_delays_nothing() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    peer.always(Kind::Grant, Does::Waits(Duration::from_secs(60)));
    let forged = json!({"host": BETA, "token": "forged", "expires-in": 60, "refresh-token": "forged-too"});
    assert_eq!(node.post("/request").json(&forged).send().await.status, 204);
    peer.sees(Kind::Grant, 2).await;
    let start = now();
    node.app().submit(&[node.message_to(BETA, "out")]).await;
    peer.receives(1).await;
    assert_eq!(peer.send(&node, &[peer.message(&node, "in")]).await.status, 204);
    assert!(start.elapsed() < Duration::from_secs(5));
}

//= HT-ASK-03, HT-ASK-05, HT-ASK-07
#[tokio::test]
async fn an_offered_token_waits_for_the_outcome_of_its_grant() {
    let (_yard, node, peer) = pair().await;
    peer.next(Kind::Grant, Does::Waits(Duration::from_secs(2)));
    assert_eq!(peer.ask(&node).await.status, 204);
    let offered = peer.sees(Kind::Grant, 1).await[0].json();
    let offered = offered["token"].as_str().unwrap();
    let start = now();
    let got = peer.send_with(&node, offered, &[peer.message(&node, "early")]).await;
    assert_eq!(got.status, 204, "neither valid nor unknown: it waited");
    assert!(start.elapsed() > Duration::from_secs(1));
    assert_eq!(node.app().ids().await, ["early"]);
}

//= NODE-API-31
#[tokio::test]
async fn what_is_offered_while_the_host_is_forgotten_opens_nothing() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    peer.next(Kind::Grant, Does::Waits(Duration::from_secs(2)));
    peer.ask(&node).await;
    let offered = peer.sees(Kind::Grant, 2).await[1].json();
    let offered = offered["token"].as_str().unwrap();
    assert_eq!(node.app().verb("DELETE", "/v1/peers/beta.test").await.status, 204);
    assert_eq!(peer.send_with(&node, offered, &[]).await.status, 401, "it waited, and was withdrawn");
    let link = node.app().link(BETA).await;
    assert_eq!((&link["sending"]["state"], &link["receiving"]["state"]), (&json!("none"), &json!("none")));
}

//= HT-ASK-08
#[tokio::test]
async fn a_grant_is_sent_again_the_very_same_until_it_is_answered() {
    let (_yard, node, peer) = pair().await;
    // After a second, two, four and eight: within the 30 s.
    for does in [Does::Breaks, Does::status(503), Does::status(429), Does::status(408)] {
        peer.next(Kind::Grant, does);
    }
    assert_eq!(peer.ask(&node).await.status, 204);
    let grants = peer.sees(Kind::Grant, 5).await;
    for grant in &grants {
        assert_eq!((&grant.bearer, &grant.json()["token"]), (&grants[0].bearer, &grants[0].json()["token"]));
        assert_eq!(grant.json()["refresh-token"], grants[0].json()["refresh-token"]);
    }
    eventually("the fifth is taken", || async { (peer.pairs_held() == 1).then_some(()) }).await;
    assert_eq!(peer.send(&node, &[]).await.status, 204);
}

#[tokio::test]
async fn a_grant_whose_answer_was_lost_is_sent_again_and_works() {
    let (_yard, node, peer) = pair().await;
    peer.next(Kind::Grant, Does::LosesAnswer);
    // The second time the peer answers as `https-token` says: the same again is 204.
    peer.next(Kind::Grant, Does::status(204));
    peer.ask(&node).await;
    peer.sees(Kind::Grant, 2).await;
    assert_eq!(peer.send(&node, &[]).await.status, 204);
}

//= SEED-REQ-2, HT-ASK-10
#[tokio::test]
async fn a_grant_that_is_refused_drops_both_sides_tokens() {
    let (_yard, node, peer) = pair().await;
    for (n, status) in [400, 401, 403, 404, 413].into_iter().enumerate() {
        peer.next(Kind::Grant, Does::status(status));
        assert_eq!(peer.ask(&node).await.status, 204);
        let offered = peer.sees(Kind::Grant, n + 1).await[n].json();
        let token = offered["token"].as_str().unwrap();
        assert_eq!(peer.send_with(&node, token, &[]).await.status, 401, "{status}");
        let link = node.app().link(BETA).await;
        assert_eq!(
            (&link["receiving"]["state"], &link["sending"]["state"]),
            (&json!("none"), &json!("none"))
        );
        let reason = format!("answered {status}");
        eventually("the link says why", || async {
            let link = node.app().link(BETA).await;
            link["receiving"]["last-failure"]["reason"]
                .as_str()
                .filter(|said| said.contains(&reason))
                .map(drop)
        })
        .await;
    }
    node.app().counts("ymp_grants_failed_total", 5).await;
    assert_eq!(peer.seen(Kind::Grant).len(), 5, "none was retried");
    peer.ask(&node).await;
    eventually("nothing is said of it once a grant is taken", || async {
        let link = node.app().link(BETA).await;
        (link["receiving"]["state"] == "linked" && link["receiving"]["last-failure"].is_null()).then_some(())
    })
    .await;
}

//= HT-SEND-01
#[tokio::test]
async fn one_exchange_at_a_time_however_much_mail_there_is() {
    let (_yard, node, peer) = pair().await;
    peer.always(Kind::Request, Does::status(204));
    let app = node.app();
    let asks = (0..20).map(|n| {
        let (app, message) = (app.clone(), numbered(ALPHA, BETA, n));
        tokio::spawn(async move { app.submit(&[message]).await })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.unwrap();
    }
    let connect = || {
        let app = app.clone();
        tokio::spawn(async move { app.verb("POST", "/v1/peers/beta.test/connect").await.status })
    };
    let connecting = [connect(), connect(), connect()];
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = peer.seen(Kind::Request);
    assert_eq!(asked.len(), 1);
    assert_eq!(peer.grants(&asked[0].json()).await.unwrap().status, 204);
    for connecting in connecting {
        assert_eq!(connecting.await.unwrap(), 200);
    }
    assert_eq!(peer.receives(20).await.len(), 20);
    assert_eq!(peer.seen(Kind::Request).len(), 1);
}

//= HT-ASK-15, HT-ASK-16
#[tokio::test]
async fn when_both_ask_at_once_every_token_given_is_taken() {
    let (_yard, node, peer) = pair().await;
    peer.always(Kind::Request, Does::status(204));
    node.app().submit(&[node.message_to(BETA, "out")]).await;
    let request = peer.sees(Kind::Request, 1).await[0].json();
    peer.link(&node).await;
    let theirs = peer.token();
    assert_eq!(peer.grants(&request).await.unwrap().status, 204);
    let ours = peer.token();
    assert_ne!(theirs, ours);
    for token in [&theirs, &ours, &theirs] {
        assert_eq!(peer.send_with(&node, token, &[]).await.status, 204);
    }
    peer.receives(1).await;
}

//= HT-ASK-13, HT-ASK-14
#[tokio::test]
async fn a_new_exchange_does_not_displace_a_token_that_works() {
    let (_yard, node, peer) = pair().await;
    node.app().submit(&[node.message_to(BETA, "first")]).await;
    peer.receives(1).await;
    let works = peer.seen(Kind::Packet)[0].bearer.clone();
    // A new exchange, whose token the peer then does not know.
    node.app().connect(BETA).await;
    let newest = peer.seen(Kind::Request).len();
    assert_eq!(newest, 2);
    let known = works.clone();
    peer.always(Kind::Packet, Does::judges(move |seen| (seen.bearer != known).then(|| Reply::of(401))));
    node.app().submit(&[node.message_to(BETA, "second")]).await;
    assert_eq!(peer.receives(2).await, ["first", "second"]);
    let packets = peer.seen(Kind::Packet);
    assert_eq!(packets.last().unwrap().bearer, works, "on 401 the node falls back to the one before");
    assert_eq!((peer.seen(Kind::Request).len(), peer.seen(Kind::Refresh).len()), (2, 0));
}

//= HT-GRANT-15
#[tokio::test]
async fn an_exchange_without_a_grant_fails_after_grant_wait_and_its_grant_is_taken_later() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let node = Node::new(&yard, ALPHA).pin(&peer).with("tokens", "grant-wait = \"1s\"").started().await;
    peer.meets(&node);
    peer.always(Kind::Request, Does::status(204));
    let got = node.app().verb("POST", "/v1/peers/beta.test/connect").await;
    assert_eq!((got.status, &got.json()["step"]), (502, &json!("grant")));
    node.app().submit(&[node.message_to(BETA, "waits")]).await;
    peer.sees(Kind::Request, 3).await;
    let first = peer.seen(Kind::Request)[0].json();
    assert!(node.app().link(BETA).await["failures"].as_u64().unwrap() >= 1);
    assert_eq!(peer.grants(&first).await.unwrap().status, 204, "late, and taken");
    assert_eq!(peer.receives(1).await, ["waits"]);
    assert_eq!(node.app().link(BETA).await["failures"], 0);
}

//= HT-SEND-25, NODE-API-20
#[tokio::test]
async fn a_peer_that_is_away_at_first_is_asked_again() {
    let (_yard, node, peer) = pair().await;
    peer.down().await;
    node.app().submit(&[node.message_to(BETA, "patient")]).await;
    eventually("tries fail", || async {
        let status = node.app().status("patient").await;
        (status["attempts"].as_u64().unwrap() >= 2).then(|| assert!(status["last-error"].is_string()))
    })
    .await;
    assert_eq!(node.app().link(BETA).await["sending"]["state"], "backing-off");
    peer.up().await;
    assert_eq!(peer.receives(1).await, ["patient"]);
    node.app().becomes("patient", "delivered").await;
}

//= HT-ASK-17
#[tokio::test]
async fn four_families_at_most_and_the_oldest_never_used_goes_first() {
    let (_yard, node, peer) = pair().await;
    let mut tokens = Vec::new();
    for n in 0..6 {
        tokens.push(peer.link(&node).await);
        assert_eq!(peer.send_with(&node, &tokens[0], &[]).await.status, 204, "{n}: the first is in use");
    }
    let mut open = Vec::new();
    for token in &tokens {
        open.push(peer.send_with(&node, token, &[]).await.status);
    }
    assert_eq!(open, [204, 401, 401, 204, 204, 204]);
}

//= HT-CRASH-01, HT-CRASH-02
#[tokio::test]
async fn a_node_that_is_killed_between_two_steps_exchanges_anew() {
    let (_yard, mut node, peer) = pair().await;
    peer.always(Kind::Request, Does::status(204));
    node.app().submit(&[node.message_to(BETA, "survives")]).await;
    let request = peer.sees(Kind::Request, 1).await[0].json();
    node.kill().await;
    peer.usual(Kind::Request);
    node.start().await;
    assert_eq!(peer.receives(1).await, ["survives"]);
    assert_eq!(peer.grants(&request).await.unwrap().status, 401, "the ask did not outlive the process");
    // Killed while its grant is under way: what was offered is nothing after the restart.
    peer.next(Kind::Grant, Does::Waits(Duration::from_secs(5)));
    let before = peer.seen(Kind::Grant).len();
    peer.ask(&node).await;
    let offered = peer.sees(Kind::Grant, before + 1).await[before].json();
    node.kill().await;
    node.start().await;
    assert_eq!(peer.send_with(&node, offered["token"].as_str().unwrap(), &[]).await.status, 401);
}

//= HT-ASK-06
#[tokio::test]
async fn an_offered_token_whose_grant_is_not_settled_in_10_s_is_503() {
    let (_yard, node, peer) = pair().await;
    peer.next(Kind::Grant, Does::Waits(Duration::from_secs(20)));
    assert_eq!(peer.ask(&node).await.status, 204);
    let offered = peer.sees(Kind::Grant, 1).await[0].json();
    let start = now();
    let got = peer.send_with(&node, offered["token"].as_str().unwrap(), &[]).await;
    let waited = start.elapsed();
    assert_eq!((got.status, got.header("retry-after")), (503, Some("1")));
    got.problem();
    assert!(waited >= Duration::from_secs(9) && waited < Duration::from_secs(15), "{waited:?}");
}
