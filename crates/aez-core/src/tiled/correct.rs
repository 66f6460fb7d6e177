//! Corrects the latents of tiles whose colours the analysis network misses.
//!
//! The networks learn from photographs. A tile of pure magenta, which no photograph has, is within reach of the synthesis network, but
//! not of the analysis network, which maps it to latents of another colour. Such tiles are searched for their latents with the
//! gradient of the synthesis network, as by [`refine`](super::refine).
//!
//! Photographs must not become slower or different. So only colourful tiles with many equal neighbours are decoded, and only those are
//! searched whose mean colour is wrong: where details are lost, a search gains little.

use std::{cmp::Reverse, collections::BTreeMap};

use sha2::{Digest, Sha256};

use super::{
    TiledModel,
    quantize::{self, LAMBDA},
    refine::{Objective, Target, average_channels, tile_errors},
};
use crate::{
    error::Result,
    picture::Picture,
    symbols::{Latents, Quality, Shape},
};

/// Number of tiles that are decoded together.
const TILES_AT_ONCE: usize = 8;
/// Part of the pixels that must equal the one before, usually on the left.
const FLAT: f32 = 0.75;
/// Mean difference between the largest and the smallest channel of a pixel, of 1. The network shows gray and pale colours well.
const COLOURFUL: f32 = 0.25;
/// Error of the mean of a colour channel that is searched for, of 1.
const MISSED: f32 = 10.0 / 255.0;
/// Qualities at which a result must be better: a low one, and the highest.
const QUALITIES: [u8; 2] = [40, 100];
/// Part of a Newton step in the first round, with equal second derivatives for all latents.
const FIRST_STEP: f32 = 0.3;
/// Change of the step where the error has fallen, and where it has not.
const GROWTH: f32 = 1.5;
const SHRINKAGE: f32 = 0.4;
/// Number of times that the gradient is computed.
const ROUNDS: usize = 32;
/// Result of a search that is used: its squared error, of that before.
const GAIN: f32 = 0.7;
/// Maximum number of different tiles that are searched, so that a large picture of such tiles does not take minutes. Of more, the most
/// frequent ones are.
const MAX_SEARCHED: usize = 16;

/// Whether a tile may be one whose colours the network misses: a quick test of its visible pixels.
pub(super) fn is_candidate(tile: &[f32], visible: impl Iterator<Item = bool>) -> bool {
    let mut pixels = tile.as_chunks::<3>().0.iter().zip(visible).filter(|&(_, visible)| visible);
    let Some((mut last, _)) = pixels.next() else { return false };
    let (mut equal, mut pairs, mut colourfulness) = (0, 0, 0.0);
    for (pixel, _) in pixels {
        equal += usize::from(pixel == last);
        pairs += 1;
        let [r, g, b] = *pixel;
        colourfulness += r.max(g).max(b) - r.min(g).min(b);
        last = pixel;
    }
    pairs > 0 && equal as f32 >= FLAT * pairs as f32 && colourfulness >= COLOURFUL * pairs as f32
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
    if missed.is_empty() {
        return Ok(());
    }
    let groups = most_frequent(missed);
    let distinct: Vec<usize> = groups.iter().map(|tiles| tiles[0]).collect();
    let channels = model.latents();
    let before = rows(latents, &distinct, channels);
    let mut after = Vec::with_capacity(before.len());
    for (tiles, start) in distinct.chunks(TILES_AT_ONCE).zip(before.chunks(TILES_AT_ONCE * channels)) {
        after.extend(descend(model, picture, tiles, start)?);
    }
    let gains = is_better(model, picture, &distinct, [&before, &after])?;
    for ((tiles, row), is_better) in groups.iter().zip(after.chunks_exact(channels)).zip(gains) {
        for tile in tiles.iter().filter(|_| is_better) {
            latents[tile * channels..][..channels].copy_from_slice(row);
        }
    }
    Ok(())
}

/// The latents of some tiles, out of those of all tiles.
fn rows(latents: &[f32], tiles: &[usize], channels: usize) -> Vec<f32> {
    tiles.iter().flat_map(|tile| &latents[tile * channels..][..channels]).copied().collect()
}

/// Searches by gradient descent. The step of each tile grows as long as its error falls, and shrinks otherwise, since far from the
/// minimum the curvature is of little use.
fn descend(model: &TiledModel, picture: &Picture, tiles: &[usize], start: &[f32]) -> Result<Vec<f32>> {
    let (channels, quality) = (model.latents(), Quality::new(QUALITIES[1])?);
    let tables = model.prior().at(quality);
    // Beyond the range of the symbols, latents cannot be coded.
    let limit: Vec<f32> =
        (0..channels).map(|channel| tables.centroid(channel, *tables.range(channel).end())).collect();
    let mut values = start.to_vec();
    for row in values.chunks_exact_mut(channels) {
        row.iter_mut().zip(&limit).for_each(|(value, limit)| *value = value.clamp(-limit, *limit));
    }
    let objective = Objective { model, tables: &tables, quality, lambda: 0.0, gray: picture.gray };
    let target = Target::new(model, picture, tiles);
    let curvatures = objective.curvatures(&target, &values)?;
    let mut best = values.clone();
    let (mut least, mut slopes) = (vec![f32::INFINITY; tiles.len()], vec![0.0; start.len()]);
    let mut parts = vec![FIRST_STEP; tiles.len()];
    for _ in 0..ROUNDS {
        let (errors, gradients) = objective.errors(&target, &values, false)?;
        for (tile, &error) in errors.iter().enumerate() {
            let row = tile * channels..(tile + 1) * channels;
            if error < least[tile] {
                least[tile] = error;
                best[row.clone()].copy_from_slice(&values[row.clone()]);
                slopes[row.clone()].copy_from_slice(&gradients[row.clone()]);
                parts[tile] *= GROWTH;
            } else {
                parts[tile] *= SHRINKAGE;
            }
            let step = parts[tile] / (2.0 * curvatures[tile]);
            for (at, limit) in row.zip(&limit) {
                values[at] = (best[at] - step * slopes[at]).clamp(-limit, *limit);
            }
        }
    }
    Ok(best)
}

