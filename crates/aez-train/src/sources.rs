//! Reading of the pictures of a data source, divided into splits.

use crate::{
    Result,
    folder::{self, Split},
    stl10::{Records, class_names, read_labels},
};
use aez_core::{
    Limits,
    picture::{
        Picture,
        resample::{Filter, centre_square, scale},
    },
};
use rayon::prelude::*;
use std::path::Path;

/// Maximum shorter side of a training picture in pixels. Larger pictures are scaled down.
const MAX_SHORTEST_SIDE: u32 = 1024;

/// Number of validation tiles of STL-10, evenly spaced in its unlabeled file.
const STL10_VALIDATION: usize = 1000;
/// If STL-10 has no unlabeled file, one in this many of its training pictures is a validation tile instead.
const STL10_TRAIN_PER_VALIDATION: u64 = 20;

/// The pictures of a source. Those of the validation and the test set are centre squares of the size of a tile.
#[derive(Default)]
pub(crate) struct Splits {
    pub train: Vec<Picture>,
    pub validation: Vec<Picture>,
    pub test: Vec<Picture>,
    /// The class of each test picture, from 1. Empty if the classes are not known.
    pub test_labels: Vec<u8>,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The name of the source's part that the validation pictures come from, and of that of the test pictures.
    pub origins: [String; 2],
}

/// Maximum numbers of tiles in the validation and the test set.
pub(crate) type Bounds = [usize; 2];

/// Reads STL-10: its training file, its test file as test set, and pictures of its unlabeled file as validation set.
pub(crate) fn read_stl10(folder: &Path, tile: usize, bounds: Bounds) -> Result<Splits> {
    let mut train = Records::open(&folder.join("train_X.bin"))?;
    let mut test = Records::open(&folder.join("test_X.bin"))?;
    let labels = read_labels(folder, "test_y.bin", test.count())?;
    let kept = thin((0..test.count()).collect(), bounds[1]);
    let test_labels = thin(labels, bounds[1]);
    let mut splits = Splits {
        test: squares(&mut test, kept, tile)?,
        test_labels,
        classes: class_names(folder)?,
        ..Splits::default()
    };
    let unlabeled = folder.join("unlabeled_X.bin");
    let train_indices: Vec<u64> = (0..train.count()).collect();
    let (train_indices, validation) = if unlabeled.exists() {
        let mut records = Records::open(&unlabeled)?;
        let indices = thin((0..records.count()).collect(), STL10_VALIDATION.min(bounds[0]));
        (train_indices, ("unlabeled_X.bin", squares(&mut records, indices, tile)?))
    } else {
        // Files with fewer pictures have one for validation, unless they have fewer than three.
        let each = if train.count() < 3 { u64::MAX } else { STL10_TRAIN_PER_VALIDATION.min(train.count()) };
        let (held_out, rest): (Vec<u64>, Vec<u64>) =
            train_indices.into_iter().partition(|index| (index + 1).is_multiple_of(each));
        (rest, ("train_X.bin", squares(&mut train, thin(held_out, bounds[0]), tile)?))
    };
    splits.validation = validation.1;
    splits.origins = [validation.0, "test_X.bin"].map(|name| format!("/{name}"));
    splits.train = train_indices.into_iter().map(|index| train.read(index)).collect::<Result<_>>()?;
    Ok(splits)
}

/// Reads pictures as centre squares.
fn squares(records: &mut Records, indices: Vec<u64>, tile: usize) -> Result<Vec<Picture>> {
    indices.into_iter().map(|index| Ok(centre_square(&records.read(index)?, tile as u32))).collect()
}

/// Reads the pictures of a folder and its subfolders on all threads. The second result has a message for each picture that
/// cannot be read.
pub(crate) fn read_folder(folder: &Path, tile: usize, limits: &Limits) -> Result<(Splits, Vec<String>)> {
    let paths = aez_image::pictures_under(folder)?;
    let hashes: Vec<f64> = paths.iter().map(|path| folder::hash_of_name(path)).collect();
    let read = |(path, split): (&std::path::PathBuf, Split)| {
        let picture = folder::read_or_explain(path, limits)?;
        let train = split == Split::Train;
        Ok((split, if train { training_picture(picture) } else { centre_square(&picture, tile as u32) }))
    };
    let pictures: Vec<Result<(Split, Picture), String>> =
        paths.par_iter().zip(folder::assign_splits(&hashes)).map(read).collect();
    let (mut splits, mut skipped) = (Splits::default(), Vec::new());
    for picture in pictures {
        match picture {
            Ok((Split::Train, picture)) => splits.train.push(picture),
            Ok((Split::Validation, picture)) => splits.validation.push(picture),
            Ok((Split::Test, picture)) => splits.test.push(picture),
            Err(reason) => skipped.push(reason),
        }
    }
    Ok((splits, skipped))
}

/// The colours of a picture without alpha and metadata, scaled down if it is larger than necessary.
fn training_picture(picture: Picture) -> Picture {
    let (width, height, shortest) = (picture.width, picture.height, picture.shortest_side());
    let picture = Picture::from_rgb(width, height, picture.rgb);
    if shortest <= MAX_SHORTEST_SIDE {
        return picture;
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(MAX_SHORTEST_SIDE) / u64::from(shortest)) as u32;
    scale(&picture, Filter::Lanczos3, scaled(width), scaled(height))
}

/// At most `max` of the items, evenly spaced.
pub(crate) fn thin<T>(items: Vec<T>, max: usize) -> Vec<T> {
    let count = items.len();
    let kept = count.min(max);
    // Keeps item i if the integer part of i * kept / count differs from that of the item before.
    let keep = |i: usize| i == 0 || i * kept / count > (i - 1) * kept / count;
    items.into_iter().enumerate().filter(|&(i, _)| keep(i)).map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_evenly_spaced_items() {
        assert_eq!(thin((0..10).collect(), 4), [0, 3, 5, 8]);
        assert_eq!(thin((0..3).collect(), 4), [0, 1, 2]);
        assert!(thin(Vec::<u8>::new(), 4).is_empty());
    }

    #[test]
    fn large_pictures_are_scaled_down() {
        let large = training_picture(Picture::from_rgb(2100, 1050, vec![5; 2100 * 1050 * 3]));
        assert_eq!((large.width, large.height), (2048, 1024));
    }
}
