//! `https-token`, "Checks, in this order", and "Being asked": 204, always.

use serde_json::json;

use super::{harness::*, pair};

const PATHS: [&str; 4] = ["/request", "/grant", "/refresh", "/packet"];

//= HT-CHK-01
#[tokio::test]
async fn a_path_that_is_not_ours_is_404_before_anything_else() {
    let (_yard, node, _peer) = pair().await;
    for http in [Http::One, Http::Two] {
        for path in ["/", "/packet/", "/Packet", "/packe", "/v1/peers", "/healthz", "/metrics"] {
            let got = node.post(path).over(http).authority("other.test").method("GET").send().await;
            assert_eq!(got.status, 404, "{path}");
            got.problem();
        }
    }
}

//= HT-CHK-02
#[tokio::test]
async fn another_host_is_421_before_the_method_is_looked_at() {
    let yard = Yard::new();
    let node = Node::new(&yard, ALPHA).with("peer", "aliases = [\"alias.test\"]").started().await;
    for http in [Http::One, Http::Two] {
        for path in PATHS {
            for authority in ["other.test", "alpha.test:8443", "sub.alpha.test", "127.0.0.1"] {
                let got = node.post(path).over(http).authority(authority).method("GET").send().await;
                assert_eq!(got.status, 421, "{authority}{path}");
                got.problem();
            }
        }
        for authority in ["alpha.test", "ALPHA.test", "alpha.test:443", "alias.test"] {
            let got = node.post("/packet").over(http).authority(authority).send().await;
            assert_eq!(got.status, 401, "{authority}");
        }
    }
}

//= HT-CHK-03, HT-ASK-01
#[tokio::test]
async fn another_method_is_405_with_allow_before_the_bearer_is_looked_at() {
    let (_yard, node, _peer) = pair().await;
    for http in [Http::One, Http::Two] {
        for path in PATHS {
            for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"] {
                let got = node.post(path).over(http).method(method).bearer("unknown").send().await;
                assert_eq!((got.status, got.header("allow")), (405, Some("POST")), "{method} {path}");
            }
        }
    }
}

//= HT-CHK-06, HT-CHK-12
#[tokio::test]
async fn the_bearer_comes_before_the_type_the_type_before_the_size_the_size_before_the_shape() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let node = Node::new(&yard, ALPHA).pin(&peer).with("limits", "packet-bytes = \"1KiB\"").started().await;
    let token = peer.link(&node).await;
    let large = "x".repeat(20_000);
    let call = |token: &str, kind: &str, body: &str| {
        node.post("/packet").bearer(token).header("content-type", kind).bytes(body.to_owned())
    };
    assert_eq!(call("unknown", "text/plain", &large).send().await.status, 401);
    assert_eq!(call(&token, "text/plain", &large).send().await.status, 415);
    assert_eq!(call(&token, "application/json", &large).send().await.status, 413);
    assert_eq!(call(&token, "application/json", "x").send().await.status, 400);
    let good = r#"{"packet":{"messages":[]}}"#;
    for kind in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"] {
        assert_eq!(call(&token, kind, good).send().await.status, 204, "{kind}");
    }
    for kind in ["application/problem+json", "text/json", "application/jsonx", ""] {
        let got = call(&token, kind, good).send().await;
        assert_eq!(got.status, 415, "{kind}");
        got.problem();
    }
    assert_eq!(node.post("/packet").bearer(&token).bytes(good).send().await.status, 415);
    let packed = call(&token, "application/json", good).header("content-encoding", "gzip");
    assert_eq!(packed.send().await.status, 415);
}

//= HT-CHK-11
#[tokio::test]
async fn a_grant_has_at_most_16_kib() {
    let (_yard, node, peer) = pair().await;
    peer.always(Kind::Request, Does::status(204));
    node.app().submit(&[node.message_to(BETA, "x")]).await;
    let request = peer.sees(Kind::Request, 1).await[0].json();
    let mut offer = peer.offer();
    offer["more"] = json!("x".repeat(16 * 1024));
    assert_eq!(peer.grants_with(&request, &offer).await.unwrap().status, 413);
    offer["more"] = json!("x".repeat(15 * 1024));
    assert_eq!(peer.grants_with(&request, &offer).await.unwrap().status, 204);
}

