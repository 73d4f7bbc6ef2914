//! `https-token`, "Sending": order, retries, what each answer of a peer means.

use std::time::Duration;

use serde_json::{Value, json};

use super::{harness::*, pair};

fn many(count: usize) -> Vec<Value> {
    (0..count).map(|n| numbered(ALPHA, BETA, n)).collect()
}

async fn dead(node: &Node) -> Vec<Value> {
    let got = node.app().get("/v1/dead").await;
    assert_eq!(got.status, 200);
    got.json()["messages"].as_array().unwrap().clone()
}

//= HT-SEND-03
#[tokio::test]
async fn messages_that_wait_share_packets_and_keep_their_order() {
    let (_yard, node, peer) = pair().await;
    peer.always(Kind::Request, Does::status(204));
    node.app().submit(&many(1000)).await;
    let request = peer.sees(Kind::Request, 1).await[0].json();
    peer.grants(&request).await.unwrap();
    assert_eq!(peer.receives(1000).await, in_order(1000));
    assert!(peer.seen(Kind::Packet).len() <= 5, "{} packets", peer.seen(Kind::Packet).len());
}

//= HT-SEND-03, NODE-CONF-11
#[tokio::test]
async fn our_packets_stay_within_our_limits() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let limits = "packet-bytes = \"4KiB\"\npacket-messages = 7";
    let node = Node::new(&yard, ALPHA).pin(&peer).with("limits", limits).started().await;
    peer.meets(&node);
    let big = json!({"x": "x".repeat(1500)});
    let mut messages = many(20);
    messages.extend((20..26).map(|n| message(ALPHA, BETA, &format!("m{n:05}"), &big)));
    node.app().submit(&messages).await;
    assert_eq!(peer.receives(26).await, in_order(26));
    for seen in peer.seen(Kind::Packet) {
        assert!(seen.body.len() <= 4096 && seen.ids().len() <= 7, "{} bytes", seen.body.len());
    }
}

//= HT-SEND-02, HT-SEND-04, HT-SEND-06, HT-SEND-18
#[tokio::test]
async fn one_packet_in_flight_and_order_kept_over_failures_and_restarts() {
    let (_yard, mut node, peer) = pair().await;
    for does in [
        Does::status(500),
        Does::Breaks,
        Does::status(502),
        Does::Answers(Reply::of(200).body("text/html", "<html>a proxy</html>")),
        Does::Answers(Reply::of(403).body("text/html", "<!doctype html><p>a proxy")),
        Does::status(302),
    ] {
        peer.next(Kind::Packet, does);
    }
    node.app().submit(&many(50)).await;
    peer.sees(Kind::Packet, 3).await;
    node.app().submit(&(50..80).map(|n| numbered(ALPHA, BETA, n)).collect::<Vec<_>>()).await;
    node.restart().await;
    node.app().submit(&(80..100).map(|n| numbered(ALPHA, BETA, n)).collect::<Vec<_>>()).await;
    assert_eq!(peer.receives(100).await, in_order(100));
    assert!(dead(&node).await.is_empty(), "transient troubles condemn nothing");
}

#[tokio::test]
async fn an_answer_that_was_lost_sends_the_packet_again() {
    let (_yard, node, peer) = pair().await;
    peer.next(Kind::Packet, Does::LosesAnswer);
    node.app().submit(&[node.message_to(BETA, "twice")]).await;
    assert_eq!(peer.receives(2).await, ["twice", "twice"], "the peer recognises repeats, we only repeat");
    let status = node.app().becomes("twice", "delivered").await;
    assert!(
        status["attempts"].as_u64().unwrap() <= 1,
        "a pooled connection that broke is tried anew in place"
    );
}

//= HT-SEND-17
#[tokio::test]
async fn retry_after_is_honoured() {
    let (_yard, node, peer) = pair().await;
    for status in [503, 429] {
        let before = peer.seen(Kind::Packet).len();
        peer.next(Kind::Packet, Does::Answers(Reply::of(status).header("retry-after", "2")));
        node.app().submit(&[node.message_to(BETA, &format!("after-{status}"))]).await;
        let seen = peer.sees(Kind::Packet, before + 2).await;
        let wait = seen[before + 1].at - seen[before].at;
        assert!(wait >= Duration::from_secs(2) && wait < Duration::from_secs(5), "{status}: {wait:?}");
    }
    let date = jiff::Timestamp::from_second(i64::try_from(unix_seconds()).unwrap() + 4).unwrap();
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let before = peer.seen(Kind::Packet).len();
    peer.next(Kind::Packet, Does::Answers(Reply::of(503).header("retry-after", &date)));
    node.app().submit(&[node.message_to(BETA, "after-date")]).await;
    let seen = peer.sees(Kind::Packet, before + 2).await;
    let wait = seen[before + 1].at - seen[before].at;
    assert!(wait >= Duration::from_secs(2), "{date}: {wait:?}");
}

