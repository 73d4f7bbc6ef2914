//! What a command prints and how it fails.
//!
//! Data goes to standard output, line by line; a reader that went away (`| head`) ends the command quietly, but for one whose exit
//! code is a verdict. Errors go to standard error: the cause, and on a second line what to do.

use std::{
    fmt,
    io::{self, Write},
};

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// It failed; `mend` may be empty.
    Failed {
        /// The cause.
        what: String,
        /// What to do.
        mend: String,
    },
    /// The node has no such thing.
    Unknown {
        /// The cause.
        what: String,
        /// What to do.
        mend: String,
    },
    /// The node does not do it now, and may in a moment.
    Busy {
        /// The cause.
        what: String,
        /// What to do.
        mend: String,
    },
    /// No node is there, or it broke the call off.
    Away {
        /// The cause.
        what: String,
        /// What to do.
        mend: String,
    },
    /// A peer did not do its part in what a node did.
    Peer {
        /// Where it failed.
        step: String,
        /// The cause.
        what: String,
        /// What to do.
        mend: String,
    },
    /// It failed, and everything has been said.
    Said,
    /// Standard output cannot be written.
    Output(#[from] io::Error),
}

impl CliError {
    /// A failure with its cause and what to do.
    pub(super) fn failed(what: impl fmt::Display, mend: impl fmt::Display) -> Self {
        Self::Failed { what: what.to_string(), mend: mend.to_string() }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { what, mend }
            | Self::Unknown { what, mend }
            | Self::Busy { what, mend }
            | Self::Away { what, mend } => {
                write!(f, "ymp: {what}")?;
                if mend.is_empty() { Ok(()) } else { write!(f, "\n     {mend}") }
            }
            Self::Peer { step, what, mend } => write!(f, "ymp: {what} (step `{step}`)\n     {mend}"),
            Self::Said => Ok(()),
            Self::Output(error) => write!(f, "ymp: standard output cannot be written: {error}"),
        }
    }
}

/// What a command gives back.
pub(super) type Outcome = Result<(), CliError>;

/// Standard output.
pub(super) struct Out<'a> {
    writer: &'a mut dyn Write,
    /// Whether the command goes on when the reader went away.
    verdict: bool,
}

impl<'a> Out<'a> {
    /// Over any writer.
    pub(super) fn new(writer: &'a mut dyn Write) -> Self {
        Self { writer, verdict: false }
    }

    /// From here the exit code is what counts: the command goes on, whether anybody reads it or not.
    pub(super) fn verdict(&mut self) {
        self.verdict = true;
    }

    /// One line, or several with line breaks between them.
    pub(super) fn line(&mut self, text: impl fmt::Display) -> Outcome {
        match writeln!(self.writer, "{text}").and_then(|()| self.writer.flush()) {
            Err(error) if self.verdict && error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }
}

/// How far a long work is, for whoever waits for it: on standard error, beside what is printed.
pub(super) fn progress(text: impl fmt::Display) {
    // Where nobody listens the work goes on.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Ends the process's part: what to print on standard error, and the exit code (0 or 1).
pub(super) fn exit_code(outcome: Outcome) -> u8 {
    match outcome {
        Ok(()) => 0,
        // The reader has what it wanted.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(CliError::Said) => 1,
        Err(error) => {
            // Where standard error is gone too nobody listens: the code remains.
            let _ = writeln!(io::stderr(), "{error}");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let outcome = Out::new(&mut Gone).line("x");
        assert!(outcome.is_err());
        assert_eq!(exit_code(outcome), 0);
    }

    #[test]
    fn a_verdict_does_not_hang_on_its_reader() {
        let mut out = Gone;
        let mut out = Out::new(&mut out);
        out.verdict();
        assert!(out.line("x").is_ok());
        assert_eq!(exit_code(Err(CliError::Said)), 1);
    }

    #[test]
    fn a_failure_says_the_cause_and_what_to_do() {
        assert_eq!(CliError::failed("no", "try").to_string(), "ymp: no\n     try");
        assert_eq!(CliError::failed("no", "").to_string(), "ymp: no");
    }
}
