//! Every cell: three revisions, who asks, two versions of HTTP. Parameters are published, not pinned.
//!
//! With R1 and R2 one exchange serves both directions, and both sides refresh. With R3 it serves the asker only, and is
//! followed by another before its token runs out, without a gap in what is sent.

use std::time::Duration;

use serde_json::json;

use super::harness::*;

#[derive(Clone, Copy, PartialEq)]
enum Asks {
    We,
    They,
}

async fn cell(revision: Revision, asks: Asks, http: Http) {
    let yard = Yard::new();
    let peer = Peer::start_with(&yard, BETA, Some(http)).await;
    peer.speaks(revision);
    peer.publishes(&PLACES[..1]);
    let node = Node::new(&yard, ALPHA).know(&peer).started().await;
    peer.meets(&node);
    let kinds: &[Kind] = match (revision, asks) {
        (Revision::R3, Asks::We) => {
            we_send(&node, &peer).await;
            &[Kind::Information, Kind::Request, Kind::Packet]
        }
        (Revision::R3, Asks::They) => {
            they_send(&node, &peer).await;
            &[Kind::Information, Kind::Grant]
        }
        (_, Asks::We) => {
            node.app().submit(&[node.message_to(BETA, "asks")]).await;
            assert_eq!(peer.receives(1).await, ["asks"]);
            both_ways(&node, &peer, revision, http).await;
            &[Kind::Information, Kind::Request, Kind::Refresh, Kind::Packet]
        }
        (_, Asks::They) => {
            peer.link(&node).await;
            both_ways(&node, &peer, revision, http).await;
            assert!(peer.seen(Kind::Request).is_empty(), "one exchange serves both directions");
            &[Kind::Information, Kind::Grant, Kind::Refresh, Kind::Packet]
        }
    };
    for kind in kinds {
        for seen in peer.sees(*kind, 1).await {
            assert_eq!(seen.version, http.version(), "{kind:?}");
            assert_eq!((seen.authority.as_str(), seen.sni.as_deref()), (BETA, Some(BETA)), "{kind:?}");
            let has_body = !matches!(kind, Kind::Refresh | Kind::Information);
            assert!(!has_body || seen.header("content-type") == Some("application/json"), "{kind:?}");
        }
    }
    assert_eq!(peer.places_read(), [PLACES[0]], "looked up once");
    assert!(peer.seen(Kind::Other).is_empty());
    let link = node.app().link(BETA).await;
    let shown = if http == Http::One { "1.1" } else { "2" };
    assert!(link["http"].as_str().unwrap().contains(shown), "{link}");
    assert_eq!(link["negotiation"]["source"], "published", "{link}");
    assert!(!link["negotiation"]["reason"].as_str().unwrap().is_empty(), "{link}");
}

/// R1 and R2, linked by whomever.
async fn both_ways(node: &Node, peer: &Peer, revision: Revision, http: Http) {
    let app = node.app();
    let before = peer.received().len();
    // Waits for the commit of what they asked for; mail that comes earlier would have us ask too.
    assert_eq!(peer.send(node, &[peer.message(node, "in")]).await.status, 204);
    assert_eq!(app.receives(1).await, ["in"]);
    app.submit(&[node.message_to(BETA, "out")]).await;
    assert_eq!(peer.receives(before + 1).await[before..], ["out"]);
    // We refresh, they refresh.
    assert_eq!(app.verb("POST", "/v1/peers/beta.test/refresh").await.status, 200);
    app.submit(&[node.message_to(BETA, "out-2")]).await;
    assert_eq!(peer.receives(before + 2).await[before..], ["out", "out-2"]);
    let bearers: Vec<_> = peer.seen(Kind::Packet).into_iter().map(|seen| seen.bearer).collect();
    assert_ne!(bearers[bearers.len() - 1], bearers[bearers.len() - 2], "with the new token");
    let old = peer.token();
    let got = peer.refresh_with(node, &peer.held().1).await;
    assert_eq!((got.status, got.version), (200, http.version()));
    peer.holds(&got.json());
    assert_ne!(peer.token(), old);
    assert_eq!(peer.send(node, &[peer.message(node, "in-2")]).await.status, 204);
    assert_eq!(app.receives(2).await, ["in", "in-2"]);
    let (link, revision) = (app.link(BETA).await, json!(revision.name()));
    let shown = [&link["revision"], &link["sending"]["revision"], &link["receiving"]["revision"]];
    assert_eq!(shown, [&revision; 3], "{link}");
}

