//! The store's promise, proven for every engine by the same tests.
//!
//! `promises!` makes of each function two tests, one per engine. What only an engine on disk can show stands in
//! `recovery` (damage, locks, modes, formats) and `killed` (a process that is killed at any moment).

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking, as the test does")]

mod backup;
mod crash;
mod house;
mod inbox;
mod killed;
mod model;
mod outbox;
mod recovery;
mod repeats;
mod vault;

/// Runs each function against every engine.
#[macro_export]
macro_rules! promises {
    ($(fn $name:ident($house:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            fn promise($house: &mut House) $body

            #[test]
            fn memory() {
                promise(&mut House::memory());
            }

            #[test]
            fn embedded() {
                promise(&mut House::embedded());
            }
        }
    )*};
}
