//! Checkpoints: files from which an interrupted run continues exactly where it was saved.

use std::{fs, path::Path};

use aez_image::write_atomically;
use serde::{Deserialize, Serialize};

use super::Recipe;
use crate::{Error, Result};

/// Progress of a run, and what it must have in common with the run that continues it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    pub quality: u8,
    pub recipe: Recipe,
    pub seed: u64,
    pub init: String,
    /// Name and number of training pictures of each source.
    pub data: Vec<(String, usize)>,
    /// The numbers of the crops that are trained on.
    pub numbers: Vec<u64>,
    /// The number of the next crop.
    pub next: u64,
    pub seconds: f64,
    /// Sum and number of the losses since the last row of the log.
    pub losses: (f64, u32),
}

/// What a file begins with.
const MAGIC: &[u8] = b"AEZ photo training 2\n";

/// Writes a checkpoint: progress as a line of JSON, then the state of the trainer.
///
/// # Errors
/// [`aez_core::Error::Io`] if the file cannot be written.
pub fn save(path: &Path, progress: &Progress, trainer: &[u8]) -> Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(serde_json::to_vec(progress).map_err(|e| Error::misuse(e.to_string()))?);
    bytes.push(b'\n');
    bytes.extend(trainer);
    Ok(write_atomically(path, &bytes)?)
}

/// Reads a checkpoint.
///
/// # Errors
/// [`aez_core::Error::Io`] if the file cannot be read, [`aez_core::Error::Model`] if it is not a valid checkpoint.
pub fn load(path: &Path) -> Result<(Progress, Vec<u8>)> {
    let bytes = fs::read(path).map_err(|e| Error::io("cannot read the checkpoint", path, e))?;
    let damaged = |reason: &str| Error::model(format!("{}: {reason}", path.display()));
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("not a checkpoint of the photo family"))?;
    let end = rest.iter().position(|&byte| byte == b'\n').ok_or_else(|| damaged("it is cut"))?;
    let progress = serde_json::from_slice(&rest[..end]).map_err(|e| damaged(&e.to_string()))?;
    Ok((progress, rest[end + 1..].to_vec()))
}
