//! Finding the pictures in a folder.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use aez_core::{Error, Result};
use image::ImageFormat;
use walkdir::{DirEntry, WalkDir};

/// All files in a folder and its subfolders with the extension of a picture format, as [`files_under`].
///
/// # Errors
/// [`Error::Io`] when a folder cannot be listed, [`Error::Misuse`] when there are none.
pub fn pictures_under(folder: &Path) -> Result<Vec<PathBuf>> {
    let found = files_under(folder, None, has_picture_name)?;
    if found.is_empty() {
        return Err(Error::Misuse(format!("the folder {} contains no pictures", folder.display())));
    }
    Ok(found)
}

/// All files in a folder and its subfolders whose paths are `wanted`, sorted, without those under the subfolder `except`. Links to
/// files are followed; links to folders are not, because they may form cycles. Names that begin with `._` are left out: macOS stores
/// metadata in such files, with the extension of the file that they belong to.
///
/// # Errors
/// [`Error::Io`] when a folder cannot be listed.
pub fn files_under(
    folder: &Path,
    except: Option<&Path>,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>> {
    let except = except.and_then(|path| fs::canonicalize(path).ok());
    let is_excepted = |entry: &DirEntry| {
        let is_folder = entry.depth() > 0 && entry.file_type().is_dir();
        except.is_some() && is_folder && fs::canonicalize(entry.path()).ok() == except
    };
    let is_metadata =
        |entry: &DirEntry| entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b"._");
    let mut found = Vec::new();
    for entry in
        WalkDir::new(folder).into_iter().filter_entry(|entry| !is_metadata(entry) && !is_excepted(entry))
    {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            // Only a cycle of links is no error of the system, and links to folders are not followed.
            let source = error.into_io_error().unwrap_or_else(|| io::Error::other("links form a cycle"));
            Error::io("cannot list the folder", path, source)
        })?;
        if wanted(entry.path()) && entry.path().is_file() {
            found.push(entry.into_path());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file has the extension of a picture format that can be read.
pub fn has_picture_name(path: &Path) -> bool {
    ImageFormat::from_path(path).is_ok_and(|format| format.reading_enabled())
}

/// Whether a regular file begins like one of a picture format, whatever its name.
pub fn looks_like_picture(path: &Path) -> bool {
    let mut start = Vec::new();
    // Opening a pipe would wait for its writer.
    path.is_file()
        && File::open(path).is_ok_and(|file| file.take(64).read_to_end(&mut start).is_ok())
        && image::guess_format(&start).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_listed_in_order() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/c.png")).unwrap();
        for name in [
            "z.JPG",
            "b/c.png/x.png",
            "notes.txt",
            "b/y.webp",
            "none",
            "._z.JPG",
            "b/._y.webp",
            ".DS_Store",
            "Thumbs.db",
        ] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path(), dir.path().join("circle")).unwrap();
        let found = pictures_under(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(names, ["b/c.png/x.png", "b/y.webp", "z.JPG"].map(Path::new));
        let missing = dir.path().join("missing");
        let Err(Error::Io { context, source }) = pictures_under(&missing) else { panic!("an error") };
        assert_eq!(context, format!("cannot list the folder {}", missing.display()));
        assert!(source.raw_os_error().is_some(), "the error of the system alone: {source}");
    }

    #[test]
    fn a_subfolder_can_be_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("out/deep")).unwrap();
        for name in ["a.png", "out/b.png", "out/deep/c.png"] {
            fs::write(at(name), b"").unwrap();
        }
        let found = |except: &Path| files_under(dir.path(), Some(except), has_picture_name).unwrap();
        assert_eq!(found(&at("out/deep/..")), [at("a.png")]);
        assert_eq!(found(dir.path()).len(), 3, "the folder itself is not left out");
    }

    #[test]
    fn pictures_are_recognized_by_their_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("photo");
        for (bytes, expected) in
            [(&b"\xff\xd8\xff\xe0"[..], true), (b"GIF89a", true), (b"text", false), (b"", false)]
        {
            fs::write(&path, bytes).unwrap();
            assert_eq!(looks_like_picture(&path), expected, "{bytes:?}");
        }
        assert!(!looks_like_picture(dir.path()) && !looks_like_picture(&dir.path().join("missing")));
    }
}
