//! Bodies, each message with a new id and other bytes.
//!
//! A packet of one message weighs 516 bytes, one of 100 messages 49 KB; a submission holds the same messages. Two thirds
//! of a message are random text, so that a store which compresses finds no more than it does in life.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// A packet with one message.
const PACKET_BYTES: usize = 516;
/// Random text that payloads are cut from: large enough that neighbours on disk share little.
const POOL_BYTES: usize = 4 << 20;
/// Digits of a message's number in its id, after an `m`.
pub(crate) const DIGITS: usize = 19;

/// What is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// To a peer: `{"packet":{"messages":[..]}}`.
    Packet,
    /// To our own node: one message, or `{"messages":[..]}`.
    Submission,
}

/// Makes bodies of one length. Numbers go on from body to body.
pub(crate) struct Bodies {
    before: &'static str,
    after: &'static str,
    messages: usize,
    /// Up to the id's digits.
    head: String,
    /// From the id's digits to the payload.
    middle: String,
    filler: usize,
    pool: &'static [u8],
    next: AtomicU64,
}

const TAIL: &str = "\"}}";

impl fmt::Debug for Bodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bodies").field("messages", &self.messages).finish_non_exhaustive()
    }
}

impl Bodies {
    /// So many messages of the usual weight from one host's `example/form` to another's.
    pub(crate) fn new(form: Form, messages: usize, from: &str, to: &str) -> Self {
        Self::weighing(form, messages, PACKET_BYTES, from, to)
    }

    /// The same where a packet with one message has this many bytes: 300 at least, 2 MiB at most.
    pub(crate) fn weighing(form: Form, messages: usize, packet: usize, from: &str, to: &str) -> Self {
        let (before, after) = match form {
            Form::Packet => ("{\"packet\":{\"messages\":[", "]}}"),
            Form::Submission if messages == 1 => ("", ""),
            Form::Submission => ("{\"messages\":[", "]}"),
        };
        let head = format!(
            "{{\"sender\":{{\"host\":\"{from}\",\"protocol\":\"example\",\"service\":\"form\"}},\"id\":\"m"
        );
        let middle = format!(
            "\",\"host\":\"{to}\",\"protocol\":\"example\",\"service\":\"form\",\"action\":\"put\",\
             \"payload\":{{\"data\":\""
        );
        let wrapping = "{\"packet\":{\"messages\":[]}}".len();
        let names = head.len() + DIGITS + middle.len() + TAIL.len();
        let filler = packet.saturating_sub(wrapping + names);
        Self { before, after, messages, head, middle, filler, pool: pool(), next: AtomicU64::new(0) }
    }

    /// Messages in each body.
    pub(crate) fn messages(&self) -> u64 {
        self.messages as u64
    }

    /// The number of the next message.
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// The bytes of each body.
    pub(crate) fn len(&self) -> usize {
        let message = self.head.len() + DIGITS + self.middle.len() + self.filler + TAIL.len();
        self.before.len() + (self.messages * (message + 1)).saturating_sub(1) + self.after.len()
    }

    /// Appends the next body.
    pub(crate) fn write(&self, into: &mut Vec<u8>) {
        let first = self.next.fetch_add(self.messages(), Ordering::Relaxed);
        into.extend_from_slice(self.before.as_bytes());
        for number in first..first + self.messages() {
            if number > first {
                into.push(b',');
            }
            self.message(number, into);
        }
        into.extend_from_slice(self.after.as_bytes());
    }

    /// Appends the message of this number.
    pub(crate) fn message(&self, number: u64, into: &mut Vec<u8>) {
        into.extend_from_slice(self.head.as_bytes());
        into.extend_from_slice(&digits(number));
        into.extend_from_slice(self.middle.as_bytes());
        let room = (self.pool.len() - self.filler) as u64;
        let at = usize::try_from(mixed(number) % room).unwrap_or(0);
        into.extend_from_slice(&self.pool[at..at + self.filler]);
        into.extend_from_slice(TAIL.as_bytes());
    }
}

/// A number as its digits in an id.
pub(crate) fn digits(mut number: u64) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    digits
}

/// The finalizer of SplitMix64: neighbours become strangers.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Random text of 64 characters, always the same.
fn pool() -> &'static [u8] {
    const TEXT: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static POOL: OnceLock<Vec<u8>> = OnceLock::new();
    let text = |at| TEXT[usize::try_from(mixed(at) % 64).unwrap_or(0)];
    POOL.get_or_init(|| (0..POOL_BYTES as u64).map(text).collect())
}
