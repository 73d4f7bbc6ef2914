//! `https-token`, "Packets": the table, row by row.

use serde_json::{Value, json};

use super::{harness::*, pair};

async fn linked() -> (Yard, Node, Peer) {
    let (yard, node, peer) = pair().await;
    peer.link(&node).await;
    (yard, node, peer)
}

/// Posts a body as the linked peer.
async fn post(node: &Node, peer: &Peer, body: &str) -> Got {
    peer.post(node, "/packet").bearer(&peer.token()).text(body).send().await
}

//= SEED-PACKET-1, HT-PKT-01, HT-PKT-02
#[tokio::test]
async fn a_valid_packet_is_204_and_is_delivered() {
    let (_yard, mut node, peer) = linked().await;
    let got = peer.send(&node, &[peer.message(&node, "one"), peer.message(&node, "two")]).await;
    assert_eq!((got.status, got.body.len()), (204, 0));
    assert_eq!(node.app().ids().await, ["one", "two"]);
    assert_eq!(peer.send(&node, &[]).await.status, 204, "none at all is valid");
    node.kill().await;
    node.start().await;
    assert_eq!(node.app().ids().await, ["one", "two"], "204 was said after it was on the disk");
}

//= YMP-MSG-07, YMP-MSG-08
#[tokio::test]
async fn a_payload_is_carried_byte_for_byte() {
    let (_yard, node, peer) = linked().await;
    let payload = r#"{ "n":1.00,  "a":[1e5, 12345678901234567890],"t":"\u0041\/é","n":2 }"#;
    let message = format!(
        r#"{{"sender":{{"host":"{BETA}","protocol":"EXAMPLE","service":"form"}},"id":"raw","host":"{ALPHA}",
        "protocol":"Example","service":"form","action":"put","payload":{payload},"extra":[ 1 ]}}"#
    );
    let body = format!(r#"{{"packet":{{"messages":[{message}],"more":0}},"and":"more"}}"#);
    assert_eq!(post(&node, &peer, &body).await.status, 204);
    let inbox = node.app().get("/v1/inbox/example/form").await;
    let text = String::from_utf8(inbox.body.to_vec()).unwrap();
    assert!(text.contains(payload), "{text}");
    assert!(text.contains(r#""extra":[ 1 ]"#), "{text}");
}

//= HT-PKT-03
#[tokio::test]
async fn the_same_message_again_is_204_and_is_not_delivered_twice() {
    let (_yard, mut node, peer) = linked().await;
    let message = peer.message(&node, "again");
    for _ in 0..3 {
        assert_eq!(peer.send(&node, &[message.clone(), message.clone()]).await.status, 204);
    }
    node.kill().await;
    node.start().await;
    assert_eq!(peer.send(&node, &[message.clone(), peer.message(&node, "next")]).await.status, 204);
    // Written by another encoder, the payload being the same.
    let message = message.to_string().replacen(':', " : ", 1).replacen('{', r#"{"extra":1,"#, 1);
    let body = format!(r#"{{"packet":{{"messages":[{message}]}}}}"#);
    assert_eq!(post(&node, &peer, &body).await.status, 204);
    assert_eq!(node.app().ids().await, ["again", "next"]);
    assert_eq!(node.app().metric("ymp_messages_altered_total").await, 0);
}

//= HT-PKT-04
#[tokio::test]
async fn a_repeat_with_another_payload_is_204_counted_and_warned_of() {
    let (_yard, node, peer) = linked().await;
    assert_eq!(peer.send(&node, &[peer.message(&node, "one")]).await.status, 204);
    let other = message(BETA, ALPHA, "one", &json!({"another": true}));
    assert_eq!(peer.send(&node, &[other]).await.status, 204);
    let inbox = node.app().inbox(10).await;
    assert_eq!((inbox.len(), &inbox[0]["message"]["payload"]), (1, &json!({"id": "one"})));
    assert_eq!(node.app().metric("ymp_messages_altered_total").await, 1);
    // The payload is the same, and it answers something.
    let mut answer = peer.message(&node, "one");
    answer["reply-to"] = json!("a-request");
    assert_eq!(peer.send(&node, &[answer]).await.status, 204);
    assert_eq!(node.app().metric("ymp_messages_altered_total").await, 2);
    node.logs("came again with another").await;
    assert!(node.log().lines().any(|line| line.contains(" WARN ") && line.contains("another content")));
}

//= HT-PKT-03, YMP-MSG-02
#[tokio::test]
async fn ids_are_the_senders_own_two_hosts_may_use_the_same() {
    let yard = Yard::new();
    let (beta, gamma) = (Peer::start(&yard, BETA).await, Peer::start(&yard, "gamma.test").await);
    let node = Node::new(&yard, ALPHA).pin(&beta).pin(&gamma).started().await;
    for peer in [&beta, &gamma] {
        peer.link(&node).await;
        assert_eq!(peer.send(&node, &[peer.message(&node, "one")]).await.status, 204);
    }
    let inbox = node.app().inbox(10).await;
    let from: Vec<_> = inbox.iter().map(|entry| entry["from"].as_str().unwrap()).collect();
    assert_eq!(from, [BETA, "gamma.test"]);
}

//= HT-CHK-04, HT-PKT-05
#[tokio::test]
async fn a_bearer_that_opens_nothing_is_401_before_the_body_is_read() {
    let (_yard, node, peer) = linked().await;
    let good = packet(&[peer.message(&node, "no")]);
    for call in [
        node.post("/packet").json(&good),
        node.post("/packet").bearer("unknown").json(&good),
        node.post("/packet").bearer("unknown").text("{"),
        node.post("/packet").bearer("unknown").header("content-type", "text/plain"),
        node.post("/packet").header("authorization", "Bearer").json(&good),
        node.post("/packet").header("authorization", "Basic dTpw").json(&good),
    ] {
        for http in [Http::One, Http::Two] {
            let got = call.clone().over(http).send().await;
            assert_eq!(got.status, 401);
            assert_eq!(got.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
            got.problem();
        }
    }
    assert_eq!(node.app().ids().await, Vec::<String>::new());
}

//= HT-PKT-05, NODE-CONF-15, NODE-API-31
#[tokio::test]
async fn expired_and_revoked_tokens_are_401() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let node = Node::new(&yard, ALPHA).pin(&peer).with("tokens", "lifetime = \"1s\"").started().await;
    peer.link(&node).await;
    eventually("the token expires", || async { (peer.send(&node, &[]).await.status == 401).then_some(()) })
        .await;
    let token = peer.link(&node).await;
    assert_eq!(peer.send(&node, &[]).await.status, 204);
    assert_eq!(node.app().verb("DELETE", "/v1/peers/beta.test").await.status, 204);
    assert_eq!(peer.send_with(&node, &token, &[]).await.status, 401, "forgotten: revoked");
}

//= HT-PKT-07, HT-PKT-08, HT-PKT-10, YMP-HOST-04, YMP-MSG-09
#[tokio::test]
async fn what_is_not_the_callers_or_not_for_us_is_403_and_nothing_is_kept() {
    let (_yard, node, peer) = linked().await;
    let good = peer.message(&node, "good");
    for (wrong, kind) in [
        (message("gamma.test", ALPHA, "x", &json!({})), "sender"),
        (message("beta.test:8443", ALPHA, "x", &json!({})), "sender"),
        (message("sub.beta.test", ALPHA, "x", &json!({})), "sender"),
        (message(BETA, "gamma.test", "x", &json!({})), "host"),
        (message(BETA, "alpha.test:8443", "x", &json!({})), "host"),
    ] {
        let got = peer.send(&node, &[good.clone(), wrong.clone()]).await;
        assert_eq!(got.status, 403, "{kind}: {wrong}");
        assert_eq!(got.problem()["index"], 1);
    }
    assert_eq!(node.app().ids().await, Vec::<String>::new());
    assert_eq!(
        peer.send(&node, &[message("BETA.test:443", "Alpha.TEST:443", "same", &json!({}))]).await.status,
        204
    );
}

//= HT-PKT-06
#[tokio::test]
async fn a_host_that_the_policy_refuses_by_now_is_403() {
    let (_yard, mut node, peer) = linked().await;
    node.stop().await;
    node.set("federation", "deny = [\"beta.test\"]");
    node.start().await;
    let got = peer.send(&node, &[peer.message(&node, "no")]).await;
    assert_eq!(got.status, 403);
    got.problem();
    assert_eq!(node.app().ids().await, Vec::<String>::new());
}

//= HT-PKT-01, HT-PKT-09, HT-PKT-10
#[tokio::test]
async fn a_packet_of_wrong_shape_is_400_and_nothing_is_kept() {
    let (_yard, node, peer) = linked().await;
    for body in
        ["", "{", "[]", "{}", "null", r#"{"packet":{}}"#, r#"{"packet":[]}"#, r#"{"packet":{"messages":{}}}"#]
    {
        let got = post(&node, &peer, body).await;
        assert_eq!(got.status, 400, "{body}");
        got.problem();
    }
    let twice = r#"{"packet":{"messages":[]},"packet":{"messages":[]}}"#;
    assert_eq!(post(&node, &peer, twice).await.status, 400);
    let escaped = r#"{"packet":{"messages":[],"m\u0065ssages":[]}}"#;
    assert_eq!(post(&node, &peer, escaped).await.status, 400);
    assert_eq!(node.app().ids().await, Vec::<String>::new());
}

//= HT-PKT-09, HT-PKT-10, HT-PKT-18, YMP-MSG-01, YMP-MSG-04, YMP-MSG-06, YMP-MSG-12
#[tokio::test]
async fn a_message_of_wrong_shape_is_400_and_is_named_by_its_index() {
    let (_yard, node, peer) = linked().await;
    let good = peer.message(&node, "good");
    let with = |path: &str, value: Value| {
        let mut message = good.clone();
        *message.pointer_mut(path).unwrap() = value;
        message.to_string()
    };
    let without = |name: &str| {
        let mut message = good.clone();
        message.as_object_mut().unwrap().remove(name);
        message.to_string()
    };
    let doubled = |head: &str| format!("{{{head},{}", &good.to_string()[1..]);
    let mut wrong: Vec<String> =
        ["sender", "id", "host", "protocol", "service", "payload"].map(without).to_vec();
    wrong.extend([
        with("/id", json!("")),
        with("/id", json!(7)),
        with("/id", json!("x".repeat(513))),
        with("/action", json!("x".repeat(513))),
        with("/action", json!(1)),
        with("/payload", json!("text")),
        with("/payload", json!([])),
        with("/sender", json!("beta.test")),
        with("/sender/host", json!(null)),
        with("/sender/service", json!(1)),
        "7".to_owned(),
        doubled(r#""id":"first""#),
        doubled(r#""p\u0061yload":{}"#),
        doubled(r#""sender":{}"#),
        with("/sender", json!({})).replace(
            r#""sender":{}"#,
            r#""sender":{"host":"beta.test","host":"beta.test","protocol":"example","service":"form"}"#,
        ),
    ]);
    for message in wrong {
        let body = format!(r#"{{"packet":{{"messages":[{good},{message}]}}}}"#);
        let got = post(&node, &peer, &body).await;
        assert_eq!(got.status, 400, "{message}");
        assert_eq!(got.problem()["index"], 1, "{message}");
    }
    assert_eq!(node.app().ids().await, Vec::<String>::new());
}

//= HT-CHK-08
#[tokio::test]
async fn shape_comes_before_authority_and_the_first_at_fault_is_named() {
    let (_yard, node, peer) = linked().await;
    let stranger = message("gamma.test", ALPHA, "x", &json!({}));
    let got = peer.send(&node, &[stranger.clone(), json!(7), json!(8)]).await;
    assert_eq!((got.status, &got.problem()["index"]), (400, &json!(1)));
    let got = peer.send(&node, &[peer.message(&node, "y"), stranger.clone(), stranger]).await;
    assert_eq!((got.status, &got.problem()["index"]), (403, &json!(1)));
}

//= YMP-MSG-11
#[tokio::test]
async fn a_message_for_a_service_that_does_not_run_here_is_ignored_and_counted() {
    let (_yard, node, peer) = linked().await;
    let mut unknown = peer.message(&node, "unknown");
    unknown["service"] = json!("nobody");
    let got = peer.send(&node, &[unknown, peer.message(&node, "known")]).await;
    assert_eq!(got.status, 204);
    assert_eq!(node.app().ids().await, ["known"]);
    assert_eq!(node.app().metric("ymp_messages_ignored_total").await, 1);
}

//= HT-CHK-09, HT-PKT-11, NODE-CONF-11
#[tokio::test]
async fn over_the_limits_is_413_over_both_versions() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let limits = "packet-bytes = \"10KiB\"\npacket-messages = 3";
    let node = Node::new(&yard, ALPHA).pin(&peer).with("limits", limits).started().await;
    peer.link(&node).await;
    let messages: Vec<_> = (0..4).map(|n| numbered(BETA, ALPHA, n)).collect();
    assert_eq!(peer.send(&node, &messages[..3]).await.status, 204);
    let got = peer.send(&node, &messages).await;
    assert_eq!(got.status, 413);
    got.problem();
    // Larger than what is thrown away, too: the answer must be seen all the same.
    for size in [10 * 1024, 100_000, 2_000_000, 7_900_000] {
        let large = message(BETA, ALPHA, "large", &json!({"x": "x".repeat(size)}));
        for http in [Http::One, Http::Two] {
            let call = node
                .post("/packet")
                .over(http)
                .bearer(&peer.token())
                .json(&packet(std::slice::from_ref(&large)));
            let got = call.send().await;
            assert_eq!(got.status, 413, "{size} over {http:?}");
            got.problem();
        }
    }
    assert_eq!(node.app().ids().await.len(), 3);
}

//= HT-CHK-05, HT-PKT-12
#[tokio::test]
async fn over_the_rate_is_429_with_retry_after() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let node = Node::new(&yard, ALPHA).pin(&peer).with("limits", "packets-per-second = 1").started().await;
    peer.link(&node).await;
    let mut taken = 0;
    let refused = loop {
        let got = peer.send(&node, &[]).await;
        match got.status {
            204 => taken += 1,
            _ => break got,
        }
        assert!(taken < 100);
    };
    assert!(taken >= 10, "ten seconds' worth may come at once: {taken}");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("1"));
    refused.problem();
}

//= HT-PKT-13, NODE-CONF-13
#[tokio::test]
async fn storage_that_cannot_take_it_is_503_with_retry_after_and_nothing_is_lost() {
    let (_yard, mut node, peer) = linked().await;
    node.stop().await;
    node.set("limits", "free-space-min = \"1000000GiB\"");
    node.start().await;
    let got = peer.send(&node, &[peer.message(&node, "later")]).await;
    assert_eq!(got.status, 503);
    assert!(got.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    got.problem();
    node.stop().await;
    node.set("limits", "free-space-min = \"0B\"");
    node.start().await;
    assert_eq!(peer.send(&node, &[peer.message(&node, "later")]).await.status, 204);
    assert_eq!(node.app().ids().await, ["later"]);
}

//= HT-PKT-14
#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_its_packet_back() {
    let (_yard, node, peer) = linked().await;
    let messages: Vec<_> = (0..500).map(|n| numbered(BETA, ALPHA, n)).collect();
    for chunk in messages.chunks(10) {
        let body = packet(chunk);
        let call = peer.post(&node, "/packet").bearer(&peer.token()).json(&body);
        let sending = tokio::spawn(call.try_send());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        sending.abort();
        assert_eq!(peer.send(&node, chunk).await.status, 204);
    }
    let want: Vec<_> = (0..500).map(|n| format!("m{n:05}")).collect();
    assert_eq!(node.app().ids().await, want);
}
