//! Three models of a few kilobytes.

use std::collections::HashMap;

use aez_core::tiled::{
    Calibration, Config, Parameters, Provenance, Storage, TiledModel, calibrate, init::xavier, processor,
};
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};

/// Tiles of 8x8 pixels, a Karhunen-Loève transform, 8-bit weights.
pub fn small() -> Vec<u8> {
    let config = Config { tile: 8, channels: 6, reductions: 1, latents: 6, ..Config::default() };
    let tiles = tiles(config.tile);
    in_8_bits(&file(&aez_train::klt::klt(config, tiles.clone(), 1).unwrap(), &tiles, 5.0))
}

/// Tiles of 4x4 pixels, random float weights, two reductions, normalized input.
pub fn normalized() -> Vec<u8> {
    let config = Config { tile: 4, channels: 2, reductions: 2, latents: 3, normalize: true, dropout: 0.0 };
    file(&xavier(config, 5).unwrap(), &tiles(config.tile), 2.5)
}

/// Tiles of 16x16 pixels, a Karhunen-Loève transform, packed weights: the linear layers with the bias of the decoder's, and the
/// larger convolutions.
pub fn packed() -> Vec<u8> {
    let config = Config { tile: 16, channels: 8, reductions: 1, latents: 6, ..Config::default() };
    let tiles = tiles(config.tile);
    stored(&aez_train::klt::klt(config, tiles.clone(), 1).unwrap(), &tiles, 5.0, Storage::Packed)
}

fn file(parameters: &Parameters, tiles: &[f32], bytes: f64) -> Vec<u8> {
    stored(parameters, tiles, bytes, Storage::Float32)
}

fn stored(parameters: &Parameters, tiles: &[f32], bytes: f64, storage: Storage) -> Vec<u8> {
    let Calibration { quantizer, prior, .. } =
        calibrate(&*processor(parameters), &parameters.config, tiles, 192, bytes, 1).unwrap();
    TiledModel::to_bytes(parameters, &quantizer, &prior, &Provenance::default(), storage).unwrap()
}

/// Training tiles: waves, channels last.
fn tiles(edge: usize) -> Vec<f32> {
    let value = |tile: usize, x: usize, y: usize, c: usize| {
        let (angle, phase) = (tile as f32 * 2.4, tile as f32 + c as f32 * 0.4);
        0.5 + 0.4 * ((x as f32 * angle.cos() + y as f32 * angle.sin()) * 0.35 + phase).sin()
    };
    let places = |tile| (0..edge * edge * 3).map(move |i| value(tile, i / 3 % edge, i / 3 / edge, i % 3));
    (0..1024).flat_map(places).collect()
}

/// The model with all weights in 8 bits; the library stores only large arrays that way. The largest value of each array
/// becomes an outlier.
fn in_8_bits(file: &[u8]) -> Vec<u8> {
    let (_, index) = SafeTensors::read_metadata(file).unwrap();
    let tensors = SafeTensors::deserialize(file).unwrap();
    let mut all: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, view) in tensors.iter() {
        let bytes = view.data().to_vec();
        if !name.ends_with(".weight") {
            all.push((name.to_owned(), view.dtype(), view.shape().to_vec(), bytes));
            continue;
        }
        let mut values: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        let columns = *view.shape().last().unwrap();
        let size = |place: usize, values: &[f32]| values[place].abs();
        let outlier =
            (0..values.len()).max_by(|&a, &b| size(a, &values).total_cmp(&size(b, &values))).unwrap();
        let outlier_value = std::mem::replace(&mut values[outlier], 0.0);
        let column = |c: usize| values[c..].iter().step_by(columns).fold(0f32, |max, v| max.max(v.abs()));
        let scales: Vec<f32> = (0..columns).map(|c| column(c).max(1e-6) / 127.0).collect();
        let rounded = values.iter().enumerate().map(|(p, v)| (v / scales[p % columns]).round() as i8 as u8);
        all.push((name.to_owned(), Dtype::I8, view.shape().to_vec(), rounded.collect()));
        let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        all.push((format!("{name}.scale"), Dtype::F32, vec![columns], floats(&scales)));
        let place = (outlier as u32).to_le_bytes().to_vec();
        all.push((format!("{name}.outlier_place"), Dtype::U32, vec![1], place));
        all.push((format!("{name}.outlier_value"), Dtype::F32, vec![1], floats(&[outlier_value])));
    }
    let views = all.iter().map(|(name, dtype, shape, bytes)| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).expect("data of that type and shape"))
    });
    let metadata: HashMap<_, _> = index.metadata().clone().unwrap();
    serialize(views, Some(metadata)).unwrap()
}
