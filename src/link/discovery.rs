//! What is known of how one host is spoken to, and when it is looked up anew.
//!
//! ```text
//!   look:   fresh --> use it          stale, or a path of it answered that nothing is there --> fetch
//!           a fetch failed a moment ago --> what is known, else the failure
//! ```
//!
//! A stale document keeps a working link alive while the fetch fails. That a host has no document is remembered for a
//! minute. That it was not reached is remembered for a minute where strangers ask, and for a few seconds where we do: the
//! link's own pauses are the pace there, and a host that has just come up must not wait for ours. That our own bounds were
//! reached is not remembered at all, and nothing of what strangers caused is remembered for the peers that we know.
//! Source: `ymp`, "Host information".

use std::time::Duration;

use crate::wire::{
    answer::{CallError, CallStage},
    parameters::Published,
    time::{Mono, Now},
};

/// A document is taken at least so long, and a failure remembered.
pub const FRESH_MIN: Duration = Duration::from_secs(5 * 60);
/// ... and at most so long.
pub const FRESH_MAX: Duration = Duration::from_secs(24 * 3600);
/// ... and so long where nothing is said.
pub const FRESH_UNSAID: Duration = Duration::from_secs(3600);
//= YMP-INFO-15: a minute
/// A failed look-up is remembered so long.
const FAILURE_TIME: Duration = Duration::from_secs(60);
/// ... and where we were the ones who did not reach the host.
const UNREACHED_TIME: Duration = Duration::from_secs(5);
/// A clock that was set back by no more than this is the same clock.
const CLOCK_SLACK: Duration = Duration::from_secs(60);
/// A document that is fresh is doubted at most this often: a host whose paths answer 404 and whose document changes all
/// the time does not make us fetch without end.
const DOUBT_PACE: Duration = Duration::from_secs(10);

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// This is how.
    Use(Published),
    /// Fetch, then `fetched`.
    Fetch,
    /// It could not be found out a moment ago.
    Failed(CallError),
}

/// What is known of one host.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    known: Option<Published>,
    /// What failed a moment ago, and until when that is remembered: for us, and for strangers.
    failed: [Option<(CallError, Mono)>; 2],
    /// A path of it answered that nothing is there.
    doubted: bool,
    last_doubt: Option<Mono>,
}

impl Discovery {
    /// With what was known before a restart.
    #[must_use]
    pub fn of(known: Published) -> Self {
        Self { known: Some(known), ..Self::default() }
    }

    /// What is known, fresh or stale.
    #[must_use]
    pub fn known(&self) -> Option<&Published> {
        self.known.as_ref()
    }

    /// Whether it is time to fetch.
    #[must_use]
    pub fn is_due(&self, now: Now) -> bool {
        matches!(self.look(false, now), Look::Fetch)
    }

    /// What to do; `stranger` says that a stranger caused the look.
    #[must_use]
    pub fn look(&self, stranger: bool, now: Now) -> Look {
        let fresh = self.known.as_ref().filter(|known| is_fresh(known, now) && !self.doubted);
        if let Some(known) = fresh {
            return Look::Use(known.clone());
        }
        match (&self.failed[usize::from(stranger)], &self.known) {
            (Some((_, until)), Some(known)) if now.mono < *until => Look::Use(known.clone()),
            (Some((error, until)), None) if now.mono < *until => Look::Failed(error.clone()),
            _ => Look::Fetch,
        }
    }

    /// A fetch came to this. A stranger's failure may be of the bounds that strangers have: it is remembered for them alone.
    pub fn fetched(&mut self, outcome: Result<Published, CallError>, stranger: bool, now: Now) {
        match outcome {
            Ok(published) => {
                *self = Self { known: Some(published), last_doubt: self.last_doubt, ..Self::default() }
            }
            Err(CallError { stage: CallStage::Busy, .. }) => {}
            Err(error) => {
                self.doubted &= stranger;
                let answered = error.stage == CallStage::LookUp;
                let time = if stranger || answered { FAILURE_TIME } else { UNREACHED_TIME };
                self.failed[usize::from(stranger)] = Some((error, now.mono.plus(time)));
            }
        }
    }

    /// What failed a moment ago is not remembered any more.
    pub fn forgive(&mut self) {
        self.failed = [None, None];
    }

    //= HT-SEND-15: looked up anew
    /// A path of it answered 404, 405 or 410.
    pub fn doubt(&mut self, now: Now) {
        if self.last_doubt.is_none_or(|last| now.mono.since(last) >= DOUBT_PACE) {
            self.last_doubt = Some(now.mono);
            self.doubted = true;
        }
    }

    /// What is known decides something that must not be decided on what is old: it is looked up anew, if it is not as new
    /// as any document is taken for.
    pub fn refresh(&mut self, now: Now) {
        if self.known.as_ref().is_some_and(|known| now.wall.since(known.fetched) >= FRESH_MIN) {
            self.doubt(now);
        }
    }

    /// Whether nothing of it is worth remembering.
    #[must_use]
    pub fn is_over(&self, now: Now) -> bool {
        let fresh = self.known.as_ref().is_some_and(|known| is_fresh(known, now));
        !fresh && self.failed.iter().flatten().all(|(_, until)| now.mono >= *until)
    }
}

