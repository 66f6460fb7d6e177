//! Calibration: the centre, step and distribution of each latent of a trained network, measured on training tiles.

use super::{
    Parameters, Quantizer,
    backward::Backward,
    network::{Analysis, Synthesis},
    sensitivity,
};
use crate::{
    entropy::Prior,
    error::Result,
    nn::InstructionSet,
    symbols::{Quality, Shape, Symbols},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Number of tiles in memory at once while gains are measured.
const GAIN_BATCH: usize = 32;

/// Maximum distance of a training tile's latent from its centre, in steps. A [`Prior`] extends to 512.
const MAX_STEPS: f32 = 500.0;

/// The result of [`calibrate`].
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Centres and steps.
    pub quantizer: Quantizer,
    /// Distributions.
    pub prior: Prior,
    /// Standard deviation of each latent.
    pub deviations: Vec<f32>,
    /// Sum over a tile's values of the squared error when one latent changes by its step at quality 75. It is the same for each
    /// latent on which the tile depends.
    pub step_error: f32,
}

/// Measures the quantizer and the prior of a network on `tiles`, `tile * tile * 3` values in [0, 1] each. The effect of each latent on
/// the pixels is estimated from the first `gain_tiles` tiles.
///
/// The steps are such that each latent causes the same error: they are inverse to the length of the derivative of the pixels with
/// respect to the latent, which for small steps gives the smallest error at a given rate (Goyal, "Theoretical foundations of
/// transform coding", 2001). Their common scale is such that an average tile takes `bytes` bytes at quality 75, or less where smaller
/// steps would exceed the range of the prior, as when only few latents are in use.
///
/// # Errors
/// [`crate::Error::Misuse`] when there are no tiles, or the output of the network is not finite.
pub fn calibrate(
    parameters: &Parameters,
    tiles: &[f32],
    gain_tiles: usize,
    bytes: f64,
    seed: u64,
) -> Result<Calibration> {
    let config = parameters.config;
    let latents = Analysis::new(config, parameters, InstructionSet::best())?.run(tiles);
    let tile_count = (latents.len() / config.latents) as u32;
    let shape = Shape { rows: tile_count, columns: 1, channels: config.latents as u32 };
    let (centres, deviations) = moments(&latents, config.latents);
    let gain_latents = &latents[..latents.len().min(gain_tiles * config.latents)];
    let gains = gains(parameters, gain_latents, seed)?;
    // A latent without effect on the pixels gets one step for all of its values. One that never changes in training gets a step like
    // any other, because its reconstruction point is off by a small part of the step.
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
    // Bisection of the logarithm of the scale. The rate decreases with the step, as long as all latents are in range.
    let (mut low, mut high) = ((farthest / MAX_STEPS).log2().clamp(-20.0, 10.0), 10.0f32);
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

/// Root mean square length of the derivative of a tile's pixels with respect to each latent.
fn gains(parameters: &Parameters, latents: &[f32], seed: u64) -> Result<Vec<f32>> {
    let (config, set) = (parameters.config, InstructionSet::best());
    let synthesis = Synthesis::new(config, parameters, set)?;
    let backward = Backward::new(config, parameters, set)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sums = vec![0.0f64; config.latents];
    for latents in latents.chunks(GAIN_BATCH * config.latents) {
        let len = latents.len() / config.latents * config.tile_len();
        let squares = sensitivity::squared_lengths(len, &mut rng, |signs| {
            Ok(backward.run(&synthesis, latents, &mut |_| signs.clone()))
        })?;
        for row in squares.chunks_exact(config.latents) {
            sums.iter_mut().zip(row).for_each(|(sum, &square)| *sum += f64::from(square));
        }
    }
    let count = (latents.len() / config.latents).max(1) as f64;
    Ok(sums.into_iter().map(|sum| (sum / count).sqrt() as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiled::{Config, init};

    /// A network with random weights, and tiles for it.
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
    fn steps_keep_latents_within_the_prior() {
        let (parameters, tiles) = small();
        let latents =
            Analysis::new(parameters.config, &parameters, InstructionSet::best()).unwrap().run(&tiles);
        let reach = |bytes: f64| {
            let mut coordinates = latents.clone();
            calibrate(&parameters, &tiles, 40, bytes, 1).unwrap().quantizer.normalize(&mut coordinates);
            coordinates.into_iter().fold(0.0, |most: f32, u| most.max(u.abs()))
        };
        assert!(reach(0.5) < 100.0);
        // More bytes than three latents can use.
        let most = reach(1000.0);
        assert!((400.0..512.0).contains(&most), "{most}");
    }
}
