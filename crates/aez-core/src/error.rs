//! The error type.

use std::{
    fmt::{self, Display},
    io,
    path::Path,
};

use crate::container::ModelId;

/// Why an operation failed: the outside world, the data, or a wrong call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading, writing or allocating failed.
    #[error("{context}")]
    Io {
        /// The action and its object, such as `cannot read photo.png`.
        context: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The data do not begin with the magic number of an AEZ file.
    #[error("not an AEZ file: {0}")]
    NotAez(String),
    /// The data begin like an AEZ file and violate the format.
    #[error("damaged AEZ file: {0}")]
    Damaged(String),
    /// The file has a version of the format that this library does not read.
    #[error(
        "AEZ format version {found} is not supported (this program reads version {supported}): \
             a newer aez may read it"
    )]
    UnsupportedVersion {
        /// Version of the file.
        found: u8,
        /// Version that this library reads.
        supported: u8,
    },
    /// The file uses a feature that this version of the library does not know.
    #[error("this AEZ file needs a newer aez: {0}")]
    Unsupported(String),
    /// The file was encoded with another model.
    #[error("the file needs model {wanted}, but model {given} was given")]
    WrongModel {
        /// Id of the model that encoded the file.
        wanted: ModelId,
        /// Id of the model that was given to the decoder.
        given: ModelId,
    },
    /// The text of a preview is not valid for the model.
    #[error("not a valid preview: {0}")]
    Preview(String),
    /// The data exceed one of the caller's [`Limits`](crate::Limits).
    #[error("{limit} of {found} exceeds the limit of {allowed}")]
    Limit {
        /// Which limit.
        limit: LimitKind,
        /// The value that the data ask for.
        found: u64,
        /// The limit.
        allowed: u64,
    },
    /// No setting of the encoder makes a file this small.
    #[error("the picture does not fit into {target} bytes: the smallest file takes {smallest}")]
    SizeUnreachable {
        /// Requested size in bytes.
        target: u64,
        /// Size of the smallest file that was found, in bytes.
        smallest: u64,
    },
    /// None of the settings that were tried reaches this quality. A greater effort may.
    #[error(
        "the picture does not reach {target} dB: the best of the settings that were tried gives {best:.2} dB"
    )]
    PsnrUnreachable {
        /// Requested peak signal-to-noise ratio in decibels.
        target: f64,
        /// Highest peak signal-to-noise ratio that was found, in decibels.
        best: f64,
    },
    /// The caller asked for something impossible.
    #[error("{0}")]
    Misuse(String),
    /// A picture file could not be read or written.
    #[error("{0}")]
    Picture(String),
    /// The data are not a usable model file.
    #[error("not a usable AEZ model: {0}")]
    Model(String),
    /// The device that runs the network failed.
    #[error("the network failed: {0}")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The limits that [`Error::Limit`] can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitKind {
    /// Width or height of a picture, in pixels.
    Edge,
    /// Number of pixels of a picture.
    Pixels,
    /// Memory in bytes that an operation would use.
    Memory,
    /// Size of a file in bytes.
    FileSize,
}

impl Display for LimitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edge => "picture edge",
            Self::Pixels => "number of pixels",
            Self::Memory => "memory use",
            Self::FileSize => "file size",
        })
    }
}

/// Result of this library's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An I/O error with the action and the file: `Error::io("cannot read", path, source)`.
    pub fn io(action: &str, path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { context: format!("{action} {}", path.as_ref().display()), source }
    }

    /// A violation of the format.
    pub fn damaged(what: impl Display) -> Self {
        Self::Damaged(what.to_string())
    }

    /// Whether files can be encoded. Where not, linkers leave out what only encoders call.
    ///
    /// # Errors
    /// [`Error::Misuse`] without the feature `encode`.
    pub(crate) fn check_encode() -> Result<()> {
        match cfg!(feature = "encode") {
            true => Ok(()),
            false => {
                Err(Self::Misuse("this program was built without the feature `encode` of aez-core".into()))
            }
        }
    }

    /// A failure of a [`Backend`](crate::tiled::Backend).
    pub fn backend(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Backend(source.into())
    }
}
