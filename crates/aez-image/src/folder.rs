//! Finding the pictures in a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aez_core::{Error, Result};
use image::ImageFormat;

/// All files in a folder and its subfolders with the extension of a picture format, sorted. Links to files are followed; links to
/// folders are not, because they may form cycles.
///
/// # Errors
/// [`Error::Io`] when a folder cannot be listed, [`Error::Misuse`] when there are none.
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
        return Err(Error::Misuse(format!("the folder {} contains no pictures", folder.display())));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_listed_in_order() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/c.png")).unwrap();
        for name in ["z.JPG", "b/c.png/x.png", "notes.txt", "b/y.webp", "none"] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path(), dir.path().join("circle")).unwrap();
        let found = pictures_under(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(names, ["b/c.png/x.png", "b/y.webp", "z.JPG"].map(Path::new));
        assert!(matches!(pictures_under(&dir.path().join("missing")), Err(Error::Io { .. })));
    }
}
