//! The life of the process: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    ymp::cli::run(std::env::args_os())
}
