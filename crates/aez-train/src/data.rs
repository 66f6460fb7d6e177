//! Data sets of pictures in memory, and the tiles that are made from them.
//!
//! The random numbers of a tile depend only on its [`Key`]. A resumed run therefore makes the same tiles as an uninterrupted
//! one, on any number of threads.

pub use crate::augment::{Augment, Key};
pub use crate::held_out::HeldOut;
use crate::{
    Error, Result,
    augment::{Purpose, generator, make_tile},
    folder,
    held_out::Part,
    sources::{Bounds, read_folder, read_stl10, thin},
    spec::{Source, Spec},
    stl10,
};
use aez_core::{Limits, picture::Picture};
use rand::{RngExt, seq::SliceRandom};
use rayon::prelude::*;

/// Maximum number of tiles in the validation set of [`Dataset::open`].
pub const MAX_VALIDATION: usize = 256;
/// Maximum number of tiles in the test set of [`Dataset::open`].
pub const MAX_TEST: usize = 1024;

/// Training pictures, and the tiles of the validation and the test set.
///
/// The training pictures of STL-10 are those of its training file, and the test set is its test file. The validation set has 1000
/// evenly spaced pictures of its unlabeled file. Where this file does not exist, every 20th picture of the training file is in the
/// validation set instead. Of the pictures of a folder, about 1 in 40 is in the validation set and 1 in 40 in the test set, depending
/// on a hash of the file name; if a folder has three pictures or more, each set has at least one.
#[derive(Debug)]
pub struct Dataset {
    tile: usize,
    pictures: Vec<Picture>,
    /// Number of visits of each picture in an epoch.
    weights: Vec<u32>,
    validation: HeldOut,
    test: HeldOut,
    classes: Vec<String>,
    sources: Vec<(String, usize)>,
    skipped: Vec<String>,
}

impl Dataset {
    /// Reads and decodes all pictures, on all threads. `tile` is the edge of a tile in pixels. Picture files that cannot be read
    /// are skipped; see [`Dataset::skipped`]. If there are more held-out pictures than [`MAX_VALIDATION`] or [`MAX_TEST`], evenly
    /// spaced ones are kept.
    ///
    /// # Errors
    /// [`aez_core::Error::Io`] and [`aez_core::Error::Picture`] if a source cannot be read, [`aez_core::Error::Misuse`] if
    /// there are no training pictures.
    pub fn open(specs: &[Spec], tile: usize, limits: &Limits) -> Result<Self> {
        Self::open_bounded(specs, tile, limits, [MAX_VALIDATION, MAX_TEST])
    }

    /// The same as [`Dataset::open`] with all held-out pictures, for recipes with [`Recipe::whole_sets`].
    ///
    /// # Errors
    /// Those of [`Dataset::open`].
    ///
    /// [`Recipe::whole_sets`]: crate::recipe::Recipe::whole_sets
    pub fn open_whole(specs: &[Spec], tile: usize, limits: &Limits) -> Result<Self> {
        Self::open_bounded(specs, tile, limits, [usize::MAX; 2])
    }

    fn open_bounded(specs: &[Spec], tile: usize, limits: &Limits, bounds: Bounds) -> Result<Self> {
        let (mut pictures, mut weights, mut sources, mut skipped) = (vec![], vec![], vec![], vec![]);
        let (mut validation, mut test) = (Part::default(), Part::default());
        let mut classes = Vec::new();
        for spec in specs {
            let (name, splits) = match &spec.source {
                Source::Stl10(folder) => {
                    (format!("stl10:{}", folder::base_name(folder)), read_stl10(folder, tile, bounds)?)
                }
                Source::Folder(folder) => {
                    let (splits, unreadable) = read_folder(folder, tile, limits)?;
                    skipped.extend(unreadable);
                    (folder::base_name(folder), splits)
                }
            };
            weights.resize(weights.len() + splits.train.len(), spec.weight);
            let [validation_origin, test_origin] = splits.origins.map(|part| format!("{name}{part}"));
            validation.add(splits.validation, Vec::new(), validation_origin);
            test.add(splits.test, splits.test_labels, test_origin);
            classes = splits.classes;
            sources.push((name, splits.train.len()));
            pictures.extend(splits.train);
        }
        if pictures.is_empty() {
            let first = skipped.first().map(|reason| format!("; {reason}")).unwrap_or_default();
            return Err(Error::misuse(format!("the data contain no readable training pictures{first}")));
        }
        let visits: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        if visits > u64::from(u32::MAX) {
            return Err(Error::misuse(format!(
                "an epoch of {visits} tiles is too long: use smaller weights"
            )));
        }
        let [validation, test] = [(validation, bounds[0]), (test, bounds[1])]
            .map(|(part, bound)| part.held_out(tile * tile * 3, bound, specs.len() == 1));
        Ok(Self { tile, pictures, weights, validation, test, classes, sources, skipped })
    }

