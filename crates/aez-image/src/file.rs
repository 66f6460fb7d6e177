//! Reading and writing files as a whole.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
};

use aez_core::{Error, Result};

/// Reads all bytes of a source, or returns `None` if they are more than `max`. At most one byte more is read.
///
/// # Errors
/// Errors of the source.
pub fn read_bounded(source: impl Read, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max).then_some(bytes))
}

/// Writes a file completely or not at all: the bytes go into a temporary file in the same folder, which is then renamed. Anything
/// that is not a regular file, such as a device or a pipe, is written directly.
///
/// # Errors
/// [`Error::Io`] with the name of the file.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| Error::io("cannot write", path, source);
    if fs::metadata(path).is_ok_and(|existing| !existing.is_file()) {
        return fs::write(path, bytes).map_err(failed);
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = temporary_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// A temporary file with the permissions of an ordinary new file, for the time when it is renamed. By default only its owner could
/// read it.
///
/// # Errors
/// When the file cannot be created.
pub fn temporary_in(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(".aez-").tempfile_in(folder)
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
    fn files_are_written_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.bin");
        write_atomically(&path, b"first").unwrap();
        write_atomically(&path, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
        assert!(matches!(write_atomically(dir.path(), b""), Err(Error::Io { .. })));
        let nowhere = write_atomically(&dir.path().join("no/file"), b"").unwrap_err();
        assert!(nowhere.to_string().contains("no/file"), "{nowhere}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::write(dir.path().join("ordinary"), b"").unwrap();
            let mode = |name| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode("out.bin"), mode("ordinary"));
        }
    }
}