//= SEED-REQ-1, HT-CHK-11, HT-ASK-01, HT-ASK-02, HT-ASK-19, HT-ASK-20
#[tokio::test]
async fn the_request_path_is_204_whatever_is_wrong() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let denied = Peer::start(&yard, "denied.test").await;
    let node = Node::new(&yard, ALPHA).pin(&peer).pin(&denied);
    let node = node.with("federation", "deny = [\"denied.test\"]").started().await;
    let mut own = peer.offer();
    own["host"] = json!(ALPHA);
    let mut stale = peer.offer();
    stale["expires-in"] = json!(0);
    let bodies = [
        String::new(),
        "{".to_owned(),
        "no json at all".to_owned(),
        "{}".to_owned(),
        own.to_string(),
        stale.to_string(),
        denied.offer().to_string(),
        json!({"host": "stranger.test:22", "token": "t", "expires-in": 60, "refresh-token": "r"}).to_string(),
        json!({"host": "[::1]", "token": "t", "expires-in": 60, "refresh-token": "r"}).to_string(),
        json!({"host": BETA, "state": "with space"}).to_string(),
        "x".repeat(17 * 1024),
        "x".repeat(3_000_000),
    ];
    for http in [Http::One, Http::Two] {
        for body in &bodies {
            let got = node.post("/request").over(http).text(body).send().await;
            let start = &body[..body.len().min(80)];
            assert_eq!((got.status, got.body.len()), (204, 0), "{start}");
            assert!(got.header("content-type").is_none() && got.header("retry-after").is_none());
        }
        let good = peer.offer().to_string();
        for kind in ["text/plain", "application/x-www-form-urlencoded"] {
            let call = node.post("/request").over(http).header("content-type", kind).bytes(good.clone());
            assert_eq!(call.send().await.status, 204);
        }
        assert_eq!(node.post("/request").over(http).bytes(good).send().await.status, 204, "no type");
        let with_bearer = node.post("/request").over(http).bearer("unknown").text("{}");
        assert_eq!(with_bearer.send().await.status, 204);
    }
    let dropped = 2 * (u64::try_from(bodies.len()).unwrap() + 4);
    node.app().counts("ymp_token_requests_dropped_total", dropped).await;
    assert!(peer.seen(Kind::Grant).is_empty() && denied.seen(Kind::Grant).is_empty());
}

//= SEED-REQ-3, HT-PIC-03, HT-REV-03, HT-CHK-13, HT-ASK-02
#[tokio::test]
async fn a_valid_request_is_answered_like_any_other_and_then_granted() {
    let (_yard, node, peer) = pair().await;
    let got = peer.ask(&node).await;
    let refused = node.post("/request").text("{").send().await;
    let names = |got: &Got| {
        let mut names: Vec<_> = got.headers.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!((got.status, names(&got)), (refused.status, names(&refused)), "nothing tells them apart");
    let grant = peer.sees(Kind::Grant, 1).await[0].clone();
    let body = grant.json();
    assert_eq!(grant.headers["content-type"], "application/json");
    assert_eq!(
        (&grant.authority[..], grant.sni.as_deref()),
        (BETA, Some(BETA)),
        "as pinned by address, by name"
    );
    assert_eq!((&body["host"], &body["expires-in"]), (&json!(ALPHA), &json!(3600)));
    assert!(body["expires"].as_u64().unwrap().abs_diff(unix_seconds() + 3600) <= 3);
    for name in ["token", "refresh-token"] {
        assert_eq!(body[name].as_str().unwrap().len(), 43);
    }
}

#[tokio::test]
async fn refused_requests_leave_no_link_behind() {
    let (_yard, node, _peer) = pair().await;
    for n in 0..20 {
        let body = json!({"host": format!("stranger{n}.test"), "token": "t", "expires-in": 60, "refresh-token": "r"});
        assert_eq!(node.post("/request").json(&body).send().await.status, 204);
    }
    let peers = node.app().get("/v1/peers").await.json();
    let hosts: Vec<_> = peers["peers"].as_array().unwrap().iter().map(|peer| &peer["host"]).collect();
    assert_eq!(hosts, [BETA]);
}

//= HT-CHK-05
#[tokio::test]
async fn the_rate_comes_before_the_type() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let node = Node::new(&yard, ALPHA).pin(&peer).with("limits", "packets-per-second = 1").started().await;
    let token = peer.link(&node).await;
    let call =
        |token: &str| node.post("/packet").bearer(token).header("content-type", "text/plain").bytes("x");
    let mut seen = Vec::new();
    while !seen.contains(&429) {
        seen.push(call(&token).send().await.status);
        assert!(seen.len() < 100, "{seen:?}");
    }
    assert!(seen.len() > 1 && seen[..seen.len() - 1].iter().all(|status| *status == 415), "{seen:?}");
    assert_eq!(call("unknown").send().await.status, 401, "and the bearer before the rate");
}
