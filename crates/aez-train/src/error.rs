//! The error type.

use std::{fmt::Display, io, path::Path};

/// Why training failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Files, data, models or the options of a run.
    #[error(transparent)]
    Codec(#[from] aez_core::Error),
    /// A tensor operation, such as for lack of memory on the device.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A request that cannot be fulfilled; [`aez_core::Error::Misuse`].
    pub fn misuse(message: impl Into<String>) -> Self {
        aez_core::Error::Misuse(message.into()).into()
    }

    /// An I/O error with the action and the file: `Error::io("cannot read", path, source)`.
    pub fn io(action: &str, path: impl AsRef<Path>, source: io::Error) -> Self {
        aez_core::Error::io(action, path, source).into()
    }

    /// A model file or checkpoint that cannot be used; [`aez_core::Error::Model`].
    pub fn model(reason: impl Display) -> Self {
        aez_core::Error::Model(reason.to_string()).into()
    }

    /// A picture or an archive of pictures that cannot be used; [`aez_core::Error::Picture`].
    pub(crate) fn picture(reason: impl Into<String>) -> Self {
        aez_core::Error::Picture(reason.into()).into()
    }
}

impl From<Error> for aez_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Codec(error) => error,
            Error::Tensor(error) => Self::backend(error),
        }
    }
}
