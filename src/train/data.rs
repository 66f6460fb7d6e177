//! The pictures to learn from, in memory, and the tiles that are drawn from them.
//!
//! Every draw depends on its key alone, through a generator seeded by it: a resumed run sees the same tiles,
//! with any number of threads.

use super::{
    folder,
    spec::{Source, Spec},
    stl10,
};
use crate::{
    Error, Limits, Result,
    picture::{self, Filter, Picture, Window, resample::resample},
};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::path::Path;

/// Most tiles of the validation set.
pub const MAX_VALIDATION: usize = 256;
/// Most tiles of the test set.
pub const MAX_TEST: usize = 1024;

/// Pictures are kept no larger than this, in pixels of their shortest side.
const MAX_SHORTEST_SIDE: u32 = 1024;
/// The part of a folder that is held out for validation, and once more for the test.
const HELD_OUT: f64 = 0.025;

/// Training pictures, and the fixed tiles of the validation and the test set.
///
/// STL-10's training file is trained on; the first half of its test file validates, the second half tests. Of a folder
/// of three pictures or more, about one in forty validates, one in forty tests (one each at least), chosen by a
/// hash of its file name. Where there are more of them than [`MAX_VALIDATION`] or [`MAX_TEST`], evenly spaced
/// ones are used.
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

/// How a training tile is made from its picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augment {
    /// Mirror every other tile, left to right.
    pub flip: bool,
    /// Take a square at a random place, its side log-uniform between the tile's edge and the picture's shortest
    /// side, and scale it to the tile; otherwise the centre square.
    pub crop: bool,
    /// How much brightness, contrast and saturation vary: 0 not at all, 1 by up to a fifth or so.
    pub colour: f32,
}

impl Augment {
    /// The centre squares as they are.
    pub const NONE: Self = Self { flip: false, crop: false, colour: 0.0 };
}

/// Which draw a tile is. Equal keys give equal tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The seed of the run.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The place in the epoch, from 0.
    pub position: u64,
}

/// What a generator is for, so that the draws of one purpose say nothing about those of another.
#[derive(Clone, Copy)]
enum Purpose {
    Order = 1,
    Tile = 2,
    Sample = 3,
}

fn generator(key: Key, purpose: Purpose) -> ChaCha8Rng {
    let mut seed = [0; 32];
    let words = [key.seed, key.epoch, key.position, purpose as u64];
    for (bytes, word) in seed.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    ChaCha8Rng::from_seed(seed)
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

    /// Draws the tiles of a batch on all threads. The `n`-th picture of `indices` is at position `first.position + n`
    /// of the epoch.
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

    /// Tiles of random training pictures, chosen by their weights, for calibration and for the start of training.
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

    /// The validation tiles, one after the other: centre squares, channels last, values in [0, 1]. It is empty where
    /// the data are too few.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Validation,
    Test,
}

/// The parts of a folder's pictures, from their lots. Where no lot falls to a held-out part, it gets the
/// training picture with the lowest lot.
fn assign(lots: &[f64]) -> Vec<Part> {
    if lots.len() < 3 {
        return vec![Part::Train; lots.len()];
    }
    let part = |&lot: &f64| match lot {
        lot if lot < HELD_OUT => Part::Validation,
        lot if lot < 2.0 * HELD_OUT => Part::Test,
        _ => Part::Train,
    };
    let mut parts: Vec<Part> = lots.iter().map(part).collect();
    for wanted in [Part::Validation, Part::Test] {
        let trained = (0..lots.len()).filter(|&i| parts[i] == Part::Train);
        let lowest = trained.min_by(|&a, &b| lots[a].total_cmp(&lots[b]));
        if let (Some(lowest), false) = (lowest, parts.contains(&wanted)) {
            parts[lowest] = wanted;
        }
    }
    parts
}

fn from_folder(folder: &Path, tile: usize, limits: &Limits) -> Result<(Parts, Vec<String>)> {
    let paths = folder::pictures_under(folder)?;
    let lots: Vec<f64> = paths.iter().map(|path| folder::lot(path)).collect();
    let read = |(path, part): (_, Part)| {
        let picture = folder::read_or_explain(path, limits)?;
        let square = part != Part::Train;
        Ok((part, if square { picture::centre_square(&picture, tile as u32) } else { plain(picture) }))
    };
    let pictures: Vec<Result<(Part, Picture), String>> =
        paths.par_iter().map(|path| path.as_path()).zip(assign(&lots)).map(read).collect();
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

/// Draws one tile. All that is random is drawn in a fixed order, whatever the settings.
fn draw(picture: &Picture, tile: usize, random: &mut ChaCha8Rng, augment: &Augment, out: &mut [f32]) {
    let [size, across, down, mirror, brightness, contrast, saturation] =
        std::array::from_fn(|_| random.random::<f32>());
    let shortest = picture.shortest_side() as usize;
    let window = if augment.crop {
        let smallest = tile.min(shortest) as f32;
        let side = (smallest * (shortest as f32 / smallest).powf(size)).round() as usize;
        let side = side.clamp(1, shortest);
        let place = |room: u32, at: f32| ((room as usize - side + 1) as f32 * at) as usize;
        Window { x: place(picture.width, across), y: place(picture.height, down), width: side, height: side }
    } else {
        picture::resample::centre(picture)
    };
    let filter = if augment.crop { Filter::Triangle } else { Filter::Lanczos3 };
    resample::<3>(&picture.rgb, picture.width as usize, window, filter, (tile, tile), out);
    for value in out.iter_mut() {
        *value = (*value / 255.0).clamp(0.0, 1.0);
    }
    if augment.flip && mirror < 0.5 {
        out.chunks_exact_mut(tile * 3).for_each(|row| row.as_chunks_mut::<3>().0.reverse());
    }
    if augment.colour > 0.0 {
        let spread = |u: f32| 0.2 * augment.colour * (2.0 * u - 1.0);
        recolour(out, spread(brightness), 1.0 + spread(contrast), 1.0 + spread(saturation));
    }
}

/// Stretches each colour about its gray, then all about the middle gray, and shifts them.
fn recolour(pixels: &mut [f32], brightness: f32, contrast: f32, saturation: f32) {
    for pixel in pixels.as_chunks_mut::<3>().0 {
        let gray = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
        for value in pixel {
            let vivid = gray + saturation * (*value - gray);
            *value = (0.5 + contrast * (vivid - 0.5) + brightness).clamp(0.0, 1.0);
        }
    }
}
