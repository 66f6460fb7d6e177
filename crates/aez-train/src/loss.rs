//! The objective of training: the distortion, and the rate of latents that are rounded as by the encoder.

use crate::{
    Error, Result,
    graph::Graph,
    log::NORMALIZED_LOSS,
    recipe::{Distortion, Recipe},
};
use aez_core::tiled::{Calibration, quantize::LAMBDA};
use candle_core::Tensor;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Fraction of the tiles whose latents are not rounded.
const EXACT: f32 = 0.25;
/// Range of the binary logarithm of the factors on the quantization steps, which is uniformly distributed: qualities from
/// about 37 to 85.
const LOG2_FACTORS: [f32; 2] = [-0.8, 3.2];
/// Added to mean squared errors before the logarithm, to limit the weight of flat tiles. It corresponds to about 37 dB.
const FLOOR: f64 = 2e-4;
/// Number of rows and columns at each edge of a tile whose errors have the weight of [`Recipe::border`].
const BORDER: usize = 3;

/// The quantizer at a recent step of the run, and statistics of the latents of training tiles.
#[derive(Debug, Clone, PartialEq)]
pub struct Rounding {
    /// Mean of each latent.
    pub centres: Vec<f32>,
    /// Quantization step of each latent at quality 75.
    pub steps: Vec<f32>,
    /// Standard deviation of each latent.
    pub deviations: Vec<f32>,
    /// Sum of the squared errors over a tile, of values in [0, 1], when one latent changes by its step.
    pub step_error: f32,
}

/// The loss of a batch.
pub struct Loss {
    /// The scalar to differentiate.
    pub objective: Tensor,
    /// Mean squared error of the tiles whose latents are not rounded: a scalar without gradient.
    pub mse: Tensor,
}

/// Computes the loss of `tiles` `[batch, tile, tile, 3]`, values in [0, 1]. If `rounding` is given, the latents of most tiles
/// are rounded at random qualities, and the objective includes their rate: [`Recipe::rate_weight`] times the weight that the encoder
/// gives it at this quality. `rng` generates the qualities and the dropout masks.
///
/// # Errors
/// [`Error::Tensor`] for tiles of another size, or if the device has too little memory; [`aez_core::Error::Misuse`] if
/// `rounding` is for another number of latents.
pub fn loss(
    graph: &Graph,
    tiles: &Tensor,
    recipe: &Recipe,
    rounding: Option<&Rounding>,
    rng: &mut ChaCha8Rng,
) -> Result<Loss> {
    let batch = tiles.dim(0)?;
    let exact = graph.analyse(tiles, Some(rng))?;
    let exact = if recipe.encoder { exact } else { exact.detach() };
    let factors: Vec<f32> = (0..batch).map(|index| draw_factor(rounding, index, rng)).collect();
    let rounded = rounding.map(|rounding| Rounded::new(&exact, rounding, &factors)).transpose()?;
    let latents = rounded.as_ref().map_or(&exact, |rounded| &rounded.latents);
    let decoded = graph.synthesize(latents, Some(rng))?;
    let errors = (decoded - tiles)?.sqr()?;
    let mse = errors.detach().flatten_from(1)?.mean(1)?;
    let weighted = errors.broadcast_mul(&weights(tiles, recipe.border)?)?.flatten_from(1)?;
    let (values, weighted) = (weighted.dim(1)?, weighted.mean(1)?);
    let mut objective = match recipe.distortion {
        Distortion::Mse => weighted.mean_all()?,
        Distortion::Psnr => weighted.affine(1.0, FLOOR)?.log()?.mean_all()?,
    };
    if let (Some(Rounded { bits, .. }), Some(rounding)) = (rounded, rounding) {
        let weights = rate_weights(&weighted, values, recipe.distortion, rounding, &factors)?;
        let rate = ((bits * weights)?.mean_all()? * f64::from(recipe.rate_weight))?;
        objective = (objective + rate)?;
    }
    if graph.config().normalize && recipe.distortion == Distortion::Mse {
        // The paper differentiates errors of values in [-1, 1]. Adam depends little on the scale of gradients, but it does.
        objective = (objective * NORMALIZED_LOSS)?;
    }
    let unrounded: Vec<f32> = factors.iter().map(|&factor| f32::from(factor == 0.0)).collect();
    let count = unrounded.iter().sum::<f32>();
    let unrounded = Tensor::from_vec(unrounded, batch, tiles.device())?;
    let mse = ((mse * unrounded)?.sum_all()? / f64::from(count))?;
    Ok(Loss { objective, mse })
}

