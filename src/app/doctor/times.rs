//! Times: two clocks beside each other, and how far away a date is.

use std::time::Duration;

use super::step::Step;
use crate::wire::time::Wall;

const CLOCK: &str = "clock";
/// `Date` counts whole seconds, and the answer was under way.
const SAME: Duration = Duration::from_secs(3);
/// A clock that is kept right is nearer.
const NOTE: Duration = Duration::from_secs(60);
/// Lifetimes that are written as a date (R2, R3) become too short or too long, and certificates not valid.
const WRONG: Duration = Duration::from_secs(300);
const DAY: u64 = 86_400;

/// What the peer's clock showed when ours showed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dated {
    pub(super) theirs: Wall,
    pub(super) ours: Wall,
}

/// Are the clocks together?
pub(super) fn compare(dated: &Dated) -> Step {
    let Dated { theirs, ours } = dated;
    let apart = theirs.since(*ours).max(ours.since(*theirs));
    if apart < SAME {
        return Step::ok(CLOCK, "the peer's and ours agree");
    }
    if apart <= NOTE {
        return Step::ok(CLOCK, format!("the peer's and ours are {} apart", span(apart)));
    }
    let which = if theirs > ours { "ahead of" } else { "behind" };
    let what = format!(
        "the peer's clock is {} {which} ours: it shows {}, ours {}",
        span(apart),
        moment(*theirs),
        moment(*ours)
    );
    let mend = "set the one that is wrong (`date -u`, `timedatectl`): a lifetime may be written as a date, and a \
                certificate is";
    if apart <= WRONG { Step::note(CLOCK, what).mended_by(mend) } else { Step::wrong(CLOCK, what, mend) }
}

/// Nothing said what the peer's clock shows. `reached`: it was called, and its answers carry no `Date`.
pub(super) fn unknown(reached: bool) -> Step {
    if !reached {
        return Step::beyond(CLOCK);
    }
    Step::skipped(CLOCK, "not compared: the peer's answers do not say what its clock shows")
}

/// `2026-01-31`.
pub(super) fn day(at: Wall) -> String {
    written(at, "%Y-%m-%d")
}

/// Whole days until then.
pub(super) fn days_until(at: Wall, now: Wall) -> u64 {
    at.since(now).as_secs() / DAY
}

fn moment(at: Wall) -> String {
    written(at, "%Y-%m-%d %H:%M:%SZ")
}

fn written(at: Wall, form: &str) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).strftime(form).to_string()
}

fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::step::State;

    const OURS: Wall = Wall(1_700_000_000_000);

    #[test]
    fn clocks_apart_are_a_note_after_a_minute_and_wrong_after_five() {
        for (seconds, state) in [(0, State::Ok), (60, State::Ok), (61, State::Note), (300, State::Note)] {
            for theirs in [Wall(OURS.0 + seconds * 1000), Wall(OURS.0 - seconds * 1000)] {
                assert_eq!(compare(&Dated { theirs, ours: OURS }).state, state, "{seconds}");
            }
        }
        let step = compare(&Dated { theirs: Wall(OURS.0 - 7_260_000), ours: OURS });
        assert_eq!(step.state, State::Wrong);
        assert_eq!(
            step.what,
            "the peer's clock is 2 h behind ours: it shows 2023-11-14 20:12:20Z, ours 2023-11-14 22:13:20Z"
        );
    }

    #[test]
    fn days_are_counted() {
        assert_eq!((day(OURS).as_str(), days_until(Wall(OURS.0 + 86_400_000), OURS)), ("2023-11-14", 1));
    }
}
