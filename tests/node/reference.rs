//! With the reference host of R3: both directions, and what strangers can do in its name.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{reference::Reference, *};

/// A node that knows nothing of the reference host but its name.
async fn with_reference() -> (Yard, Node, Reference) {
    let yard = Yard::new();
    let reference = Reference::start(&yard).await;
    let node = Node::new(&yard, ALPHA).among_private_addresses().plainly().started().await;
    reference.meets(&node);
    (yard, node, reference)
}

fn to(reference: &Reference, node: &Node, id: &str) -> Value {
    node.message_to(&reference.name, id)
}

/// A request of R1 that somebody else sends in its name.
async fn forge_r1(node: &Node, reference: &Reference, token: &str) {
    let forged = json!({"host": reference.name, "token": token, "expires-in": 3600, "refresh-token": "forged-refresh"});
    assert_eq!(node.post("/request").elsewhere().json(&forged).send().await.status, 204);
}

//= HT-REV-01
#[tokio::test]
async fn it_is_linked_and_heard_in_both_directions() {
    let (_yard, node, reference) = with_reference().await;
    let app = node.app();
    app.submit(&[to(&reference, &node, "out-1"), to(&reference, &node, "out-2")]).await;
    assert_eq!(reference.receives(2).await, ["out-1", "out-2"]);
    reference.asks(&node).await.unwrap();
    let messages = ["in-1", "in-2"].map(|id| reference.message(&node, id));
    assert_eq!(reference.sends(&messages).await.status, 204);
    assert_eq!(app.receives(2).await, ["in-1", "in-2"]);
    app.submit(&[to(&reference, &node, "out-3")]).await;
    assert_eq!(reference.receives(3).await[2], "out-3");
    let link = app.link(&reference.name).await;
    let shown = [&link["revision"], &link["sending"]["revision"], &link["receiving"]["revision"]];
    assert_eq!(shown, [&json!("R3"); 3], "{link}");
    assert_eq!(link["negotiation"]["source"], "published");
    reference.is_content();
}

//= YMP-INFO-07
#[tokio::test]
async fn its_information_is_read_with_an_accept_that_it_admits() {
    let (_yard, node, reference) = with_reference().await;
    node.app().connect(&reference.name).await;
    let read = reference.seen(Kind::Information);
    assert_eq!(read.iter().map(|seen| seen.path.as_str()).collect::<Vec<_>>(), &PLACES[..3]);
    for seen in read {
        assert_eq!((seen.method.as_str(), seen.header("accept")), ("GET", Some("*/*")));
        assert_eq!((seen.authority, seen.sni.as_deref()), (reference.name.clone(), Some("localhost")));
    }
}

//= HT-GRANT-13
#[tokio::test]
async fn its_grant_comes_before_its_answer_and_is_a_jwt() {
    let (_yard, node, reference) = with_reference().await;
    let start = now();
    node.app().connect(&reference.name).await;
    node.app().submit(&[to(&reference, &node, "out")]).await;
    reference.receives(1).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    let shown = reference.seen(Kind::Packet)[0].bearer.clone().unwrap();
    assert!(shown.len() > 200 && shown.split('.').count() == 3, "{shown}");
    assert_eq!(reference.seen(Kind::Request).len(), 1);
    reference.is_content();
}

#[tokio::test]
async fn it_asks_and_has_its_grant_within_5_s_also_when_nothing_is_known_of_it() {
    let (_yard, node, reference) = with_reference().await;
    reference.is_slow(Duration::from_secs(1));
    let start = now();
    reference.asks(&node).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1), "nothing was cached");
    assert_eq!(reference.sends(&[reference.message(&node, "in")]).await.status, 204);
    assert_eq!(node.app().receives(1).await, ["in"]);
    let grant = reference.seen(Kind::Grant)[0].clone();
    assert!(grant.bearer.is_none());
    assert_eq!(
        (&grant.json()["host"], grant.header("content-type")),
        (&json!(ALPHA), Some("application/json"))
    );
    reference.is_content();
}

//= HT-ASK-15
#[tokio::test]
async fn both_ask_at_once() {
    let (_yard, node, reference) = with_reference().await;
    let app = node.app();
    let asks = reference.asks(&node);
    let mail = [to(&reference, &node, "out")];
    let (asked, ()) = tokio::join!(asks, app.submit(&mail));
    asked.unwrap();
    assert_eq!(reference.sends(&[reference.message(&node, "in")]).await.status, 204);
    assert_eq!((reference.receives(1).await, app.receives(1).await), (vec!["out".into()], vec!["in".into()]));
    reference.is_content();
}

#[tokio::test]
async fn a_dead_token_leads_to_a_new_exchange_and_nothing_is_lost() {
    let (_yard, node, reference) = with_reference().await;
    node.app().submit(&[to(&reference, &node, "one")]).await;
    reference.receives(1).await;
    for (n, id) in ["two", "three"].into_iter().enumerate() {
        reference.forgets_given();
        node.app().submit(&[to(&reference, &node, id)]).await;
        assert_eq!(reference.receives(n + 2).await[n + 1], id);
    }
    assert_eq!(reference.received(), ["one", "two", "three"]);
    assert_eq!(reference.seen(Kind::Request).len(), 3);
    reference.is_content();
}

