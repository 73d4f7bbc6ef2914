//! SIGTERM: what is in hand is finished, nothing is lost, the exit code is 0, and the next start is clean.

use std::time::Duration;

use super::{harness::*, pair};

const SOON: Duration = Duration::from_secs(8);

//= NODE-SERVE-02
#[tokio::test]
async fn an_idle_node_ends_at_once_with_0() {
    let (_yard, mut node, peer) = pair().await;
    peer.link(&node).await;
    node.terminate();
    assert_eq!(node.ended(Duration::from_secs(5)).await, 0);
    assert!(node.log().contains("stopped"));
    node.start().await;
    assert_eq!(peer.send(&node, &[]).await.status, 204);
}

#[tokio::test]
async fn a_long_poll_ends_with_an_empty_list() {
    let (_yard, mut node, _peer) = pair().await;
    let app = node.app();
    let polling = tokio::spawn(async move { app.get("/v1/inbox/example/form?wait=60s").await });
    node.logs_nothing_for(Duration::from_millis(300)).await;
    node.terminate();
    let got = polling.await.unwrap();
    assert_eq!((got.status, got.json()["messages"].as_array().unwrap().len()), (200, 0));
    assert_eq!(node.ended(SOON).await, 0);
}

//= NODE-SERVE-02
#[tokio::test]
async fn a_packet_in_flight_is_finished_and_settled() {
    let (_yard, mut node, peer) = pair().await;
    peer.next(Kind::Packet, Does::Waits(Duration::from_secs(2)));
    node.app().submit(&[node.message_to(BETA, "slow")]).await;
    peer.sees(Kind::Packet, 1).await;
    node.terminate();
    assert_eq!(node.ended(SOON).await, 0);
    assert_eq!(peer.received(), ["slow"]);
    node.start().await;
    assert_eq!(node.app().status("slow").await["state"], "delivered");
    node.app().submit(&[node.message_to(BETA, "next")]).await;
    assert_eq!(peer.receives(2).await, ["slow", "next"], "it was not sent again");
}

#[tokio::test]
async fn an_exchange_under_way_does_not_hold_the_end() {
    let (_yard, mut node, peer) = pair().await;
    peer.always(Kind::Request, Does::status(204));
    node.app().submit(&[node.message_to(BETA, "waits")]).await;
    peer.sees(Kind::Request, 1).await;
    let app = node.app();
    let connecting = tokio::spawn(async move { app.verb("POST", "/v1/peers/beta.test/connect").await });
    node.logs_nothing_for(Duration::from_millis(300)).await;
    node.terminate();
    assert_eq!(connecting.await.unwrap().status, 502);
    assert_eq!(node.ended(SOON).await, 0);
    peer.usual(Kind::Request);
    node.start().await;
    assert_eq!(peer.receives(1).await, ["waits"]);
}

//= NODE-SERVE-02
#[tokio::test]
async fn traffic_in_both_directions_is_not_hurt_by_a_stop() {
    let (_yard, mut node, peer) = pair().await;
    peer.link(&node).await;
    let (app, token) = (node.app(), peer.token());
    let call = node.post("/packet").bearer(&token);
    let taking = tokio::spawn(async move {
        let mut taken = Vec::new();
        for n in 0..10_000 {
            match call.clone().json(&packet(&[numbered(BETA, ALPHA, n)])).try_send().await {
                Ok(got) if got.status == 204 => taken.push(format!("m{n:05}")),
                Ok(got) => {
                    assert_eq!(got.status, 503);
                    break;
                }
                Err(_) => break,
            }
        }
        taken
    });
    let giving = tokio::spawn(async move {
        let mut given = Vec::new();
        for n in 0..10_000 {
            match app.try_call("POST", "/v1/messages", Some(&numbered(ALPHA, BETA, n))).await {
                Ok(got) if got.status == 202 => given.push(format!("m{n:05}")),
                Ok(got) => {
                    assert_eq!(got.status, 503);
                    break;
                }
                Err(_) => break,
            }
        }
        given
    });
    peer.receives(20).await;
    node.terminate();
    assert_eq!(node.ended(SOON).await, 0);
    let (taken, given) = (taking.await.unwrap(), giving.await.unwrap());
    node.start().await;
    let kept = node.app().ids().await;
    assert!(taken.iter().all(|id| kept.contains(id)), "every 204 is on disk");
    // An append may have been made whose 202 nobody read: then there is one more.
    let received = peer.receives(given.len()).await;
    assert_eq!(
        received[..given.len()],
        given,
        "every 202 arrives, in order, and after a stop in order none twice"
    );
}

#[tokio::test]
async fn a_node_that_stops_says_that_it_is_not_ready_or_is_gone() {
    let (_yard, mut node, peer) = pair().await;
    peer.next(Kind::Packet, Does::Waits(Duration::from_secs(2)));
    node.app().submit(&[node.message_to(BETA, "slow")]).await;
    peer.sees(Kind::Packet, 1).await;
    assert_eq!(node.app().get("/readyz").await.status, 200);
    node.terminate();
    let app = node.app();
    eventually("not ready", || async {
        match app.try_call("GET", "/readyz", None).await {
            Ok(got) => (got.status == 503).then_some(()),
            Err(_) => Some(()),
        }
    })
    .await;
    assert_eq!(node.ended(SOON).await, 0);
}

#[tokio::test]
async fn a_second_node_on_the_same_folder_does_not_start() {
    let (yard, node, _peer) = pair().await;
    let text = std::fs::read_to_string(node.config()).unwrap();
    let other =
        text.replace(&node.peer.to_string(), "127.0.0.1:0").replace(&node.local.to_string(), "127.0.0.1:0");
    let file = yard.path().join("second.toml");
    std::fs::write(&file, other).unwrap();
    let (code, out, err) = node.ymp(&["serve", "--config", file.to_str().unwrap()]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("alpha.test.data"), "{err}");
}

//= NODE-SERVE-01
#[tokio::test]
async fn port_0_is_told_in_the_ready_line() {
    use std::io::{BufRead as _, BufReader};
    let yard = Yard::new();
    let node = Node::new(&yard, ALPHA).started().await;
    let text = std::fs::read_to_string(node.config()).unwrap();
    let text =
        text.replace(&node.peer.to_string(), "127.0.0.1:0").replace(&node.local.to_string(), "127.0.0.1:0");
    std::fs::write(yard.path().join("zero.toml"), text.replace("alpha.test.data", "zero.data")).unwrap();
    let mut command = node.command();
    command.args(["serve", "--config", "zero.toml"]).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let line = tokio::task::spawn_blocking(move || BufReader::new(stdout).lines().next().unwrap().unwrap());
    let line = line.await.unwrap();
    let peer = line.split(' ').find_map(|part| part.strip_prefix("peer=")).unwrap();
    assert_ne!(peer.parse::<std::net::SocketAddr>().unwrap().port(), 0, "{line}");
    tokio::net::TcpStream::connect(peer).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}
