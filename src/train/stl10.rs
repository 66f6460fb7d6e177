//! STL-10's binary layout: files of 96x96 colour pictures without any header.
//!
//! Each picture is 3 channels (red, green, blue) of 96 columns of 96 bytes: **column by column**, from the left,
//! each from the top. Labels are one byte a picture, from 1 on.

use crate::{Error, Result, picture::Picture};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Rows and columns of a picture.
pub const EDGE: usize = 96;
/// Bytes of a picture.
pub const RECORD: usize = 3 * EDGE * EDGE;

/// The pictures of one file, such as `train_X.bin`.
#[derive(Debug)]
pub struct Records {
    file: File,
    path: PathBuf,
    count: u64,
}

impl Records {
    /// Opens a file of pictures.
    ///
    /// # Errors
    /// [`Error::Io`] when that fails, [`Error::Picture`] when the file is not a whole number of pictures long.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::io("cannot read", path, source);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if !length.is_multiple_of(RECORD as u64) {
            return Err(Error::Picture(format!(
                "{} is not a file of STL-10 pictures: its {length} bytes are not a multiple of {RECORD}",
                path.display()
            )));
        }
        Ok(Self { file, path: path.to_owned(), count: length / RECORD as u64 })
    }

    /// Number of pictures.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Reads one picture.
    ///
    /// # Errors
    /// [`Error::Io`], also where there is no such picture.
    pub fn read(&mut self, index: u64) -> Result<Picture> {
        let mut record = vec![0; RECORD];
        let offset = index.saturating_mul(RECORD as u64);
        self.file
            .seek(SeekFrom::Start(offset))
            .and_then(|_| self.file.read_exact(&mut record))
            .map_err(|e| Error::io(&format!("cannot read picture {index} of"), &self.path, e))?;
        Ok(Picture::from_rgb(EDGE as u32, EDGE as u32, from_record(&record)))
    }
}

/// Channels of columns become rows of pixels.
fn from_record(record: &[u8]) -> Vec<u8> {
    let mut rgb = vec![0; RECORD];
    for (i, &value) in record.iter().enumerate() {
        rgb[interleaved(i)] = value;
    }
    rgb
}

/// Where the `i`-th byte of a record lies in interleaved rows.
fn interleaved(i: usize) -> usize {
    let (channel, column, row) = (i / (EDGE * EDGE), i / EDGE % EDGE, i % EDGE);
    (row * EDGE + column) * 3 + channel
}
