//! From trained weights to a codec: centre, step and distribution of each latent, from training tiles.

use super::{Graph, Parameters, Quantizer, network::Analysis};
use crate::{Quality, Result, Shape, Symbols, entropy::Prior, nn};
use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Tiles in memory at once meanwhile.
const GAIN_BATCH: usize = 32;

/// Most steps that a latent of a training tile may lie from its centre: a [`Prior`] reaches to 512.
const MOST_STEPS: f32 = 500.0;

/// What is known of a network's latents.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    pub quantizer: Quantizer,
    pub prior: Prior,
    /// Standard deviation of each latent.
    pub deviations: Vec<f32>,
    /// Sum over a tile's values of the squared error, when one latent is off by its step at quality 75; the same for
    /// each latent that is not dead.
    pub step_error: f32,
}

/// Finds the quantizer and the prior of a network. The effect of each latent on the pixels is estimated from the first
/// `gain_tiles` of the tiles.
///
/// The steps make each latent cost the same error: they are inverse to the length of the pixels' derivative with respect to
/// the latent, which for small steps is the least error at a given rate (Goyal, "Theoretical foundations of transform
/// coding", 2001). Their common scale makes an average tile take `bytes` bytes at quality 75, or less where few latents are alive
/// and smaller steps would take them beyond what the prior holds.
///
/// # Errors
/// [`crate::Error::Misuse`] when there are no tiles, or the network's output is not finite.
pub fn calibrate(
    parameters: &Parameters,
    tiles: &[f32],
    gain_tiles: usize,
    bytes: f64,
    seed: u64,
) -> Result<Calibration> {
    let config = parameters.config;
    let latents = Analysis::new(config, parameters, nn::Path::best()).run(tiles);
    let tile_count = (latents.len() / config.latents) as u32;
    let shape = Shape { rows: tile_count, columns: 1, channels: config.latents as u32 };
    let (centres, deviations) = moments(&latents, config.latents);
    let gains = gains(parameters, &tiles[..tiles.len().min(gain_tiles * config.tile_len())], seed)?;
    // Where a latent moves no pixel, one step for all of its values. One that merely never changes needs a step like any other: its
    // reconstruction point is off by a small part of it.
    let relative: Vec<f32> = gains
        .iter()
        .zip(&deviations)
        .map(|(gain, deviation)| if *gain > 1e-9 { 1.0 / gain } else { 1e3 * (deviation + 1.0) })
        .collect();
    let rate = |scale: f32| -> Result<(f64, Quantizer, Prior)> {
        let steps = relative.iter().map(|step| step * scale).collect();
        let quantizer = Quantizer::new(centres.clone(), steps)?;
        let mut coordinates = latents.clone();
        quantizer.normalize(&mut coordinates);
        let prior = Prior::fit(&coordinates, config.latents)?;
        let tables = prior.at(Quality::REFERENCE);
        let nearest = |(index, u): (usize, &f32)| {
            let range = tables.range(index % config.latents);
            (u.round() as i32).clamp(*range.start(), *range.end())
        };
        let symbols = Symbols::new(shape, coordinates.iter().enumerate().map(nearest).collect())?;
        Ok((tables.ideal_bits(&symbols) / shape.cells() as f64 / 8.0, quantizer, prior))
    };
    let away = latents.chunks_exact(config.latents).flat_map(|tile| tile.iter().zip(&centres).zip(&relative));
    let farthest = away.map(|((latent, centre), step)| (latent - centre).abs() / step).fold(0.0, f32::max);
    // Bisection of the logarithm of the scale; the rate falls as the steps grow, as long as all latents are in reach.
    let (mut low, mut high) = ((farthest / MOST_STEPS).log2().clamp(-20.0, 10.0), 10.0f32);
    for _ in 0..20 {
        let middle = 0.5 * (low + high);
        if rate(middle.exp2())?.0 > bytes { low = middle } else { high = middle }
    }
    let (_, quantizer, prior) = rate(high.exp2())?;
    Ok(Calibration { quantizer, prior, deviations, step_error: (2.0 * high).exp2() })
}

