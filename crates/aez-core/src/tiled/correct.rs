//! Corrects the latents of tiles whose colours the analysis network misses.
//!
//! The networks learn from photographs. A tile of pure magenta, which no photograph has, is within reach of the synthesis network, but
//! not of the analysis network, which maps it to latents of another colour. Such tiles are searched for their latents with the
//! gradient of the synthesis network, as by [`refine`](super::refine).
//!
//! Photographs must not become slower or different. So only tiles with many equal neighbours are decoded, and only those are searched
//! whose mean colour is wrong: where details are lost, a search gains little.

use std::{cmp::Reverse, collections::BTreeMap};

use sha2::{Digest, Sha256};

use super::{
    TiledModel,
    quantize::LAMBDA,
    refine::{Search, average_channels, refine_tiles},
};
use crate::{error::Result, picture::Picture, symbols::Quality};

/// Number of tiles that are decoded together.
const TILES_AT_ONCE: usize = 8;
/// Part of the pixels that must equal their left neighbour.
const FLAT: f32 = 0.75;
/// Error of the mean of a colour channel that is searched for, of 1.
const MISSED: f32 = 10.0 / 255.0;
/// The quality of the symbols that the search aims at: the highest, so that the latents suit all.
const QUALITY: u8 = 100;
const ROUNDS: usize = 32;
/// Maximum number of different tiles that are searched, so that a large picture of such tiles does not take minutes. Of more, the most
/// frequent ones are.
const MAX_SEARCHED: usize = 32;

/// Whether a tile may be one whose colours the network misses: a quick test.
pub(super) fn is_candidate(tile: &[f32], edge: usize) -> bool {
    let pixels = tile.as_chunks::<3>().0;
    let equal = |row: &[[f32; 3]]| row.windows(2).filter(|pair| pair[0] == pair[1]).count();
    let count: usize = pixels.chunks_exact(edge).map(equal).sum();
    count as f32 >= FLAT * pixels.len() as f32
}

/// Replaces the latents, in base steps, of those candidates whose colours are missed.
pub(super) fn correct(
    model: &TiledModel,
    picture: &Picture,
    candidates: &[usize],
    latents: &mut [f32],
) -> Result<()> {
    let mut missed = Vec::new();
    for group in candidates.chunks(TILES_AT_ONCE) {
        missed.extend(missed_tiles(model, picture, group, latents)?);
    }
    let groups = most_frequent(missed);
    let distinct: Vec<usize> = groups.iter().map(|tiles| tiles[0]).collect();
    let channels = model.latents();
    let rows = |latents: &[f32], tiles: &[usize]| -> Vec<f32> {
        tiles.iter().flat_map(|tile| &latents[tile * channels..][..channels]).copied().collect()
    };
    let exact = rows(latents, &distinct);
    let search = Search { quality: Quality::new(QUALITY)?, lambda: LAMBDA, rounds: ROUNDS };
    let found = refine_tiles(model, picture, &distinct, &exact, &search)?;
    for (tiles, row) in groups.iter().zip(found.chunks_exact(channels)) {
        for tile in tiles {
            latents[tile * channels..][..channels].copy_from_slice(row);
        }
    }
    Ok(())
}

/// The tiles that are searched, in groups of equal ones: each group is searched once.
fn most_frequent(tiles: Vec<(usize, [u8; 32])>) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (tile, content) in tiles {
        groups.entry(content).or_default().push(tile);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    groups.sort_by_key(|tiles| (Reverse(tiles.len()), tiles[0]));
    groups.truncate(MAX_SEARCHED);
    groups
}

