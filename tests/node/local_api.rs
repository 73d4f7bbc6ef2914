//! `node`, "Local API": every call of this version, as apps and operators make it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    harness::{node::OTHER, *},
    pair,
};

async fn alone() -> (Yard, Node) {
    let yard = Yard::new();
    let node = Node::new(&yard, ALPHA).started().await;
    (yard, node)
}

//= NODE-API-09, NODE-API-11
#[tokio::test]
async fn one_message_or_many_are_202_with_ids_and_states() {
    let (_yard, node, peer) = pair().await;
    peer.always(Kind::Request, Does::status(204));
    let app = node.app();
    let got = app.post("/v1/messages", &node.message_to(BETA, "one")).await;
    assert_eq!((got.status, got.json()), (202, json!({"messages": [{"id": "one", "state": "queued"}]})));
    let batch = json!({"messages": [node.message_to(BETA, "two"), node.message_to(BETA, "three")]});
    let got = app.post("/v1/messages", &batch).await.json();
    assert_eq!(got["messages"][1], json!({"id": "three", "state": "queued"}));
    assert_eq!(app.post("/v1/messages", &json!({"messages": []})).await.json(), json!({"messages": []}));
}

//= YMP-HOST-07, NODE-API-10
#[tokio::test]
async fn sender_host_and_id_may_be_left_out_and_ids_are_ordered_by_time() {
    let (_yard, node, peer) = pair().await;
    let mut draft = node.message_to(BETA, "x");
    draft.as_object_mut().unwrap().remove("id");
    draft["sender"].as_object_mut().unwrap().remove("host");
    let many = json!({"messages": vec![draft; 50]});
    let got = node.app().post("/v1/messages", &many).await.json();
    let ids: Vec<_> =
        got["messages"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    assert_eq!(peer.receives(50).await, ids);
    let message = &peer.seen(Kind::Packet)[0].messages()[0];
    assert_eq!(message["sender"], json!({"host": ALPHA, "protocol": "example", "service": "form"}));
}

//= NODE-API-13, NODE-API-14, NODE-API-15
#[tokio::test]
async fn the_same_id_again_is_the_same_answer_and_other_content_is_409() {
    let (_yard, mut node, peer) = pair().await;
    let message = node.message_to(BETA, "one");
    for _ in 0..2 {
        assert_eq!(node.app().post("/v1/messages", &message).await.status, 202);
    }
    peer.receives(1).await;
    node.app().becomes("one", "delivered").await;
    node.kill().await;
    node.start().await;
    let got = node.app().post("/v1/messages", &message).await;
    assert_eq!((got.status, &got.json()["messages"][0]["state"]), (202, &json!("delivered")));
    let mut other = message.clone();
    other["payload"] = json!({"other": 1});
    let batch = json!({"messages": [node.message_to(BETA, "fresh"), other]});
    let got = node.app().post("/v1/messages", &batch).await;
    assert_eq!((got.status, &got.problem()["index"]), (409, &json!(1)));
    assert_eq!(node.app().get("/v1/messages/fresh").await.status, 404, "all or none");
    node.app().submit(&[node.message_to(BETA, "last")]).await;
    assert_eq!(peer.receives(2).await, ["one", "last"]);
}

//= NODE-API-03, NODE-API-12
#[tokio::test]
async fn a_wrong_message_is_400_with_its_index_and_field_and_nothing_is_queued() {
    let (_yard, node, _peer) = pair().await;
    let app = node.app();
    let wrong = |field: &str, value: Value| {
        let mut message = node.message_to(BETA, "wrong");
        message[field] = value;
        message
    };
    for (field, value) in [
        ("id", json!("")),
        ("id", json!("x".repeat(513))),
        ("id", json!(1)),
        ("host", json!("no host")),
        ("host", json!(null)),
        ("protocol", json!(7)),
        ("service", json!(3)),
        ("action", json!({})),
        ("payload", json!("text")),
        ("payload", json!(null)),
        ("sender", json!("form")),
    ] {
        let batch = json!({"messages": [node.message_to(BETA, "good"), wrong(field, value.clone())]});
        let got = app.post("/v1/messages", &batch).await;
        assert_eq!(got.status, 400, "{field} = {value}");
        let problem = got.problem();
        assert_eq!(problem["index"], 1, "{problem}");
        assert!(problem["field"].as_str().unwrap().starts_with(field), "{problem}");
    }
    let mut stranger = node.message_to(BETA, "wrong");
    stranger["sender"]["host"] = json!(BETA);
    let got = app.post("/v1/messages", &stranger).await;
    assert_eq!(got.status, 400);
    assert!(got.problem()["field"].as_str().unwrap().starts_with("sender"));
    for body in ["", "{", "[]", "{}", "7", r#"{"messages":7}"#] {
        let got = app.raw("POST", "/v1/messages", Some(("application/json", body.to_owned()))).await.unwrap();
        assert_eq!(got.status, 400, "{body}");
        got.problem();
    }
    assert_eq!(app.get("/v1/messages/good").await.status, 404);
    assert_eq!(app.metric("ymp_outbox_messages").await, 0);
}

//= NODE-API-05, NODE-API-09
#[tokio::test]
async fn limits_of_the_local_api_are_413_and_parameters_400() {
    let (_yard, node, _peer) = pair().await;
    let app = node.app();
    let many: Vec<_> = (0..10_001).map(|n| numbered(ALPHA, BETA, n)).collect();
    assert_eq!(app.post("/v1/messages", &json!({"messages": many})).await.status, 413);
    assert_eq!(app.post("/v1/messages", &json!({"messages": many[..10_000]})).await.status, 202);
    // Just over 8 MiB: of more than that the answer may not arrive, because so much is read and thrown away.
    let large = message(ALPHA, BETA, "large", &json!({"x": "x".repeat(8 << 20)}));
    assert_eq!(app.post("/v1/messages", &large).await.status, 413);
    let over_a_packet = message(ALPHA, BETA, "large", &json!({"x": "x".repeat(2 << 20)}));
    assert_eq!(app.post("/v1/messages", &over_a_packet).await.status, 413);
    for query in
        ["time-to-live=0s", "time-to-live=x", "time-to-live=500d", "wat=1", "time-to-live=1h&time-to-live=2h"]
    {
        let got = app.post(&format!("/v1/messages?{query}"), &node.message_to(BETA, "q")).await;
        assert_eq!(got.status, 400, "{query}");
        got.problem();
    }
    let got = app.raw("POST", "/v1/messages", Some(("text/plain", "{}".to_owned()))).await.unwrap();
    assert_eq!(got.status, 415);
}

//= NODE-API-01, NODE-API-02, NODE-API-19, NODE-API-32
#[tokio::test]
async fn no_token_or_a_wrong_one_is_401_and_an_app_may_do_only_what_is_its_own() {
    let (_yard, node, peer) = pair().await;
    peer.always(Kind::Request, Does::status(204));
    node.app().submit(&[node.message_to(BETA, "forms")]).await;
    for token in [None, Some("not-a-token-of-any-app")] {
        let app = node.app_with(token);
        for (method, path) in [
            ("GET", "/v1/messages/forms"),
            ("POST", "/v1/messages"),
            ("GET", "/v1/inbox/example/form"),
            ("POST", "/v1/inbox/example/form/ack"),
            ("GET", "/v1/peers"),
            ("DELETE", "/v1/peers/beta.test"),
            ("GET", "/v1/dead"),
            ("POST", "/v1/dead/forms/retry"),
        ] {
            let got = app.verb(method, path).await;
            assert_eq!(
                (got.status, got.header("www-authenticate")),
                (401, Some("Bearer")),
                "{method} {path}"
            );
            got.problem();
        }
    }
    let other = node.app_with(Some(OTHER));
    assert_eq!(other.get("/v1/messages/forms").await.status, 404, "as if it were not there");
    assert_eq!(other.verb("DELETE", "/v1/dead/forms").await.status, 404);
    for (method, path) in [
        ("GET", "/v1/inbox/example/form"),
        ("GET", "/v1/peers"),
        ("GET", "/v1/peers/beta.test"),
        ("POST", "/v1/peers/beta.test/connect"),
        ("POST", "/v1/peers/beta.test/refresh"),
        ("DELETE", "/v1/peers/beta.test"),
    ] {
        let got = other.verb(method, path).await;
        assert_eq!(got.status, 403, "{method} {path}");
        got.problem();
    }
    let got = other.post("/v1/messages", &node.message_to(BETA, "not-mine")).await;
    assert_eq!((got.status, &got.problem()["index"]), (403, &json!(0)));
    assert_eq!(other.get("/v1/inbox/example/other").await.status, 200);
    assert_eq!(other.get("/v1/dead").await.json()["messages"], json!([]));
}

#[tokio::test]
async fn unknown_paths_are_404_and_other_methods_405() {
    let (_yard, node) = alone().await;
    for path in ["/", "/v1", "/v1/", "/v1/nothing", "/v2/messages", "/v1/messages/a/b", "/v1/inbox/example"] {
        assert_eq!(node.app().get(path).await.status, 404, "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/v1/messages", "POST"),
        ("DELETE", "/v1/messages/x", "GET"),
        ("POST", "/v1/inbox/example/form", "GET"),
        ("PUT", "/v1/peers/beta.test", "GET, DELETE"),
        ("GET", "/v1/dead/x/retry", "POST"),
    ] {
        let got = node.app().verb(method, path).await;
        assert_eq!((got.status, got.header("allow")), (405, Some(allow)), "{method} {path}");
    }
    assert_eq!(node.app().get("/v1/messages/unknown").await.status, 404);
}

//= YMP-MSG-10, NODE-API-21, NODE-API-22, NODE-API-23, NODE-API-25
#[tokio::test]
async fn an_inbox_is_read_in_pages_and_acknowledged_by_cursor() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    let app = node.app();
    let messages: Vec<_> = (0..250).map(|n| numbered(BETA, ALPHA, n)).collect();
    assert_eq!(peer.send(&node, &messages).await.status, 204);
    assert_eq!(app.get("/v1/inbox/example/form").await.json()["messages"].as_array().unwrap().len(), 100);
    let page = app.inbox(3).await;
    assert_eq!(page.len(), 3);
    let entry = &page[0];
    assert_eq!((&entry["from"], &entry["message"]), (&json!(BETA), &messages[0]));
    assert!(entry["received-at"].as_str().unwrap().ends_with('Z'));
    let ack = |cursor: &Value| {
        let (app, body) = (app.clone(), json!({"cursor": cursor}));
        async move { app.post("/v1/inbox/example/form/ack", &body).await.status }
    };
    assert_eq!(ack(&page[2]["cursor"]).await, 204);
    assert_eq!(app.inbox(1).await[0]["message"], messages[3]);
    assert_eq!(ack(&page[0]["cursor"]).await, 204, "an older one changes nothing");
    assert_eq!(app.inbox(1).await[0]["message"], messages[3]);
    for wrong in [json!("not-ours"), json!(""), json!(7)] {
        assert_eq!(ack(&wrong).await, 400, "{wrong}");
    }
    let of_form = page[2]["cursor"].clone();
    let other = node.app_with(Some(OTHER));
    assert_eq!(other.post("/v1/inbox/example/other/ack", &json!({"cursor": of_form})).await.status, 400);
    for query in ["max=0", "max=10001", "max=x", "wait=61s", "wait=x", "who=me"] {
        assert_eq!(app.get(&format!("/v1/inbox/example/form?{query}")).await.status, 400, "{query}");
    }
    assert_eq!(app.inbox(10_000).await.len(), 247);
    assert_eq!(
        app.get("/v1/inbox/EXAMPLE/form?max=1").await.status,
        200,
        "protocols compare case-insensitively"
    );
}

