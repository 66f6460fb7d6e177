//! What a row of the log tells of the weights: distortion without and with the codec, and bytes.

use crate::{
    Result,
    codec::{Decoder, Encoder, quantize},
    model::{
        Config, Model, Parameters,
        network::{Analysis, Synthesis},
    },
    nn,
    picture::{Picture, psnr, psnr_of_mse},
};

/// Most tiles of a set that are measured.
pub(super) const MEASURED_TILES: usize = 128;

/// Both halves of the network, packed for this processor.
pub(super) struct Network {
    config: Config,
    analysis: Analysis,
    synthesis: Synthesis,
}

impl Network {
    pub fn new(parameters: &Parameters) -> Self {
        let (config, path) = (parameters.config, nn::Path::best());
        let analysis = Analysis::new(config, parameters, path);
        Self { config, analysis, synthesis: Synthesis::new(config, parameters, path) }
    }

    /// What becomes of tiles without quantization.
    pub fn run(&self, tiles: &[f32]) -> Vec<f32> {
        self.synthesis.run(&self.analysis.run(tiles))
    }
}

/// The bytes that a tile was made from.
pub(super) fn to_picture(tile: &[f32], edge: usize) -> Picture {
    let rgb = tile.iter().map(|value| (value * 255.0).round() as u8).collect();
    Picture::from_rgb(edge as u32, edge as u32, rgb)
}

/// Means over tiles that went through the network without quantization.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reconstruction {
    /// Of values in [0, 1].
    pub mse: f64,
    /// In dB.
    pub psnr: f64,
}

/// Means over tiles that went through files of quality 75.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Coded {
    /// By the prior, the latents alone.
    pub estimated_bytes: f64,
    /// Of the whole file.
    pub bytes: f64,
    pub psnr: f64,
}

/// The first tiles of a set, as many as are measured.
fn measured<'a>(config: &Config, tiles: &'a [f32]) -> &'a [f32] {
    &tiles[..tiles.len().min(MEASURED_TILES * config.tile_len())]
}

/// NaN where there are no tiles.
pub(super) fn reconstruct(network: &Network, tiles: &[f32]) -> Reconstruction {
    let config = network.config;
    let tiles = measured(&config, tiles);
    let decoded = network.run(tiles);
    let errors =
        tiles.chunks_exact(config.tile_len()).zip(decoded.chunks_exact(config.tile_len())).map(|(a, b)| {
            let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b.clamp(0.0, 1.0)).powi(2));
            squares.sum::<f64>() / config.tile_len() as f64
        });
    let errors: Vec<f64> = errors.collect();
    let count = errors.len() as f64;
    Reconstruction {
        mse: errors.iter().sum::<f64>() / count,
        psnr: errors.iter().map(|mse| psnr_of_mse(mse * 255.0 * 255.0)).sum::<f64>() / count,
    }
}

/// NaN where there are no tiles.
pub(super) fn code(model: &Model, tiles: &[f32]) -> Result<Coded> {
    let config = model.config();
    let (encoder, decoder) = (Encoder::new(model), Decoder::new(model));
    let tables = model.prior().at(encoder.quality);
    let mut sums = [0.0; 3];
    let mut count = 0.0;
    for tile in measured(config, tiles).chunks_exact(config.tile_len()) {
        let picture = to_picture(tile, config.tile);
        let latents = encoder.analyse(&picture)?;
        let symbols = quantize::quantize(&latents, &tables, encoder.quality, encoder.lambda)?;
        let file = encoder.encode_latents(&picture, &latents)?;
        let decoded = decoder.decode(&file)?;
        let one = [tables.ideal_bits(&symbols) / 8.0, file.len() as f64, psnr(&picture, &decoded)?];
        sums.iter_mut().zip(one).for_each(|(sum, value)| *sum += value);
        count += 1.0;
    }
    let [estimated_bytes, bytes, psnr] = sums.map(|sum| sum / count);
    Ok(Coded { estimated_bytes, bytes, psnr })
}
