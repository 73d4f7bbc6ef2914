//! `ymp`, "Host information", as a reader: where it is looked for, what is taken of it, how long it is kept.

use std::time::Duration;

use std::sync::Arc;

use serde_json::{Value, json};
use ymp::{
    store::{Settings, Store as _, Vault as _, embedded::Embedded},
    wire::{
        record::{LinkRecord, VaultWrite},
        time::{Mono, Now, Wall},
    },
};

use super::harness::*;

const KIB: usize = 1024;

/// What a peer shows at a place.
type Shows = fn(&Peer) -> Reply;

/// A node that knows where beta is, and a beta of R1 that publishes nothing yet.
async fn unpublished() -> (Yard, Node, Peer) {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let node = Node::new(&yard, ALPHA).know(&peer).started().await;
    peer.meets(&node);
    (yard, node, peer)
}

async fn arrives(node: &Node, peer: &Peer, id: &str) {
    node.app().submit(&[node.message_to(&peer.name, id)]).await;
    eventually(&format!("{id} arrives"), || async {
        peer.received().iter().any(|received| received == id).then_some(())
    })
    .await;
}

fn page(document: &Value) -> Reply {
    Reply::of(200).body("application/json", &document.to_string())
}

/// A document with this in place of the peer's own paths, and `/v2/..` for the rest.
fn with_paths(peer: &Peer, other: &[(&str, &str)]) -> Value {
    let mut parameters = peer.parameters();
    for (name, path) in other {
        parameters[*name] = json!(path);
    }
    peer.document_with(&[("https-token", "0.0.0", parameters)])
}

/// Why nothing comes of an exchange with this peer, as the operator is told.
async fn reason(node: &Node, host: &str) -> String {
    let got = node.app().verb("POST", &format!("/v1/peers/{host}/connect")).await;
    assert_eq!(got.status, 502, "{}", String::from_utf8_lossy(&got.body));
    let shown = node.app().link(host).await["last-failure"]["reason"].clone();
    shown.as_str().unwrap_or_else(|| panic!("{host} shows no reason")).to_owned()
}

//= YMP-INFO-01
#[tokio::test]
async fn the_four_places_are_tried_in_order_and_the_first_valid_document_wins() {
    for (n, place) in PLACES.iter().enumerate() {
        let (_yard, node, peer) = unpublished().await;
        peer.publishes(&PLACES[n..]);
        arrives(&node, &peer, "x").await;
        assert_eq!(peer.places_read(), PLACES[..=n], "{place}");
    }
}

//= YMP-INFO-07
#[tokio::test]
async fn a_read_is_a_plain_get_that_accepts_everything() {
    let (_yard, node, peer) = unpublished().await;
    peer.publishes(&PLACES[..1]);
    arrives(&node, &peer, "x").await;
    let read = &peer.seen(Kind::Information)[0];
    assert_eq!((read.method.as_str(), read.header("accept")), ("GET", Some("*/*")));
    assert_eq!((read.authority.as_str(), read.sni.as_deref()), (BETA, Some(BETA)));
    assert!(read.bearer.is_none() && read.body.is_empty() && read.header("content-type").is_none());
}

//= YMP-INFO-01
#[tokio::test]
async fn what_is_no_valid_document_is_passed_over() {
    let (yard, _, _) = unpublished().await;
    let bad: [Shows; 7] = [
        |_| Reply::of(200).body("application/json", "{\"ymp-version\":"),
        |_| Reply::of(200).body("text/html", "<!doctype html>"),
        |_| Reply::of(200).body("application/json", "[]"),
        |peer| Reply::of(404).body("application/json", &peer.document().to_string()),
        |peer| Reply::of(500).body("application/json", &peer.document().to_string()),
        |_| page(&json!({"ymp-version": "0.0.0", "connection-protocols": []})),
        |peer| page(&with_paths(peer, &[("packet-path", "")])),
    ];
    for (n, bad) in bad.into_iter().enumerate() {
        let peer = Peer::start(&yard, &format!("p{n}.test")).await;
        peer.publishes(&PLACES[1..2]);
        peer.shows(PLACES[0], bad(&peer));
        let node = Node::new(&yard, &format!("a{n}.test")).know(&peer).started().await;
        peer.meets(&node);
        arrives(&node, &peer, "x").await;
        assert_eq!(peer.places_read(), PLACES[..2], "{n}");
    }
}

