//! What the log has after a place: brought to the tables at an opening, up to the last record that is whole.

use std::{
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use super::{
    blocks::{Blocks, Stream},
    record::{self, FIXED, Head, Logged, Noted},
    segment::{self, HEADER, Shape},
    tail::{Reach, Tail},
};
use crate::store::StoreError;

/// Takes what a record holds, and how far the log reaches with it.
pub(crate) type Each<'a> = &'a mut dyn FnMut(Vec<Logged>, Reach) -> Result<(), StoreError>;

fn reading(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let what = format!("reading {}", path.display());
    move |cause| StoreError::Io { what: what.as_str().into(), cause: cause.to_string().into() }
}

fn damaged(path: &Path, how: &str) -> StoreError {
    StoreError::Damaged(format!("{}: {how}", path.display()).into())
}

/// A segment that is read.
pub(crate) struct Reader {
    number: u64,
    start: u64,
    seed: u64,
    blocks: Arc<Blocks>,
    stream: Stream,
    /// Bytes of the file.
    length: u64,
    /// Where the next record begins, or would.
    pub(crate) at: u64,
}

impl Reader {
    /// Begins at a place in a segment.
    pub(crate) fn open(folder: &Path, shape: Shape, number: u64, at: u64) -> Result<Self, StoreError> {
        let path = segment::path(folder, number);
        let open = || {
            let blocks = Blocks::open(&path)?;
            Ok((blocks.length()?, segment::seed(&blocks, number, shape)?, Arc::new(blocks)))
        };
        let (length, seed, blocks) = open().map_err(reading(&path))?;
        let seed = seed.ok_or_else(|| damaged(&path, "its beginning cannot be read"))?;
        let start = number * shape.segment;
        Ok(Self { number, start, seed, stream: Stream::new(blocks.clone(), at - start), blocks, length, at })
    }

    /// The next record, where a whole one follows.
    fn next_in(&mut self, folder: &Path) -> Result<Option<Head>, StoreError> {
        self.next(&mut |_, _| ()).map_err(reading(&segment::path(folder, self.number)))
    }

    /// The next record, where a whole one follows; `value` gets what it has in the log, one by one.
    pub(crate) fn next(&mut self, value_of: &mut dyn FnMut(usize, &[u8])) -> io::Result<Option<Head>> {
        let Some(head) = self.next_head()? else { return Ok(None) };
        let mut value = Vec::new();
        for (at, logged) in head.logged.iter().enumerate() {
            if let Noted::AtEnd(place) = &logged.value {
                value.clear();
                self.stream.by_ref().take(u64::from(place.length)).read_to_end(&mut value)?;
                if !place.is(&value) {
                    return Ok(None);
                }
                value_of(at, &value);
            }
        }
        self.at += head.length;
        Ok(Some(head))
    }

    fn next_head(&mut self) -> io::Result<Option<Head>> {
        let left = self.length.saturating_sub(self.at - self.start);
        let mut bytes = vec![0; FIXED];
        if left < FIXED as u64 {
            return Ok(None);
        }
        self.stream.read_exact(&mut bytes)?;
        let Some(length) = record::head_length(&bytes).filter(|length| *length as u64 <= left) else {
            return Ok(None);
        };
        bytes.resize(length, 0);
        self.stream.read_exact(bytes.get_mut(FIXED..).unwrap_or_default())?;
        Ok(record::decode(&bytes, self.at, self.seed).filter(|head| head.length <= left))
    }

    /// What follows `at` in the file, without the zeros at its end.
    fn rest(&self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        Stream::new(self.blocks.clone(), self.at - self.start).read_to_end(&mut rest)?;
        rest.truncate(rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        Ok(rest)
    }
}

/// Brings all after `from` to `each`, from the beginning where there is no `from`, and goes on at the end.
///
/// # Errors
/// `Damaged` where the log does not reach from there to its end; `Io`.
pub(crate) fn replay(
    folder: &Path,
    shape: Shape,
    from: Option<Reach>,
    each: Each<'_>,
) -> Result<Tail, StoreError> {
    let numbers = segment::list(folder).map_err(reading(folder))?;
    let mut reach = from.unwrap_or(Reach::NONE);
    let Some(newest) = numbers.last().copied() else {
        return match from {
            None => Tail::make(folder, shape, 0, reach),
            Some(_) => Err(damaged(folder, "the log is missing")),
        };
    };
    let open = |number: u64, at| match numbers.binary_search(&number) {
        Ok(_) => Reader::open(folder, shape, number, at),
        Err(_) => Err(damaged(&segment::path(folder, number), "it is missing")),
    };
    let mut reader = open(reach.last / shape.segment, reach.last)?;
    // The last that the tables have must still be there: else the end of the log was lost.
    if reach != Reach::NONE && reader.next_in(folder)?.is_none_or(|_| reader.at != reach.end) {
        return Err(damaged(&segment::path(folder, reader.number), "its last commit cannot be read"));
    }
    loop {
        while let Some(head) = reader.next_in(folder)? {
            let path = segment::path(folder, reader.number);
            if head.before != reach.end {
                return Err(damaged(&path, "a commit is missing"));
            }
            reach = Reach { last: reader.at - head.length, end: reader.at };
            each(head.logged, reach)?;
        }
        if reader.number == newest {
            return finish(folder, shape, &reader, reach);
        }
        let path = segment::path(folder, reader.number);
        if !reader.rest().map_err(reading(&path))?.is_empty() {
            return Err(damaged(&path, "a commit cannot be read, and others follow"));
        }
        let next = reader.number + 1;
        reader = open(next, next * shape.segment + HEADER)?;
    }
}

/// Takes off what is torn, and goes on behind the last whole record.
fn finish(folder: &Path, shape: Shape, reader: &Reader, reach: Reach) -> Result<Tail, StoreError> {
    let path = segment::path(folder, reader.number);
    let rest = reader.rest().map_err(reading(&path))?;
    let within = reader.at - reader.start;
    if record::any_after(&rest, reader.at, reader.seed).is_some() {
        return Err(damaged(
            &path,
            &format!("the commit at byte {within} cannot be read, and others follow"),
        ));
    }
    if !rest.is_empty() {
        let bytes = rest.len();
        tracing::warn!(file = %path.display(), bytes, "took off a last commit that was torn when the power went");
    }
    let used = reader.at + rest.len() as u64;
    Tail::go_on(folder, shape, (reader.number, reader.blocks.clone(), reader.seed), (reach, reader.at..used))
}
