//! What is told: a table of ratios, and the same as JSON.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark is read on a terminal")]

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::figures::Series;

/// What a ratio should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// Goal and stretch; more is better.
    AtLeast(f64, f64),
    /// Goal and stretch; less is better.
    AtMost(f64, f64),
    /// For information.
    None,
}

impl Goal {
    fn verdict(self, ratio: f64) -> &'static str {
        let (goal, stretch) = match self {
            Self::AtLeast(goal, stretch) => (ratio >= goal, ratio >= stretch),
            Self::AtMost(goal, stretch) => (ratio <= goal, ratio <= stretch),
            Self::None => return "",
        };
        match (goal, stretch) {
            (_, true) => "stretch met",
            (true, false) => "goal met",
            (false, false) => "MISSED",
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtLeast(goal, stretch) => format!(">= {goal:.2} ({stretch:.2})"),
            Self::AtMost(goal, stretch) => format!("<= {goal:.2} ({stretch:.2})"),
            Self::None => String::new(),
        }
    }

    fn json(self) -> Value {
        match self {
            Self::AtLeast(goal, stretch) => json!({"at-least": goal, "stretch": stretch}),
            Self::AtMost(goal, stretch) => json!({"at-most": goal, "stretch": stretch}),
            Self::None => Value::Null,
        }
    }
}

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: &'static str,
    /// What is compared with what.
    pub(crate) what: &'static str,
    /// The unit of the two sides.
    pub(crate) unit: &'static str,
    /// The node's side.
    pub(crate) node: Series,
    /// The other side.
    pub(crate) bare: Series,
    /// What the ratio should be.
    pub(crate) goal: Goal,
}

impl Row {
    fn ratio(&self) -> Series {
        self.node.over(&self.bare)
    }

    fn line(&self) -> String {
        let ratio = self.ratio();
        format!(
            "{:<17} {:>9} {:>9} {:<11} {:>6} {:>15}  {:<14} {}",
            self.name,
            short(self.node.median()),
            short(self.bare.median()),
            self.unit,
            rounded(ratio.median()),
            format!("({}-{})", rounded(ratio.min()), rounded(ratio.max())),
            self.goal.words(),
            self.goal.verdict(ratio.median()),
        )
    }

    fn json(&self) -> Value {
        let ratio = self.ratio();
        let side = |side: &Series| json!({"median": side.median(), "min": side.min(), "max": side.max(), "runs": side.all()});
        json!({
            "name": self.name, "what": self.what, "unit": self.unit,
            "node": side(&self.node), "bare": side(&self.bare), "ratio": side(&ratio),
            "goal": self.goal.json(), "verdict": self.goal.verdict(ratio.median()),
        })
    }
}

/// The table as text.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<17} {:>9} {:>9} {:<11} {:>6} {:>15}  {:<14}\n",
        "row", "node", "bare", "unit", "ratio", "(min-max)", "goal (stretch)"
    );
    for row in rows {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", row.line());
    }
    text
}

/// The table and the machine as JSON.
pub(crate) fn document(machine: &Value, runs: usize, seconds: f64, rows: &[Row]) -> Value {
    let rows: Vec<_> = rows.iter().map(Row::json).collect();
    json!({"machine": machine, "runs": runs, "seconds": seconds, "rows": rows})
}

/// Three digits that count, thousands as k and M.
fn short(figure: f64) -> String {
    let (figure, unit) = match figure {
        large if large >= 999_500.0 => (large / 1e6, "M"),
        middle if middle >= 9_995.0 => (middle / 1e3, "k"),
        small => (small, ""),
    };
    format!("{}{unit}", rounded(figure))
}

fn rounded(figure: f64) -> String {
    match figure {
        large if large >= 99.95 => format!("{large:.0}"),
        middle if middle >= 9.995 => format!("{middle:.1}"),
        small if small >= 0.1 => format!("{small:.2}"),
        tiny => format!("{tiny:.3}"),
    }
}

/// One line of what is found; also what a part says to the benchmark.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// One line of how it goes, and why it ended.
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}