#[tokio::test]
async fn a_pause_that_the_peer_asked_for_is_not_cut_by_a_sign_of_life() {
    let (_yard, node, peer) = pair().await;
    peer.next(Kind::Packet, Does::Answers(Reply::of(503).header("retry-after", "3")));
    node.app().submit(&[node.message_to(BETA, "x")]).await;
    let first = peer.sees(Kind::Packet, 1).await[0].at;
    for _ in 0..5 {
        assert_eq!(peer.send(&node, &[]).await.status, 204);
    }
    let second = peer.sees(Kind::Packet, 2).await[1].at;
    assert!(second - first >= Duration::from_secs(3));
}

//= HT-SEND-22
#[tokio::test]
async fn a_sign_of_life_brings_one_probe_forward() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let slow = "retry-min = \"60s\"\nretry-max = \"60s\"\nretry-max-silent = \"60s\"";
    let node = Node::new(&yard, ALPHA).pin(&peer).with("delivery", slow).started().await;
    peer.link(&node).await;
    // Waits for the commit of what the peer asked for; mail that comes earlier would have us ask, and that is a sign of life.
    assert_eq!(peer.send(&node, &[]).await.status, 204);
    peer.next(Kind::Packet, Does::status(500));
    node.app().submit(&[node.message_to(BETA, "probe")]).await;
    eventually("the link rests", || async {
        (node.app().link(BETA).await["sending"]["state"] == "backing-off").then_some(())
    })
    .await;
    assert_eq!(peer.send(&node, &[]).await.status, 204);
    assert_eq!(peer.receives(1).await, ["probe"], "long before its 60 s");
}

//= HT-SEND-12
#[tokio::test]
async fn after_413_packets_are_halved_and_a_single_one_is_dead() {
    let (_yard, node, peer) = pair().await;
    peer.always(
        Kind::Packet,
        Does::judges(|seen| {
            let ids = seen.ids();
            let large = ids.len() > 10 || ids.contains(&"m00033".to_owned());
            large.then(|| Reply::problem(413, "too much for beta", None))
        }),
    );
    node.app().submit(&many(64)).await;
    let want: Vec<_> = in_order(64).into_iter().filter(|id| id != "m00033").collect();
    assert_eq!(peer.receives(63).await, want);
    let status = node.app().becomes("m00033", "dead").await;
    assert!(status["last-error"].as_str().unwrap().contains("too much for beta"), "{status}");
    assert_eq!(dead(&node).await.len(), 1);
}

//= HT-SEND-13
#[tokio::test]
async fn a_faulty_message_that_the_peer_names_is_dead_and_the_rest_is_delivered() {
    for status in [400, 409, 422] {
        let (_yard, node, peer) = pair().await;
        peer.always(
            Kind::Packet,
            Does::judges(move |seen| {
                let index = seen.ids().iter().position(|id| id == "m00021" || id == "m00003")?;
                Some(Reply::problem(status, "beta dislikes it", Some(index)))
            }),
        );
        node.app().submit(&many(40)).await;
        let want: Vec<_> = in_order(40).into_iter().filter(|id| id != "m00021" && id != "m00003").collect();
        assert_eq!(peer.receives(38).await, want);
        for id in ["m00003", "m00021"] {
            let status = node.app().becomes(id, "dead").await;
            assert!(status["last-error"].as_str().unwrap().contains("beta dislikes it"), "{status}");
        }
        assert!(peer.seen(Kind::Packet).len() <= 6, "named, not searched: {}", peer.seen(Kind::Packet).len());
    }
}

