//! Idle links: written into the store before the node starts, as exchanges leave them.
//!
//! Memory is the resident set a second after the ready line, against the node with one link. The token's cost is the CPU
//! of a packet without messages, which touches no disk, over 64 connections that show 64 tokens spread over all links.

use std::{sync::Arc, time::Duration};

use super::Point;
use crate::{
    clock,
    figures::{Series, figure},
    load::{
        Http, Lines, Until,
        bodies::{Bodies, Form},
    },
    node::{Host, stock},
    outcome::Outcome,
    rows::Stage,
};

const COUNTS: [usize; 4] = [1, 1_000, 10_000, 100_000];
const SETTLE: Duration = Duration::from_secs(1);
const TIME: Duration = Duration::from_secs(1);
const CONNECTIONS: usize = 64;

/// What was seen at one count.
struct Seen {
    start_ms: f64,
    resident: f64,
    packet_cpu: f64,
}

/// The points.
pub(super) async fn points(stage: &Stage) -> Outcome<Vec<Point>> {
    let mut points = Vec::new();
    let mut first: Option<Seen> = None;
    for count in COUNTS {
        let seen = look(stage, count).await?;
        let mut point = Point::new("links", format!("{count} links"))
            .with("start ms", seen.start_ms)
            .with("resident MiB", seen.resident / f64::from(1 << 20))
            .with("us CPU of an empty packet", seen.packet_cpu);
        if let Some(one) = &first {
            let each = (seen.resident - one.resident) / figure(count as u64 - 1) / 1024.0;
            let slower = seen.packet_cpu / one.packet_cpu;
            point = point.with("KiB a link", each).with("token cost", slower);
            point = point.goal("<= 4 KiB a link", each <= 4.0).goal("token cost <= 3x", slower <= 3.0);
        } else {
            first = Some(seen);
        }
        points.push(point);
    }
    Ok(points)
}

async fn look(stage: &Stage, count: usize) -> Outcome<Seen> {
    let host = Host::new(&format!("links-{count}.test"))?;
    host.empty(&stage.ground)?;
    stock::fill(&host.data(&stage.ground), &host.name, count, 0)?;
    let began = clock::now();
    let node = host.resume(&stage.ground, stage.cores, [])?;
    let start_ms = began.elapsed().as_secs_f64() * 1000.0;
    tokio::time::sleep(SETTLE).await;
    let resident = figure(node.process.resident()?);
    let bodies = Arc::new(Bodies::new(Form::Packet, 0, "p0.many.test", &host.name));
    let heads: Vec<_> = (0..CONNECTIONS)
        .map(|line| node.packet_head(&stock::given(&stock::name(line * count / CONNECTIONS))))
        .collect();
    let mut cpu = Series::default();
    for _ in 0..stage.arguments.runs() {
        let lines = Lines::open(&node.target(Http::Two)?, CONNECTIONS, 4).await?;
        let before = node.process.cpu()?;
        let tally = lines.load_as(&heads, &bodies, Until::Time(stage.arguments.span(TIME))).await?;
        cpu.push((node.process.cpu()? - before) / figure(tally.requests));
    }
    node.end()?;
    Ok(Seen { start_ms, resident, packet_cpu: cpu.median() })
}