    /// Keeps at most `max` training pictures, evenly spaced over all sources. The validation and the test set do not change.
    ///
    /// # Errors
    /// [`aez_core::Error::Misuse`] if `max` is 0.
    pub fn keep(mut self, max: usize) -> Result<Self> {
        if max == 0 {
            return Err(Error::misuse("at least one training picture must be kept"));
        }
        let kept = thin((0..self.pictures.len()).collect(), max);
        let mut end = 0;
        for (_, count) in &mut self.sources {
            let start = end;
            end += *count;
            *count = kept.iter().filter(|index| (start..end).contains(index)).count();
        }
        self.pictures = thin(self.pictures, max);
        self.weights = thin(self.weights, max);
        Ok(self)
    }

    /// The indices of the training pictures in the order of an epoch: each is repeated by its weight, and all are shuffled.
    #[must_use]
    pub fn epoch(&self, seed: u64, epoch: u64) -> Vec<u32> {
        let visits = |(index, &weight)| std::iter::repeat_n(index, weight as usize);
        let mut order: Vec<u32> = (0u32..).zip(&self.weights).flat_map(visits).collect();
        order.shuffle(&mut generator(Key { seed, epoch, position: 0 }, Purpose::Order));
        order
    }

    /// Makes a tile from training picture `index` in `out`: [`Dataset::tile_len`] values in [0, 1], channels last.
    ///
    /// # Panics
    /// If there is no such picture, or if `out` has another length.
    pub fn train_tile(&self, index: u32, key: Key, augment: &Augment, out: &mut [f32]) {
        make_tile(
            &self.pictures[index as usize],
            self.tile,
            &mut generator(key, Purpose::Tile),
            augment,
            out,
        );
    }

    /// Makes the tiles of a batch from the pictures `indices`, on all threads. The position of the first one in the epoch is
    /// `first.position`, and the others follow it.
    ///
    /// # Panics
    /// If there is no such picture.
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

