//! `node`, "Local API", GET /metrics: each metric has help and type and stands in the README, nothing that a stranger does makes
//! a series, and what `monitoring/` has asks for nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::json;

use super::{harness::*, pair};

const GAMMA: &str = "gamma.test";

/// All of one scrape: the kind of each family, and its samples as they are written.
struct Scrape {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Scrape {
    async fn of(node: &Node) -> Self {
        let got = node.app_with(None).get("/metrics").await;
        assert_eq!(got.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let text = String::from_utf8(got.body.to_vec()).unwrap();
        let (mut kinds, mut samples, mut helped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(help.len() > 10 && helped.insert(name.to_owned()), "{line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(helped.contains(name), "{name} has no help");
                kinds.insert(name.to_owned(), kind.to_owned());
            } else {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let twice = samples.insert(sample.to_owned(), value.parse().unwrap());
                assert!(twice.is_none(), "{sample} stands twice");
            }
        }
        Self { kinds, samples }
    }

    fn value(&self, sample: &str) -> f64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("{sample} is not there"))
    }

    fn series_of_peers(&self) -> BTreeSet<&str> {
        self.samples.keys().filter(|sample| sample.starts_with("ymp_peer_")).map(String::as_str).collect()
    }
}

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The rows of the README's table.
fn rows(readme: &str) -> impl Iterator<Item = &str> {
    let (_, section) = readme.split_once("\n## Metrics\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    section.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"))
}

fn name_of(row: &str) -> String {
    row.split(['`', '{']).next().unwrap().to_owned()
}

/// The names in the table.
fn in_readme() -> BTreeSet<String> {
    rows(&file("README.md")).map(name_of).collect()
}

/// Those of metrics with an alarm: the last column says when.
fn with_alarm() -> BTreeSet<String> {
    let readme = file("README.md");
    rows(&readme).filter(|row| !row.rsplit_once('|').unwrap().1.trim().is_empty()).map(name_of).collect()
}

#[test]
fn each_alarm_of_the_readme_is_one_of_the_alerts() {
    let (promised, alerts) = (with_alarm(), file("monitoring/alerts.yml"));
    assert!(promised.len() > 20, "{promised:?}");
    let conditions: String = alerts.lines().filter(|line| line.trim_start().starts_with("expr: ")).collect();
    let missing: Vec<_> = promised.difference(&asked_for(&conditions)).cloned().collect();
    assert!(missing.is_empty(), "no alert asks for {missing:?}");
}

/// The metrics that a text asks for.
fn asked_for(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics = words.filter(|word| word.starts_with("ymp_") || word.starts_with("process_"));
    metrics.map(|word| word.strip_suffix("_bucket").unwrap_or(word).to_owned()).collect()
}

/// Alpha that lists beta, and beta.
async fn listing() -> (Yard, Node, Peer) {
    let yard = Yard::new();
    let peer = Peer::start(&yard, BETA).await;
    let node = Node::new(&yard, ALPHA)
        .pin(&peer)
        .with("metrics", &format!("peers = [\"{BETA}\", \"never-met.test\"]"))
        .started()
        .await;
    peer.meets(&node);
    (yard, node, peer)
}