/// For each tile, whether the second latents are better than the first at all of [`QUALITIES`], and much better at the last.
fn is_better(
    model: &TiledModel,
    picture: &Picture,
    tiles: &[usize],
    latents: [&[f32]; 2],
) -> Result<Vec<bool>> {
    let shape = Shape { rows: tiles.len() as u32, columns: 1, channels: model.latents() as u32 };
    let mut is_better = vec![true; tiles.len()];
    for (quality, most) in QUALITIES.into_iter().zip([1.0, GAIN]) {
        let quality = Quality::new(quality)?;
        let tables = model.prior().at(quality);
        let errors = |latents: &[f32]| -> Result<Vec<f32>> {
            let symbols =
                quantize::quantize(&Latents::new(shape, latents.to_vec())?, &tables, quality, LAMBDA)?;
            tile_errors(model, picture, tiles, quantize::reconstruct(&symbols, &tables)?.values())
        };
        let errors = errors(latents[0])?.into_iter().zip(errors(latents[1])?);
        is_better.iter_mut().zip(errors).for_each(|(is, (first, second))| *is &= second < most * first);
    }
    Ok(is_better)
}

/// A tile whose colours are missed.
struct Missed {
    tile: usize,
    /// A hash of its pixels.
    content: [u8; 32],
    /// Number of its visible pixels.
    visible: usize,
}

/// The tiles that are searched, in groups of equal ones, of which the first has the most visible pixels: it is searched for all.
fn most_frequent(tiles: Vec<Missed>) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<[u8; 32], Vec<(Reverse<usize>, usize)>> = BTreeMap::new();
    for Missed { tile, content, visible } in tiles {
        groups.entry(content).or_default().push((Reverse(visible), tile));
    }
    let sorted = |mut group: Vec<(Reverse<usize>, usize)>| {
        group.sort();
        group.into_iter().map(|(_, tile)| tile).collect()
    };
    let mut groups: Vec<Vec<usize>> = groups.into_values().map(sorted).collect();
    groups.sort_by_key(|tiles| (Reverse(tiles.len()), tiles[0]));
    groups.truncate(MAX_SEARCHED);
    groups
}

/// Those of some tiles of which a channel's mean is wrong.
fn missed_tiles(
    model: &TiledModel,
    picture: &Picture,
    tiles: &[usize],
    latents: &[f32],
) -> Result<Vec<Missed>> {
    let grid = model.grid(picture.width, picture.height);
    let (channels, tile_len) = (model.latents(), model.config().tile_len());
    let mut scaled = rows(latents, tiles, channels);
    model.quantizer().denormalize(&mut scaled);
    let mut decoded = model.synthesize(&scaled)?;
    if picture.gray {
        average_channels(&mut decoded);
    }
    let mut original = vec![0.0; tile_len];
    let mut missed = Vec::new();
    for (&tile, decoded) in tiles.iter().zip(decoded.chunks_exact(tile_len)) {
        grid.cut(&picture.rgb, tile, &mut original);
        let visible: Vec<bool> = grid.visible(picture.alpha.as_deref(), tile).collect();
        if mean_error(&original, decoded, &visible) > MISSED {
            let count = visible.iter().filter(|&&visible| visible).count();
            missed.push(Missed { tile, content: hash(&original), visible: count });
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

fn hash(tile: &[f32]) -> [u8; 32] {
    let levels: Vec<u8> = tile.iter().map(|value| (value * 255.0 + 0.5) as u8).collect();
    Sha256::digest(levels).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn only_colourful_tiles_with_equal_neighbours_are_candidates() {
        let tile = |value: fn(usize) -> f32| -> Vec<f32> {
            (0..16 * 16).flat_map(|i| [value(i), 0.5, 0.0]).collect()
        };
        let all = || std::iter::repeat_n(true, 256);
        assert!(is_candidate(&tile(|_| 1.0), all()));
        assert!(is_candidate(&tile(|i| if i % 16 < 8 { 1.0 } else { 0.0 }), all()));
        assert!(!is_candidate(&[0.9; 768], all()), "gray");
        let slope = tile(|i| i as f32 / 256.0);
        assert!(!is_candidate(&slope, all()));
        // What lies beyond the picture repeats its last column.
        let edge = tile(|i| if i % 16 < 2 { i as f32 / 256.0 } else { 1.0 });
        assert!(!is_candidate(&edge, (0..256).map(|i| i % 16 < 2)));
        assert!(!is_candidate(&edge, std::iter::repeat_n(false, 256)));
    }

    #[test]
    fn equal_tiles_are_searched_once_and_frequent_ones_first() {
        let content = |tile: usize| [if tile < 5 { 200 } else { tile as u8 }; 32];
        let missed =
            |tile: usize| Missed { tile, content: content(tile), visible: if tile == 3 { 9 } else { 4 } };
        let groups = most_frequent((0..100).map(missed).collect());
        assert_eq!(groups.len(), MAX_SEARCHED);
        assert_eq!(groups[..3], [vec![3, 0, 1, 2, 4], vec![5], vec![6]]);
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
