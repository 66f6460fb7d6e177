//! What the user names as training data.

use crate::{Error, Result};
use std::{fmt, path::PathBuf, str::FromStr};

/// A source of training pictures with its weight, in text `stl10:DIR`, `DIR`, or either with `@W` behind it.
///
/// The weight is how often an epoch visits each training picture of the source: 1 to 1000, 1 if not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    pub source: Source,
    pub weight: u32,
}

/// Where pictures are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with files in STL-10's binary layout.
    Stl10(PathBuf),
    /// A folder of picture files, its subfolders included.
    Folder(PathBuf),
}

const MAX_WEIGHT: u32 = 1000;

impl FromStr for Spec {
    type Err = Error;

    /// A last `@` followed by digits only is a weight; any other `@` belongs to the folder's name.
    fn from_str(text: &str) -> Result<Self> {
        let digits = |tail: &str| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit());
        let (place, weight) = match text.rsplit_once('@').filter(|(_, tail)| digits(tail)) {
            Some((place, tail)) => (place, tail.parse().unwrap_or(u32::MAX)),
            None => (text, 1),
        };
        if !(1..=MAX_WEIGHT).contains(&weight) {
            return Err(Error::Misuse(format!("the weight in {text:?} is not between 1 and {MAX_WEIGHT}")));
        }
        let (path, source): (&str, fn(PathBuf) -> Source) = match place.strip_prefix("stl10:") {
            Some(path) => (path, Source::Stl10),
            None => (place, Source::Folder),
        };
        if path.is_empty() {
            return Err(Error::Misuse(format!("{text:?} names no folder: write DIR or stl10:DIR")));
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
    fn specs_read_back_as_they_are_written() {
        for text in ["photos", "a/b@4", "stl10:data", "stl10:data@12", "me@home", "x@1000"] {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        let spec: Spec = "stl10:my@home@3".parse().unwrap();
        assert_eq!(spec, Spec { source: Source::Stl10("my@home".into()), weight: 3 });
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "stl10:", "@3", "a@0", "a@1001", "a@99999999999999999999"] {
            assert!(matches!(text.parse::<Spec>(), Err(Error::Misuse(_))), "{text:?} passed");
        }
    }
}
