//! Errors of the command line: their messages, the hints at options that help, and the exit codes.

use std::{
    error::Error as StdError,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use aez_core::Error;

use super::{
    progress,
    standard::name_of_input,
    text::{escape, one_line},
};

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
                log(&format!("{message} (see 'aez help')"));
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
    progress::suspend(|| {
        let _ = writeln!(io::stderr(), "aez: {}", escape(line));
    });
}

/// Prints a warning about an input or output file, which is `-` for the standard input.
pub fn warn(file: &Path, text: &str) {
    log(&format!("warning: {}: {}", name_of_input(file).display(), one_line(text)));
}

/// The message of an error in one line: the error, its causes, and a hint.
pub fn message(error: &Error) -> String {
    finish(error, &chain(error))
}

/// As [`message`], with the file's name in front where the message does not contain it.
fn message_for(file: &Path, error: &Error) -> String {
    let raw = file.display().to_string();
    let (name, mut text) = (escape(&raw), chain(error));
    if name != raw {
        text = text.replace(&raw, &name);
    }
    let message = finish(error, &text);
    let names_its_file = matches!(error, Error::Io { .. })
        || message.starts_with(&format!("{name}: "))
        || message.contains(&format!(" {name}: "));
    if names_its_file { message } else { format!("{name}: {message}") }
}

/// The text of an error in one line, with a hint.
fn finish(error: &Error, text: &str) -> String {
    let text = match error {
        // These are made of one line and names of files.
        Error::Io { .. } | Error::Misuse(_) => escape(text),
        _ => escape(&one_line(text)),
    };
    match hint(error, &text) {
        Some(hint) => format!("{text}; {hint}"),
        None => text,
    }
}

/// Whether the subcommand has the options for limits.
static HAS_LIMITS: AtomicBool = AtomicBool::new(false);

/// Sets whether the subcommand has the options for limits, which hints then name.
pub fn offer_limits(offered: bool) {
    HAS_LIMITS.store(offered, Ordering::Relaxed);
}

/// Whether `--model photo` would reach a higher quality than the model in use.
static HAS_PHOTO: AtomicBool = AtomicBool::new(false);

/// Sets whether `--model photo` would reach a higher quality, which hints then say.
pub fn offer_photo(offered: bool) {
    HAS_PHOTO.store(offered, Ordering::Relaxed);
}

/// The option that helps against an error. The messages of the libraries name no options.
fn hint(error: &Error, text: &str) -> Option<&'static str> {
    match error {
        Error::WrongModel { .. } => Some("name its model file with --model"),
        Error::PsnrUnreachable { .. } if HAS_PHOTO.load(Ordering::Relaxed) => {
            Some("--model photo reaches more")
        }
        Error::PsnrUnreachable { .. } => Some("a higher --effort may reach more"),
        Error::Limit { .. } | Error::Picture(_) => limit_hint(text),
        // A data set of which all pictures were skipped.
        Error::Misuse(_) if text.contains("could be read; the first: ") => limit_hint(text),
        Error::Preview(_) | Error::Misuse(_) => find(&TEXT_HINTS, text),
        _ => None,
    }
}

/// The option that raises a limit of which the text of an error speaks.
fn limit_hint(text: &str) -> Option<&'static str> {
    let has_limits = HAS_LIMITS.load(Ordering::Relaxed);
    find(&EDGE_HINT, text).or_else(|| if has_limits { find(&LIMIT_HINTS, text) } else { None })
}

/// A message of a library about a picture that was skipped, with a hint.
pub fn with_limit_hint(text: &str) -> String {
    limit_hint(text).map_or_else(|| text.to_owned(), |hint| format!("{text}; {hint}"))
}

fn find(hints: &[(&str, &'static str)], text: &str) -> Option<&'static str> {
    hints.iter().find(|(part, _)| text.contains(part)).map(|&(_, hint)| hint)
}

/// The same error without a hint, for limits that no option of the subcommand changes.
pub fn without_hint(error: Error) -> Error {
    match error {
        Error::Limit { .. } => Error::Misuse(error.to_string()),
        error => error,
    }
}

/// As [`LIMIT_HINTS`], for the limit that no option changes.
const EDGE_HINT: [(&str, &str); 1] = [("picture edge of", "no option raises it: scale the picture down")];

/// Parts of messages about limits, and the hints to them.
const LIMIT_HINTS: [(&str, &str); 4] = [
    ("number of pixels of", "--max-pixels raises it"),
    ("memory use of", "--max-memory raises it"),
    ("file size of", "--max-memory raises it"),
    ("more memory than the limits allow", "--max-memory raises them"),
];

/// Parts of messages, and the hints to them.
const TEXT_HINTS: [(&str, &str); 5] = [
    ("or was made with a", "name its model with --model"),
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
    fn a_message_is_one_line() {
        let name = Path::new("a\n\u{1b}[2J.png");
        let picture = Error::Picture(format!("cannot read {}: line 1\n  line 2", name.display()));
        assert_eq!(message_for(name, &picture), r"cannot read a\n\u{1b}[2J.png: line 1 line 2");
        let missing = Error::io("cannot read", name, io::Error::other("gone"));
        assert_eq!(message(&missing), r"cannot read a\n\u{1b}[2J.png: gone");
        // A name that is part of a word of the message.
        let error = Error::NotAez("no magic number".into());
        assert_eq!(message_for(Path::new("a"), &error), "a: not an AEZ file: no magic number");
    }

    #[test]
    fn hints_name_options() {
        offer_limits(true);
        let picture = Limits::default().with_max_pixels(3).check_size(2, 2).unwrap_err();
        assert_eq!(message(&picture), "number of pixels of 4 exceeds the limit of 3; --max-pixels raises it");
        let memory = Limits::default().with_max_memory(3).check_memory(4).unwrap_err();
        assert!(message(&memory).ends_with("; --max-memory raises it"));
        let library = Error::Picture("the picture needs more memory than the limits allow (…)".into());
        assert!(message(&library).ends_with("; --max-memory raises them"));
        let edge = Limits::default().check_size(70_000, 1).unwrap_err();
        assert!(message(&edge).ends_with("; no option raises it: scale the picture down"));
        offer_limits(false);
        for error in [picture, memory, library] {
            assert!(!message(&error).contains("--max"), "{error}");
        }
        let preview = preview::decode(&testing::tiny(), "AAAA", None, &Limits::default()).unwrap_err();
        assert!(message(&preview).ends_with("; name its model with --model"), "{preview}");
        let config = Config { channels: 3, ..Config::default() };
        let klt: Error = aez_train::klt::klt(config, Vec::new(), 1).unwrap_err().into();
        assert!(message(&klt).ends_with("; --init xavier does"), "{klt}");
    }
}
