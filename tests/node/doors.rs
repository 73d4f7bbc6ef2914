//! Doors that must be shut: hosts that the policy refuses by now, words of a peer in our log, operators' calls that wait,
//! tokens that are revoked while a body comes, strangers that ask without end.

use std::time::Duration;

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{harness::*, pair};

//= HT-ASK-20
#[tokio::test]
async fn no_road_leads_to_a_host_that_the_policy_refuses_by_now() {
    let (_yard, mut node, peer) = pair().await;
    peer.link(&node).await;
    let refresh = peer.held().1;
    peer.always(Kind::Packet, Does::status(500));
    node.app().submit(&[numbered(ALPHA, BETA, 1)]).await;
    node.set("federation", "deny = [\"beta.test\"]");
    node.restart().await;
    peer.usual(Kind::Packet);
    peer.forget_seen();
    assert_eq!(peer.refresh_with(&node, &refresh).await.status, 403);
    assert_eq!(peer.send(&node, &[peer.message(&node, "x")]).await.status, 403);
    assert_eq!(node.app().post("/v1/messages", &numbered(ALPHA, BETA, 2)).await.status, 403);
    assert_eq!(node.app().verb("POST", "/v1/peers/beta.test/connect").await.status, 403);
    node.logs("the policy of this host refuses beta.test").await;
    assert!(peer.received().is_empty(), "mail from before the refusal stays here");
    assert!(node.app().status("m00001").await["last-error"].as_str().unwrap().contains("policy"));
}

//= YMP-MSG-11
#[tokio::test]
async fn a_peers_words_cannot_break_a_log_line_and_are_said_once_a_packet() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    let strange = |n: usize| {
        let mut message = peer.message(&node, &format!("{n}\n2026-01-01T00:00:00Z WARN ymp: forged"));
        message["service"] = json!("no\nsuch");
        message
    };
    let all: Vec<_> = (0..500).map(strange).collect();
    assert_eq!(peer.send(&node, &all).await.status, 204);
    node.app().counts("ymp_messages_ignored_total", 500).await;
    node.logs("does not run that service").await;
    let log = node.log();
    assert_eq!(log.matches("does not run that service").count(), 1);
    assert!(log.lines().all(|line| !line.starts_with("2026-01-01T00:00:00Z")), "{log}");
}

#[tokio::test]
async fn an_operator_that_waits_hears_of_a_link_that_is_forgotten() {
    let (_yard, node, peer) = pair().await;
    peer.always(Kind::Request, Does::status(204));
    let app = node.app();
    let connect = tokio::spawn(async move { app.verb("POST", "/v1/peers/beta.test/connect").await });
    peer.sees(Kind::Request, 1).await;
    assert_eq!(node.app().verb("DELETE", "/v1/peers/beta.test").await.status, 204);
    let got = tokio::time::timeout(PATIENCE, connect).await.expect("an answer").unwrap();
    assert_eq!((got.status, got.problem()["step"].as_str().is_some()), (502, true));
}

