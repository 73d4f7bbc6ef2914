//! A copy of a node that runs, and a node that starts from one.

use std::{fs, path::Path};

use serde_json::json;

use super::{
    harness::{node::OTHER, *},
    pair,
};

async fn linked() -> (Yard, Node, Node) {
    let yard = Yard::new();
    let (alpha, beta) = (Node::new(&yard, ALPHA), Node::new(&yard, BETA));
    let (at_alpha, at_beta) = (alpha.peer, beta.peer);
    let alpha = alpha.pin_at(BETA, at_beta).started().await;
    let beta = beta.pin_at(ALPHA, at_alpha).started().await;
    alpha.app().connect(BETA).await;
    (yard, alpha, beta)
}

async fn steer(node: &Node, host: &str, verb: &str) {
    let got = node.app().verb("POST", &format!("/v1/peers/{host}/{verb}")).await;
    assert_eq!(got.status, 200, "{verb}: {}", String::from_utf8_lossy(&got.body));
}

/// Other tokens, in both directions.
async fn refresh(alpha: &Node, beta: &Node) {
    // One in two seconds at most.
    eventually("alpha refreshes", || async {
        let got = alpha.app().verb("POST", "/v1/peers/beta.test/refresh").await;
        (got.status == 200).then_some(())
    })
    .await;
    eventually("beta refreshes", || async {
        let got = beta.app().verb("POST", "/v1/peers/alpha.test/refresh").await;
        (got.status == 200).then_some(())
    })
    .await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to)
        } else {
            assert!(fs::copy(entry.path(), to).is_ok())
        }
    }
}

pub(super) fn put_back(node: &Node, backup: &Path) {
    fs::remove_dir_all(node.data_dir()).unwrap();
    copy(backup, &node.data_dir());
}

/// Alpha is copied with mail that waits, goes on, is killed, and starts from the copy. `delivered`: its mail went out
/// between the copy and the kill.
async fn a_node_comes_back(delivered: bool) {
    let (yard, mut alpha, beta) = linked().await;
    let backup = yard.path().join("backup");
    alpha.app().submit(&[alpha.message_to(BETA, "early")]).await;
    beta.app().submit(&[beta.message_to(ALPHA, "to-alpha-1")]).await;
    assert_eq!(
        (beta.app().receives(1).await, alpha.app().receives(1).await.len()),
        (vec!["early".to_owned()], 1)
    );
    steer(&alpha, BETA, "pause").await;
    let waiting: Vec<_> = (0..3).map(|n| alpha.message_to(BETA, &format!("queued-{n}"))).collect();
    alpha.app().submit(&waiting).await;
    let (code, out, err) = alpha.ymp(&["backup", backup.to_str().unwrap(), "--json"]).await;
    assert_eq!(code, 0, "{err}");
    let made: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&made["inbox-messages"], &made["outbox-messages"], &made["dead-messages"]),
        (&json!(1), &json!(3), &json!(0))
    );
    assert_eq!(made["dir"], backup.to_str().unwrap());

    refresh(&alpha, &beta).await;
    beta.app().submit(&[beta.message_to(ALPHA, "to-alpha-2")]).await;
    alpha.app().receives(2).await;
    if delivered {
        steer(&alpha, BETA, "resume").await;
        alpha.app().submit(&[alpha.message_to(BETA, "after-the-copy")]).await;
        beta.app().receives(5).await;
    }
    refresh(&alpha, &beta).await;
    alpha.kill().await;
    put_back(&alpha, &backup);

    let config = alpha.config();
    let (code, _, err) = alpha.ymp(&["serve", "--config", config.to_str().unwrap()]).await;
    assert!(code == 1 && err.contains("--restored"), "{code}: {err}");
    alpha.start_with(&["--restored"]).await;
    alpha.logs("the tokens of all links were dropped").await;
    assert_eq!(alpha.app().ids().await, ["to-alpha-1"], "what came after the copy is not there");
    let link = alpha.app().link(BETA).await;
    assert_eq!((&link["sending"]["state"], &link["queue"]["messages"]), (&json!("paused"), &json!(3)));

    // A spent token that is shown would count at beta below.
    alpha.app().verb("POST", "/v1/peers/beta.test/refresh").await;
    beta.app().submit(&[beta.message_to(ALPHA, "to-alpha-3")]).await;
    assert_eq!(alpha.app().receives(2).await, ["to-alpha-1", "to-alpha-3"]);
    steer(&alpha, BETA, "resume").await;
    alpha.app().submit(&[alpha.message_to(BETA, "late")]).await;
    let late = beta.app().receives(if delivered { 6 } else { 5 }).await;
    let between = if delivered { &["after-the-copy"][..] } else { &[] };
    let wanted = [&["early", "queued-0", "queued-1", "queued-2"][..], between, &["late"]].concat();
    assert_eq!(late, wanted, "each once, in order");
    refresh(&alpha, &beta).await;
    for node in [&alpha, &beta] {
        assert_eq!(node.app().metric("ymp_refresh_replays_total").await, 0, "{}", node.host);
    }
    // Once more does no harm, and without it the folder is one as any other.
    alpha.stop().await;
    alpha.start_with(&["--restored"]).await;
    alpha.app().submit(&[alpha.message_to(BETA, "again")]).await;
    beta.app().receives(wanted.len() + 1).await;
    alpha.restart().await;
    assert_eq!(beta.app().metric("ymp_refresh_replays_total").await, 0);
}

