//! What is sent and how answers are read.

use super::*;

//= SEED-HTTP-1, HT-CHK-13
#[tokio::test]
async fn a_packet_goes_over_http_2_and_http_1_with_the_same_head() {
    for (alpn, version, seen) in
        [("h2", HttpVersion::Http2, Version::HTTP_2), ("http/1.1", HttpVersion::Http1, Version::HTTP_11)]
    {
        let peer = Peer::start(alpn, NAME, usize::MAX).await;
        let answer = send(&peer.client(Settings::default()), &peer.pinned(), "/packet").await.unwrap();
        assert_eq!((answer.status, answer.version), (204, version));
        peer.last(|request| {
            assert_eq!(request.version, seen);
            assert_eq!((request.authority.as_str(), request.sni.as_deref()), (NAME, Some(NAME)));
            assert_eq!(request.headers["content-type"], "application/json");
            assert_eq!(request.headers["authorization"], format!("Bearer {}", token().reveal()));
            assert_eq!(request.headers["user-agent"], concat!("ymp/", env!("CARGO_PKG_VERSION")));
            assert_eq!(request.body, body());
        });
    }
}

//= HT-PIC-03
#[tokio::test]
async fn the_name_keeps_its_own_port_where_the_pin_has_another() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let route = Route { host: PeerHost::parse("alpha.test:8443").unwrap(), ..peer.pinned() };
    send(&peer.client(Settings::default()), &route, "/").await.unwrap();
    assert_eq!(peer.last(|request| request.authority.clone()), "alpha.test:8443");
}

//= HT-ASK-24
#[tokio::test]
async fn an_over_long_answer_is_read_to_its_limit_and_counts_by_its_status() {
    for alpn in ["h2", "http/1.1"] {
        let peer = Peer::start(alpn, NAME, usize::MAX).await;
        let answer = send(&peer.client(Settings::default()), &peer.pinned(), "/long").await.unwrap();
        assert_eq!(answer.status, 500);
        assert!(answer.text.is_some_and(|text| text.starts_with("long long") && text.len() <= 200));
    }
}

//= HT-ASK-24
#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let answer = send(&peer.client(Settings::default()), &peer.pinned(), "/redirect").await.unwrap();
    assert_eq!(answer.status, 307);
    assert_eq!(answer.text.as_deref(), Some("redirects to https://elsewhere.test/, which is not followed"));
}

//= NODE-API-36
#[tokio::test]
async fn a_peer_that_repeats_the_bearer_does_not_get_it_into_the_log() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let answer = send(&peer.client(Settings::default()), &peer.pinned(), "/echo").await.unwrap();
    let text = answer.text.unwrap();
    assert!(text.contains("(token)") && !text.contains("only-the-peer"), "{text}");
}

#[tokio::test]
async fn retry_after_comes_through() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let answer = send(&peer.client(Settings::default()), &peer.pinned(), "/busy").await.unwrap();
    assert_eq!((answer.status, answer.retry_after), (503, Some(Duration::from_secs(7))));
}

//= HT-REF-02, HT-REF-18
#[tokio::test]
async fn a_refresh_has_no_body_and_brings_new_tokens() {
    let peer = Peer::start("http/1.1", NAME, usize::MAX).await;
    let client = peer.client(Settings::default());
    let fresh = client.refresh(&peer.pinned(), "/refresh", &token(), TIME).await;
    assert!(matches!(fresh, Refreshed::Fresh(reply) if reply.token.reveal() == "t"));
    assert!(peer.last(|request| request.body.is_empty() && !request.headers.contains_key("content-type")));
    let odd = client.refresh(&peer.pinned(), "/odd-refresh", &token(), TIME).await;
    assert!(matches!(&odd, Refreshed::Answered(Answer { status: 200, text: Some(_), .. })), "{odd:?}");
    let long = client.refresh(&peer.pinned(), "/long-refresh", &token(), TIME).await;
    assert!(matches!(long, Refreshed::Answered(Answer { status: 200, .. })), "{long:?}");
    let none = client.refresh(&peer.pinned(), "/packet", &token(), TIME).await;
    assert!(matches!(none, Refreshed::Answered(Answer { status: 204, .. })));
}

#[tokio::test]
async fn a_request_shows_no_bearer() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let client = peer.client(Settings::default());
    client.request(&peer.pinned(), "/request", b"{}".to_vec(), TIME).await.unwrap();
    assert!(peer.last(|request| !request.headers.contains_key("authorization")));
}

//= YMP-INFO-01, YMP-INFO-07
#[tokio::test]
async fn the_four_paths_are_tried_in_their_order_until_one_has_a_document() {
    let peer = Peer::start("h2", NAME, usize::MAX).await;
    let found = peer.client(Settings::default()).discover(&peer.pinned(), false).await.unwrap();
    assert_eq!((found.path, found.parameters.packet_path.as_str()), ("/.well-known/amorphos", "/p"));
    let seen = peer.seen.lock().unwrap();
    let paths: Vec<_> = seen.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths, ["/.well-known/ymp", "/.ymp", "/.well-known/amorphos"]);
    assert!(seen.iter().all(|request| request.headers["accept"] == "*/*"));
    assert_eq!(peer.connections(), 1);
}