//= HT-REV-18
#[tokio::test]
async fn tokens_of_seconds_are_followed_by_others_without_a_gap() {
    let (_yard, node, reference) = with_reference().await;
    reference.lifetime(5);
    let asked = || reference.seen(Kind::Request).len() >= 3;
    let sent = flow(&node, &reference.name, "it asks anew", asked).await;
    assert_eq!(reference.receives(sent).await, in_order(sent));
    without_a_gap(&reference.seen(Kind::Packet));
    reference.is_content();
}

//= HT-ASK-12
#[tokio::test]
async fn a_strangers_request_of_r1_in_its_name_brings_his_token_nowhere() {
    let (_yard, node, reference) = with_reference().await;
    let app = node.app();
    forge_r1(&node, &reference, "forged-before").await;
    app.submit(&[to(&reference, &node, "out-1")]).await;
    reference.receives(1).await;
    reference.asks(&node).await.unwrap();
    for n in 0..5 {
        forge_r1(&node, &reference, &format!("forged-{n}")).await;
        app.submit(&[to(&reference, &node, &format!("out-{}", n + 2))]).await;
        assert_eq!(reference.sends(&[reference.message(&node, &format!("in-{n}"))]).await.status, 204);
    }
    reference.receives(6).await;
    reference.forgets_given();
    app.submit(&[to(&reference, &node, "out-7")]).await;
    reference.receives(7).await;
    app.receives(5).await;
    for kind in [Kind::Packet, Kind::Grant, Kind::Request, Kind::Other] {
        for seen in reference.seen(kind) {
            let shown = format!("{:?}{}", seen.bearer, String::from_utf8_lossy(&seen.body));
            assert!(!shown.contains("forged"), "{kind:?}: {shown}");
        }
    }
    assert!(reference.seen(Kind::Grant).iter().all(|grant| grant.bearer.is_none()));
    reference.is_content();
}

//= HT-ASK-12
#[tokio::test]
async fn strangers_requests_of_r3_in_its_name_do_not_disturb_the_link() {
    let (_yard, node, reference) = with_reference().await;
    let app = node.app();
    app.submit(&[to(&reference, &node, "out-0")]).await;
    reference.receives(1).await;
    reference.asks(&node).await.unwrap();
    for n in 0..6 {
        assert_eq!(reference.sends(&[reference.message(&node, &format!("in-{n}"))]).await.status, 204);
        let forged = json!({"host": reference.name, "state": format!("forged-{n}")});
        assert_eq!(node.post("/request").elsewhere().json(&forged).send().await.status, 204);
        eventually("it is granted, which says nothing", || async {
            let grants = reference.seen(Kind::Grant);
            grants.iter().any(|grant| grant.json()["state"] == forged["state"]).then_some(())
        })
        .await;
        app.submit(&[to(&reference, &node, &format!("out-{}", n + 1))]).await;
        reference.receives(n + 2).await;
    }
    assert_eq!(reference.sends(&[reference.message(&node, "in-6")]).await.status, 204);
    assert_eq!(app.receives(7).await.len(), 7);
    assert_eq!(reference.seen(Kind::Request).len(), 1, "the token that works is used on");
    let bearers: Vec<_> = reference.seen(Kind::Packet).into_iter().map(|seen| seen.bearer).collect();
    assert!(bearers.iter().all(|bearer| *bearer == bearers[0]));
    reference.is_content();
}

//= HT-GRANT-08
#[tokio::test]
async fn a_strangers_grant_in_its_name_is_refused() {
    let (_yard, node, reference) = with_reference().await;
    node.app().submit(&[to(&reference, &node, "out")]).await;
    reference.receives(1).await;
    let known = reference.seen(Kind::Request)[0].json()["state"].clone();
    for state in [json!("guessed"), known] {
        let grant = json!({"host": reference.name, "token": "forged", "expires": unix_seconds() + 60, "state": state});
        let got = node.post("/grant").elsewhere().json(&grant).send().await;
        assert_eq!(got.status, 403, "{grant}");
    }
    node.app().submit(&[to(&reference, &node, "out-2")]).await;
    reference.receives(2).await;
    assert!(reference.seen(Kind::Packet).iter().all(|seen| seen.bearer.as_deref() != Some("forged")));
}

#[tokio::test]
async fn the_link_goes_on_after_a_restart_of_the_node() {
    let (_yard, mut node, reference) = with_reference().await;
    node.app().submit(&[to(&reference, &node, "one")]).await;
    reference.receives(1).await;
    reference.asks(&node).await.unwrap();
    node.restart().await;
    node.app().submit(&[to(&reference, &node, "two")]).await;
    assert_eq!(reference.receives(2).await, ["one", "two"]);
    assert_eq!(reference.sends(&[reference.message(&node, "in")]).await.status, 204);
    assert_eq!(reference.seen(Kind::Request).len(), 1, "no new exchange was needed");
    reference.is_content();
}
