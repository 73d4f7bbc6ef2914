//! One panel: lines over an axis, or bars.

use std::fmt::Write as _;

use super::{
    escaped,
    scale::{Scale, short},
};

pub(super) const WIDTH: f64 = 312.0;
pub(super) const HEIGHT: f64 = 232.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 292.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 178.0;
const BAR: f64 = 15.0;
/// Where bars begin: behind their names.
const BARS: f64 = 136.0;
const CLASSES: [&str; 2] = ["one", "two"];

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// One bar.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    /// 0 or 1: the colour.
    pub(super) kind: usize,
}

/// What a panel shows.
#[derive(Clone, Debug)]
pub(super) enum Shows {
    Lines {
        x: &'static str,
        lines: Vec<Line>,
        /// The y axis goes by powers of ten.
        log: bool,
        /// A value to compare with, and its name.
        goal: Option<(String, f64)>,
    },
    /// In one unit, from zero.
    Bars(Vec<Bar>),
}

/// One panel.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) title: &'static str,
    /// What is told, with its unit.
    pub(super) unit: &'static str,
    pub(super) shows: Shows,
}

impl Panel {
    /// As SVG, in a field of `WIDTH` and `HEIGHT`.
    pub(super) fn drawn(&self) -> String {
        let mut out = text(LEFT - 30.0, 20.0, "title", "start", self.title);
        out += &text(LEFT - 30.0, 36.0, "", "start", self.unit);
        match &self.shows {
            Shows::Lines { x, lines, log, goal } => draw_lines(&mut out, x, lines, *log, goal.as_ref()),
            Shows::Bars(bars) => draw_bars(&mut out, bars),
        }
        out
    }
}

fn draw_lines(out: &mut String, x: &str, lines: &[Line], log: bool, goal: Option<&(String, f64)>) {
    let all = || lines.iter().flat_map(|line| &line.points);
    let across = Scale::over(all().map(|point| point.0), Some(1.15), (LEFT, RIGHT));
    let heights = all().map(|point| point.1).chain(goal.map(|goal| goal.1));
    let up = Scale::over(heights, log.then_some(3.0), (BOTTOM, TOP));
    for mark in up.marks() {
        let y = up.place(mark);
        stroke(out, "grid", &[(LEFT, y), (RIGHT, y)]);
        *out += &text(LEFT - 5.0, y + 4.0, "", "end", &short(mark));
    }
    for mark in across.marks() {
        let x = across.place(mark);
        stroke(out, "axis", &[(x, BOTTOM), (x, BOTTOM + 4.0)]);
        *out += &text(x, BOTTOM + 17.0, "", "middle", &short(mark));
    }
    stroke(out, "axis", &[(LEFT, BOTTOM), (RIGHT, BOTTOM)]);
    *out += &text(f64::midpoint(LEFT, RIGHT), BOTTOM + 34.0, "", "middle", x);
    if let Some((name, value)) = goal {
        let y = up.place(*value);
        stroke(out, "goal", &[(LEFT, y), (RIGHT, y)]);
        *out += &text(f64::midpoint(LEFT, RIGHT), y - 4.0, "goal-full", "middle", name);
    }
    for (place, (line, class)) in lines.iter().zip(CLASSES).enumerate() {
        let points: Vec<_> = line.points.iter().map(|(x, y)| (across.place(*x), up.place(*y))).collect();
        stroke(out, class, &points);
        for (x, y) in &points {
            // Writing to a string does not fail.
            let _ = write!(out, "<circle class=\"{class}-full\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
        }
        label_ends(out, lines, place, &points);
    }
    if lines.len() > 1 {
        legend(out, lines.iter().map(|line| line.name.as_str()));
    }
}

/// The values of the first and the last point: above the line that is higher there, below the lower where there is room.
fn label_ends(out: &mut String, lines: &[Line], place: usize, points: &[(f64, f64)]) {
    let line = &lines[place].points;
    for (nth, anchor) in [(0, "start"), (points.len() - 1, "end")] {
        let higher = |other: &Line| other.points.get(nth).is_some_and(|point| point.1 > line[nth].1);
        let (x, y) = points[nth];
        let y = if lines.iter().any(higher) { y + 15.0 } else { y - 7.0 };
        if y < BOTTOM {
            *out += &text(x, y, "value", anchor, &short(line[nth].1));
        }
    }
}

fn draw_bars(out: &mut String, bars: &[Bar]) {
    let along = Scale::over(bars.iter().map(|bar| bar.value), None, (BARS, RIGHT - 36.0));
    let room = (BOTTOM - TOP + 20.0) / f64::from(u32::try_from(bars.len().max(1)).unwrap_or(1));
    let room = room.min(30.0);
    let mut y = TOP - 4.0;
    for bar in bars {
        let (class, end) = (CLASSES[bar.kind.min(1)], along.place(bar.value));
        let _ = write!(
            out,
            "<rect class=\"{class}-full\" x=\"{BARS}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>",
            (end - BARS).max(1.0)
        );
        *out += &text(BARS - 6.0, y + 11.5, "", "end", &bar.name);
        *out += &text(end.max(BARS + 1.0) + 5.0, y + 11.5, "value", "start", &short(bar.value));
        y += room;
    }
}

/// Names in the colours of their lines, at the right of the title.
fn legend<'a>(out: &mut String, names: impl DoubleEndedIterator<Item = &'a str> + ExactSizeIterator) {
    for ((name, class), y) in names.zip(CLASSES).zip([20.0, 36.0]) {
        *out += &text(RIGHT, y, &format!("{class}-full"), "end", name);
    }
}

fn stroke(out: &mut String, class: &str, points: &[(f64, f64)]) {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = write!(out, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
}

fn text(x: f64, y: f64, class: &str, anchor: &str, text: &str) -> String {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{class}>{}</text>", escaped(text))
}
