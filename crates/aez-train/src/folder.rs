//! Folders of pictures: the split of each picture, and reading with error messages.

use aez_core::{Limits, picture::Picture};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Fraction of the pictures of a folder in the validation set, and in the test set.
const HELD_OUT: f64 = 0.025;

/// A hash of a file's name, without its folder, as a number in [0, 1). It decides the split of the picture, so that a picture
/// stays in its split when others are added or removed.
pub(crate) fn hash_of_name(path: &Path) -> f64 {
    let name = path.file_name().unwrap_or_default();
    let digest = Sha256::digest(name.as_encoded_bytes());
    let leading = digest.iter().take(6).fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
    leading as f64 / (1u64 << 48) as f64
}

/// The set that a picture belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    Train,
    Validation,
    Test,
}

/// The splits of the pictures of a folder, from the hashes of their names. If a held-out set is empty, it gets the training
/// picture with the smallest hash. All pictures of a folder with fewer than three are training pictures.
pub(crate) fn assign_splits(hashes: &[f64]) -> Vec<Split> {
    if hashes.len() < 3 {
        return vec![Split::Train; hashes.len()];
    }
    let split = |&hash: &f64| match hash {
        hash if hash < HELD_OUT => Split::Validation,
        hash if hash < 2.0 * HELD_OUT => Split::Test,
        _ => Split::Train,
    };
    let mut splits: Vec<Split> = hashes.iter().map(split).collect();
    for wanted in [Split::Validation, Split::Test] {
        let training = (0..hashes.len()).filter(|&i| splits[i] == Split::Train);
        let smallest = training.min_by(|&a, &b| hashes[a].total_cmp(&hashes[b]));
        if let (Some(smallest), false) = (smallest, splits.contains(&wanted)) {
            splits[smallest] = wanted;
        }
    }
    splits
}

/// The name of a folder without its parents, for logs and model cards.
pub(crate) fn base_name(folder: &Path) -> String {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    full.file_name().map_or_else(|| ".".into(), |name| name.to_string_lossy().into_owned())
}

/// Reads a picture. The error is one line of text with the path and the reason.
pub(crate) fn read_or_explain(path: &Path, limits: &Limits) -> Result<Picture, String> {
    use aez_core::Error;
    aez_image::read(path, limits).map_err(|error| match error {
        Error::Picture(reason) => reason,
        Error::Io { context, source } => format!("{context}: {source}"),
        other => format!("cannot read {}: {other}", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_stay_in_their_split_when_others_are_added() {
        let hashes: Vec<f64> = (0..2000).map(|i| hash_of_name(Path::new(&format!("a/{i}.jpg")))).collect();
        let (all, some) = (assign_splits(&hashes), assign_splits(&hashes[..1000]));
        assert_eq!(all[..1000], some);
        for split in [Split::Validation, Split::Test] {
            let count = all.iter().filter(|&&s| s == split).count();
            assert!((30..70).contains(&count), "{count} of 2000 are {split:?}");
        }
        assert_eq!(assign_splits(&[0.5, 0.9, 0.4]), [Split::Test, Split::Train, Split::Validation]);
        assert_eq!(hash_of_name(Path::new("a/x.png")), hash_of_name(Path::new("b/x.png")));
    }
}
