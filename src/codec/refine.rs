//! Better latents for the picture at hand, by the decoder's gradient.
//!
//! The encoder's network guesses the latents in one pass. Here they are moved so that what the decoder makes of them comes nearer
//! to the picture, with the rate in view (Campos et al., "Content adaptive optimization for neural image compression", 2019): at
//! first as they are, for with large steps the gradient at rounded latents does not lead far; then the gradient is taken at
//! the rounded values and moves the exact ones (the straight-through estimator). What costs least on the way is kept.

use candle_core::{Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Latents, grid, quantize, tile_len};
use crate::{
    entropy::Tables,
    error::Result,
    model::{Graph, Model},
    picture::Picture,
    symbols::{Quality, Shape, Symbols},
};

/// Tiles that are refined together.
const TILES_AT_ONCE: usize = 8;
/// Part of a Newton step, with equal second derivatives for all latents, that is taken at first; it falls to a
/// tenth.
const FIRST_STEP: f32 = 0.6;

/// Moves latents towards a picture.
pub struct Refiner<'m> {
    model: &'m Model,
    graph: Graph,
    /// Times that the decoder's gradient is computed for each tile.
    pub rounds: usize,
}

/// What a group of tiles is to become.
struct Target {
    /// `[tiles, edge, edge, 3]`, values in [0, 1].
    tiles: Tensor,
    /// 1 within the picture, 0 beyond its border.
    inside: Tensor,
    gray: bool,
}

/// The latents of each tile with the least cost so far, before they are rounded: rounding them again gives the same
/// symbols.
struct Best {
    costs: Vec<f32>,
    values: Vec<f32>,
}

impl Best {
    /// Keeps the tile's latents among those of all tiles if they cost less.
    fn consider(&mut self, tile: usize, cost: f32, latents: &[f32]) {
        if cost < self.costs[tile] {
            let channels = latents.len() / self.costs.len();
            let range = tile * channels..(tile + 1) * channels;
            self.costs[tile] = cost;
            self.values[range.clone()].copy_from_slice(&latents[range]);
        }
    }
}

impl<'m> Refiner<'m> {
    /// Effort 1 to 9: from a few rounds to a few hundred. One round takes about as long as coding and decoding the tile.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when there is no memory for another copy of the weights.
    pub fn new(model: &'m Model, effort: u8) -> Result<Self> {
        Ok(Self { model, graph: model.frozen_graph()?, rounds: 3 * usize::from(effort).pow(2) })
    }

    /// The latents that [`Encoder::encode_latents`](super::Encoder::encode_latents) should be given in the place of those of
    /// [`Encoder::analyse`](super::Encoder::analyse): the cost of each tile, its squared error plus `lambda` times its bits in squared
    /// steps, is lower or the same.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when there is no memory.
    pub fn refine(
        &self,
        picture: &Picture,
        latents: &Latents,
        quality: Quality,
        lambda: f32,
    ) -> Result<Latents> {
        let grid = grid(self.model, picture.width, picture.height);
        let (tile_len, channels) = (tile_len(self.model), self.model.latents());
        let tables = self.model.prior().at(quality);
        let mut refined = Vec::with_capacity(latents.values().len());
        for (group, exact) in latents.values().chunks(TILES_AT_ONCE * channels).enumerate() {
            let count = exact.len() / channels;
            let (mut tiles, mut inside) = (vec![0.0; count * tile_len], Vec::new());
            for (tile, index) in tiles.chunks_exact_mut(tile_len).zip(group * TILES_AT_ONCE..) {
                grid.cut(&picture.rgb, index, tile);
                inside.extend(grid.inside(index));
            }
            let shape = (count, self.model.tile(), self.model.tile(), 3);
            let target = Target {
                tiles: Tensor::from_vec(tiles, shape, self.graph.device())?,
                inside: Tensor::from_vec(inside, (shape.0, shape.1, shape.2, 1), self.graph.device())?,
                gray: picture.gray,
            };
            refined.extend(self.refine_group(&target, exact, &tables, quality, lambda)?);
        }
        Latents::new(latents.shape(), refined)
    }

    fn refine_group(
        &self,
        target: &Target,
        exact: &[f32],
        tables: &Tables,
        quality: Quality,
        lambda: f32,
    ) -> Result<Vec<f32>> {
        let channels = self.model.latents();
        let count = exact.len() / channels;
        let shape = Shape { rows: count as u32, columns: 1, channels: channels as u32 };
        let step = quantize::step(quality);
        let curvatures = self.curvatures(target, exact)?;
        let mut moving = exact.to_vec();
        let mut best = Best { costs: vec![f32::INFINITY; count], values: exact.to_vec() };
        for round in 0..=self.rounds {
            let (variable, errors) = if round == 0 || 2 * round >= self.rounds {
                let exact = Latents::new(shape, moving.clone())?;
                let symbols = quantize::quantize(&exact, tables, quality, lambda)?;
                let rounded = quantize::reconstruct(&symbols, tables)?;
                let (variable, errors) = self.errors(target, rounded.values())?;
                for (tile, error) in errors.to_vec1::<f32>()?.into_iter().enumerate() {
                    let bits = tile_bits(&symbols, tile, tables);
                    best.consider(tile, error + lambda * curvatures[tile] * step * step * bits, &moving);
                }
                (variable, errors)
            } else {
                self.errors(target, &moving)?
            };
            if round == self.rounds {
                break;
            }
            let gradients = self.gradient(&errors.sum_all()?, &variable)?;
            let part = FIRST_STEP * (1.0 - 0.9 * round as f32 / self.rounds.max(1) as f32);
            for (index, (u, gradient)) in moving.iter_mut().zip(&gradients).enumerate() {
                let rate = 0.5 * lambda * step * step * bit_slope(*u, index % channels, step, tables);
                *u -= part * (gradient / (2.0 * curvatures[index / channels]) + rate);
            }
        }
        Ok(best.values)
    }

