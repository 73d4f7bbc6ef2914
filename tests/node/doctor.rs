//! `ymp doctor` (`node`, "Command line"): each peer is really broken, and the doctor says where and how to mend it.

use std::{net::TcpListener, sync::Arc};

use serde_json::json;

use super::harness::{broken::*, yard::free_port, *};

/// A ServerHello of TLS 1.1 (0x0302) with an old suite, as from a host that speaks nothing newer.
const TLS_1_1: &[u8] = &[
    22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 47, 0,
];
/// An alert: protocol_version.
const TOO_NEW: &[u8] = &[21, 3, 1, 0, 2, 2, 70];

async fn looks_at(yard: &Yard, beta: &Broken) -> Findings {
    Doctor::of(yard).knows(BETA, beta.address).looks_at(BETA).await
}

/// What a host says that is usual but for some paths.
fn but(document: serde_json::Value, odd: impl Fn(&str) -> Option<Said> + Send + Sync + 'static) -> Says {
    Arc::new(move |path| odd(path).unwrap_or_else(|| usual(document.clone(), path)))
}

#[tokio::test]
async fn a_name_that_leads_nowhere() {
    let found = Doctor::of(&Yard::new()).looks_at("beta.invalid").await;
    found.is_wrong_at("address", &["beta.invalid does not resolve", "getent hosts beta.invalid"]);
    found.shows("tcp", "skipped", &["the way ends before it"]).shows("clock", "skipped", &[]);
    found.shows("certificate", "ok", &["alpha.test"]);
    assert!(found.text.contains("tcp, tls, alpn, information, sending"), "{}", found.text);
}

#[tokio::test]
async fn a_name_that_is_none_or_ours_or_not_welcome() {
    let yard = Yard::new();
    let strict = "[federation]\ndeny = [\"evil.test\"]\n";
    for (host, words) in [
        ("https://beta.test", "is no host name"),
        (ALPHA, "is this host itself"),
        ("evil.test:8443", "federation.deny refuses"),
    ] {
        let found = Doctor::of(&yard).with(strict).looks_at(host).await;
        found.is_wrong_at("name", &[words]).shows("address", "skipped", &[]);
    }
}

#[tokio::test]
async fn an_address_that_is_private_and_a_port_that_is_closed_name_the_setting() {
    let yard = Yard::new();
    let port = free_port().port();
    let found = Doctor::of(&yard).looks_at(&format!("127.0.0.1:{port}")).await;
    found.is_wrong_at("address", &["loopback", "federation.private-addresses = true"]);
    let found = Doctor::of(&yard).looks_at("beta.test:25").await;
    found.is_wrong_at("address", &["port 25 is not among federation.ports", "add 25 to federation.ports"]);
}

#[tokio::test]
async fn a_port_at_which_nobody_listens() {
    let address = free_port();
    let found = Doctor::of(&Yard::new()).knows(BETA, address).looks_at(BETA).await;
    found.shows("address", "ok", &["pinned under [[peers]]"]);
    found.is_wrong_at("tcp", &["Connection refused", "nothing listens there"]);
}

#[tokio::test]
async fn a_port_that_takes_calls_and_closes_them() {
    let listener = TcpListener::bind(free_port()).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || while listener.accept().is_ok() {});
    let found = Doctor::of(&Yard::new()).knows(BETA, address).looks_at(BETA).await;
    found.is_wrong_at("tls", &["the TLS handshake with beta.test broke", "a wrong forwarding"]);
}

#[tokio::test]
async fn a_certificate_of_another_name() {
    let yard = Yard::new();
    let beta = Broken::named(&yard, "gamma.test").await;
    let found = looks_at(&yard, &beta).await;
    found.is_wrong_at("tls", &["is for gamma.test, not for beta.test", "needs a certificate for the name"]);
}

