//! What a row of the log tells of the weights: distortion without and with the codec, and bytes.

use crate::{
    Result,
    codec::{Decoder, Encoder, quantize},
    model::{
        Model, Parameters,
        network::{Analysis, Synthesis},
    },
    nn,
    picture::{Picture, psnr, psnr_of_mse},
};

/// Most tiles of a set that are measured.
const MEASURED_TILES: usize = 128;

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
fn measured<'a>(parameters: &Parameters, tiles: &'a [f32]) -> &'a [f32] {
    &tiles[..tiles.len().min(MEASURED_TILES * parameters.config.tile_len())]
}

/// NaN where there are no tiles.
pub(super) fn reconstruct(parameters: &Parameters, tiles: &[f32]) -> Reconstruction {
    let config = parameters.config;
    let tiles = measured(parameters, tiles);
    let path = nn::Path::best();
    let latents = Analysis::new(config, parameters, path).run(tiles);
    let decoded = Synthesis::new(config, parameters, path).run(&latents);
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
pub(super) fn code(model: &Model, parameters: &Parameters, tiles: &[f32]) -> Result<Coded> {
    let edge = parameters.config.tile;
    let (encoder, decoder) = (Encoder::new(model), Decoder::new(model));
    let tables = model.prior().at(encoder.quality);
    let mut sums = [0.0; 3];
    let mut count = 0.0;
    for tile in measured(parameters, tiles).chunks_exact(parameters.config.tile_len()) {
        let rgb = tile.iter().map(|value| (value * 255.0).round() as u8).collect();
        let picture = Picture::from_rgb(edge as u32, edge as u32, rgb);
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
