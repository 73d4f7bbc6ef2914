//! The steps of the demo, and what each must prove before the next begins.
//!
//! ```text
//!   prepare  start  exchange  send  refresh          one round with both nodes well
//!   kill     beta.test ends by SIGKILL with accepted messages under way in both directions
//!   accept   alpha.test goes on accepting for it
//!   restart  beta.test on the same store, and everything arrives
//!   stop     both end in order
//! ```
//!
//! Accepted means answered with 202. An inbox is right if it holds every accepted message, once, in the order of its
//! sender; that of the killed node also what it had received before.

use std::ops::Range;

use tokio::try_join;

use super::{
    calls::{counters, delivered, inbox, link, linked, submit, waiting},
    child::Node,
    proof::{Proof, in_order, ms},
    scene::Scene,
    stage::Stage,
};
use crate::cli::output::{CliError, Outcome};

/// One telling.
pub(super) struct Story<'s, 'a, 'b> {
    stage: &'s mut Stage<'a, 'b>,
    /// That each node sends in each of the two rounds.
    messages: u64,
    proof: Proof,
}

/// Plays all steps and tells the summary. The nodes end with it, however it ends.
pub(super) async fn tell(scene: &Scene, messages: u64, stage: &mut Stage<'_, '_>) -> Outcome {
    stage.begin("prepare");
    let mut story = Story { stage, messages, proof: Proof::new(messages) };
    let (alpha, beta) = story.start(scene).await?;
    story.exchange(&alpha, &beta).await?;
    story.send(&alpha, &beta).await?;
    story.refresh(&alpha, &beta).await?;
    let host = beta.host.clone();
    story.kill(&alpha, beta).await?;
    story.accept(&alpha, host.name.as_str()).await?;
    story.stage.begin("restart");
    let beta = Node::start(&host).await?;
    story.restart(&alpha, &beta).await?;
    story.stop(alpha, beta).await?;
    let (lines, facts) = (story.proof.lines(), story.proof.facts());
    let head = format!("proven in {:.1} s", story.stage.since_start().as_secs_f64());
    story.stage.summary(&head, &lines, &facts)
}