//= HT-SEND-13
#[tokio::test]
async fn a_faulty_message_that_the_peer_does_not_name_is_found_by_halving() {
    let (_yard, node, peer) = pair().await;
    peer.always(
        Kind::Packet,
        Does::judges(|seen| {
            let bad = seen.ids().iter().any(|id| id == "m00000" || id == "m00050" || id == "m00099");
            bad.then(|| Reply::of(400).body("text/plain", "something is wrong"))
        }),
    );
    node.app().submit(&many(100)).await;
    let bad = ["m00000", "m00050", "m00099"];
    let want: Vec<_> = in_order(100).into_iter().filter(|id| !bad.contains(&id.as_str())).collect();
    assert_eq!(peer.receives(97).await, want);
    for id in bad {
        let status = node.app().becomes(id, "dead").await;
        assert!(status["last-error"].as_str().unwrap().contains("something is wrong"), "{status}");
    }
}

//= HT-SEND-14
#[tokio::test]
async fn after_ten_condemned_in_a_row_the_link_is_refused_and_the_rest_stays_queued() {
    let (_yard, node, peer) = pair().await;
    peer.always(Kind::Packet, Does::judges(|_| Some(Reply::problem(400, "no, nothing", Some(0)))));
    node.app().submit(&many(30)).await;
    eventually("the link rests", || async {
        (node.app().link(BETA).await["failures"].as_u64().unwrap() >= 1).then_some(())
    })
    .await;
    eventually("ten are dead", || async { (dead(&node).await.len() >= 10).then_some(()) }).await;
    assert_eq!(dead(&node).await.len(), 10);
    peer.usual(Kind::Packet);
    let received = peer.receives(20).await;
    assert_eq!(received, in_order(30)[10..]);
}

//= HT-SEND-15, HT-SEND-16
#[tokio::test]
async fn other_refusals_back_off_and_nothing_is_condemned() {
    for status in [403, 404, 405, 410, 415, 418, 421] {
        let (_yard, node, peer) = pair().await;
        peer.next(Kind::Packet, Does::status(status));
        node.app().submit(&many(3)).await;
        assert_eq!(peer.receives(3).await, in_order(3), "{status}");
        assert!(dead(&node).await.is_empty(), "{status}");
    }
}

//= NODE-API-18, NODE-API-20, NODE-API-35
#[tokio::test]
async fn a_message_shows_where_it_is_and_why() {
    let (_yard, node, peer) = pair().await;
    peer.always(Kind::Packet, Does::Answers(Reply::problem(500, "beta is not well", None)));
    node.app().submit(&[node.message_to(BETA, "shown")]).await;
    let status = eventually("three tries", || async {
        let status = node.app().status("shown").await;
        (status["attempts"].as_u64().unwrap() >= 3).then_some(status)
    })
    .await;
    assert_eq!(
        (&status["id"], &status["host"], &status["state"]),
        (&json!("shown"), &json!(BETA), &json!("queued"))
    );
    assert!(status["last-error"].as_str().unwrap().contains("beta is not well"), "{status}");
    assert!(status["queued-at"].as_str().unwrap().ends_with('Z'));
    assert!(status["delivered-at"].is_null());
    peer.usual(Kind::Packet);
    let status = node.app().becomes("shown", "delivered").await;
    assert!(status["attempts"].as_u64().unwrap() >= 3, "{status}");
    assert!(status["delivered-at"].as_str().unwrap() >= status["queued-at"].as_str().unwrap());
}

//= HT-SEND-26, NODE-API-17
#[tokio::test]
async fn a_message_past_its_time_is_dead_whatever_state_its_peer_is_in() {
    let yard = Yard::new();
    let (away, silent, failing) = (
        Peer::start(&yard, "away.test").await,
        Peer::start(&yard, "silent.test").await,
        Peer::start(&yard, "failing.test").await,
    );
    let node = Node::new(&yard, ALPHA).pin(&away).pin(&silent).pin(&failing).started().await;
    away.down().await;
    silent.always(Kind::Request, Does::status(204));
    failing.meets(&node);
    failing.always(Kind::Packet, Does::Answers(Reply::of(503).header("retry-after", "3000")));
    let hosts = ["away.test", "silent.test", "failing.test"];
    for host in hosts {
        let got = node
            .app()
            .post("/v1/messages?time-to-live=2s", &node.message_to(host, &format!("to-{host}")))
            .await;
        assert_eq!(got.status, 202);
    }
    for host in hosts {
        let status = node.app().becomes(&format!("to-{host}"), "dead").await;
        let why = status["last-error"].as_str().unwrap();
        assert!(why.starts_with("its time to live is over"), "{status}");
        let last = [("away.test", "no connection to"), ("failing.test", "503")];
        let last = last.iter().find(|(known, _)| *known == host).map_or("", |(_, last)| last);
        assert!(why.contains(last), "{status}");
    }
    assert_eq!(dead(&node).await.len(), 3);
    assert_eq!(node.app().metric("ymp_dead_messages").await, 3);
    // Its own time starts anew.
    assert_eq!(node.app().verb("POST", "/v1/dead/to-away.test/retry").await.status, 202);
    assert_eq!(node.app().status("to-away.test").await["state"], "queued");
    node.app().becomes("to-away.test", "dead").await;
}

