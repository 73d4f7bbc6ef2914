//! What the log has after a place: brought to the tables at an opening, up to the last record that is whole.

use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    blocks::{Blocks, Stream},
    record::{self, FIXED, Head, Logged, Noted},
    segment::{self, HEADER, Shape},
    tail::{Reach, Tail},
};
use crate::store::{
    StoreError,
    embedded::folder::{damaged, io, sync_folder},
};

/// Takes what a record holds, and how far the log reaches with it.
pub(crate) type Each<'a> = &'a mut dyn FnMut(Vec<Logged>, Reach) -> Result<(), StoreError>;

/// What of the log the tables have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Had {
    /// All of them: from here on some may lack something.
    pub(crate) from: Reach,
    /// Some of them: so far the log must go.
    pub(crate) to: Reach,
}

/// Takes a value that lies in the log, with its key.
pub(crate) type EachValue<'a> = &'a mut dyn FnMut(&Logged, &[u8]) -> Result<(), StoreError>;

/// A segment that is read.
pub(crate) struct Reader {
    path: PathBuf,
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
    /// Begins at a place, or at the first record behind it where none can begin there.
    pub(crate) fn open(folder: &Path, at: u64) -> Result<Self, StoreError> {
        let (number, within) = segment::split(at);
        let path = segment::path(folder, number);
        let open = || {
            let blocks = Blocks::open(&path)?;
            Ok((blocks.length()?, segment::begins(&blocks, number)?, Arc::new(blocks)))
        };
        let (length, begins, blocks) = open().map_err(io("reading", &path))?;
        let (seed, first) = begins.ok_or_else(|| damaged(&path, "its beginning cannot be read"))?;
        let (start, within) = (segment::start(number), within.max(first));
        let stream = Stream::new(blocks.clone(), within);
        Ok(Self { path, number, start, seed, blocks, stream, length, at: start + within })
    }

    /// The next record, where a whole one follows; `each` gets its values that lie in the log.
    pub(crate) fn next(&mut self, each: EachValue<'_>) -> Result<Option<Head>, StoreError> {
        let Some(head) = self.next_head().map_err(io("reading", &self.path))? else { return Ok(None) };
        let mut value = Vec::new();
        for logged in &head.logged {
            if let Noted::AtEnd(place) = &logged.value {
                value.clear();
                let read = self.stream.by_ref().take(u64::from(place.length)).read_to_end(&mut value);
                read.map_err(io("reading", &self.path))?;
                if !place.is(&value) {
                    return Ok(None);
                }
                each(logged, &value)?;
            }
        }
        let zeros = std::io::copy(&mut self.stream.by_ref().take(head.zeros), &mut std::io::sink());
        zeros.map_err(io("reading", &self.path))?;
        self.at += head.length;
        Ok(Some(head))
    }

    fn next_head(&mut self) -> std::io::Result<Option<Head>> {
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
    fn rest(&self) -> Result<Vec<u8>, StoreError> {
        let mut rest = Vec::new();
        let mut stream = Stream::new(self.blocks.clone(), self.at - self.start);
        stream.read_to_end(&mut rest).map_err(io("reading", &self.path))?;
        rest.truncate(rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        Ok(rest)
    }
}

/// Brings all to `each` that follows what all of the tables had, and goes on at the end.
///
/// The last record is brought when it is known to be on the disk: else the tables could have what the log lost.
///
/// # Errors
/// `Damaged` where the log does not reach from there to its end; `Io`.
pub(crate) fn replay(
    folder: &Path,
    shape: Shape,
    had: Option<Had>,
    each: Each<'_>,
) -> Result<Tail, StoreError> {
    let numbers = segment::list(folder).map_err(io("reading", folder))?;
    let Had { from: mut reach, to } = had.unwrap_or(Had { from: Reach::NONE, to: Reach::NONE });
    let Some(newest) = numbers.last().copied() else {
        return match had {
            None => Tail::make(folder, shape, 0, reach),
            Some(_) => Err(damaged(folder, "the log is missing")),
        };
    };
    let open = |at| match segment::split(at) {
        (number, _) if numbers.binary_search(&number).is_ok() => Reader::open(folder, at),
        (number, _) => Err(damaged(&segment::path(folder, number), "it is missing")),
    };
    let nothing: EachValue<'_> = &mut |_, _| Ok(());
    let mut reader = open(reach.last)?;
    // The last that the tables have must still be there, here and below: else the end of the log was lost.
    if reach != Reach::NONE && reader.next(nothing)?.is_none_or(|_| reader.at != reach.end) {
        return Err(damaged(&reader.path, "its last commit cannot be read"));
    }
    let (mut last, mut met) = (None, reach == to);
    loop {
        while let Some(head) = reader.next(nothing)? {
            if head.before != reach.end {
                return Err(damaged(&reader.path, "a commit is missing"));
            }
            if let Some(logged) = last.replace(head.logged) {
                each(logged, reach)?;
            }
            reach = Reach { last: reader.at - head.length, end: reader.at };
            met |= reach == to;
        }
        if reader.number == newest {
            break;
        }
        if !reader.rest()?.is_empty() {
            return Err(damaged(&reader.path, "a commit cannot be read, and others follow"));
        }
        reader = open(segment::start(reader.number + 1) + HEADER)?;
    }
    if !met {
        return Err(damaged(&reader.path, "its last commit cannot be read"));
    }
    // What a crash left of the making of a segment: its name is made sure of before anything in it is told.
    sync_folder(folder).map_err(io("syncing", folder))?;
    let tail = finish(folder, shape, &reader, reach)?;
    last.map_or(Ok(()), |logged| each(logged, reach))?;
    Ok(tail)
}

/// Takes off what is torn, and goes on behind the last whole record.
fn finish(folder: &Path, shape: Shape, reader: &Reader, reach: Reach) -> Result<Tail, StoreError> {
    let rest = reader.rest()?;
    if record::any_after(&rest, reader.at, reader.seed).is_some() {
        let (_, within) = segment::split(reader.at);
        let how = format!("the commit at byte {within} cannot be read, and others follow");
        return Err(damaged(&reader.path, &how));
    }
    if !rest.is_empty() {
        let (file, bytes) = (reader.path.display(), rest.len());
        tracing::warn!(%file, bytes, "took off a last commit that was torn when the power went");
    }
    let used = reader.at + rest.len() as u64;
    Tail::go_on(folder, shape, (reader.number, reader.blocks.clone(), reader.seed), (reach, reader.at..used))
}
