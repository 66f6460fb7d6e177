//! Training tiles from pictures, with random crops, mirroring and colours.
//!
//! The random numbers of a tile depend only on its key. A resumed run therefore makes the same tiles as an uninterrupted one,
//! on any number of threads.

use aez_core::picture::{
    Picture,
    resample::{Filter, Window, centre, resample},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a training tile is made from its picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augment {
    /// Mirror the tile horizontally with a probability of one half.
    pub flip: bool,
    /// Scale a square at a random position to the tile. The logarithm of its side is uniformly distributed between the edge of
    /// the tile and the shorter side of the picture. Otherwise, the tile is the scaled centre square.
    pub crop: bool,
    /// Fraction of the crops that show nearly the whole picture, as thumbnails do: their side is uniformly distributed between
    /// 0.8 and 1 times the shorter side.
    pub thumbnails: f32,
    /// Strength of random changes of brightness, contrast and saturation: with 0 they do not change, with 1 by up to 20 %.
    pub colour: f32,
}

impl Augment {
    /// Centre squares without changes.
    pub const NONE: Self = Self { flip: false, crop: false, thumbnails: 0.0, colour: 0.0 };
}

/// The key of a tile's random numbers. Equal keys give equal tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Seed of the run.
    pub seed: u64,
    /// Number of the epoch, from 0.
    pub epoch: u64,
    /// Position in the epoch, from 0.
    pub position: u64,
}

/// The purpose of a random number generator. Generators for different purposes are independent.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// The order of an epoch.
    Order = 1,
    /// A training tile.
    Tile = 2,
    /// A tile for calibration or starting weights.
    Sample = 3,
}

/// The random number generator for a key.
pub(crate) fn generator(key: Key, purpose: Purpose) -> ChaCha8Rng {
    let mut seed = [0; 32];
    let words = [key.seed, key.epoch, key.position, purpose as u64];
    for (bytes, word) in seed.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    ChaCha8Rng::from_seed(seed)
}

/// Makes a tile of `tile * tile` pixels in `out`: values in [0, 1], channels last. Consumes the same random numbers for all
/// settings.
pub(crate) fn make_tile(
    picture: &Picture,
    tile: usize,
    rng: &mut ChaCha8Rng,
    augment: &Augment,
    out: &mut [f32],
) {
    let [size, x, y, mirror, brightness, contrast, saturation, thumbnail] =
        std::array::from_fn(|_| rng.random::<f32>());
    let shortest = picture.shortest_side() as usize;
    let window = if augment.crop {
        let smallest = tile.min(shortest) as f32;
        let side = if thumbnail < augment.thumbnails {
            shortest as f32 * (0.8 + 0.2 * size)
        } else {
            smallest * (shortest as f32 / smallest).powf(size)
        };
        let side = (side.round() as usize).clamp(1, shortest);
        let position = |length: u32, random: f32| ((length as usize - side + 1) as f32 * random) as usize;
        Window { x: position(picture.width, x), y: position(picture.height, y), width: side, height: side }
    } else {
        centre(picture)
    };
    // The filter that scales the centre squares of the validation set: with softer crops, the network learns to blur.
    resample::<3>(&picture.rgb, picture.width as usize, window, Filter::Lanczos3, (tile, tile), out);
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

/// Scales the difference of each colour from its gray by the saturation and the difference from the middle gray by the
/// contrast, and adds the brightness.
fn recolour(pixels: &mut [f32], brightness: f32, contrast: f32, saturation: f32) {
    for pixel in pixels.as_chunks_mut::<3>().0 {
        let gray = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
        for value in pixel {
            let saturated = gray + saturation * (*value - gray);
            *value = (0.5 + contrast * (saturated - 0.5) + brightness).clamp(0.0, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aez_core::picture::resample::centre_square;

    const KEY: Key = Key { seed: 0, epoch: 0, position: 0 };

    #[test]
    fn the_sides_of_crops_are_between_tile_and_picture() {
        // The red value is the column, so that the slope in a tile is the scale.
        let pixels = (0..64).flat_map(|_| (0..200).map(|x| [x as u8, 0, 0]));
        let picture = Picture::from_rgb(200, 64, pixels.flatten().collect());
        let augment = Augment { crop: true, ..Augment::NONE };
        let mut tile = vec![0.0; 8 * 8 * 3];
        let side = |position| {
            make_tile(
                &picture,
                8,
                &mut generator(Key { position, ..KEY }, Purpose::Tile),
                &augment,
                &mut tile,
            );
            (tile[4 * 3] - tile[3 * 3]) * 255.0 * 8.0
        };
        let sides: Vec<f32> = (0..500).map(side).collect();
        assert!(sides.iter().all(|side| (7.9..64.1).contains(side)), "{sides:?}");
        // Half of log-uniform sides are below the geometric mean.
        let small = sides.iter().filter(|&&side| side < (8f32 * 64.0).sqrt()).count();
        assert!((200..300).contains(&small), "{small} of 500");
    }

    #[test]
    fn without_augmentation_a_tile_is_the_centre_square() {
        let picture = Picture::from_rgb(10, 8, (0..240).collect());
        let mut tile = vec![0.0; 8 * 8 * 3];
        make_tile(&picture, 8, &mut generator(KEY, Purpose::Tile), &Augment::NONE, &mut tile);
        let square = centre_square(&picture, 8).rgb;
        assert!(tile.iter().zip(&square).all(|(a, b)| (a * 255.0 - f32::from(*b)).abs() < 1e-2));
    }

    #[test]
    fn a_flipped_tile_is_mirrored() {
        let picture = Picture::from_rgb(8, 8, (0..192).collect());
        let augment = Augment { flip: true, ..Augment::NONE };
        let (mut plain, mut tile, mut mirrored) = (vec![0.0; 192], vec![0.0; 192], 0);
        make_tile(&picture, 8, &mut generator(KEY, Purpose::Tile), &Augment::NONE, &mut plain);
        let expected: Vec<f32> =
            (0..192).map(|i| plain[(i / 24) * 24 + (7 - i % 24 / 3) * 3 + i % 3]).collect();
        for position in 0..200 {
            make_tile(
                &picture,
                8,
                &mut generator(Key { position, ..KEY }, Purpose::Tile),
                &augment,
                &mut tile,
            );
            assert!(tile == plain || tile == expected);
            mirrored += usize::from(tile == expected);
        }
        assert!((70..130).contains(&mirrored), "{mirrored} of 200");
    }

    #[test]
    fn brightness_contrast_and_saturation_change_colours() {
        let mut gray = [0.5, 0.5, 0.5];
        recolour(&mut gray, 0.1, 1.2, 0.8);
        assert!(gray.iter().all(|value| (value - 0.6).abs() < 1e-6), "{gray:?}");
        let mut red = [0.9, 0.3, 0.3];
        recolour(&mut red, 0.0, 1.0, 0.0);
        assert!(
            red.iter().all(|value| (value - 0.4794).abs() < 1e-6),
            "without saturation, red becomes gray: {red:?}"
        );
        let mut dark = [0.4, 0.4, 0.4];
        recolour(&mut dark, 0.0, 2.0, 1.0);
        assert!((dark[0] - 0.3).abs() < 1e-6);
    }
}