//= HT-CRASH-07
#[tokio::test]
async fn a_token_that_is_revoked_while_the_body_comes_is_not_honoured() {
    let (yard, node, peer) = pair().await;
    let token = peer.link(&node).await;
    let body = serde_json::to_vec(&packet(&[peer.message(&node, "late")])).unwrap();
    let tcp = TcpStream::connect(node.peer).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(ALPHA).unwrap();
    let mut tls =
        tokio_rustls::TlsConnector::from(yard.client(&["http/1.1"])).connect(name, tcp).await.unwrap();
    let head = format!(
        "POST /packet HTTP/1.1\r\nHost: {ALPHA}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    tls.write_all(head.as_bytes()).await.unwrap();
    tls.write_all(&body[..10]).await.unwrap();
    tls.flush().await.unwrap();
    // The bearer has been looked at once the node has seen the head: a second call on another connection comes later.
    assert_eq!(peer.send(&node, &[]).await.status, 204);
    assert_eq!(node.app().verb("DELETE", "/v1/peers/beta.test").await.status, 204);
    tls.write_all(&body[10..]).await.unwrap();
    tls.flush().await.unwrap();
    let mut answer = [0; 64];
    let read = tokio::io::AsyncReadExt::read(&mut tls, &mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(node.app().inbox(10).await.is_empty());
}

#[tokio::test]
async fn tls_1_2_is_spoken_too() {
    let (yard, node, _peer) = pair().await;
    let tcp = TcpStream::connect(node.peer).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(ALPHA).unwrap();
    let only = tokio_rustls::TlsConnector::from(yard.client_of(&["h2"], &[&rustls::version::TLS12]));
    let tls = only.connect(name, tcp).await.unwrap();
    assert_eq!(tls.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn a_message_to_one_of_our_aliases_is_told_what_to_write() {
    let yard = Yard::new();
    let node = Node::new(&yard, ALPHA).with("peer", "aliases = [\"other.test\"]").started().await;
    let got = node.app().post("/v1/messages", &numbered(ALPHA, "other.test", 1)).await;
    assert_eq!((got.status, got.problem()["field"].clone()), (400, json!("host")));
}

#[tokio::test]
async fn a_message_that_no_packet_holds_is_named() {
    let yard = Yard::new();
    let node = Node::new(&yard, ALPHA).with("limits", "packet-bytes = \"2KiB\"").started().await;
    let big = message(ALPHA, BETA, "big", &json!({"x": "x".repeat(3000)}));
    let got = node.app().post("/v1/messages", &json!({"messages": [numbered(ALPHA, BETA, 1), big]})).await;
    assert_eq!((got.status, got.problem()["index"].clone()), (413, json!(1)));
    assert_eq!(node.app().get("/v1/messages/m00001").await.status, 404, "nothing is queued");
}

#[tokio::test]
async fn forged_requests_without_end_do_not_become_calls_without_end() {
    let (_yard, node, peer) = pair().await;
    peer.always(Kind::Grant, Does::status(401));
    let start = now();
    for n in 0..200 {
        let offer = json!({
            "host": BETA, "token": format!("forged-{n}"), "expires-in": 60, "refresh-token": format!("forged-r-{n}")
        });
        // From the peer's own address he would be taken for the peer.
        assert_eq!(node.post("/request").elsewhere().json(&offer).send().await.status, 204);
    }
    node.app().counts("ymp_token_requests_in_total", 200).await;
    let calls = peer.seen(Kind::Grant).len() as u64;
    let fair = 100 + 10 * (start.elapsed().as_secs() + 1);
    assert!((1..=fair).contains(&calls), "{calls} calls, {fair} would be fair");
    assert!(node.app().metric("ymp_names_misused_total").await >= 1);
    let lines = node.log().matches("in the name of this host").count() as u64;
    assert!(lines <= 1 + start.elapsed().as_secs() / 10, "{lines} lines");
}

//= NODE-SERVE-03
#[tokio::test]
async fn a_new_certificate_is_shown_after_sighup() {
    let (yard, node, peer) = pair().await;
    peer.link(&node).await;
    let shown = async || {
        let tcp = TcpStream::connect(node.peer).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from(ALPHA).unwrap();
        let tls = tokio_rustls::TlsConnector::from(yard.client(&["h2"])).connect(name, tcp).await.unwrap();
        tls.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    let before = shown().await;
    yard.certify_anew(ALPHA);
    assert_eq!(shown().await, before);
    node.signal(rustix::process::Signal::HUP);
    within(PATIENCE, "the new certificate", || async { (shown().await != before).then_some(()) }).await;
    tokio::time::timeout(Duration::from_secs(5), peer.send(&node, &[])).await.unwrap();
}

//= HT-ASK-25
#[tokio::test]
async fn no_proxy_of_the_environment_is_asked() {
    let (_yard, mut node, peer) = pair().await;
    node.stop().await;
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let mut command = node.command();
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, format!("http://{}", proxy.local_addr().unwrap()));
    }
    command.env_remove("NO_PROXY").env_remove("no_proxy");
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = command.args(["serve", "--config"]).arg(node.config()).spawn().unwrap();
    let ready = || async {
        let app = node.app_with(None);
        (app.raw("GET", "/readyz", None).await.ok()?.status == 200).then_some(())
    };
    eventually("it is ready", ready).await;
    node.app().connect(BETA).await;
    assert_eq!(peer.send(&node, &[]).await.status, 204);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(proxy.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody called");
}