/// Those of some tiles of which a channel's mean is wrong, each with a hash of its pixels.
fn missed_tiles(
    model: &TiledModel,
    picture: &Picture,
    tiles: &[usize],
    latents: &[f32],
) -> Result<Vec<(usize, [u8; 32])>> {
    let grid = model.grid(picture.width, picture.height);
    let (channels, tile_len) = (model.latents(), model.config().tile_len());
    let mut rows: Vec<f32> =
        tiles.iter().flat_map(|tile| &latents[tile * channels..][..channels]).copied().collect();
    model.quantizer().denormalize(&mut rows);
    let mut decoded = model.synthesize(&rows)?;
    if picture.gray {
        average_channels(&mut decoded);
    }
    let mut original = vec![0.0; tile_len];
    let mut missed = Vec::new();
    for (&tile, decoded) in tiles.iter().zip(decoded.chunks_exact(tile_len)) {
        grid.cut(&picture.rgb, tile, &mut original);
        let visible: Vec<bool> = grid.visible(picture.alpha.as_deref(), tile).collect();
        if mean_error(&original, decoded, &visible) > MISSED {
            missed.push((tile, hash(&original, &visible)));
        }
    }
    Ok(missed)
}

/// The largest difference between the means of a channel over the visible pixels; 0 where nothing is visible.
fn mean_error(original: &[f32], decoded: &[f32], visible: &[bool]) -> f32 {
    let mut sums = [0f32; 3];
    let pixels = original.as_chunks::<3>().0.iter().zip(decoded.as_chunks::<3>().0);
    for ((original, decoded), _) in pixels.zip(visible).filter(|&(_, &visible)| visible) {
        (0..3).for_each(|c| sums[c] += original[c] - decoded[c].clamp(0.0, 1.0));
    }
    let count = visible.iter().filter(|&&visible| visible).count().max(1) as f32;
    sums.into_iter().map(|sum| sum.abs() / count).fold(0.0, f32::max)
}

fn hash(tile: &[f32], visible: &[bool]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (pixel, &visible) in tile.as_chunks::<3>().0.iter().zip(visible) {
        let [r, g, b] = pixel.map(|value| (value * 255.0 + 0.5) as u8);
        hash.update([r, g, b, visible.into()]);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn only_tiles_with_equal_neighbours_are_candidates() {
        let tile =
            |value: fn(usize) -> f32| (0..16 * 16).flat_map(|i| [value(i), 0.5, 0.0]).collect::<Vec<_>>();
        assert!(is_candidate(&tile(|_| 1.0), 16));
        assert!(is_candidate(&tile(|i| if i % 16 < 8 { 1.0 } else { 0.0 }), 16));
        assert!(!is_candidate(&tile(|i| i as f32 / 256.0), 16));
    }

    #[test]
    fn equal_tiles_are_searched_once_and_frequent_ones_first() {
        let content = |tile: usize| [if tile < 5 { 200 } else { tile as u8 }; 32];
        let groups = most_frequent((0..100).map(|tile| (tile, content(tile))).collect());
        assert_eq!(groups.len(), MAX_SEARCHED);
        assert_eq!(groups[..3], [vec![0, 1, 2, 3, 4], vec![5], vec![6]]);
    }

    #[test]
    fn the_mean_error_counts_visible_pixels_only() {
        let (original, decoded) = ([1.0, 0.0, 0.5, 0.0, 0.0, 0.0], [0.5, -0.3, 0.5, 1.0, 1.0, 1.0]);
        assert_eq!(mean_error(&original, &decoded, &[true, false]), 0.5);
        assert_eq!(mean_error(&original, &decoded, &[false, false]), 0.0);
    }

    /// A colour that the encoder maps to the latents of another one, although the decoder can show it.
    #[test]
    fn missed_colours_are_found_in_every_equal_tile() {
        let model = testing::tiny_tiled();
        let edge = model.tile() as u32;
        let (width, height) = (2 * edge, edge);
        let picture = Picture::from_rgb(width, height, [200, 60, 120].repeat((width * height) as usize));
        let exact = model.latents_of(&picture).unwrap().values().to_vec();
        let mut wrong: Vec<f32> = exact.iter().map(|u| 0.3 * u - 8.0).collect();
        let error = |latents: &[f32]| {
            let missed = missed_tiles(&model, &picture, &[0, 1], latents).unwrap();
            missed.len()
        };
        assert_eq!((error(&exact), error(&wrong)), (0, 2));
        correct(&model, &picture, &[0, 1], &mut wrong).unwrap();
        let (first, second) = wrong.split_at(model.latents());
        assert_eq!((first, error(&wrong)), (second, 0));
    }
}
