//! Packets of other sizes, other numbers at once, and with a second core.

use std::{sync::Arc, time::Duration};

use super::Point;
use crate::{
    figures::{Series, figure},
    load::{
        Http, Lines, Until,
        bodies::{Bodies, Form},
        line::Target,
    },
    machine::Cores,
    outcome::Outcome,
    process::Process,
    rows::{Baseline, Receiver, Side, Stage},
};

const TIME: Duration = Duration::from_secs(1);
/// Bytes of a packet with one message; the last is `limits.packet-bytes`.
const SIZES: [usize; 6] = [300, 516, 4 << 10, 32 << 10, 256 << 10, 1 << 20];
const CONNECTIONS: usize = 8;
/// Bytes of bodies under way where packets are large: a node takes 32 MiB from one address.
const UNDER_WAY: usize = 16 << 20;
/// Connections and the requests at once on each.
const AT_ONCE: [(usize, usize); 7] = [(1, 1), (1, 8), (2, 32), (8, 32), (16, 64), (32, 64), (64, 64)];

/// CPU per packet by its size, against the bare server.
pub(super) async fn sizes(stage: &Stage) -> Outcome<Vec<Point>> {
    let mut points = Vec::new();
    for bytes in SIZES {
        let mut both = Both::start(stage).await?;
        both.receiver.weighing(bytes);
        both.baseline.bodies = Arc::new(Bodies::weighing(Form::Packet, 1, bytes, "load.test", "node.test"));
        let streams = (UNDER_WAY / CONNECTIONS / bytes).clamp(1, 32);
        points
            .push(both.point("size", format!("{bytes} bytes a packet"), stage, CONNECTIONS, streams).await?);
        both.receiver.node.end()?;
    }
    Ok(points)
}

/// Rate and CPU by how many requests are under way.
pub(super) async fn concurrency(stage: &Stage) -> Outcome<Vec<Point>> {
    let mut both = Both::start(stage).await?;
    let mut points = Vec::new();
    for (connections, streams) in AT_ONCE {
        let at = format!("{} at once", connections * streams);
        points.push(both.point("concurrency", at, stage, connections, streams).await?);
    }
    both.receiver.node.end()?;
    Ok(points)
}

/// The node and the bare server.
struct Both {
    receiver: Receiver,
    baseline: Baseline,
}

impl Both {
    async fn start(stage: &Stage) -> Outcome<Self> {
        let receiver = Receiver::start(stage, Http::Two, 1).await?;
        Ok(Self { receiver, baseline: Baseline::start(stage, Http::Two, 1)? })
    }

    async fn point(
        &mut self,
        curve: &'static str,
        at: String,
        stage: &Stage,
        connections: usize,
        streams: usize,
    ) -> Outcome<Point> {
        let time = Until::Time(stage.arguments.span(TIME));
        let Self { receiver, baseline } = self;
        let mut figures: [Series; 4] = Default::default();
        for _ in 0..stage.arguments.runs() {
            let lines = spread(&receiver.target, connections, streams).await?;
            let before = receiver.node.process.cpu()?;
            let tally = lines.load(&receiver.head, &receiver.bodies, time).await?;
            figures[0].push(tally.rate());
            figures[1].push(each(&receiver.node.process, before, tally.requests)?);
            receiver.nothing_is_lost().await?;
            let lines = spread(&baseline.target, connections, streams).await?;
            let before = baseline.bare.process.cpu()?;
            let tally = lines.load(&baseline.head, &baseline.bodies, time).await?;
            figures[2].push(tally.rate());
            figures[3].push(each(&baseline.bare.process, before, tally.requests)?);
        }
        let [rate, cpu, bare_rate, bare_cpu] = figures;
        Ok(Point::new(curve, at)
            .with("packets/s", rate.median())
            .with("rate over bare", rate.over(&bare_rate).median())
            .with("us CPU", cpu.median())
            .with("CPU over bare", cpu.over(&bare_cpu).median()))
    }
}

fn each(process: &Process, before: f64, requests: u64) -> Outcome<f64> {
    Ok((process.cpu()? - before) / figure(requests))
}

/// A node takes 512 requests at once from one address: the connections come from 16.
async fn spread(target: &Target, connections: usize, streams: usize) -> Outcome<Lines> {
    Lines::open(&Target { addresses: 16, ..target.clone() }, connections, streams).await
}

/// The usual load on one core, and on both with the load beside it.
pub(super) async fn cores(stage: &Stage) -> Outcome<Vec<Point>> {
    let free = Stage {
        ground: stage.ground.clone(),
        cores: Cores { pinned: false },
        arguments: stage.arguments.clone(),
    };
    let (mut one, mut two) = (Side::default(), Side::default());
    let mut receiver = Receiver::start(stage, Http::Two, 1).await?;
    for _ in 0..stage.arguments.runs() {
        receiver.measure(&mut one, stage.arguments.span(TIME)).await?;
    }
    receiver.node.end()?;
    let mut receiver = Receiver::start(&free, Http::Two, 1).await?;
    for _ in 0..stage.arguments.runs() {
        receiver.measure(&mut two, stage.arguments.span(TIME)).await?;
    }
    receiver.node.end()?;
    let point = |at: &str, side: &Side| {
        Point::new("cores", at).with("packets/s", side.rate.median()).with("us CPU", side.cpu.median())
    };
    let gain = two.rate.median() / one.rate.median();
    Ok(vec![point("one core", &one), point("all, the load on one of them", &two).with("rate over one", gain)])
}
