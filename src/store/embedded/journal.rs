//! Mends to the database's journal that fjall leaves to its user. Both happen while the database is closed.
//!
//! **After a failed sync** the system may show bytes that never reached the disk, and a later sync may call them clean.
//! So what is read again must first be written anew: `rewrite` writes the journals over themselves and syncs them; that takes no
//! room, which there may be none of.
//!
//! **After a power cut** commits that were not synced may be whole in form and wrong in content, since pages reach the disk in
//! any order. fjall cuts off a tail that ends early, but refuses this one: `Cut` takes off the first commit that is wrong and
//! all after it, and puts them back when the caller finds that they were needed. The journal is there at every moment, old or
//! new: the whole one gets a second name, and the cut one takes its place in one step.
//!
//! A crash may leave a cut that nobody decided on, and earlier versions moved the whole one away first and could leave none;
//! `restore` puts the whole one back before anything is read, since the database would take what is there for all.
//!
//! A journal is a row of batches: `1 count u32 seqno u64`, items `2 type u8 compression u8 keyspace u64 key u16
//! value u32 stored u32 | key | stored value`, clears `4 keyspace u64`, and at the end `3 checksum u64 magic 4`.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

use super::folder::{damaged, sync_folder};
use crate::store::StoreError;

const BLOCK: usize = 64 * 1024;
/// What a whole journal is called while it is set aside.
const WHOLE: &str = "torn";

/// The journals of a database, oldest first.
fn journals(database: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(numbered(database, "jnl")?.into_iter().map(|(_, path)| path).collect())
}

