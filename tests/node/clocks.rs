//! A clock that is wrong at the start: the node itself, on a real store, with a clock of the test's.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ymp::{
    client::Client,
    config::Config,
    node::Node,
    store::{Store, embedded::Embedded},
    telemetry::metrics::Metrics,
    wire::{
        draft::Draft,
        packet::ServiceKey,
        record::MessageState,
        time::{Mono, Now, ReadClock, Wall},
    },
};

use super::harness::*;

const T0: u64 = 1_700_000_000_000;
const DAY: u64 = 24 * 3_600_000;

/// A clock that stands; both faces go on together when it is moved.
fn clock(wall: u64) -> (Arc<AtomicU64>, ReadClock) {
    let passed = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&passed);
    let clock = move || {
        let passed = read.load(Ordering::Relaxed);
        Now { mono: Mono(passed), wall: Wall(wall + passed) }
    };
    (passed, Arc::new(clock))
}

fn settings(dir: &Path) -> Config {
    let text = "host = \"alpha.test\"\n[limits]\nfree-space-min = \"0B\"\n[[services]]\nprotocol = \"example\"\n\
                version = \"1.0.0\"\nservices = [\"form\"]\n[[apps]]\nname = \"app\"\ntoken = \"0123456789abcdef\"\n\
                services = [\"example/form\"]\n";
    Config::read(&dir.join("ymp.toml"), text, []).unwrap().0
}

fn start(yard: &Yard, clock: &ReadClock) -> (Node, Arc<dyn Store>) {
    let config = settings(yard.path());
    yard.certify(ALPHA);
    let store: Arc<dyn Store> =
        Arc::new(Embedded::open(&config.data_dir, config.store, Arc::clone(clock)).unwrap());
    let client = Client::new(config.client, yard.client(&["h2"]), Arc::clone(clock));
    let node =
        Node::new(config.node, Arc::clone(&store), client, Arc::clone(clock), Arc::new(Metrics::default()));
    (node.unwrap(), store)
}

fn draft(node: &Node, host: &str, id: &str) -> Draft {
    let message = message(ALPHA, host, id, &serde_json::json!({}));
    Draft::decode(message.to_string().as_bytes(), node.host()).unwrap()
}

#[tokio::test]
async fn a_start_with_a_clock_that_is_weeks_ahead_deletes_and_condemns_nothing_for_an_hour() {
    let yard = Yard::new();
    let form = ServiceKey::new("example", "form");
    {
        let (_, clock) = clock(T0);
        let (node, store) = start(&yard, &clock);
        node.submit("app", vec![draft(&node, ALPHA, "own"), draft(&node, BETA, "other")], None)
            .await
            .unwrap();
        assert_eq!(node.drain(Duration::from_secs(5)).await, 0);
        store.close();
    }
    let (passed, ahead) = clock(T0 + 40 * DAY);
    let (node, store) = start(&yard, &ahead);
    let running = node.clone();
    let running = tokio::spawn(async move { running.run().await });
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(node.inbox("app", &form, 10, Duration::ZERO).await.unwrap().len(), 1);
    assert_eq!(node.message("other").unwrap().state, MessageState::Queued);
    passed.store(3_600_001, Ordering::Relaxed);
    let dead = || async { (node.message("other").unwrap().state == MessageState::Dead).then_some(()) };
    eventually("the time to live is over once the clock is trusted", dead).await;
    assert_eq!(node.drain(Duration::from_secs(5)).await, 0);
    running.await.unwrap();
    store.close();
}
