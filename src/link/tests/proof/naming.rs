//! Chance and names of the model: dice that count, and the reading of a state by which two states are the same.
//!
//! Two states are the same when no rule of the machines can tell them apart. The machines compare secrets for equality
//! only, and moments with `now` only. So a state is read (`Reader`, a `Hasher` under the derived `Hash`) with each secret,
//! family id and call named by the order in which it first stands in the state, and with each moment as its distance from
//! now. Nothing is left out by hand: a new field of a machine is read as soon as it is there. What is read is told apart by
//! its size or its range: moments and numbers of the dice lie far above any count, digests have 32 bytes and secrets 43.

use std::{cell::RefCell, collections::HashMap, hash::Hasher};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::{
    link::dice::Dice,
    wire::{
        secret::{Digest, FreshSecret, HeldToken, SECRET_BYTES},
        time::{Mono, Now, Wall},
    },
};

use super::world::Place;

/// Throws of one host in one run at most.
const THROWS: usize = 1024;
const HOSTS: usize = 3;
/// The model's clocks begin here: far apart, and far above what is counted.
const MONO_START: u64 = 1 << 45;
const WALL_START: u64 = 1_700_000_000_000;
/// Numbers of the dice are thousands of this and more: no jitter, and no two alike.
const NUMBERS: u64 = 1 << 42;
/// Calls are numbered from here.
pub(super) const CALLS: u64 = 1 << 48;

/// The moment so many milliseconds after the start.
pub(super) fn moment(ms: u64) -> Now {
    Now { mono: Mono(MONO_START + ms), wall: Wall(WALL_START + ms) }
}

/// Milliseconds from the start to this moment.
pub(super) fn since_start(at: Mono) -> u64 {
    at.0.saturating_sub(MONO_START)
}

/// Dice of one host: they count, so that the same steps throw the same, whatever other hosts do meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Throws {
    place: Place,
    count: usize,
}

impl Throws {
    pub(super) fn of(place: Place) -> Self {
        Self { place, count: 0 }
    }
}

impl Dice for Throws {
    fn bytes(&mut self) -> [u8; SECRET_BYTES] {
        assert!(self.count < THROWS, "a host of the model throws too often");
        self.count += 1;
        throw(self.place, self.count - 1)
    }
}

fn throw(place: Place, count: usize) -> [u8; SECRET_BYTES] {
    let number = u64::try_from(place * THROWS + count).unwrap();
    let mut bytes = [0x5a; SECRET_BYTES];
    bytes[..8].copy_from_slice(&((NUMBERS + number) * 1000).to_be_bytes());
    // A whole group of base64, so that a secret's text says which it is.
    bytes[24..27].copy_from_slice(&number.to_be_bytes()[5..]);
    bytes
}

/// Every secret that the dice can make, by its digest: its place in the order of throws.
struct Book(HashMap<[u8; 32], usize>);

impl Book {
    fn new() -> Self {
        let all = (0..HOSTS).flat_map(|place| (0..THROWS).map(move |count| (place, count)));
        let digest = |(place, count)| *FreshSecret::from_chance(throw(place, count)).digest().as_bytes();
        Self(all.enumerate().map(|(number, throw)| (digest(throw), number)).collect())
    }
}

thread_local! {
    static BOOK: Book = Book::new();
    static READER: RefCell<Option<Reader>> = const { RefCell::new(None) };
}

/// Who made the secret with this digest.
pub(super) fn maker(digest: &Digest) -> Place {
    number(digest) / THROWS
}

/// Its number: the same for the same secret.
pub(super) fn number(digest: &Digest) -> usize {
    BOOK.with(|book| book.0.get(digest.as_bytes()).copied().unwrap())
}

/// A secret as it is shown in a trace: `b7` is the eighth throw of host B.
pub(super) fn shown(digest: &Digest) -> String {
    let number = number(digest);
    format!("{}{}", ["a", "b", "m"][number / THROWS], number % THROWS)
}

/// As its receiver holds it.
pub(super) fn held(secret: &FreshSecret) -> HeldToken {
    HeldToken::parse(secret.reveal()).unwrap()
}

/// What a state is known by.
pub(super) type Print = u128;

/// Reads a state.
#[derive(Debug)]
pub(super) struct Reader {
    now: Now,
    words: Vec<u8>,
    /// By a secret's number: its name, from 1.
    names: Vec<u8>,
    named: Vec<usize>,
    numbers: Vec<u64>,
}

impl Reader {
    fn new() -> Self {
        let names = vec![0; HOSTS * THROWS];
        Self { now: moment(0), words: Vec::new(), names, named: Vec::new(), numbers: Vec::new() }
    }

    fn secret(&mut self, number: usize) {
        if self.names[number] == 0 {
            self.named.push(number);
            self.names[number] = u8::try_from(self.named.len()).unwrap();
        }
        self.words.extend([0xfe, self.names[number]]);
    }

    fn distance(&mut self, kind: u8, at: u64, now: u64) {
        self.words.push(kind);
        self.words.extend(at.wrapping_sub(now).to_le_bytes());
    }
}

/// What this state is known by at `now`.
pub(super) fn print_of(now: Now, read: impl FnOnce(&mut Reader)) -> Print {
    READER.with_borrow_mut(|slot| {
        let reader = slot.get_or_insert_with(Reader::new);
        reader.now = now;
        reader.words.clear();
        reader.numbers.clear();
        for number in reader.named.drain(..) {
            reader.names[number] = 0;
        }
        read(reader);
        let mut hasher = SipHasher13::new();
        hasher.write(&reader.words);
        hasher.finish128().as_u128()
    })
}

impl Hasher for Reader {
    fn finish(&self) -> u64 {
        unreachable!("a reading is printed, not finished")
    }

    fn write(&mut self, bytes: &[u8]) {
        match bytes.len() {
            32 => {
                let known = BOOK.with(|book| book.0.get(bytes).copied());
                self.secret(known.expect("every digest is of a secret of the model"));
            }
            43 => self.secret(of_text(bytes)),
            _ => self.words.extend(bytes),
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.words.push(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.words.extend(u32::try_from(word).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn write_isize(&mut self, word: isize) {
        // What the derived `Hash` of an enum begins with.
        self.words.push(word.to_le_bytes()[0]);
    }

    fn write_u64(&mut self, word: u64) {
        if (1 << 40..1 << 42).contains(&word) {
            self.distance(0xf1, word, self.now.wall.0);
        } else if (1 << 44..1 << 46).contains(&word) {
            self.distance(0xf2, word, self.now.mono.0);
        } else if (1 << 47..1 << 54).contains(&word) {
            let known = self.numbers.iter().position(|known| *known == word);
            let name = known.unwrap_or_else(|| {
                self.numbers.push(word);
                self.numbers.len() - 1
            });
            self.words.extend([0xf3, u8::try_from(name).unwrap()]);
        } else {
            self.words.extend(word.to_le_bytes());
        }
    }
}

/// The number of the secret with this text.
fn of_text(text: &[u8]) -> usize {
    let sextet = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'-' => 62,
        _ => 63,
    };
    text[32..36].iter().fold(0, |sum, byte| sum << 6 | usize::from(sextet(*byte)))
}

#[test]
fn a_secret_and_its_digest_are_one_name_and_other_secrets_have_others() {
    for (place, count) in [(0, 0), (1, 700), (2, 1023)] {
        let secret = FreshSecret::from_chance(throw(place, count));
        assert_eq!(of_text(secret.reveal().as_bytes()), number(&secret.digest()));
        assert_eq!((maker(&secret.digest()), number(&secret.digest()) % THROWS), (place, count));
    }
}
