//! The autoencoder on this computer's processor.

use std::{borrow::Cow, sync::Arc};

use super::{
    config::{Config, ConvLayer},
    parameters::Parameters,
};
use crate::{
    error::Result,
    nn::{
        InstructionSet,
        conv::{Extent, PackedConv},
        linear::Linear,
    },
    parallel,
};

/// Where the parameters of a network are read from.
pub trait Source {
    /// The values of an array that [`Config::parameters`] names, row-major.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) for a packed array with invalid bytes, [`Error::Io`](crate::Error::Io) when there is not
    /// enough memory for it. Sources in memory have no errors.
    fn values(&self, name: &str) -> Result<Cow<'_, [f32]>>;
}

impl Source for Parameters {
    fn values(&self, name: &str) -> Result<Cow<'_, [f32]>> {
        Ok(Cow::Borrowed(self.get(name)))
    }
}

impl<S: Source + ?Sized> Source for Arc<S> {
    fn values(&self, name: &str) -> Result<Cow<'_, [f32]>> {
        self.as_ref().values(name)
    }
}

/// The analysis network with packed weights: tiles to latents.
pub struct Analysis {
    config: Config,
    stages: Vec<Stage>,
    to_latents: Linear,
}

impl Analysis {
    /// Packs the parameters for an instruction set that this processor has.
    ///
    /// # Errors
    /// Those of the source.
    pub fn new(config: Config, source: &dyn Source, set: InstructionSet) -> Result<Self> {
        let stages = config
            .encoder()
            .into_iter()
            .map(|layer| Stage::new(layer, source, set))
            .collect::<Result<_>>()?;
        let to_latents = linear("encoder.linear", config.latents, source, set)?;
        Ok(Self { config, stages, to_latents })
    }

    /// Maps tiles, channels last with values in [0, 1], to `latents` non-negative numbers each. The result for a tile does not depend
    /// on the other tiles.
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

/// The synthesis network with packed weights: latents to tiles.
pub struct Synthesis {
    config: Config,
    from_latents: Linear,
    stages: Vec<Stage>,
}

impl Synthesis {
    /// Packs the parameters for an instruction set that this processor has.
    ///
    /// # Errors
    /// Those of the source.
    pub fn new(config: Config, source: &dyn Source, set: InstructionSet) -> Result<Self> {
        let stages = config
            .decoder()
            .into_iter()
            .map(|layer| Stage::new(layer, source, set))
            .collect::<Result<_>>()?;
        Ok(Self { config, from_latents: linear("decoder.linear", config.bottom(), source, set)?, stages })
    }

    /// Maps latents to tiles, channels last. The values are near [0, 1], but not clamped to it.
    ///
    /// # Panics
    /// When the length is not a multiple of the number of latents.
    #[must_use]
    pub fn run(&self, latents: &[f32]) -> Vec<f32> {
        let (tile_len, bottom_len) = (self.config.tile_len(), self.config.bottom());
        let bottom = self.bottom(latents);
        let mut tiles = vec![0.0; bottom.len() / bottom_len * tile_len];
        let mut scratch = Scratch::default();
        for (tiles, bottom) in tiles.chunks_mut(group() * tile_len).zip(bottom.chunks(group() * bottom_len)) {
            scratch.front.clear();
            scratch.front.extend_from_slice(bottom);
            scratch.run(&self.stages, self.bottom_extent(bottom.len() / bottom_len));
            tiles.copy_from_slice(&scratch.front);
        }
        self.denormalize(&mut tiles);
        tiles
    }

    /// As [`Synthesis::run`], and keeps the output of each layer for [`Backward`](super::backward::Backward).
    pub(super) fn run_and_keep(&self, latents: &[f32]) -> Activations {
        let mut layers = vec![self.bottom(latents)];
        let mut extent = self.bottom_extent(latents.len() / self.config.latents);
        let mut extents = vec![extent];
        for stage in &self.stages {
            let to = stage.layer.shape.output(stage.layer.direction, extent);
            let mut output = vec![0.0; to.pixels() * stage.layer.outputs()];
            stage.packed.run(layers.last().expect("the output of the linear layer"), extent, &mut output, to);
            layers.push(output);
            extents.push(to);
            extent = to;
        }
        let mut tiles = layers.pop().expect("the output of the last layer");
        self.denormalize(&mut tiles);
        Activations { layers, extents, tiles }
    }

    fn bottom(&self, latents: &[f32]) -> Vec<f32> {
        let count = rows(latents.len(), self.config.latents);
        let mut bottom = vec![0.0; count * self.config.bottom()];
        self.from_latents.run(latents, &mut bottom);
        bottom
    }

    fn bottom_extent(&self, batch: usize) -> Extent {
        let edge = self.config.bottom_edge();
        Extent { batch, rows: edge, columns: edge }
    }

    fn denormalize(&self, tiles: &mut [f32]) {
        if self.config.normalize {
            tiles.iter_mut().for_each(|x| *x = *x * 0.5 + 0.5);
        }
    }
}

/// The outputs of all layers of the synthesis network for a batch of tiles.
pub(super) struct Activations {
    /// Outputs of the linear layer and of all convolutions but the last.
    pub layers: Vec<Vec<f32>>,
    /// Their sizes, and that of the last convolution's output.
    pub extents: Vec<Extent>,
    /// The decoded tiles.
    pub tiles: Vec<f32>,
}

struct Stage {
    layer: ConvLayer,
    packed: PackedConv,
}

impl Stage {
    fn new(layer: ConvLayer, source: &dyn Source, set: InstructionSet) -> Result<Self> {
        let weights = source.values(&format!("{}.weight", layer.name))?;
        let bias = source.values(&format!("{}.bias", layer.name))?;
        let packed = PackedConv::new(layer.shape, layer.direction, &weights, Some(&bias), layer.relu, set);
        Ok(Self { layer, packed })
    }
}

fn linear(name: &str, outputs: usize, source: &dyn Source, set: InstructionSet) -> Result<Linear> {
    let (weights, bias) =
        (source.values(&format!("{name}.weight"))?, source.values(&format!("{name}.bias"))?);
    Ok(Linear::new(&weights, outputs, Some(&bias), true, set))
}

fn rows(length: usize, of: usize) -> usize {
    assert!(length.is_multiple_of(of), "{length} values are not rows of {of}");
    length / of
}

/// Number of tiles that pass through the convolutions together: enough for all threads, few enough for the cache.
pub(super) fn group() -> usize {
    parallel::threads().max(2)
}

/// Buffers for a layer's input and output.
#[derive(Default)]
struct Scratch {
    front: Vec<f32>,
    back: Vec<f32>,
}

impl Scratch {
    /// Runs the stages on the content of `front`, and leaves the result there.
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