/// Files named by a number, in its order.
fn numbered(database: &Path, ending: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(OsStr::to_str).and_then(|stem| stem.parse::<u64>().ok());
        if let Some(number) = number
            && path.extension().is_some_and(|found| found == ending)
        {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Puts a journal back that was set aside and has nothing in its place, or only its own beginning. Another that is older than
/// what is there stays aside: the database has gone on without it, and old writes must not come after newer ones.
pub(super) fn restore(database: &Path) -> io::Result<()> {
    if !database.try_exists()? {
        return Ok(());
    }
    let newest = numbered(database, "jnl")?.pop().map(|(number, _)| number);
    for (_, draft) in numbered(database, "new")? {
        fs::remove_file(draft)?;
    }
    for (number, whole) in numbered(database, WHOLE)?.into_iter().rev() {
        let journal = whole.with_extension("jnl");
        let undecided = newest == Some(number) && begins_with(&whole, &journal)?;
        if undecided || newest.is_none_or(|newest| newest < number) {
            tracing::warn!(file = %whole.display(), "put back a journal that had been set aside and not replaced");
            fs::rename(&whole, journal)?;
            return sync_folder(database);
        }
        tracing::warn!(file = %whole.display(), "a journal that was set aside is left as it is");
    }
    Ok(())
}

/// Writes all journals anew, so that what will be read of them is on the disk.
pub(super) fn rewrite(database: &Path) -> io::Result<()> {
    for path in journals(database)? {
        let journal = File::options().read(true).write(true).open(path)?;
        let (mut at, mut block) = (0, Vec::with_capacity(BLOCK));
        while (&journal).take(BLOCK as u64).read_to_end(&mut block)? > 0 {
            // Empty blocks, of which a journal is made in advance, take no room.
            if block.iter().any(|byte| *byte != 0) {
                journal.write_all_at(&block, at)?;
            }
            at += block.len() as u64;
            block.clear();
        }
        journal.sync_all()?;
    }
    sync_folder(database)
}

/// Copies the first `length` bytes; empty blocks, of which a journal is made in advance, take no room.
fn copy(from: &Path, to: &Path, length: u64) -> io::Result<()> {
    let length = fs::metadata(from)?.len().min(length);
    let (mut source, mut target) = (File::open(from)?.take(length), File::create(to)?);
    let mut block = Vec::with_capacity(BLOCK);
    while source.by_ref().take(BLOCK as u64).read_to_end(&mut block)? > 0 {
        if block.iter().any(|byte| *byte != 0) {
            target.write_all(&block)?;
        } else {
            target.seek(SeekFrom::Current(i64::try_from(block.len()).unwrap_or(0)))?;
        }
        block.clear();
    }
    target.set_len(length)?;
    target.sync_all()
}

/// The newest journal up to the first commit that is wrong; the whole one is kept aside until it is known which is right.
#[derive(Debug)]
pub(super) struct Cut {
    journal: PathBuf,
    whole: PathBuf,
    /// Bytes that were taken off.
    pub(super) bytes: u64,
    /// Whether it was the last commit that was wrong.
    pub(super) last: bool,
}

impl Cut {
    /// Takes it off. `None` where none is wrong.
    pub(super) fn make(database: &Path) -> io::Result<Option<Self>> {
        let Some(journal) = journals(database)?.pop() else { return Ok(None) };
        let Some((start, last)) = first_wrong(&journal)? else { return Ok(None) };
        let Some(whole) = set_aside(database, &journal)? else { return Self::make(database) };
        let draft = journal.with_extension("new");
        let bytes = fs::metadata(&journal)?.len().saturating_sub(start);
        copy(&journal, &draft, start)?;
        fs::rename(&draft, &journal)?;
        sync_folder(database)?;
        Ok(Some(Self { journal, whole, bytes, last }))
    }

    /// Why it may not be kept.
    pub(super) fn refused(&self) -> StoreError {
        damaged(&self.journal, "a commit cannot be read, and others follow")
    }

    /// That was it.
    pub(super) fn keep(self) -> io::Result<()> {
        fs::remove_file(&self.whole)
    }

    /// That was not it.
    pub(super) fn undo(self) -> io::Result<()> {
        fs::rename(&self.whole, &self.journal)?;
        self.journal.parent().map_or(Ok(()), sync_folder)
    }
}

/// Gives the journal a second name, on the disk when this returns. `None` where an earlier cut of it was never decided
/// on: since it cannot be read, that cut was not what was wrong, and is put back; a second one would hide what the first
/// took.
fn set_aside(database: &Path, journal: &Path) -> io::Result<Option<PathBuf>> {
    let (mut whole, mut more) = (journal.with_extension(WHOLE), 0u32);
    while whole.try_exists()? {
        let (ours, theirs) = (fs::metadata(journal)?, fs::metadata(&whole)?);
        if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) {
            return Ok(Some(whole));
        }
        if begins_with(&whole, journal)? {
            tracing::warn!(file = %whole.display(), "put back a journal whose last commit was taken off in vain");
            fs::rename(&whole, journal)?;
            sync_folder(database)?;
            return Ok(None);
        }
        more += 1;
        whole = journal.with_extension(format!("{WHOLE}{more}"));
    }
    if fs::hard_link(journal, &whole).is_err() {
        // Not every file system has second names.
        let draft = journal.with_extension("new");
        copy(journal, &draft, u64::MAX)?;
        fs::rename(&draft, &whole)?;
    }
    sync_folder(database)?;
    Ok(Some(whole))
}

/// Whether all of `start`, up to the zeros of which it is made in advance, is what `file` begins with.
fn begins_with(file: &Path, start: &Path) -> io::Result<bool> {
    let (whole, part) = (File::open(file)?, File::open(start)?);
    loop {
        let (mut ours, mut theirs) = (Vec::with_capacity(BLOCK), Vec::with_capacity(BLOCK));
        (&part).take(BLOCK as u64).read_to_end(&mut ours)?;
        (&whole).take(BLOCK as u64).read_to_end(&mut theirs)?;
        if ours == theirs && !ours.is_empty() {
            continue;
        }
        let used = ours.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        return Ok(theirs.starts_with(ours.get(..used).unwrap_or_default()));
    }
}

/// Where the first commit begins that is wrong or has no end, and whether it is the last. For journals that fjall refuses.
fn first_wrong(journal: &Path) -> io::Result<Option<(u64, bool)>> {
    let mut file = BufReader::new(File::open(journal)?);
    // Where a commit that is read begins, and how many entries it still has.
    let mut open: Option<(u64, u32)> = None;
    let mut wrong: Option<(u64, bool)> = None;
    let mut sum = Xxh3::new();
    while let Some((at, bytes)) = next_entry(&mut file)? {
        match (bytes.first(), &mut open) {
            (Some(1), _) => {
                let count =
                    bytes.get(1..5).and_then(|count| count.try_into().ok()).map_or(0, u32::from_le_bytes);
                (open, sum) = (Some((at, count)), Xxh3::new());
                wrong = wrong.map(|(first, _)| (first, false));
            }
            (Some(3), Some((start, left))) => {
                if (*left > 0 || bytes.get(1..9) != Some(&sum.digest().to_le_bytes())) && wrong.is_none() {
                    wrong = Some((*start, true));
                }
                open = None;
            }
            (Some(2 | 4), Some((start, left))) => {
                sum.update(&bytes);
                match left.checked_sub(1) {
                    Some(less) => *left = less,
                    None => wrong = wrong.or(Some((*start, true))),
                }
            }
            // Out of order: fjall ends here, too.
            _ => break,
        }
    }
    // One that does not end may hold what fjall gives up at.
    Ok(wrong.or(open.map(|(start, _)| (start, true))))
}

/// The next entry and its place; `None` where there is none that is whole in form.
fn next_entry(file: &mut BufReader<File>) -> io::Result<Option<(u64, Vec<u8>)>> {
    let at = file.stream_position()?;
    let mut bytes = Vec::new();
    if !take(file, 1, &mut bytes)? {
        return Ok(None);
    }
    let fixed = match bytes.first() {
        Some(1 | 3) => 12,
        Some(2) => 20,
        Some(4) => 8,
        _ => return Ok(None),
    };
    if !take(file, fixed, &mut bytes)? {
        return Ok(None);
    }
    if let [2, .., k0, k1, _, _, _, _, s0, s1, s2, s3] = bytes[..] {
        let key = u64::from(u16::from_le_bytes([k0, k1]));
        let stored = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
        if !take(file, key + stored, &mut bytes)? {
            return Ok(None);
        }
    }
    Ok(Some((at, bytes)))
}

/// Reads so many bytes more; `false` where there are fewer.
fn take(file: &mut BufReader<File>, length: u64, bytes: &mut Vec<u8>) -> io::Result<bool> {
    Ok(file.by_ref().take(length).read_to_end(bytes)? as u64 == length)
}