/// The weight of the error of each pixel, `[1, rows, columns, 1]`; 1 on average.
fn weights(tiles: &Tensor, border: f32) -> Result<Tensor> {
    let (_, rows, columns, _) = tiles.dims4()?;
    let near = |index: usize, edge: usize| index.min(edge - 1 - index) < BORDER;
    let weight = |(y, x)| if near(y, rows) || near(x, columns) { 1.0 + border } else { 1.0 };
    let mut weights: Vec<f32> =
        (0..rows * columns).map(|pixel| weight((pixel / columns, pixel % columns))).collect();
    let mean = weights.iter().sum::<f32>() / weights.len() as f32;
    weights.iter_mut().for_each(|weight| *weight /= mean);
    Ok(Tensor::from_vec(weights, (1, rows, columns, 1), tiles.device())?)
}

/// A random factor on the quantization steps of a tile, or 0 if its latents are not rounded. The latents of the first tile of a
/// batch are never rounded.
fn draw_factor(rounding: Option<&Rounding>, index: usize, rng: &mut ChaCha8Rng) -> f32 {
    let [exact, factor] = std::array::from_fn(|_| rng.random::<f32>());
    if rounding.is_none() || index == 0 || exact < EXACT {
        return 0.0;
    }
    let [low, high] = LOG2_FACTORS;
    (low + (high - low) * factor).exp2()
}

/// Rounded latents.
struct Rounded {
    /// The latents that the decoder receives, `[batch, latents]`. Their gradient passes through the rounding.
    latents: Tensor,
    /// Estimate of the bits of each tile, `[batch]`, up to a constant: linear in the magnitude of the latents, as for a Laplacian
    /// distribution.
    bits: Tensor,
}

impl Rounded {
    fn new(exact: &Tensor, rounding: &Rounding, factors: &[f32]) -> Result<Self> {
        let device = exact.device();
        let (batch, channels) = exact.dims2()?;
        if channels != rounding.steps.len() {
            return Err(Error::misuse(format!("{} steps for {channels} latents", rounding.steps.len())));
        }
        let row = |values: Vec<f32>| Tensor::from_vec(values, (1, channels), device);
        let centres = row(rounding.centres.clone())?;
        let slopes: Vec<f32> = rounding.deviations.iter().map(|&deviation| bit_slope(deviation)).collect();
        // Rounding towards zero saves the bits of one symbol: see `aez_core::tiled::quantize`.
        let mut steps = Vec::with_capacity(batch * channels);
        let mut thresholds = Vec::with_capacity(batch * channels);
        for factor in factors {
            for (step, slope) in rounding.steps.iter().zip(&slopes) {
                let step = step * if *factor == 0.0 { 1.0 } else { *factor };
                steps.push(step);
                thresholds.push(0.5 - (0.5 * LAMBDA * step * slope).min(0.4));
            }
        }
        let grid = |values: Vec<f32>| Tensor::from_vec(values, (batch, channels), device);
        let (steps, thresholds) = (grid(steps)?, grid(thresholds)?);
        let centred = exact.broadcast_sub(&centres)?;
        let scaled = centred.div(&steps)?.detach();
        let symbols = (scaled.sign()? * (scaled.abs()? + thresholds)?.floor()?)?;
        let rounds = factors.iter().map(|&factor| f32::from(factor != 0.0)).collect();
        let rounds = Tensor::from_vec(rounds, (batch, 1), device)?;
        let change = (symbols.mul(&steps)? - centred.detach())?.broadcast_mul(&rounds)?;
        let coded = symbols.ne(&symbols.zeros_like()?)?.to_dtype(exact.dtype())?.broadcast_mul(&rounds)?;
        let bits = centred.abs()?.broadcast_mul(&row(slopes)?)?.mul(&coded)?.sum(1)?;
        Ok(Self { latents: (exact + change)?, bits })
    }
}

