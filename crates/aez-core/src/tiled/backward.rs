//! The derivative of the synthesis network with respect to the latents.

use super::{
    config::{Config, ConvLayer},
    network::{Activations, Source, Synthesis, group},
};
use crate::{
    error::Result,
    nn::{InstructionSet, conv::PackedConv, linear::Linear},
};

/// The layers of the synthesis network in reverse, with packed weights: gradients with respect to tiles to gradients with respect
/// to latents.
pub(super) struct Backward {
    config: Config,
    /// The convolutions, the last first, each as the adjoint of its map.
    stages: Vec<(ConvLayer, PackedConv)>,
    to_latents: Linear,
}

impl Backward {
    /// Packs the parameters for an instruction set that this processor has.
    pub fn new(config: Config, source: &dyn Source, set: InstructionSet) -> Result<Self> {
        let stage = |layer: ConvLayer| {
            let weights = source.values(&format!("{}.weight", layer.name))?;
            let packed = PackedConv::new(layer.shape, layer.direction.reversed(), &weights, None, false, set);
            Ok((layer, packed))
        };
        let stages = config.decoder().into_iter().rev().map(stage).collect::<Result<_>>()?;
        let weights = source.values("decoder.linear.weight")?;
        Ok(Self { config, stages, to_latents: Linear::transposed(&weights, config.bottom(), set) })
    }

    /// Decodes latents, asks `gradient` for the derivative of a loss with respect to the decoded tiles, and returns its derivative with
    /// respect to the latents. Arrays have one row per tile.
    pub fn run(
        &self,
        synthesis: &Synthesis,
        latents: &[f32],
        gradient: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Vec<f32> {
        let group = group();
        let groups: Vec<Activations> = latents
            .chunks(group * self.config.latents)
            .map(|latents| synthesis.run_and_keep(latents))
            .collect();
        let tiles: Vec<f32> = groups.iter().flat_map(|group| &group.tiles).copied().collect();
        let gradient = gradient(&tiles);
        assert_eq!(gradient.len(), tiles.len(), "derivatives with respect to the tiles");
        let parts = gradient.chunks(group * self.config.tile_len());
        groups
            .iter()
            .zip(parts)
            .flat_map(|(activations, gradient)| self.group(activations, gradient))
            .collect()
    }

    fn group(&self, activations: &Activations, gradient: &[f32]) -> Vec<f32> {
        let Activations { layers, extents, .. } = activations;
        let scale = if self.config.normalize { 0.5 } else { 1.0 };
        let mut gradient: Vec<f32> = gradient.iter().map(|x| x * scale).collect();
        let mut input = Vec::new();
        // The last convolution has no ReLU; the outputs of all layers before it are in `layers`.
        for ((layer, packed), index) in self.stages.iter().zip((0..layers.len()).rev()) {
            let channels = layer.shape.channels(layer.direction).0;
            input.clear();
            input.resize(extents[index].pixels() * channels, 0.0);
            packed.run(&gradient, extents[index + 1], &mut input, extents[index]);
            input.iter_mut().zip(&layers[index]).for_each(|(x, y)| *x = if *y > 0.0 { *x } else { 0.0 });
            std::mem::swap(&mut gradient, &mut input);
        }
        let mut latents = vec![0.0; gradient.len() / self.config.bottom() * self.config.latents];
        self.to_latents.run(&gradient, &mut latents);
        latents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiled::init;

    #[test]
    fn gradients_agree_with_differences() {
        for normalize in [false, true] {
            let config =
                Config { tile: 16, channels: 12, reductions: 2, latents: 6, normalize, dropout: 0.0 };
            let parameters = init::xavier(config, 4).unwrap();
            for set in InstructionSet::available() {
                let synthesis = Synthesis::new(config, &parameters, set).unwrap();
                let backward = Backward::new(config, &parameters, set).unwrap();
                let latents: Vec<f32> = (0..5 * 6).map(|i| 0.3 + (i * 7 % 11) as f32 / 5.0).collect();
                let weight = |i: usize| ((i * 31 % 17) as f32 - 8.0) / 8.0;
                let loss = |latents: &[f32]| -> f64 {
                    let tiles = synthesis.run(latents);
                    tiles.iter().enumerate().map(|(i, x)| f64::from(x * x * weight(i))).sum()
                };
                let found = backward.run(&synthesis, &latents, &mut |tiles| {
                    tiles.iter().enumerate().map(|(i, x)| 2.0 * x * weight(i)).collect()
                });
                let step = 1e-3;
                let difference = |index: usize| {
                    let at = |change: f32| {
                        let mut latents = latents.clone();
                        latents[index] += change;
                        loss(&latents)
                    };
                    ((at(step) - at(-step)) / (2.0 * f64::from(step))) as f32
                };
                let expected: Vec<f32> = (0..latents.len()).map(difference).collect();
                let square = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>();
                let error = square(&mut found.iter().zip(&expected).map(|(a, b)| a - b));
                // A difference passes over some ReLUs that change their state.
                let error = (error / square(&mut expected.iter().copied())).sqrt();
                assert!(error < 0.03, "{set:?}, normalize {normalize}: relative error {error}");
            }
        }
    }
}
