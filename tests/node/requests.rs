//! Requests that are answered with their answers.

use std::time::Duration;

use serde_json::{Value, json};

use super::{harness::*, pair};

fn answer(peer: &Peer, node: &Node, id: &str, reply_to: &str, payload: &Value) -> Value {
    let mut answer = message(&peer.name, &node.host, id, payload);
    answer["reply-to"] = json!(reply_to);
    answer
}

/// A linked pair.
async fn linked() -> (Yard, Node, Peer) {
    let (yard, node, peer) = pair().await;
    node.app().connect(BETA).await;
    (yard, node, peer)
}

fn asks(node: &Node, id: &str, wait: &str) -> tokio::task::JoinHandle<Got> {
    let (app, request) = (node.app(), node.message_to(BETA, id));
    let path = format!("/v1/requests?wait={wait}");
    tokio::spawn(async move { app.post(&path, &request).await })
}

//= NODE-API-38, NODE-API-40
#[tokio::test]
async fn the_answer_is_the_body_and_stands_in_the_inbox_too() {
    let (_yard, node, peer) = linked().await;
    let asked = asks(&node, "q1", "20s");
    peer.receives(1).await;
    let text = r#"{"packet":{"messages":[{ "sender":{"host":"beta.test","protocol":"Example","service":"form"},
        "id":"a1","reply-to":"q1","host":"alpha.test","protocol":"example","service":"form","payload":{"n":1.00} }]}}"#;
    let got = peer.post(&node, "/packet").bearer(&peer.token()).text(text).send().await;
    assert_eq!(got.status, 204);
    let got = asked.await.unwrap();
    assert_eq!((got.status, got.header("content-type")), (200, Some("application/json")));
    let raw = text.strip_prefix(r#"{"packet":{"messages":["#).unwrap().strip_suffix("]}}").unwrap();
    assert_eq!(got.body, raw, "byte for byte");
    assert_eq!(node.app().receives(1).await, ["a1"]);
}

//= NODE-API-39
#[tokio::test]
async fn answers_out_of_order_find_their_requests() {
    let (_yard, node, peer) = linked().await;
    let asked: Vec<_> = (0..20).map(|n| (n, asks(&node, &format!("q{n}"), "20s"))).collect();
    peer.receives(20).await;
    let answers: Vec<_> = (0..20)
        .rev()
        .map(|n| answer(&peer, &node, &format!("a{n}"), &format!("q{n}"), &json!({"n": n})))
        .collect();
    for some in answers.chunks(3) {
        assert_eq!(peer.send(&node, some).await.status, 204);
    }
    for (n, asked) in asked {
        assert_eq!(asked.await.unwrap().json()["payload"]["n"], n);
    }
}

//= NODE-API-38, NODE-API-39
#[tokio::test]
async fn an_answer_matches_only_from_the_host_asked_to_the_service_that_asked() {
    let yard = Yard::new();
    let (beta, gamma) = (Peer::start(&yard, BETA).await, Peer::start(&yard, "gamma.test").await);
    let node = Node::new(&yard, ALPHA).pin(&beta).pin(&gamma).started().await;
    beta.meets(&node);
    gamma.meets(&node);
    for peer in [&beta, &gamma] {
        node.app().connect(&peer.name).await;
    }
    let asked = asks(&node, "q1", "2s");
    beta.receives(1).await;
    gamma.send(&node, &[answer(&gamma, &node, "g", "q1", &json!({}))]).await;
    let mut elsewhere = answer(&beta, &node, "b1", "q1", &json!({}));
    elsewhere["service"] = json!("other");
    beta.send(&node, &[elsewhere, answer(&beta, &node, "b2", "q2", &json!({})), beta.message(&node, "b3")])
        .await;
    let got = asked.await.unwrap();
    assert_eq!(got.status, 504);
    assert_eq!(got.problem()["type"], "urn:ymp:problem:unanswered");
    assert_eq!(node.app().ids().await.len(), 3);
}

//= NODE-API-40
#[tokio::test]
async fn a_late_answer_goes_to_the_inbox_and_the_same_request_again_finds_it() {
    let (_yard, node, peer) = linked().await;
    assert_eq!(asks(&node, "q1", "300ms").await.unwrap().status, 504);
    peer.receives(1).await;
    peer.send(&node, &[answer(&peer, &node, "a1", "q1", &json!({"late": true}))]).await;
    assert_eq!(node.app().receives(1).await, ["a1"]);
    // The first of two, however much came since.
    peer.send(&node, &[answer(&peer, &node, "a2", "q1", &json!({"late": false}))]).await;
    for packet in 0..3 {
        let more: Vec<_> = (0..900).map(|n| peer.message(&node, &format!("m{packet}-{n}"))).collect();
        assert_eq!(peer.send(&node, &more).await.status, 204);
    }
    let got = asks(&node, "q1", "10s").await.unwrap();
    assert_eq!((got.status, got.json()["payload"]["late"].clone()), (200, json!(true)));
    assert_eq!(peer.received(), ["q1"], "it is asked once");
    let mut other = node.message_to(BETA, "q1");
    other["payload"] = json!({"other": 1});
    assert_eq!(node.app().post("/v1/requests", &other).await.status, 409);
}