    /// Makes `count` tiles from random training pictures, for calibration and starting weights. The probability of a picture is
    /// proportional to its weight.
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
            let mut rng = generator(key, Purpose::Sample);
            let visit = rng.random_range(0..total);
            let index = visits.partition_point(|&end| end <= visit);
            make_tile(&self.pictures[index], self.tile, &mut rng, augment, out);
        });
        tiles
    }

    /// The tiles of the validation set. Empty if there are too few pictures.
    #[must_use]
    pub fn validation(&self) -> &HeldOut {
        &self.validation
    }

    /// The tiles of the test set. They must not influence the training.
    #[must_use]
    pub fn test(&self) -> &HeldOut {
        &self.test
    }

    /// The name of a class of the test set; see [`HeldOut::labels`].
    #[must_use]
    pub fn class(&self, label: u8) -> String {
        stl10::class_name(&self.classes, label)
    }

    /// Number of training pictures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Always false: a data set has training pictures.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// Number of values of a tile.
    #[must_use]
    pub fn tile_len(&self) -> usize {
        self.tile * self.tile * 3
    }

    /// The base name of the folder and the number of training pictures of each source.
    #[must_use]
    pub fn summary(&self) -> &[(String, usize)] {
        &self.sources
    }

    /// A message for each picture file that could not be read.
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aez_image::{PictureFormat, encode};
    use std::path::Path;

    const AUGMENT: Augment = Augment { flip: true, crop: true, thumbnails: 0.5, colour: 0.5 };

    /// A folder of `count` pictures of different sizes.
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
    fn folders_are_split_and_unreadable_files_are_reported() {
        let dir = folder(10);
        std::fs::write(dir.path().join("bad.jpg"), b"no").unwrap();
        let set = open(dir.path(), "").unwrap();
        assert_eq!(set.len() + set.validation().len() + set.test().len(), 10);
        assert!(set.test().labels().is_empty());
        assert!(set.test().origins()[0].starts_with(&format!("{} of ", set.test().len())));
        assert!(!set.validation().is_empty() && !set.test().is_empty());
        assert_eq!((set.skipped().len(), &set.summary()[0].1), (1, &set.len()));
        assert!(set.skipped()[0].contains("bad.jpg"));
        assert_eq!(open(folder(2).path(), "").unwrap().len(), 2, "too few to hold any out");
        let empty = open(folder(0).path(), "").unwrap_err();
        assert!(matches!(empty, Error::Codec(aez_core::Error::Misuse(_))), "{empty}");
    }

    #[test]
    fn a_fraction_of_each_source_is_kept() {
        let dirs = [folder(22), folder(12)];
        let specs = [0, 1].map(|i| format!("{}@{}", dirs[i].path().display(), i + 1).parse().unwrap());
        let open = || Dataset::open(&specs, 8, &Limits::default()).unwrap();
        let (all, part) = (open(), open().keep(6).unwrap());
        assert_eq!((all.len(), part.len()), (30, 6));
        assert_eq!((part.summary()[0].1, part.summary()[1].1), (4, 2));
        assert_eq!(part.epoch(1, 0).len(), 4 + 2 * 2);
        assert_eq!((part.test(), part.validation()), (all.test(), all.validation()));
        assert_eq!(open().keep(30).unwrap().summary(), all.summary());
        assert!(all.keep(0).is_err());
    }

    #[test]
    fn an_epoch_repeats_each_picture_by_its_weight() {
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
    fn a_tile_depends_only_on_its_key() {
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

    /// A folder with files of STL-10 whose pictures have one value each.
    fn stl10_folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, values) in files {
            let records = values.iter().flat_map(|&value| vec![value; stl10::RECORD]).collect::<Vec<_>>();
            std::fs::write(dir.path().join(name), records).unwrap();
        }
        dir
    }

    /// The value of each tile.
    fn values(set: &HeldOut) -> Vec<f32> {
        set.first(usize::MAX).chunks_exact(48).map(|tile| (tile[0] * 255.0).round()).collect()
    }

    fn stl10_spec(dir: &tempfile::TempDir) -> Spec {
        format!("stl10:{}", dir.path().display()).parse().unwrap()
    }

    #[test]
    fn the_whole_test_file_of_stl10_is_the_test_set() {
        let dir = stl10_folder(&[
            ("train_X.bin", &[10, 20]),
            ("test_X.bin", &[51, 102, 153]),
            ("unlabeled_X.bin", &[7, 8]),
        ]);
        std::fs::write(dir.path().join("test_y.bin"), [2, 1, 2]).unwrap();
        std::fs::write(dir.path().join("class_names.txt"), "cat\ndog\n").unwrap();
        let set = Dataset::open(&[stl10_spec(&dir)], 4, &Limits::default()).unwrap();
        assert_eq!(set.len(), 2);
        assert_eq!(
            (values(set.validation()), values(set.test())),
            (vec![7.0, 8.0], vec![51.0, 102.0, 153.0])
        );
        assert_eq!(
            (set.test().labels(), set.class(2), set.class(3)),
            (&[2, 1, 2][..], "dog".into(), "class 3".into())
        );
        assert!(
            set.validation().origins()[0].ends_with("/unlabeled_X.bin"),
            "{:?}",
            set.validation().origins()
        );
        // Labels of different sources are of different classes.
        let both = Dataset::open(&[stl10_spec(&dir), stl10_spec(&dir)], 4, &Limits::default()).unwrap();
        assert!(both.test().len() == 6 && both.test().labels().is_empty());
    }

    #[test]
    fn without_unlabeled_pictures_some_training_pictures_are_for_validation_only() {
        let train: Vec<u8> = (1..=41).collect();
        let dir = stl10_folder(&[("train_X.bin", &train), ("test_X.bin", &[200])]);
        let set = Dataset::open(&[stl10_spec(&dir)], 4, &Limits::default()).unwrap();
        assert_eq!(values(set.validation()), [20.0, 40.0]);
        let trained: Vec<u8> = set.pictures.iter().map(|picture| picture.rgb[0]).collect();
        assert!(trained.len() == 39 && !trained.contains(&20) && !trained.contains(&40));
    }

    #[test]
    fn whole_sets_are_not_thinned() {
        let test: Vec<u8> = (0..MAX_TEST + 9).map(|i| i as u8).collect();
        let dir = stl10_folder(&[("train_X.bin", &[1]), ("test_X.bin", &test)]);
        let [thinned, whole] = [Dataset::open, Dataset::open_whole]
            .map(|open| open(&[stl10_spec(&dir)], 4, &Limits::default()).unwrap());
        assert_eq!((thinned.test().len(), whole.test().len()), (MAX_TEST, MAX_TEST + 9));
        assert!(whole.test().origins()[0].starts_with(&format!("{} of stl10:", MAX_TEST + 9)));
    }
}
