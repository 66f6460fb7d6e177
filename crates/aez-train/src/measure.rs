//! Measurements for the log of a run: distortion without quantization, and size and distortion of encoded tiles.

use crate::{Result, data::HeldOut, graph::Graph};
use aez_core::{
    Decoder, Encoder, Model, Quality,
    picture::{Picture, psnr, psnr_of_mse},
    symbols::{Latents, Shape},
    tiled::{
        Config,
        quantize::{LAMBDA, quantize},
    },
};
use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Maximum number of tiles of a set that are encoded as files, and whose losses are measured unless the recipe measures whole sets.
pub(crate) const MEASURED_TILES: usize = 128;

/// The picture of a tile with values in [0, 1].
pub(crate) fn to_picture(tile: &[f32], edge: usize) -> Picture {
    let rgb = tile.iter().map(|value| (value * 255.0).round() as u8).collect();
    Picture::from_rgb(edge as u32, edge as u32, rgb)
}

/// Measurements of tiles without quantization of the latents. Averages are NaN if there are no tiles.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reconstruction {
    /// Mean of the losses of the batches, as in the paper: mean squared errors of values in [0, 1] without clamping.
    pub loss: f64,
    /// Mean PSNR in dB of the decoded values, clamped to [0, 1].
    pub psnr: f64,
    /// Mean squared error of each tile without clamping.
    pub errors: Vec<f64>,
}

/// Averages over tiles that are encoded as files of quality 75. NaN if there are no tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Coded {
    /// Information content of the symbols under the prior in bytes.
    pub estimated_bytes: f64,
    /// Size of the file in bytes.
    pub bytes: f64,
    /// Mean PSNR in dB.
    pub psnr: f64,
}

/// Measures the reconstruction of the first `count` tiles of a set in batches. Channels are dropped if `dropout` is given.
pub(crate) fn reconstruct(
    graph: &Graph,
    set: &HeldOut,
    count: usize,
    batch_size: usize,
    mut dropout: Option<&mut ChaCha8Rng>,
) -> Result<Reconstruction> {
    let Config { tile, .. } = *graph.config();
    let (mut losses, mut psnrs, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let count = count.min(set.len());
    for start in (0..count).step_by(batch_size) {
        let range = start..count.min(start + batch_size);
        let size = range.len();
        let tiles = set.tiles(range);
        let input = Tensor::from_slice(&tiles, (size, tile, tile, 3), graph.device())?;
        let latents = graph.analyse(&input, dropout.as_deref_mut())?;
        let decoded = graph.synthesize(&latents, dropout.as_deref_mut())?.flatten_all()?.to_vec1::<f32>()?;
        let tile_len = graph.config().tile_len();
        let pairs = tiles.par_chunks_exact(tile_len).zip(decoded.par_chunks_exact(tile_len));
        let measured: Vec<[f64; 2]> = pairs.map(|(original, decoded)| measure(original, decoded)).collect();
        errors.extend(measured.iter().map(|[error, _]| error));
        psnrs.extend(measured.iter().map(|[_, psnr]| psnr));
        losses.push(mean(&errors[errors.len() - size..]));
    }
    Ok(Reconstruction { loss: mean(&losses), psnr: mean(&psnrs), errors })
}

/// The mean squared error of a tile without clamping, and its PSNR in dB with clamping.
fn measure(original: &[f32], decoded: &[f32]) -> [f64; 2] {
    let clamped = mean_square(original, decoded, |value| value.clamp(0.0, 1.0));
    [mean_square(original, decoded, |value| value), psnr_of_mse(clamped * 255.0 * 255.0)]
}

fn mean_square(original: &[f32], decoded: &[f32], change: impl Fn(f32) -> f32) -> f64 {
    let squares = original.iter().zip(decoded).map(|(a, b)| f64::from(a - change(*b)).powi(2));
    squares.sum::<f64>() / original.len() as f64
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Encodes and decodes each of `tiles` as a file.
///
/// # Panics
/// If the model is of another family than the tiled one.
pub(crate) fn encode_tiles(model: &Model, tiles: &[f32]) -> Result<Coded> {
    let tiled = model.tiled().expect("a tiled model");
    let config = tiled.config();
    let (encoder, decoder) = (Encoder::new(model), Decoder::new(model));
    let tables = tiled.prior().at(Quality::REFERENCE);
    let mut latents = tiled.analyse(tiles)?;
    tiled.quantizer().normalize(&mut latents);
    let shape = Shape { rows: 1, columns: 1, channels: config.latents as u32 };
    let mut sums = [0.0; 3];
    for (tile, latents) in tiles.chunks_exact(config.tile_len()).zip(latents.chunks_exact(config.latents)) {
        let picture = to_picture(tile, config.tile);
        let latents = Latents::new(shape, latents.to_vec())?;
        let symbols = quantize(&latents, &tables, Quality::REFERENCE, LAMBDA)?;
        let file = encoder.encode(&picture)?;
        let decoded = decoder.decode(&file)?;
        let values = [tables.ideal_bits(&symbols) / 8.0, file.len() as f64, psnr(&picture, &decoded)?];
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    let count = (tiles.len() / config.tile_len()) as f64;
    let [estimated_bytes, bytes, psnr] = sums.map(|sum| sum / count);
    Ok(Coded { estimated_bytes, bytes, psnr })
}
