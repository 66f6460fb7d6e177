//! Folders of pictures: which part of the data each belongs to, and what is told of them.

use crate::{
    Error, Limits, Result,
    picture::{self, Picture},
};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The part of a folder that is held out for validation, and once more for the test.
const HELD_OUT: f64 = 0.025;

/// A number in [0, 1) that depends on a file's name alone, not on its folder: it decides the picture's part, so
/// that no picture changes sides when others come or go.
pub fn lot(path: &Path) -> f64 {
    let name = path.file_name().unwrap_or_default();
    let digest = Sha256::digest(name.as_encoded_bytes());
    let leading = digest.iter().take(6).fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    leading as f64 / (1u64 << 48) as f64
}

/// What a picture is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Train,
    Validation,
    Test,
}

/// The parts of a folder's pictures, from their lots. Where no lot falls to a held-out part, it gets the
/// training picture with the lowest lot.
pub fn assign(lots: &[f64]) -> Vec<Part> {
    if lots.len() < 3 {
        return vec![Part::Train; lots.len()];
    }
    let part = |&lot: &f64| match lot {
        lot if lot < HELD_OUT => Part::Validation,
        lot if lot < 2.0 * HELD_OUT => Part::Test,
        _ => Part::Train,
    };
    let mut parts: Vec<Part> = lots.iter().map(part).collect();
    for wanted in [Part::Validation, Part::Test] {
        let trained = (0..lots.len()).filter(|&i| parts[i] == Part::Train);
        let lowest = trained.min_by(|&a, &b| lots[a].total_cmp(&lots[b]));
        if let (Some(lowest), false) = (lowest, parts.contains(&wanted)) {
            parts[lowest] = wanted;
        }
    }
    parts
}

/// The name of a folder without the way to it, for reports and model cards.
pub fn base_name(folder: &Path) -> String {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    full.file_name().map_or_else(|| ".".into(), |name| name.to_string_lossy().into_owned())
}

/// Reads a picture, and says as a line of text why where that fails: one bad file of thousands is left out.
pub fn read_or_explain(path: &Path, limits: &Limits) -> Result<Picture, String> {
    picture::read(path, limits).map_err(|error| match error {
        Error::Picture(what) => what,
        Error::Io { context, source } => format!("{context}: {source}"),
        other => format!("cannot read {}: {other}", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_change_when_pictures_come() {
        let lots: Vec<f64> = (0..2000).map(|i| lot(Path::new(&format!("a/{i}.jpg")))).collect();
        let (all, some) = (assign(&lots), assign(&lots[..1000]));
        assert_eq!(all[..1000], some);
        for part in [Part::Validation, Part::Test] {
            let count = all.iter().filter(|&&p| p == part).count();
            assert!((30..70).contains(&count), "{count} of 2000 are {part:?}");
        }
        assert_eq!(assign(&[0.5, 0.9, 0.4]), [Part::Test, Part::Train, Part::Validation]);
        assert_eq!(lot(Path::new("a/x.png")), lot(Path::new("b/x.png")));
    }
}