    /// The latents in base steps as a variable, and the sum of squared errors of each tile.
    fn errors(&self, target: &Target, latents: &[f32]) -> Result<(Var, Tensor)> {
        let (latents, decoded) = self.decode(target, latents)?;
        let errors =
            (decoded - &target.tiles)?.sqr()?.broadcast_mul(&target.inside)?.flatten_from(1)?.sum(1)?;
        Ok((latents, errors))
    }

    /// For each tile the error that a change of one latent by a base step makes, in the mean over its latents. They are about the
    /// same by the choice of the steps. By Hutchinson's estimator, as in the calibration of a model.
    fn curvatures(&self, target: &Target, latents: &[f32]) -> Result<Vec<f32>> {
        let channels = self.model.latents();
        let (latents, decoded) = self.decode(target, latents)?;
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let signs = (0..decoded.elem_count()).map(|_| if rng.random() { 1.0f32 } else { -1.0 }).collect();
        let signs =
            Tensor::from_vec(signs, decoded.shape(), decoded.device())?.broadcast_mul(&target.inside)?;
        let gradient = self.gradient(&(decoded * signs)?.sum_all()?, &latents)?;
        let mean = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>() / channels as f32;
        Ok(gradient.chunks_exact(channels).map(|row| mean(row).max(1e-12)).collect())
    }

    /// The latents in base steps as a variable, and what the decoder makes of them.
    fn decode(&self, target: &Target, latents: &[f32]) -> Result<(Var, Tensor)> {
        let (channels, device) = (self.model.latents(), self.graph.device());
        let latents = Var::from_slice(latents, (latents.len() / channels, channels), device)?;
        let row = |values: &[f32]| Tensor::from_slice(values, (1, channels), device);
        let quantizer = self.model.quantizer();
        let scaled = latents.broadcast_mul(&row(quantizer.steps())?)?;
        let decoded = self.graph.synthesize(&scaled.broadcast_add(&row(quantizer.centres())?)?, None)?;
        let decoded =
            if target.gray { decoded.mean_keepdim(3)?.broadcast_as(decoded.shape())? } else { decoded };
        Ok((latents, decoded.clamp(0f32, 1f32)?))
    }

    fn gradient(&self, value: &Tensor, latents: &Var) -> Result<Vec<f32>> {
        let gradients = value.backward()?;
        match gradients.get(latents) {
            Some(gradient) => Ok(gradient.flatten_all()?.to_vec1()?),
            None => Ok(vec![0.0; latents.elem_count()]),
        }
    }
}

/// How many bits more a latent costs for each base step that it grows by.
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
    use crate::{
        codec::{Decoder, Encoder},
        model,
    };

    /// Waves of colour in a size that does not fill its tiles.
    fn picture(gray: bool) -> Picture {
        let value = |i: u32| {
            let (x, y) = ((i / 3 % 40) as f32, (i / 3 / 40) as f32);
            let channel = if gray { 0.0 } else { (i % 3) as f32 };
            (127.0 + 60.0 * (x * 0.3 + channel).sin() + 50.0 * (y * 0.2 - 0.1 * x + channel).cos()) as u8
        };
        let mut picture = Picture::from_rgb(40, 25, (0..3000).map(value).collect());
        picture.gray = gray;
        picture
    }

    /// Squared error in 8-bit levels, and bits of the latents.
    fn measure(encoder: &Encoder<'_>, picture: &Picture, latents: &Latents) -> (f64, f64) {
        let file = encoder.encode_latents(picture, latents).unwrap();
        let decoded = Decoder::new(encoder.model).decode(&file).unwrap();
        let errors =
            picture.rgb.iter().zip(&decoded.rgb).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
        (errors.sum(), 8.0 * file.len() as f64)
    }

    #[test]
    fn refined_pictures_are_better_at_their_rate() {
        let model = model::tiny();
        let refiner = Refiner::new(&model, 5).unwrap();
        for (gray, quality) in [(false, 75), (false, 40), (true, 75)] {
            let (picture, quality) = (picture(gray), Quality::new(quality).unwrap());
            let encoder = Encoder { quality, ..Encoder::new(&model) };
            let latents = encoder.analyse(&picture).unwrap();
            let refined = refiner.refine(&picture, &latents, quality, encoder.lambda).unwrap();
            assert_eq!(refined, refiner.refine(&picture, &latents, quality, encoder.lambda).unwrap());
            let (before, after) =
                (measure(&encoder, &picture, &latents), measure(&encoder, &picture, &refined));
            // Fewer bits are no aim of their own, but each is worth some error.
            assert!(
                after.0 < before.0 * (1.0 + 0.02 * (before.1 - after.1).max(0.0)),
                "{before:?} {after:?}"
            );
        }
    }

    #[test]
    fn no_effort_keeps_what_the_encoder_would_write() {
        let model = model::tiny();
        let refiner = Refiner { rounds: 0, ..Refiner::new(&model, 1).unwrap() };
        let (picture, encoder) = (picture(false), Encoder::new(&model));
        let latents = encoder.analyse(&picture).unwrap();
        let refined = refiner.refine(&picture, &latents, encoder.quality, encoder.lambda).unwrap();
        assert_eq!(
            encoder.encode_latents(&picture, &refined).unwrap(),
            encoder.encode_latents(&picture, &latents).unwrap()
        );
    }
}
