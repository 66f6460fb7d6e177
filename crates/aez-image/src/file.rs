//! Reading files as a whole, and comparing them.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// Reads all bytes of a source, or returns `None` if they are more than `max`. At most one byte more is read.
///
/// # Errors
/// Errors of the source.
pub fn read_bounded(source: impl Read, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max).then_some(bytes))
}

/// What identifies a regular file under all of its names: two paths with the same identity are one file. On systems other than Unix,
/// hard links count as different files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] std::path::PathBuf);

impl FileId {
    /// The identity of a file, or `None` where there is no regular file.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        #[cfg(unix)]
        let id = (std::os::unix::fs::MetadataExt::dev(&found), std::os::unix::fs::MetadataExt::ino(&found));
        #[cfg(not(unix))]
        let (_, id) = (found, fs::canonicalize(path).ok()?);
        Some(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_stops_above_the_bound() {
        for (len, max, complete) in [(0, 0, true), (3, 3, true), (4, 3, false), (3, u64::MAX, true)] {
            let read = read_bounded(&vec![7; len][..], max).unwrap();
            assert_eq!(read, complete.then(|| vec![7; len]));
        }
        assert!(read_bounded(io::repeat(1), 1000).unwrap().is_none());
    }

    #[test]
    fn a_file_has_one_identity() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), b"").unwrap();
        fs::write(at("other"), b"").unwrap();
        let id = FileId::of(&at("file"));
        assert!(id.is_some() && id != FileId::of(&at("other")));
        assert_eq!(id, FileId::of(&at("./file")));
        assert_eq!((FileId::of(dir.path()), FileId::of(&at("missing"))), (None, None));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("file", at("link")).unwrap();
            fs::hard_link(at("file"), at("hard")).unwrap();
            assert_eq!((FileId::of(&at("link")), FileId::of(&at("hard"))), (id.clone(), id));
        }
    }
}
