//! The pictures to learn from, in memory, and the tiles that are drawn from them.
//!
//! Every draw depends on its key alone, through a generator seeded by it: a resumed run sees the same tiles,
//! with any number of threads.

pub use super::augment::{Augment, Key};
use super::{
    augment::{Purpose, draw, generator},
    folder::{self, Part},
    spec::{Source, Spec},
    stl10,
};
use crate::{
    Error, Limits, Result,
    picture::{self, Filter, Picture},
};
use rand::{RngExt, seq::SliceRandom};
use rayon::prelude::*;
use std::path::Path;

/// Most tiles of the validation set.
pub const MAX_VALIDATION: usize = 256;
/// Most tiles of the test set.
pub const MAX_TEST: usize = 1024;

/// Pictures are kept no larger than this, in pixels of their shortest side.
const MAX_SHORTEST_SIDE: u32 = 1024;

/// Training pictures, and the fixed tiles of the validation and the test set.
///
/// STL-10's training file is trained on; the first half of its test file validates, the second half tests. Of
/// a folder of three pictures or more, about one in forty validates, one in forty tests (one each at least),
/// chosen by a hash of its file name. Where there are more of them than [`MAX_VALIDATION`] or [`MAX_TEST`],
/// evenly spaced ones are used.
#[derive(Debug)]
pub struct Dataset {
    tile: usize,
    pictures: Vec<Picture>,
    /// How often an epoch visits each picture.
    weights: Vec<u32>,
    validation: Vec<f32>,
    test: Vec<f32>,
    sources: Vec<(String, usize)>,
    skipped: Vec<String>,
}

impl Dataset {
    /// Reads and decodes all pictures, on all threads. Files that are not readable are left out: see
    /// [`Dataset::skipped`]. `tile` is the edge of a tile in pixels.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Picture`] when a source cannot be read at all, [`Error::Misuse`] when no
    /// training picture is found.
    pub fn open(specs: &[Spec], tile: usize, limits: &Limits) -> Result<Self> {
        let mut set = Self {
            tile,
            pictures: Vec::new(),
            weights: Vec::new(),
            validation: Vec::new(),
            test: Vec::new(),
            sources: Vec::new(),
            skipped: Vec::new(),
        };
        let (mut validation, mut test) = (Vec::new(), Vec::new());
        for spec in specs {
            let (name, parts) = match &spec.source {
                Source::Stl10(folder) => {
                    (format!("stl10:{}", folder::base_name(folder)), from_stl10(folder, tile)?)
                }
                Source::Folder(folder) => {
                    let (parts, skipped) = from_folder(folder, tile, limits)?;
                    set.skipped.extend(skipped);
                    (folder::base_name(folder), parts)
                }
            };
            set.sources.push((name, parts.train.len()));
            set.weights.resize(set.weights.len() + parts.train.len(), spec.weight);
            set.pictures.extend(parts.train);
            validation.extend(parts.validation);
            test.extend(parts.test);
        }
        if set.pictures.is_empty() {
            return Err(Error::Misuse("the data hold no picture to train on".into()));
        }
        let visits: u64 = set.weights.iter().map(|&weight| u64::from(weight)).sum();
        if visits > u64::from(u32::MAX) {
            return Err(Error::Misuse(format!("{visits} visits an epoch are too many: lower the weights")));
        }
        set.validation = to_unit(&thin(validation, MAX_VALIDATION));
        set.test = to_unit(&thin(test, MAX_TEST));
        Ok(set)
    }

    /// The order of an epoch: each picture's index as often as its weight says, shuffled.
    #[must_use]
    pub fn epoch(&self, seed: u64, epoch: u64) -> Vec<u32> {
        let visits = |(index, &weight)| std::iter::repeat_n(index, weight as usize);
        let mut order: Vec<u32> = (0u32..).zip(&self.weights).flat_map(visits).collect();
        order.shuffle(&mut generator(Key { seed, epoch, position: 0 }, Purpose::Order));
        order
    }

    /// Draws a tile from a training picture into `out`: `tile * tile * 3` values in [0, 1], channels last.
    ///
    /// # Panics
    /// When there is no such picture, or `out` has another length.
    pub fn train_tile(&self, index: u32, key: Key, augment: &Augment, out: &mut [f32]) {
        draw(&self.pictures[index as usize], self.tile, &mut generator(key, Purpose::Tile), augment, out);
    }

    /// Draws the tiles of a batch on all threads. The `n`-th picture of `indices` is at position
    /// `first.position + n` of the epoch.
    ///
    /// # Panics
    /// Like [`Dataset::train_tile`].
    #[must_use]
    pub fn train_batch(&self, indices: &[u32], first: Key, augment: &Augment) -> Vec<f32> {
        let mut batch = vec![0.0; indices.len() * self.tile_len()];
        batch.par_chunks_exact_mut(self.tile_len()).zip(indices).enumerate().for_each(
            |(n, (out, &index))| {
                let key = Key { position: first.position + n as u64, ..first };
                self.train_tile(index, key, augment, out);
            },
        );
        batch
    }

