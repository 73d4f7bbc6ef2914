//! `ymp`, "Host information", as its host: one document at four places, with TLS and, where it is switched on, without.

use serde_json::json;

use super::harness::*;

async fn plain_node() -> (Yard, Node) {
    let yard = Yard::new();
    let node = Node::new(&yard, ALPHA).plainly().started().await;
    (yard, node)
}

//= YMP-INFO-02
#[tokio::test]
async fn the_same_document_stands_at_four_places_of_both_listeners() {
    let (_yard, node) = plain_node().await;
    let first = node.get(PLACES[0]).send().await;
    assert_eq!((first.status, first.header("content-type")), (200, Some("application/json")));
    for place in PLACES {
        for call in [
            node.get(place).over(Http::One),
            node.get(place).over(Http::Two),
            node.get(place).header("accept", "text/html"),
            node.get_plainly(place),
        ] {
            let got = call.send().await;
            assert_eq!((got.status, &got.body), (200, &first.body), "{place}");
            for name in ["etag", "cache-control", "content-type"] {
                assert_eq!(got.header(name), first.header(name), "{place}: {name}");
            }
        }
    }
}

//= YMP-INFO-03, YMP-INFO-05, YMP-INFO-06
#[tokio::test]
async fn it_says_how_to_connect_and_what_runs_here() {
    let (_yard, node) = plain_node().await;
    let document = node.get(PLACES[0]).send().await.json();
    let parameters = json!({"request-path": "/request", "grant-path": "/grant", "refresh-path": "/refresh",
        "packet-path": "/packet", "packet-bytes": 1024 * 1024, "packet-messages": 1000});
    let protocols = &document["connection-protocols"];
    assert_eq!(*protocols, json!([{"name": "https-token", "version": "0.0.0", "parameters": parameters}]));
    let services =
        json!([{"name": "example", "version": "1.0.0", "services": ["form", "other"], "parameters": {}}]);
    assert_eq!((&document["message-protocols"], &document["service-protocols"]), (&services, &services));
    for name in ["ymp-version", "amorphos-version"] {
        assert_eq!(document[name].as_str().unwrap().split('.').count(), 3, "{name}");
    }
}

#[tokio::test]
async fn its_etag_is_strong_and_saves_the_body() {
    let (_yard, node) = plain_node().await;
    let etag = node.get(PLACES[0]).send().await.header("etag").unwrap().to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 10, "{etag}");
    for known in [etag.clone(), format!("\"other\", {etag}"), format!("W/{etag}"), "*".to_owned()] {
        for call in [node.get(PLACES[2]), node.get(PLACES[2]).over(Http::One), node.get_plainly(PLACES[0])] {
            let got = call.header("if-none-match", &known).send().await;
            assert_eq!((got.status, got.body.len()), (304, 0), "{known}");
            assert_eq!(got.header("etag"), Some(etag.as_str()));
            assert!(got.header("cache-control").is_some());
        }
    }
    let got = node.get(PLACES[0]).header("if-none-match", "\"other\"").send().await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn its_etag_stays_over_a_restart_and_changes_with_the_document() {
    let (_yard, mut node) = plain_node().await;
    let etag = node.get(PLACES[0]).send().await.header("etag").unwrap().to_owned();
    node.restart().await;
    assert_eq!(node.get(PLACES[0]).send().await.header("etag"), Some(etag.as_str()));
    node.set("peer", "packet-path = \"/other/packet\"");
    node.restart().await;
    let got = node.get(PLACES[0]).header("if-none-match", &etag).send().await;
    assert_eq!(got.status, 200);
    assert_ne!(got.header("etag"), Some(etag.as_str()));
}

#[tokio::test]
async fn it_says_for_how_long_it_may_be_kept() {
    let (_yard, node) = plain_node().await;
    for call in [node.get(PLACES[0]), node.get_plainly(PLACES[0])] {
        let got = call.send().await;
        assert_eq!(got.header("cache-control"), Some("max-age=3600"));
    }
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let (_yard, node) = plain_node().await;
    let get = node.get(PLACES[0]).send().await;
    for call in [node.get(PLACES[0]), node.get(PLACES[1]).over(Http::One), node.get_plainly(PLACES[3])] {
        let got = call.method("HEAD").send().await;
        assert_eq!((got.status, got.body.len()), (200, 0));
        assert_eq!(got.header("content-length"), Some(get.body.len().to_string().as_str()));
        assert_eq!(got.header("etag"), get.header("etag"));
    }
}

#[tokio::test]
async fn it_is_read_only() {
    let (_yard, node) = plain_node().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        for place in PLACES {
            for call in [node.get(place), node.get_plainly(place)] {
                let got = call.method(method).send().await;
                assert_eq!((got.status, got.header("allow")), (405, Some("GET, HEAD")), "{method} {place}");
            }
        }
    }
}

//= YMP-INFO-17
#[tokio::test]
async fn nothing_else_stands_on_the_plain_listener() {
    let (_yard, node) = plain_node().await;
    let paths = [
        "/",
        "/request",
        "/grant",
        "/refresh",
        "/packet",
        "/healthz",
        "/metrics",
        "/v1/peers",
        "/.ymp/",
        "/.YMP",
    ];
    for path in paths {
        for method in ["GET", "POST"] {
            let got = node.get_plainly(path).method(method).send().await;
            assert_eq!(got.status, 404, "{method} {path}");
        }
    }
}

//= HT-CHK-02
#[tokio::test]
async fn over_tls_the_name_must_be_ours() {
    let (_yard, node) = plain_node().await;
    assert_eq!(node.get(PLACES[0]).authority("other.test").send().await.status, 421);
}