#[tokio::test]
async fn each_metric_stands_in_the_readme_and_the_dashboard_and_the_alerts_ask_for_no_other() {
    let (_yard, node, _peer) = listing().await;
    node.app().connect(BETA).await;
    let scrape = Scrape::of(&node).await;
    let served: BTreeSet<_> = scrape.kinds.keys().cloned().collect();
    assert_eq!(served, in_readme());
    for (name, kind) in &scrape.kinds {
        let expected = match name {
            name if name.ends_with("_total") => "counter",
            name if name.ends_with("_duration_seconds") => "histogram",
            _ => "gauge",
        };
        assert_eq!(kind, expected, "{name}");
    }
    for name in ["monitoring/grafana.json", "monitoring/alerts.yml"] {
        let strange: Vec<_> = asked_for(&file(name)).difference(&served).cloned().collect();
        assert!(strange.is_empty(), "{name} asks for {strange:?}");
    }
    let dashboard: serde_json::Value = serde_json::from_str(&file("monitoring/grafana.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 20);
}

#[tokio::test]
async fn counts_and_lengths_are_those_of_what_happened() {
    let (_yard, node, peer) = pair().await;
    node.app().connect(BETA).await;
    node.app().submit(&[node.message_to(BETA, "out")]).await;
    node.app().becomes("out", "delivered").await;
    assert_eq!(peer.send(&node, &[peer.message(&node, "in")]).await.status, 204);
    node.app().counts("ymp_packets_in_total", 1).await;
    let scrape = Scrape::of(&node).await;
    for (sample, value) in [
        ("ymp_messages_in_total", 1.0),
        ("ymp_messages_out_total", 1.0),
        ("ymp_packet_in_duration_seconds_count", 1.0),
        ("ymp_packet_out_duration_seconds_count", 1.0),
        ("ymp_packet_in_duration_seconds_bucket{le=\"+Inf\"}", 1.0),
        ("ymp_links{state=\"linked\"}", 1.0),
        ("ymp_ready", 1.0),
        ("ymp_outbox_limit_messages", 1e6),
        ("ymp_outbox_oldest_age_seconds", 0.0),
    ] {
        assert!((scrape.value(sample) - value).abs() < 1e-9, "{sample} {}", scrape.value(sample));
    }
    assert!(scrape.value("ymp_packets_in_bytes_total") > 50.0);
    assert!(scrape.value("ymp_store_commit_duration_seconds_count") >= 3.0);
    assert!(scrape.value("ymp_store_commit_duration_seconds_sum") > 0.0);
    assert!(scrape.value("ymp_store_free_bytes") > scrape.value("ymp_store_free_min_bytes"));
    assert!(scrape.value("ymp_connections_open{listener=\"local\"}") >= 1.0);
    assert!(scrape.value("ymp_local_answers_total{class=\"2xx\"}") >= 3.0);
    assert!(scrape.value("process_resident_memory_bytes") > 1e6);
    assert!(scrape.series_of_peers().is_empty(), "no peer is listed");
}

#[tokio::test]
async fn only_listed_peers_have_series_whatever_strangers_do() {
    let (yard, mut node, peer) = listing().await;
    node.app().connect(BETA).await;
    let before = Scrape::of(&node).await;
    let series = before.series_of_peers();
    let of = |host: &str| -> Vec<_> {
        let end = format!("{{peer=\"{host}\"}}");
        series.iter().filter(|sample| sample.ends_with(&end)).copied().collect()
    };
    assert_eq!((of(BETA).len(), of("never-met.test").len(), series.len()), (9, 9, 18), "{series:?}");
    assert!(of("never-met.test").iter().all(|sample| before.value(sample).abs() < 1e-9));
    assert!((before.value(&format!("ymp_peer_linked{{peer=\"{BETA}\"}}")) - 1.0).abs() < 1e-9);

    let other = Peer::start(&yard, GAMMA).await;
    node.pins_only(&[&peer, &other]);
    node.reload().await;
    other.meets(&node);
    node.app().connect(GAMMA).await;
    for n in 0..30 {
        let body = json!({"host": format!("s{n}.invalid"), "state": "x"});
        assert_eq!(node.post("/request").json(&body).send().await.status, 204);
    }
    node.app().counts("ymp_token_requests_in_total", 30).await;
    let after = Scrape::of(&node).await;
    let samples = |scrape: &Scrape| scrape.samples.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(samples(&after), samples(&before));
    assert!((after.value("ymp_links{state=\"linked\"}") - 2.0).abs() < 1e-9);

    node.set("metrics", &format!("peers = [\"{GAMMA}\"]"));
    assert!(node.reload().await.contains("settings changed: metrics.peers"));
    let after = Scrape::of(&node).await;
    assert!(after.series_of_peers().iter().all(|sample| sample.contains(GAMMA)));
}