    /// Tiles of random training pictures, chosen by their weights, for calibration and for the start of
    /// training.
    #[must_use]
    pub fn sample(&self, count: usize, seed: u64, augment: &Augment) -> Vec<f32> {
        let visits: Vec<u64> = self
            .weights
            .iter()
            .scan(0, |sum, &weight| {
                *sum += u64::from(weight);
                Some(*sum)
            })
            .collect();
        let total = visits.last().copied().unwrap_or(0);
        let mut tiles = vec![0.0; count * self.tile_len()];
        tiles.par_chunks_exact_mut(self.tile_len()).enumerate().for_each(|(n, out)| {
            let key = Key { seed, epoch: 0, position: n as u64 };
            let mut random = generator(key, Purpose::Sample);
            let visit = random.random_range(0..total);
            let index = visits.partition_point(|&end| end <= visit);
            draw(&self.pictures[index], self.tile, &mut random, augment, out);
        });
        tiles
    }

    /// The validation tiles, one after the other: centre squares, channels last, values in [0, 1]. It is
    /// empty where the data are too few.
    #[must_use]
    pub fn validation(&self) -> &[f32] {
        &self.validation
    }

    /// The test tiles, like [`Dataset::validation`]. No decision in training may depend on them.
    #[must_use]
    pub fn test(&self) -> &[f32] {
        &self.test
    }

    /// Number of training pictures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Never true: a set without a training picture does not open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// Number of values of a tile.
    #[must_use]
    pub fn tile_len(&self) -> usize {
        self.tile * self.tile * 3
    }

    /// Where the data come from: for each source its folder's base name and its number of training pictures.
    #[must_use]
    pub fn summary(&self) -> &[(String, usize)] {
        &self.sources
    }

