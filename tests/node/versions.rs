//! Both HTTP versions in both directions: a peer that speaks one only is linked, sent to, heard and refreshed.

use serde_json::json;

use super::harness::*;

async fn all_of_it(http: Http) {
    let yard = Yard::new();
    let peer = Peer::start_with(&yard, BETA, Some(http)).await;
    let node = Node::new(&yard, ALPHA).pin(&peer).started().await;
    peer.meets(&node);
    let app = node.app();
    // We ask.
    app.submit(&[node.message_to(BETA, "out")]).await;
    assert_eq!(peer.receives(1).await, ["out"]);
    assert_eq!(peer.send(&node, &[peer.message(&node, "in")]).await.status, 204);
    assert_eq!(app.receives(1).await, ["in"]);
    // We refresh, they refresh.
    assert_eq!(app.verb("POST", "/v1/peers/beta.test/refresh").await.status, 200);
    app.submit(&[node.message_to(BETA, "out-2")]).await;
    peer.receives(2).await;
    let got = peer.refresh_with(&node, &peer.held().1).await;
    assert_eq!((got.status, got.version), (200, http.version()));
    peer.holds(&got.json());
    assert_eq!(peer.send(&node, &[]).await.status, 204);
    // They ask.
    assert_eq!(app.verb("DELETE", "/v1/peers/beta.test").await.status, 204);
    peer.link(&node).await;
    assert_eq!(peer.send(&node, &[peer.message(&node, "in-2")]).await.status, 204);
    app.submit(&[node.message_to(BETA, "out-3")]).await;
    assert_eq!(peer.receives(3).await, ["out", "out-2", "out-3"]);
    for kind in [Kind::Request, Kind::Grant, Kind::Refresh, Kind::Packet] {
        for seen in peer.sees(kind, 1).await {
            assert_eq!(seen.version, http.version(), "{kind:?}");
            assert_eq!((seen.authority.as_str(), seen.sni.as_deref()), (BETA, Some(BETA)));
            assert!(kind == Kind::Refresh || seen.headers["content-type"] == "application/json");
        }
    }
    let shown = if http == Http::One { "1.1" } else { "2" };
    let link = app.link(BETA).await;
    assert!(link["http"].as_str().unwrap().contains(shown), "{link}");
}

//= SEED-HTTP-1
#[tokio::test]
async fn a_peer_that_speaks_http_1_only_is_served_in_both_directions() {
    all_of_it(Http::One).await;
}

//= SEED-HTTP-1
#[tokio::test]
async fn a_peer_that_speaks_http_2_only_is_served_in_both_directions() {
    all_of_it(Http::Two).await;
}

#[tokio::test]
async fn what_a_peer_is_spoken_to_over_is_shown_also_where_it_grants_before_it_answers() {
    let (_yard, node, peer) = super::pair().await;
    peer.next(Kind::Request, Does::AnswersLate(std::time::Duration::from_millis(200)));
    let link = node.app().connect(BETA).await;
    assert_eq!((&link["http"], &link["tls"]), (&json!("HTTP/2"), &json!("TLS 1.3")), "{link}");
}

#[tokio::test]
async fn two_nodes_talk_http_2() {
    let yard = Yard::new();
    let (alpha, beta) = (Node::new(&yard, ALPHA), Node::new(&yard, BETA));
    let (at_alpha, at_beta) = (alpha.peer, beta.peer);
    let alpha = alpha.pin_at(BETA, at_beta).started().await;
    let beta = beta.pin_at(ALPHA, at_alpha).started().await;
    alpha.app().submit(&[alpha.message_to(BETA, "there")]).await;
    assert_eq!(beta.app().receives(1).await, ["there"]);
    beta.app().submit(&[beta.message_to(ALPHA, "back")]).await;
    assert_eq!(alpha.app().receives(1).await, ["back"]);
    let link = alpha.app().link(BETA).await;
    assert!(link["http"].as_str().unwrap().contains('2'), "{link}");
    assert_eq!(link["revision"], "R1");
}