//= NODE-API-38
#[tokio::test]
async fn the_end_of_the_wait_says_what_can_be_expected() {
    let (_yard, node, peer) = linked().await;
    let detail = async |id: &str| {
        let got = asks(&node, id, "300ms").await.unwrap();
        assert_eq!(got.status, 504);
        got.problem()["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail("q1").await.ends_with("it goes to the inbox when it comes"));
    assert!(detail("q1").await.ends_with("is not kept when every app has acknowledged it"));
    peer.next(Kind::Packet, Does::Answers(Reply::problem(400, "no such thing", Some(0))));
    let said = detail("q2").await;
    assert!(said.contains("the message is dead") && said.contains("no such thing"), "{said}");
}

#[tokio::test]
async fn a_restart_in_between_loses_neither_request_nor_answer() {
    let (_yard, mut node, peer) = linked().await;
    peer.always(Kind::Packet, Does::status(503));
    let asked = asks(&node, "q1", "60s");
    peer.sees(Kind::Packet, 1).await;
    node.kill().await;
    let _lost = asked.await;
    peer.usual(Kind::Packet);
    node.start().await;
    peer.receives(1).await;
    let again = asks(&node, "q1", "20s");
    node.logs_nothing_for(Duration::from_millis(300)).await;
    peer.send(&node, &[answer(&peer, &node, "a1", "q1", &json!({"n": 1}))]).await;
    assert_eq!(again.await.unwrap().json()["payload"]["n"], 1);
}

#[tokio::test]
async fn one_service_of_a_host_asks_another() {
    let node = Node::new(&Yard::new(), ALPHA).started().await;
    let (app, request) = (node.app(), node.message_to(ALPHA, "q1"));
    let asked = tokio::spawn(async move { app.post("/v1/requests?wait=20s", &request).await });
    node.app().receives(1).await;
    let mut reply = node.message_to(ALPHA, "a1");
    reply["reply-to"] = json!("q1");
    node.app().submit(&[reply]).await;
    assert_eq!(asked.await.unwrap().json()["id"], "a1");
}

//= NODE-API-38
#[tokio::test]
async fn what_is_no_request_is_named() {
    let node = Node::new(&Yard::new(), ALPHA).started().await;
    let mut an_answer = node.message_to(BETA, "x");
    an_answer["reply-to"] = json!("q");
    let many = json!({"messages": [node.message_to(BETA, "1"), node.message_to(BETA, "2")]});
    let mut foreign = node.message_to(BETA, "y");
    foreign["sender"]["service"] = json!("other");
    for (path, body, status) in [
        ("/v1/requests", an_answer, 400),
        ("/v1/requests", many, 400),
        ("/v1/requests", json!({"messages": []}), 400),
        ("/v1/requests", foreign, 403),
        ("/v1/requests?wait=61s", node.message_to(BETA, "z"), 400),
    ] {
        let got = node.app().post(path, &body).await;
        assert_eq!(got.status, status, "{path} {body}");
        got.problem();
    }
    assert_eq!(node.app().verb("GET", "/v1/requests").await.status, 405);
}

#[tokio::test]
async fn a_node_that_stops_does_not_let_a_caller_wait() {
    let (_yard, mut node, peer) = linked().await;
    let asked = asks(&node, "q1", "60s");
    peer.receives(1).await;
    node.stop().await;
    let got = asked.await.unwrap();
    // It was taken and sent: a 503 would say that it was not, and be asked again under another id.
    assert_eq!(got.status, 504);
    assert!(got.problem()["detail"].as_str().unwrap().contains("q1"));
}

/// The bodies that are in hand have 128 MiB of memory.
#[tokio::test]
async fn requests_that_wait_hold_no_room_for_bodies() {
    let (_yard, node, peer) = linked().await;
    let app = node.app();
    let big = "x".repeat(1_000_000);
    let mut asked = Vec::new();
    for n in 0..140 {
        let mut message = node.message_to(BETA, &format!("big-{n}"));
        message["data"] = json!(big);
        let asker = app.clone();
        asked.push(tokio::spawn(async move { asker.post("/v1/requests?wait=60s", &message).await }));
        eventually("it is taken", || async {
            (app.get(&format!("/v1/messages/big-{n}")).await.status == 200).then_some(())
        })
        .await;
    }
    assert!(asked.iter().all(|asked| !asked.is_finished()), "all wait");
    let mut one_more = node.message_to(BETA, "one-more");
    one_more["data"] = json!(big);
    app.submit(&[one_more]).await;
    drop(peer);
}

//= YMP-MSG-05
#[tokio::test]
async fn an_answer_has_the_action_of_its_request_where_the_app_does_not_say_it() {
    let (_yard, mut node, peer) = linked().await;
    let asked = |id: &str, action: &str| {
        let mut message = peer.message(&node, id);
        message["action"] = json!(action);
        message
    };
    let asked = [asked("q1", "weigh \"it\""), asked("q2", "count"), asked("q3", "count")];
    assert_eq!(peer.send(&node, &asked).await.status, 204);
    let mut bare = node.message_to(BETA, "");
    bare.as_object_mut().unwrap().remove("action");
    let reply = |id: &str, to: &str, action: Option<&str>| {
        let mut message = bare.clone();
        message["id"] = json!(id);
        message["reply-to"] = json!(to);
        message.as_object_mut().unwrap().extend(action.map(|action| ("action".to_owned(), json!(action))));
        message
    };
    let replies = [reply("a2", "q2", Some("own")), reply("a1", "q1", None), reply("a9", "unknown", None)];
    node.app().submit(&replies).await;
    assert_eq!(peer.receives(3).await, ["a2", "a1", "a9"]);
    let sent: Vec<_> = peer
        .seen(Kind::Packet)
        .iter()
        .flat_map(|seen| seen.json()["packet"]["messages"].as_array().unwrap().clone())
        .collect();
    let actions: Vec<_> = sent.iter().map(|message| message.get("action").cloned()).collect();
    assert_eq!(actions, [Some(json!("own")), Some(json!("weigh \"it\"")), None]);
    // The same once more, when the requests are gone: what was added is no part of what is compared.
    node.app().receives(3).await;
    let page = node.app().get("/v1/inbox/example/form").await.json();
    let cursor = &page["messages"][2]["cursor"];
    assert_eq!(node.app().post("/v1/inbox/example/form/ack", &json!({"cursor": cursor})).await.status, 204);
    node.restart().await;
    let late = std::sync::atomic::AtomicUsize::new(0);
    eventually("the inbox is trimmed", || async {
        let count = late.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        node.app().submit(&[reply(&format!("late-{count}"), "q1", None)]).await;
        peer.receives(3 + count).await;
        let last = peer.seen(Kind::Packet).last().unwrap().json();
        last["packet"]["messages"][0].get("action").is_none().then_some(())
    })
    .await;
    let got = node.app().post("/v1/messages", &json!({"messages": replies})).await;
    assert_eq!((got.status, &got.json()["messages"][1]["state"]), (202, &json!("delivered")));
}

//= YMP-MSG-05
#[tokio::test]
async fn an_app_that_works_off_a_backlog_answers_with_the_actions_of_its_requests() {
    let (_yard, node, peer) = linked().await;
    for packet in 0..5 {
        let asked: Vec<_> = (0..1000)
            .map(|n| {
                let n = packet * 1000 + n;
                let mut message = peer.message(&node, &format!("q{n}"));
                message["action"] = json!(format!("do {n}"));
                message
            })
            .collect();
        assert_eq!(peer.send(&node, &asked).await.status, 204);
    }
    let page = node.app().get("/v1/inbox/example/form?max=1000").await.json();
    let cursor = page["messages"][0]["cursor"].clone();
    node.app().post("/v1/inbox/example/form/ack", &json!({"cursor": cursor})).await;
    let reply = |n: usize| {
        let mut message = node.message_to(BETA, &format!("a{n}"));
        message.as_object_mut().unwrap().remove("action");
        message["reply-to"] = json!(format!("q{n}"));
        message
    };
    // What it answers before and after what it has acknowledged, all of a page, and the newest.
    let answered = [reply(0), reply(1), reply(900), reply(1900), reply(4999)];
    node.app().submit(&answered).await;
    peer.receives(5).await;
    let packets = peer.seen(Kind::Packet).into_iter().map(|seen| seen.json());
    let sent: Vec<_> = packets
        .flat_map(|packet| packet["packet"]["messages"].as_array().unwrap().clone())
        .map(|message| message["action"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(sent, ["do 0", "do 1", "do 900", "do 1900", "do 4999"]);
}