    /// Files that look like pictures by their names but could not be read, each with the reason.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}

/// What one source yields; the held-out pictures are centre squares of the tile's size already.
#[derive(Default)]
struct Parts {
    train: Vec<Picture>,
    validation: Vec<Picture>,
    test: Vec<Picture>,
}

fn from_stl10(folder: &Path, tile: usize) -> Result<Parts> {
    let mut train = stl10::Records::open(&folder.join("train_X.bin"))?;
    let mut held_out = stl10::Records::open(&folder.join("test_X.bin"))?;
    let (half, count) = (held_out.count() / 2, held_out.count());
    let mut square = |index| Ok(picture::centre_square(&held_out.read(index)?, tile as u32));
    Ok(Parts {
        validation: thin((0..half).collect(), MAX_VALIDATION)
            .into_iter()
            .map(&mut square)
            .collect::<Result<_>>()?,
        test: thin((half..count).collect(), MAX_TEST).into_iter().map(&mut square).collect::<Result<_>>()?,
        train: (0..train.count()).map(|index| train.read(index)).collect::<Result<_>>()?,
    })
}

fn from_folder(folder: &Path, tile: usize, limits: &Limits) -> Result<(Parts, Vec<String>)> {
    let paths = picture::pictures_under(folder)?;
    let lots: Vec<f64> = paths.iter().map(|path| folder::lot(path)).collect();
    let read = |(path, part): (_, Part)| {
        let picture = folder::read_or_explain(path, limits)?;
        let square = part != Part::Train;
        Ok((part, if square { picture::centre_square(&picture, tile as u32) } else { plain(picture) }))
    };
    let pictures: Vec<Result<(Part, Picture), String>> =
        paths.par_iter().map(|path| path.as_path()).zip(folder::assign(&lots)).map(read).collect();
    let (mut parts, mut skipped) = (Parts::default(), Vec::new());
    for picture in pictures {
        match picture {
            Ok((Part::Train, picture)) => parts.train.push(picture),
            Ok((Part::Validation, picture)) => parts.validation.push(picture),
            Ok((Part::Test, picture)) => parts.test.push(picture),
            Err(why) => skipped.push(why),
        }
    }
    Ok((parts, skipped))
}

/// The colours alone, not larger than is useful.
fn plain(picture: Picture) -> Picture {
    let (width, height, shortest) = (picture.width, picture.height, picture.shortest_side());
    let picture = Picture::from_rgb(width, height, picture.rgb);
    if shortest <= MAX_SHORTEST_SIDE {
        return picture;
    }
    let shrunk = |side: u32| (u64::from(side) * u64::from(MAX_SHORTEST_SIDE) / u64::from(shortest)) as u32;
    picture::resample::scale(&picture, Filter::Lanczos3, shrunk(width), shrunk(height))
}

/// At most `most` of the items, evenly spaced.
fn thin<T>(items: Vec<T>, most: usize) -> Vec<T> {
    let count = items.len();
    let kept = count.min(most);
    // Item i is the first of its share when i * kept / count has just grown.
    let first = |i: usize| i == 0 || i * kept / count > (i - 1) * kept / count;
    items.into_iter().enumerate().filter(|&(i, _)| first(i)).map(|(_, item)| item).collect()
}

fn to_unit(squares: &[Picture]) -> Vec<f32> {
    squares.iter().flat_map(|square| &square.rgb).map(|&byte| f32::from(byte) / 255.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{PictureFormat, encode};

    const AUGMENT: Augment = Augment { flip: true, crop: true, thumbnails: 0.5, colour: 0.5 };

    /// A folder of `count` flat pictures of growing sizes.
    fn folder(count: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..count {
            let (width, height) = (5 + 3 * i, 40 - i);
            let rgb = (0..width * height * 3).map(|k| (k.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let png = encode(&Picture::from_rgb(width, height, rgb), PictureFormat::Png).unwrap();
            std::fs::write(dir.path().join(format!("{i}.png")), png).unwrap();
        }
        dir
    }

    fn open(dir: &Path, suffix: &str) -> Result<Dataset> {
        Dataset::open(&[format!("{}{suffix}", dir.display()).parse()?], 8, &Limits::default())
    }

    #[test]
    fn folders_are_parted_and_bad_files_reported() {
        let dir = folder(10);
        std::fs::write(dir.path().join("bad.jpg"), b"no").unwrap();
        let set = open(dir.path(), "").unwrap();
        let held_out = (set.validation().len() + set.test().len()) / set.tile_len();
        assert_eq!(set.len() + held_out, 10);
        assert!(!set.validation().is_empty() && !set.test().is_empty());
        assert_eq!((set.skipped().len(), &set.summary()[0].1), (1, &set.len()));
        assert!(set.skipped()[0].contains("bad.jpg"));
        assert_eq!(open(folder(2).path(), "").unwrap().len(), 2, "too few to hold any out");
        assert!(matches!(open(folder(0).path(), ""), Err(Error::Misuse(_))));
    }

    #[test]
    fn an_epoch_visits_each_picture_as_often_as_its_weight() {
        let dir = folder(9);
        let set = open(dir.path(), "@3").unwrap();
        let order = set.epoch(7, 0);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let expected: Vec<u32> = (0..set.len() as u32).flat_map(|index| [index; 3]).collect();
        assert_eq!(sorted, expected);
        assert_eq!(order, set.epoch(7, 0));
        assert!(order != set.epoch(7, 1) && order != set.epoch(8, 0) && order != sorted);
    }

    #[test]
    fn a_tile_depends_on_its_key_alone() {
        let set = open(folder(9).path(), "").unwrap();
        let first = Key { seed: 1, epoch: 2, position: 3 };
        let indices: Vec<u32> = (0..40).map(|i| i % set.len() as u32).collect();
        let batch = set.train_batch(&indices, first, &AUGMENT);
        let (mut tile, mut other) = (vec![0.0; set.tile_len()], vec![0.0; set.tile_len()]);
        for (n, expected) in batch.chunks_exact(set.tile_len()).enumerate() {
            let key = Key { position: 3 + n as u64, ..first };
            set.train_tile(indices[n], key, &AUGMENT, &mut tile);
            assert_eq!(tile, expected);
            assert!(tile.iter().all(|value| (0.0..=1.0).contains(value)));
            set.train_tile(indices[n], Key { epoch: 3, ..key }, &AUGMENT, &mut other);
            assert_ne!(tile, other);
        }
        assert_eq!(set.sample(5, 1, &AUGMENT), set.sample(5, 1, &AUGMENT));
        assert_ne!(set.sample(5, 1, &AUGMENT), set.sample(5, 2, &AUGMENT));
    }

    #[test]
    fn stl10_trains_on_one_file_and_holds_out_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let records =
            |values: &[u8]| values.iter().flat_map(|&value| vec![value; stl10::RECORD]).collect::<Vec<_>>();
        std::fs::write(dir.path().join("train_X.bin"), records(&[10, 20])).unwrap();
        std::fs::write(dir.path().join("test_X.bin"), records(&[51, 102, 153])).unwrap();
        let spec = format!("stl10:{}", dir.path().display()).parse().unwrap();
        let set = Dataset::open(&[spec], 4, &Limits::default()).unwrap();
        assert_eq!(set.len(), 2);
        let values =
            |tiles: &[f32]| tiles.chunks_exact(48).map(|tile| (tile[0] * 10.0).round()).collect::<Vec<_>>();
        assert_eq!((values(set.validation()), values(set.test())), (vec![2.0], vec![4.0, 6.0]));
    }

    #[test]
    fn thinning_keeps_evenly_spaced_items() {
        assert_eq!(thin((0..10).collect(), 4), [0, 3, 5, 8]);
        assert_eq!(thin((0..3).collect(), 4), [0, 1, 2]);
        assert!(thin(Vec::<u8>::new(), 4).is_empty());
    }

    #[test]
    fn large_pictures_are_shrunk() {
        let large = plain(Picture::from_rgb(2100, 1050, vec![5; 2100 * 1050 * 3]));
        assert_eq!((large.width, large.height), (2048, 1024));
    }
}
