//! Specifications of training data, as given on the command line.

use crate::{Error, Result};
use std::{fmt, path::PathBuf, str::FromStr};

/// A source of training pictures with a weight. As text: `DIR` or `stl10:DIR`, followed by `@WEIGHT` if the weight is not 1.
///
/// ```
/// use aez_train::spec::{Source, Spec};
/// let spec: Spec = "stl10:data@3".parse()?;
/// assert_eq!(spec, Spec { source: Source::Stl10("data".into()), weight: 3 });
/// # Ok::<(), aez_train::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Where the pictures are.
    pub source: Source,
    /// How often an epoch visits each training picture of the source: 1 to 1000.
    pub weight: u32,
}

/// Where pictures are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with files in the binary layout of STL-10.
    Stl10(PathBuf),
    /// A folder of picture files, with its subfolders.
    Folder(PathBuf),
}

const MAX_WEIGHT: u32 = 1000;

impl FromStr for Spec {
    type Err = Error;

    /// Digits after the last `@` are a weight. Any other `@` is part of the folder's name.
    fn from_str(text: &str) -> Result<Self> {
        let is_number = |tail: &str| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit());
        let (place, weight) = match text.rsplit_once('@').filter(|(_, tail)| is_number(tail)) {
            Some((place, tail)) => (place, tail.parse().unwrap_or(u32::MAX)),
            None => (text, 1),
        };
        if !(1..=MAX_WEIGHT).contains(&weight) {
            return Err(Error::misuse(format!("the weight in {text:?} is not between 1 and {MAX_WEIGHT}")));
        }
        let (path, source): (&str, fn(PathBuf) -> Source) = match place.strip_prefix("stl10:") {
            Some(path) => (path, Source::Stl10),
            None => (place, Source::Folder),
        };
        if path.is_empty() {
            return Err(Error::misuse(format!("{text:?} has no folder: expected DIR or stl10:DIR")));
        }
        Ok(Self { source: source(path.into()), weight })
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Stl10(path) => write!(f, "stl10:{}", path.display())?,
            Source::Folder(path) => write!(f, "{}", path.display())?,
        }
        if self.weight == 1 { Ok(()) } else { write!(f, "@{}", self.weight) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_survive_a_round_trip_through_text() {
        for text in ["photos", "a/b@4", "stl10:data", "stl10:data@12", "me@home", "x@1000"] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        let spec: Spec = "stl10:my@home@3".parse().unwrap();
        assert_eq!(spec, Spec { source: Source::Stl10("my@home".into()), weight: 3 });
    }

    #[test]
    fn invalid_specs_are_rejected() {
        for text in ["", "stl10:", "@3", "a@0", "a@1001", "a@99999999999999999999"] {
            let error = text.parse::<Spec>().unwrap_err();
            assert!(matches!(error, Error::Codec(aez_core::Error::Misuse(_))), "{text:?}: {error}");
        }
    }
}
