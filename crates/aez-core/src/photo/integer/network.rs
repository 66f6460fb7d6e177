//! The layers of a network with integer weights.

use std::borrow::Cow;

use super::{
    super::{
        config::Config,
        layers::{ContextNet, Layers, SynthesisNet, Tap},
        network::Network,
        quality::UNCHANGED,
    },
    layer::{IntegerLayer, Ready},
    plan::{Plan, plans},
};
use crate::error::{Error, Result};

/// A network of the photo family in integer arithmetic. No input makes its sums overflow.
#[derive(Debug, Clone)]
pub struct IntegerNetwork {
    config: Config,
    pub(super) layers: Layers,
    arrays: Vec<IntegerLayer>,
    pub(super) contexts: Vec<Vec<ContextLayers>>,
    pub(super) synthesis: Vec<SynthesisLayers>,
}

/// The layers that predict the latents of one channel and phase. The last one reads hidden values and the inputs.
#[derive(Debug, Clone)]
pub(super) struct ContextLayers {
    pub first: Ready,
    pub second: Ready,
    pub output: Ready,
}

/// The layers of the synthesis network of one level. The first reads latents and the picture.
#[derive(Debug, Clone)]
pub(super) struct SynthesisLayers {
    /// From a latent to its value in the picture's units.
    pub scale: IntegerLayer,
    pub linear: Ready,
    pub first: Ready,
    pub second: Ready,
    pub output: Ready,
    pub carry: Ready,
}

impl IntegerNetwork {
    /// The network with rounded weights.
    ///
    /// # Errors
    /// [`Error::Model`] for weights that are too large for integers.
    pub fn new(network: &Network) -> Result<Self> {
        let mut steps = network.level_steps().into_iter();
        let plans = plans(&network.layers);
        let arrays = plans.iter().map(|plan| plan.round(network, &mut steps)).collect::<Result<_>>()?;
        Self::from_layers(network.config().clone(), arrays)
    }

    /// A network whose layers are returned by `layer` for their name, their number of outputs, and whether they have directions.
    pub(in super::super) fn from_arrays(
        config: Config,
        layer: impl Fn(&str, usize, bool) -> Result<IntegerLayer>,
    ) -> Result<Self> {
        if !config.is_valid() {
            return Err(Error::Model(format!("no network has the sizes {config:?}")));
        }
        let plans = plans(&Layers::new(&config));
        let read = |plan: &Plan| {
            let has_directions = config.directions > 0 && plan.has_directions;
            layer(&plan.name, plan.outputs, has_directions)
        };
        let arrays = plans.iter().map(read).collect::<Result<_>>()?;
        Self::from_layers(config, arrays)
    }

    /// The layers with their names.
    pub(in super::super) fn arrays(&self) -> impl Iterator<Item = (String, &IntegerLayer)> {
        plans(&self.layers).into_iter().map(|plan| plan.name).zip(&self.arrays)
    }

    /// The layers, to be broken.
    #[cfg(test)]
    pub(super) fn arrays_mut(&mut self) -> impl Iterator<Item = &mut IntegerLayer> {
        self.arrays.iter_mut()
    }

    /// The network in floating point, with steps that are changed by a factor in units of 2^-12.
    ///
    /// # Errors
    /// [`Error::Model`] for a `lambda` that no network has.
    pub(in super::super) fn to_network(&self, lambda: f32, multiplier: u32) -> Result<Network> {
        let count = self.layers.parameters();
        let (mut parameters, mut directions) = (vec![0.0; count], vec![0.0; count * self.config.directions]);
        let factor = multiplier as f32 / UNCHANGED as f32;
        let mut steps = Vec::new();
        for (plan, layer) in plans(&self.layers).iter().zip(&self.arrays) {
            plan.restore(layer, &mut parameters, &mut directions);
            steps.extend(plan.step(layer).map(|step| factor * step));
        }
        Network::with_steps(self.config.clone(), lambda, parameters, steps)?.with_directions(directions)
    }

