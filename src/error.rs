//! The one error type of the library.

use std::{fmt::Display, io, path::Path};

/// What went wrong, by whose doing: the outside world, the file, or the caller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed; `context` names the action and the file.
    #[error("{context}")]
    Io { context: String, source: io::Error },
    /// The bytes are not an `.aez` file at all.
    #[error("not an AEZ file: {0}")]
    NotAez(String),
    /// The bytes begin like an `.aez` file, but break a rule of the format.
    #[error("damaged AEZ file: {0}")]
    Damaged(String),
    /// A version of the format that this library does not read.
    #[error(
        "AEZ format version {found} is not supported (this program reads version {supported}): \
             a newer aez may read it"
    )]
    UnsupportedVersion { found: u8, supported: u8 },
    /// The file uses a feature that this version of the library does not know.
    #[error("this AEZ file needs a newer aez: {0}")]
    Unsupported(String),
    /// The file names another model than the one at hand.
    #[error("the file needs model {wanted}, but model {given} was given: name its model file with --model")]
    WrongModel { wanted: String, given: String },
    /// The text of a preview could not be understood.
    #[error("not a preview that can be shown: {0}")]
    Preview(String),
    /// A cap of [`Limits`](crate::Limits) would be exceeded.
    #[error("{what} of {found} exceeds the limit of {allowed}")]
    Limit { what: &'static str, found: u64, allowed: u64 },
    /// The caller asked for something impossible.
    #[error("{0}")]
    Misuse(String),
    /// A picture file could not be understood.
    #[error("{0}")]
    Picture(String),
    /// A model file could not be understood.
    #[error("not a usable AEZ model: {0}")]
    Model(String),
    /// The network could not be run.
    #[error("the network failed: {0}")]
    Network(#[from] candle_core::Error),
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An I/O error that says what was being done, to which file: `Error::io("cannot read", path, e)`.
    pub fn io(action: &str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { context: format!("{action} {}", path.as_ref().display()), source }
    }

    /// A broken rule of the format.
    pub fn damaged(what: impl Display) -> Self {
        Self::Damaged(what.to_string())
    }
}