//= YMP-INFO-08
#[tokio::test]
async fn redirects_are_not_followed() {
    let (_yard, node, peer) = unpublished().await;
    for status in [301, 302, 307, 308] {
        peer.next(Kind::Information, Does::Answers(Reply::of(status).header("location", "/.ymp?elsewhere")));
    }
    assert!(!reason(&node, BETA).await.is_empty());
    assert_eq!(peer.places_read(), PLACES, "each place once");
    assert!(peer.seen(Kind::Other).is_empty(), "{:?}", peer.seen(Kind::Other));
}

//= YMP-INFO-13
#[tokio::test]
async fn a_document_over_256_kib_is_refused_and_one_of_256_kib_is_taken() {
    let (_yard, node, peer) = unpublished().await;
    let of_size = |bytes: usize| {
        let mut document = peer.document();
        document["more"] = json!("");
        let more = bytes - document.to_string().len();
        document["more"] = json!("x".repeat(more));
        assert_eq!(document.to_string().len(), bytes);
        page(&document)
    };
    peer.shows(PLACES[0], of_size(256 * KIB + 1));
    peer.shows(PLACES[1], of_size(256 * KIB));
    arrives(&node, &peer, "x").await;
    assert_eq!(peer.places_read(), PLACES[..2]);
}

//= YMP-INFO-13
#[tokio::test]
async fn the_reason_of_a_look_up_that_failed_is_named() {
    let yard = Yard::new();
    let cases: [(Shows, &str); 12] = [
        (|_| Reply::of(200).body("application/json", "{"), "JSON"),
        (|_| Reply::of(404), "404"),
        (|_| Reply::of(302).header("location", "/elsewhere"), "302"),
        (|_| Reply::of(200).body("application/json", &format!("\"{}\"", "x".repeat(300 * KIB))), "256 KiB"),
        (|peer| page(&peer.document_with(&[("other", "1.0.0", json!({}))])), "https-token"),
        (|peer| page(&with_paths(peer, &[("packet-path", "//evil.test/x")])), "packet-path"),
        (|peer| page(&with_paths(peer, &[("packet-path", "/a/../b")])), "packet-path"),
        (|peer| page(&with_paths(peer, &[("request-path", "/r?q")])), "request-path"),
        (|peer| page(&with_paths(peer, &[("grant-path", "")])), "grant-path"),
        (|peer| page(&with_paths(peer, &[("refresh-path", "/r#f")])), "refresh-path"),
        (|peer| page(&with_paths(peer, &[("request-path", "https://evil.test/r")])), "request-path"),
        (|peer| page(&with_paths(peer, &[("grant-path", &format!("/{}", "x".repeat(512)))])), "grant-path"),
    ];
    let mut peers = Vec::new();
    for (n, (bad, _)) in cases.iter().enumerate() {
        let peer = Peer::start(&yard, &format!("p{n}.test")).await;
        let reply = bad(&peer);
        // Nowhere else is anything better.
        peer.always(Kind::Information, Does::judges(move |_| Some(reply.clone())));
        peers.push(peer);
    }
    let node = peers.iter().fold(Node::new(&yard, ALPHA), Node::know).started().await;
    for (peer, (_, words)) in peers.iter().zip(cases) {
        let reason = reason(&node, &peer.name).await;
        assert!(reason.contains(words), "{words}: {reason}");
        // Four places in our own words; the 300 KiB that one of them says are not repeated.
        assert!(reason.len() < 1000, "{} bytes", reason.len());
        assert!(peer.seen(Kind::Other).is_empty() && peer.seen(Kind::Request).is_empty());
    }
}

//= YMP-INFO-09
#[tokio::test]
async fn of_several_https_tokens_in_any_case_the_one_with_a_refresh_path_is_taken() {
    let (_yard, node, peer) = unpublished().await;
    let without = json!({"request-path": "/3/request", "grant-path": "/3/grant", "packet-path": "/3/packet"});
    let mut document = peer.document_with(&[
        ("websocket", "1.0.0", json!({"url": ["wss://beta.test/", 7]})),
        ("https-token", "0.0.0", without),
        ("HTTPS-Token", "0.1.0", peer.parameters()),
        ("https-token-2", "0.0.0", json!({"request-path": "//evil.test"})),
    ]);
    // A protocol of which we know nothing, and properties of which we know nothing.
    document["connection-protocols"].as_array_mut().unwrap().insert(0, json!({"name": "quic"}));
    document["unknown"] = json!({"connection-protocols": 7});
    document.as_object_mut().unwrap().remove("message-protocols");
    peer.shows(PLACES[0], page(&document));
    arrives(&node, &peer, "x").await;
    assert_eq!(node.app().link(BETA).await["revision"], "R1");
    assert!(peer.seen(Kind::Other).is_empty(), "{:?}", peer.seen(Kind::Other));
}

