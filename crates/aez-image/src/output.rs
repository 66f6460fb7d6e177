//! Output files: what a path names, and writing it completely or not at all.

use std::{
    fs::{self, File, Metadata},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use aez_core::{Error, Result};
use tempfile::NamedTempFile;

/// What an output path names when all symbolic links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Nothing yet. A file with this path will be created.
    New(PathBuf),
    /// A regular file with this path.
    File(PathBuf),
    /// A folder, or a path that ends like one.
    Folder,
    /// A device, a pipe, or a file that a process has open, such as `/dev/stdout`.
    Stream,
}

/// Number of symbolic links that are followed, as on Linux.
const MAX_LINKS: usize = 40;

impl Target {
    /// Finds out what a path names.
    ///
    /// # Errors
    /// [`Error::Io`] with the name of the file when its folder does not exist, or when links form a cycle.
    pub fn of(path: &Path) -> Result<Self> {
        Self::find(path).map_err(|source| Error::io("cannot write", path, source))
    }

    fn find(path: &Path) -> io::Result<Self> {
        let exists = match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Ok(Self::Folder),
            Ok(found) if !found.is_file() => return Ok(Self::Stream),
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if ends_like_folder(path) {
            return Ok(Self::Folder);
        }
        Ok(match follow(path)? {
            None => Self::Stream,
            Some(path) if exists => Self::File(path),
            Some(path) => Self::New(path),
        })
    }
}

/// Whether a path ends with a separator.
pub fn ends_like_folder(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|&byte| std::path::is_separator(byte.into()))
}

