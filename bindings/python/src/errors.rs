//! Errors of the codec as exceptions of `aez._errors`.

use std::io;

use aez_core::Error;
use pyo3::{
    exceptions::{PyMemoryError, PyOSError},
    prelude::*,
};

/// The error for a call with impossible arguments.
pub fn misuse(what: String) -> Error {
    Error::Misuse(what)
}

/// The exception for an error. The classes and their attributes are documented where they are defined, in Python.
pub fn raise(py: Python<'_>, error: Error) -> PyErr {
    let message = error.to_string();
    let made = match error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::OutOfMemory => {
            return PyMemoryError::new_err(message);
        }
        Error::Io { source, .. } => return PyOSError::new_err(format!("{message}: {source}")),
        Error::NotAez(_) | Error::Damaged(_) | Error::Picture(_) => new(py, "FormatError", (message,)),
        Error::UnsupportedVersion { .. } | Error::Unsupported(_) => new(py, "UnsupportedError", (message,)),
        Error::WrongModel { wanted, given } => {
            new(py, "WrongModelError", (message, wanted.to_string(), given.to_string()))
        }
        Error::Model(_) => new(py, "ModelError", (message,)),
        Error::Preview(_) => new(py, "PreviewError", (message,)),
        Error::Limit { limit, found, allowed } => {
            new(py, "LimitError", (message, limit.to_string(), found, allowed))
        }
        Error::SizeUnreachable { target, smallest } => new(py, "TargetError", (message, target, smallest)),
        Error::PsnrUnreachable { target, best } => new(py, "TargetError", (message, target, best)),
        Error::Misuse(_) => new(py, "ArgumentError", (message,)),
        _ => new(py, "Error", (message,)),
    };
    made.unwrap_or_else(|failure| failure)
}

fn new<'py>(py: Python<'py>, class: &str, arguments: impl pyo3::call::PyCallArgs<'py>) -> PyResult<PyErr> {
    let class = py.import("aez._errors")?.getattr(class)?;
    Ok(PyErr::from_value(class.call1(arguments)?))
}
