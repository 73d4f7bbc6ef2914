//! The rows of the table, by group: what each does, what it is held against, what it should come to.
//!
//! Both sides of a row alternate within one run of the benchmark, and each ratio is of two neighbours.

use std::{sync::Arc, time::Duration};

use crate::{
    arguments::Arguments,
    bare::server::Bare,
    figures::{Series, figure},
    ground::Ground,
    load::{
        Head, Http, Lines, Tally, Until,
        bodies::{Bodies, Form},
        line::Target,
    },
    machine::Cores,
    outcome::Outcome,
    process::Process,
    report::Row,
};

pub(crate) mod append;
pub(crate) mod cold;
pub(crate) mod latency;
pub(crate) mod receive;
pub(crate) mod whole;

pub(crate) use receive::Receiver;

/// The node that packets are sent to.
const NODE: &str = "node.test";
/// The host that sends them.
pub(crate) const PEER: &str = "load.test";

/// The groups, in the order in which they run.
pub(crate) const GROUPS: &[&str] =
    &["receive", "receive-h1", "append", "latency", "cold", "whole-1", "whole-100"];

/// What all rows need.
pub(crate) struct Stage {
    /// The folder.
    pub(crate) ground: Ground,
    /// Which core does what.
    pub(crate) cores: Cores,
    /// What was asked for.
    pub(crate) arguments: Arguments,
}

/// Measures one group.
///
/// # Errors
/// A wrong answer, a lost message, or something that does not run.
pub(crate) async fn group(stage: &Stage, name: &str) -> Outcome<Vec<Row>> {
    match name {
        "receive" => receive::http2(stage).await,
        "receive-h1" => receive::http1(stage).await,
        "append" => append::rows(stage),
        "latency" => latency::rows(stage).await,
        "cold" => cold::rows(stage).await,
        "whole-1" => whole::one(stage).await,
        "whole-100" => whole::hundred(stage).await,
        _ => Ok(Vec::new()),
    }
}

/// One side of a row, run by run.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// Requests per second.
    pub(crate) rate: Series,
    /// Microseconds of the server's CPU per request.
    pub(crate) cpu: Series,
}

impl Side {
    /// Makes one load on this server and takes in its figures.
    async fn measure(
        &mut self,
        process: &Process,
        target: &Target,
        head: &Head,
        bodies: &Arc<Bodies>,
        time: Duration,
    ) -> Outcome<Tally> {
        let lines = Lines::usual(target).await?;
        let before = process.cpu()?;
        let tally = lines.load(head, bodies, Until::Time(time)).await?;
        self.rate.push(tally.rate());
        self.cpu.push((process.cpu()? - before) / figure(tally.requests));
        Ok(tally)
    }
}

/// A bare server and what is sent to it.
pub(crate) struct Baseline {
    /// Its process.
    pub(crate) bare: Bare,
    /// Where it is.
    pub(crate) target: Target,
    /// Of each request.
    pub(crate) head: Head,
    /// Of each request.
    pub(crate) bodies: Arc<Bodies>,
}

impl Baseline {
    /// Packets of so many messages.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start(stage: &Stage, http: Http, messages: usize) -> Outcome<Self> {
        let bare = Bare::start(&stage.ground, stage.cores)?;
        let head = Head {
            authority: bare.authority(),
            path: "/packet".to_owned(),
            // As long as a node's.
            bearer: "t".repeat(43),
            expect: 204,
        };
        let bodies = Arc::new(Bodies::new(Form::Packet, messages, PEER, NODE));
        Ok(Self { target: bare.target(http)?, head, bodies, bare })
    }

    /// Makes one load.
    ///
    /// # Errors
    /// A wrong answer.
    pub(crate) async fn measure(&self, side: &mut Side, time: Duration) -> Outcome<Tally> {
        side.measure(&self.bare.process, &self.target, &self.head, &self.bodies, time).await
    }
}
