//! One packet in flight on a warm connection, to its 204, against a bare round trip and one synced append to the same disk: by
//! themselves, and by a bare server that makes the append before it answers (a sync that comes after a rest takes longer than one
//! that follows the last).

use std::time::Duration;

use super::{Baseline, Stage, receive::Receiver};
use crate::{
    bare::server::SYNCED,
    figures::Series,
    load::{Head, Http, Lines, Until},
    machine::sync_cost,
    outcome::Outcome,
    report::{Goal, Row},
};

const TIME: Duration = Duration::from_millis(1500);
const WARM_UP: Duration = Duration::from_millis(300);
const SYNCS: usize = 2000;

/// The row.
pub(super) async fn rows(stage: &Stage) -> Outcome<Vec<Row>> {
    let mut receiver = Receiver::start(stage, Http::Two, 1).await?;
    let baseline = Baseline::start(stage, Http::Two, 1)?;
    let synced = Head { path: SYNCED.to_owned(), ..baseline.head.clone() };
    let (mut node, mut bare, mut in_line) = (Series::default(), Series::default(), Series::default());
    for run in 0..=stage.arguments.runs() {
        let time = if run == 0 { WARM_UP } else { stage.arguments.span(TIME) };
        let lines = Lines::open(&receiver.target, 1, 1).await?;
        let durable = lines.load(&receiver.head, &receiver.bodies, Until::Time(time)).await?;
        receiver.nothing_is_lost().await?;
        let lines = Lines::open(&baseline.target, 1, 1).await?;
        let round_trip = lines.load(&baseline.head, &baseline.bodies, Until::Time(time)).await?;
        let lines = Lines::open(&baseline.target, 1, 1).await?;
        let in_turn = lines.load(&synced, &baseline.bodies, Until::Time(time)).await?;
        let sync = sync_cost(stage.ground.path(), SYNCS)?;
        if run > 0 {
            node.push(1e6 / durable.rate());
            bare.push(1e6 / round_trip.rate() + sync.mean);
            in_line.push(1e6 / in_turn.rate());
        }
    }
    receiver.node.end()?;
    let what = "mean to the 204, one packet in flight, over a bare round trip and one fdatasync";
    let goal = Goal::AtMost(1.6, 1.3);
    let sum = Row { name: "latency", what, unit: "us", node: node.clone(), bare, goal };
    let what = "the same over a bare server that writes and syncs before it answers";
    let in_line = Row { name: "latency-in-line", what, unit: "us", node, bare: in_line, goal: Goal::None };
    Ok(vec![sum, in_line])
}
