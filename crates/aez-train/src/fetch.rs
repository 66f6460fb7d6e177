//! Download of STL-10, which can be resumed, and unpacking.

use crate::{Error, Result, stl10};
use aez_core::LimitKind;
use aez_image::OutputFile;
use flate2::read::GzDecoder;
use md5::{Digest, Md5};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Write},
    path::Path,
    time::Duration,
};

/// An archive (`.tar.gz`) of files in the layout of STL-10.
#[derive(Debug, Clone, Copy)]
pub struct Archive<'a> {
    /// Its address.
    pub url: &'a str,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its MD5 digest in lower-case hexadecimal.
    pub md5: &'a str,
}

/// STL-10 at Stanford University: 2.6 GB, unpacked 3.1 GB. The publishers only give the MD5 digest.
pub const STL10: Archive<'static> = Archive {
    url: "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    bytes: 2_640_397_119,
    md5: "91f7769df0f17e558f3565bffb0c7dfb",
};

/// Names of the files that are unpacked.
const FILES: [&str; 7] = [
    "train_X.bin",
    "train_y.bin",
    "test_X.bin",
    "test_y.bin",
    "unlabeled_X.bin",
    "class_names.txt",
    "fold_indices.txt",
];
/// Size of the largest file of STL-10 in bytes, that of the 100,000 unlabeled pictures.
const MAX_FILE: u64 = 100_000 * stl10::RECORD as u64;
/// Maximum time to wait for data from the server.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Downloads STL-10 from `url`, normally the one of [`STL10`], and unpacks it into the folder `dir`; see [`fetch`].
///
/// # Errors
/// As for [`fetch`].
pub fn fetch_stl10(url: &str, dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
    fetch(&Archive { url, ..STL10 }, dir, progress)
}

/// Downloads an archive, checks its size and digest, and unpacks its files of STL-10 into the folder `dir`, each atomically. The
/// folder is created if it does not exist. `progress` is called with the number of bytes downloaded so far and in total.
///
/// An interrupted download leaves the file `download.part` in the folder, and the next call continues it.
///
/// # Errors
/// [`aez_core::Error::Io`] if the server or the disk fails, [`aez_core::Error::Picture`] if it is not the expected archive.
pub fn fetch(archive: &Archive, dir: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
    fs::create_dir_all(dir).map_err(|e| Error::io("cannot create the folder", dir, e))?;
    let part = dir.join("download.part");
    download(archive, &part, progress)?;
    let found = digest(&part).map_err(|e| Error::io("cannot read", &part, e))?;
    let unpacked = if found == archive.md5 {
        unpack(&part, dir)
    } else {
        Err(Error::picture(format!(
            "{} is not the expected archive: its MD5 digest is {found} instead of {}; the download was deleted",
            archive.url, archive.md5
        )))
    };
    // After a failure of the disk, the next call can use the download. A wrong archive must not be resumed.
    if !matches!(unpacked, Err(Error::Codec(aez_core::Error::Io { .. }))) {
        fs::remove_file(&part).map_err(|e| Error::io("cannot delete", &part, e))?;
    }
    unpacked
}

/// Downloads the rest of the archive to the end of `part`.
fn download(archive: &Archive, part: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
    let failed = |source| Error::io("cannot write", part, source);
    let mut file = OpenOptions::new().create(true).append(true).open(part).map_err(failed)?;
    let kept = file.metadata().map_err(failed)?.len();
    if kept == archive.bytes {
        return Ok(());
    }
    let start = if kept < archive.bytes { kept } else { 0 };
    let unreachable = |e| aez_core::Error::Io {
        context: format!("cannot download {}", archive.url),
        source: io::Error::other(e),
    };
    let response = request(archive.url, start).map_err(unreachable)?;
    // Servers that do not support ranges send the whole archive.
    let mut done = if response.status() == 206 { start } else { 0 };
    file.set_len(done).map_err(failed)?;

    let interrupted = |done, source| aez_core::Error::Io {
        context: format!(
            "the download of {} was interrupted after {done} of {} bytes: repeat the command to continue",
            archive.url, archive.bytes
        ),
        source,
    };
    // If the response is longer than the archive, the digest differs.
    let mut body = response.into_body().into_reader().take(archive.bytes - done);
    let mut buffer = vec![0; 1 << 16];
    while done < archive.bytes {
        progress(done, archive.bytes);
        let count = body.read(&mut buffer).map_err(|e| interrupted(done, e))?;
        if count == 0 {
            return Err(interrupted(done, io::ErrorKind::UnexpectedEof.into()).into());
        }
        file.write_all(&buffer[..count]).map_err(failed)?;
        done += count as u64;
    }
    progress(archive.bytes, archive.bytes);
    Ok(())
}