/// Whether a document is taken without a new look. One that was fetched ahead of the clock was fetched under another one.
#[must_use]
pub fn is_fresh(known: &Published, now: Now) -> bool {
    known.fetched <= now.wall.plus(CLOCK_SLACK)
        && now.wall < known.fresh_until.min(known.fetched.plus(FRESH_MAX))
}

//= YMP-INFO-14: 5 min to 24 h, else 1 h
/// How long a document is taken whose `Cache-Control` says this.
#[must_use]
pub fn freshness(max_age: Option<Duration>) -> Duration {
    max_age.map_or(FRESH_UNSAID, |age| age.clamp(FRESH_MIN, FRESH_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        link::testing::{at, trouble},
        wire::{answer::CallStage, parameters::Parameters, path::UrlPath, time::Wall},
    };

    fn published(packet: &str, fresh_until: Wall) -> Published {
        let path = |text: &str| UrlPath::parse(text).unwrap();
        let parameters = Parameters {
            request_path: path("/r"),
            grant_path: path("/g"),
            refresh_path: None,
            packet_path: path(packet),
            packet_bytes: None,
            packet_messages: None,
        };
        Published { parameters, path: "/.ymp".to_owned(), fetched: at(0).wall, fresh_until }
    }

    /// It was reached, and has no document.
    fn failure() -> CallError {
        trouble(CallStage::LookUp)
    }

    //= YMP-INFO-14
    #[test]
    fn a_document_is_used_while_it_is_fresh() {
        let mut host = Discovery::default();
        assert_eq!(host.look(false, at(0)), Look::Fetch);
        let document = published("/p", at(300).wall);
        host.fetched(Ok(document.clone()), false, at(0));
        assert_eq!(host.look(false, at(299)), Look::Use(document));
        assert_eq!(host.look(false, at(300)), Look::Fetch);
    }

    //= YMP-INFO-15
    #[test]
    fn a_failure_is_remembered_for_a_minute_and_a_stale_document_used_meanwhile() {
        let mut host = Discovery::default();
        host.fetched(Err(failure()), false, at(0));
        assert_eq!(host.look(false, at(59)), Look::Failed(failure()));
        assert_eq!(host.look(false, at(60)), Look::Fetch);
        let document = published("/p", at(100).wall);
        host.fetched(Ok(document.clone()), false, at(60));
        host.fetched(Err(failure()), false, at(100));
        assert_eq!(host.look(false, at(159)), Look::Use(document.clone()));
        assert_eq!(host.look(false, at(160)), Look::Fetch);
        assert_eq!(host.known(), Some(&document));
    }

    //= YMP-INFO-15
    #[test]
    fn a_host_that_we_did_not_reach_is_tried_again_as_soon_as_its_link_is() {
        let mut host = Discovery::default();
        let away = trouble(CallStage::Connect);
        host.fetched(Err(away.clone()), false, at(0));
        assert_eq!(host.look(false, at(4)), Look::Failed(away.clone()));
        assert_eq!(host.look(false, at(5)), Look::Fetch);
        host.fetched(Err(away.clone()), true, at(5));
        assert_eq!(host.look(true, at(64)), Look::Failed(away));
        assert_eq!(host.look(true, at(65)), Look::Fetch);
    }

    #[test]
    fn our_own_bounds_say_nothing_of_a_host() {
        let mut host = Discovery::default();
        host.fetched(Err(trouble(CallStage::Busy)), true, at(0));
        assert_eq!(host.look(true, at(0)), Look::Fetch);
    }

    #[test]
    fn a_document_that_was_fetched_under_another_clock_is_not_fresh() {
        let year = 365 * 24 * 3600;
        let mut ahead = published("/p", at(year + 3600).wall);
        ahead.fetched = at(year).wall;
        assert!(Discovery::of(ahead).is_due(at(0)));
        // Nor one that says so for longer than any document is kept.
        assert!(Discovery::of(published("/p", at(year).wall)).is_due(at(24 * 3600)));
    }

    #[test]
    fn what_a_strangers_look_up_came_to_is_not_remembered_for_us() {
        let mut host = Discovery::default();
        host.fetched(Err(failure()), true, at(0));
        assert_eq!(host.look(true, at(1)), Look::Failed(failure()));
        assert_eq!(host.look(false, at(1)), Look::Fetch);
        let document = published("/p", at(300).wall);
        host.fetched(Ok(document.clone()), true, at(1));
        assert_eq!(host.look(false, at(2)), Look::Use(document));
    }

    #[test]
    fn a_doubted_document_is_fetched_anew_and_not_again_for_a_while() {
        let mut host = Discovery::of(published("/p", at(3600).wall));
        host.doubt(at(1));
        assert!(host.is_due(at(1)));
        host.fetched(Ok(published("/q", at(3600).wall)), false, at(1));
        assert!(!host.is_due(at(1)));
        host.doubt(at(10));
        assert!(!host.is_due(at(10)));
        host.doubt(at(11));
        assert!(host.is_due(at(11)));
    }

    //= YMP-INFO-14
    #[test]
    fn cache_rules_have_bounds() {
        let second = Duration::from_secs(1);
        assert_eq!(freshness(None), FRESH_UNSAID);
        assert_eq!(freshness(Some(second)), FRESH_MIN);
        assert_eq!(freshness(Some(FRESH_MIN + second)), FRESH_MIN + second);
        assert_eq!(freshness(Some(FRESH_MAX + second)), FRESH_MAX);
    }
}
