//! A small model for tests, examples and benchmarks, made in an instant.

use crate::{
    model::Model,
    tiled::{
        Calibration, Config, Provenance, Storage, TiledModel, calibrate,
        init::{self, Components},
        processor,
    },
};

/// A model of tiles of 16x16 pixels and 12 latents: a cosine transform, calibrated on generated tiles.
///
/// # Panics
/// Never.
#[must_use]
pub fn tiny() -> Model {
    tiny_tiled().into()
}

/// The model of [`tiny`] as one of the tiled family.
///
/// # Panics
/// Never.
#[must_use]
pub fn tiny_tiled() -> TiledModel {
    TiledModel::from_bytes(tiny_bytes()).expect("a valid model")
}

/// The model file of [`tiny`].
///
/// # Panics
/// Never.
#[must_use]
pub fn tiny_bytes() -> Vec<u8> {
    let config = Config { tile: 16, channels: 12, reductions: 2, latents: 12, ..Config::default() };
    let tiles: Vec<f32> = (0..64).flat_map(|index| waves(config.tile, index as f32)).collect();
    let transform = cosines(&config, &tiles);
    let made = init::from_components(config, 1, &transform).and_then(|parameters| {
        let Calibration { quantizer, prior, .. } =
            calibrate(&*processor(&parameters), &config, &tiles, 192, 8.0, 1)?;
        TiledModel::to_bytes(&parameters, &quantizer, &prior, &Provenance::default(), Storage::Int8)
    });
    made.expect("a valid model")
}

/// A tile of smooth colours: waves whose direction, length and phase depend on the index.
pub fn waves(edge: usize, index: f32) -> impl Iterator<Item = f32> {
    let angle = index * 2.4;
    let length = 0.1 + 0.05 * (index * 0.7).sin();
    (0..edge * edge * 3).map(move |place| {
        let (x, y) = ((place / 3 % edge) as f32, (place / 3 / edge) as f32);
        let along = (x * angle.cos() + y * angle.sin()) * length + index + (place % 3) as f32 * index * 0.1;
        0.5 + 0.4 * along.sin()
    })
}

/// The cosine transform of each colour channel, the lowest frequencies first, for the mean and the range of some tiles.
#[must_use]
pub fn cosines(config: &Config, tiles: &[f32]) -> Components {
    let (edge, len, latents) = (config.tile, config.tile_len(), config.latents);
    let count = (tiles.len() / len) as f32;
    let mean: Vec<f32> = (0..len).map(|i| tiles.iter().skip(i).step_by(len).sum::<f32>() / count).collect();
    let mut frequencies: Vec<(usize, usize)> = (0..edge * edge).map(|i| (i / edge, i % edge)).collect();
    frequencies.sort_by_key(|&(v, u)| (u * u + v * v, v));
    let component = |index: usize| {
        let ((v, u), channel) = (frequencies[index / 3], index % 3);
        let wave = move |x: usize, frequency: usize| {
            let scale = if frequency == 0 { 1.0 } else { 2.0 };
            let phase = std::f32::consts::PI * (x as f32 + 0.5) * frequency as f32 / edge as f32;
            (scale / edge as f32).sqrt() * phase.cos()
        };
        (0..len).map(move |place| {
            let (y, x) = (place / 3 / edge, place / 3 % edge);
            if place % 3 == channel { wave(y, v) * wave(x, u) } else { 0.0 }
        })
    };
    let components: Vec<f32> = (0..latents).flat_map(component).collect();
    let along = |component: &[f32], tile: &[f32]| -> f32 {
        component.iter().zip(tile).zip(&mean).map(|((c, x), mean)| c * (x - mean)).sum()
    };
    let peak = |component: &[f32]| {
        tiles.chunks_exact(len).map(|tile| along(component, tile).abs()).fold(0.1, f32::max)
    };
    let peaks = components.chunks_exact(len).map(peak).collect();
    Components { mean, components, peaks }
}
