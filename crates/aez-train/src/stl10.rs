//! The binary layout of STL-10: files of colour pictures of 96x96 pixels without a header.
//!
//! A picture has three channels (red, green, blue), a channel has 96 columns from left to right, and a column has 96 bytes from
//! top to bottom. Labels are one byte per picture and start at 1.

use crate::{Error, Result, folder};
use aez_core::{
    Limits,
    picture::{Picture, resample::centre_square},
};
use aez_image::{OutputFile, pictures_under, write_atomically};
use rayon::prelude::*;
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Width and height of a picture in pixels.
const EDGE: usize = 96;
/// Number of bytes of a picture.
pub(crate) const RECORD: usize = 3 * EDGE * EDGE;

/// Number of pictures in memory at once when packing.
const CHUNK: usize = 64;

/// The names of the files that training reads. Only those of training and test pictures are required.
pub const FILES: [&str; 5] =
    ["train_X.bin", "test_X.bin", "unlabeled_X.bin", "test_y.bin", "class_names.txt"];

/// A file of pictures, such as `train_X.bin`.
#[derive(Debug)]
pub(crate) struct Records {
    file: File,
    path: PathBuf,
    count: u64,
}

impl Records {
    /// Opens a file of pictures, and checks that its size is a multiple of a picture's.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |source| Error::io("cannot read", path, source);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if !length.is_multiple_of(RECORD as u64) {
            return Err(Error::picture(format!(
                "{} is not a file of STL-10 pictures: its size of {length} bytes is not a multiple of {RECORD}",
                path.display()
            )));
        }
        Ok(Self { file, path: path.to_owned(), count: length / RECORD as u64 })
    }

    /// Number of pictures.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Reads a picture by its index, from 0.
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

/// Converts a record to interleaved rows.
fn from_record(record: &[u8]) -> Vec<u8> {
    let mut rgb = vec![0; RECORD];
    for (i, &value) in record.iter().enumerate() {
        rgb[interleaved(i)] = value;
    }
    rgb
}

/// The index in interleaved rows of byte `i` of a record.
fn interleaved(i: usize) -> usize {
    let (channel, column, row) = (i / (EDGE * EDGE), i / EDGE % EDGE, i % EDGE);
    (row * EDGE + column) * 3 + channel
}

/// Converts interleaved rows of [`EDGE`] x [`EDGE`] pixels to a record.
fn to_record(rgb: &[u8]) -> Vec<u8> {
    (0..RECORD).map(|i| rgb[interleaved(i)]).collect()
}

/// Reads the class of each of `count` pictures, from 1, from a file such as `train_y.bin`. Empty if the folder has no such file.
pub(crate) fn read_labels(folder: &Path, name: &str, count: u64) -> Result<Vec<u8>> {
    let path = folder.join(name);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let labels = fs::read(&path).map_err(|e| Error::io("cannot read", &path, e))?;
    if labels.len() as u64 != count || labels.contains(&0) {
        return Err(Error::picture(format!(
            "{} is not a file of STL-10 labels: it must have one byte of 1 or more for each of {count} pictures",
            path.display()
        )));
    }
    Ok(labels)
}

/// The lines of `class_names.txt`, the first for label 1. Empty if the folder has no such file.
pub(crate) fn class_names(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join("class_names.txt");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let bytes = fs::read(&path).map_err(|e| Error::io("cannot read", &path, e))?;
    Ok(String::from_utf8_lossy(&bytes).lines().map(|line| line.trim().to_owned()).collect())
}

/// The name of a class, or its number if it has no name.
pub(crate) fn class_name(names: &[String], label: u8) -> String {
    match usize::from(label).checked_sub(1).and_then(|index| names.get(index)) {
        Some(name) if !name.is_empty() => name.clone(),
        _ => format!("class {label}"),
    }
}

/// Contents of a folder in the layout of STL-10, from [`info`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Info {
    /// Name of each class with its numbers of training and test pictures. Empty if there are no labels.
    pub classes: Vec<Class>,
    /// Number of training pictures.
    pub train: u64,
    /// Number of test pictures.
    pub test: u64,
    /// Number of unlabeled pictures.
    pub unlabeled: u64,
}

/// A class of pictures.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Class {
    /// Its label in the files, from 1.
    pub label: u8,
    /// Its name.
    pub name: String,
    /// Number of training pictures.
    pub train: usize,
    /// Number of test pictures.
    pub test: usize,
}

/// Counts the pictures of a folder in the layout of STL-10, in all and by class.
///
/// # Errors
/// [`aez_core::Error::Io`] if a file cannot be read, [`aez_core::Error::Picture`] if a file has an invalid size or label.
pub fn info(folder: &Path) -> Result<Info> {
    let train = Records::open(&folder.join("train_X.bin"))?.count();
    let test = Records::open(&folder.join("test_X.bin"))?.count();
    let unlabeled = folder.join("unlabeled_X.bin");
    let unlabeled = if unlabeled.exists() { Records::open(&unlabeled)?.count() } else { 0 };
    let train_labels = read_labels(folder, "train_y.bin", train)?;
    let test_labels = read_labels(folder, "test_y.bin", test)?;
    let names = class_names(folder)?;
    let count = |labels: &[u8], label| labels.iter().filter(|&&found| found == label).count();
    let classes = (1..=u8::MAX).map(|label| Class {
        label,
        name: class_name(&names, label),
        train: count(&train_labels, label),
        test: count(&test_labels, label),
    });
    let labelled = !(train_labels.is_empty() && test_labels.is_empty());
    let is_used =
        |class: &Class| class.train + class.test > 0 || labelled && usize::from(class.label) <= names.len();
    Ok(Info { classes: classes.filter(is_used).collect(), train, test, unlabeled })
}

