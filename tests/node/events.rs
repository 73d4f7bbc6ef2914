//! An inbox as a stream of events: what is there and what comes, each once, also over reconnects and restarts.

use std::time::Duration;

use serde_json::{Value, json};

use super::{backup::put_back, harness::*, pair};
use crate::harness::node::{ADMIN, OTHER};

const EVENTS: &str = "/v1/inbox/example/form/events";

/// A reader.
struct Reader {
    answer: reqwest::Response,
    text: String,
    /// The last id that was seen.
    last: String,
}

async fn open(node: &Node, path: &str, token: &str, last: Option<&str>) -> reqwest::Response {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = http.get(format!("http://{}{path}", node.local)).bearer_auth(token);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    request.send().await.unwrap()
}

impl Reader {
    async fn of(node: &Node, last: Option<&str>) -> Self {
        let answer = open(node, EVENTS, ADMIN, last).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new(), last: last.unwrap_or_default().to_owned() }
    }

    /// The next entry; `None` where the stream ends.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let data: Vec<_> = block.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
                    id.clone_into(&mut self.last);
                    let entry: Value = serde_json::from_str(&data.join("\n")).unwrap();
                    assert_eq!(entry["cursor"], id);
                    return Some(entry);
                }
                continue;
            }
            let bytes = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.unwrap();
            match bytes {
                Ok(Some(bytes)) => self.text.push_str(std::str::from_utf8(&bytes).unwrap()),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    async fn ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let entry = self.next().await.unwrap();
            ids.push(entry["message"]["id"].as_str().unwrap().to_owned());
        }
        ids
    }
}

fn names(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("e{n:04}")).collect()
}

/// Messages of the node to itself: straight to the inbox.
async fn arrive(node: &Node, range: std::ops::Range<usize>) {
    let messages: Vec<_> = names(range).iter().map(|id| node.message_to(ALPHA, id)).collect();
    node.app().submit(&messages).await;
}

async fn alpha() -> Node {
    Node::new(&Yard::new(), ALPHA).started().await
}

//= NODE-API-26
#[tokio::test]
async fn a_reader_gets_what_is_there_and_what_comes() {
    let (_yard, node, peer) = pair().await;
    peer.link(&node).await;
    peer.send(&node, &[peer.message(&node, "e0000")]).await;
    let mut reader = Reader::of(&node, None).await;
    let first = reader.next().await.unwrap();
    assert_eq!((first["from"].clone(), first["message"]["id"].clone()), (json!(BETA), json!("e0000")));
    peer.send(&node, &[peer.message(&node, "e0001"), peer.message(&node, "e0002")]).await;
    assert_eq!(reader.ids(2).await, ["e0001", "e0002"]);
    // Nothing was acknowledged: another reader gets it all.
    assert_eq!(Reader::of(&node, None).await.ids(3).await, names(0..3));
}

//= NODE-API-27
#[tokio::test]
async fn a_reader_that_comes_again_misses_nothing_and_gets_nothing_twice() {
    let mut node = alpha().await;
    arrive(&node, 0..300).await;
    let mut reader = Reader::of(&node, None).await;
    assert_eq!(reader.ids(100).await, names(0..100));
    let last = reader.last.clone();
    drop(reader);
    arrive(&node, 300..600).await;
    let mut reader = Reader::of(&node, Some(&last)).await;
    assert_eq!(reader.ids(200).await, names(100..300));
    let last = reader.last.clone();
    node.kill().await;
    assert!(reader.next().await.is_some() || reader.text.is_empty());
    node.start().await;
    let mut reader = Reader::of(&node, Some(&last)).await;
    assert_eq!(reader.ids(300).await, names(300..600));
}

//= NODE-API-27
#[tokio::test]
async fn what_was_acknowledged_does_not_come_again_whatever_id_is_shown() {
    let node = alpha().await;
    arrive(&node, 0..10).await;
    let mut reader = Reader::of(&node, None).await;
    let first = reader.next().await.unwrap()["cursor"].as_str().unwrap().to_owned();
    reader.ids(4).await;
    let ack = json!({"cursor": reader.last});
    assert_eq!(node.app().post("/v1/inbox/example/form/ack", &ack).await.status, 204);
    for last in [None, Some(""), Some(first.as_str())] {
        assert_eq!(Reader::of(&node, last).await.ids(5).await, names(5..10), "{last:?}");
    }
}

