//! A file that grows: each batch is one write and one `fdatasync`, and a set in memory knows every id.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
};

use crate::{
    clock,
    load::bodies::{Bodies, digits},
    outcome::{Outcome, failed},
};

/// Appends so many batches of so many messages: seconds.
///
/// # Errors
/// The file cannot be written, or does not hold what was written.
pub(crate) fn append(path: &Path, bodies: &Bodies, batches: u64, size: u64) -> Outcome<f64> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    let mut known: HashSet<(&str, [u8; 19])> = HashSet::new();
    let (mut batch, mut written) = (Vec::new(), 0);
    let began = clock::now();
    for first in (0..batches).map(|batch| batch * size) {
        batch.clear();
        for number in first..first + size {
            if known.insert(("load.test", digits(number))) {
                bodies.message(number, &mut batch);
            }
        }
        file.write_all(&batch)?;
        file.sync_data()?;
        written += batch.len() as u64;
    }
    let seconds = began.elapsed().as_secs_f64();
    if fs::metadata(path)?.len() != written || known.len() as u64 != batches * size {
        return failed("the plain file does not hold what was written");
    }
    fs::remove_file(path)?;
    Ok(seconds)
}
