//! Better latents for a picture by the decoder's gradient: the search behind `Encoder::effort`.
//!
//! The analysis network estimates the latents in one pass. Here they are changed by gradient descent on distortion plus rate
//! (Campos et al., "Content adaptive optimization for neural image compression", 2019). In the first half of the rounds the latents
//! are not quantized, because with large steps the gradient at quantized latents is a poor direction. In the second half the
//! gradient is computed at the quantized latents and applied to the exact ones (straight-through estimator). The latents with the
//! lowest cost are kept.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{TiledModel, quantize, sensitivity};
use crate::{
    entropy::Tables,
    error::Result,
    picture::Picture,
    symbols::{Latents, Quality, Shape, Symbols},
};

/// Number of tiles that are refined together.
const TILES_AT_ONCE: usize = 8;
/// Part of a Newton step, with equal second derivatives for all latents, in the first round. It decreases to a tenth.
const FIRST_STEP: f32 = 0.6;

/// Number of rounds for an effort from 1 to 9. Each computes the gradient once, which takes about three times as long as decoding.
pub(super) fn rounds(effort: u8) -> usize {
    3 * usize::from(effort).pow(2)
}

/// What a search aims at, and how long it takes.
pub(super) struct Search {
    /// The quality at which the latents will be quantized.
    pub quality: Quality,
    /// The weight of the rate.
    pub lambda: f32,
    /// Number of times that the gradient is computed.
    pub rounds: usize,
}

/// Improves the latents of a picture. The cost of each tile, its squared error plus `lambda` times its bits in squared steps, is
/// lower or the same.
pub(super) fn refine(
    model: &TiledModel,
    picture: &Picture,
    latents: &Latents,
    search: &Search,
) -> Result<Latents> {
    let &Search { quality, lambda, rounds } = search;
    let tables = model.prior().at(quality);
    let objective = Objective { model, tables: &tables, quality, lambda, gray: picture.gray };
    let tiles: Vec<usize> = (0..latents.values().len() / model.latents()).collect();
    let mut refined = Vec::with_capacity(latents.values().len());
    let rows = latents.values().chunks(TILES_AT_ONCE * model.latents());
    for (tiles, exact) in tiles.chunks(TILES_AT_ONCE).zip(rows) {
        refined.extend(objective.refine(&Target::new(model, picture, tiles), exact, rounds)?);
    }
    Latents::new(latents.shape(), refined)
}

/// The squared error of each of some tiles, whose latents are given as one row for each. Nothing is quantized.
pub(super) fn tile_errors(
    model: &TiledModel,
    picture: &Picture,
    tiles: &[usize],
    latents: &[f32],
) -> Result<Vec<f32>> {
    let quality = Quality::REFERENCE;
    let tables = model.prior().at(quality);
    let objective = Objective { model, tables: &tables, quality, lambda: 0.0, gray: picture.gray };
    let mut errors = Vec::with_capacity(tiles.len());
    let rows = latents.chunks(TILES_AT_ONCE * model.latents());
    for (tiles, latents) in tiles.chunks(TILES_AT_ONCE).zip(rows) {
        errors.extend(objective.errors(&Target::new(model, picture, tiles), latents, true)?.0);
    }
    Ok(errors)
}

/// The tiles that the decoder should reproduce.
pub(super) struct Target {
    /// Values in [0, 1], channels last.
    tiles: Vec<f32>,
    /// For each value, 1 where it is visible in the picture, and 0 elsewhere.
    visible: Vec<f32>,
    count: usize,
}

impl Target {
    pub fn new(model: &TiledModel, picture: &Picture, indices: &[usize]) -> Self {
        let grid = model.grid(picture.width, picture.height);
        let (count, tile_len) = (indices.len(), model.config().tile_len());
        let (mut tiles, mut visible) = (vec![0.0; count * tile_len], Vec::with_capacity(count * tile_len));
        for (tile, &index) in tiles.chunks_exact_mut(tile_len).zip(indices) {
            grid.cut(&picture.rgb, index, tile);
            let pixels = grid.visible(picture.alpha.as_deref(), index);
            visible.extend(pixels.flat_map(|pixel| [f32::from(pixel); 3]));
        }
        Self { tiles, visible, count }
    }

    fn tile_len(&self) -> usize {
        self.tiles.len() / self.count
    }
}

/// The latents of each tile with the lowest cost so far. They are not quantized; quantizing them again gives the same symbols.
struct Best {
    costs: Vec<f32>,
    values: Vec<f32>,
}

impl Best {
    /// Keeps the latents of a tile, out of those of all tiles, if their cost is lower.
    fn consider(&mut self, tile: usize, cost: f32, latents: &[f32]) {
        if cost < self.costs[tile] {
            let channels = latents.len() / self.costs.len();
            let range = tile * channels..(tile + 1) * channels;
            self.costs[tile] = cost;
            self.values[range.clone()].copy_from_slice(&latents[range]);
        }
    }
}

/// What is minimized: the squared error of the decoded pixels, and bits.
pub(super) struct Objective<'a> {
    pub model: &'a TiledModel,
    pub tables: &'a Tables,
    pub quality: Quality,
    pub lambda: f32,
    pub gray: bool,
}

