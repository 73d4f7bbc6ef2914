//! One commit as it lies in the log.
//!
//! ```text
//! record   magic 4 | sum u64 | head's length u32 | rest's length u64 | where the record before ends u64 | entry .. | value .. | zeros
//! entry    what u8 | key's length u16 | key
//!          | length u32 | the value           where it lies beside its key
//!          | length u32 | sum u64             where it is one of the values at the end, in order
//!          | place u64 | length u32           where it frees a value that the log holds
//! ```
//!
//! Numbers are big-endian. The zeros go to the end of a block: the next record begins in another, so that what was told is never
//! written again. The head is all before the values; its sum begins after itself and is seeded by the segment, so
//! that nothing that a stranger sends can look like a record.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::store::engine::{
    codec::{Put, Take},
    kv::Space,
};

const MAGIC: [u8; 4] = *b"ymp\x01";
/// Bytes before the entries.
pub(crate) const FIXED: usize = 32;
/// ... of them up to where what the sum covers begins.
const SUMMED: usize = 12;

const SPACE: u8 = 0x0f;
const BESIDE: u8 = 0x10;
const AT_END: u8 = 0x20;
const FREES: u8 = 0x40;

/// The first byte of what stands in the tables for a value that lies in the log.
const ELSEWHERE: u8 = 3;

/// Where a value lies in the log, and what it sums up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: u64,
    pub(crate) length: u32,
    pub(crate) sum: u64,
}

impl Place {
    /// What stands in the tables for the value.
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut put = Put::bare(Vec::with_capacity(21));
        put.bytes(&[ELSEWHERE]);
        put.u64(self.at);
        put.u32(self.length);
        put.u64(self.sum);
        put.0
    }

    /// `None` where the value itself stands there.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let mut take = Take::of(value, ELSEWHERE)?;
        let place = Self { at: take.u64()?, length: take.u32()?, sum: take.u64()? };
        take.rest().is_empty().then_some(place)
    }

    /// Whether these bytes are the value.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        xxh3_64(bytes) == self.sum
    }
}

/// A value in the log that is not needed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) at: u64,
    pub(crate) length: u32,
}

/// A change that is to be written.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) space: Space,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) frees: Option<Freed>,
}

/// What became of the value of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    Removed,
    Beside(Vec<u8>),
    AtEnd(Place),
}

/// A change that is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) space: Space,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Noted,
    pub(crate) frees: Option<Freed>,
}

/// Bytes of the head and of the values that these entries will take.
pub(crate) fn sizes(entries: &[Entry]) -> (usize, usize) {
    entries.iter().fold((FIXED, 0), |(head, values), entry| {
        let freed = if entry.frees.is_some() { 12 } else { 0 };
        let (beside, at_end) = match &entry.value {
            None => (0, 0),
            Some(value) if entry.space.is_bulk() => (12, value.len()),
            Some(value) => (4 + value.len(), 0),
        };
        (head + 3 + entry.key.len() + beside + freed, values + at_end)
    })
}

/// Writes a record of so many bytes for this place to the end of `out`; what it holds. `None` where a length does not fit.
pub(crate) fn encode(
    entries: Vec<Entry>,
    length: usize,
    (at, before): (u64, u64),
    seed: u64,
    out: &mut Vec<u8>,
) -> Option<Vec<Logged>> {
    let (start, (head, _)) = (out.len(), sizes(&entries));
    // The head comes to lie before the values: each of them is summed up and copied while it is near.
    out.resize(start + head, 0);
    let mut put = Put::bare(Vec::with_capacity(head));
    put.bytes(&MAGIC);
    put.u64(0);
    put.u32(u32::try_from(head).ok()?);
    put.u64(length.checked_sub(head)? as u64);
    put.u64(before);
    let mut logged = Vec::with_capacity(entries.len());
    let mut next = at + head as u64;
    for Entry { space, key, value, frees } in entries {
        let kind = match &value {
            None => 0,
            Some(_) if space.is_bulk() => AT_END,
            Some(_) => BESIDE,
        };
        put.bytes(&[space as u8 | kind | frees.map_or(0, |_| FREES)]);
        put.bytes(&u16::try_from(key.len()).ok()?.to_be_bytes());
        put.bytes(&key);
        let value = match value {
            None => Noted::Removed,
            Some(value) => {
                let length = u32::try_from(value.len()).ok()?;
                put.u32(length);
                if kind == AT_END {
                    let place = Place { at: next, length, sum: xxh3_64(&value) };
                    put.u64(place.sum);
                    next += u64::from(length);
                    out.extend_from_slice(&value);
                    Noted::AtEnd(place)
                } else {
                    put.bytes(&value);
                    Noted::Beside(value)
                }
            }
        };
        if let Some(freed) = frees {
            put.u64(freed.at);
            put.u32(freed.length);
        }
        logged.push(Logged { space, key, value, frees });
    }
    let sum = xxh3_64_with_seed(put.0.get(SUMMED..)?, seed);
    put.0.get_mut(MAGIC.len()..SUMMED)?.copy_from_slice(&sum.to_be_bytes());
    out.get_mut(start..start + head)?.copy_from_slice(&put.0);
    out.resize(start + length, 0);
    Some(logged)
}

/// The head of a record.
#[derive(Debug)]
pub(crate) struct Head {
    /// Where the record before ends.
    pub(crate) before: u64,
    /// Bytes of all of it.
    pub(crate) length: u64,
    /// ... of it the zeros at its end.
    pub(crate) zeros: u64,
    pub(crate) logged: Vec<Logged>,
}