//= HT-SEND-26, NODE-API-17
#[tokio::test]
async fn time_to_live_of_the_configuration_is_kept_over_a_restart() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let mut node =
        Node::new(&yard, ALPHA).pin(&peer).with("delivery", "time-to-live = \"3s\"").started().await;
    peer.down().await;
    node.app().submit(&[node.message_to(BETA, "short")]).await;
    let got = node.app().post("/v1/messages?time-to-live=1h", &node.message_to(BETA, "long")).await;
    assert_eq!(got.status, 202);
    node.kill().await;
    node.start().await;
    node.app().becomes("short", "dead").await;
    assert_eq!(node.app().status("long").await["state"], "queued");
    peer.meets(&node);
    peer.up().await;
    assert_eq!(peer.receives(1).await, ["long"]);
}

//= HT-SEND-27, NODE-API-32, NODE-API-33
#[tokio::test]
async fn a_dead_message_is_listed_sent_again_and_deleted() {
    let (_yard, mut node, peer) = pair().await;
    peer.always(
        Kind::Packet,
        Does::judges(|seen| {
            let index = seen.ids().iter().position(|id| id.starts_with("bad"))?;
            Some(Reply::problem(422, "not today", Some(index)))
        }),
    );
    let messages = ["bad-1", "good", "bad-2"].map(|id| node.message_to(BETA, id));
    node.app().submit(&messages).await;
    peer.receives(1).await;
    node.app().becomes("bad-2", "dead").await;
    node.kill().await;
    node.start().await;
    let listed = dead(&node).await;
    assert_eq!(listed.len(), 2);
    let first = listed.iter().find(|one| one["id"] == "bad-1").unwrap();
    assert_eq!((&first["host"], &first["message"]), (&json!(BETA), &messages[0]));
    assert!(first["last-error"].as_str().unwrap().contains("not today"));
    assert!(first["dead-at"].as_str().unwrap() >= first["queued-at"].as_str().unwrap());
    peer.usual(Kind::Packet);
    let app = node.app();
    assert_eq!(app.verb("POST", "/v1/dead/bad-1/retry").await.status, 202);
    assert_eq!(peer.receives(2).await, ["good", "bad-1"]);
    assert_eq!(app.becomes("bad-1", "delivered").await["state"], "delivered");
    assert_eq!(app.verb("POST", "/v1/dead/bad-1/retry").await.status, 404, "it is not dead any more");
    assert_eq!(app.verb("DELETE", "/v1/dead/bad-2").await.status, 204);
    assert_eq!(app.verb("DELETE", "/v1/dead/bad-2").await.status, 404);
    assert_eq!(app.verb("POST", "/v1/dead/bad-2/retry").await.status, 404);
    assert_eq!(app.get("/v1/messages/bad-2").await.json()["state"], "dead", "its id is remembered");
    let mut other = node.message_to(BETA, "bad-2");
    other["payload"] = json!({"other": true});
    assert_eq!(app.post("/v1/messages", &other).await.status, 409);
    let log = node.log();
    for (what, id) in [("retry-dead", "bad-1"), ("drop-dead", "bad-2")] {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(what)).collect();
        assert!(matches!(lines[..], [line] if line.contains(id) && line.contains("who=")), "{lines:?}");
    }
    assert!(dead(&node).await.is_empty());
}