impl Story<'_, '_, '_> {
    async fn start(&mut self, scene: &Scene) -> Result<(Node, Node), CliError> {
        self.stage.done(&format!(
            "a CA, a certificate and a configuration for each node in {}",
            scene.path().display()
        ))?;
        self.stage.begin("start");
        let (alpha, beta) = try_join!(Node::start(&scene.alpha), Node::start(&scene.beta))?;
        for node in [&alpha, &beta] {
            let host = &node.host;
            self.stage.done(&format!(
                "{} is ready: process {}, port {}",
                host.name.as_str(),
                node.pid(),
                host.port
            ))?;
        }
        Ok((alpha, beta))
    }

    async fn exchange(&mut self, alpha: &Node, beta: &Node) -> Outcome {
        self.stage.begin("exchange");
        link(alpha, beta.name(), Some("connect")).await?;
        try_join!(linked(alpha, beta.name()), linked(beta, alpha.name()))?;
        self.proof.exchange = self.stage.took();
        self.proof.exchanges = exchanges(alpha).await? + exchanges(beta).await?;
        self.stage
            .done(&format!("alpha.test asked, beta.test called back: linked in {}", ms(self.proof.exchange)))
    }

    async fn send(&mut self, alpha: &Node, beta: &Node) -> Outcome {
        self.stage.begin("send");
        let all = 0..self.messages;
        self.submit_both(alpha, beta, 1, all).await?;
        self.stage.done(&format!("each node accepted {} messages for the other", self.messages))?;
        try_join!(delivered(alpha, beta.name()), delivered(beta, alpha.name()))?;
        self.proof.round = self.stage.took();
        self.check_inboxes(alpha, beta, 1).await?;
        self.stage.done(&format!(
            "all {} arrived, in order, none twice, in {}",
            2 * self.messages,
            ms(self.proof.round)
        ))
    }

    async fn refresh(&mut self, alpha: &Node, beta: &Node) -> Outcome {
        self.stage.begin("refresh");
        link(alpha, beta.name(), Some("refresh")).await?;
        self.proof.refresh = self.stage.took();
        let asked = counters(&alpha.remote).await?.of("ymp_refreshes_out_total");
        let given = counters(&beta.remote).await?.of("ymp_refreshes_in_total");
        if (asked, given) != (1, 1) {
            let what = format!("one refresh was asked for; the nodes counted {asked} and {given}");
            return Err(CliError::failed(what, ""));
        }
        self.proof.refreshes = asked;
        self.stage
            .done(&format!("alpha.test has new tokens after {}: one per 2 s at most", ms(self.proof.refresh)))
    }

    /// Half a round is accepted by both nodes, and in the next moment one of them is gone.
    async fn kill(&mut self, alpha: &Node, beta: Node) -> Outcome {
        self.stage.begin("kill");
        let half = 0..self.half();
        self.proof.exchanges_before = exchanges(alpha).await?;
        self.proof.beta_commits = counters(&beta.remote).await?.of("ymp_store_commits_total");
        self.submit_both(alpha, &beta, 2, half.clone()).await?;
        let name = beta.host.name.clone();
        beta.kill()?;
        self.proof.to_beta = waiting(alpha, name.as_str()).await?;
        let arrived = u64::try_from(inbox(alpha).await?.len()).unwrap_or(u64::MAX);
        self.proof.from_beta = (self.messages + half.end).saturating_sub(arrived);
        self.stage.done(&format!(
            "beta.test killed (SIGKILL): {} under way to it, {} from it",
            self.proof.to_beta, self.proof.from_beta
        ))
    }

    async fn accept(&mut self, alpha: &Node, beta: &str) -> Outcome {
        self.stage.begin("accept");
        self.proof.accepted_by_alpha += submit(alpha, beta, 2, self.half()..self.messages).await?;
        let queued = waiting(alpha, beta).await?;
        self.stage.done(&format!("alpha.test went on accepting: {queued} wait for beta.test"))
    }

    async fn restart(&mut self, alpha: &Node, beta: &Node) -> Outcome {
        self.proof.ready = self.stage.took();
        self.stage.done(&format!("beta.test is ready on the same store after {}", ms(self.proof.ready)))?;
        self.proof.accepted_by_beta += submit(beta, alpha.name(), 2, self.half()..self.messages).await?;
        try_join!(delivered(alpha, beta.name()), delivered(beta, alpha.name()))?;
        self.proof.recovered = self.stage.took();
        self.check_inboxes(alpha, beta, 2).await?;
        let anew = exchanges(alpha).await?.saturating_sub(self.proof.exchanges_before);
        self.proof.exchanges_after = anew + exchanges(beta).await?;
        self.proof.count(&counters(&alpha.remote).await?, &counters(&beta.remote).await?);
        self.stage.done(&format!(
            "all {} arrived, in order, none twice, after {}",
            2 * self.messages,
            ms(self.proof.recovered)
        ))?;
        self.stage.done(&format!(
            "what beta.test had received is there; new exchanges: {}",
            self.proof.exchanges_after
        ))
    }

    async fn stop(&mut self, alpha: Node, beta: Node) -> Outcome {
        self.stage.begin("stop");
        try_join!(alpha.stop(), beta.stop())?;
        self.stage.done("both were told to stop (SIGTERM) and ended with code 0")
    }

    async fn submit_both(&mut self, alpha: &Node, beta: &Node, round: u64, numbers: Range<u64>) -> Outcome {
        let to_beta = submit(alpha, beta.name(), round, numbers.clone());
        let (to_beta, to_alpha) = try_join!(to_beta, submit(beta, alpha.name(), round, numbers))?;
        self.proof.accepted_by_alpha += to_beta;
        self.proof.accepted_by_beta += to_alpha;
        Ok(())
    }

    async fn check_inboxes(&mut self, alpha: &Node, beta: &Node, rounds: u64) -> Outcome {
        self.proof.arrived = 0;
        for node in [alpha, beta] {
            let seen = inbox(node).await?;
            in_order(&seen, rounds, self.messages).map_err(|what| {
                CliError::failed(format!("the inbox of {} is wrong: {what}", node.host.name), "")
            })?;
            self.proof.arrived += seen.len() as u64;
        }
        Ok(())
    }

    /// What is accepted before the kill.
    fn half(&self) -> u64 {
        self.messages.div_ceil(2)
    }
}

/// Exchanges that a node began since it was started.
async fn exchanges(node: &Node) -> Result<u64, CliError> {
    Ok(counters(&node.remote).await?.of("ymp_exchanges_started_total"))
}
