//! The commands (`node`, "Command line").
//!
//! `init`, `check` and `certs` work on files, `doctor` calls a peer, `serve` runs the node, `demo` runs two for a few
//! seconds, all others talk to a running node through its
//! local API and nothing else. Data goes to standard output, errors to standard error with the cause and what to do;
//! the exit code is 0, 1 where the command failed, 2 where it was not understood.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

mod args;
mod backup;
mod beside;
mod certs;
mod check;
mod completions;
mod dead;
mod demo;
mod doctor;
mod events;
mod health;
mod inbox;
mod init;
mod link;
mod output;
mod peer;
mod remote;
mod render;
mod rooms;
mod send;
mod serve;
mod settings;
mod watching;

use output::{Out, Outcome};

/// A YMP peer node: hosts federate over HTTPS with tokens, and nothing is lost on the way.
#[derive(Parser, Debug)]
#[command(name = "ymp", version, max_term_width = 100)]
#[command(after_help = "Examples:\n  ymp demo\n  ymp init --host alpha.test && ymp check && ymp serve")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::Demo),
    Init(init::Init),
    Serve(serve::Serve),
    Check(check::Check),
    Doctor(doctor::Doctor),
    Certs(certs::Certs),
    Health(health::Health),
    Peer(peer::Peer),
    Send(send::Send),
    Inbox(inbox::Inbox),
    Dead(dead::Dead),
    Backup(backup::Backup),
    Completions(completions::Completions),
}

/// Runs the command that the arguments name, and says how it ended.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    let mut stdout = io::stdout();
    ExitCode::from(output::exit_code(dispatch(cli.command, &mut Out::new(&mut stdout))))
}

fn dispatch(command: Command, out: &mut Out<'_>) -> Outcome {
    match command {
        Command::Demo(args) => args.run(out),
        Command::Init(args) => args.run(out),
        Command::Serve(args) => args.run(out),
        Command::Check(args) => args.run(out),
        Command::Doctor(args) => args.run(out),
        Command::Certs(args) => args.run(out),
        Command::Health(args) => args.run(out),
        Command::Peer(args) => args.run(out),
        Command::Send(args) => args.run(out),
        Command::Inbox(args) => args.run(out),
        Command::Dead(args) => args.run(out),
        Command::Backup(args) => args.run(out),
        Command::Completions(args) => args.run(out),
    }
}

/// Help and version go to standard output with 0, misuse to standard error with 2. Who cannot read it, misses it.
fn not_understood(error: &clap::Error) -> ExitCode {
    let text = error.render();
    let _ = if error.use_stderr() { write!(io::stderr(), "{text}") } else { write!(io::stdout(), "{text}") };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_command_shows_an_example() {
        fn walk(command: &clap::Command, path: &str) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{path} has an example");
            assert!(command.get_about().is_some(), "{path} says what it does");
            for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
                walk(inner, &format!("{path} {}", inner.get_name()));
            }
        }
        walk(&Cli::command(), "ymp");
    }

    #[test]
    fn misuse_is_told_apart_from_failure() {
        for wrong in [
            &["ymp"][..],
            &["ymp", "sned"],
            &["ymp", "init"],
            &["ymp", "init", "--host", "a_b"],
            &["ymp", "certs", "--dir", "x"],
            &["ymp", "send", "--as", "form", "--to", "b.test", "--action", "put", "{}"],
            &["ymp", "inbox", "a/b", "--wait", "soon"],
            &["ymp", "inbox", "a/b", "--wait", "61s"],
            &["ymp", "inbox", "a/b", "--max", "0"],
        ] {
            assert_eq!(Cli::try_parse_from(wrong).map(|_| ()).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }
}
