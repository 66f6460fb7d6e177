//! Folders of pictures: what is in them, and which part of the data a picture belongs to.

use crate::{Error, Result, picture};
use image::ImageFormat;
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// All files in a folder and its subfolders whose extension is that of a picture format, sorted. Links to
/// files are followed, links to folders are not, for they may lead in circles.
///
/// # Errors
/// [`Error::Io`] when a folder cannot be listed, [`Error::Misuse`] when there is no such file.
pub fn pictures_under(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let failed = |source| Error::io("cannot list the folder", &folder, source);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
            if kind.is_dir() {
                folders.push(path);
            } else if ImageFormat::from_path(&path).is_ok_and(|format| format.reading_enabled())
                && path.is_file()
            {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        return Err(Error::Misuse(format!("there is no picture in the folder {}", folder.display())));
    }
    found.sort();
    Ok(found)
}

/// A number in [0, 1) that depends on a file's name alone, not on its folder: it decides the picture's part, so
/// that no picture changes sides when others come or go.
pub fn lot(path: &Path) -> f64 {
    let name = path.file_name().unwrap_or_default();
    let digest = Sha256::digest(name.as_encoded_bytes());
    let leading = digest.iter().take(6).fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    leading as f64 / (1u64 << 48) as f64
}

/// The name of a folder without the way to it, for reports and model cards.
pub fn base_name(folder: &Path) -> String {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    full.file_name().map_or_else(|| ".".into(), |name| name.to_string_lossy().into_owned())
}

/// Reads a picture, and says as a line of text why where that fails: one bad file of thousands is left out.
pub fn read_or_explain(path: &Path, limits: &crate::Limits) -> Result<picture::Picture, String> {
    picture::read(path, limits).map_err(|error| match error {
        Error::Picture(what) => what,
        Error::Io { context, source } => format!("{context}: {source}"),
        other => format!("cannot read {}: {other}", path.display()),
    })
}
