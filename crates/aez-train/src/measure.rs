//! Measurements for the log of a run: distortion without quantization, and size and distortion of encoded tiles.

use crate::Result;
use aez_core::{
    Decoder, Encoder, Model, Quality,
    picture::{Picture, psnr, psnr_of_mse},
    symbols::{Latents, Shape},
    tiled::{
        TiledModel,
        quantize::{LAMBDA, quantize},
    },
};

/// Maximum number of tiles of a set that are measured.
pub(crate) const MEASURED_TILES: usize = 128;

/// The picture of a tile with values in [0, 1].
pub(crate) fn to_picture(tile: &[f32], edge: usize) -> Picture {
    let rgb = tile.iter().map(|value| (value * 255.0).round() as u8).collect();
    Picture::from_rgb(edge as u32, edge as u32, rgb)
}

/// Averages over tiles without quantization of the latents. NaN if there are no tiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reconstruction {
    /// Mean squared error of values in [0, 1].
    pub mse: f64,
    /// Mean PSNR in dB.
    pub psnr: f64,
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

/// The first tiles of a set, at most [`MEASURED_TILES`].
fn measured<'a>(model: &TiledModel, tiles: &'a [f32]) -> &'a [f32] {
    &tiles[..tiles.len().min(MEASURED_TILES * model.config().tile_len())]
}

/// Measures the reconstruction of `tiles` without quantization.
pub(crate) fn reconstruct(model: &TiledModel, tiles: &[f32]) -> Result<Reconstruction> {
    let (tiles, tile_len) = (measured(model, tiles), model.config().tile_len());
    let decoded = model.synthesize(&model.analyse(tiles)?)?;
    let error = |(a, b): (&[f32], &[f32])| {
        let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b.clamp(0.0, 1.0)).powi(2));
        squares.sum::<f64>() / tile_len as f64
    };
    let errors: Vec<f64> =
        tiles.chunks_exact(tile_len).zip(decoded.chunks_exact(tile_len)).map(error).collect();
    let count = errors.len() as f64;
    Ok(Reconstruction {
        mse: errors.iter().sum::<f64>() / count,
        psnr: errors.iter().map(|mse| psnr_of_mse(mse * 255.0 * 255.0)).sum::<f64>() / count,
    })
}

/// Encodes and decodes each of `tiles` as a file.
///
/// # Panics
/// If the model is of another family than the tiled one.
pub(crate) fn encode_tiles(model: &Model, tiles: &[f32]) -> Result<Coded> {
    let tiled = model.tiled().expect("a tiled model");
    let config = tiled.config();
    let tiles = measured(tiled, tiles);
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
