//! Restarts and kill -9 of either side in the middle of traffic: what was accepted with 202 arrives exactly once and in
//! order, and nothing that was acknowledged with 204 is lost.

use std::time::Duration;

use super::harness::*;

/// xorshift: moments by chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn up_to(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

async fn nodes(tokens: &str) -> (Yard, Node, Node) {
    let yard = Yard::new();
    let (alpha, beta) = (Node::new(&yard, ALPHA), Node::new(&yard, BETA));
    let (at_alpha, at_beta) = (alpha.peer, beta.peer);
    let alpha = alpha.pin_at(BETA, at_beta).with("tokens", tokens).started().await;
    let beta = beta.pin_at(ALPHA, at_alpha).with("tokens", tokens).started().await;
    (yard, alpha, beta)
}

/// Hands messages over one by one, each again under its id until it is accepted, as an app does whose node restarts.
fn feed(node: &Node, to: &str, count: usize) -> tokio::task::JoinHandle<()> {
    let (app, from, to) = (node.app(), node.host.clone(), to.to_owned());
    tokio::spawn(async move {
        for n in 0..count {
            let message = numbered(&from, &to, n);
            within(Duration::from_secs(60), "the message is accepted", || async {
                match app.try_call("POST", "/v1/messages", Some(&message)).await {
                    Ok(got) if got.status == 202 => Some(()),
                    Ok(got) => {
                        assert_eq!(got.status, 503, "{}", String::from_utf8_lossy(&got.body));
                        None
                    }
                    Err(_) => None,
                }
            })
            .await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

async fn all_arrives_over_kills(seed: u64, kills: usize, tokens: &str) {
    const COUNT: usize = 300;
    let mut chance = Chance(seed);
    let (_yard, mut alpha, mut beta) = nodes(tokens).await;
    let feeding = [feed(&alpha, BETA, COUNT), feed(&beta, ALPHA, COUNT)];
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(100 + chance.up_to(600))).await;
        let victim = if chance.up_to(2) == 0 { &mut alpha } else { &mut beta };
        if chance.up_to(4) == 0 {
            victim.stop().await;
        } else {
            victim.kill().await;
        }
        tokio::time::sleep(Duration::from_millis(chance.up_to(200))).await;
        victim.start().await;
    }
    for feeding in feeding {
        feeding.await.unwrap();
    }
    assert_eq!(beta.app().receives(COUNT).await, in_order(COUNT), "seed {seed}: alpha to beta");
    assert_eq!(alpha.app().receives(COUNT).await, in_order(COUNT), "seed {seed}: beta to alpha");
    for node in [&alpha, &beta] {
        let listed = node.app().get("/v1/dead").await.json();
        assert_eq!(listed["messages"].as_array().unwrap().len(), 0, "seed {seed}");
        node.app().becomes("m00299", "delivered").await;
    }
}

//= HT-SEND-04, NODE-API-11
#[tokio::test]
async fn everything_accepted_arrives_once_and_in_order_over_kills_of_either_side() {
    all_arrives_over_kills(0x5eed_0001, 6, "lifetime = \"1h\"").await;
}

#[tokio::test]
async fn everything_accepted_arrives_also_while_tokens_live_for_seconds() {
    all_arrives_over_kills(0x5eed_0002, 5, "lifetime = \"3s\"").await;
}

//= HT-PKT-02, HT-CRASH-06
#[tokio::test]
async fn every_packet_that_was_answered_with_204_outlives_kill_9() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let mut node = Node::new(&yard, ALPHA).pin(&peer).started().await;
    peer.link(&node).await;
    let mut chance = Chance(0x5eed_0003);
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let (peer_then, token) = (peer.clone(), peer.token());
        let base: usize = round * 1000;
        let call = node.post("/packet").bearer(&token);
        let sending = tokio::spawn(async move {
            let mut taken = Vec::new();
            for n in base..base + 1000 {
                let body = packet(&[numbered(&peer_then.name, ALPHA, n)]);
                match call.clone().json(&body).try_send().await {
                    Ok(got) if got.status == 204 => taken.push(format!("m{n:05}")),
                    Ok(got) => panic!("{}", got.status),
                    Err(_) => break,
                }
            }
            taken
        });
        tokio::time::sleep(Duration::from_millis(150 + chance.up_to(400))).await;
        node.kill().await;
        acknowledged.extend(sending.await.unwrap());
        node.start().await;
    }
    let kept = node.app().ids().await;
    assert!(acknowledged.len() > 20, "{} packets", acknowledged.len());
    let missing: Vec<_> = acknowledged.iter().filter(|id| !kept.contains(id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(kept.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
}

//= HT-CRASH-06
#[tokio::test]
async fn what_an_app_acknowledged_does_not_come_back_after_kill_9() {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let mut node = Node::new(&yard, ALPHA).pin(&peer).started().await;
    peer.link(&node).await;
    let messages: Vec<_> = (0..10).map(|n| numbered(BETA, ALPHA, n)).collect();
    assert_eq!(peer.send(&node, &messages).await.status, 204);
    let cursor = node.app().inbox(4).await[3]["cursor"].clone();
    let got = node.app().post("/v1/inbox/example/form/ack", &serde_json::json!({"cursor": cursor})).await;
    assert_eq!(got.status, 204);
    node.kill().await;
    node.start().await;
    assert_eq!(node.app().ids().await, in_order(10)[4..]);
}
