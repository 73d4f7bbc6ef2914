//! The curves as a picture: small panels in one SVG, written from the points as their JSON has them.
//!
//! - `panels`: which panel shows which figures. `panel`: one panel, drawn. `scale`: where a value stands on an axis.

use std::fmt::Write as _;

use serde_json::Value;

use self::{
    panel::{HEIGHT, WIDTH},
    panels::{Points, panels},
};
use crate::outcome::{Outcome, failed};

mod panel;
mod panels;
mod scale;

const COLUMNS: usize = 3;
const MARGIN: f64 = 16.0;
const FOOT: f64 = 34.0;

/// Paper, ink, soft ink, grid, the two colours, goals.
type Palette = [&'static str; 7];

const LIGHT: Palette = ["#ffffff", "#1f2328", "#59636e", "#e4e7eb", "#1a66d6", "#c2570c", "#1a7f37"];
/// For readers who want it dark.
const DARK: Palette = ["#0d1117", "#f0f6fc", "#9198a1", "#2a313a", "#6cb0ff", "#f0a04b", "#4cc46a"];
const FONT: &str = "text{font:11px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}\
.title{font-size:13px;font-weight:600}.grid,.axis,.one,.two,.goal{fill:none}\
.value{paint-order:stroke;stroke-width:3px;stroke-linejoin:round}.one,.two{stroke-width:2}.goal{stroke-dasharray:5 4;stroke-width:1.5}";

/// The picture of the points of one or more runs.
///
/// # Errors
/// They hold nothing that a panel shows.
pub(crate) fn picture(documents: &[Value]) -> Outcome<String> {
    let points = Points::of(documents);
    let panels = panels(&points);
    if panels.is_empty() {
        return failed("no curve is there that could be drawn");
    }
    let columns = panels.len().min(COLUMNS);
    let (mut across, mut down) = (0, 0);
    let mut body = String::new();
    for panel in &panels {
        if across == columns {
            (across, down) = (0, down + 1);
        }
        let (x, y) = (at(across, WIDTH), at(down, HEIGHT));
        // Writing to a string does not fail.
        let _ = writeln!(body, "<g transform=\"translate({x} {y})\">{}</g>", panel.drawn());
        across += 1;
    }
    let width = at(columns, WIDTH) + MARGIN;
    let height = at(down + 1, HEIGHT) + FOOT;
    let foot = format!(
        "<text x=\"{}\" y=\"{}\">{}</text>\n",
        2.0 * MARGIN,
        height - MARGIN,
        escaped(&machine(documents))
    );
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"How the node's costs grow\">\n<style>{}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n{body}{foot}</svg>\n",
        style(),
    ))
}

/// Colours stand in plain rules: not every reader of SVG knows variables.
fn style() -> String {
    let rules = |[paper, ink, soft, grid, one, two, goal]: Palette| {
        format!(
            "text{{fill:{soft}}}.title,.value{{fill:{ink}}}.value{{stroke:{paper}}}.paper{{fill:{paper}}}.grid{{stroke:{grid}}}\
             .axis{{stroke:{soft}}}.one{{stroke:{one}}}.two{{stroke:{two}}}.goal{{stroke:{goal}}}\
             .one-full{{fill:{one}}}.two-full{{fill:{two}}}.goal-full{{fill:{goal}}}"
        )
    };
    format!("{FONT}{}@media(prefers-color-scheme:dark){{{}}}", rules(LIGHT), rules(DARK))
}

fn at(place: usize, size: f64) -> f64 {
    MARGIN + crate::figures::figure(place as u64) * size
}

/// The machine in one line, and what its disk does.
fn machine(documents: &[Value]) -> String {
    let Some(machine) = documents.first().map(|document| &document["machine"]) else { return String::new() };
    let syncs = documents.iter().filter_map(|document| document["machine"]["sync-us"]["p50"].as_f64());
    let (least, most) =
        syncs.fold((f64::INFINITY, 0.0_f64), |(least, most), sync| (least.min(sync), most.max(sync)));
    let sync = if most - least < 1.0 { format!("{most:.0}") } else { format!("{least:.0}-{most:.0}") };
    format!(
        "{} cores ({}), node on one of them unless said otherwise; a write with fdatasync takes {sync} us (median); commit {}",
        machine["cores"],
        machine["cpu"].as_str().unwrap_or("unknown"),
        machine["commit"].as_str().unwrap_or("unknown"),
    )
}

/// For text in XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
