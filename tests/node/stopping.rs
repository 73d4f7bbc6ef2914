//! SIGTERM under load and against whatever hangs: the process ends in time, and a restart costs no accepted message.

use std::{
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    harness::{node::ADMIN, *},
    pair,
};

/// From the first signal to the end of the process (README).
const STOP_TIME: Duration = Duration::from_secs(20);

/// An answer's header, from a connection on which nothing else comes.
async fn header(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        match tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap() {
            Ok(byte) => read.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(read).unwrap().to_ascii_lowercase()
}

fn post(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: local\r\nauthorization: Bearer {ADMIN}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
}

//= NODE-SERVE-02
#[tokio::test]
async fn a_request_in_hand_is_answered_and_told_that_the_connection_closes() {
    let (_yard, mut node, _peer) = pair().await;
    let body = node.message_to(ALPHA, "in-hand").to_string();
    let mut slow = TcpStream::connect(node.local).await.unwrap();
    let mut idle = TcpStream::connect(node.local).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: local\r\n\r\n").await.unwrap();
    assert!(!header(&mut idle).await.contains("connection: close"));
    slow.write_all(post("/v1/messages", body.len()).as_bytes()).await.unwrap();
    slow.write_all(&body.as_bytes()[..10]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    node.terminate();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    let refused = || async { TcpStream::connect(node.local).await.is_err().then_some(()) };
    eventually("who comes now is refused", refused).await;
    slow.write_all(&body.as_bytes()[10..]).await.unwrap();
    let answer = header(&mut slow).await;
    assert!(answer.starts_with("http/1.1 202") && answer.contains("connection: close"), "{answer}");
    slow.read_to_end(&mut rest).await.unwrap();
    assert_eq!(node.ended(Duration::from_secs(8)).await, 0);
    node.start().await;
    assert_eq!(node.app().ids().await, ["in-hand"]);
}

#[tokio::test]
async fn whatever_hangs_the_end_comes_in_time_and_says_what_was_left() {
    let (_yard, mut node, peer) = pair().await;
    peer.link(&node).await;
    peer.next(Kind::Packet, Does::Waits(Duration::from_secs(90)));
    node.app().submit(&[node.message_to(BETA, "unanswered")]).await;
    peer.sees(Kind::Packet, 1).await;
    let mut hanging = Vec::new();
    for (address, bytes) in [
        (node.peer, String::new()),
        (node.peer, "\u{16}\u{3}\u{1}".to_owned()),
        (node.local, String::new()),
        (node.local, "GET /healthz HT".to_owned()),
        (node.local, post("/v1/messages", 1000) + "{"),
        (
            node.local,
            format!(
                "GET /v1/inbox/example/form?wait=60s HTTP/1.1\r\nhost: l\r\nauthorization: Bearer {ADMIN}\r\n\r\n"
            ),
        ),
        (
            node.local,
            format!(
                "GET /v1/inbox/example/form/events HTTP/1.1\r\nhost: l\r\nauthorization: Bearer {ADMIN}\r\n\r\n"
            ),
        ),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        hanging.push(stream);
    }
    node.logs_nothing_for(Duration::from_millis(300)).await;
    let start = now();
    node.terminate();
    // That others are late is no failure of the stop.
    assert_eq!(node.ended(STOP_TIME).await, 0);
    assert!(start.elapsed() < STOP_TIME);
    let log = node.log();
    assert!(log.contains("were left") && log.contains("peers=0 apps=1 calls=1"), "{log}");
    node.start().await;
    assert_eq!(peer.receives(1).await, ["unanswered"], "what was left is sent");
}

/// A node whose log is a pipe that nobody reads, and whose threads are all held up by it.
async fn held_up(node: &Node) -> Child {
    let mut command: Command = node.command();
    command.env("YMP_LOG", "trace").args(["serve", "--config"]).arg(node.config());
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    eventually("the log is full", || async {
        let mut stream = TcpStream::connect(node.local).await.ok()?;
        stream.write_all(post("/v1/none", 0).as_bytes()).await.unwrap();
        tokio::time::timeout(Duration::from_secs(2), stream.read_u8()).await.is_err().then_some(())
    })
    .await;
    child
}

fn tell(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

async fn code(child: &mut Child, at_most: Duration) -> i32 {
    let end = within(at_most, "the node ends", || {
        let done = child.try_wait().unwrap();
        async move { done }
    });
    end.await.code().unwrap()
}

#[tokio::test]
async fn a_second_signal_ends_a_node_at_once_whose_threads_are_all_held_up() {
    let (_yard, mut node, _peer) = pair().await;
    node.stop().await;
    let mut child = held_up(&node).await;
    tell(&child, Signal::TERM);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(child.try_wait().unwrap().is_none(), "it is held up");
    tell(&child, Signal::INT);
    assert_eq!(code(&mut child, Duration::from_secs(3)).await, 1);
}

#[tokio::test]
async fn one_signal_ends_a_node_in_time_whose_threads_are_all_held_up() {
    let (_yard, mut node, _peer) = pair().await;
    node.stop().await;
    let mut child = held_up(&node).await;
    tell(&child, Signal::TERM);
    assert_eq!(code(&mut child, STOP_TIME).await, 1);
}

/// Hands messages over on one connection that is kept, until told otherwise. Answers the ids that were accepted, in order. A
/// connection that breaks is an app's to open anew; any answer but 202 is not.
async fn hand_over(node_at: String, app: usize, over: Arc<AtomicBool>) -> Vec<String> {
    let client =
        reqwest::Client::builder().no_proxy().pool_max_idle_per_host(4).timeout(Duration::from_secs(30));
    let client = client.build().unwrap();
    let mut accepted = Vec::new();
    for n in 0.. {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let id = format!("app{app}-{n:05}");
        let body = message(ALPHA, BETA, &id, &json!({"n": n})).to_string();
        let call = client.post(format!("{node_at}/v1/messages")).bearer_auth(ADMIN);
        match call.header("content-type", "application/json").body(body).send().await {
            Ok(answer) => {
                assert_eq!(answer.status(), 202, "{id}");
                accepted.push(id);
            }
            Err(error) => {
                assert!(!error.is_timeout(), "{id}: {error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    accepted
}

//= NODE-SERVE-02
#[tokio::test]
async fn restarts_under_load_cost_no_accepted_message_and_no_answer_but_202() {
    const APPS: usize = 4;
    let yard = Yard::new();
    let (alpha, beta) = (Node::new(&yard, ALPHA), Node::new(&yard, BETA));
    let (at_alpha, at_beta) = (alpha.peer, beta.peer);
    let mut alpha = alpha.pin_at(BETA, at_beta).started().await;
    let mut beta = beta.pin_at(ALPHA, at_alpha).started().await;
    alpha.app().connect(BETA).await;
    let over = Arc::new(AtomicBool::new(false));
    let at = format!("http://{}", alpha.local);
    let apps: Vec<_> =
        (0..APPS).map(|app| tokio::spawn(hand_over(at.clone(), app, Arc::clone(&over)))).collect();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        alpha.restart().await;
    }
    beta.restart().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    over.store(true, Ordering::SeqCst);
    let mut accepted = Vec::new();
    for app in apps {
        accepted.push(app.await.unwrap());
    }
    let count = accepted.iter().map(Vec::len).sum::<usize>();
    assert!(count > 100 && count < 9_000, "{count}");
    eventually("all has been sent", || async {
        (alpha.app().metric("ymp_outbox_messages").await == 0).then_some(())
    })
    .await;
    let received = beta.app().ids().await;
    for (app, ids) in accepted.iter().enumerate() {
        let own = |id: &&String| id.starts_with(&format!("app{app}-"));
        let arrived: Vec<_> = received.iter().filter(own).collect();
        assert!(arrived.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
        // A call whose connection broke may have been taken.
        let known: Vec<_> = arrived.into_iter().filter(|id| ids.contains(id)).cloned().collect();
        assert_eq!(&known, ids, "each accepted id arrives");
    }
    println!("{count} accepted by {APPS} apps over 5 restarts, {} arrived", received.len());
}

/// What a supervisor hears of a node that starts and is told to stop.
async fn heard(node: &Node, socket: &UnixDatagram, name: &str) {
    let mut command = node.command();
    command.env("NOTIFY_SOCKET", name).args(["serve", "--config"]).arg(node.config());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut buffer = [0; 64];
        let read = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..read].to_vec()).unwrap()
    };
    assert_eq!(tokio::task::block_in_place(next), "READY=1\n");
    assert_eq!(node.app().get("/readyz").await.status, 200, "it is ready by then");
    tell(&child, Signal::TERM);
    assert_eq!(tokio::task::block_in_place(next), "STOPPING=1\n");
    assert_eq!(code(&mut child, STOP_TIME).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_asks_is_told_ready_and_stopping() {
    let (yard, mut node, _peer) = pair().await;
    node.stop().await;
    let path = yard.path().join("notify");
    heard(&node, &UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap()).await;
    let name = format!("ymp-test-{}", std::process::id());
    let hidden = SocketAddr::from_abstract_name(&name).unwrap();
    heard(&node, &UnixDatagram::bind_addr(&hidden).unwrap(), &format!("@{name}")).await;
    // Nobody listens there: the node runs all the same.
    let mut command = node.command();
    command.env("NOTIFY_SOCKET", "/nowhere").args(["serve", "--config"]).arg(node.config());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let ready = || async { node.app().try_call("GET", "/readyz", None).await.ok() };
    eventually("it is ready", ready).await;
    tell(&child, Signal::TERM);
    assert_eq!(code(&mut child, STOP_TIME).await, 0);
}
