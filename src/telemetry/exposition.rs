//! The text format of Prometheus, version 0.0.4: families of samples, each with its help and type.
//!
//! Names follow Prometheus' rules: `ymp_` first (`process_` for what every process has), base units, the unit last,
//! `_total` after it for what only grows. Labels have few values, or such as the configuration lists.

use std::fmt::{Display, Write as _};

use super::histogram::{BOUNDS, Spread};

/// What a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Lengths, counted by bucket.
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The text, as it grows.
#[derive(Debug, Default)]
pub struct Exposition(String);

// Writing to a String cannot fail: outcomes are not looked at.
impl Exposition {
    /// A counter without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Counter, help).sample(&[], value);
    }

    /// A gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    /// A histogram of seconds.
    pub fn histogram(&mut self, name: &str, help: &str, spread: &Spread) {
        self.family(name, Kind::Histogram, help);
        let mut sum = 0;
        let bounds = BOUNDS.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (count, bound) in spread.buckets.iter().zip(bounds) {
            sum += count;
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{bound}\"}} {sum}");
        }
        let _ = writeln!(self.0, "{name}_sum {}\n{name}_count {sum}", spread.sum);
    }

    /// A family whose samples follow.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let _ = writeln!(self.0, "# HELP {name} {}\n# TYPE {name} {}", escaped(help, false), kind.name());
        Family { text: &mut self.0, name }
    }

    /// The whole text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

/// One family, to which samples are added.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Family<'_> {
    /// One sample: labels with their values, and the value.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.text.push_str(self.name);
        for (place, (label, meaning)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(meaning, true));
        }
        let _ = writeln!(self.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
        self
    }
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::histogram::Histogram;
    use std::time::Duration;

    #[test]
    fn families_have_help_type_and_samples() {
        let mut text = Exposition::default();
        text.counter("a_total", "A.", 3);
        text.family("b", Kind::Gauge, "B, in \"words\".")
            .sample(&[("of", "x\"\\\n"), ("state", "good")], 1)
            .sample(&[("of", "y"), ("state", "bad")], 0.5);
        assert_eq!(
            text.into_text(),
            "# HELP a_total A.\n# TYPE a_total counter\na_total 3\n\
             # HELP b B, in \"words\".\n# TYPE b gauge\n\
             b{of=\"x\\\"\\\\\\n\",state=\"good\"} 1\nb{of=\"y\",state=\"bad\"} 0.5\n"
        );
    }

    #[test]
    fn buckets_of_a_histogram_add_up() {
        let (histogram, mut text) = (Histogram::default(), Exposition::default());
        [1, 1, 300, 90_000].iter().for_each(|millis| histogram.observe(Duration::from_millis(*millis)));
        text.histogram("t_seconds", "T.", &histogram.spread());
        let text = text.into_text();
        for line in
            ["{le=\"0.0005\"} 0", "{le=\"0.001\"} 2", "{le=\"0.5\"} 3", "{le=\"60\"} 3", "{le=\"+Inf\"} 4"]
        {
            assert!(text.contains(&format!("t_seconds_bucket{line}\n")), "{line}: {text}");
        }
        assert!(text.ends_with("t_seconds_sum 90.302\nt_seconds_count 4\n"), "{text}");
    }
}
