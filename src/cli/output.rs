//! Text and bytes for the standard output.

use std::io::{self, Write};

use aez_core::Error;
use serde::Serialize;

use super::failure::Failure;

/// Writes to the standard output. All subcommands use this function, so that each of them ends silently when the pipe is
/// closed by its reader.
pub fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::from_stdout)
}

/// Writes a value to the standard output as JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    write_stdout(to_json(value)?.as_bytes())
}

/// A value as indented JSON with a line feed at the end.
pub fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string_pretty(value)
        .map_err(|e| Error::Misuse(format!("cannot write the results as JSON: {e}")))?;
    Ok(json + "\n")
}
