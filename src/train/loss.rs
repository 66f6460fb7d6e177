//! What training makes small: distortion, and the rate of latents that are rounded as the codec rounds them.

use super::recipe::{Distortion, Recipe};
use crate::{Error, Result, codec::quantize::LAMBDA, model::Graph};
use candle_core::Tensor;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Part of the tiles whose latents stay as they are.
const EXACT: f32 = 0.25;
/// The logarithms of the factors on the steps are uniform between these: qualities from about 37 to 85.
const LOG2_FACTORS: [f32; 2] = [-0.8, 3.2];
/// Added to mean squared errors before the logarithm, so that flat tiles do not have all the weight: about 37 dB.
const FLOOR: f64 = 2e-4;

/// How the codec would round the latents: their statistics over training tiles at a recent step of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Rounding {
    /// Mean, step at quality 75, and standard deviation of each latent.
    pub centres: Vec<f32>,
    pub steps: Vec<f32>,
    pub deviations: Vec<f32>,
    /// Sum of squared errors of a tile when one latent is off by its step.
    pub step_error: f32,
}

/// A batch through the network.
pub struct Loss {
    /// What to differentiate.
    pub objective: Tensor,
    /// Mean squared error of the tiles whose latents were not rounded, a number of its own.
    pub mse: Tensor,
}

/// Pixels from the border that count as near it.
const BORDER: usize = 3;

/// Sends `tiles` `[batch, tile, tile, 3]` through the network. With `rounding`, the latents of most tiles are rounded at random
/// qualities, and their rate is added with the weight that it has for the encoder at that quality. `rng` decides all that is
/// random.
///
/// # Errors
/// [`Error::Network`] when the shapes are of another network, or there is no memory.
pub fn loss(
    graph: &Graph,
    tiles: &Tensor,
    recipe: &Recipe,
    rounding: Option<&Rounding>,
    rng: &mut ChaCha8Rng,
) -> Result<Loss> {
    let batch = tiles.dim(0)?;
    let exact = graph.analyse(tiles, Some(rng))?;
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
        objective = (objective + (bits * weights)?.mean_all()?)?;
    }
    let unrounded: Vec<f32> = factors.iter().map(|&factor| f32::from(factor == 0.0)).collect();
    let count = unrounded.iter().sum::<f32>();
    let unrounded = Tensor::from_vec(unrounded, batch, tiles.device())?;
    let mse = ((mse * unrounded)?.sum_all()? / f64::from(count))?;
    Ok(Loss { objective, mse })
}

/// The weights of the pixels' errors, 1 in the mean.
fn weights(tiles: &Tensor, border: f32) -> Result<Tensor> {
    let (_, rows, columns, _) = tiles.dims4()?;
    let near = |at: usize, edge: usize| at.min(edge - 1 - at) < BORDER;
    let weight = |(y, x)| if near(y, rows) || near(x, columns) { 1.0 + border } else { 1.0 };
    let mut weights: Vec<f32> =
        (0..rows * columns).map(|place| weight((place / columns, place % columns))).collect();
    let mean = weights.iter().sum::<f32>() / weights.len() as f32;
    weights.iter_mut().for_each(|weight| *weight /= mean);
    Ok(Tensor::from_vec(weights, (1, rows, columns, 1), tiles.device())?)
}

/// The factor on a tile's steps, 0 where its latents are not rounded. There is such a tile in each batch.
fn draw_factor(rounding: Option<&Rounding>, index: usize, rng: &mut ChaCha8Rng) -> f32 {
    let [exact, factor] = std::array::from_fn(|_| rng.random::<f32>());
    if rounding.is_none() || index == 0 || exact < EXACT {
        return 0.0;
    }
    let [low, high] = LOG2_FACTORS;
    (low + (high - low) * factor).exp2()
}

/// Latents as the decoder would get them, with the gradient of those that were not rounded, and an estimate of the bits of
/// each tile whose slope is that of a Laplacian distribution.
struct Rounded {
    latents: Tensor,
    bits: Tensor,
}

