//! The machine: which core does what, and the facts without which a figure says nothing.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    clock,
    outcome::{Outcome, Trying as _, failed},
};

/// A file system in memory: a sync there costs nothing.
const TMPFS_MAGIC: i128 = 0x0102_1994;
/// Bytes that a probe of the disk appends before each sync: about a message.
const PROBE_BYTES: usize = 600;

/// Where servers run and where the load is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    /// Whether they are told apart: two cores or more, and `taskset` is there.
    pub(crate) pinned: bool,
}

impl Cores {
    /// Puts this process, which makes the load, on core 1. Before any thread is started.
    pub(crate) fn part() -> Self {
        let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        let own = std::process::id().to_string();
        let pinned = several
            && Command::new("taskset")
                .args(["-cp", "1", &own])
                .output()
                .is_ok_and(|output| output.status.success());
        Self { pinned }
    }

    /// A command that runs on core 0.
    pub(crate) fn server(self, program: &Path) -> Command {
        if !self.pinned {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    }
}

/// What a synced append costs on this disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sync {
    /// Microseconds.
    pub(crate) mean: f64,
    /// Microseconds.
    pub(crate) median: f64,
    /// Microseconds.
    pub(crate) p99: f64,
}

/// Appends and syncs (`fdatasync`) so many times, one after the other.
///
/// # Errors
/// A folder in memory, or one that cannot be written.
pub(crate) fn sync_cost(folder: &Path, count: usize) -> Outcome<Sync> {
    let path = folder.join("sync-probe");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let bytes = [b'x'; PROBE_BYTES];
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let began = clock::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    fs::remove_file(&path)?;
    took.sort_by(f64::total_cmp);
    let mean = took.iter().sum::<f64>() / crate::figures::figure(count as u64);
    Ok(Sync { mean, median: took[count / 2], p99: took[count * 99 / 100] })
}

/// Refuses a folder whose syncs say nothing.
///
/// # Errors
/// As said.
pub(crate) fn real_disk(folder: &Path) -> Outcome<()> {
    let found = rustix::fs::statfs(folder).trying(|| folder.display().to_string())?;
    if i128::from(found.f_type) == TMPFS_MAGIC {
        return failed(format!("{} lies in memory: a sync there costs nothing", folder.display()));
    }
    Ok(())
}

/// Facts of this run.
pub(crate) fn facts(cores: Cores, sync: Sync) -> Value {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let count = cpu.lines().filter(|line| line.starts_with("processor")).count();
    json!({
        "cores": count,
        "cpu": model.map(|(_, model)| model.trim()),
        "kernel": first_line("/proc/sys/kernel/osrelease"),
        "load-average": first_line("/proc/loadavg"),
        "pinned": cores.pinned,
        "sync-us": {"mean": sync.mean, "p50": sync.median, "p99": sync.p99},
        "rustc": said_by("rustc", &["-V"]),
        "commit": said_by("git", &["rev-parse", "--short", "HEAD"]),
        "ymp": env!("CARGO_PKG_VERSION"),
        "at-unix-ms": clock::unix_millis(),
    })
}

fn first_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn said_by(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
