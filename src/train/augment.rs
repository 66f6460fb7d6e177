//! Drawing a training tile from a picture.
//!
//! Every draw depends on its key alone, through a generator seeded by it: a resumed run sees the same tiles,
//! with any number of threads.

use crate::picture::{
    Filter, Picture, Window,
    resample::{centre, resample},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a training tile is made from its picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Augment {
    /// Mirror every other tile, left to right.
    pub flip: bool,
    /// Take a square at a random place, its side log-uniform between the tile's edge and the picture's shortest
    /// side, and scale it to the tile; otherwise the centre square.
    pub crop: bool,
    /// Part of the crops whose side is drawn from 0.8 to 1 times the shortest side: what a thumbnail shows.
    pub thumbnails: f32,
    /// How much brightness, contrast and saturation vary: 0 not at all, 1 by up to a fifth or so.
    pub colour: f32,
}

impl Augment {
    /// The centre squares as they are.
    pub const NONE: Self = Self { flip: false, crop: false, thumbnails: 0.0, colour: 0.0 };
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
pub(super) enum Purpose {
    Order = 1,
    Tile = 2,
    Sample = 3,
}

pub(super) fn generator(key: Key, purpose: Purpose) -> ChaCha8Rng {
    let mut seed = [0; 32];
    let words = [key.seed, key.epoch, key.position, purpose as u64];
    for (bytes, word) in seed.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    ChaCha8Rng::from_seed(seed)
}

/// Draws one tile. All that is random is drawn in a fixed order, whatever the settings.
pub(super) fn draw(
    picture: &Picture,
    tile: usize,
    random: &mut ChaCha8Rng,
    augment: &Augment,
    out: &mut [f32],
) {
    let [size, across, down, mirror, brightness, contrast, saturation, thumbnail] =
        std::array::from_fn(|_| random.random::<f32>());
    let shortest = picture.shortest_side() as usize;
    let window = if augment.crop {
        let smallest = tile.min(shortest) as f32;
        let side = if thumbnail < augment.thumbnails {
            shortest as f32 * (0.8 + 0.2 * size)
        } else {
            smallest * (shortest as f32 / smallest).powf(size)
        };
        let side = (side.round() as usize).clamp(1, shortest);
        let place = |room: u32, at: f32| ((room as usize - side + 1) as f32 * at) as usize;
        Window { x: place(picture.width, across), y: place(picture.height, down), width: side, height: side }
    } else {
        centre(picture)
    };
    // As sharp as centre squares are, which networks are measured on: a blurred crop teaches to blur.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::centre_square;

    const KEY: Key = Key { seed: 0, epoch: 0, position: 0 };

    #[test]
    fn crops_have_sides_between_the_tile_and_the_picture() {
        // The red byte is the column, so that the slope of a tile tells its scale.
        let pixels = (0..64).flat_map(|_| (0..200).map(|x| [x as u8, 0, 0]));
        let picture = Picture::from_rgb(200, 64, pixels.flatten().collect());
        let augment = Augment { crop: true, ..Augment::NONE };
        let mut tile = vec![0.0; 8 * 8 * 3];
        let sides: Vec<f32> = (0..500)
            .map(|position| {
                draw(
                    &picture,
                    8,
                    &mut generator(Key { position, ..KEY }, Purpose::Tile),
                    &augment,
                    &mut tile,
                );
                (tile[4 * 3] - tile[3 * 3]) * 255.0 * 8.0
            })
            .collect();
        assert!(sides.iter().all(|side| (7.9..64.1).contains(side)), "{sides:?}");
        // Log-uniform: half of them below the geometric mean.
        let small = sides.iter().filter(|&&side| side < (8f32 * 64.0).sqrt()).count();
        assert!((200..300).contains(&small), "{small} of 500");
    }

    #[test]
    fn without_augmentation_the_centre_square_comes_back() {
        let picture = Picture::from_rgb(10, 8, (0..240).collect());
        let mut tile = vec![0.0; 8 * 8 * 3];
        draw(&picture, 8, &mut generator(KEY, Purpose::Tile), &Augment::NONE, &mut tile);
        let square = centre_square(&picture, 8).rgb;
        assert!(tile.iter().zip(&square).all(|(a, b)| (a * 255.0 - f32::from(*b)).abs() < 1e-2));
    }

    #[test]
    fn a_flipped_tile_is_mirrored() {
        let picture = Picture::from_rgb(8, 8, (0..192).collect());
        let augment = Augment { flip: true, ..Augment::NONE };
        let (mut plain, mut tile, mut mirrored) = (vec![0.0; 192], vec![0.0; 192], 0);
        draw(&picture, 8, &mut generator(KEY, Purpose::Tile), &Augment::NONE, &mut plain);
        let expected: Vec<f32> =
            (0..192).map(|i| plain[(i / 24) * 24 + (7 - i % 24 / 3) * 3 + i % 3]).collect();
        for position in 0..200 {
            draw(&picture, 8, &mut generator(Key { position, ..KEY }, Purpose::Tile), &augment, &mut tile);
            assert!(tile == plain || tile == expected);
            mirrored += usize::from(tile == expected);
        }
        assert!((70..130).contains(&mirrored), "{mirrored} of 200");
    }

    #[test]
    fn colours_are_changed_as_named() {
        let mut gray = [0.5, 0.5, 0.5];
        recolour(&mut gray, 0.1, 1.2, 0.8);
        assert!(gray.iter().all(|value| (value - 0.6).abs() < 1e-6), "{gray:?}");
        let mut red = [0.9, 0.3, 0.3];
        recolour(&mut red, 0.0, 1.0, 0.0);
        assert!(red.iter().all(|value| (value - 0.4794).abs() < 1e-6), "no saturation is gray: {red:?}");
        let mut dark = [0.4, 0.4, 0.4];
        recolour(&mut dark, 0.0, 2.0, 1.0);
        assert!((dark[0] - 0.3).abs() < 1e-6);
    }
}