//= NODE-API-22
#[tokio::test]
async fn a_wait_holds_until_there_is_a_message_or_the_time_is_over() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    let start = now();
    let got = node.app().get("/v1/inbox/example/form?wait=1s").await;
    assert_eq!(got.json(), json!({"messages": []}));
    assert!(start.elapsed() >= Duration::from_secs(1));
    let app = node.app();
    let polls = (0..5).map(|_| {
        let app = app.clone();
        tokio::spawn(async move { app.get("/v1/inbox/example/form?wait=60s").await.json() })
    });
    let polls: Vec<_> = polls.collect();
    node.logs_nothing_for(Duration::from_millis(300)).await;
    let start = now();
    assert_eq!(peer.send(&node, &[peer.message(&node, "woken")]).await.status, 204);
    for poll in polls {
        assert_eq!(poll.await.unwrap()["messages"][0]["message"]["id"], "woken");
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

//= NODE-API-24
#[tokio::test]
async fn a_new_app_starts_at_the_oldest_kept_and_has_a_cursor_of_its_own() {
    let (yard, mut node, peer) = pair().await;
    peer.link(&node).await;
    let messages: Vec<_> = (0..3).map(|n| numbered(BETA, ALPHA, n)).collect();
    assert_eq!(peer.send(&node, &messages).await.status, 204);
    let cursor = node.app().inbox(1).await[0]["cursor"].clone();
    assert_eq!(node.app().post("/v1/inbox/example/form/ack", &json!({"cursor": cursor})).await.status, 204);
    node.stop().await;
    node.add_app("new-app", "the-token-of-a-new-app", "example/form");
    node.start().await;
    let new = node.app_with(Some("the-token-of-a-new-app"));
    let ids = new.ids().await;
    assert_eq!(ids.last().unwrap(), "m00002");
    assert!(ids.len() >= 2, "{ids:?}");
    assert_eq!(node.app().ids().await, ["m00001", "m00002"]);
    drop(yard);
}

//= NODE-API-16
#[tokio::test]
async fn a_message_to_our_own_host_goes_straight_to_the_inbox() {
    let (_yard, node) = alone().await;
    let app = node.app();
    let got = app.post("/v1/messages", &node.message_to(ALPHA, "own")).await;
    assert_eq!((got.status, &got.json()["messages"][0]["state"]), (202, &json!("delivered")));
    let inbox = app.inbox(10).await;
    assert_eq!((inbox.len(), &inbox[0]["from"]), (1, &json!(ALPHA)));
    assert_eq!(app.post("/v1/messages", &node.message_to(ALPHA, "own")).await.status, 202);
    assert_eq!(app.ids().await, ["own"], "once");
    let status = app.status("own").await;
    assert_eq!((&status["state"], &status["attempts"]), (&json!("delivered"), &json!(0)));
    let mut nobody = node.message_to(ALPHA, "nobody");
    nobody["service"] = json!("nobody");
    let got = app.post("/v1/messages", &json!({"messages": [node.message_to(ALPHA, "with"), nobody]})).await;
    assert_eq!(got.status, 400);
    let problem = got.problem();
    assert_eq!((&problem["index"], &problem["field"]), (&json!(1), &json!("service")));
    assert_eq!(app.ids().await, ["own"]);
}

//= NODE-CONF-09, NODE-API-07
#[tokio::test]
async fn a_host_that_the_policy_refuses_is_403() {
    let yard = Yard::new();
    let node =
        Node::new(&yard, ALPHA).with("federation", "deny = [\"*.bad.test\", \"worse.test\"]").started().await;
    for host in ["a.bad.test", "worse.test", "worse.test:8443"] {
        let got = node.app().post("/v1/messages", &node.message_to(host, "no")).await;
        assert_eq!(got.status, 403, "{host}");
        got.problem();
        assert_eq!(node.app().verb("POST", &format!("/v1/peers/{host}/connect")).await.status, 403);
    }
    let batch = json!({"messages": [node.message_to(BETA, "yes"), node.message_to("worse.test", "no")]});
    let got = node.app().post("/v1/messages", &batch).await;
    assert_eq!((got.status, &got.problem()["index"]), (403, &json!(1)));
    assert_eq!(node.app().verb("GET", "/v1/messages/yes").await.status, 404, "all or none");
}

//= HT-CRASH-05, NODE-API-28, NODE-API-29, NODE-API-30, NODE-API-31
#[tokio::test]
async fn links_are_listed_shown_connected_refreshed_and_forgotten() {
    let (_yard, node, peer) = pair().await;
    let app = node.app();
    let all = app.get("/v1/peers").await.json();
    assert_eq!(all["peers"].as_array().unwrap().len(), 1);
    let fresh = app.link(BETA).await;
    assert_eq!((&fresh["configured"], &fresh["allowed"]), (&json!(true), &json!(true)));
    assert_eq!((&fresh["sending"]["state"], &fresh["receiving"]["state"]), (&json!("none"), &json!("none")));
    assert_eq!(app.verb("POST", "/v1/peers/beta.test/refresh").await.status, 404, "nothing is held");
    let link = app.connect(BETA).await;
    assert_eq!(
        (&link["sending"]["state"], &link["receiving"]["state"]),
        (&json!("linked"), &json!("linked"))
    );
    assert!(link["sending"]["expires-at"].as_str().unwrap().ends_with('Z'));
    let got = app.verb("POST", "/v1/peers/beta.test/refresh").await;
    assert_eq!((got.status, &got.json()["sending"]["state"]), (200, &json!("linked")));
    assert_eq!(app.link("BETA.test:443").await["host"], BETA);
    let token = peer.token();
    assert_eq!(app.verb("DELETE", "/v1/peers/beta.test").await.status, 204);
    assert_eq!(peer.send_with(&node, &token, &[]).await.status, 401);
    assert_eq!(app.link(BETA).await["receiving"]["state"], "none");
    for (method, path) in [
        ("GET", "/v1/peers/unknown.test"),
        ("POST", "/v1/peers/unknown.test/refresh"),
        ("DELETE", "/v1/peers/unknown.test"),
    ] {
        assert_eq!(app.verb(method, path).await.status, 404, "{path}");
    }
    assert_eq!(app.get("/v1/peers/no%20host").await.status, 400);
}

//= NODE-API-31
#[tokio::test]
async fn a_host_that_is_not_configured_is_gone_from_the_list_when_it_is_forgotten() {
    let (_yard, node, _peer) = pair().await;
    let hosts = || async {
        let all = node.app().get("/v1/peers").await.json();
        let peers = all["peers"].as_array().unwrap();
        peers.iter().map(|link| link["host"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let got = node.app().verb("POST", "/v1/peers/nobody.invalid/connect").await;
    assert_eq!(got.status, 502, "{}", got.problem());
    assert_eq!(hosts().await, [BETA, "nobody.invalid"]);
    assert_eq!(node.app().verb("DELETE", "/v1/peers/nobody.invalid").await.status, 204);
    assert_eq!(hosts().await, [BETA]);
    assert_eq!(node.app().verb("GET", "/v1/peers/nobody.invalid").await.status, 404);
}

//= NODE-API-29
#[tokio::test]
async fn a_connect_that_fails_is_502_and_names_the_step() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let node = Node::new(&yard, ALPHA).pin(&peer).with("tokens", "grant-wait = \"1s\"").started().await;
    let connect = || async {
        let got = node.app().verb("POST", "/v1/peers/beta.test/connect").await;
        assert_eq!(got.status, 502);
        let problem = got.problem();
        (problem["step"].clone(), problem["detail"].to_string())
    };
    peer.always(Kind::Request, Does::status(204));
    let (step, detail) = connect().await;
    assert_eq!(step, "grant", "{detail}");
    peer.always(Kind::Request, Does::status(404));
    let (step, detail) = connect().await;
    assert_eq!(step, "request");
    assert!(detail.contains("404"), "{detail}");
    peer.down().await;
    let (step, detail) = connect().await;
    assert_eq!(step, "request");
    assert!(detail.to_lowercase().contains("connect"), "{detail}");
}

//= NODE-API-34
#[tokio::test]
async fn health_readiness_and_metrics_need_no_token() {
    let (_yard, node) = alone().await;
    let nobody = node.app_with(None);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(nobody.get(path).await.status, 200, "{path}");
    }
    let got = nobody.get("/metrics").await;
    assert!(got.header("content-type").unwrap().starts_with("text/plain"));
    let text = String::from_utf8(got.body.to_vec()).unwrap();
    for name in ["ymp_packets_in_total", "ymp_messages_accepted_total", "ymp_links", "ymp_outbox_messages"] {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
    }
}

//= NODE-CONF-13, NODE-API-34
#[tokio::test]
async fn a_node_whose_disk_is_full_is_not_ready_and_takes_nothing() {
    let yard = Yard::new();
    let node = Node::new(&yard, ALPHA).with("limits", "free-space-min = \"1000000GiB\"").started().await;
    let app = node.app();
    let got = app.post("/v1/messages", &node.message_to(BETA, "x")).await;
    assert_eq!(got.status, 503);
    assert!(got.header("retry-after").is_some());
    assert_eq!(app.get("/readyz").await.status, 503);
    assert_eq!(app.get("/healthz").await.status, 200);
    node.logs("the disk is nearly full: nothing more is taken").await;
}

//= NODE-API-06
#[tokio::test]
async fn a_full_outbox_is_503_and_nothing_of_the_call_is_queued() {
    let yard = Yard::new();
    let node = Node::new(&yard, ALPHA).with("limits", "outbox-messages-per-peer = 5").started().await;
    let app = node.app();
    let many: Vec<_> = (0..6).map(|n| numbered(ALPHA, BETA, n)).collect();
    app.submit(&many[..4]).await;
    let got = app.post("/v1/messages", &json!({"messages": many[4..]})).await;
    assert_eq!(got.status, 503);
    assert!(got.header("retry-after").is_some());
    assert_eq!(app.get("/v1/messages/m00004").await.status, 404);
    app.submit(&many[4..5]).await;
    // It is full now. Who did not hear that a message was taken asks again.
    let again = app.post("/v1/messages", &json!({"messages": many[..5]})).await;
    assert_eq!((again.status, &again.json()["messages"][0]["state"]), (202, &json!("queued")));
    let mut other = many[0].clone();
    other["payload"] = json!({"other": true});
    assert_eq!(app.post("/v1/messages", &other).await.status, 409);
    assert_eq!(app.post("/v1/messages", &many[5]).await.status, 503);
    assert_eq!(app.metric("ymp_messages_accepted_total").await, 5, "no repeat counts");
}