/// Requests the bytes from `start`, without compression by the server.
fn request(url: &str, start: u64) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
    let config = ureq::Agent::config_builder()
        .timeout_connect(Some(TIMEOUT))
        .timeout_recv_response(Some(TIMEOUT))
        .timeout_per_read(Some(TIMEOUT))
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

/// Unpacks the known files of the archive, from any of its folders, into `dir`. All other entries are ignored.
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
            let (limit, found) = (LimitKind::FileSize, entry.size());
            return Err(aez_core::Error::Limit { limit, found, allowed: MAX_FILE }.into());
        }
        let target = dir.join(name);
        let mut file = OutputFile::create(&target)?;
        io::copy(&mut entry, &mut file).map_err(|source| Error::io("cannot write", &target, source))?;
        file.finish()?;
        found.push(name);
    }
    match ["train_X.bin", "test_X.bin"].into_iter().find(|name| !found.contains(name)) {
        Some(name) => Err(Error::picture(format!("the archive is not STL-10: it has no file {name}"))),
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

    /// A local server that sends each response to one connection, and passes on the requests.
    fn serve(responses: Vec<Vec<u8>>) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/archive.tar.gz", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        thread::spawn(move || {
            for response in responses {
                let (mut stream, _) = listener.accept().unwrap();
                let request = read_request(&mut stream);
                // Some tests do not receive the requests.
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

    /// A response with a `Content-Length` of `length` bytes.
    fn response(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    fn archive_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            // The builder rejects names with `..`, so the header is written directly.
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

    fn valid_archive() -> Vec<u8> {
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
    fn only_the_known_files_of_an_archive_are_unpacked() {
        let (bytes, dir) = (valid_archive(), tempfile::tempdir().unwrap());
        let (url, _) = serve(vec![response("200 OK", bytes.len(), &bytes)]);
        let archive = Archive { url: &url, bytes: bytes.len() as u64, md5: &hex_digest(&bytes) };
        let mut last = (0, 0);
        fetch(&archive, &dir.path().join("new"), &mut |done, total| last = (done, total)).unwrap();
        assert_eq!(last, (archive.bytes, archive.bytes));
        assert_eq!(names(&dir.path().join("new")), ["test_X.bin", "train_X.bin"]);
        assert_eq!(fs::read(dir.path().join("new/train_X.bin")).unwrap(), b"train");
    }

    #[test]
    fn an_interrupted_download_is_continued() {
        let (bytes, dir) = (valid_archive(), tempfile::tempdir().unwrap());
        let (url, requests) = serve(vec![
            response("200 OK", bytes.len(), &bytes[..50]),
            response("206 Partial Content", bytes.len() - 50, &bytes[50..]),
        ]);
        let archive = Archive { url: &url, bytes: bytes.len() as u64, md5: &hex_digest(&bytes) };
        assert!(matches!(
            fetch(&archive, dir.path(), &mut |_, _| ()),
            Err(Error::Codec(aez_core::Error::Io { .. }))
        ));
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
    fn a_server_without_ranges_restarts_the_download() {
        let (bytes, dir) = (valid_archive(), tempfile::tempdir().unwrap());
        for kept in [vec![1; 4], vec![1; bytes.len() + 1]] {
            fs::write(dir.path().join("download.part"), kept).unwrap();
            let (url, _) = serve(vec![response("200 OK", bytes.len(), &bytes)]);
            let archive = Archive { url: &url, bytes: bytes.len() as u64, md5: &hex_digest(&bytes) };
            fetch(&archive, dir.path(), &mut |_, _| ()).unwrap();
        }
    }

    #[test]
    fn wrong_archives_are_rejected_and_deleted() {
        let (bytes, other) = (valid_archive(), archive_of(&[("train_X.bin", b"")]));
        let md5 = hex_digest(&bytes);
        let cases: [(&[u8], u64, &str, &str); 3] = [
            (&bytes, bytes.len() as u64, "00", "MD5"),
            (&bytes, bytes.len() as u64 - 1, &md5, "MD5"),
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
        let Error::Codec(aez_core::Error::Io { context, source }) = error else { panic!("{error}") };
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
