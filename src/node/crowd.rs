//! Peers that become due together, after a restart or an outage: they start at 50 a second, and faster as they answer.
//!
//! Every 20 ms one more starts, whatever became of the others. Each call that goes well lets two more start at once: so
//! peers that are well wait for a few round trips, and those that are not get no more than the pace. What answers add ends
//! at `CROWD_UNDER_WAY` without an answer among the last `2 * CROWD_UNDER_WAY`: some that are silent slow nobody down.
//!
//! A turn goes with its peer's calls, one after the other, until one goes well or none follows.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use crate::{
    link::event::Event,
    wire::{
        answer::{Answer, Refreshed},
        limits::CROWD_UNDER_WAY,
    },
};

/// The pace where nobody answers.
const PACE: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct Counts {
    started: u64,
    /// Turns that are not over, by their numbers.
    open: BTreeSet<u64>,
    /// So many may start at once.
    free: usize,
}

impl Counts {
    /// What one that went well lets start.
    fn grow(&mut self) {
        let recent = self.started.saturating_sub(2 * CROWD_UNDER_WAY as u64);
        let under_way = self.open.range(recent..).count() + self.free;
        self.free += CROWD_UNDER_WAY.saturating_sub(under_way).min(2);
    }

    fn take(&mut self) -> bool {
        let taken = self.free > 0;
        self.free = self.free.saturating_sub(1);
        taken
    }
}

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    freed: Notify,
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Peers that are due together.
#[derive(Debug, Default)]
pub(super) struct Crowd(Arc<Shared>);

impl Crowd {
    /// The turn of the next of them.
    pub(super) fn turn(&self) -> Turn {
        let number = self.0.change(|counts| {
            counts.started += 1;
            counts.open.insert(counts.started);
            counts.started
        });
        Turn { number, crowd: Arc::clone(&self.0) }
    }

    /// Waits until one more may start.
    pub(super) async fn pace(&self) {
        let freed = async {
            while !self.0.change(Counts::take) {
                self.0.freed.notified().await;
            }
        };
        // Whether an answer or the time lets it start makes no difference.
        let _ = timeout(PACE, freed).await;
    }
}

/// The turn of one peer.
#[derive(Debug)]
pub(super) struct Turn {
    number: u64,
    crowd: Arc<Shared>,
}

impl Turn {
    /// What becomes of it after a call: it is over where that went well.
    pub(super) fn after(self, event: &Event) -> Option<Self> {
        if !went_well(event) {
            return Some(self);
        }
        self.crowd.change(|counts| {
            counts.open.remove(&self.number);
            counts.grow();
        });
        self.crowd.freed.notify_one();
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.crowd.change(|counts| counts.open.remove(&self.number));
    }
}

/// Whether the peer took what was sent to it.
fn went_well(event: &Event) -> bool {
    let well = |answer: &Answer| (200..300).contains(&answer.status);
    if let Event::Sent(Ok(answer)) | Event::Asked(Ok(answer)) = event {
        return well(answer);
    }
    matches!(event, Event::Refreshed(Refreshed::Fresh(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Event {
        Event::Sent(Ok(Answer::bare(status)))
    }

    /// How many start at once.
    fn free(crowd: &Crowd) -> usize {
        std::iter::from_fn(|| crowd.0.change(Counts::take).then_some(())).count()
    }

    //= HT-SEND-25
    #[test]
    fn each_call_that_goes_well_lets_two_more_start() {
        let crowd = Crowd::default();
        assert_eq!(free(&crowd), 0, "the pace alone");
        let turn = crowd.turn();
        let turn = turn.after(&answered(401)).expect("it goes on with a refresh");
        let turn = turn.after(&Event::MailLoaded(Vec::new())).expect("nothing was sent");
        assert_eq!(free(&crowd), 0);
        assert!(turn.after(&answered(204)).is_none());
        assert_eq!(free(&crowd), 2);
        drop(crowd.turn());
        assert_eq!(free(&crowd), 0, "no call, or none that went well");
    }

    //= HT-SEND-25
    #[test]
    fn answers_add_no_more_than_64_and_silent_peers_are_forgotten() {
        let crowd = Crowd::default();
        let silent: Vec<_> = (0..CROWD_UNDER_WAY).map(|_| crowd.turn()).collect();
        assert!(crowd.turn().after(&answered(204)).is_none());
        assert_eq!(free(&crowd), 0, "64 are under way");
        for _ in 0..CROWD_UNDER_WAY {
            drop(crowd.turn());
        }
        for _ in 0..CROWD_UNDER_WAY {
            assert!(crowd.turn().after(&answered(204)).is_none());
        }
        assert_eq!(free(&crowd), CROWD_UNDER_WAY);
        drop(silent);
    }
}