impl Objective<'_> {
    fn refine(&self, target: &Target, exact: &[f32], rounds: usize) -> Result<Vec<f32>> {
        let (channels, step) = (self.model.latents(), quantize::step(self.quality));
        let shape = Shape { rows: target.count as u32, columns: 1, channels: channels as u32 };
        let curvatures = self.curvatures(target, exact)?;
        let mut moving = exact.to_vec();
        let mut best = Best { costs: vec![f32::INFINITY; target.count], values: exact.to_vec() };
        for round in 0..=rounds {
            let is_last = round == rounds;
            let quantized = round == 0 || 2 * round >= rounds;
            let (errors, gradients) = if quantized {
                let exact = Latents::new(shape, moving.clone())?;
                let symbols = quantize::quantize(&exact, self.tables, self.quality, self.lambda)?;
                let rounded = quantize::reconstruct(&symbols, self.tables)?;
                let (errors, gradients) = self.errors(target, rounded.values(), is_last)?;
                for (tile, &error) in errors.iter().enumerate() {
                    let bits = tile_bits(&symbols, tile, self.tables);
                    let cost = error + self.lambda * curvatures[tile] * step * step * bits;
                    best.consider(tile, cost, &moving);
                }
                (errors, gradients)
            } else {
                self.errors(target, &moving, is_last)?
            };
            debug_assert_eq!(errors.len(), target.count);
            if is_last {
                break;
            }
            let part = FIRST_STEP * (1.0 - 0.9 * round as f32 / rounds as f32);
            for (index, (u, gradient)) in moving.iter_mut().zip(&gradients).enumerate() {
                let slope = bit_slope(*u, index % channels, step, self.tables);
                let rate = 0.5 * self.lambda * step * step * slope;
                *u -= part * (gradient / (2.0 * curvatures[index / channels]) + rate);
            }
        }
        Ok(best.values)
    }

    /// The sum of squared errors of each tile, and its derivative with respect to the latents in base steps, unless only the errors
    /// are wanted.
    pub fn errors(
        &self,
        target: &Target,
        latents: &[f32],
        only_errors: bool,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let mut errors = Vec::new();
        let mut measure = |decoded: &[f32]| {
            let shown = self.shown(decoded);
            let differences: Vec<f32> = (shown.iter().zip(&target.tiles).zip(&target.visible))
                .map(|((shown, wanted), visible)| (shown - wanted) * visible)
                .collect();
            let sum = |tile: &[f32]| tile.iter().map(|x| x * x).sum::<f32>();
            errors = differences.chunks_exact(target.tile_len()).map(sum).collect();
            differences
        };
        if only_errors {
            let scaled = self.denormalized(latents);
            measure(&self.model.synthesize(&scaled)?);
            return Ok((errors, Vec::new()));
        }
        let gradients = self.gradient(latents, &mut |decoded| {
            measure(decoded).into_iter().map(|difference| 2.0 * difference).collect()
        })?;
        Ok((errors, gradients))
    }

    /// For each tile the squared error that a change of one latent by a base step causes, averaged over its latents. The base steps
    /// are chosen such that it is about the same for all latents.
    pub fn curvatures(&self, target: &Target, latents: &[f32]) -> Result<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let squares = sensitivity::squared_lengths(target.tiles.len(), &mut rng, |signs| {
            self.gradient(latents, &mut |_| {
                signs.iter().zip(&target.visible).map(|(sign, visible)| sign * visible).collect()
            })
        })?;
        let channels = self.model.latents();
        let mean = |row: &[f32]| row.iter().sum::<f32>() / channels as f32;
        Ok(squares.chunks_exact(channels).map(|row| mean(row).max(1e-12)).collect())
    }

    /// The derivative of a loss with respect to latents in base steps. `loss` returns its derivative with respect to the values that
    /// the decoder shows.
    fn gradient(&self, latents: &[f32], loss: &mut dyn FnMut(&[f32]) -> Vec<f32>) -> Result<Vec<f32>> {
        let scaled = self.denormalized(latents);
        let mut gradients = self.model.synthesis_gradient(&scaled, &mut |decoded| {
            let mut gradient = loss(decoded);
            self.through_shown(decoded, &mut gradient);
            gradient
        })?;
        let steps = self.model.quantizer().steps();
        for row in gradients.chunks_exact_mut(steps.len()) {
            row.iter_mut().zip(steps).for_each(|(gradient, step)| *gradient *= step);
        }
        Ok(gradients)
    }

    fn denormalized(&self, latents: &[f32]) -> Vec<f32> {
        let mut scaled = latents.to_vec();
        self.model.quantizer().denormalize(&mut scaled);
        scaled
    }

    /// Decoded values as the decoder shows them: averaged over the channels where the picture is gray, and clamped to [0, 1].
    fn shown(&self, decoded: &[f32]) -> Vec<f32> {
        let mut shown = decoded.to_vec();
        if self.gray {
            average_channels(&mut shown);
        }
        shown.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
        shown
    }

    /// From derivatives with respect to the shown values to derivatives with respect to the decoded values.
    fn through_shown(&self, decoded: &[f32], gradient: &mut [f32]) {
        let mut before_clamp = decoded.to_vec();
        if self.gray {
            average_channels(&mut before_clamp);
        }
        for (gradient, value) in gradient.iter_mut().zip(&before_clamp) {
            if !(0.0..=1.0).contains(value) {
                *gradient = 0.0;
            }
        }
        if self.gray {
            average_channels(gradient);
        }
    }
}

