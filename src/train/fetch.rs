//! Downloading STL-10, resumably, and unpacking it.

use super::stl10;
use crate::{Error, Result, picture::io::temporary_in};
use flate2::read::GzDecoder;
use md5::{Digest, Md5};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    path::Path,
    time::Duration,
};

/// An archive of files in STL-10's layout.
#[derive(Debug, Clone, Copy)]
pub struct Archive<'a> {
    pub url: &'a str,
    /// Its exact length.
    pub bytes: u64,
    /// Its MD5 digest in lower-case hexadecimal: the one that the publishers of STL-10 name.
    pub md5: &'a str,
}

/// STL-10 as Stanford offers it: 2.6 GB, unpacked 3.1 GB.
pub const STL10: Archive<'static> = Archive {
    url: "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    bytes: 2_640_397_119,
    md5: "91f7769df0f17e558f3565bffb0c7dfb",
};

/// The only files that are unpacked.
const FILES: [&str; 7] = [
    "train_X.bin",
    "train_y.bin",
    "test_X.bin",
    "test_y.bin",
    "unlabeled_X.bin",
    "class_names.txt",
    "fold_indices.txt",
];
/// No file of STL-10 is larger: that of the 100,000 unlabeled pictures.
const MAX_FILE: u64 = 100_000 * stl10::RECORD as u64;
/// A server that is silent for so long has gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// Downloads STL-10 from `url` (by default [`STL10`]'s) and unpacks it into the folder `dir`, which is made if need be.
/// See [`fetch`].
///
/// # Errors
/// Those of [`fetch`].
pub fn fetch_stl10(url: &str, dir: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<()> {
    fetch(&Archive { url, ..STL10 }, dir, progress)
}

/// Downloads an archive, checks its length and digest, and unpacks the files of STL-10 that it holds into
/// `dir`, each as a whole or not at all. `progress` hears the bytes so far and of all.
///
/// A download that breaks off leaves `download.part` in the folder, from which the next call goes on.
///
/// # Errors
/// [`Error::Io`] when the server or the disk fails, [`Error::Picture`] when the archive is not the expected one.
pub fn fetch(archive: &Archive, dir: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<()> {
    fs::create_dir_all(dir).map_err(|e| Error::io("cannot make the folder", dir, e))?;
    let part = dir.join("download.part");
    download(archive, &part, progress)?;
    let found = digest(&part).map_err(|e| Error::io("cannot read", &part, e))?;
    let unpacked = if found == archive.md5 {
        unpack(&part, dir)
    } else {
        Err(Error::Picture(format!(
            "{} is not the expected archive: its MD5 digest is {found} instead of {}; it was deleted",
            archive.url, archive.md5
        )))
    };
    // A wrong archive must not be resumed, a good one is of no use any more.
    fs::remove_file(&part).map_err(|e| Error::io("cannot delete", &part, e))?;
    unpacked
}

/// Appends to `part` what it lacks of the archive.
fn download(archive: &Archive, part: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> Result<()> {
    let failed = |source| Error::io("cannot write", part, source);
    let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(failed)?;
    let mut done = file.metadata().map_err(failed)?.len();
    if done == archive.bytes {
        return Ok(());
    }
    let broken = |source| Error::Io { context: format!("cannot download {}", archive.url), source };
    let response = request(archive.url, done).map_err(|e| broken(io::Error::other(e)))?;
    if response.status() != 206 {
        // The server begins at the start, whatever was asked for.
        file.set_len(0).map_err(failed)?;
        done = 0;
    }
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 16];
    loop {
        progress(done, Some(archive.bytes));
        let count = body.read(&mut buffer).map_err(broken)?;
        if count == 0 {
            break;
        }
        done += count as u64;
        if done > archive.bytes {
            break;
        }
        file.write_all(&buffer[..count]).map_err(failed)?;
    }
    if done == archive.bytes {
        return Ok(());
    }
    let (expected, advice) = (archive.bytes, "try again, and it goes on from there");
    if done > expected {
        fs::remove_file(part).map_err(failed)?;
        let message =
            format!("{} is not the expected archive: it has more than {expected} bytes", archive.url);
        return Err(Error::Picture(message));
    }
    let ended = format!("the download ended after {done} of {expected} bytes: {advice}");
    Err(broken(io::Error::new(io::ErrorKind::UnexpectedEof, ended)))
}

/// Asks for the bytes from `start` on, as they are, not compressed once more.
fn request(url: &str, start: u64) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .accept_encoding("identity")
        .build();
    let request = config.new_agent().get(url);
    if start == 0 { request.call() } else { request.header("range", format!("bytes={start}-")).call() }
}

fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut md5, mut buffer) = (File::open(path)?, Md5::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => md5.update(&buffer[..count]),
        }
    }
}

