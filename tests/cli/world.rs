//! A folder, the binary in it with none of our variables, and nodes that end with the test.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A folder to work in.
pub(crate) struct World(TempDir);

impl World {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The command, not yet run: no terminal, no input, no variables but those that are given.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ymp"));
        command.args(arguments).current_dir(self.path()).env_clear().stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        let mut command = self.command(arguments);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// As `run`, where success is expected; what it printed.
    pub(crate) fn good(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let ended = self.run(arguments, variables);
        assert_eq!(ended.code, Some(0), "{arguments:?}\n{}{}", ended.out, ended.err);
        ended.out
    }

    /// Starts `serve` and waits until it is ready.
    pub(crate) fn serve(&self, variables: &[(&str, &str)]) -> Serving {
        self.serve_with(&[], variables)
    }

    /// As `serve`, with these arguments.
    pub(crate) fn serve_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Serving {
        let mut command = self.command(&[&["serve"], arguments].concat());
        let log = std::fs::File::create(self.path().join("log")).unwrap();
        command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(log);
        let mut process = command.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let local = ready.split_whitespace().find_map(|word| word.strip_prefix("local="));
        let log = std::fs::read_to_string(self.path().join("log")).unwrap();
        let local = local.unwrap_or_else(|| panic!("not ready: {ready}{log}")).to_owned();
        Serving { process, ready, local }
    }
}

/// A node.
pub(crate) struct Serving {
    process: Child,
    /// Its ready line.
    pub(crate) ready: String,
    /// Where its local API is.
    pub(crate) local: String,
}

impl Serving {
    /// SIGTERM; its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