//= YMP-INFO-03
#[tokio::test]
async fn a_document_of_amorphos_is_understood_too() {
    let (_yard, node, peer) = unpublished().await;
    peer.speaks(Revision::R3);
    let protocol = json!({"name": "https-token", "version": "0.1.0", "parameters": peer.parameters()});
    let document =
        json!({"amorphos-version": "0.1.0", "connection-protocols": [protocol], "service-protocols": []});
    peer.shows(PLACES[2], page(&document));
    arrives(&node, &peer, "x").await;
    assert_eq!(node.app().link(BETA).await["revision"], "R3");
}

//= NODE-PIN-02
#[tokio::test]
async fn all_four_paths_pinned_win_and_nothing_is_read() {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, Revision::R1).await;
    peer.shows(
        PLACES[0],
        page(&with_paths(&peer, &[("packet-path", "/published"), ("grant-path", "/published")])),
    );
    let node = Node::new(&yard, ALPHA).pin(&peer).started().await;
    peer.meets(&node);
    arrives(&node, &peer, "x").await;
    peer.link(&node).await;
    assert!(peer.places_read().is_empty() && peer.seen(Kind::Other).is_empty());
    assert_eq!(node.app().link(BETA).await["negotiation"]["source"], "pinned");
}

//= NODE-PIN-03
#[tokio::test]
async fn a_pinned_peer_of_r3_is_not_read_either() {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, Revision::R3).await;
    let node = Node::new(&yard, ALPHA).pin_without_refresh(&peer).started().await;
    peer.meets(&node);
    arrives(&node, &peer, "x").await;
    assert!(peer.places_read().is_empty());
    let link = node.app().link(BETA).await;
    assert_eq!((&link["revision"], &link["negotiation"]["source"]), (&json!("R3"), &json!("pinned")));
}

//= YMP-INFO-16, NODE-PIN-04
#[tokio::test]
async fn what_is_pinned_wins_and_the_rest_is_looked_up() {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, Revision::R1).await;
    peer.moves(Kind::Packet, "/pinned/packet");
    peer.moves(Kind::Request, "/published/request");
    peer.shows(PLACES[0], page(&with_paths(&peer, &[("packet-path", "/published/packet")])));
    let node = Node::new(&yard, ALPHA).pin_some(&peer, &[("packet-path", "/pinned/packet")]).started().await;
    peer.meets(&node);
    arrives(&node, &peer, "x").await;
    assert_eq!(peer.seen(Kind::Request)[0].path, "/published/request");
    assert!(peer.seen(Kind::Other).is_empty());
    assert_eq!(node.app().link(BETA).await["negotiation"]["source"], "pinned and published");
}

//= YMP-INFO-14
#[tokio::test]
async fn a_document_is_kept_for_an_hour_or_as_its_max_age_says_and_at_least_5_minutes() {
    for cache in
        [None, Some("max-age=600"), Some("max-age=0"), Some("no-store"), Some("public, MAX-AGE=\"900\"")]
    {
        let (_yard, node, peer) = unpublished().await;
        peer.publishes(&PLACES[..1]);
        cache.iter().for_each(|cache| peer.caches(cache));
        for n in 1..=3 {
            node.app().connect(BETA).await;
            assert_eq!((peer.seen(Kind::Request).len(), peer.reads(PLACES[0])), (n, 1), "{cache:?}");
        }
        peer.link(&node).await;
        assert_eq!(peer.places_read().len(), 1, "for a grant neither");
    }
}

//= YMP-INFO-15
#[tokio::test]
async fn a_look_up_that_failed_is_remembered_for_a_minute_and_mail_waits() {
    let (_yard, node, peer) = unpublished().await;
    node.app().submit(&[node.message_to(BETA, "waits")]).await;
    peer.is_read(PLACES[3], 1).await;
    // Retries come every second at most here.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(peer.places_read(), PLACES, "each place once");
    let status = node.app().status("waits").await;
    assert_eq!(status["state"], "queued");
    assert!(status["last-error"].as_str().unwrap().contains("404"), "{status}");
    let link = node.app().link(BETA).await;
    assert!(link["failures"].as_u64().unwrap() >= 1 && link["revision"].is_null(), "{link}");
    assert_eq!((&link["negotiation"]["source"], &link["queue"]["messages"]), (&json!(null), &json!(1)));
}

