//! What the rest of the link is told of the tokens.

use std::time::Duration;

/// What to do after a 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link) enum After401 {
    /// Another token is there: send again.
    SendAgain,
    /// A refresh or an exchange will bring one.
    Wait,
    /// Even a fresh exchange's token was refused.
    Failed,
}

/// What came of a try to get tokens, for the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::link) enum Outcome {
    /// Nothing that the link must know.
    Quiet,
    /// It failed, and there is no token to go on with.
    Failed(String),
}

/// A request that cannot have reached the peer's grant code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::link) enum Unreached {
    /// 404 or 405: nothing of the kind is there (any more).
    Gone(String),
    /// The peer was not reached.
    Away(String),
}

/// A refresh that brought nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::link) struct Refused {
    /// The old refresh token is still good.
    pub(in crate::link) again: bool,
    /// The wait that the peer asked for.
    pub(in crate::link) asked: Option<Duration>,
    /// Why, for people.
    pub(in crate::link) reason: String,
}

#[cfg(test)]
impl super::Asking {
    /// In a few words, for the pinned tables.
    pub(in crate::link) fn state(&self, now: crate::wire::time::Now) -> String {
        use super::{Cure, renewal::Renewal};
        let token = self.current(now).map_or("no token", |token| token.reveal());
        let asked = if self.is_asking() { ", asked" } else { "" };
        let renewal = match self.renewal {
            Renewal::Idle => "",
            Renewal::Running { .. } => ", refreshing",
            Renewal::Keeping { .. } => ", refreshed",
            Renewal::Resting { .. } => ", refresh rests",
            Renewal::Abandoned => ", refresh abandoned",
        };
        let cure = match self.cure {
            Cure::None => "",
            Cure::Refreshed => ", cure: refreshed",
            Cure::Exchanged => ", cure: exchanged",
        };
        let wanted = match (self.connect_wanted, self.refresh_wanted) {
            (false, false) => "",
            (true, _) => ", wants to ask",
            (false, true) => ", wants to refresh",
        };
        format!("{token}{asked}{renewal}{cure}{wanted}")
    }
}