#[tokio::test]
async fn a_node_that_starts_from_a_copy_delivers_what_waited_in_it() {
    a_node_comes_back(false).await;
}

#[tokio::test]
async fn what_was_delivered_since_the_copy_is_sent_again_and_recognised() {
    a_node_comes_back(true).await;
}

#[tokio::test]
async fn a_backup_is_an_admins_and_what_stands_in_its_way_is_named() {
    let (yard, node, _peer) = pair().await;
    let (app, full) = (node.app(), yard.path().join("full"));
    fs::create_dir(&full).unwrap();
    fs::write(full.join("file"), "").unwrap();
    let to = |dir: &Path| json!({"dir": dir.to_str().unwrap()});
    assert_eq!(node.app_with(Some(OTHER)).post("/v1/backup", &to(&yard.path().join("b"))).await.status, 403);
    assert_eq!(app.post("/v1/backup", &json!({"dir": "relative"})).await.status, 400);
    let got = app.post("/v1/backup", &to(&full)).await;
    let problem = got.json();
    assert_eq!((got.status, &problem["type"]), (409, &json!("urn:ymp:problem:backup")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(full.to_str().unwrap()) && detail.contains("not empty"), "{detail}");
    let (code, out, err) = node.ymp(&["backup", full.to_str().unwrap()]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("not empty") && err.contains("name another"), "{err}");
    let (code, out, err) = node.ymp(&["backup", "copy"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("0 messages received, 0 waiting, 0 dead"), "{out}");
    assert!(yard.path().join("copy/format").exists());
}

#[tokio::test]
async fn a_data_folder_is_one_hosts() {
    let yard = Yard::new();
    let mut alpha = Node::new(&yard, ALPHA).started().await;
    let backup = yard.path().join("copy");
    assert_eq!(alpha.ymp(&["backup", backup.to_str().unwrap()]).await.0, 0);
    alpha.stop().await;
    let beta = Node::new(&yard, BETA);
    beta.write_config();
    let config = beta.config();
    for (data, more) in
        [(alpha.data_dir(), None), (backup.clone(), None), (backup.clone(), Some("--restored"))]
    {
        copy(&data, &beta.data_dir());
        let serve = ["serve", "--config", config.to_str().unwrap()].into_iter().chain(more);
        let (code, out, err) = beta.ymp(&serve.collect::<Vec<_>>()).await;
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(err.contains("it is the data of alpha.test") && err.contains("set host back"), "{err}");
        fs::remove_dir_all(beta.data_dir()).unwrap();
    }
    put_back(&alpha, &backup);
    alpha.start_with(&["--restored"]).await;
}

#[tokio::test]
async fn what_is_damaged_in_an_inbox_is_told_to_who_reads_it_and_counted() {
    let yard = Yard::new();
    let mut node = Node::new(&yard, ALPHA).expecting("what lies at byte").started().await;
    for id in ["first", "second", "third"] {
        node.app().submit(&[node.message_to(ALPHA, id)]).await;
    }
    node.stop().await;
    let log = node.data_dir().join("log/0000000000.log");
    let mut bytes = fs::read(&log).unwrap();
    let at = bytes.windows(8).position(|part| part == b"\"second\"").unwrap();
    bytes[at + 1] ^= 1;
    fs::write(&log, bytes).unwrap();
    node.start().await;
    let app = node.app();
    let got = app.get("/v1/inbox/example/form").await;
    assert_eq!((got.status, got.header("retry-after")), (500, None));
    assert_eq!(got.problem()["type"], "urn:ymp:problem:damaged");
    node.logs("log/0000000000.log: what lies at byte").await;
    let metrics = node.app_with(None).get("/metrics").await.body;
    assert!(String::from_utf8_lossy(&metrics).contains("\nymp_store_damaged_reads_total 1\n"));
    let (code, _, err) = node.ymp(&["inbox", "example/form"]).await;
    assert!(code == 1 && err.contains("is damaged"), "{err}");
    let (code, _, err) = node.ymp(&["backup", "copy"]).await;
    assert!(code == 1 && err.contains("is damaged: its operator finds in its log"), "{err}");
    node.logs("the backup was not made").await;
    assert_eq!(
        app.post("/v1/messages", &node.message_to(ALPHA, "fourth")).await.status,
        202,
        "all else goes on"
    );
}
