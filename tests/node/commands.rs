//! The commands against a running node: what they print, and their exit codes.

use serde_json::{Value, json};

use super::{harness::*, pair};

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn peers_are_listed_connected_shown_refreshed_and_forgotten() {
    let (_yard, node, _peer) = pair().await;
    let (code, out, _) = node.ymp(&["peer", "list"]).await;
    assert_eq!(code, 0);
    assert!(out.contains(BETA) && out.contains("none"), "{out}");
    let (code, out, _) = node.ymp(&["peer", "connect", BETA, "--json"]).await;
    assert_eq!((code, &json_of(&out)["sending"]["state"]), (0, &json!("linked")));
    let (code, out, _) = node.ymp(&["peer", "show", BETA]).await;
    assert_eq!(code, 0);
    assert!(out.contains("linked, expires in"), "{out}");
    let (code, out, _) = node.ymp(&["peer", "list", "--json"]).await;
    assert_eq!((code, &json_of(&out)["peers"][0]["host"]), (0, &json!(BETA)));
    assert_eq!(node.ymp(&["peer", "refresh", BETA]).await.0, 0);
    let (code, out, _) = node.ymp(&["peer", "forget", BETA]).await;
    assert_eq!((code, out.trim()), (0, "forgot beta.test"));
    let (code, out, err) = node.ymp(&["peer", "show", "unknown.test"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("unknown.test"), "{err}");
}

#[tokio::test]
async fn a_connect_that_fails_says_which_step_and_exits_1() {
    let (_yard, node, peer) = pair().await;
    peer.down().await;
    let (code, out, err) = node.ymp(&["peer", "connect", BETA]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("step `request`"), "{err}");
}

#[tokio::test]
async fn a_message_is_sent_and_waited_for() {
    let (_yard, node, peer) = pair().await;
    let send = ["send", "--as", "example/form", "--to", BETA, "--action", "put", "--id", "cli-1"];
    let args = [&send[..], &["--wait=20s", r#"{"n":1.0}"#]].concat();
    let (code, out, err) = node.ymp(&args).await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(out.lines().collect::<Vec<_>>(), ["cli-1", "delivered"]);
    assert_eq!(peer.receives(1).await, ["cli-1"]);
    assert!(String::from_utf8_lossy(&peer.seen(Kind::Packet)[0].body).contains(r#"{"n":1.0}"#));
    peer.always(Kind::Packet, Does::Answers(Reply::problem(422, "not this one", None)));
    let send = [
        "send",
        "--as",
        "example/form",
        "--to",
        BETA,
        "--action",
        "put",
        "--id",
        "cli-2",
        "--wait=20s",
        "{}",
    ];
    let (code, _, err) = node.ymp(&send).await;
    assert_eq!(code, 1);
    assert!(err.contains("dead") && err.contains("not this one"), "{err}");
    let (code, out, _) = node.ymp(&["dead", "list"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("cli-2") && out.contains("not this one"), "{out}");
    peer.usual(Kind::Packet);
    assert_eq!(node.ymp(&["dead", "retry", "cli-2"]).await.0, 0);
    assert_eq!(peer.receives(2).await, ["cli-1", "cli-2"]);
    assert_eq!(node.ymp(&["dead", "delete", "cli-2"]).await.0, 1, "it is not dead any more");
}

#[tokio::test]
async fn an_inbox_is_read_and_acknowledged() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    let messages: Vec<_> = (0..3).map(|n| numbered(BETA, ALPHA, n)).collect();
    assert_eq!(peer.send(&node, &messages).await.status, 204);
    let (code, out, _) = node.ymp(&["inbox", "example/form", "--max", "2", "--json"]).await;
    assert_eq!((code, json_of(&out)["messages"].as_array().unwrap().len()), (0, 2));
    let (code, out, _) = node.ymp(&["inbox", "example/form", "--max", "2", "--ack"]).await;
    assert_eq!(code, 0);
    assert!(out.contains("id m00000") && out.contains("id m00001"), "{out}");
    let (_, out, _) = node.ymp(&["inbox", "example/form", "--ack"]).await;
    assert!(out.contains("id m00002") && !out.contains("m00001"), "{out}");
    assert_eq!(node.ymp(&["inbox", "example/form"]).await.1.trim(), "no messages");
    let (code, _, err) = node.ymp(&["inbox", "example/other"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("example/other"), "{err}");
}

#[tokio::test]
async fn wrong_usage_exits_2_and_a_wrong_token_or_no_node_1() {
    let (_yard, mut node, _peer) = pair().await;
    for args in
        [&["peer"][..], &["peer", "show"], &["send", "--to", BETA], &["inbox", "no-slash"], &["nonsense"]]
    {
        let (code, out, err) = node.ymp(args).await;
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(!err.is_empty());
    }
    let (code, _, err) = node.ymp(&["peer", "list", "--token", "not-a-token-of-any-app"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("does not know this token") && !err.contains("not-a-token"), "{err}");
    node.stop().await;
    let (code, _, err) = node.ymp(&["peer", "list"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("is `ymp serve` running?"), "{err}");
}

#[tokio::test]
async fn a_configuration_is_checked() {
    let (_yard, node, _peer) = pair().await;
    let config = node.config();
    let config = config.to_str().unwrap();
    assert_eq!(node.ymp(&["check", "--config", config]).await.0, 0);
    let text = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, text.replace("data-dir", "data-dirr")).unwrap();
    let (code, out, err) = node.ymp(&["check", "--config", config]).await;
    assert_eq!(code, 1);
    assert!(format!("{out}{err}").contains("data-dirr"), "{out}{err}");
}
