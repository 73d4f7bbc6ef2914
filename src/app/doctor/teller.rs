//! Hands each step on as it is made, and knows which are still to come.

use super::step::{State, Step};

/// The steps of a way, in their order; of the paths each stands for itself.
const WAY: [&str; 8] = ["address", "tcp", "tls", "alpn", "information", "sending", "receiving", "paths"];

/// Whom each step is told.
type Tell<'a, E> = &'a mut dyn FnMut(Step) -> Result<(), E>;

/// Tells steps.
pub(super) struct Teller<'a, E> {
    tell: Tell<'a, E>,
    told: Vec<&'static str>,
    wrong: bool,
}

impl<'a, E> Teller<'a, E> {
    pub(super) fn new(tell: Tell<'a, E>) -> Self {
        Self { tell, told: Vec::new(), wrong: false }
    }

    pub(super) fn say(&mut self, step: Step) -> Result<(), E> {
        self.wrong |= step.state == State::Wrong;
        self.told.push(step.name);
        (self.tell)(step)
    }

    /// Whether a step was wrong.
    pub(super) fn is_wrong(&self) -> bool {
        self.wrong
    }

    /// The steps that nothing can be said of, because the way ended before them.
    pub(super) fn skip_rest(&mut self) -> Result<(), E> {
        let path = |name: &str| name.ends_with("-path");
        let last = WAY.iter().rposition(|name| {
            self.told.contains(name) || (*name == "paths" && self.told.iter().any(|told| path(told)))
        });
        for name in WAY.iter().skip(last.map_or(0, |last| last + 1)) {
            self.say(Step::beyond(name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &[&'static str]) -> Vec<&'static str> {
        let mut told = Vec::new();
        let mut tell = |step: Step| -> Result<(), ()> {
            told.push(step.name);
            Ok(())
        };
        let mut teller = Teller::new(&mut tell);
        for name in before {
            teller.say(Step::ok(name, "")).unwrap();
        }
        teller.skip_rest().unwrap();
        assert!(!teller.is_wrong());
        told.split_off(before.len())
    }

    #[test]
    fn what_comes_after_the_end_of_the_way_is_skipped() {
        assert_eq!(told(&["name"]), WAY);
        assert_eq!(told(&["address", "tcp", "tcp", "tls"]), WAY[3..]);
        assert!(told(&["address", "tcp", "tls", "alpn", "information", "request-path"]).is_empty());
    }
}
