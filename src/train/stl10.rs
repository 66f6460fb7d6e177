//! STL-10's binary layout: files of 96x96 colour pictures without any header.
//!
//! Each picture is 3 channels (red, green, blue) of 96 columns of 96 bytes: **column by column**, from the
//! left, each from the top. Labels are one byte a picture, from 1 on.

use super::folder;
use crate::{
    Error, Limits, Result,
    picture::{self, Picture, io::temporary_in},
};
use rayon::prelude::*;
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
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

/// The layout's order of an interleaved picture of [`EDGE`] x [`EDGE`] pixels.
fn to_record(rgb: &[u8]) -> Vec<u8> {
    (0..RECORD).map(|i| rgb[interleaved(i)]).collect()
}

/// What [`pack`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Pictures in `train_X.bin`.
    pub train: usize,
    /// Pictures in `test_X.bin`.
    pub test: usize,
    /// Files that could not be read, each with the reason.
    pub skipped: Vec<String>,
}

/// Packs the pictures of a folder and its subfolders into files of STL-10's layout in the folder `out`, which
/// is made if need be: centre squares scaled to 96x96. About `test_fraction` (0 to 1) of them, chosen by a
/// hash of the file name, become the test file. The pictures are one class, named after the folder; there are
/// no unlabeled pictures and no folds.
///
/// # Errors
/// [`Error::Io`] when reading the folder or writing fails, [`Error::Misuse`] when no picture is found or the
/// fraction is out of its range.
pub fn pack(folder: &Path, out: &Path, test_fraction: f64, limits: &Limits) -> Result<Packed> {
    /// Pictures that are held in memory at once.
    const CHUNK: usize = 64;
    if !(0.0..=1.0).contains(&test_fraction) {
        return Err(Error::Misuse(format!(
            "the fraction of test pictures is {test_fraction}, not between 0 and 1"
        )));
    }
    let failed = |source| Error::io("cannot write to the folder", out, source);
    let paths = picture::pictures_under(folder)?;
    fs::create_dir_all(out).map_err(failed)?;
    let (mut train, mut test) = (temporary_in(out).map_err(failed)?, temporary_in(out).map_err(failed)?);
    let mut packed = Packed { train: 0, test: 0, skipped: Vec::new() };
    let square = |path: &PathBuf| {
        folder::read_or_explain(path, limits)
            .map(|whole| to_record(&picture::centre_square(&whole, EDGE as u32).rgb))
    };
    for paths in paths.chunks(CHUNK) {
        let records: Vec<Result<Vec<u8>, String>> = paths.par_iter().map(square).collect();
        for (path, record) in paths.iter().zip(records) {
            let (file, count) = match folder::lot(path) < test_fraction {
                true => (&mut test, &mut packed.test),
                false => (&mut train, &mut packed.train),
            };
            match record {
                Ok(record) => file.write_all(&record).map(|()| *count += 1).map_err(failed)?,
                Err(why) => packed.skipped.push(why),
            }
        }
    }
    if packed.train + packed.test == 0 {
        return Err(Error::Misuse(format!(
            "no picture in {} could be read: {:?}",
            folder.display(),
            packed.skipped
        )));
    }
    for (file, name) in [(train, "train_X.bin"), (test, "test_X.bin")] {
        file.persist(out.join(name)).map_err(|e| failed(e.error))?;
    }
    picture::write_atomically(&out.join("train_y.bin"), &vec![1; packed.train])?;
    picture::write_atomically(&out.join("test_y.bin"), &vec![1; packed.test])?;
    let class = folder::base_name(folder) + "\n";
    picture::write_atomically(&out.join("class_names.txt"), class.as_bytes())?;
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{PictureFormat, encode};

    /// Red grows to the right, green downwards, blue is constant: no two axes can be mixed up.
    fn slopes(width: u32, height: u32) -> Picture {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| [x as u8, (y * 2) as u8, 7]));
        Picture::from_rgb(width, height, pixels.flatten().collect())
    }

    #[test]
    fn records_are_columns_of_one_channel_after_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.bin");
        let mut bytes = vec![0; RECORD];
        bytes[1] = 10; // red of the second row, first column
        bytes[EDGE] = 20; // red of the first row, second column
        bytes[EDGE * EDGE] = 30; // green of the first pixel
        bytes[RECORD - 1] = 40; // blue of the last pixel
        fs::write(&path, [vec![9; RECORD], bytes].concat()).unwrap();
        let mut records = Records::open(&path).unwrap();
        assert_eq!(records.count(), 2);
        let rgb = records.read(1).unwrap().rgb;
        assert_eq!((rgb[EDGE * 3], rgb[3], rgb[1], rgb[RECORD - 1]), (10, 20, 30, 40));
        assert_eq!(rgb.iter().filter(|&&value| value != 0).count(), 4);
        assert!(matches!(records.read(2), Err(Error::Io { .. })));
        assert!(matches!(records.read(u64::MAX), Err(Error::Io { .. })));
    }

    #[test]
    fn a_file_of_another_length_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.bin");
        fs::write(&path, vec![0; RECORD + 1]).unwrap();
        let error = Records::open(&path).unwrap_err().to_string();
        assert!(error.contains("x.bin") && error.contains("27649"), "{error}");
    }

    #[test]
    fn packed_pictures_read_back_upright() {
        let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let png = encode(&slopes(96, 96), PictureFormat::Png).unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["a.png", "b.png", "sub/c.png"] {
            fs::write(folder.path().join(name), &png).unwrap();
        }
        fs::write(folder.path().join("broken.png"), &png[..60]).unwrap();
        fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
        let packed = pack(folder.path(), out.path(), 0.0, &Limits::default()).unwrap();
        assert_eq!((packed.train, packed.test, packed.skipped.len()), (3, 0, 1));
        assert!(packed.skipped[0].contains("broken.png"), "{:?}", packed.skipped);
        let mut records = Records::open(&out.path().join("train_X.bin")).unwrap();
        assert_eq!(records.count(), 3);
        assert_eq!(records.read(2).unwrap(), slopes(96, 96));
        assert_eq!(fs::read(out.path().join("train_y.bin")).unwrap(), [1; 3]);
        let packed = pack(folder.path(), out.path(), 1.0, &Limits::default()).unwrap();
        assert_eq!((packed.train, packed.test), (0, 3));
        assert!(pack(folder.path(), out.path(), f64::NAN, &Limits::default()).is_err());
    }
}