//= HT-SEND-05
#[tokio::test]
async fn a_dead_message_that_is_sent_again_goes_to_the_tail() {
    let (_yard, node, peer) = pair().await;
    peer.next(Kind::Packet, Does::Answers(Reply::problem(400, "no", Some(0))));
    node.app().submit(&[node.message_to(BETA, "dead")]).await;
    node.app().becomes("dead", "dead").await;
    peer.down().await;
    node.app().submit(&many(5)).await;
    assert_eq!(node.app().verb("POST", "/v1/dead/dead/retry").await.status, 202);
    peer.up().await;
    let mut want = in_order(5);
    want.push("dead".to_owned());
    assert_eq!(peer.receives(6).await, want);
}

#[tokio::test]
async fn a_slow_peer_does_not_delay_another() {
    let yard = Yard::new();
    let (slow, quick) = (Peer::start(&yard, "slow.test").await, Peer::start(&yard, "quick.test").await);
    let node = Node::new(&yard, ALPHA).pin(&slow).pin(&quick).started().await;
    slow.meets(&node);
    quick.meets(&node);
    slow.always(Kind::Packet, Does::Waits(Duration::from_secs(8)));
    node.app().submit(&[node.message_to("slow.test", "s")]).await;
    slow.sees(Kind::Packet, 1).await;
    let start = now();
    for n in 0..5 {
        node.app().submit(&[node.message_to("quick.test", &format!("q{n}"))]).await;
    }
    quick.receives(5).await;
    assert!(start.elapsed() < Duration::from_secs(4));
    // Nor does a slow packet delay a refresh or a grant of the same peer.
    assert_eq!(node.app().verb("POST", "/v1/peers/slow.test/refresh").await.status, 200);
    slow.link(&node).await;
    assert!(slow.received().is_empty(), "its packet is still under way");
}

//= HT-SEND-25
#[tokio::test]
async fn after_a_restart_peers_with_mail_start_at_50_a_second() {
    let yard = Yard::new();
    let nobody = super::harness::yard::free_port();
    let hosts: Vec<_> = (0..80).map(|n| format!("p{n}.test")).collect();
    let node = hosts.iter().fold(Node::new(&yard, ALPHA), |node, host| node.pin_at(host, nobody));
    let mut node = node
        .with("delivery", "retry-min = \"10m\"\nretry-max = \"10m\"\nretry-max-silent = \"10m\"")
        .started()
        .await;
    let to = |(n, host): (usize, &String)| message(ALPHA, host, &format!("to-{n}"), &json!({}));
    let mail: Vec<_> = hosts.iter().enumerate().map(to).collect();
    node.app().submit(&mail).await;
    node.kill().await;
    node.start().await;
    let start = now();
    loop {
        let started = node.app().metric("ymp_exchanges_started_total").await;
        // What was started in the moments before the ready line was read is allowed for.
        let most = 50 * (u64::try_from(start.elapsed().as_millis()).unwrap() + 500) / 1000 + 2;
        assert!(started <= most, "{started} exchanges after {:?}", start.elapsed());
        if started == 80 {
            break;
        }
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//= HT-SEND-25
#[tokio::test]
async fn after_an_outage_peers_come_back_at_50_a_second() {
    let yard = Yard::new();
    let nobody = super::harness::yard::free_port();
    let hosts: Vec<_> = (0..80).map(|n| format!("p{n}.test")).collect();
    let node = hosts.iter().fold(Node::new(&yard, ALPHA), |node, host| node.pin_at(host, nobody));
    let node = node
        .with("delivery", "retry-min = \"3s\"\nretry-max = \"3s\"\nretry-max-silent = \"3s\"")
        .started()
        .await;
    let to = |(n, host): (usize, &String)| message(ALPHA, host, &format!("to-{n}"), &json!({}));
    let mail: Vec<_> = hosts.iter().enumerate().map(to).collect();
    // All fail at once, so that all are due again within a second, and half of them at the same moment.
    node.app().submit(&mail).await;
    node.app().counts("ymp_exchanges_started_total", 80).await;
    let mut seen = vec![(now(), 80)];
    while seen.last().unwrap().1 < 150 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        seen.push((now(), node.app().metric("ymp_exchanges_started_total").await));
        assert!(seen[0].0.elapsed() < PATIENCE, "{seen:?}");
    }
    for (at, count) in &seen {
        for (later, more) in seen.iter().filter(|(later, _)| *later > *at) {
            let most = 50 * u64::try_from((*later - *at).as_millis() + 200).unwrap() / 1000 + 2;
            assert!(more - count <= most, "{} in {:?}", more - count, *later - *at);
        }
    }
}