impl Rounded {
    fn new(exact: &Tensor, rounding: &Rounding, factors: &[f32]) -> Result<Self> {
        let device = exact.device();
        let (batch, channels) = exact.dims2()?;
        if channels != rounding.steps.len() {
            return Err(Error::Misuse(format!("{channels} latents, and {} steps", rounding.steps.len())));
        }
        let row = |values: Vec<f32>| Tensor::from_vec(values, (1, channels), device);
        let centres = row(rounding.centres.clone())?;
        let slopes: Vec<f32> = rounding.deviations.iter().map(|&deviation| bit_slope(deviation)).collect();
        // Rounding towards zero saves the bits of a whole symbol: see `codec::quantize`.
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

/// Bits that a latent of a Laplacian distribution costs more for each unit that it is further from the centre.
fn bit_slope(deviation: f32) -> f32 {
    std::f32::consts::SQRT_2 / (deviation.max(1e-9) * std::f32::consts::LN_2)
}

/// What a bit costs in the unit of the distortion: [`LAMBDA`] squared steps' error, as for the encoder.
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

impl Rounding {
    /// The names under which a checkpoint keeps the arrays.
    pub(super) const NAMES: [&str; 4] =
        ["rounding:centres", "rounding:steps", "rounding:deviations", "rounding:step_error"];

    pub(super) fn arrays(&self) -> [(&'static str, Vec<f32>); 4] {
        let [centres, steps, deviations, step_error] = Self::NAMES;
        [
            (centres, self.centres.clone()),
            (steps, self.steps.clone()),
            (deviations, self.deviations.clone()),
            (step_error, vec![self.step_error]),
        ]
    }

    /// From the arrays in the order of the names, if they fit together.
    pub(super) fn from_arrays([centres, steps, deviations, error]: [Vec<f32>; 4]) -> Option<Self> {
        let step_error = *error.first()?;
        let alike = centres.len() == steps.len() && steps.len() == deviations.len();
        alike.then_some(Self { centres, steps, deviations, step_error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, init};
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
        let parameters = init::xavier(CONFIG, 3).unwrap();
        let graph = Graph::new(CONFIG, &parameters, &Device::Cpu).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let recipe = Recipe { distortion, ..Recipe::paper() };
        let Loss { objective, mse } = loss(&graph, &tiles(6), &recipe, rounding, &mut rng).unwrap();
        (objective.to_scalar().unwrap(), mse.to_scalar().unwrap())
    }

    #[test]
    fn without_rounding_the_loss_is_the_distortion() {
        let (objective, mse) = run(Distortion::Mse, None);
        assert!((objective - mse).abs() < 1e-7 && mse > 0.0);
        let (log, same) = run(Distortion::Psnr, None);
        assert_eq!(same, mse);
        // The mean of logarithms is below the logarithm of the mean, and near it for tiles as alike as these.
        assert!(log < (mse + 2e-4).ln() && log > (mse + 2e-4).ln() - 0.1, "{log} {mse}");
    }

    #[test]
    fn border_weights_keep_the_mean() {
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
    fn fine_steps_change_nothing_and_coarse_ones_cost_distortion() {
        let free = |step| Rounding { step_error: 0.0, ..rounding(step) };
        let exact = run(Distortion::Mse, None).0;
        assert!((run(Distortion::Mse, Some(&free(1e-6))).0 - exact).abs() < 1e-5);
        assert!((run(Distortion::Mse, Some(&free(3.0))).0 - exact).abs() > 1e-5);
        let (with_rate, _) = run(Distortion::Mse, Some(&rounding(1e-3)));
        assert!(with_rate > run(Distortion::Mse, Some(&free(1e-3))).0);
    }

    #[test]
    fn rounded_latents_lie_on_the_codecs_grid_and_gradients_pass() {
        let values = vec![0.1f32, 0.34, -0.9, 0.1, 0.34, -0.9];
        let exact = candle_core::Var::from_vec(values, (2, 3), &Device::Cpu).unwrap();
        let Rounded { latents, bits } = Rounded::new(&exact, &rounding(0.2), &[0.0, 2.0]).unwrap();
        let rows: Vec<Vec<f32>> = latents.to_vec2().unwrap();
        assert_eq!(rows[0], [0.1, 0.34, -0.9]);
        // Steps of 0.4, thresholds of 0.58: 0.6 steps are rounded away from zero, 2.5 steps towards it.
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