/// Additional bits of a latent for each unit of its distance from the centre, for a Laplacian distribution.
fn bit_slope(deviation: f32) -> f32 {
    std::f32::consts::SQRT_2 / (deviation.max(1e-9) * std::f32::consts::LN_2)
}

/// The weight of a bit of each tile relative to the distortion: the error of [`LAMBDA`] squared steps, as for the encoder.
fn rate_weights(
    mean_errors: &Tensor,
    values: usize,
    distortion: Distortion,
    rounding: &Rounding,
    factors: &[f32],
) -> Result<Tensor> {
    let weight = |factor: &f32| LAMBDA * rounding.step_error * factor * factor / values as f32;
    let weights: Vec<f32> = factors.iter().map(weight).collect();
    let weights = Tensor::from_vec(weights, mean_errors.dims(), mean_errors.device())?;
    Ok(match distortion {
        Distortion::Mse => weights,
        Distortion::Psnr => weights.div(&mean_errors.detach().affine(1.0, FLOOR)?)?,
    })
}

impl From<Calibration> for Rounding {
    fn from(calibration: Calibration) -> Self {
        Self {
            centres: calibration.quantizer.centres().to_vec(),
            steps: calibration.quantizer.steps().to_vec(),
            deviations: calibration.deviations,
            step_error: calibration.step_error,
        }
    }
}

impl Rounding {
    /// Names of the arrays in a checkpoint.
    pub(crate) const NAMES: [&str; 4] =
        ["rounding:centres", "rounding:steps", "rounding:deviations", "rounding:step_error"];