/// The result of [`pack`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packed {
    /// Number of pictures in `train_X.bin`.
    pub train: usize,
    /// Number of pictures in `test_X.bin`.
    pub test: usize,
    /// A message for each picture file that could not be read.
    pub skipped: Vec<String>,
}

/// Packs the pictures of a folder and its subfolders into files of the layout of STL-10: centre squares, scaled to 96x96 pixels.
/// A fraction of about `test_fraction` (0 to 1), depending on a hash of the file name, becomes the test file. All pictures are in
/// one class, which has the name of the folder. The files are written to the folder `out`, which is created if it does not exist.
///
/// # Errors
/// [`aez_core::Error::Io`] if the folder cannot be read or a file cannot be written, [`aez_core::Error::Misuse`] if there are no
/// pictures or the fraction is out of range.
pub fn pack(folder: &Path, out: &Path, test_fraction: f64, limits: &Limits) -> Result<Packed> {
    if !(0.0..=1.0).contains(&test_fraction) {
        return Err(Error::misuse(format!(
            "the fraction of test pictures is {test_fraction}, not between 0 and 1"
        )));
    }
    let paths = pictures_under(folder)?;
    fs::create_dir_all(out).map_err(|e| Error::io("cannot create the folder", out, e))?;
    let mut train = OutputFile::create(&out.join("train_X.bin"))?;
    let mut test = OutputFile::create(&out.join("test_X.bin"))?;
    let mut packed = Packed { train: 0, test: 0, skipped: Vec::new() };
    let square = |path: &PathBuf| {
        folder::read_or_explain(path, limits).map(|whole| to_record(&centre_square(&whole, EDGE as u32).rgb))
    };
    for paths in paths.chunks(CHUNK) {
        let records: Vec<Result<Vec<u8>, String>> = paths.par_iter().map(square).collect();
        for (path, record) in paths.iter().zip(records) {
            let (file, count) = match folder::hash_of_name(path) < test_fraction {
                true => (&mut test, &mut packed.test),
                false => (&mut train, &mut packed.train),
            };
            match record {
                Ok(record) => file.append(&record).map(|()| *count += 1)?,
                Err(reason) => packed.skipped.push(reason),
            }
        }
    }
    if packed.train + packed.test == 0 {
        // Often the reason is the same for all of them.
        let first = packed.skipped.first().map(|reason| format!("; the first: {reason}")).unwrap_or_default();
        return Err(Error::misuse(format!(
            "none of the {} pictures in {} could be read{first}",
            packed.skipped.len(),
            folder.display()
        )));
    }
    train.finish()?;
    test.finish()?;
    write_atomically(&out.join("train_y.bin"), &vec![1; packed.train])?;
    write_atomically(&out.join("test_y.bin"), &vec![1; packed.test])?;
    let class = folder::base_name(folder) + "\n";
    write_atomically(&out.join("class_names.txt"), class.as_bytes())?;
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aez_image::{PictureFormat, encode};

    /// Red increases to the right and green downwards, to detect swapped axes.
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
        for index in [2, u64::MAX] {
            assert!(matches!(records.read(index), Err(Error::Codec(aez_core::Error::Io { .. }))));
        }
    }

    #[test]
    fn a_file_of_the_wrong_size_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.bin");
        fs::write(&path, vec![0; RECORD + 1]).unwrap();
        let error = Records::open(&path).unwrap_err().to_string();
        assert!(error.contains("x.bin") && error.contains("27649"), "{error}");
    }

    #[test]
    fn pictures_are_counted_by_class() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        write("train_X.bin", &vec![0; 3 * RECORD]);
        write("test_X.bin", &vec![0; RECORD]);
        let unlabelled = info(dir.path()).unwrap();
        assert_eq!((unlabelled.train, unlabelled.test, unlabelled.unlabeled), (3, 1, 0));
        assert!(unlabelled.classes.is_empty());
        write("train_y.bin", &[2, 4, 2]);
        write("test_y.bin", &[1]);
        write("class_names.txt", b"airplane\nbird\ncar\n");
        write("unlabeled_X.bin", &vec![0; 2 * RECORD]);
        let info_of = info(dir.path()).unwrap();
        let classes: Vec<(&str, usize, usize)> =
            info_of.classes.iter().map(|class| (class.name.as_str(), class.train, class.test)).collect();
        assert_eq!(classes, [("airplane", 0, 1), ("bird", 2, 0), ("car", 0, 0), ("class 4", 1, 0)]);
        assert_eq!(info_of.unlabeled, 2);
        for wrong in [&[1, 2][..], &[1, 2, 0]] {
            write("train_y.bin", wrong);
            assert!(info(dir.path()).unwrap_err().to_string().contains("train_y.bin"));
        }
    }

    #[test]
    fn packed_pictures_survive_a_round_trip() {
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
