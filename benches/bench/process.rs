//! A server's process: started on its core, its CPU time and memory read from `/proc`, killed when dropped.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use crate::{
    figures::figure,
    outcome::{Outcome, Trying as _, failed},
};

/// Ticks of `/proc/PID/stat` in a second (`USER_HZ`, fixed on Linux).
const TICKS: u64 = 100;

/// A process that said it was ready.
pub(crate) struct Process {
    child: Child,
    /// What it said.
    pub(crate) ready: String,
}

impl Process {
    /// Starts it and waits for its ready line, the first on standard output.
    ///
    /// # Errors
    /// It cannot be started, or it ends first.
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let what = format!("{command:?}");
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().trying(|| what.clone())?;
        let mut ready = String::new();
        let stdout = child.stdout.take();
        let read = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut ready));
        let process = Self { child, ready: ready.trim().to_owned() };
        match read {
            Some(Ok(length)) if length > 0 => Ok(process),
            _ => failed(format!("{what} did not become ready")),
        }
    }

    /// What follows `name=` in the ready line.
    ///
    /// # Errors
    /// There is no such word.
    pub(crate) fn said<T: std::str::FromStr>(&self, name: &str) -> Outcome<T> {
        let said = self.ready.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        match said.and_then(|said| said.parse().ok()) {
            Some(said) => Ok(said),
            None => failed(format!("no {name} in {:?}", self.ready)),
        }
    }

    /// Its CPU time so far, in microseconds.
    ///
    /// # Errors
    /// The process has ended.
    pub(crate) fn cpu(&self) -> Outcome<f64> {
        cpu_of(self.child.id())
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// The process has ended.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map_or_else(|| failed("no VmRSS"), |kib| Ok(kib * 1024))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process since its start, user and system, in microseconds. The scheduler's own nanoseconds per thread;
/// where a thread has ended meanwhile, at least the process's ticks.
///
/// # Errors
/// The process has ended.
pub(crate) fn cpu_of(pid: u32) -> Outcome<f64> {
    let mut nanos: u64 = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).trying(|| format!("process {pid}"))? {
        // A thread may end between the two.
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanos += text.split_whitespace().next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold spaces; user and system time are the 14th and 15th fields.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Ok(figure(nanos.max(ticks * (1_000_000_000 / TICKS))) / 1000.0)
}