/// The path after all symbolic links, the last of which may lead to nothing. `None` where it names a file that a process has open:
/// such a link leads to the open file and not to a path, and a rename would replace the link.
fn follow(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
        if folder.starts_with("/proc") || folder == Path::new("/dev/fd") {
            return Ok(None);
        }
        match (fs::read_link(&path), path.file_name()) {
            (Ok(next), _) => path = folder.join(next),
            (Err(_), Some(name)) => return Ok(Some(folder.join(name))),
            (Err(error), None) => return Err(error),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

/// A file that appears under its name when it is complete: until then it is a temporary file in the same folder, which is removed
/// on drop.
///
/// Symbolic links are followed. A file that is replaced keeps its permission bits and, where the system allows it, its owner. A
/// file that may not be written is not replaced. The other names (hard links) of a file that is replaced keep the old content.
/// Anything that is not a regular file, such as a device or a pipe, is written directly; an open file such as `/dev/stdout` is
/// written at its end.
#[derive(Debug)]
pub struct OutputFile {
    /// As the caller named it, for messages.
    name: PathBuf,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    Stream(File),
    Temporary { file: NamedTempFile, target: PathBuf },
}

impl OutputFile {
    /// Starts to write a file.
    ///
    /// # Errors
    /// [`Error::Io`] with the name of the file.
    pub fn create(path: &Path) -> Result<Self> {
        let failed = |source| Error::io("cannot write", path, source);
        let sink = match Target::of(path)? {
            Target::Folder => return Err(failed(io::ErrorKind::IsADirectory.into())),
            Target::Stream => Sink::Stream(File::options().append(true).open(path).map_err(failed)?),
            Target::New(target) => Sink::Temporary { file: temporary_for(&target).map_err(failed)?, target },
            Target::File(target) => {
                Sink::Temporary { file: replacement_of(&target).map_err(failed)?, target }
            }
        };
        Ok(Self { name: path.to_owned(), sink })
    }

    /// Sets the time of the last change. Streams have none.
    ///
    /// # Errors
    /// [`Error::Io`] with the name of the file.
    pub fn set_modified(&self, time: SystemTime) -> Result<()> {
        match &self.sink {
            Sink::Stream(_) => Ok(()),
            Sink::Temporary { file, .. } => file.as_file().set_modified(time).map_err(|e| self.failed(e)),
        }
    }

    /// Writes bytes at the end, with errors that name the file.
    ///
    /// # Errors
    /// [`Error::Io`] with the name of the file.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|source| self.failed(source))
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// [`Error::Io`] with the name of the file.
    pub fn finish(self) -> Result<()> {
        match self.sink {
            Sink::Stream(_) => Ok(()),
            Sink::Temporary { file, target } => match file.persist(target) {
                Ok(_) => Ok(()),
                Err(error) => Err(Error::io("cannot write", &self.name, error.error)),
            },
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::io("cannot write", &self.name, source)
    }

    fn file(&self) -> &File {
        match &self.sink {
            Sink::Stream(file) => file,
            // The errors of `NamedTempFile` itself would have the name of the temporary file.
            Sink::Temporary { file, .. } => file.as_file(),
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

/// Writes a file completely or not at all, as an [`OutputFile`].
///
/// # Errors
/// [`Error::Io`] with the name of the file.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = OutputFile::create(path)?;
    file.append(bytes)?;
    file.finish()
}

/// A temporary file in the folder of `target`, with the permissions of an ordinary new file. By default only its owner could read
/// it.
fn temporary_for(target: &Path) -> io::Result<NamedTempFile> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o666);
    // The error of `make_in` has the name of the temporary file. The user knows the target's only.
    let mut cause = None;
    let create = |path: &Path| options.open(path).inspect_err(|error| cause = error.raw_os_error());
    let made = tempfile::Builder::new().prefix(".aez-").make_in(folder, create);
    made.map_err(|error| cause.map_or(error, io::Error::from_raw_os_error))
}

/// A temporary file with the permissions of a file that it will replace.
fn replacement_of(target: &Path) -> io::Result<NamedTempFile> {
    let replaced = fs::metadata(target)?;
    // A rename needs no permission to write the file that it replaces, and the superuser needs none for anything.
    if replaced.permissions().readonly() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only"));
    }
    File::options().write(true).open(target)?;
    let file = temporary_for(target)?;
    keep_attributes(file.as_file(), &replaced)?;
    Ok(file)
}

#[cfg(unix)]
fn keep_attributes(file: &File, replaced: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

    // Most users can change neither. Permissions for the group are then those of another group, and are dropped.
    let _ = fchown(file, Some(replaced.uid()), None);
    let keeps_group = fchown(file, None, Some(replaced.gid())).is_ok();
    let mask = if keeps_group { 0o777 } else { 0o707 };
    file.set_permissions(fs::Permissions::from_mode(replaced.mode() & mask))
}

#[cfg(not(unix))]
fn keep_attributes(file: &File, replaced: &Metadata) -> io::Result<()> {
    file.set_permissions(replaced.permissions())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.bin");
        write_atomically(&path, b"first").unwrap();
        write_atomically(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let mut dropped = OutputFile::create(&path).unwrap();
        dropped.append(b"half of the").unwrap();
        drop(dropped);
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn errors_name_the_output_and_not_the_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), b"").unwrap();
        for name in ["no/file", "file/x", "new/", ""] {
            let path = dir.path().join(name);
            let Err(Error::Io { context, source }) = write_atomically(&path, b"") else { panic!("{name}") };
            assert_eq!(context, format!("cannot write {}", path.display()));
            assert!(!source.to_string().contains(".aez-"), "{source}");
        }
        assert!(temporary_for(Path::new("/no such folder/x")).unwrap_err().raw_os_error().is_some());
    }

    #[cfg(unix)]
    mod unix {
        use std::os::unix::fs::{PermissionsExt, symlink};

        use super::*;

        fn mode(path: &Path) -> u32 {
            fs::metadata(path).unwrap().permissions().mode() & 0o7777
        }

        #[test]
        fn links_are_followed() {
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name);
            fs::create_dir(at("sub")).unwrap();
            fs::write(at("sub/file"), b"old").unwrap();
            symlink("file", at("sub/inner")).unwrap();
            symlink("sub/inner", at("chain")).unwrap();
            symlink("sub/new", at("dangling")).unwrap();
            symlink("sub", at("folder")).unwrap();
            symlink("b", at("a")).unwrap();
            symlink("a", at("b")).unwrap();
            write_atomically(&at("chain"), b"chain").unwrap();
            write_atomically(&at("dangling"), b"dangling").unwrap();
            assert_eq!(
                (fs::read(at("sub/file")).unwrap(), fs::read(at("sub/new")).unwrap()),
                (b"chain".into(), b"dangling".into())
            );
            for name in ["sub/inner", "chain", "dangling", "folder", "a"] {
                assert!(fs::symlink_metadata(at(name)).unwrap().is_symlink(), "{name}");
            }
            assert_eq!(Target::of(&at("folder")).unwrap(), Target::Folder);
            let cycle = write_atomically(&at("a"), b"").unwrap_err();
            assert!(cycle.to_string().ends_with("/a"), "{cycle}");
        }

        #[test]
        fn permissions_are_kept() {
            let dir = tempfile::tempdir().unwrap();
            let (path, ordinary) = (dir.path().join("out"), dir.path().join("ordinary"));
            fs::write(&ordinary, b"").unwrap();
            write_atomically(&path, b"").unwrap();
            assert_eq!(mode(&path), mode(&ordinary));
            for bits in [0o600, 0o640, 0o755] {
                fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
                write_atomically(&path, b"new").unwrap();
                assert_eq!(mode(&path), bits);
            }
        }

        #[test]
        fn read_only_files_are_not_replaced() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("out");
            fs::write(&path, b"old").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
            assert!(matches!(write_atomically(&path, b"new"), Err(Error::Io { .. })));
            assert_eq!(fs::read(&path).unwrap(), b"old");
        }

        #[test]
        fn other_names_of_a_file_keep_its_content() {
            let dir = tempfile::tempdir().unwrap();
            let (path, other) = (dir.path().join("out"), dir.path().join("other"));
            fs::write(&path, b"old").unwrap();
            fs::hard_link(&path, &other).unwrap();
            write_atomically(&path, b"new").unwrap();
            assert_eq!((fs::read(&path).unwrap(), fs::read(&other).unwrap()), (b"new".into(), b"old".into()));
        }

        #[test]
        fn open_files_are_written_and_not_replaced() {
            use std::os::fd::AsRawFd;

            let dir = tempfile::tempdir().unwrap();
            let (path, link) = (dir.path().join("out"), dir.path().join("link"));
            let mut open = File::create(&path).unwrap();
            open.write_all(b"before ").unwrap();
            symlink(format!("/dev/fd/{}", open.as_raw_fd()), &link).unwrap();
            assert_eq!(Target::of(&link).unwrap(), Target::Stream);
            write_atomically(&link, b"after").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"before after");
            assert_eq!(Target::of(Path::new("/dev/null")).unwrap(), Target::Stream);
        }
    }
}
