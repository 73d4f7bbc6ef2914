//! How the steps are told: at 80 columns or the terminal's width, each when it is made.

use serde_json::json;

use crate::cli::{
    output::{Out, Outcome},
    render::{clean, width, wrap},
    rooms::{State, Step},
};

/// Columns of the state, the name and the space around them.
const STATE: usize = 7;
const NAME: usize = 12;
const INDENT: usize = 2 + STATE + 2 + NAME + 2;

/// Where the steps are told.
pub(super) struct Report<'a, 'b> {
    out: &'a mut Out<'b>,
    json: bool,
    width: usize,
    host: String,
    steps: Vec<Step>,
    /// Skipped steps that are still to be told, on one line where the reason is the same.
    skipped: Vec<Step>,
}

impl<'a, 'b> Report<'a, 'b> {
    pub(super) fn new(out: &'a mut Out<'b>, json: bool, host: &str) -> Self {
        let host = host.to_owned();
        Self { out, json, width: width(), host, steps: Vec::new(), skipped: Vec::new() }
    }

    /// From where to where.
    pub(super) fn open(&mut self, own: &str) -> Outcome {
        if self.json {
            return Ok(());
        }
        self.out.line(format!("ymp doctor: the way from {own} to {}\n", clean(&self.host)))
    }

    /// A step was made.
    pub(super) fn say(&mut self, step: Step) -> Outcome {
        self.steps.push(step.clone());
        if self.json {
            return Ok(());
        }
        if self.skipped.first().is_some_and(|first| step.state != State::Skipped || first.what != step.what) {
            self.flush()?;
        }
        if step.state == State::Skipped {
            self.skipped.push(step);
            return Ok(());
        }
        self.out.line(lines(&step, self.width))
    }

    fn flush(&mut self) -> Outcome {
        let steps = std::mem::take(&mut self.skipped);
        match steps.as_slice() {
            [] => Ok(()),
            [step] => self.out.line(lines(step, self.width)),
            [first, ..] => {
                let names: Vec<_> = steps.iter().map(|step| step.name).collect();
                let what = format!("{}: {}", names.join(", "), first.what);
                self.out.line(lines(&Step { name: "", what, ..first.clone() }, self.width))
            }
        }
    }

    /// Whether no step so far is wrong.
    pub(super) fn is_good(&self) -> bool {
        self.steps.iter().all(|step| step.state != State::Wrong)
    }

    /// All steps were made: whether none is wrong.
    pub(super) fn close(mut self, exchanged: bool) -> Result<bool, crate::cli::output::CliError> {
        let wrong = self.steps.iter().filter(|step| step.state == State::Wrong).count();
        if self.json {
            let all = json!({"host": self.host, "ok": wrong == 0, "steps": self.steps});
            self.out.line(all)?;
            return Ok(wrong == 0);
        }
        self.flush()?;
        let end = verdict(wrong, exchanged);
        self.out.line(format!("\n{}", wrap(&end, self.width).join("\n")))?;
        Ok(wrong == 0)
    }
}

fn verdict(wrong: usize, exchanged: bool) -> String {
    match (wrong, exchanged) {
        (0, true) => "good: tokens were exchanged, and a packet can be sent".to_owned(),
        (0, false) => {
            "good: a packet could be sent, as far as was tested; --exchange makes a real exchange of \
                       tokens"
                .to_owned()
        }
        (1, _) => "not good: mend the step above that is wrong, then try again".to_owned(),
        (wrong, _) => {
            format!("not good: mend the {wrong} steps above that are wrong, from the top, then try again")
        }
    }
}

/// A step with its mend, wrapped.
fn lines(step: &Step, width: usize) -> String {
    let room = width.saturating_sub(INDENT).max(16);
    let mut pieces = wrap(&clean(&step.what), room);
    if let Some(mend) = &step.mend {
        pieces.extend(wrap(&format!("mend: {}", clean(mend)), room));
    }
    let state = match step.state {
        State::Ok => "ok",
        State::Note => "note",
        State::Wrong => "WRONG",
        State::Skipped => "skipped",
    };
    let head = format!("  {state:STATE$}  {:NAME$}  ", step.name);
    let line = |(index, piece): (usize, String)| {
        let head = if index == 0 { head.clone() } else { " ".repeat(INDENT) };
        format!("{head}{piece}").trim_end().to_owned()
    };
    pieces.into_iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: bool, steps: Vec<Step>) -> (bool, String) {
        let mut bytes = Vec::new();
        let mut out = Out::new(&mut bytes);
        let mut report = Report { width: 60, ..Report::new(&mut out, json, "b.test") };
        report.open("a.test").unwrap();
        for step in steps {
            report.say(step).unwrap();
        }
        let good = report.close(false).unwrap();
        (good, String::from_utf8(bytes).unwrap())
    }

    fn broken() -> Vec<Step> {
        vec![
            Step::ok("name", "b.test: welcome"),
            Step::wrong("address", "b.test does not resolve at all, whoever asks", "is it spelled right?"),
            Step::skipped("tcp", "not tested"),
            Step::skipped("tls", "not tested"),
            Step::skipped("clock", "not compared"),
        ]
    }

    #[test]
    fn each_step_is_a_line_with_its_mend_below_and_what_was_skipped_is_gathered() {
        let (good, text) = told(false, broken());
        assert!(!good);
        assert_eq!(
            text,
            "ymp doctor: the way from a.test to b.test\n\
             \n\
             \x20 ok       name          b.test: welcome\n\
             \x20 WRONG    address       b.test does not resolve at all,\n\
             \x20                        whoever asks\n\
             \x20                        mend: is it spelled right?\n\
             \x20 skipped                tcp, tls: not tested\n\
             \x20 skipped  clock         not compared\n\
             \n\
             not good: mend the step above that is wrong, then try again\n"
        );
    }

    #[test]
    fn json_is_one_object_with_all_steps() {
        let (good, text) = told(true, broken());
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(!good && text.lines().count() == 1);
        assert_eq!((&all["host"], &all["ok"]), (&json!("b.test"), &json!(false)));
        assert_eq!(
            all["steps"][1],
            json!({"name": "address", "state": "wrong", "mend": "is it spelled right?",
                   "what": "b.test does not resolve at all, whoever asks"})
        );
        assert_eq!(all["steps"][2]["state"], "skipped");
        assert_eq!(all["steps"][0]["mend"], json!(null));
    }

    #[test]
    fn a_note_is_good() {
        let (good, text) = told(false, vec![Step::note("alpn", "HTTP/1.1")]);
        assert!(good && text.contains("  note     alpn          HTTP/1.1\n"), "{text}");
        assert!(text.contains("good: a packet could be sent"), "{text}");
        assert!(verdict(2, true).contains("the 2 steps"));
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_told() {
        let (_, text) = told(false, vec![Step::ok("tls", "a\u{1b}[2Jb")]);
        assert!(!text.contains('\u{1b}'));
    }
}