#[tokio::test]
async fn a_certificate_that_has_expired_or_is_not_valid_yet() {
    let yard = Yard::new();
    let beta = Broken::dated(&yard, BETA, -500).await;
    looks_at(&yard, &beta).await.is_wrong_at("tls", &["has expired", "must renew it"]);
    let beta = Broken::dated(&yard, BETA, 3).await;
    looks_at(&yard, &beta).await.is_wrong_at("tls", &["is not valid yet", "this machine's clock"]);
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_note() {
    let yard = Yard::new();
    let beta = Broken::dated(&yard, BETA, -390).await;
    let found = looks_at(&yard, &beta).await;
    found.shows("tls", "note", &["ends in 6 days", "must renew it"]);
    assert_eq!(found.code, 0);
}

#[tokio::test]
async fn an_authority_that_is_not_trusted() {
    let yard = Yard::new();
    let beta = Broken::strange(&yard, BETA).await;
    looks_at(&yard, &beta).await.is_wrong_at("tls", &["not trusted here", "under trust.roots"]);
}

#[tokio::test]
async fn no_tls_at_all_and_one_that_is_too_old() {
    let yard = Yard::new();
    let plain = Broken::raw(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
    looks_at(&yard, &plain)
        .await
        .is_wrong_at("tls", &["speaks no TLS on this port", "is it the right port?"]);
    for bytes in [TLS_1_1, TOO_NEW] {
        let old = Broken::raw(bytes).await;
        let found = looks_at(&yard, &old).await;
        found.is_wrong_at("tls", &["neither TLS 1.2 nor TLS 1.3", "must offer TLS 1.2 or 1.3"]);
    }
}

#[tokio::test]
async fn no_http_2_is_a_note() {
    let yard = Yard::new();
    let beta = Broken::old_http(&yard, BETA, says(document(true))).await;
    let found = looks_at(&yard, &beta).await;
    found.shows("alpn", "note", &["http/1.1", "which works"]);
    assert_eq!(found.code, 0, "{found:#?}");
}

#[tokio::test]
async fn a_host_without_its_information() {
    let yard = Yard::new();
    let beta = Broken::host(&yard, BETA, Arc::new(|_| Said::status(404))).await;
    let found = looks_at(&yard, &beta).await;
    found.is_wrong_at("information", &["/.ymp, ", "each answered 404", "is it a YMP host?"]);
    found.shows("paths", "skipped", &[]).shows("clock", "ok", &["agree"]);
}

#[tokio::test]
async fn a_host_information_that_says_nothing_useful() {
    let yard = Yard::new();
    let empty = json!({"ymp-version": "0.0.0", "connection-protocols": []});
    let mut bad = document(true);
    bad["connection-protocols"][0]["parameters"]["grant-path"] = json!("//evil.test/g");
    for (said, words) in [
        (Said::status(200).body("<html>hello"), "is not JSON"),
        (Said::json(&empty), "has no https-token"),
        (Said::json(&bad), "`grant-path` is no path"),
    ] {
        let odd = move |path: &str| (path == "/.well-known/ymp").then(|| said.clone());
        let beta = Broken::host(&yard, BETA, but(document(true), odd)).await;
        let found = looks_at(&yard, &beta).await;
        found.is_wrong_at(
            "information",
            &["/.well-known/ymp", words, "/.ymp answered 404", "must mend the document"],
        );
    }
}

#[tokio::test]
async fn an_information_at_an_old_path_is_found_there() {
    let yard = Yard::new();
    let odd = |path: &str| match path {
        "/.well-known/ymp" => Some(Said::status(404)),
        "/.ymp" => Some(Said::json(&document(true))),
        _ => None,
    };
    let beta = Broken::host(&yard, BETA, but(document(true), odd)).await;
    let found = looks_at(&yard, &beta).await;
    found.shows("information", "ok", &["found at /.ymp", "/.well-known/ymp answered 404"]);
    assert_eq!(found.code, 0);
}

#[tokio::test]
async fn a_path_that_is_published_and_not_there() {
    let yard = Yard::new();
    let odd = |path: &str| (path == "/p").then(|| Said::status(404));
    let beta = Broken::host(&yard, BETA, but(document(true), odd)).await;
    let found = looks_at(&yard, &beta).await;
    found.is_wrong_at("packet-path", &["/p answered 404", "the peer publishes a path that it"]);
    found.shows("grant-path", "ok", &["answered 401 to an empty call"]);
}

#[tokio::test]
async fn a_path_that_is_pinned_and_not_there() {
    let yard = Yard::new();
    let beta = Broken::host(&yard, BETA, says(document(true))).await;
    let pins = "request-path = \"/q\"\ngrant-path = \"/grant\"\nrefresh-path = \"/f\"\npacket-path = \"/p\"";
    let found = Doctor::of(&yard).knows(BETA, beta.address).pinned(pins).looks_at(BETA).await;
    found.shows("information", "note", &["not looked up"]);
    found.is_wrong_at("grant-path", &["/grant answered 404", "strike its four paths from [[peers]]"]);
    found.shows("sending", "ok", &["R1", "pinned under [[peers]] has a refresh-path"]);
    assert!(beta.seen("/.well-known/ymp").is_empty());
}

#[tokio::test]
async fn a_host_that_does_not_know_its_name() {
    let yard = Yard::new();
    let odd = |path: &str| (path.len() == 2).then(|| Said::status(421));
    let beta = Broken::host(&yard, BETA, but(document(true), odd)).await;
    let found = looks_at(&yard, &beta).await;
    found.shows("packet-path", "wrong", &["does not know itself by this name", "peer.aliases"]);
    assert_eq!(found.code, 1);
}

#[tokio::test]
async fn a_clock_that_is_off() {
    let yard = Yard::new();
    for (seconds, state, words) in [
        (120, "note", "ahead of ours: it shows 2"),
        (-120, "note", "behind ours"),
        (-7200, "wrong", "behind ours"),
    ] {
        let then = i64::try_from(unix_seconds()).unwrap() + seconds;
        let date =
            jiff::Timestamp::from_second(then).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let says: Says = Arc::new(move |path| usual(document(true), path).header("date", &date));
        let beta = Broken::host(&yard, BETA, says).await;
        let found = looks_at(&yard, &beta).await;
        found.shows("clock", state, &[words, "set the one that is wrong"]);
        assert_eq!(found.code, i32::from(state == "wrong"));
    }
}

//= HT-REV-02
#[tokio::test]
async fn an_r1_and_an_r3_peer_are_told_apart_and_nothing_is_asked_of_either() {
    let yard = Yard::new();
    for (refresh, to, from) in [
        (true, "we speak R1 to it, in a form that R2 reads too", "it speaks R1 or R2 to us"),
        (false, "we speak R3 to it, because its host information has no refresh-path", "it speaks R3 to us"),
    ] {
        let beta = Broken::host(&yard, BETA, says(document(refresh))).await;
        let found = looks_at(&yard, &beta).await;
        found.shows("sending", "ok", &[to]).shows("receiving", "ok", &[from]);
        assert_eq!((found.code, found.steps("refresh-path").len()), (0, usize::from(refresh)));
        // Twice: for people and as JSON.
        for path in ["/q", "/g", "/p"] {
            assert_eq!(beta.seen(path), ["", ""], "{path}");
        }
        assert_eq!(beta.seen("/f").len(), if refresh { 2 } else { 0 });
        found.shows("link", "skipped", &["set YMP_TOKEN"]);
    }
}

#[tokio::test]
async fn a_host_of_2017_is_there_although_it_fails_on_calls_that_say_nothing() {
    let yard = Yard::new();
    let odd = |path: &str| match path {
        "/p" => Some(Said::status(401)),
        "/q" | "/g" => Some(Said::status(500)),
        _ => None,
    };
    let beta = Broken::host(&yard, BETA, but(document(false), odd)).await;
    let found = looks_at(&yard, &beta).await;
    found.shows("grant-path", "note", &["is there: answered 500, as old hosts do"]);
    assert_eq!(found.code, 0);
}

/// A node that finds beta at an address, and looks up how it is spoken to.
fn node(yard: &Yard, host: &str, other: &str, address: std::net::SocketAddr) -> Node {
    Node::new(yard, host).with("[peers]", &format!("host = \"{other}\"\naddress = \"{address}\""))
}

#[tokio::test]
async fn a_healthy_pair_exchanges_tokens() {
    let yard = Yard::new();
    let mut alpha = Node::new(&yard, ALPHA);
    let beta = node(&yard, BETA, ALPHA, alpha.peer).started().await;
    alpha = alpha.with("[peers]", &format!("host = \"{BETA}\"\naddress = \"{}\"", beta.peer)).started().await;
    let found = alpha.doctor(BETA, &[]).await;
    found.shows("link", "note", &["it to us: nothing yet"]);
    assert_eq!(found.code, 0, "{found:#?}");
    let found = alpha.doctor(BETA, &["--exchange"]).await;
    for step in ["name", "tls", "alpn", "packet-path", "clock", "look-up", "request", "grant"] {
        found.shows(step, "ok", &[]);
    }
    assert_eq!(found.steps("link").len(), 2);
    found.shows("link", "ok", &["it to us: linked", "R1: tokens for both directions"]);
    assert_eq!(found.code, 0, "{found:#?}");
}

#[tokio::test]
async fn a_link_that_is_paused_or_refused_is_not_good_though_the_way_is() {
    let yard = Yard::new();
    let mut alpha = Node::new(&yard, ALPHA);
    let mut beta = node(&yard, BETA, ALPHA, alpha.peer).started().await;
    alpha = alpha.with("[peers]", &format!("host = \"{BETA}\"\naddress = \"{}\"", beta.peer)).started().await;
    let app = alpha.app();
    let verb = async |verb: &str| app.verb("POST", &format!("/v1/peers/{BETA}/{verb}")).await;
    assert_eq!(verb("connect").await.status, 200);
    assert_eq!(verb("pause").await.status, 200);
    alpha.doctor(BETA, &[]).await.is_wrong_at("link", &["paused", "`ymp peer resume"]);
    assert_eq!(verb("resume").await.status, 200);
    beta.set("federation", &format!("deny = [\"{ALPHA}\"]"));
    beta.reload().await;
    app.submit(&[alpha.message_to(BETA, "refused")]).await;
    eventually("a packet is refused", || async {
        app.link(BETA).await["failures"].as_u64().filter(|failures| *failures > 0)
    })
    .await;
    alpha.doctor(BETA, &[]).await.is_wrong_at("link", &["answered 403", "`ymp peer retry"]);
    beta.set("federation", "deny = []");
    beta.reload().await;
    assert_eq!(verb("retry").await.status, 200);
    app.becomes("refused", "delivered").await;
    let found = alpha.doctor(BETA, &[]).await;
    assert_eq!(found.code, 0, "{found:#?}");
}

#[tokio::test]
async fn a_peer_that_takes_the_request_and_never_grants() {
    let yard = Yard::new();
    let beta = Broken::host(&yard, BETA, says(document(true))).await;
    let alpha = node(&yard, ALPHA, BETA, beta.address).with("tokens", "grant-wait = \"1s\"").started().await;
    let found = alpha.doctor(BETA, &["--exchange"]).await;
    found.is_wrong_at("grant", &["did not call back within 1 s", "`ymp doctor` with our name"]);
    found.shows("request", "ok", &[]).shows("link", "note", &["1 failure since the last success"]);
}

#[tokio::test]
async fn a_request_that_is_not_taken_and_a_way_that_is_not_open() {
    let yard = Yard::new();
    let beta = Broken::host(&yard, BETA, Arc::new(|_| Said::status(404))).await;
    let alpha = node(&yard, ALPHA, BETA, beta.address).started().await;
    let found = alpha.doctor(BETA, &["--exchange"]).await;
    found.is_wrong_at("information", &[]).shows("exchange", "skipped", &["the way is not open"]);
}

#[tokio::test]
async fn a_peer_that_refuses_our_grant_can_be_sent_to_and_cannot_send() {
    let yard = Yard::new();
    let beta = Broken::host(&yard, BETA, says(document(false))).await;
    let alpha = node(&yard, ALPHA, BETA, beta.address).started().await;
    let asked = json!({"host": BETA, "state": "the-state-of-beta"});
    assert_eq!(alpha.post("/request").json(&asked).send().await.status, 204);
    eventually("alpha grants, in vain", || async { beta.seen("/g").first().map(drop) }).await;
    let grants = async {
        let request = eventually("alpha asks with a state", || async {
            let calls = beta.seen("/q");
            calls.iter().find(|body| !body.is_empty()).cloned()
        });
        let request: serde_json::Value = serde_json::from_slice(&request.await).unwrap();
        let grant = json!({"host": BETA, "token": "a-token-that-beta-gives", "state": request["state"],
                           "expires": unix_seconds() + 3600});
        assert_eq!(alpha.post("/grant").json(&grant).send().await.status, 204);
    };
    let (found, ()) = tokio::join!(alpha.doctor(BETA, &["--exchange"]), grants);
    assert_eq!(found.code, 0, "{found:#?}");
    found.shows("grant", "ok", &[]).shows("receiving", "ok", &["R3", "must ask us itself"]);
    found.shows(
        "link",
        "note",
        &["it to us: nothing yet", "a request in its name came to nothing", "answered 401"],
    );
}

#[tokio::test]
async fn a_node_that_does_not_run_is_no_reason_to_stop() {
    let yard = Yard::new();
    let beta = Broken::host(&yard, BETA, says(document(true))).await;
    let mut alpha = node(&yard, ALPHA, BETA, beta.address).started().await;
    alpha.stop().await;
    let found = alpha.doctor(BETA, &[]).await;
    found.shows("link", "skipped", &["is `ymp serve` running?"]).shows("packet-path", "ok", &[]);
    assert_eq!(found.code, 0);
    assert_eq!(alpha.ymp(&["doctor"]).await.0, 2);
    let (code, out, err) = alpha.ymp(&["doctor", BETA, "--config", "nowhere.toml"]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("nowhere.toml") && err.contains("ymp check"), "{err}");
}

#[tokio::test]
async fn our_own_certificate_is_seen_as_the_peer_will_see_it() {
    let yard = Yard::new();
    yard.certify("gamma.test");
    let beta = Broken::host(&yard, BETA, says(document(true))).await;
    let pair = "[peer]\ncertificate = \"certs/gamma.test.pem\"\nkey = \"certs/gamma.test.key\"";
    let found = Doctor::of(&yard).with(pair).knows(BETA, beta.address).looks_at(BETA).await;
    found.is_wrong_at(
        "certificate",
        &["ours is for gamma.test, not for alpha.test", "peers refuse to call back"],
    );
}