/// Takes the known files out of the archive, whatever folder they are in there; all else stays inside.
fn unpack(archive: &Path, dir: &Path) -> Result<()> {
    let failed = |source| Error::io("cannot unpack", archive, source);
    let file = File::open(archive).map_err(failed)?;
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    let mut found = Vec::new();
    for entry in tar.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let path = entry.path().map_err(failed)?;
        let Some(name) = FILES.into_iter().find(|name| path.file_name() == Some(name.as_ref())) else {
            continue;
        };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        if entry.size() > MAX_FILE {
            return Err(Error::Limit {
                what: "size of an archived file",
                found: entry.size(),
                allowed: MAX_FILE,
            });
        }
        let target = dir.join(name);
        let unwritable = |source| Error::io("cannot write", &target, source);
        let mut kept = temporary_in(dir).map_err(unwritable)?;
        io::copy(&mut entry, &mut kept).map_err(unwritable)?;
        kept.persist(&target).map_err(|e| unwritable(e.error))?;
        found.push(name);
    }
    match ["train_X.bin", "test_X.bin"].into_iter().find(|name| !found.contains(name)) {
        Some(name) => Err(Error::Picture(format!("the archive lacks the file {name}: it is not STL-10"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::{
        net::{TcpListener, TcpStream},
        sync::mpsc::{Receiver, channel},
        thread,
    };

    /// A server on this machine that gives each response to one connection; it reports the requests.
    fn serve(responses: Vec<Vec<u8>>) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/archive.tar.gz", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        thread::spawn(move || {
            for response in responses {
                let (mut stream, _) = listener.accept().unwrap();
                let request = read_request(&mut stream);
                // Not every test listens.
                let _ = sender.send(request);
                stream.write_all(&response).unwrap();
            }
        });
        (url, requests)
    }

    fn read_request(stream: &mut TcpStream) -> String {
        let (mut text, mut byte) = (String::new(), [0]);
        while !text.ends_with("\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            text.push(byte[0].into());
        }
        text.to_ascii_lowercase()
    }

    /// A response whose head promises `length` bytes.
    fn response(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    fn archive_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            // Written past the builder, which refuses names that climb.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, *bytes).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn hex_digest(bytes: &[u8]) -> String {
        Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn good() -> Vec<u8> {
        archive_of(&[
            ("stl10_binary/train_X.bin", b"train"),
            ("stl10_binary/test_X.bin", b"test"),
            ("x/virus", b"!"),
        ])
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_good_archive_is_unpacked_and_only_its_known_files() {
        let (bytes, dir) = (good(), tempfile::tempdir().unwrap());
        let (url, _) = serve(vec![response("200 OK", bytes.len(), &bytes)]);
        let archive = Archive { url: &url, bytes: bytes.len() as u64, md5: &hex_digest(&bytes) };
        let mut last = (0, None);
        fetch(&archive, &dir.path().join("new"), &mut |done, total| last = (done, total)).unwrap();
        assert_eq!(last, (archive.bytes, Some(archive.bytes)));
        assert_eq!(names(&dir.path().join("new")), ["test_X.bin", "train_X.bin"]);
        assert_eq!(fs::read(dir.path().join("new/train_X.bin")).unwrap(), b"train");
    }

    #[test]
    fn a_broken_download_goes_on_where_it_ended() {
        let (bytes, dir) = (good(), tempfile::tempdir().unwrap());
        let (url, requests) = serve(vec![
            response("200 OK", bytes.len(), &bytes[..50]),
            response("206 Partial Content", bytes.len() - 50, &bytes[50..]),
        ]);
        let archive = Archive { url: &url, bytes: bytes.len() as u64, md5: &hex_digest(&bytes) };
        assert!(matches!(fetch(&archive, dir.path(), &mut |_, _| ()), Err(Error::Io { .. })));
        assert_eq!(names(dir.path()), ["download.part"]);
        fetch(&archive, dir.path(), &mut |_, _| ()).unwrap();
        assert_eq!(names(dir.path()), ["test_X.bin", "train_X.bin"]);
        let requests: Vec<String> = requests.iter().collect();
        assert!(
            !requests[0].contains("range:") && requests[1].contains("range: bytes=50-\r\n"),
            "{requests:?}"
        );
    }

    #[test]
    fn a_server_that_ignores_the_range_starts_anew() {
        let (bytes, dir) = (good(), tempfile::tempdir().unwrap());
        fs::write(dir.path().join("download.part"), b"half").unwrap();
        let (url, _) = serve(vec![response("200 OK", bytes.len(), &bytes)]);
        let archive = Archive { url: &url, bytes: bytes.len() as u64, md5: &hex_digest(&bytes) };
        fetch(&archive, dir.path(), &mut |_, _| ()).unwrap();
    }

    #[test]
    fn wrong_archives_are_refused_and_leave_nothing() {
        let (bytes, other) = (good(), archive_of(&[("train_X.bin", b"")]));
        let md5 = hex_digest(&bytes);
        let cases: [(&[u8], u64, &str, &str); 3] = [
            (&bytes, bytes.len() as u64, "00", "MD5"),
            (&bytes, bytes.len() as u64 - 1, &md5, "more than"),
            (&other, other.len() as u64, &hex_digest(&other), "test_X.bin"),
        ];
        for (sent, bytes, md5, reason) in cases {
            let dir = tempfile::tempdir().unwrap();
            let (url, _) = serve(vec![response("200 OK", sent.len(), sent)]);
            let error = fetch(&Archive { url: &url, bytes, md5 }, dir.path(), &mut |_, _| ()).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            assert!(!names(dir.path()).contains(&"download.part".to_owned()));
        }
    }

    #[test]
    fn a_missing_archive_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let (url, _) = serve(vec![response("404 Not Found", 0, b"")]);
        let error = fetch_stl10(&url, dir.path(), &mut |_, _| ()).unwrap_err();
        let Error::Io { context, source } = error else { panic!("{error}") };
        assert!(context.contains(&url) && source.to_string().contains("404"), "{context}: {source}");
    }

    #[test]
    fn names_that_climb_stay_inside_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let bytes =
            archive_of(&[("../train_X.bin", b"a"), ("/tmp/../test_X.bin", b"b"), ("../evil.txt", b"c")]);
        fs::write(dir.path().join("archive"), bytes).unwrap();
        unpack(&dir.path().join("archive"), &inner).unwrap();
        assert_eq!(names(dir.path()), ["archive", "inner"]);
        assert_eq!(names(&inner), ["test_X.bin", "train_X.bin"]);
    }
}
