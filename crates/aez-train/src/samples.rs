//! A picture of sample tiles and their reconstructions, to inspect a network during training.

use crate::Result;
use aez_core::{
    nn::InstructionSet,
    picture::Picture,
    tiled::{
        Parameters, TileGrid,
        network::{Analysis, Synthesis},
    },
};
use aez_image::{PictureFormat, encode, write_atomically};
use std::path::Path;

/// Maximum number of tiles in the picture.
pub(crate) const MAX_TILES: usize = 8;

/// Writes the first of `tiles` (concatenated, channels last, values in [0, 1]) and their reconstructions without quantization
/// as a PNG file; see [`rows`]. If the network normalizes its input, two more rows show the same tiles as the network sees them: in
/// [-1, 1], where negative values are black. Does nothing if there are no tiles.
///
/// # Errors
/// [`aez_core::Error::Io`] if the file cannot be written.
pub(crate) fn write(path: &Path, parameters: &Parameters, tiles: &[f32]) -> Result<()> {
    let config = parameters.config;
    let originals = &tiles[..tiles.len().min(MAX_TILES * config.tile_len())];
    if originals.is_empty() {
        return Ok(());
    }
    let set = InstructionSet::best();
    let latents = Analysis::new(config, parameters, set)?.run(originals);
    let decoded = Synthesis::new(config, parameters, set)?.run(&latents);
    let mut tiles = vec![originals.to_vec(), decoded];
    if config.normalize {
        let seen = |tiles: &Vec<f32>| tiles.iter().map(|value| 2.0 * value - 1.0).collect();
        tiles.extend([seen(&tiles[0]), seen(&tiles[1])]);
    }
    let picture = rows(&tiles, config.tile);
    Ok(write_atomically(path, &encode(&picture, PictureFormat::Png)?)?)
}

/// A picture with one row of tiles below the other, each of the same number of tiles. `tile` is the edge of a tile. Values outside of
/// [0, 1] are clamped.
fn rows(rows: &[Vec<f32>], tile: usize) -> Picture {
    let tile_len = tile * tile * 3;
    let (width, height) = (rows[0].len() / tile_len * tile, rows.len() * tile);
    let grid = TileGrid { width: width as u32, height: height as u32, edge: tile as u32 };
    let mut rgb = vec![0; width * height * 3];
    for (index, tile) in rows.iter().flat_map(|row| row.chunks(tile_len)).enumerate() {
        grid.paste(tile, index, &mut rgb);
    }
    Picture::from_rgb(grid.width, grid.height, rgb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aez_core::{
        Limits,
        tiled::{Config, init},
    };

    #[test]
    fn each_tile_is_above_its_reconstruction() {
        // Tiles of 2x2 pixels of one value. Decoded values may be outside of [0, 1].
        let flat = |values: &[f32]| values.iter().flat_map(|&value| [value; 12]).collect::<Vec<_>>();
        let picture = rows(&[flat(&[0.0, 0.2, 1.0]), flat(&[-0.5, 0.4, 1.5])], 2);
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
        let path = folder.path().join("samples.png");
        write(&path, &parameters, &[]).unwrap();
        assert!(!path.exists());
        for (tiles, shown) in [(3, 3), (MAX_TILES + 2, MAX_TILES)] {
            write(&path, &parameters, &vec![0.4; tiles * config.tile_len()]).unwrap();
            let picture = aez_image::read(&path, &Limits::default()).unwrap();
            assert_eq!((picture.width, picture.height), (8 * shown as u32, 16));
            assert!(picture.rgb[..picture.rgb.len() / 2].iter().all(|&byte| byte == 102));
        }
    }

    #[test]
    fn tiles_of_networks_that_normalize_are_also_shown_as_the_network_sees_them() {
        let config =
            Config { tile: 8, channels: 2, reductions: 1, latents: 2, normalize: true, ..Config::default() };
        let parameters = init::xavier(config, 1).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.png");
        let tiles = [vec![0.4; config.tile_len()], vec![0.8; config.tile_len()]].concat();
        write(&path, &parameters, &tiles).unwrap();
        let picture = aez_image::read(&path, &Limits::default()).unwrap();
        assert_eq!((picture.width, picture.height), (16, 32));
        let row = |row: usize| &picture.rgb[row * 8 * 16 * 3..][..16 * 3];
        // 0.4 is -0.2 for the network, and 0.8 is 0.6.
        assert_eq!((row(0)[0], row(0)[24], row(2)[0], row(2)[24]), (102, 204, 0, 153));
    }
}
