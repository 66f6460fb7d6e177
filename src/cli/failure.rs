//! Errors of the command line: their messages, the hints at options that help, and the exit codes.

use std::{
    error::Error as StdError,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use aez_core::{Error, LimitKind};

use super::standard::name_of_input;

/// Why a subcommand did not complete.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage of the command line. Exit code 2.
    Usage(String),
    /// An error. Exit code 1.
    Failed(Error),
    /// An error in an input file. Exit code 1.
    InFile(PathBuf, Error),
    /// Errors in some of the files, which were printed already. Exit code 1.
    Files { failed: usize, total: usize },
    /// The reader of the standard output closed the pipe. This is not an error: exit code 0.
    ClosedPipe,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<aez_train::Error> for Failure {
    fn from(error: aez_train::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Failure {
    /// An error in an input file, which is `-` for the standard input.
    pub fn in_file(path: &Path, error: Error) -> Self {
        Self::InFile(name_of_input(path).to_owned(), error)
    }

    /// The failure for an error in writing to the standard output.
    pub fn from_stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Error::io("cannot write to", "standard output", error).into(),
        }
    }

    /// Prints the message and returns the exit code.
    pub fn print(&self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                log(&format!("{message}\n\nFor more information, try 'aez help'."));
                return ExitCode::from(2);
            }
            Self::Failed(error) => log(&message(error)),
            Self::InFile(path, error) => log(&message_for(path, error)),
            Self::Files { failed, total } if *total > 1 => log(&format!("{failed} of {total} files failed")),
            Self::Files { .. } => {}
            Self::ClosedPipe => return ExitCode::SUCCESS,
        }
        ExitCode::FAILURE
    }
}

/// Prints a line on the standard error. Errors are ignored, as when the standard error is closed.
pub fn log(line: &str) {
    let _ = writeln!(io::stderr(), "aez: {line}");
}

/// The message of an error in one line: the error, its causes, and a hint.
pub fn message(error: &Error) -> String {
    match hint(error) {
        Some(hint) => format!("{}; {hint}", chain(error)),
        None => chain(error),
    }
}

/// As [`message`], with the file's name in front where the message does not contain it.
fn message_for(file: &Path, error: &Error) -> String {
    let (file, message) = (file.display().to_string(), message(error));
    let names_its_file = matches!(error, Error::Io { .. }) || message.contains(&file);
    if names_its_file { message } else { format!("{file}: {message}") }
}

/// The option that helps against an error. The messages of the libraries name no options.
fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::WrongModel { .. } => Some("name its model file with --model"),
        Error::Limit { limit: LimitKind::Pixels, .. } => Some("--max-pixels raises it"),
        Error::Limit { limit: LimitKind::Memory | LimitKind::FileSize, .. } => Some("--max-memory raises it"),
        Error::Preview(text) | Error::Misuse(text) => {
            TEXT_HINTS.iter().find(|(part, _)| text.contains(part)).map(|&(_, hint)| hint)
        }
        _ => None,
    }
}

/// The same error without a hint, for limits that no option of the subcommand changes.
pub fn without_hint(error: Error) -> Error {
    match error {
        Error::Limit { .. } => Error::Misuse(error.to_string()),
        error => error,
    }
}

/// Parts of messages, and the hints to them.
const TEXT_HINTS: [(&str, &str); 5] = [
    ("made with another model", "name its model file with --model"),
    ("built without a model", "name a model file with --model"),
    ("start from random weights", "--init xavier does"),
    ("resume with a lower learning rate", "use --resume with --lr"),
    ("choose another folder or overwrite it", "--force overwrites it"),
];

/// An error and its causes. A message that ends with its cause's is not repeated.
fn chain(error: &dyn StdError) -> String {
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
    use aez_core::{Limits, preview, testing, tiled::Config};

    use super::*;

    #[test]
    fn a_message_contains_each_cause_once() {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "no such file");
        let error = Error::io("cannot read", "x.png", missing());
        assert_eq!(message(&error), "cannot read x.png: no such file");
        let error = Error::Io { context: "cannot read: no such file".into(), source: missing() };
        assert_eq!(message(&error), "cannot read: no such file");
    }

    #[test]
    fn a_message_names_its_file_once() {
        let named = Error::io("cannot read", "x.png", io::ErrorKind::NotFound.into());
        assert_eq!(message_for(Path::new("x.png"), &named), message(&named));
        let error = Error::Picture("not a picture".into());
        assert_eq!(message_for(Path::new("x.png"), &error), "x.png: not a picture");
    }

    #[test]
    fn hints_name_options() {
        let picture = Limits::default().with_max_pixels(3).check_size(2, 2).unwrap_err();
        assert_eq!(message(&picture), "number of pixels of 4 exceeds the limit of 3; --max-pixels raises it");
        let memory = Limits::default().with_max_memory(3).check_memory(4).unwrap_err();
        assert!(message(&memory).ends_with("; --max-memory raises it"));
        let preview = preview::decode(&testing::tiny(), "AAAA", None, &Limits::default()).unwrap_err();
        assert!(message(&preview).ends_with("; name its model file with --model"), "{preview}");
        let config = Config { channels: 3, ..Config::default() };
        let klt: Error = aez_train::klt::klt(config, Vec::new(), 1).unwrap_err().into();
        assert!(message(&klt).ends_with("; --init xavier does"), "{klt}");
    }
}
