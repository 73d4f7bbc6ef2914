//! A node goes on under other settings: SIGHUP, and certificates that are renewed on disk.

use std::{fs, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{harness::*, pair};
use crate::harness::node::ADMIN;

const INFORMATION: &str = "/.well-known/ymp";
const LATER: &str = "token-of-the-app-that-came-later";

/// How a line of the log ends that tells what changed.
fn told(said: &str) -> &str {
    said.split("the configuration was read again: ").nth(1).unwrap().lines().next().unwrap()
}

async fn secure(yard: &Yard, node: &Node) -> TlsStream<TcpStream> {
    let tcp = TcpStream::connect(node.peer).await.unwrap();
    let connector = TlsConnector::from(Arc::clone(&yard.client(&["h2"])));
    connector.connect(ServerName::try_from(ALPHA).unwrap(), tcp).await.unwrap()
}

/// The certificate that a new connection is shown.
async fn shown(yard: &Yard, node: &Node) -> Vec<u8> {
    secure(yard, node).await.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// What the host announces of the packets that it takes.
async fn announced(node: &Node) -> Value {
    let call = node.post(INFORMATION).method("GET").send().await;
    call.json()["connection-protocols"][0]["parameters"].clone()
}

//= NODE-SERVE-04
#[tokio::test]
async fn peers_are_added_pinned_elsewhere_and_removed() {
    let yard = Yard::new();
    let (first, second) = (Peer::start(&yard, BETA).await, Peer::start(&yard, BETA).await);
    let mut node = Node::new(&yard, ALPHA).started().await;
    node.app().submit(&[numbered(ALPHA, BETA, 1)]).await;
    assert_eq!(node.app().verb("POST", "/v1/peers/beta.test/connect").await.status, 502);
    node.pins_only(&[&first]);
    first.meets(&node);
    assert_eq!(told(&node.reload().await), "peers added: beta.test");
    assert_eq!(first.receives(1).await, ["m00001"]);
    node.pins_only(&[&second]);
    second.meets(&node);
    assert_eq!(told(&node.reload().await), "peers changed: beta.test");
    node.app().submit(&[numbered(ALPHA, BETA, 2)]).await;
    assert_eq!(second.receives(1).await, ["m00002"]);
    assert_eq!(first.received(), ["m00001"]);
    node.pins_only(&[]);
    assert_eq!(told(&node.reload().await), "peers removed: beta.test");
    assert_eq!(node.app().link(BETA).await["configured"], false);
    assert_eq!(node.app().verb("POST", "/v1/peers/beta.test/connect").await.status, 502);
    assert_eq!(told(&node.reload().await), "nothing changed");
}

//= NODE-SERVE-04
#[tokio::test]
async fn apps_come_change_their_token_and_go_and_no_token_is_in_the_log() {
    let mut node = Node::new(&Yard::new(), ALPHA).started().await;
    let status = async |node: &Node, token: &str| {
        node.app_with(Some(token)).get("/v1/inbox/example/form").await.status
    };
    assert_eq!(status(&node, LATER).await, 401);
    node.add_app("later", LATER, "example/form");
    assert_eq!(told(&node.reload().await), "apps added: later");
    assert_eq!(status(&node, LATER).await, 200);
    let url = format!("http://{}/v1/inbox/example/form/events", node.local);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut stream = http.get(&url).bearer_auth(LATER).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let waiting = node.app_with(Some(LATER));
    let poll = tokio::spawn(async move { waiting.get("/v1/inbox/example/form?wait=60s").await });
    let (asking, request) = (node.app_with(Some(LATER)), node.message_to(ALPHA, "asked"));
    let asks = tokio::spawn(async move { asking.post("/v1/requests?wait=60s", &request).await });
    eventually("it is asked", || async { (node.app().ids().await == ["asked"]).then_some(()) }).await;
    // The poll and the stream have had that.
    assert!(stream.chunk().await.unwrap().is_some());
    assert_eq!(tokio::time::timeout(PATIENCE, poll).await.unwrap().unwrap().status, 200);
    let waiting = node.app_with(Some(LATER));
    let cursor = node.app().get("/v1/inbox/example/form").await.json()["messages"][0]["cursor"].clone();
    let ack = json!({"cursor": cursor});
    assert_eq!(waiting.post("/v1/inbox/example/form/ack", &ack).await.status, 204);
    let poll = tokio::spawn(async move { waiting.get("/v1/inbox/example/form?wait=60s").await });
    node.logs_nothing_for(Duration::from_millis(300)).await;
    node.pins_only(&[]);
    let other = LATER.replace("token", "other");
    node.add_app("later", &other, "example/form");
    assert_eq!(told(&node.reload().await), "apps changed: later");
    assert_eq!((status(&node, LATER).await, status(&node, &other).await), (401, 200));
    let mut after = node.message_to(ALPHA, "after");
    after["reply-to"] = json!("asked");
    node.app().submit(&[after]).await;
    let rest = tokio::time::timeout(PATIENCE, stream.chunk()).await.unwrap();
    assert!(!matches!(rest, Ok(Some(_))), "whoever was shut out gets nothing more");
    for waited in [poll, asks] {
        assert_eq!(tokio::time::timeout(PATIENCE, waited).await.unwrap().unwrap().status, 401);
    }
    node.pins_only(&[]);
    assert_eq!(told(&node.reload().await), "apps removed: later");
    assert_eq!((status(&node, &other).await, status(&node, ADMIN).await), (401, 200));
    assert!(![LATER, &other, ADMIN].iter().any(|token| node.log().contains(*token)));
}

#[tokio::test]
async fn a_peer_that_is_denied_is_shut_out_until_it_is_no_more() {
    let (_yard, mut node, peer) = pair().await;
    peer.link(&node).await;
    node.app().submit(&[numbered(ALPHA, BETA, 1)]).await;
    peer.receives(1).await;
    node.set("federation", "deny = [\"beta.test\"]");
    peer.always(Kind::Packet, Does::status(500));
    node.app().submit(&[numbered(ALPHA, BETA, 2)]).await;
    assert_eq!(told(&node.reload().await), "settings changed: federation.deny");
    let refresh = peer.held().1;
    assert_eq!(peer.send(&node, &[peer.message(&node, "x")]).await.status, 403);
    assert_eq!(peer.refresh_with(&node, &refresh).await.status, 403);
    assert_eq!(node.app().post("/v1/messages", &numbered(ALPHA, BETA, 3)).await.status, 403);
    node.logs("the policy of this host refuses beta.test").await;
    let link = node.app().link(BETA).await;
    assert_eq!(
        (&link["sending"]["state"], &link["receiving"]["state"]),
        (&json!("refused"), &json!("refused"))
    );
    peer.usual(Kind::Packet);
    peer.forget_seen();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(peer.seen(Kind::Packet).is_empty() && peer.seen(Kind::Request).is_empty());
    assert_eq!(node.app().status("m00002").await["state"], "queued");
    node.set("federation", "deny = []");
    node.reload().await;
    assert_eq!(peer.receives(2).await, ["m00001", "m00002"]);
    assert_eq!(peer.send(&node, &[peer.message(&node, "x")]).await.status, 204);
}

//= NODE-SERVE-04
#[tokio::test]
async fn other_limits_hold_for_the_next_call_and_are_announced() {
    let (_yard, mut node, peer) = pair().await;
    peer.link(&node).await;
    let mut big = peer.message(&node, "big");
    big["payload"] = json!({"x": "x".repeat(4000)});
    assert_eq!(peer.send(&node, &[big.clone()]).await.status, 204);
    node.set("limits", "packet-bytes = \"2KiB\"\npacket-messages = 3\noutbox-messages-per-peer = 1");
    node.reload().await;
    assert_eq!(peer.send(&node, &[big]).await.status, 413);
    let four: Vec<_> = (0..4).map(|n| peer.message(&node, &format!("m{n}"))).collect();
    assert_eq!(peer.send(&node, &four).await.status, 413);
    assert_eq!(peer.send(&node, &four[..3]).await.status, 204);
    let parameters = announced(&node).await;
    assert_eq!((&parameters["packet-bytes"], &parameters["packet-messages"]), (&json!(2048), &json!(3)));
    let two = json!({"messages": [numbered(ALPHA, BETA, 1), numbered(ALPHA, BETA, 2)]});
    assert_eq!(node.app().post("/v1/messages", &two).await.status, 503);
    node.set("limits", "connections-per-address = 1");
    let said = node.reload().await;
    assert_eq!(told(&said), "settings changed: limits.connections-per-address");
}

//= NODE-SERVE-04
#[tokio::test]
async fn a_file_with_problems_changes_nothing_and_each_is_told_with_its_key_and_line() {
    let yard = Yard::new();
    let mut node = Node::new(&yard, ALPHA).expecting("SIGHUP: ").started().await;
    let good = fs::read_to_string(node.config()).unwrap();
    node.set("federation", "policy = \"closed\"\ndeny = [\"beta.test\"]");
    node.set("limits", "packet-bytes = \"2KiB\"\ngrant-slots = 1\npacket-byts = 3");
    node.add_app("later", "short", "example/form");
    let said = node.reload().await;
    let file = fs::read_to_string(node.config()).unwrap();
    for (key, words) in [
        ("policy", "federation.policy: `closed` does not do"),
        ("grant-slots", "limits.grant-slots: `1` is out of bounds"),
        ("packet-byts", "limits.packet-byts: is not a known key; did you mean `limits.packet-bytes`?"),
        ("token = \"short\"", "apps[0].token: is shorter than 16 characters"),
    ] {
        let line = 1 + file.lines().position(|line| line.starts_with(key)).unwrap();
        let place = format!("alpha.test.toml:{line}: {words}");
        assert!(
            said.lines().any(|line| line.contains(" ERROR ") && line.contains(&place)),
            "{place}\n{said}"
        );
    }
    assert!(said.contains("problems=4") && !said.contains("was read again"), "{said}");
    assert_eq!(announced(&node).await["packet-bytes"], 1024 * 1024);
    assert_eq!(node.app().post("/v1/messages", &numbered(ALPHA, BETA, 1)).await.status, 202);

    fs::write(node.config(), &good).unwrap();
    let key = yard.path().join("certs/alpha.test.key");
    let (own, before) = (fs::read(&key).unwrap(), shown(&yard, &node).await);
    fs::write(&key, "no key").unwrap();
    fs::write(node.config(), good.replace("[limits]", "[limits]\npacket-bytes = \"2KiB\"")).unwrap();
    let said = node.hang_up().await;
    assert!(said.contains("peer.key: ") && said.contains("it holds no private key"), "{said}");
    assert_eq!(announced(&node).await["packet-bytes"], 1024 * 1024, "in whole");
    assert_eq!(shown(&yard, &node).await, before);
    fs::write(&key, own).unwrap();
    assert_eq!(told(&node.hang_up().await), "settings changed: limits.packet-bytes");
}

#[tokio::test]
async fn what_needs_a_restart_is_named_once_a_key_and_all_else_is_taken() {
    let mut node = Node::new(&Yard::new(), ALPHA).started().await;
    node.set("inbox", "dedupe = \"1d\"\nkeep = \"2d\"");
    node.set("limits", "free-space-min = \"1B\"");
    node.set("log", "format = \"json\"");
    let said = node.reload().await;
    for key in ["inbox.dedupe", "limits.free-space-min", "log.format"] {
        let lines = said.lines().filter(|line| line.contains(&format!("{key}: needs a restart")));
        assert_eq!(lines.filter(|line| line.contains(" WARN ")).count(), 1, "{key}\n{said}");
    }
    assert_eq!(said.matches("needs a restart").count(), 3);
    assert_eq!(told(&said), "settings changed: inbox.keep");
}

#[tokio::test]
async fn what_is_open_goes_on() {
    let (yard, mut node, peer) = pair().await;
    peer.link(&node).await;
    let io = TokioIo::new(secure(&yard, &node).await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let mut packet_bytes = async || {
        let uri = format!("https://{ALPHA}{INFORMATION}");
        let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
        let body =
            sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        let document: Value = serde_json::from_slice(&body).unwrap();
        document["connection-protocols"][0]["parameters"]["packet-bytes"].clone()
    };
    assert_eq!(packet_bytes().await, 1024 * 1024);
    let url = format!("http://{}/v1/inbox/example/form/events", node.local);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut stream = http.get(&url).bearer_auth(ADMIN).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    let app = node.app();
    let poll = tokio::spawn(async move { app.get("/v1/inbox/example/form?wait=30s").await });
    node.logs_nothing_for(Duration::from_millis(300)).await;
    yard.certify_anew(ALPHA);
    node.set("limits", "packet-bytes = \"2KiB\"");
    assert_eq!(
        told(&node.reload().await),
        "settings changed: limits.packet-bytes; certificates changed: the certificate of this host"
    );
    assert!(!poll.is_finished(), "a poll waits on");
    assert_eq!(packet_bytes().await, 2048, "the same connection, the next call");
    assert_eq!(peer.send(&node, &[peer.message(&node, "later")]).await.status, 204);
    let got = tokio::time::timeout(PATIENCE, poll).await.unwrap().unwrap();
    assert_eq!(got.json()["messages"][0]["message"]["id"], "later");
    let event = tokio::time::timeout(PATIENCE, stream.chunk()).await.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&event).contains("\"later\""), "{event:?}");
}

#[tokio::test]
async fn a_service_that_comes_is_read_and_one_that_goes_ends_its_poll() {
    let mut node = Node::new(&Yard::new(), ALPHA).started().await;
    node.add_app("later", LATER, "example/later");
    assert_eq!(told(&node.reload().await), "services added: example/later; apps added: later");
    let app = node.app_with(Some(LATER));
    let poll = tokio::spawn(async move { app.get("/v1/inbox/example/later?wait=60s").await });
    node.logs_nothing_for(Duration::from_millis(300)).await;
    node.pins_only(&[]);
    assert_eq!(told(&node.reload().await), "services removed: example/later; apps removed: later");
    let got = tokio::time::timeout(Duration::from_secs(5), poll).await.expect("no wait for nothing").unwrap();
    assert_eq!(got.status, 401, "the app is gone too");
}

#[tokio::test]
async fn renewed_certificates_are_found_and_half_a_pair_is_told_once() {
    let yard = Yard::new();
    let node = Node::new(&yard, ALPHA).with("peer", "certificate-check = \"100ms\"").started().await;
    let before = shown(&yard, &node).await;
    let expires = node.app().metric("ymp_certificate_expires_timestamp_seconds").await;
    assert!((unix_seconds() + 390 * 86_400..unix_seconds() + 398 * 86_400).contains(&expires), "{expires}");
    let (certificate, key) =
        (yard.path().join("certs/alpha.test.pem"), yard.path().join("certs/alpha.test.key"));
    let old = (fs::read(&certificate).unwrap(), fs::read(&key).unwrap());
    yard.certify_anew(ALPHA);
    node.logs("the certificate of this host changed on disk").await;
    assert_ne!(shown(&yard, &node).await, before);
    // The first half of the old pair, and a while later the other.
    fs::write(&key, &old.1).unwrap();
    node.logs("cannot be used").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(node.log().matches("cannot be used").count(), 1);
    assert_ne!(shown(&yard, &node).await, before);
    fs::write(&certificate, &old.0).unwrap();
    eventually("the whole pair is shown", || async { (shown(&yard, &node).await == before).then_some(()) })
        .await;
}

#[tokio::test]
async fn roots_that_changed_hold_for_the_next_connection() {
    let (yard, other) = (Yard::new(), Yard::new());
    other.certify("gamma.test");
    let peer = Peer::start(&yard, BETA).await;
    let node =
        Node::new(&yard, ALPHA).with("peer", "certificate-check = \"100ms\"").pin(&peer).started().await;
    peer.meets(&node);
    node.app().connect(BETA).await;
    let ca = yard.path().join("certs/ca.pem");
    let own = fs::read(&ca).unwrap();
    fs::copy(other.path().join("certs/ca.pem"), &ca).unwrap();
    node.logs("the trusted roots changed on disk").await;
    let got = node.app().verb("POST", "/v1/peers/beta.test/connect").await;
    assert_eq!(got.status, 502, "the open connection is not used any more");
    assert!(got.problem()["detail"].as_str().unwrap().contains("certificate"), "{:?}", got.problem());
    fs::write(&ca, own).unwrap();
    eventually("the roots are back", || async {
        (node.log().matches("the trusted roots changed on disk").count() == 2).then_some(())
    })
    .await;
    node.app().connect(BETA).await;
}

#[tokio::test]
async fn peers_that_rest_are_tried_when_calls_go_otherwise() {
    let (yard, other) = (Yard::new(), Yard::new());
    other.certify("gamma.test");
    let peer = Peer::start(&yard, BETA).await;
    let slow = "retry-min = \"10m\"\nretry-max = \"10m\"\nretry-max-silent = \"10m\"";
    let node = Node::new(&yard, ALPHA).with("delivery", slow).pin(&peer).started().await;
    peer.meets(&node);
    let ca = yard.path().join("certs/ca.pem");
    let own = fs::read(&ca).unwrap();
    fs::copy(other.path().join("certs/ca.pem"), &ca).unwrap();
    node.reload().await;
    node.app().submit(&[node.message_to(BETA, "held")]).await;
    eventually("the link rests", || async {
        (node.app().link(BETA).await["sending"]["state"] == "backing-off").then_some(())
    })
    .await;
    fs::write(&ca, own).unwrap();
    node.reload().await;
    assert_eq!(peer.receives(1).await, ["held"]);
}

#[tokio::test]
async fn the_log_says_more_and_less_without_a_restart() {
    let yard = Yard::new();
    let mut node = Node::new(&yard, ALPHA).logging_as_configured().started().await;
    let asks = async |node: &Node| {
        let before = node.log().len();
        assert_eq!(node.app_with(Some("nobody")).get("/v1/peers").await.status, 401);
        node.logs_nothing_for(Duration::from_millis(200)).await;
        node.log()[before..].matches("refused: ").count()
    };
    assert_eq!(asks(&node).await, 0);
    node.set("log", "filter = \"debug\"");
    assert_eq!(told(&node.reload().await), "settings changed: log.filter");
    assert_eq!(asks(&node).await, 1);
    node.set("log", "filter = \"info\"");
    node.reload().await;
    assert_eq!(asks(&node).await, 0);
}