    /// Names and values of the arrays in a checkpoint.
    pub(crate) fn arrays(&self) -> [(&'static str, Vec<f32>); 4] {
        let [centres, steps, deviations, step_error] = Self::NAMES;
        [
            (centres, self.centres.clone()),
            (steps, self.steps.clone()),
            (deviations, self.deviations.clone()),
            (step_error, vec![self.step_error]),
        ]
    }

    /// Makes the value from its arrays in the order of the names, if their lengths are consistent.
    pub(crate) fn from_arrays([centres, steps, deviations, error]: [Vec<f32>; 4]) -> Option<Self> {
        let step_error = *error.first()?;
        let consistent = centres.len() == steps.len() && steps.len() == deviations.len();
        consistent.then_some(Self { centres, steps, deviations, step_error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aez_core::tiled::{Config, init};
    use candle_core::Device;
    use rand::SeedableRng;

    const CONFIG: Config =
        Config { tile: 8, channels: 4, reductions: 1, latents: 3, normalize: false, dropout: 0.0 };

    fn rounding(step: f32) -> Rounding {
        Rounding { centres: vec![0.1; 3], steps: vec![step; 3], deviations: vec![0.5; 3], step_error: 0.01 }
    }

    fn tiles(count: usize) -> Tensor {
        let values = (0..count * 192).map(|i| ((i * 7919) % 101) as f32 / 101.0).collect();
        Tensor::from_vec(values, (count, 8, 8, 3), &Device::Cpu).unwrap()
    }

    fn run(distortion: Distortion, rounding: Option<&Rounding>) -> (f32, f32) {
        run_recipe(&Recipe { distortion, ..Recipe::paper() }, rounding)
    }

    fn run_recipe(recipe: &Recipe, rounding: Option<&Rounding>) -> (f32, f32) {
        let parameters = init::xavier(CONFIG, 3).unwrap();
        let graph = Graph::new(&parameters, &Device::Cpu).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let Loss { objective, mse } = loss(&graph, &tiles(6), recipe, rounding, &mut rng).unwrap();
        (objective.to_scalar().unwrap(), mse.to_scalar().unwrap())
    }

    #[test]
    fn without_rounding_the_loss_is_the_distortion() {
        let (objective, mse) = run(Distortion::Mse, None);
        assert!((objective - mse).abs() < 1e-7 && mse > 0.0);
        let (log, same) = run(Distortion::Psnr, None);
        assert_eq!(same, mse);
        // The mean of logarithms is below the logarithm of the mean, and near it for tiles as similar as these.
        assert!(log < (mse + 2e-4).ln() && log > (mse + 2e-4).ln() - 0.1, "{log} {mse}");
    }

    #[test]
    fn border_weights_are_1_on_average() {
        let weights: Vec<f32> =
            weights(&Tensor::zeros((2, 8, 8, 3), candle_core::DType::F32, &Device::Cpu).unwrap(), 0.5)
                .unwrap()
                .flatten_all()
                .unwrap()
                .to_vec1()
                .unwrap();
        assert!((weights.iter().sum::<f32>() - 64.0).abs() < 1e-4);
        assert!((weights[3 * 8 + 2] / weights[3 * 8 + 3] - 1.5).abs() < 1e-6);
        assert_eq!(weights[0], weights[63]);
    }

    #[test]
    fn fine_steps_keep_the_loss_and_coarse_steps_change_it() {
        let free = |step| Rounding { step_error: 0.0, ..rounding(step) };
        let exact = run(Distortion::Mse, None).0;
        assert!((run(Distortion::Mse, Some(&free(1e-6))).0 - exact).abs() < 1e-5);
        assert!((run(Distortion::Mse, Some(&free(3.0))).0 - exact).abs() > 1e-5);
        let (with_rate, _) = run(Distortion::Mse, Some(&rounding(1e-3)));
        let (without_rate, _) = run(Distortion::Mse, Some(&free(1e-3)));
        assert!(with_rate > without_rate);
        for (weight, expected) in [(0.0, without_rate), (0.5, 0.5 * (with_rate + without_rate))] {
            let (found, _) =
                run_recipe(&Recipe { rate_weight: weight, ..Recipe::paper() }, Some(&rounding(1e-3)));
            assert!((found - expected).abs() < 1e-6, "{found} instead of {expected}");
        }
    }

    #[test]
    fn without_the_encoder_only_the_decoder_has_gradients() {
        let parameters = init::xavier(CONFIG, 3).unwrap();
        let graph = Graph::new(&parameters, &Device::Cpu).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for encoder in [true, false] {
            let recipe = Recipe { encoder, ..Recipe::paper() };
            let loss = loss(&graph, &tiles(6), &recipe, Some(&rounding(0.1)), &mut rng).unwrap();
            let gradients = graph.gradients(&loss.objective.backward().unwrap()).unwrap();
            for ((name, _), gradient) in graph.variables().zip(gradients) {
                let length = gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
                assert_eq!(length > 0.0, encoder || name.starts_with("decoder"), "{name}");
            }
        }
    }

    #[test]
    fn latents_are_rounded_to_the_quantizers_grid_and_gradients_pass_through() {
        let values = vec![0.1f32, 0.34, -0.9, 0.1, 0.34, -0.9];
        let exact = candle_core::Var::from_vec(values, (2, 3), &Device::Cpu).unwrap();
        let Rounded { latents, bits } = Rounded::new(&exact, &rounding(0.2), &[0.0, 2.0]).unwrap();
        let rows: Vec<Vec<f32>> = latents.to_vec2().unwrap();
        assert_eq!(rows[0], [0.1, 0.34, -0.9]);
        // The steps are 0.4, and magnitudes are rounded up from a fraction of 0.58 steps: 0.6 steps become 1, and 2.5 become 2.
        for (found, expected) in rows[1].iter().zip([0.1, 0.5, -0.7]) {
            assert!((found - expected).abs() < 1e-6, "{rows:?}");
        }
        let bits: Vec<f32> = bits.to_vec1().unwrap();
        assert!(bits[0] == 0.0 && bits[1] > 0.0);
        let gradient = latents.sum_all().unwrap().backward().unwrap();
        let gradient: Vec<f32> = gradient.get(&exact).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(gradient, [1.0; 6]);
    }
}
