//! Cold exchanges between real nodes: a message for a host that was never spoken to, until its packet is answered.
//!
//! A pair exchanges tokens at most once in 2 s, and a link that was forgotten leaves warm connections; so many nodes play a
//! tournament in which each pair meets once: every exchange is the first of its pair, with two full handshakes, while the
//! processes are warm from the rounds before. CPU of all nodes over a round, by its pairs, less what they use in the same time
//! at rest; the submission, all six commits and the settlement are in it. `cold-warm` is the same for a second message of each
//! pair. Baseline: two bare exchanges, CPU of client and server. `cold-durable` holds the same against those and six plain writes
//! with `fdatasync`: what the promises of an exchange cost where nothing else is done.

use std::time::Duration;

use hyper::Method;

use super::{Baseline, Stage};
use crate::{
    bare::{exchange, file},
    clock,
    figures::{Series, figure},
    load::{Http, bodies::digits},
    node::{
        Host, Node,
        inbox::{self, Seen},
        local::Local,
    },
    outcome::{Failure, Outcome, failed},
    process::cpu_of,
    report::{Goal, Row},
};

/// Nodes; each pair meets once, in one round less.
const NODES: usize = 24;
const NODES_QUICK: usize = 12;
/// Rounds before the first that counts.
const WARM_UP: usize = 3;
const BARE_EXCHANGES: u64 = 60;
/// Of an exchange: the submission, our offer, the grant that came, the grant that was taken, the packet, the settlement.
const COMMITS: f64 = 6.0;
const BARE_COMMITS: u64 = 100;
/// Between two of them: about as long as a node rests between two commits of a round.
const COMMIT_REST: Duration = Duration::from_millis(2);
/// Nodes are at rest that use no more than `STILL`, in microseconds, beyond what they use at rest in this time.
const SETTLE: Duration = Duration::from_millis(100);
const STILL: f64 = 1000.0;
const LOOKS: usize = 60;
/// How long nodes are looked at that do nothing.
const REST: Duration = Duration::from_millis(600);

/// A node and its app.
struct Player {
    node: Node,
    local: Local,
    seen: Seen,
    /// Messages that were sent to it.
    sent: u64,
}

struct Tournament {
    players: Vec<Player>,
    /// Microseconds of CPU of all nodes in a second at rest.
    rest: f64,
}

impl Tournament {
    async fn start(stage: &Stage, count: usize) -> Outcome<Self> {
        let hosts =
            (0..count).map(|at| Host::new(&format!("cold-{at}.test"))).collect::<Outcome<Vec<_>>>()?;
        let mut nodes = Vec::with_capacity(count);
        for host in &hosts {
            let others = hosts.iter().filter(|other| other.name != host.name);
            let pins = others.map(|other| (other.name.as_str(), other.peer));
            nodes.push(host.start(&stage.ground, stage.cores, pins)?);
        }
        let mut players = Vec::with_capacity(count);
        // Not before all run: a node closes a connection on which nothing is asked for long.
        for node in nodes {
            let local = node.local().await?;
            players.push(Player { node, local, seen: Seen::default(), sent: 0 });
        }
        Ok(Self { players, rest: 0.0 })
    }

    /// Who meets whom: everybody once.
    fn pairs(&self, round: usize) -> Vec<(usize, usize)> {
        let others = self.players.len() - 1;
        let turning =
            (1..self.players.len() / 2).map(|k| ((round + k) % others, (round + others - k) % others));
        std::iter::once((others, round % others)).chain(turning).collect()
    }

    fn cpu(&self) -> Outcome<f64> {
        self.players.iter().map(|player| player.node.process.cpu()).sum()
    }

    /// Looks at the nodes at rest.
    async fn rests(&mut self) -> Outcome<()> {
        let (before, began) = (self.cpu()?, clock::now());
        tokio::time::sleep(REST).await;
        self.rest = (self.cpu()? - before) / began.elapsed().as_secs_f64();
        Ok(())
    }

    /// One message for each pair: CPU of all nodes per pair, in microseconds.
    async fn messages(&mut self, pairs: &[(usize, usize)]) -> Outcome<f64> {
        let (before, began) = (self.cpu()?, clock::now());
        for (from, to) in pairs {
            let number = self.players[*to].sent;
            self.players[*to].sent += 1;
            let id = String::from_utf8_lossy(&digits(number)).into_owned();
            let host = self.players[*to].node.host.name.clone();
            let message = format!(
                "{{\"sender\":{{\"protocol\":\"example\",\"service\":\"form\"}},\"id\":\"m{id}-{host}\",\"host\":\"{host}\",\
                 \"protocol\":\"example\",\"service\":\"form\",\"action\":\"put\",\"payload\":{{\"n\":{number}}}}}"
            );
            self.players[*from].local.call(Method::POST, "/v1/messages", message, 202).await?;
        }
        for _ in 0..LOOKS {
            self.settled().await?;
            let used = self.cpu()? - before - self.rest * began.elapsed().as_secs_f64();
            if self.all_there(pairs).await? {
                return Ok(used / figure(pairs.len() as u64));
            }
        }
        failed("a message of a cold exchange did not arrive")
    }

