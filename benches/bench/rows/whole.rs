//! The whole way from app to app: 64 submitters at one node, a reader that acknowledges at the other, durable at both.
//!
//! CPU of both nodes per message, from the first submission until the reader has all, against the bare server's CPU per
//! request of one message. Both nodes run on the servers' core, submitters and reader on the other.

use std::{sync::Arc, time::Duration};

use super::{Baseline, Side, Stage};
use crate::{
    clock,
    figures::{Series, figure},
    load::{
        Http, Lines, Until,
        bodies::{Bodies, Form},
    },
    node::{
        Host, Node,
        inbox::{self, Seen},
        local::Local,
    },
    outcome::Outcome,
    report::{Goal, Row},
};

const BARE_TIME: Duration = Duration::from_secs(1);
/// After the reader has all: the sender's last settlement.
const SETTLED: Duration = Duration::from_millis(50);

/// Two nodes that know each other.
struct Way {
    from: Node,
    to: Node,
    bodies: Arc<Bodies>,
    reader: Local,
    seen: Seen,
}

impl Way {
    fn name(side: &str, messages: usize) -> String {
        format!("{side}-{messages}.test")
    }

    async fn start(stage: &Stage, messages: usize) -> Outcome<Self> {
        let from = Host::new(&Self::name("from", messages))?;
        let to = Host::new(&Self::name("to", messages))?;
        let start = |host: &Host, other: &Host| {
            host.start(&stage.ground, stage.cores, [(other.name.as_str(), other.peer)])
        };
        let bodies = Arc::new(Bodies::new(Form::Submission, messages, &from.name, &to.name));
        let (from, to) = (start(&from, &to)?, start(&to, &from)?);
        let reader = to.local().await?;
        Ok(Self { from, to, bodies, reader, seen: Seen::default() })
    }

    /// So many messages: CPU of both nodes per message in microseconds, and messages a second at the reader.
    async fn run(&mut self, messages: u64) -> Outcome<(f64, f64)> {
        let submissions = messages / self.bodies.messages();
        let messages = submissions * self.bodies.messages();
        let lines = Lines::open(&self.from.local_target(), 64, 1).await?;
        let cpu =
            |way: &Self| Ok::<_, crate::outcome::Failure>(way.from.process.cpu()? + way.to.process.cpu()?);
        let before = cpu(self)?;
        let began = clock::now();
        let (head, bodies) = (self.from.local_head(), Arc::clone(&self.bodies));
        let submitting =
            tokio::spawn(async move { lines.load(&head, &bodies, Until::Count(submissions)).await });
        let all = self.seen.count() + messages;
        inbox::until(&mut self.reader, &mut self.seen, all).await?;
        let rate = figure(messages) / began.elapsed().as_secs_f64();
        submitting.await??;
        tokio::time::sleep(SETTLED).await;
        self.seen.complete(self.bodies.next())?;
        Ok(((cpu(self)? - before) / figure(messages), rate))
    }
}

async fn measure(stage: &Stage, messages: usize, count: u64) -> Outcome<[(Series, Series); 2]> {
    let mut way = Way::start(stage, messages).await?;
    let baseline = Baseline::start(stage, Http::Two, 1)?;
    // Links the two and warms both.
    way.run(count / 10).await?;
    baseline.measure(&mut Side::default(), stage.arguments.span(BARE_TIME)).await?;
    let (mut cpu, mut rate, mut bare) = (Series::default(), Series::default(), Side::default());
    for _ in 0..stage.arguments.runs() {
        let (each, per_second) = way.run(stage.arguments.count(count)).await?;
        cpu.push(each);
        rate.push(per_second);
        baseline.measure(&mut bare, stage.arguments.span(BARE_TIME)).await?;
    }
    way.from.end()?;
    way.to.end()?;
    Ok([(cpu, bare.cpu), (rate, bare.rate)])
}

/// One message in each submission.
pub(super) async fn one(stage: &Stage) -> Outcome<Vec<Row>> {
    let [cpu, rate] = measure(stage, 1, 30_000).await?;
    Ok(vec![
        Row {
            name: "whole-1-cpu",
            what: "app to app, a message a submission: CPU of both nodes per message over bare CPU per request",
            unit: "us CPU/msg",
            node: cpu.0,
            bare: cpu.1,
            goal: Goal::AtMost(7.0, 5.0),
        },
        Row {
            name: "whole-1",
            what: "messages a second at the reader over bare requests a second",
            unit: "messages/s",
            node: rate.0,
            bare: rate.1,
            goal: Goal::None,
        },
    ])
}

/// A hundred messages in each submission.
pub(super) async fn hundred(stage: &Stage) -> Outcome<Vec<Row>> {
    let [cpu, rate] = measure(stage, 100, 150_000).await?;
    Ok(vec![
        Row {
            name: "whole-100-cpu",
            what: "the same, 100 messages a submission",
            unit: "us CPU/msg",
            node: cpu.0,
            bare: cpu.1,
            goal: Goal::AtMost(2.0, 1.2),
        },
        Row {
            name: "whole-100",
            what: "the same, messages a second at the reader over bare requests a second",
            unit: "messages/s",
            node: rate.0,
            bare: rate.1,
            goal: Goal::None,
        },
    ])
}