/// Mean and standard deviation of each column.
fn moments(rows: &[f32], columns: usize) -> (Vec<f32>, Vec<f32>) {
    let count = (rows.len() / columns) as f64;
    let column = |c: usize| rows[c..].iter().step_by(columns).map(|&x| f64::from(x));
    (0..columns)
        .map(|c| {
            let mean = column(c).sum::<f64>() / count;
            let variance = column(c).map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            (mean as f32, variance.sqrt() as f32)
        })
        .unzip()
}

/// Root mean square length of the derivative of a tile's pixels with respect to each latent, by Hutchinson's estimator:
/// the expected square of the gradient of a random combination of the pixels is that length squared.
fn gains(parameters: &Parameters, tiles: &[f32], seed: u64) -> Result<Vec<f32>> {
    let config = parameters.config;
    let graph = Graph::new(config, parameters, &Device::Cpu)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut squares = vec![0.0f64; config.latents];
    for tiles in tiles.chunks(GAIN_BATCH * config.tile_len()) {
        let shape = (tiles.len() / config.tile_len(), config.tile, config.tile, 3);
        let signs: Vec<f32> = (0..tiles.len()).map(|_| if rng.random() { 1.0 } else { -1.0 }).collect();
        let tiles = Tensor::from_slice(tiles, shape, &Device::Cpu)?;
        let latents = candle_core::Var::from_tensor(&graph.analyse(&tiles, None)?.detach())?;
        let signs = Tensor::from_vec(signs, shape, &Device::Cpu)?;
        let combination = (graph.synthesize(&latents, None)? * signs)?.sum_all()?;
        let gradient = combination.backward()?;
        let Some(gradient) = gradient.get(&latents) else { continue };
        for row in gradient.to_vec2::<f32>()? {
            squares.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(x).powi(2));
        }
    }
    let count = (tiles.len() / config.tile_len()).max(1) as f64;
    Ok(squares.into_iter().map(|sum| (sum / count).sqrt() as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, init};

    /// A network with random weights, and tiles.
    fn small() -> (Parameters, Vec<f32>) {
        let config = Config { tile: 8, channels: 4, reductions: 1, latents: 3, ..Config::default() };
        let tiles = (0..40 * config.tile_len()).map(|i| (i * i % 251) as f32 / 251.0).collect();
        (init::xavier(config, 1).unwrap(), tiles)
    }

    #[test]
    fn a_latent_that_never_changes_has_a_step_like_the_others() {
        let (mut parameters, tiles) = small();
        let latents = parameters.config.latents;
        let column = parameters.get_mut("encoder.linear.weight").iter_mut().step_by(latents);
        column.for_each(|weight| *weight = 0.0);
        parameters.get_mut("encoder.linear.bias")[0] = 0.5;
        let Calibration { quantizer, deviations, .. } = calibrate(&parameters, &tiles, 40, 0.5, 1).unwrap();
        let steps = quantizer.steps();
        assert!((deviations[0], quantizer.centres()[0]) == (0.0, 0.5) && deviations[1] > 0.0);
        assert!((0.1..10.0).contains(&(steps[0] / steps[1])), "{steps:?}");
    }

    #[test]
    fn steps_never_take_latents_out_of_reach() {
        let (parameters, tiles) = small();
        let latents = Analysis::new(parameters.config, &parameters, nn::Path::best()).run(&tiles);
        let reach = |bytes: f64| {
            let mut coordinates = latents.clone();
            calibrate(&parameters, &tiles, 40, bytes, 1).unwrap().quantizer.normalize(&mut coordinates);
            coordinates.into_iter().fold(0.0, |most: f32, u| most.max(u.abs()))
        };
        assert!(reach(0.5) < 100.0);
        // More bytes than three latents can take.
        let most = reach(1000.0);
        assert!((400.0..512.0).contains(&most), "{most}");
    }
}
