//! The log: every commit as one record, synced before anybody is told, and the home of messages.
//!
//! ```text
//! changes -> record -> one write, one fdatasync -> the tables get keys, small values, and places of messages
//! ```
//!
//! It is the journal of the tables, which are written behind it and not synced: they say up to where they have it, and
//! what comes after is brought to them at the next opening. A message is written here and nowhere else; a segment goes when
//! no message in it is needed and the tables have all of it on the disk (`reclaim`).
//!
//! Only the last record may be torn, since a record is written when the one before is synced; it is taken off, as nobody was told
//! of it. A record that cannot be read and has others after it is damage.
//!
//! - `record`: one commit. `segment`: the files. `blocks`: how they are written and read.
//! - `tail`: the end, where records are written. `replay`: what lies after a place. `messages`: what lies at a place,
//!   `recent`: the newest of it.

pub(super) mod blocks;
pub(super) mod messages;
pub(super) mod recent;
pub(super) mod record;
pub(super) mod replay;
pub(super) mod segment;
pub(super) mod tail;
