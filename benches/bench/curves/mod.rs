//! Curves: how a figure goes as something grows. `--curves`, in its own time, each curve by itself with `--only`.
//!
//! - `links`: memory, start and the cost of a packet's token, from one link to 100,000.
//! - `queue`: mail that waits at a start, for one peer and for 1,000; and a peer among 1,000 that takes calls and never
//!   answers.
//! - `readers`: 1 to 100 long polls or streams on an inbox that a peer sends to.
//! - `shape`: message size, requests at once, two cores against one.

use serde_json::{Value, json};

use crate::{outcome::Outcome, rows::Stage};

mod links;
mod queue;
mod readers;
mod shape;

/// The curves, in the order in which they run.
pub(crate) const CURVES: &[&str] =
    &["links", "queue", "slow-peer", "readers", "size", "concurrency", "cores"];

/// One point of a curve.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    curve: &'static str,
    at: String,
    figures: Vec<(&'static str, f64)>,
    /// Each goal and whether it was met.
    goals: Vec<(String, bool)>,
}

impl Point {
    fn new(curve: &'static str, at: impl Into<String>) -> Self {
        Self { curve, at: at.into(), figures: Vec::new(), goals: Vec::new() }
    }

    fn with(mut self, name: &'static str, figure: f64) -> Self {
        self.figures.push((name, figure));
        self
    }

    fn goal(mut self, what: impl Into<String>, met: bool) -> Self {
        self.goals.push((what.into(), met));
        self
    }

    /// As a line.
    pub(crate) fn line(&self) -> String {
        let figures: Vec<_> =
            self.figures.iter().map(|(name, figure)| format!("{name} {figure:.2}")).collect();
        let goals: String = self
            .goals
            .iter()
            .map(|(what, met)| format!("  [{what}: {}]", if *met { "met" } else { "MISSED" }))
            .collect();
        format!("{:<12} {:<28} {}{goals}", self.curve, self.at, figures.join(", "))
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        let figures: serde_json::Map<_, _> =
            self.figures.iter().map(|(name, figure)| ((*name).to_owned(), json!(figure))).collect();
        let goals: Vec<_> = self.goals.iter().map(|(what, met)| json!({"goal": what, "met": met})).collect();
        json!({"curve": self.curve, "at": self.at, "figures": figures, "goals": goals})
    }
}

/// Measures one curve.
///
/// # Errors
/// A wrong answer, or something that does not run.
pub(crate) async fn curve(stage: &Stage, name: &str) -> Outcome<Vec<Point>> {
    match name {
        "links" => links::points(stage).await,
        "queue" => queue::points(stage).await,
        "slow-peer" => queue::slow_peer(stage).await,
        "readers" => readers::points(stage).await,
        "size" => shape::sizes(stage).await,
        "concurrency" => shape::concurrency(stage).await,
        "cores" => shape::cores(stage).await,
        _ => Ok(Vec::new()),
    }
}