/// Replaces the three values of each pixel by their mean.
pub(super) fn average_channels(tiles: &mut [f32]) {
    for pixel in tiles.as_chunks_mut::<3>().0 {
        let mean = pixel.iter().sum::<f32>() / 3.0;
        pixel.fill(mean);
    }
}

/// The increase of a latent's bits per base step.
fn bit_slope(u: f32, channel: usize, step: f32, tables: &Tables) -> f32 {
    let range = tables.range(channel);
    let symbol = ((u / step).round() as i32).clamp(*range.start(), *range.end());
    let (low, high) = ((symbol - 1).max(*range.start()), (symbol + 1).min(*range.end()));
    (tables.bits(channel, high) - tables.bits(channel, low)) / ((high - low).max(1) as f32 * step)
}

fn tile_bits(symbols: &Symbols, tile: usize, tables: &Tables) -> f32 {
    let cell = symbols.cells().nth(tile).expect("a tile of the group");
    cell.iter().enumerate().map(|(channel, &symbol)| tables.bits(channel, symbol)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, Encoder, Model, testing, tiled::quantize::LAMBDA};

    /// Waves of colour in a size that does not fill its tiles.
    fn picture(gray: bool) -> Picture {
        let value = |i: u32| {
            let (x, y) = ((i / 3 % 40) as f32, (i / 3 / 40) as f32);
            let channel = if gray { 0.0 } else { (i % 3) as f32 };
            (127.0 + 60.0 * (x * 0.3 + channel).sin() + 50.0 * (y * 0.2 - 0.1 * x + channel).cos()) as u8
        };
        Picture::from_rgb(40, 25, (0..3000).map(value).collect()).with_gray(gray)
    }

    /// Squared error in 8-bit levels, and bits of the file.
    fn measure(model: &Model, quality: Quality, effort: u8, picture: &Picture) -> (f64, f64) {
        let file = Encoder::new(model).quality(quality).effort(effort).encode(picture).unwrap();
        let decoded = Decoder::new(model).decode(&file).unwrap();
        let errors =
            picture.rgb.iter().zip(&decoded.rgb).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
        (errors.sum(), 8.0 * file.len() as f64)
    }

    #[test]
    fn refined_pictures_are_better_at_their_rate() {
        let model = testing::tiny();
        for (gray, quality) in [(false, 75), (false, 40), (true, 75)] {
            let (picture, quality) = (picture(gray), Quality::new(quality).unwrap());
            let (before, after) =
                (measure(&model, quality, 0, &picture), measure(&model, quality, 5, &picture));
            // Fewer bits are worth some error.
            assert!(
                after.0 < before.0 * (1.0 + 0.02 * (before.1 - after.1).max(0.0)),
                "{before:?} {after:?}"
            );
        }
    }

    #[test]
    fn the_objective_has_the_gradient_that_it_reports() {
        let model = testing::tiny_tiled();
        for gray in [false, true] {
            let picture = picture(gray);
            let latents = model.latents_of(&picture).unwrap();
            let quality = Quality::REFERENCE;
            let tables = model.prior().at(quality);
            let objective = Objective { model: &model, tables: &tables, quality, lambda: 0.1, gray };
            let tiles: Vec<usize> = (0..model.grid(picture.width, picture.height).len()).collect();
            let target = Target::new(&model, &picture, &tiles);
            let (_, gradients) = objective.errors(&target, latents.values(), false).unwrap();
            let sum = |values: &[f32]| {
                let (errors, _) = objective.errors(&target, values, true).unwrap();
                errors.iter().map(|&error| f64::from(error)).sum::<f64>()
            };
            let scale = gradients.iter().fold(0f32, |most, x| most.max(x.abs()));
            for index in (0..gradients.len()).step_by(7) {
                let at = |change: f32| {
                    let mut values = latents.values().to_vec();
                    values[index] += change;
                    sum(&values)
                };
                let expected = ((at(0.02) - at(-0.02)) / 0.04) as f32;
                let found = gradients[index];
                assert!((found - expected).abs() < 0.05 * scale, "{index}: {found} and {expected}");
            }
        }
    }

    #[test]
    fn no_rounds_change_no_symbol() {
        let model = testing::tiny_tiled();
        let (picture, quality) = (picture(false), Quality::REFERENCE);
        let latents = model.latents_of(&picture).unwrap();
        let refined =
            refine(&model, &picture, &latents, &Search { quality, lambda: LAMBDA, rounds: 0 }).unwrap();
        let tables = model.prior().at(quality);
        let quantized = |latents| quantize::quantize(latents, &tables, quality, LAMBDA).unwrap();
        assert_eq!(quantized(&refined), quantized(&latents));
    }
}
