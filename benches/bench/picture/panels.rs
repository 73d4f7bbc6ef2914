//! Which panel shows which figures. A curve that was not measured has none.

use serde_json::Value;

use super::panel::{Bar, Line, Panel, Shows};

/// The points of some runs.
#[derive(Debug)]
pub(super) struct Points<'a>(Vec<&'a Value>);

impl<'a> Points<'a> {
    /// All of them; of two at the same place the later.
    pub(super) fn of(documents: &'a [Value]) -> Self {
        let mut all: Vec<&Value> = Vec::new();
        for point in documents.iter().filter_map(|document| document["points"].as_array()).flatten() {
            let same = |other: &&Value| other["curve"] == point["curve"] && other["at"] == point["at"];
            match all.iter().position(same) {
                Some(place) => all[place] = point,
                None => all.push(point),
            }
        }
        Self(all)
    }

    /// The points of one curve whose place is told in words that hold this one.
    fn among(&self, curve: &str, word: &str) -> Vec<&'a Value> {
        let at = |point: &&Value| point["at"].as_str().is_some_and(|at| at.contains(word));
        self.0.iter().copied().filter(|point| point["curve"] == curve).filter(at).collect()
    }

    /// A line of one figure over the number that the places begin with.
    fn line(&self, curve: &str, word: &str, name: &str, figure: impl Fn(&Value) -> Option<f64>) -> Line {
        let at = |point: &Value| point["at"].as_str()?.split(' ').next()?.parse::<f64>().ok();
        let points = self.among(curve, word).into_iter();
        let points = points.filter_map(|point| Some((at(point)?, figure(&point["figures"])?)));
        // Nothing has no place on an axis of powers.
        let points = points.filter(|(_, value)| *value > 0.0).collect();
        Line { name: name.to_owned(), points }
    }

    fn figure(&self, curve: &str, word: &str, name: &str) -> Option<f64> {
        self.among(curve, word).first()?["figures"][name].as_f64()
    }
}

/// What is there, in the order of the curves.
pub(super) fn panels(points: &Points<'_>) -> Vec<Panel> {
    let all = [links(points), tokens(points), queue(points), slow_peer(points)];
    let more = [readers(points), delay(points), sizes(points), concurrency(points), cores(points)];
    all.into_iter().chain(more).flatten().collect()
}

/// One figure by its name.
fn named(name: &'static str) -> impl Fn(&Value) -> Option<f64> {
    move |figures| figures[name].as_f64()
}

/// The bare server's figure, which is told as a ratio.
fn bare(name: &'static str, ratio: &'static str) -> impl Fn(&Value) -> Option<f64> {
    move |figures| Some(figures[name].as_f64()? / figures[ratio].as_f64()?)
}

fn lines(
    title: &'static str,
    unit: &'static str,
    x: &'static str,
    log: bool,
    lines: Vec<Line>,
    goal: Option<(String, f64)>,
) -> Option<Panel> {
    let lines: Vec<_> = lines.into_iter().filter(|line| line.points.len() > 1).collect();
    let shown = !lines.is_empty();
    shown.then_some(Panel { title, unit, shows: Shows::Lines { x, lines, log, goal } })
}

fn bars(title: &'static str, unit: &'static str, bars: Vec<(&str, Option<f64>, usize)>) -> Option<Panel> {
    let all = bars.into_iter();
    let all = all.filter_map(|(name, value, kind)| Some(Bar { name: name.to_owned(), value: value?, kind }));
    let bars: Vec<_> = all.collect();
    let shown = !bars.is_empty();
    shown.then_some(Panel { title, unit, shows: Shows::Bars(bars) })
}

fn links(points: &Points<'_>) -> Option<Panel> {
    let memory = points.line("links", "", "node", named("KiB a link"));
    let goal = Some(("goal: 4".to_owned(), 4.0));
    lines("Idle links: memory", "KiB resident, a link", "links", false, vec![memory], goal)
}

fn tokens(points: &Points<'_>) -> Option<Panel> {
    let cost = points.line("links", "", "node", named("us CPU of an empty packet"));
    lines("Idle links: a packet's token", "us CPU, an empty packet", "links", false, vec![cost], None)
}

fn queue(points: &Points<'_>) -> Option<Panel> {
    let mut all = Vec::new();
    let places = [("one peer", "1 peer", 0), ("1000 peers", "1,000 peers", 1)];
    let figures = [("start ms", "ready"), ("each peer's first packet ms after it", "packets")];
    for (figure, what) in figures {
        for (word, peers, kind) in places {
            let seconds = points.figure("queue", word, figure).map(|ms| ms / 1000.0);
            all.push((format!("{what}, {peers}"), seconds, kind));
        }
    }
    let all = all.iter().map(|(name, value, kind)| (name.as_str(), *value, *kind)).collect();
    bars("A start with mail that waits", "s until ready, then until each peer has a packet", all)
}

fn slow_peer(points: &Points<'_>) -> Option<Panel> {
    let figure = |name| points.figure("slow-peer", "", name);
    let all =
        vec![("all answer", figure("all well"), 0), ("one is silent", figure("messages/s to the others"), 1)];
    bars("One of 1,000 peers is silent", "messages/s to the others", all)
}

fn readers(points: &Points<'_>) -> Option<Panel> {
    let cost = |word, name| points.line("readers", word, name, named("us CPU a message"));
    let nobody = points.figure("readers", "no reader", "us CPU a message");
    let nobody = nobody.map(|cost| (format!("no reader: {cost:.0}"), cost));
    let both = vec![cost("long polls", "long polls"), cost("streams", "streams")];
    lines("Readers of one inbox: cost", "us CPU, a message to all", "readers", true, both, nobody)
}

fn delay(points: &Points<'_>) -> Option<Panel> {
    let delay = |word, name| points.line("readers", word, name, named("ms to all, median"));
    let both = vec![delay("long polls", "long polls"), delay("streams", "streams")];
    lines("Readers of one inbox: delay", "ms from a 204 until all have it", "readers", true, both, None)
}

fn sizes(points: &Points<'_>) -> Option<Panel> {
    let node = points.line("size", "", "node", named("us CPU"));
    let other = points.line("size", "", "bare server", bare("us CPU", "CPU over bare"));
    lines("Size of a packet", "us CPU, a packet", "bytes", true, vec![node, other], None)
}

fn concurrency(points: &Points<'_>) -> Option<Panel> {
    let node = points.line("concurrency", "", "node", named("packets/s"));
    let other = points.line("concurrency", "", "bare server", bare("packets/s", "rate over bare"));
    lines("Requests at once", "packets/s", "requests under way", false, vec![node, other], None)
}

fn cores(points: &Points<'_>) -> Option<Panel> {
    let rate = |word| points.figure("cores", word, "packets/s");
    let all = vec![("one core", rate("one core"), 0), ("all, shared with load", rate("all, "), 1)];
    bars("Cores", "packets/s", all)
}
