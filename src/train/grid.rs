//! What the network does to a few tiles, as a picture to look at while it trains.

use super::measure::Network;
use crate::{
    Result,
    model::Parameters,
    picture::{Grid, Picture, PictureFormat, encode, write_atomically},
};
use std::path::Path;

/// Most tiles that are shown.
const SHOWN: usize = 8;

/// Passes the first of `tiles` (one after the other, channels last, values in [0, 1]) through the network, without
/// quantization, and writes the originals and what became of them as a PNG file; see [`draw`]. Where there are no tiles,
/// nothing is written.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when the file cannot be written.
pub fn write(path: &Path, parameters: &Parameters, tiles: &[f32]) -> Result<()> {
    let config = parameters.config;
    let originals = &tiles[..tiles.len().min(SHOWN * config.tile_len())];
    if originals.is_empty() {
        return Ok(());
    }
    let decoded = Network::new(parameters).run(originals);
    write_atomically(path, &encode(&draw(originals, &decoded, config.tile), PictureFormat::Png)?)
}

/// A row of original tiles and below each the same one decoded: `count * tile` by `2 * tile` pixels. `tile` is the edge
/// of a tile in pixels.
///
/// # Panics
/// When there is no tile, a tile is not whole, or one row is longer than the other.
#[must_use]
pub fn draw(originals: &[f32], decoded: &[f32], tile: usize) -> Picture {
    assert_eq!(originals.len(), decoded.len(), "values of the two rows");
    let tile_len = tile * tile * 3;
    let (width, height) = (originals.len() / tile_len * tile, 2 * tile);
    let grid = Grid { width: width as u32, height: height as u32, edge: tile as u32 };
    let mut rgb = vec![0; width * height * 3];
    for (index, tile) in originals.chunks(tile_len).chain(decoded.chunks(tile_len)).enumerate() {
        grid.paste(tile, index, &mut rgb);
    }
    Picture::from_rgb(grid.width, grid.height, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Limits,
        model::{Config, init},
        picture,
    };

    #[test]
    fn each_tile_stands_above_its_reconstruction() {
        // Flat tiles of 2x2 pixels; decoded values may lie outside of [0, 1].
        let flat = |values: &[f32]| values.iter().flat_map(|&value| [value; 12]).collect::<Vec<_>>();
        let picture = draw(&flat(&[0.0, 0.2, 1.0]), &flat(&[-0.5, 0.4, 1.5]), 2);
        assert_eq!((picture.width, picture.height), (6, 4));
        let pixel = |x: usize, y: usize| picture.rgb[(y * 6 + x) * 3];
        for (row, expected) in [(0, [0, 51, 255]), (1, [0, 102, 255])] {
            for (x, y) in (0..6).flat_map(|x| [(x, 2 * row), (x, 2 * row + 1)]) {
                assert_eq!(pixel(x, y), expected[x / 2], "pixel {x}, {y}");
            }
        }
    }

    #[test]
    fn the_first_tiles_are_written_as_a_picture() {
        let config = Config { tile: 8, channels: 2, reductions: 1, latents: 2, ..Config::default() };
        let parameters = init::xavier(config, 1).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        write(&path, &parameters, &[]).unwrap();
        assert!(!path.exists());
        for (tiles, shown) in [(3, 3), (SHOWN + 2, SHOWN)] {
            write(&path, &parameters, &vec![0.4; tiles * config.tile_len()]).unwrap();
            let picture = picture::read(&path, &Limits::default()).unwrap();
            assert_eq!((picture.width, picture.height), (8 * shown as u32, 16));
            assert!(picture.rgb[..picture.rgb.len() / 2].iter().all(|&byte| byte == 102));
        }
    }
}
