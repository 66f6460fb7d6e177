//! The speed of the tiled family's network.

use aez_core::tiled::{Config, TiledModel, init};
use aez_train::{
    Result,
    learner::Learner,
    loss::loss,
    optimizer::{OptimizerState, Step},
    recipe::Recipe,
};
use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::{
    super::{common::Common, failure::Failure},
    Args, Speeds, median_seconds, simd,
};

/// Tiles per call without `--batch`.
const BATCH: u16 = 48;
/// Number of measured runs of the network.
const RUNS: usize = 7;
/// Number of measured training steps.
const TRAINING_RUNS: usize = 3;
/// Tiles per training step.
const TRAINING_BATCH: usize = 64;

#[derive(Serialize)]
pub(super) struct TileSpeeds {
    encode_tiles_per_s: f64,
    decode_tiles_per_s: f64,
    encode_gflop_per_s: f64,
    decode_gflop_per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_tiles_per_s: Option<f64>,
    threads: usize,
    batch: usize,
    simd: String,
    /// As in `--device`.
    device: String,
}

pub(super) fn measure(model: &TiledModel, args: &Args, common: &Common) -> Result<TileSpeeds, Failure> {
    let config = *model.config();
    let batch = usize::from(args.batch.unwrap_or(BATCH));
    let tiles = random(batch * config.tile_len());
    let latents = model.analyse(&tiles)?;
    let encode = speed(batch, RUNS, || Ok(model.analyse(&tiles).map(drop)?))?;
    let decode = speed(batch, RUNS, || Ok(model.synthesize(&latents).map(drop)?))?;
    let gflop = 2e-9 * config.multiplications() as f64;
    let device = common.open_device()?;
    Ok(TileSpeeds {
        encode_tiles_per_s: encode,
        decode_tiles_per_s: decode,
        encode_gflop_per_s: encode * gflop,
        decode_gflop_per_s: decode * gflop,
        train_tiles_per_s: args.train.then(|| training(config, &device)).transpose()?,
        threads: rayon::current_num_threads(),
        batch,
        simd: simd(),
        device: common.device.to_string(),
    })
}

impl Speeds for TileSpeeds {
    fn text(&self) -> String {
        let train = self.train_tiles_per_s.map(|train| format!("train  {train:8.1} tiles/s\n"));
        format!(
            "{}, {} threads, {}, {} tiles per call\n\
             encode {:8.1} tiles/s {:8.1} GFLOP/s\n\
             decode {:8.1} tiles/s {:8.1} GFLOP/s\n\
             {}(GFLOP of the direct convolution; faster algorithms need fewer operations)\n",
            self.device,
            self.threads,
            self.simd,
            self.batch,
            self.encode_tiles_per_s,
            self.encode_gflop_per_s,
            self.decode_tiles_per_s,
            self.decode_gflop_per_s,
            train.unwrap_or_default()
        )
    }
}

/// Tiles per second: the median over `runs` runs, after one that is not measured.
fn speed(tiles: usize, runs: usize, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    Ok(tiles as f64 / median_seconds(runs, run)?)
}

/// Speed of a training step of the paper's recipe, in tiles per second: forward, backward and Adam.
fn training(config: Config, device: &Device) -> Result<f64> {
    let parameters = init::xavier(config, 1)?;
    let state = OptimizerState::new(&parameters, false);
    let mut learner = Learner::new(&parameters, &state, device)?;
    let shape = (TRAINING_BATCH, config.tile, config.tile, 3);
    let (recipe, mut rng) = (Recipe::paper(), rand_chacha::ChaCha8Rng::seed_from_u64(1));
    let tiles = Tensor::from_vec(random(TRAINING_BATCH * config.tile_len()), shape, device)?;
    speed(TRAINING_BATCH, TRAINING_RUNS, || {
        let (_, gradients) = learner.differentiate(|graph| loss(graph, &tiles, &recipe, None, &mut rng))?;
        learner.update(&gradients, &Step::adam(recipe.rate))?;
        Ok(device.synchronize()?)
    })
}

/// Uniform random values in [0, 1).
fn random(count: usize) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    (0..count).map(|_| rng.random()).collect()
}