/// R3, our direction: asked for, used, asked for again before it runs out.
async fn we_send(node: &Node, peer: &Peer) {
    peer.lifetime(5);
    let sent = flow(node, BETA, "it asks anew", || peer.seen(Kind::Request).len() >= 3).await;
    assert_eq!(peer.receives(sent).await, in_order(sent));
    without_a_gap(&peer.seen(Kind::Packet));
    for pair in peer.seen(Kind::Request).windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap >= Duration::from_secs(2) && gap < Duration::from_secs(5), "{gap:?}: at 3/4 of 4 to 5 s");
        assert_ne!(pair[0].json()["state"], pair[1].json()["state"]);
    }
    let link = node.app().link(BETA).await;
    assert_eq!((&link["revision"], &link["sending"]["revision"]), (&json!("R3"), &json!("R3")), "{link}");
    assert_eq!((&link["receiving"]["revision"], &link["receiving"]["state"]), (&json!(null), &json!("none")));
    assert_eq!(peer.pairs_held(), 0, "the peer was given nothing: it did not ask");
}

/// R3, their direction: the peer asks again before its token runs out, and both are taken.
async fn they_send(node: &Node, peer: &Peer) {
    let first = peer.link(node).await;
    assert_eq!(peer.send(node, &[peer.message(node, "in")]).await.status, 204);
    let second = peer.link(node).await;
    assert_ne!(first, second);
    let tokens = [&first, &second, &first, &second];
    for (n, token) in tokens.into_iter().enumerate() {
        let message = peer.message(node, &format!("in-{n}"));
        assert_eq!(peer.send_with(node, token, &[message]).await.status, 204, "{n}");
    }
    assert_eq!(node.app().receives(5).await, ["in", "in-0", "in-1", "in-2", "in-3"]);
    let link = node.app().link(BETA).await;
    assert_eq!((&link["revision"], &link["receiving"]["revision"]), (&json!("R3"), &json!("R3")), "{link}");
    assert_eq!((&link["sending"]["revision"], &link["sending"]["state"]), (&json!(null), &json!("none")));
    assert!(peer.seen(Kind::Request).is_empty(), "we ask when we have something to say");
}

macro_rules! cells {
    ($($name:ident: $revision:ident, $asks:ident, $http:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            cell(Revision::$revision, Asks::$asks, Http::$http).await;
        }
    )*};
}

cells! {
    //= HT-REV-01
    r1_we_ask_over_http_1: R1, We, One;
    r1_we_ask_over_http_2: R1, We, Two;
    r1_they_ask_over_http_1: R1, They, One;
    //= HT-REV-01
    r1_they_ask_over_http_2: R1, They, Two;
    //= HT-REV-01
    r2_we_ask_over_http_1: R2, We, One;
    r2_we_ask_over_http_2: R2, We, Two;
    r2_they_ask_over_http_1: R2, They, One;
    //= HT-REV-01
    r2_they_ask_over_http_2: R2, They, Two;
    //= HT-REV-01
    r3_we_ask_over_http_1: R3, We, One;
    r3_we_ask_over_http_2: R3, We, Two;
    r3_they_ask_over_http_1: R3, They, One;
    //= HT-REV-01
    r3_they_ask_over_http_2: R3, They, Two;
}