    /// A network of given layers, in the order of [`plans`].
    fn from_layers(config: Config, arrays: Vec<IntegerLayer>) -> Result<Self> {
        let layers = Layers::new(&config);
        let plans = plans(&layers);
        if plans.len() != arrays.len() {
            return Err(Error::Model(format!("{} layers instead of {}", arrays.len(), plans.len())));
        }
        for (plan, layer) in plans.iter().zip(&arrays) {
            if layer.outputs != plan.outputs {
                return Err(Error::Model(format!("layer {} has {} outputs", plan.name, layer.outputs)));
            }
            layer.check(&plan.sources, &plan.name)?;
            let directions = if plan.has_directions { config.directions } else { 0 };
            layer.directions.check(directions, plan.sources.len(), plan.outputs, &plan.name)?;
        }
        Ok(Self::assemble(config, layers, arrays))
    }

    /// Prepares layers that were checked.
    fn assemble(config: Config, layers: Layers, arrays: Vec<IntegerLayer>) -> Self {
        let mut rest = arrays.iter();
        let mut next = |parts: &[&[Tap]]| {
            let layer = rest.next().map_or_else(IntegerLayer::empty, IntegerLayer::without_directions);
            Ready::new(layer, parts)
        };
        let contexts = layers.contexts.iter().map(|nets| {
            let prepare = |net: &ContextNet| ContextLayers {
                first: next(&[&net.first.taps]),
                second: next(&[&net.second.taps]),
                output: next(&[&net.output.taps, &net.bypass.taps]),
            };
            nets.iter().map(prepare).collect()
        });
        let contexts = contexts.collect();
        let synthesis = layers.synthesis.iter().map(|net| {
            let (latents, picture) = split_taps(net);
            SynthesisLayers {
                scale: next(&[&linear_taps(1)]).layer,
                linear: next(&[&linear_taps(net.linear.len() / 3)]),
                first: next(&[&latents, &picture]),
                second: next(&[&net.second.taps]),
                output: next(&[&net.output.taps]),
                carry: next(&[&net.carry.taps]),
            }
        });
        let synthesis = synthesis.collect();
        Self { config, layers, arrays, contexts, synthesis }
    }

    /// The network whose weights coefficients, one for each direction or none, have moved.
    ///
    /// # Errors
    /// [`Error::Damaged`] for coefficients that make weights or sums too large.
    pub(super) fn moved(&self, coefficients: &[i32]) -> Result<Cow<'_, Self>> {
        if coefficients.iter().all(|&coefficient| coefficient == 0) {
            return Ok(Cow::Borrowed(self));
        }
        let arrays = self.moved_layers(coefficients);
        let arrays =
            arrays.ok_or_else(|| Error::damaged("the coefficients make a layer's sums too large"))?;
        Ok(Cow::Owned(Self::assemble(self.config.clone(), self.layers.clone(), arrays)))
    }

    fn moved_layers(&self, coefficients: &[i32]) -> Option<Vec<IntegerLayer>> {
        let one = |(plan, layer): (&Plan, &IntegerLayer)| {
            let moved = layer.moved(coefficients, &plan.sources)?;
            moved.check(&plan.sources, &plan.name).is_ok().then_some(moved)
        };
        plans(&self.layers).iter().zip(&self.arrays).map(one).collect()
    }

    /// Upper bound of the bytes that a file takes for moving the weights.
    pub(super) fn moved_memory(&self) -> u64 {
        let layer = |layer: &IntegerLayer| {
            let taps = layer.weights.len() / layer.outputs.max(1);
            (1024 + 256 * taps + 64 * layer.outputs + 10 * layer.weights.len()) as u64
        };
        if self.config.directions > 0 { self.arrays.iter().map(layer).sum() } else { 0 }
    }

    /// Whether a file may have these coefficients.
    pub(in super::super) fn can_move(&self, coefficients: &[i32]) -> bool {
        self.moved_layers(coefficients).is_some()
    }

    /// The sizes.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Number of weights and biases.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.arrays.iter().map(|layer| layer.weights.len() + layer.bias.len()).sum()
    }
}

/// The taps of the first layer on the latents, and those on the picture, with the planes of the picture.
fn split_taps(net: &SynthesisNet) -> (Vec<Tap>, Vec<Tap>) {
    let channels = net.linear.len() / 3;
    let (latents, mut picture): (Vec<Tap>, Vec<Tap>) =
        net.first.taps.iter().partition(|tap| tap.plane < channels);
    picture.iter_mut().for_each(|tap| tap.plane -= channels);
    (latents, picture)
}

fn linear_taps(channels: usize) -> Vec<Tap> {
    (0..channels).map(|plane| Tap { plane, row: 0, column: 0 }).collect()
}
