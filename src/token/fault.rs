//! Faults that the proof of the handshake (`link/tests/proof`) seeds, to show that it sees each. Outside of tests there are
//! none: `fault!(..)` is `false`.

/// Whether this fault is seeded.
#[cfg(not(test))]
macro_rules! fault {
    ($name:ident) => {
        false
    };
}

/// Whether this fault is seeded.
#[cfg(test)]
macro_rules! fault {
    ($name:ident) => {
        $crate::token::fault::is_seeded($crate::token::fault::Fault::$name)
    };
}

pub(crate) use fault;

/// A rule that is not kept.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A grant counts, whatever host was asked.
    AnyHost,
    /// A refresh token opens the door of packets.
    AnyDoor,
    /// A grant that is answered with 401 or 403 is taken all the same.
    TakenAnyway,
    /// What is offered opens before the grant is answered.
    OffersOpen,
    /// A newer token displaces the one that works.
    Displaced,
    /// What anybody could have caused counts as the host's own.
    UnsureIsSure,
    /// A request is granted in another form than its host's.
    AnyForm,
    /// Who asks does not grant meanwhile.
    AskingStopsGranting,
    /// What is kept does not reach the disk.
    KeepsNothing,
    /// An older exchange that is first used while it winds down runs out all the same.
    NoSecondUse,
    /// A refresh spends the old pair at once.
    OldPairDies,
    /// A refresh token that was refused is shown again.
    RefusedIsShown,
    /// A grant that does not come is waited for without end.
    NeverGivesUp,
    /// The pair whose answer was lost lives on beside its successor.
    TwoSuccessors,
    /// The first use of a pair does not spend the one before it.
    SpentOpens,
    /// Exchanges and refreshes follow each other without a pause.
    NoPause,
}

#[cfg(test)]
thread_local! {
    static SEEDED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
pub(crate) fn is_seeded(fault: Fault) -> bool {
    SEEDED.get() == Some(fault)
}

/// Runs with this fault, on this thread.
#[cfg(test)]
pub(crate) fn with<T>(fault: Option<Fault>, run: impl FnOnce() -> T) -> T {
    SEEDED.set(fault);
    let outcome = run();
    SEEDED.set(None);
    outcome
}
