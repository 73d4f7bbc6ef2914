//! Durable receive: packets to one node's peer port, against the same bodies to the bare server.
//!
//! Every message is new; what the node answered 204 to is read from its inbox after each run and must all be there.

use std::{sync::Arc, time::Duration};

use super::{Baseline, NODE, PEER, Side, Stage};
use crate::{
    load::{
        Head, Http,
        bodies::{Bodies, Form},
        line::Target,
    },
    node::{
        Host, Node,
        inbox::{self, Seen},
        local::Local,
        peer::Peer,
    },
    outcome::Outcome,
    report::{Goal, Row},
};

const TIME: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(500);

/// A node that takes packets, and what was sent to it.
pub(crate) struct Receiver {
    pub(crate) node: Node,
    pub(crate) target: Target,
    pub(crate) head: Head,
    pub(crate) bodies: Arc<Bodies>,
    local: Local,
    seen: Seen,
    // Its listener lives as long as the link.
    _peer: Peer,
}

impl Receiver {
    /// A node with a link, for packets of so many messages.
    pub(crate) async fn start(stage: &Stage, http: Http, messages: usize) -> Outcome<Self> {
        let mut peer = Peer::start(&stage.ground, PEER).await?;
        let pin = [(PEER, peer.address)];
        let node = Host::new(&format!("{messages}.{NODE}"))?.start(&stage.ground, stage.cores, pin)?;
        let head = node.packet_head(&peer.link(&node).await?);
        let bodies = Arc::new(Bodies::new(Form::Packet, messages, PEER, &node.host.name));
        let (target, local) = (node.target(http)?, node.local().await?);
        Ok(Self { node, target, head, bodies, local, seen: Seen::default(), _peer: peer })
    }

    /// Packets of this many bytes from here on.
    pub(crate) fn weighing(&mut self, bytes: usize) {
        let to = self.node.host.name.as_str();
        self.bodies = Arc::new(Bodies::weighing(Form::Packet, 1, bytes, PEER, to));
    }

    /// Reads the inbox to its end: everything that was sent so far has come, once.
    pub(crate) async fn nothing_is_lost(&mut self) -> Outcome<()> {
        inbox::rest(&mut self.local, &mut self.seen).await?;
        self.seen.complete(self.bodies.next())
    }

    /// Makes one load and reads the inbox.
    ///
    /// # Errors
    /// A wrong answer, or a message is lost.
    pub(crate) async fn measure(&mut self, side: &mut Side, time: Duration) -> Outcome<()> {
        side.measure(&self.node.process, &self.target, &self.head, &self.bodies, time).await?;
        self.nothing_is_lost().await
    }
}

/// The node and the bare server at packets of one size.
struct Pair {
    receiver: Receiver,
    baseline: Baseline,
    node: Side,
    bare: Side,
}

impl Pair {
    async fn start(stage: &Stage, http: Http, messages: usize) -> Outcome<Self> {
        let mut receiver = Receiver::start(stage, http, messages).await?;
        let baseline = Baseline::start(stage, http, messages)?;
        receiver.measure(&mut Side::default(), WARM_UP).await?;
        baseline.measure(&mut Side::default(), WARM_UP).await?;
        Ok(Self { receiver, baseline, node: Side::default(), bare: Side::default() })
    }

    async fn run(&mut self, time: Duration) -> Outcome<()> {
        self.receiver.measure(&mut self.node, time).await?;
        self.baseline.measure(&mut self.bare, time).await?;
        Ok(())
    }

    fn rate(&self, name: &'static str, what: &'static str, goal: Goal) -> Row {
        let (node, bare) = (self.node.rate.clone(), self.bare.rate.clone());
        Row { name, what, unit: "packets/s", node, bare, goal }
    }

    fn cpu(&self, name: &'static str, what: &'static str, goal: Goal) -> Row {
        let (node, bare) = (self.node.cpu.clone(), self.bare.cpu.clone());
        Row { name, what, unit: "us CPU/pkt", node, bare, goal }
    }
}

/// Packets of 1 and of 100 messages over HTTP/2.
pub(super) async fn http2(stage: &Stage) -> Outcome<Vec<Row>> {
    let mut one = Pair::start(stage, Http::Two, 1).await?;
    let mut hundred = Pair::start(stage, Http::Two, 100).await?;
    let time = stage.arguments.span(TIME);
    for _ in 0..stage.arguments.runs() {
        one.run(time).await?;
        hundred.run(time).await?;
    }
    let rows = vec![
        one.cpu(
            "receive-1-cpu",
            "CPU per packet of one message, durable: node over bare server",
            Goal::AtMost(2.2, 1.8),
        ),
        one.rate(
            "receive-1",
            "packets of one message a second, one core: node over bare server",
            Goal::AtLeast(0.45, 0.55),
        ),
        hundred.cpu("receive-100-cpu", "CPU per packet of 100 messages: node over bare server", Goal::None),
        hundred.rate(
            "receive-100",
            "packets of 100 messages a second, one core: node over bare server",
            Goal::AtLeast(0.20, 0.25),
        ),
        Row {
            name: "coalescing",
            what: "CPU per message in packets of 100 (left) over packets of one (right), both at the node",
            unit: "us CPU/msg",
            node: hundred.node.cpu.times(0.01),
            bare: one.node.cpu.clone(),
            goal: Goal::AtMost(1.0 / 7.0, 1.0 / 9.0),
        },
    ];
    one.receiver.node.end()?;
    hundred.receiver.node.end()?;
    Ok(rows)
}

/// Packets of one message over 64 connections of HTTP/1.1.
pub(super) async fn http1(stage: &Stage) -> Outcome<Vec<Row>> {
    let mut pair = Pair::start(stage, Http::One, 1).await?;
    for _ in 0..stage.arguments.runs() {
        pair.run(stage.arguments.span(TIME)).await?;
    }
    let rows = vec![
        pair.cpu("receive-1-h1-cpu", "the same over HTTP/1.1, 64 connections", Goal::None),
        pair.rate("receive-1-h1", "the same over HTTP/1.1, 64 connections", Goal::None),
    ];
    pair.receiver.node.end()?;
    Ok(rows)
}