//= NODE-API-26
#[tokio::test]
async fn only_an_app_of_the_service_may_read_and_only_from_a_place_of_this_inbox() {
    let node = alpha().await;
    for (path, token, last, status) in [
        (EVENTS, "no token of this node at all", None, 401),
        (EVENTS, OTHER, None, 403),
        ("/v1/inbox/example/other/events", ADMIN, None, 403),
        (EVENTS, ADMIN, Some("7"), 400),
        ("/v1/inbox/example/form/events?max=1", ADMIN, None, 400),
    ] {
        assert_eq!(open(&node, path, token, last).await.status(), status, "{path} {last:?}");
    }
    assert_eq!(node.app().post(EVENTS, &json!({})).await.status, 405);
}

#[tokio::test]
async fn a_place_that_this_inbox_has_not_given_yet_is_refused() {
    let node = alpha().await;
    arrive(&node, 0..3).await;
    let mut reader = Reader::of(&node, None).await;
    reader.ids(3).await;
    assert!(reader.last.starts_with("3."), "{}", reader.last);
    let later = reader.last.replacen('3', "4", 1);
    assert_eq!(open(&node, EVENTS, ADMIN, Some(&later)).await.status(), 400);
    assert_eq!(open(&node, EVENTS, ADMIN, Some(&reader.last)).await.status(), 200);
}

//= NODE-API-37
#[tokio::test]
async fn a_stream_begins_with_a_sign_of_life_and_ends_with_the_node() {
    let mut node = alpha().await;
    let mut answer = open(&node, EVENTS, ADMIN, None).await;
    assert!(answer.chunk().await.unwrap().unwrap().starts_with(b":"));
    let start = now();
    node.stop().await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(!matches!(answer.chunk().await, Ok(Some(_))));
}

#[tokio::test]
async fn the_command_follows_an_inbox_over_a_restart_and_a_restore() {
    use std::io::{BufRead as _, BufReader};
    let yard = Yard::new();
    let mut node = Node::new(&yard, ALPHA).started().await;
    arrive(&node, 0..2).await;
    let backup = yard.path().join("copy");
    assert_eq!(node.ymp(&["backup", backup.to_str().unwrap()]).await.0, 0);
    let mut command = node.command();
    command.args(["inbox", "example/form", "--follow", "--ack", "--json"]);
    command.env("YMP_TOKEN", ADMIN).env("YMP_LOCAL", format!("http://{}", node.local));
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let (lines, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line))));
    let mut ids = async |count: usize| {
        let mut ids = Vec::new();
        while ids.len() < count {
            let line = tokio::time::timeout(PATIENCE, seen.recv()).await.unwrap().unwrap();
            let entry: Value = serde_json::from_str(&line).unwrap();
            ids.push(entry["message"]["id"].as_str().unwrap().to_owned());
        }
        ids
    };
    assert_eq!(ids(2).await, names(0..2));
    node.restart().await;
    arrive(&node, 2..4).await;
    assert_eq!(ids(2).await, names(2..4));
    let acknowledged = || async { node.app().ids().await.is_empty().then_some(()) };
    eventually("all is acknowledged", acknowledged).await;
    // What comes after a restore stands at places that the command has seen already.
    node.stop().await;
    put_back(&node, &backup);
    node.start_with(&["--restored"]).await;
    let of_the_copy = ids(2).await;
    assert_eq!(of_the_copy, names(0..2));
    arrive(&node, 4..6).await;
    assert_eq!(ids(2).await, names(4..6));
    // Ctrl-c is how it is meant to end.
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn ctrl_c_ends_the_command_also_where_nobody_reads_what_it_says() {
    let node = alpha().await;
    arrive(&node, 0..500).await;
    let mut command = node.command();
    command.args(["inbox", "example/form", "--follow", "--json"]);
    command.env("YMP_TOKEN", ADMIN).env("YMP_LOCAL", format!("http://{}", node.local));
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    // More than a pipe holds: then it waits in its write.
    let pipe = child.stdout.take().unwrap();
    let waits = || async {
        let said = rustix::io::ioctl_fionread(&pipe).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        (said > 0 && rustix::io::ioctl_fionread(&pipe).unwrap() == said).then_some(())
    };
    eventually("the pipe is full", waits).await;
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap().code());
    assert_eq!(tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap(), Some(0));
}

//= NODE-API-37
#[tokio::test]
async fn a_comment_comes_every_15_s() {
    let node = alpha().await;
    let mut answer = open(&node, EVENTS, ADMIN, None).await;
    assert!(answer.chunk().await.unwrap().unwrap().starts_with(b":"));
    let start = now();
    assert!(answer.chunk().await.unwrap().unwrap().starts_with(b":"));
    let waited = start.elapsed();
    assert!(waited > Duration::from_secs(14) && waited < Duration::from_secs(18), "{waited:?}");
}
