//! What one commit puts at one end, under few keys instead of many.
//!
//! A key of its own for each message would cost several times the message: in the journal, in memory, and each time that the
//! database merges. So what comes together lies together, under the place of its last, and goes when all of it is done with.
//!
//! - `arrived`: messages in an inbox, and sightings in the window of repeats.
//! - `posted`: messages in the outbox, and those that were delivered.
//!
//! A value that opens with 1 holds one, as `codec` says; earlier versions wrote no other. One that opens with 3 is never seen
//! here: it is what `embedded` has in its tables for a bundle that lies in its log.

pub(crate) mod arrived;
pub(crate) mod posted;

use super::codec::Take;

/// The first byte of a value with several.
const MANY: u8 = 2;
/// Bytes of a bundle beyond which another begins: a reader of one message reads the whole.
const BYTES: usize = 64 * 1024;

/// How many it holds, and what follows the count; `None` for a value of one.
fn many(value: &[u8]) -> Option<(u32, Take<'_>)> {
    let mut take = Take::of(value, MANY)?;
    Some((take.u32()?, take))
}
