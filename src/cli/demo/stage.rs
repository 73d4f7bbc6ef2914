//! How the demo is told: each step on its line with its time, as it happens, at 80 columns.
//!
//! Plain ASCII; a step's name is coloured only where standard output is a terminal that wants it. With `--json` each
//! step is one object on its line.

use std::{io::IsTerminal as _, path::Path, time::Duration};

use serde_json::{Value, json};

use crate::{
    cli::{
        output::{CliError, Out, Outcome},
        render,
    },
    wire::time::{Mono, ReadClock},
};

/// Columns that the time and the step's name take.
const INDENT: usize = 20;
const WIDTH: usize = 80;

/// How it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Plain,
    Colour,
    Json,
}

/// Where the demo is told.
pub(super) struct Stage<'a, 'b> {
    out: &'a mut Out<'b>,
    look: Look,
    clock: ReadClock,
    start: Mono,
    /// The step under way and since when.
    step: (&'static str, Mono),
}

impl<'a, 'b> Stage<'a, 'b> {
    pub(super) fn new(out: &'a mut Out<'b>, json: bool, clock: ReadClock) -> Self {
        let look = if json {
            Look::Json
        } else if wants_colour() {
            Look::Colour
        } else {
            Look::Plain
        };
        let start = clock().mono;
        Self { out, look, clock, start, step: ("start", start) }
    }

    /// A line for people that is no step.
    pub(super) fn say(&mut self, text: &str) -> Outcome {
        if self.look == Look::Json { Ok(()) } else { self.out.line(text) }
    }

    /// Begins a step: how long it takes is counted from here, and it is what fails if something does.
    pub(super) fn begin(&mut self, name: &'static str) {
        self.step = (name, (self.clock)().mono);
    }

    /// How long the step has taken.
    pub(super) fn took(&self) -> Duration {
        (self.clock)().mono.since(self.step.1)
    }

    /// How long all has taken.
    pub(super) fn since_start(&self) -> Duration {
        (self.clock)().mono.since(self.start)
    }

    /// The step is done.
    pub(super) fn done(&mut self, text: &str) -> Outcome {
        self.tell(true, text)
    }

    /// The step failed.
    pub(super) fn failed(&mut self, error: &CliError) -> Outcome {
        let text = error.to_string();
        let text = text.strip_prefix("ymp: ").unwrap_or(&text);
        self.tell(false, &format!("FAILED: {}", text.replace("\n     ", "; ")))
    }

    /// The folder was kept.
    pub(super) fn kept(&mut self, folder: &Path) -> Outcome {
        let folder = folder.display();
        if self.look == Look::Json {
            return self.out.line(json!({"kept": folder.to_string()}));
        }
        self.out
            .line(format!("\nkept: {folder}\nlogs: {folder}/alpha/node.log\n      {folder}/beta/node.log"))
    }

    /// What was proven: a head, and names with what they hold.
    pub(super) fn summary(&mut self, head: &str, lines: &[(&str, String)], facts: &Value) -> Outcome {
        if self.look == Look::Json {
            return self.out.line(json!({"ok": true, "ms": millis(self.since_start()), "proven": facts}));
        }
        let list = render::list(lines, WIDTH - 2).replace('\n', "\n  ");
        let head = painted(self.look, "1", head);
        self.out.line(format!("\n{head}\n  {list}"))
    }

    fn tell(&mut self, ok: bool, text: &str) -> Outcome {
        let (name, at) = (self.step.0, self.since_start());
        if self.look == Look::Json {
            let step =
                json!({"step": name, "ok": ok, "at-ms": millis(at), "ms": millis(self.took()), "text": text});
            return self.out.line(step);
        }
        let pieces = render::wrap(&render::clean(text), WIDTH - INDENT);
        let colour = if ok { "32" } else { "31" };
        for (index, piece) in pieces.iter().enumerate() {
            if index == 0 {
                let name = painted(self.look, colour, &format!("{name:<9}"));
                self.out.line(format!("{:>6.2} s  {name} {piece}", at.as_secs_f64()))?;
            } else {
                self.out.line(format!("{:INDENT$}{piece}", ""))?;
            }
        }
        Ok(())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Colour only for somebody who sees it and has not said no (`NO_COLOR`, a terminal that is none).
fn wants_colour() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let able = set("TERM").is_some_and(|term| term != "dumb");
    std::io::stdout().is_terminal() && able && set("NO_COLOR").is_none()
}

fn painted(look: Look, code: &str, text: &str) -> String {
    if look == Look::Colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}
