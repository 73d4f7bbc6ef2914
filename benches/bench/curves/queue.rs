//! Mail that waits when a node starts, written into its store before: start, first packet, and how fast it goes out.
//!
//! The peers are names on one listener of the benchmark, which answers 204 and counts messages. All are counted to the last.
//! A start wakes 50 peers a second, which bounds the rate where mail waits for a thousand. So a slow peer is looked at later:
//! each peer has had a message when the messages that count are submitted, 1,000 in a call, by turns for all of them.

use std::time::{Duration, Instant};

use hyper::Method;

use super::Point;
use crate::{
    clock,
    figures::{Series, figure},
    load::bodies::{Bodies, Form},
    node::{Host, Node, sink::Sink, stock},
    outcome::Outcome,
    rows::Stage,
};

const PEERS: usize = 1000;
/// Messages for each peer in one run where one does not answer.
const FEW: u64 = 50;

/// What was seen of one queue.
struct Drained {
    start_ms: f64,
    first_ms: f64,
    reached_ms: f64,
    resident: f64,
    rate: f64,
}

/// A million for one peer, and a thousand for each of a thousand.
pub(super) async fn points(stage: &Stage) -> Outcome<Vec<Point>> {
    let all = stage.arguments.count(1_000_000);
    let one = drain(stage, 1, all).await?;
    let many = drain(stage, PEERS, all / PEERS as u64).await?;
    let point = |at: String, seen: &Drained| {
        Point::new("queue", at)
            .with("start ms", seen.start_ms)
            .with("first packet ms after it", seen.first_ms)
            .with("each peer's first packet ms after it", seen.reached_ms)
            .with("resident MiB at the start", seen.resident / f64::from(1 << 20))
            .with("messages/s", seen.rate)
            .goal("start < 2 s", seen.start_ms < 2000.0)
            .goal("first packet < 1 s", seen.first_ms < 1000.0)
    };
    Ok(vec![point(format!("{all} for one peer"), &one), point(format!("{all} for {PEERS} peers"), &many)])
}

/// A thousand peers, all well; and the same with one that takes calls and never answers.
pub(super) async fn slow_peer(stage: &Stage) -> Outcome<Vec<Point>> {
    let mut well = Many::start(stage, PEERS, 1, false).await?;
    let mut slow = Many::start(stage, PEERS, 1, true).await?;
    well.drained().await?;
    slow.drained().await?;
    let (mut well_rate, mut slow_rate) = (Series::default(), Series::default());
    for _ in 0..stage.arguments.runs() {
        well_rate.push(well.submit().await?);
        slow_rate.push(slow.submit().await?);
    }
    well.node.end()?;
    slow.node.end()?;
    let ratio = slow_rate.over(&well_rate);
    let point = Point::new("slow-peer", format!("one of {PEERS} never answers"))
        .with("messages/s to the others", slow_rate.median())
        .with("all well", well_rate.median())
        .with("ratio", ratio.median())
        .with("least", ratio.min())
        .with("most", ratio.max())
        .goal("unchanged within 5 %", ratio.median() >= 0.95);
    Ok(vec![point])
}

/// A node with many peers.
struct Many {
    node: Node,
    sink: Sink,
    hosts: Vec<String>,
    /// The first peer never answers.
    silent: bool,
    started: Duration,
    began: Instant,
    /// Messages that are to come.
    expected: u64,
    /// The number of the next message.
    next: u64,
}

impl Many {
    /// Starts a node with so many messages for each peer.
    async fn start(stage: &Stage, peers: usize, each: u64, silent: bool) -> Outcome<Self> {
        let hosts: Vec<_> = (0..peers).map(stock::name).collect();
        let host = Host::new(&format!("queue-{peers}-{silent}.test"))?;
        host.empty(&stage.ground)?;
        let data = host.data(&stage.ground);
        stage.ground.certify(&[&host.name])?;
        let sink = Sink::start(&stage.ground, silent.then(|| hosts[0].clone())).await?;
        stock::fill(&data, &host.name, peers, each)?;
        let pins = hosts.iter().map(|name| (name.as_str(), sink.address));
        let began = clock::now();
        let node = host.resume(&stage.ground, stage.cores, pins)?;
        let started = began.elapsed();
        let expected = (peers as u64 - u64::from(silent)) * each;
        Ok(Self { node, sink, silent, started, began, expected, next: peers as u64 * each, hosts })
    }

    /// Waits until all has come: when the first came, and the last.
    async fn drained(&mut self) -> Outcome<(Instant, Instant)> {
        self.sink.takes(self.expected).await
    }

    /// Submits `FEW` messages for each peer: messages a second at those that answer.
    async fn submit(&mut self) -> Outcome<f64> {
        let from = self.node.host.name.clone();
        let bodies = |to: &String| Bodies::new(Form::Submission, 1, &from, to);
        let each: Vec<_> = self.hosts.iter().map(bodies).collect();
        let answering = (self.hosts.len() as u64 - u64::from(self.silent)) * FEW;
        let mut local = self.node.local().await?;
        let began = clock::now();
        for _ in 0..FEW {
            let mut body = b"{\"messages\":[".to_vec();
            for bodies in &each {
                bodies.message(self.next, &mut body);
                body.push(b',');
                self.next += 1;
            }
            body.pop();
            body.extend_from_slice(b"]}");
            local.call(Method::POST, "/v1/messages", body, 202).await?;
        }
        self.expected += answering;
        let (_, last) = self.drained().await?;
        Ok(figure(answering) / last.saturating_duration_since(began).as_secs_f64())
    }
}

/// Starts a node with so many messages for each peer, and waits until they are gone.
async fn drain(stage: &Stage, peers: usize, each: u64) -> Outcome<Drained> {
    let mut many = Many::start(stage, peers, each, false).await?;
    let resident = figure(many.node.process.resident()?);
    let (first, last) = many.drained().await?;
    // A packet may come before the ready line is read.
    let since = |at: Instant| at.saturating_duration_since(many.began + many.started).as_secs_f64() * 1000.0;
    let (first_ms, reached_ms) = (since(first), many.sink.reached().map_or(f64::NAN, since));
    let span = last.saturating_duration_since(first).max(Duration::from_millis(1));
    many.node.end()?;
    let start_ms = many.started.as_secs_f64() * 1000.0;
    Ok(Drained { start_ms, first_ms, reached_ms, resident, rate: figure(many.expected) / span.as_secs_f64() })
}
