//! Plain files: one that grows (each batch is one write and one `fdatasync`, and a set in memory knows every id), and one
//! that is written and synced now and then.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    time::Duration,
};

use crate::{
    clock,
    figures::figure,
    load::bodies::{Bodies, digits},
    outcome::{Outcome, failed},
    process::cpu_of,
};

/// What is written before a sync that comes seldom: about what one commit of an exchange is.
const SELDOM_BYTES: usize = 700;

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

/// Microseconds of CPU of one write and `fdatasync` that comes after a rest, less what the rest takes.
///
/// # Errors
/// The file cannot be written.
pub(crate) async fn seldom(path: &Path, count: u64, rest: Duration) -> Outcome<f64> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    let text = [b'x'; SELDOM_BYTES];
    let mut figures = [0.0; 2];
    for (at, writes) in [false, true].into_iter().enumerate() {
        let before = cpu_of(std::process::id())?;
        for _ in 0..count {
            tokio::time::sleep(rest).await;
            if writes {
                file.write_all(&text)?;
                file.sync_data()?;
            }
        }
        figures[at] = (cpu_of(std::process::id())? - before) / figure(count);
    }
    fs::remove_file(path)?;
    let [rests, all] = figures;
    Ok(all - rests)
}
