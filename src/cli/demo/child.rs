//! A node of its own: a child process of the same binary.
//!
//! It runs `serve` on its configuration, without a terminal, its log in a file; it is there once it has printed its
//! ready line. `kill` ends it without a word (SIGKILL), `stop` asks it to end (SIGTERM). One that is dropped is killed.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::scene::Host;
use crate::cli::{output::CliError, remote::Remote};

/// From the start to the ready line, on a machine with much else to do.
const READY_TIME: Duration = Duration::from_secs(15);
/// From SIGTERM to the end: the node's own bound, and a little more.
const STOP_TIME: Duration = Duration::from_secs(12);
/// How often an ending is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// A running node.
pub(super) struct Node {
    pub(super) host: Host,
    process: Child,
    /// Its local API.
    pub(super) remote: Remote,
}

impl Node {
    /// Starts the host's node and waits until it is ready.
    pub(super) async fn start(host: &Host) -> Result<Self, CliError> {
        let mut starting = Starting(Some(spawn(host)?));
        let stdout = starting.0.as_mut().and_then(|process| process.stdout.take());
        let line = tokio::task::spawn_blocking(move || stdout.map(first_line).unwrap_or_default());
        let line = tokio::time::timeout(READY_TIME, line).await;
        let line = line.ok().and_then(Result::ok).unwrap_or_default();
        let local = line.split_whitespace().find_map(|word| word.strip_prefix("local="));
        let (Some(local), Some(process)) = (local, starting.0.take()) else {
            let what = format!("{} did not become ready: {}", host.name, last_words(host));
            return Err(CliError::failed(what, format!("its log: {}", host.log().display())));
        };
        let remote = Remote::at(local, &host.token);
        Ok(Self { host: host.clone(), process, remote: remote? })
    }

    /// The name that the other knows it by.
    pub(super) fn name(&self) -> &str {
        self.host.name.as_str()
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as a crash would: no handler runs, nothing is finished.
    pub(super) fn kill(mut self) -> Result<(), CliError> {
        let killed = self.process.kill().and_then(|()| self.process.wait());
        killed.map(drop).map_err(|error| CliError::failed(format!("a node cannot be killed: {error}"), ""))
    }

    /// Asks it to end, and waits until it has.
    pub(super) async fn stop(mut self) -> Result<(), CliError> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let asked = pid.map(|pid| kill_process(pid, Signal::TERM));
        if !matches!(asked, Some(Ok(()))) {
            return Err(CliError::failed(format!("{} cannot be told to stop", self.host.name), ""));
        }
        let ended = tokio::time::timeout(STOP_TIME, ended(&mut self.process)).await;
        match ended {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(status) => {
                let status = status.map_or("nobody knows how".to_owned(), |status| status.to_string());
                Err(CliError::failed(format!("{} did not end well: {status}", self.host.name), ""))
            }
            Err(_) => {
                let what = format!("{} did not end within {} s", self.host.name, STOP_TIME.as_secs());
                Err(CliError::failed(what, ""))
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

/// A process of which it is not known whether it becomes a node.
struct Starting(Option<Child>);

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.as_mut().map(end).unwrap_or_default();
    }
}

/// One that has ended already is left alone.
fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn spawn(host: &Host) -> Result<Child, CliError> {
    let failed = |what: &str, error: &std::io::Error| CliError::failed(format!("{what}: {error}"), "");
    let program = std::env::current_exe().map_err(|error| failed("this program cannot be found", &error))?;
    let log = File::options().create(true).append(true).open(host.log());
    let log = log.map_err(|error| failed("a log cannot be opened", &error))?;
    let mut command = Command::new(program);
    command.args(["serve", "--with-parent", "--config"]).arg(host.config());
    // The settings of the node that the operator runs are not those of the demo's nodes.
    for (name, _) in std::env::vars_os() {
        let ours = name.to_str().is_some_and(|name| name.starts_with("YMP_") && !name.starts_with("YMP_LOG"));
        if ours {
            command.env_remove(name);
        }
    }
    // A group of its own: ctrl-c reaches the demo alone, which then ends its nodes.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).process_group(0);
    command.spawn().map_err(|error| failed("a node cannot be started", &error))
}

fn first_line(stdout: ChildStdout) -> String {
    let mut line = String::new();
    // What cannot be read is no ready line.
    let _ = BufReader::new(stdout).read_line(&mut line);
    line
}

/// Why it ended, as its log tells it.
fn last_words(host: &Host) -> String {
    let log = std::fs::read_to_string(host.log()).unwrap_or_default();
    let said = log.lines().rev().find(|line| line.starts_with("ymp: ")).or_else(|| log.lines().next_back());
    said.map_or("it said nothing", |line| line.strip_prefix("ymp: ").unwrap_or(line)).to_owned()
}

async fn ended(process: &mut Child) -> Option<ExitStatus> {
    loop {
        match process.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => tokio::time::sleep(LOOK).await,
            Err(_) => return None,
        }
    }
}
