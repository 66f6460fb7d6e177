//! How a subcommand ends other than well, and what the user then sees.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

/// Why a subcommand did not do all that it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command line makes no sense. Exit code 2.
    Usage(String),
    /// The work failed. Exit code 1.
    Failed(aez::Error),
    /// Some of the files failed, each reported already. Exit code 1.
    Files { failed: usize, total: usize },
    /// Whoever read our output has enough of it, which is no failure at all. Exit code 0.
    ClosedPipe,
}

impl From<aez::Error> for Failure {
    fn from(error: aez::Error) -> Self {
        Self::Failed(error)
    }
}

impl Failure {
    /// What writing to the standard output returned.
    pub fn from_stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Failed(aez::Error::io("cannot write to", "standard output", error)),
        }
    }

    /// Tells the user, and gives the process its exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Usage(what) => {
                complain(&format!("{what}\n\nFor more information, try 'aez help'."));
                ExitCode::from(2)
            }
            Self::Failed(error) => {
                complain(&chain(error));
                ExitCode::FAILURE
            }
            Self::Files { failed, total } => {
                if *total > 1 {
                    complain(&format!("{failed} of {total} files failed"));
                }
                ExitCode::FAILURE
            }
            Self::ClosedPipe => ExitCode::SUCCESS,
        }
    }
}

/// Says something on the standard error; where that is closed, there is nobody to hear it.
pub fn complain(what: &str) {
    let _ = writeln!(io::stderr(), "aez: {what}");
}

/// An error and its causes in one line. A message that already ends in its cause's is not repeated.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_each_cause_once() {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = aez::Error::io("cannot read", "x.png", missing());
        assert_eq!(chain(&error), "cannot read x.png: no such file");
        let error = aez::Error::Io { context: "cannot read: no such file".into(), source: missing() };
        assert_eq!(chain(&error), "cannot read: no such file");
    }
}