/// Bytes of the head, as its fixed part says; `None` where none begins.
pub(crate) fn head_length(fixed: &[u8]) -> Option<usize> {
    let mut take = Take::of_magic(fixed, &MAGIC)?;
    take.u64()?;
    usize::try_from(take.u32()?).ok().filter(|length| *length >= FIXED)
}

/// Reads the head that begins these bytes, which lie at this place; `None` where it is not whole.
pub(crate) fn decode(bytes: &[u8], at: u64, seed: u64) -> Option<Head> {
    let head = bytes.get(..head_length(bytes)?)?;
    let mut take = Take::of_magic(head, &MAGIC)?;
    if take.u64()? != xxh3_64_with_seed(head.get(SUMMED..)?, seed) {
        return None;
    }
    take.u32()?;
    let (rest, before) = (take.u64()?, take.u64()?);
    let (mut logged, mut next) = (Vec::new(), at + head.len() as u64);
    let length = (head.len() as u64).checked_add(rest)?;
    while let Some([what]) = take.array() {
        let space = *Space::ALL.get(usize::from(what & SPACE))?;
        let key_length = usize::from(u16::from_be_bytes(take.array()?));
        let key = take.slice(key_length)?.to_vec();
        let value = match what & (BESIDE | AT_END) {
            0 => Noted::Removed,
            BESIDE => {
                let length = usize::try_from(take.u32()?).ok()?;
                Noted::Beside(take.slice(length)?.to_vec())
            }
            AT_END => {
                let place = Place { at: next, length: take.u32()?, sum: take.u64()? };
                next += u64::from(place.length);
                Noted::AtEnd(place)
            }
            _ => return None,
        };
        let frees = match what & FREES {
            0 => None,
            _ => Some(Freed { at: take.u64()?, length: take.u32()? }),
        };
        logged.push(Logged { space, key, value, frees });
    }
    let zeros = at.checked_add(length)?.checked_sub(next)?;
    Some(Head { before, length, zeros, logged })
}

/// Where a record begins in these bytes, after the first: each that has a whole head. The first lies at `at`.
pub(crate) fn any_after(bytes: &[u8], at: u64, seed: u64) -> Option<u64> {
    let begins = |from: usize| {
        let rest = bytes.get(from..)?;
        rest.windows(MAGIC.len()).position(|window| window == MAGIC).map(|found| from + found)
    };
    let mut from = 1;
    while let Some(found) = begins(from) {
        let place = at + found as u64;
        if decode(bytes.get(found..)?, place, seed).is_some() {
            return Some(place);
        }
        from = found + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn freed() -> impl Strategy<Value = Option<Freed>> {
        proptest::option::of(any::<(u64, u32)>().prop_map(|(at, length)| Freed { at, length }))
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let bytes = |most| proptest::collection::vec(any::<u8>(), 0..most);
        let one = (0..Space::ALL.len(), bytes(40), proptest::option::of(bytes(300)), freed());
        let entry =
            one.prop_map(|(space, key, value, frees)| Entry { space: Space::ALL[space], key, value, frees });
        proptest::collection::vec(entry, 0..6)
    }

    proptest! {
        #[test]
        fn a_record_reads_back_and_no_byte_of_its_head_can_change(
            all in entries(), zeros in 0..300usize, at in 0..u64::MAX / 2, before in any::<u64>(), seed in any::<u64>(), turned in any::<u64>(),
        ) {
            let values: Vec<_> = all.iter().filter(|entry| entry.space.is_bulk()).filter_map(|entry| entry.value.clone()).collect();
            let (head, rest) = sizes(&all);
            let mut out = vec![1, 2, 3];
            let rest = rest + zeros;
            let logged = encode(all, head + rest, (at, before), seed, &mut out).unwrap();
            prop_assert_eq!(out.len(), 3 + head + rest);
            let record = out.split_off(3);
            let read = decode(&record, at, seed).unwrap();
            prop_assert_eq!((read.before, read.length, &read.logged), (before, (head + rest) as u64, &logged));
            let places = logged.iter().filter_map(|logged| match logged.value {
                Noted::AtEnd(place) => Some(place),
                Noted::Removed | Noted::Beside(_) => None,
            });
            for (place, value) in places.zip(&values) {
                let from = (place.at - at) as usize;
                prop_assert!(place.is(value) && record[from..from + place.length as usize] == value[..]);
                prop_assert_eq!(Place::decode(&place.encode()), Some(place));
            }
            prop_assert!(decode(&record, at, seed ^ 1).is_none());
            for end in 0..head {
                prop_assert!(decode(&record[..end], at, seed).is_none());
            }
            let mut wrong = record.clone();
            wrong[turned as usize % head] ^= 1 << (turned % 8);
            prop_assert!(decode(&wrong, at, seed).is_none());
            let shifted = [&[0; 7][..], &record].concat();
            prop_assert_eq!(any_after(&shifted, at.wrapping_sub(7), seed), (at >= 7).then_some(at));
            prop_assert_eq!(any_after(&record, at, seed), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in any::<u64>()) {
            let _ = decode(&bytes, at, 7);
            let _ = any_after(&[&MAGIC, &bytes[..]].concat(), at, 7);
            let _ = Place::decode(&bytes);
        }
    }
}
