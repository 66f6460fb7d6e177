//! The autoencoder, ready to run on the processor.

use super::{
    config::{Config, ConvLayer},
    parameters::Parameters,
};
use crate::nn::{
    Path,
    conv::{Extent, Packed},
    linear::Linear,
};
use std::borrow::Cow;

/// Where the parameters of a network come from.
pub trait Source {
    /// The values of an array that [`Config::parameters`] names.
    fn values(&self, name: &str) -> Cow<'_, [f32]>;
}

impl Source for Parameters {
    fn values(&self, name: &str) -> Cow<'_, [f32]> {
        Cow::Borrowed(self.get(name))
    }
}

/// The encoder's half of the network, weights packed: tiles to latents.
pub struct Analysis {
    config: Config,
    stages: Vec<Stage>,
    to_latents: Linear,
}

impl Analysis {
    /// Packs the parameters for an instruction set that this processor has.
    #[must_use]
    pub fn new(config: Config, source: &impl Source, path: Path) -> Self {
        let stages = config.encoder().into_iter().map(|layer| Stage::new(layer, source, path)).collect();
        Self { config, stages, to_latents: linear("encoder.linear", source, path) }
    }

    /// Maps tiles, channels last with values in [0, 1], to `latents` non-negative numbers each. The result for
    /// a tile does not depend on the others.
    ///
    /// # Panics
    /// When the length is not a multiple of a tile's.
    #[must_use]
    pub fn run(&self, tiles: &[f32]) -> Vec<f32> {
        let Config { tile, latents, normalize, .. } = self.config;
        let (tile_len, bottom_len) = (self.config.tile_len(), self.config.bottom());
        let count = rows(tiles.len(), tile_len);
        let mut bottom = vec![0.0; count * bottom_len];
        let mut scratch = Scratch::default();
        for (tiles, bottom) in tiles.chunks(group() * tile_len).zip(bottom.chunks_mut(group() * bottom_len)) {
            scratch.front.clear();
            scratch.front.extend(tiles.iter().map(|&x| if normalize { x * 2.0 - 1.0 } else { x }));
            let batch = tiles.len() / tile_len;
            scratch.run(&self.stages, Extent { batch, rows: tile, columns: tile });
            bottom.copy_from_slice(&scratch.front);
        }
        let mut output = vec![0.0; count * latents];
        self.to_latents.run(&bottom, &mut output);
        output
    }
}

/// The decoder's half of the network, weights packed: latents to tiles.
pub struct Synthesis {
    config: Config,
    from_latents: Linear,
    stages: Vec<Stage>,
}

impl Synthesis {
    /// Packs the parameters for an instruction set that this processor has.
    #[must_use]
    pub fn new(config: Config, source: &impl Source, path: Path) -> Self {
        let stages = config.decoder().into_iter().map(|layer| Stage::new(layer, source, path)).collect();
        Self { config, from_latents: linear("decoder.linear", source, path), stages }
    }

    /// Maps latents back to tiles, channels last. The values are near [0, 1], but not clamped to it.
    ///
    /// # Panics
    /// When the length is not a multiple of the number of latents.
    #[must_use]
    pub fn run(&self, latents: &[f32]) -> Vec<f32> {
        let (tile_len, bottom_len) = (self.config.tile_len(), self.config.bottom());
        let count = rows(latents.len(), self.config.latents);
        let mut bottom = vec![0.0; count * bottom_len];
        self.from_latents.run(latents, &mut bottom);
        let mut tiles = vec![0.0; count * tile_len];
        let mut scratch = Scratch::default();
        let edge = self.config.bottom_edge();
        for (tiles, bottom) in tiles.chunks_mut(group() * tile_len).zip(bottom.chunks(group() * bottom_len)) {
            scratch.front.clear();
            scratch.front.extend_from_slice(bottom);
            scratch.run(&self.stages, Extent { batch: bottom.len() / bottom_len, rows: edge, columns: edge });
            tiles.copy_from_slice(&scratch.front);
        }
        if self.config.normalize {
            tiles.iter_mut().for_each(|x| *x = *x * 0.5 + 0.5);
        }
        tiles
    }
}

struct Stage {
    layer: ConvLayer,
    packed: Packed,
}

impl Stage {
    fn new(layer: ConvLayer, source: &impl Source, path: Path) -> Self {
        let weights = source.values(&format!("{}.weight", layer.name));
        let bias = source.values(&format!("{}.bias", layer.name));
        let packed = Packed::new(layer.shape, layer.direction, &weights, Some(&bias), layer.relu, path);
        Self { layer, packed }
    }
}

fn linear(name: &str, source: &impl Source, path: Path) -> Linear {
    Linear::new(&source.values(&format!("{name}.weight")), &source.values(&format!("{name}.bias")), path)
}

fn rows(length: usize, of: usize) -> usize {
    assert!(length.is_multiple_of(of), "{length} values are not rows of {of}");
    length / of
}

/// Tiles that pass through the convolutions together: enough for the threads, few enough for the cache.
fn group() -> usize {
    rayon::current_num_threads().max(2)
}

/// A layer's input and output, in memory that is used again.
#[derive(Default)]
struct Scratch {
    front: Vec<f32>,
    back: Vec<f32>,
}

impl Scratch {
    /// Takes what lies in `front` through all stages; the result lies in `front`.
    fn run(&mut self, stages: &[Stage], mut from: Extent) {
        for Stage { layer, packed } in stages {
            let to = layer.shape.output(layer.direction, from);
            self.back.resize(to.pixels() * layer.outputs(), 0.0);
            packed.run(&self.front, from, &mut self.back, to);
            std::mem::swap(&mut self.front, &mut self.back);
            from = to;
        }
    }
}
