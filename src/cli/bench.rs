//! `aez bench`.

use std::time::Instant;

use aez::{
    Result,
    model::{Config, init},
    train::{
        learner::Learner,
        loss::loss,
        optimizer::{Optimizer, Step},
        recipe::Recipe,
    },
};
use candle_core::{Device, Tensor};
use clap::Args as ClapArgs;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::{common::Common, failure::Failure, files::write_stdout};

/// Measure how fast the network runs on this machine
///
/// The network alone, on random tiles in memory: after a warm-up, the median of several runs.
#[derive(ClapArgs)]
pub struct Args {
    /// Measure a training step too: forward, backward and Adam, on 64 tiles
    #[arg(long)]
    train: bool,
    /// Tiles in a call of the network
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs that are measured: the median counts.
const RUNS: usize = 7;
const TRAINING_RUNS: usize = 3;
const TRAINING_BATCH: usize = 64;

#[derive(Serialize)]
struct Speeds {
    encode_tiles_per_s: f64,
    decode_tiles_per_s: f64,
    encode_gflop_per_s: f64,
    decode_gflop_per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_tiles_per_s: Option<f64>,
    threads: usize,
    batch: usize,
    simd: String,
    /// As `--device` names it.
    device: String,
}

impl Args {
    pub fn run(self, common: &Common) -> std::result::Result<(), Failure> {
        let model = common.load_model()?;
        let batch = usize::from(self.batch);
        let tiles = random(batch * model.tile() * model.tile() * 3);
        let latents = model.analyse(&tiles)?;
        let encode = speed(batch, RUNS, || model.analyse(&tiles).map(drop))?;
        let decode = speed(batch, RUNS, || model.synthesize(&latents).map(drop))?;
        let gflop = 2e-9 * model.config().multiplications() as f64;
        let speeds = Speeds {
            encode_tiles_per_s: encode,
            decode_tiles_per_s: decode,
            encode_gflop_per_s: encode * gflop,
            decode_gflop_per_s: decode * gflop,
            train_tiles_per_s: self.train.then(|| training(*model.config(), &model.device())).transpose()?,
            threads: rayon::current_num_threads(),
            batch,
            simd: format!("{:?}", aez::nn::Path::best()).to_lowercase(),
            device: common.device.to_string(),
        };
        let text = if self.json {
            serde_json::to_string(&speeds).expect("plain numbers") + "\n"
        } else {
            speeds.text()
        };
        write_stdout(text.as_bytes())
    }
}

impl Speeds {
    fn text(&self) -> String {
        let train = self.train_tiles_per_s.map(|train| format!("train  {train:8.1} tiles/s\n"));
        format!(
            "{}, {} threads, {}, {} tiles a call\n\
             encode {:8.1} tiles/s {:8.1} GFLOP/s\n\
             decode {:8.1} tiles/s {:8.1} GFLOP/s\n\
             {}(operations counted as in plain convolution: faster algorithms do less of them)\n",
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

/// Tiles a second: the median of some runs, after one that is not counted.
fn speed(tiles: usize, runs: usize, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let mut seconds = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(tiles as f64 / seconds[runs / 2])
}

/// Speed of a step of the paper's recipe: forward, backward and Adam.
fn training(config: Config, device: &Device) -> Result<f64> {
    let mut parameters = init::xavier(config, 1)?;
    let mut optimizer = Optimizer::new(&parameters);
    let mut learner = Learner::new(&parameters, &optimizer, device)?;
    let shape = (TRAINING_BATCH, config.tile, config.tile, 3);
    let (recipe, mut rng) = (Recipe::paper(), rand_chacha::ChaCha8Rng::seed_from_u64(1));
    let tiles = Tensor::from_vec(random(TRAINING_BATCH * config.tile_len()), shape, device)?;
    speed(TRAINING_BATCH, TRAINING_RUNS, || {
        let (_, gradients) =
            learner.differentiate(&parameters, |graph| loss(graph, &tiles, &recipe, None, &mut rng))?;
        learner.update(&mut parameters, &mut optimizer, &gradients, &Step::adam(recipe.rate))?;
        Ok(device.synchronize()?)
    })
}

fn random(count: usize) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    (0..count).map(|_| rng.random()).collect()
}