    /// Waits until the nodes do nothing more: reading an inbox is the app's wish and no part of the exchange, so that nobody
    /// looks into one while there is work.
    async fn settled(&self) -> Outcome<()> {
        let mut before = self.cpu()?;
        for _ in 0..LOOKS {
            let began = clock::now();
            tokio::time::sleep(SETTLE).await;
            let now = self.cpu()?;
            if now - before - self.rest * began.elapsed().as_secs_f64() < STILL {
                return Ok(());
            }
            before = now;
        }
        failed("the nodes do not come to rest")
    }

    async fn all_there(&mut self, pairs: &[(usize, usize)]) -> Outcome<bool> {
        for (_, to) in pairs {
            let player = &mut self.players[*to];
            inbox::rest(&mut player.local, &mut player.seen).await?;
            if player.seen.count() < player.sent {
                return Ok(false);
            }
            player.seen.complete(player.sent)?;
        }
        Ok(true)
    }
}

/// What the runs came to: microseconds of CPU.
#[derive(Default)]
struct Figures {
    cold: Series,
    warm: Series,
    bare: Series,
    /// Bare exchanges with the commits.
    durable: Series,
}

/// Plays the rounds that count, a part of them in each run, and makes bare exchanges between the runs.
async fn play(stage: &Stage, tournament: &mut Tournament, baseline: &Baseline) -> Outcome<Figures> {
    let mut figures = Figures::default();
    let left = tournament.players.len() - 1 - WARM_UP;
    let runs = stage.arguments.runs().min(left);
    let rounds = left / runs;
    for run in 0..runs {
        let (mut first, mut second) = (0.0, 0.0);
        tournament.rests().await?;
        for round in 0..rounds {
            let pairs = tournament.pairs(WARM_UP + run * rounds + round);
            first += tournament.messages(&pairs).await?;
            second += tournament.messages(&pairs).await?;
        }
        figures.cold.push(first / figure(rounds as u64));
        figures.warm.push(second / figure(rounds as u64));
        let cpu = || Ok::<_, Failure>(baseline.bare.process.cpu()? + cpu_of(std::process::id())?);
        let before = cpu()?;
        exchange::run(&baseline.target, &baseline.head, BARE_EXCHANGES).await?;
        let exchanges = 2.0 * (cpu()? - before) / figure(BARE_EXCHANGES);
        let path = stage.ground.path().join("commits");
        let commits = COMMITS * file::seldom(&path, BARE_COMMITS, COMMIT_REST).await?;
        figures.bare.push(exchanges);
        figures.durable.push(exchanges + commits);
    }
    Ok(figures)
}

/// The rows.
pub(super) async fn rows(stage: &Stage) -> Outcome<Vec<Row>> {
    let count = if stage.arguments.is_quick() { NODES_QUICK } else { NODES };
    let mut tournament = Tournament::start(stage, count).await?;
    let baseline = Baseline::start(stage, Http::One, 1)?;
    for round in 0..WARM_UP {
        let pairs = tournament.pairs(round);
        tournament.messages(&pairs).await?;
        tournament.messages(&pairs).await?;
    }
    exchange::run(&baseline.target, &baseline.head, BARE_EXCHANGES).await?;
    let Figures { cold, warm, bare, durable } = play(stage, &mut tournament, &baseline).await?;
    for player in tournament.players {
        player.node.end()?;
    }
    Ok(vec![
        Row {
            name: "cold",
            what: "CPU of both nodes for a first message, tokens included, over two bare TLS exchanges",
            unit: "us CPU",
            node: cold.clone(),
            bare: bare.clone(),
            goal: Goal::AtMost(1.35, 1.15),
        },
        Row {
            name: "cold-durable",
            what: "the same over two bare TLS exchanges and six plain writes with fdatasync",
            unit: "us CPU",
            node: cold,
            bare: durable,
            goal: Goal::None,
        },
        Row {
            name: "cold-warm",
            what: "the same for a second message of the pair: what of it is no exchange",
            unit: "us CPU",
            node: warm,
            bare,
            goal: Goal::None,
        },
    ])
}