#[tokio::test]
async fn one_look_up_at_a_time_however_much_there_is_to_do() {
    let (_yard, node, peer) = unpublished().await;
    peer.publishes(&PLACES[..1]);
    peer.always(Kind::Information, Does::Waits(Duration::from_secs(2)));
    let app = node.app();
    app.submit(&(0..20).map(|n| numbered(ALPHA, BETA, n)).collect::<Vec<_>>()).await;
    let connecting = tokio::spawn(async move { app.connect(BETA).await });
    assert_eq!(peer.ask(&node).await.status, 204);
    peer.receives(20).await;
    connecting.await.unwrap();
    eventually("it is granted", || async { (peer.pairs_held() > 0).then_some(()) }).await;
    assert_eq!(peer.places_read(), PLACES[..1]);
}

#[tokio::test]
async fn a_peer_that_answers_no_read_at_all_is_transient_trouble() {
    let (_yard, node, peer) = unpublished().await;
    peer.down().await;
    let why = reason(&node, BETA).await;
    assert!(why.contains("no connection"), "{why}");
}

//= HT-ASK-21
#[tokio::test]
async fn a_name_that_leads_to_a_private_address_is_not_read_unless_that_is_allowed() {
    let yard = Yard::new();
    let peer = Peer::publishing_on_loopback(&yard, Revision::R3).await;
    let mut node = Node::new(&yard, ALPHA).started().await;
    peer.meets(&node);
    let why = reason(&node, &peer.name).await;
    assert!(why.contains("loopback") && why.contains("private-addresses"), "{why}");
    let strange = json!({"host": peer.name, "state": "open-a-connection-for-me"});
    assert_eq!(node.post("/request").json(&strange).send().await.status, 204);
    node.app().submit(&[node.message_to(&peer.name, "waits")]).await;
    node.logs_nothing_for(Duration::from_millis(1500)).await;
    assert_eq!(peer.reached_times(), 0, "no connection was opened");
    node.stop().await;
    node = node.among_private_addresses().started().await;
    assert_eq!(peer.receives(1).await, ["waits"]);
    peer.link(&node).await;
}

/// The last document was fetched so many minutes earlier than it was.
async fn age(node: &Node, minutes: u64) {
    let now = Now { mono: Mono(0), wall: Wall(unix_seconds() * 1000) };
    let store = Embedded::open(&node.data_dir(), Settings::default(), Arc::new(move || now)).unwrap();
    let [mut link] = <[LinkRecord; 1]>::try_from(store.read().unwrap().links).unwrap();
    link.published.as_mut().unwrap().fetched.0 -= minutes * 60_000;
    store.commit(vec![VaultWrite::PutLink(Box::new(link))]).unwrap().await.unwrap();
    store.close();
}

/// A host that changes its form answers every request with 204, as any host, and never grants what it does not know.
#[tokio::test]
async fn a_peer_that_never_grants_is_looked_up_anew_before_its_document_is_over() {
    let yard = Yard::new();
    let peer = Peer::publishing(&yard, BETA, Revision::R3).await;
    let mut node =
        Node::new(&yard, ALPHA).know(&peer).with("tokens", "grant-wait = \"500ms\"").started().await;
    peer.meets(&node);
    arrives(&node, &peer, "first").await;
    for (minutes, looks) in [(2, 0), (10, 1)] {
        node.stop().await;
        age(&node, minutes).await;
        peer.forget_seen();
        peer.speaks(Revision::R1);
        node.start().await;
        node.app().submit(&[node.message_to(&peer.name, &format!("after {minutes}"))]).await;
        let arrived = || async { peer.received().iter().any(|id| id == "after 10").then_some(()) };
        let failed = || async { (node.app().metric("ymp_exchanges_failed_total").await >= 2).then_some(()) };
        if looks > 0 {
            eventually("what waited arrives", arrived).await;
        } else {
            eventually("exchanges fail", failed).await;
        }
        assert_eq!(peer.seen(Kind::Information).len(), looks, "after {minutes} minutes");
    }
}
