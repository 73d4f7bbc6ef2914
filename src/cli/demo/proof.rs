//! What the demo proves: the check of an inbox, and the summary with what was counted and measured.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    super::render::plural,
    calls::{Counters, Number},
};

/// What was measured and counted on the way.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// That each node sent in each of two rounds.
    pub(super) messages: u64,
    /// By alpha.test.
    pub(super) accepted_by_alpha: u64,
    /// By beta.test.
    pub(super) accepted_by_beta: u64,
    /// In both inboxes at the end.
    pub(super) arrived: u64,
    pub(super) exchange: Duration,
    pub(super) exchanges: u64,
    /// From the first message's acceptance to the last one's delivery.
    pub(super) round: Duration,
    pub(super) refresh: Duration,
    pub(super) refreshes: u64,
    /// Accepted for the killed node and not delivered, right after the kill.
    pub(super) to_beta: u64,
    /// Accepted by the killed node and not arrived, right after the kill.
    pub(super) from_beta: u64,
    /// From its start to its ready line.
    pub(super) ready: Duration,
    /// From its start until everything had arrived.
    pub(super) recovered: Duration,
    /// That alpha.test had begun before the kill.
    pub(super) exchanges_before: u64,
    /// That both began after it.
    pub(super) exchanges_after: u64,
    /// That beta.test had made before its last messages before the kill.
    pub(super) beta_commits: u64,
    alpha: Figures,
    beta_after: Figures,
}

/// Of one process.
#[derive(Debug, Default)]
struct Figures {
    packets_out: u64,
    packets_in: u64,
    repeats: u64,
    commits: u64,
}

impl Figures {
    fn of(counters: &Counters) -> Self {
        Self {
            packets_out: counters.of("ymp_packets_out_total"),
            packets_in: counters.of("ymp_packets_in_total"),
            repeats: counters.of("ymp_messages_repeated_total"),
            commits: counters.of("ymp_store_commits_total"),
        }
    }
}

impl Proof {
    /// Nothing yet, of so many messages from each node in each round.
    pub(super) fn new(messages: u64) -> Self {
        Self { messages, ..Self::default() }
    }

    /// Takes the nodes' own counters: alpha.test's from its start, beta.test's from its second.
    pub(super) fn count(&mut self, alpha: &Counters, beta: &Counters) {
        (self.alpha, self.beta_after) = (Figures::of(alpha), Figures::of(beta));
    }

    fn accepted(&self) -> u64 {
        self.accepted_by_alpha + self.accepted_by_beta
    }

    fn repeats(&self) -> u64 {
        self.alpha.repeats + self.beta_after.repeats
    }

    /// For people: names, and what they hold.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let tokens = format!(
            "{} linked both directions in {}; {} in {}, with the wait for its pace",
            plural(self.exchanges, "exchange"),
            ms(self.exchange),
            plural(self.refreshes, "refresh"),
            ms(self.refresh),
        );
        let messages = format!(
            "{} accepted, {} arrived: {} and {}, each once, each in order",
            self.accepted(),
            self.arrived,
            self.accepted_by_alpha,
            self.accepted_by_beta,
        );
        let crash = format!(
            "beta.test was killed with {} accepted messages under way and was ready again in {}; all had \
             arrived {} after its start, {} recognised, {} needed",
            self.to_beta + self.from_beta,
            ms(self.ready),
            ms(self.recovered),
            plural(self.repeats(), "repeat"),
            plural(self.exchanges_after, "new exchange"),
        );
        let cost = format!(
            "alpha.test sent {}, took in {}, and made {} for its {} messages out and {} in",
            plural(self.alpha.packets_out, "packet"),
            self.alpha.packets_in,
            plural(self.alpha.commits, "commit to disk"),
            self.accepted_by_alpha,
            self.accepted_by_beta,
        );
        let pace = format!("{} messages both ways in {}", 2 * self.messages, ms(self.round));
        vec![("tokens", tokens), ("messages", messages), ("pace", pace), ("crash", crash), ("cost", cost)]
    }

    /// The same for machines.
    pub(super) fn facts(&self) -> Value {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        json!({
            "messages": {"accepted": self.accepted(), "arrived": self.arrived},
            "exchanges": self.exchanges, "exchange-ms": ms(self.exchange),
            "refreshes": self.refreshes, "refresh-ms": ms(self.refresh),
            "first-round-ms": ms(self.round),
            "kill": {
                "under-way-to": self.to_beta, "under-way-from": self.from_beta,
                "ready-ms": ms(self.ready), "arrived-ms": ms(self.recovered),
                "repeats": self.repeats(), "new-exchanges": self.exchanges_after,
            },
            "alpha": {
                "packets-out": self.alpha.packets_out, "packets-in": self.alpha.packets_in,
                "commits": self.alpha.commits,
            },
            "beta": {"commits-before-the-kill": self.beta_commits, "commits-after": self.beta_after.commits},
        })
    }
}

/// Whether an inbox holds the messages of all rounds, each once, in order; else what is wrong first.
pub(super) fn in_order(seen: &[Number], rounds: u64, messages: u64) -> Result<(), String> {
    let want = (1..=rounds).flat_map(|round| (0..messages).map(move |n| (round, n)));
    let mut seen_now = seen.iter().copied();
    for want in want {
        let Some(have) = seen_now.next() else {
            return Err(format!("it holds {} of {} messages", seen.len(), rounds * messages));
        };
        if have != want {
            return Err(format!("message {have:?} (round, number) stands where {want:?} belongs"));
        }
    }
    match seen_now.next() {
        Some(extra) => Err(format!("message {extra:?} (round, number) came after the last")),
        None => Ok(()),
    }
}

/// A time in milliseconds.
pub(super) fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_is_right_only_with_each_message_once_and_in_order() {
        let all = [(1, 0), (1, 1), (2, 0), (2, 1)];
        assert_eq!(in_order(&all, 2, 2), Ok(()));
        for (seen, part) in [
            (&all[..3], "holds 3 of 4"),
            (&[(1, 1), (1, 0), (2, 0), (2, 1)], "(1, 1) (round, number) stands where (1, 0)"),
            (&[(1, 0), (1, 0), (1, 1), (2, 0), (2, 1)], "stands where (1, 1)"),
            (&[(1, 0), (1, 1), (2, 0), (2, 1), (2, 1)], "came after the last"),
            (&[], "holds 0"),
        ] {
            let wrong = in_order(seen, 2, 2).unwrap_err();
            assert!(wrong.contains(part), "{wrong}");
        }
    }
}
