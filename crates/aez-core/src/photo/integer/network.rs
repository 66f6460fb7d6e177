//! The layers of a network with integer weights.

use std::ops::Range;

use super::{
    super::{
        config::Config,
        layers::{ContextNet, Layer, Layers, SynthesisNet, Tap},
        network::Network,
        quality::UNCHANGED,
        synthesis::step,
    },
    layer::{IntegerLayer, Ready, Source},
};
use crate::error::{Error, Result};

/// Fractional bits of the hidden values of a level's context model: latents of coarse levels are large.
fn hidden_bits(level: usize) -> u32 {
    9 - level.min(4) as u32
}

/// Fractional bits of the features of the synthesis network.
const FEATURE: u32 = 13;
/// Fractional bits of luma and chroma, whose full range is 1.
pub(super) const PICTURE: u32 = 13;
/// Fractional bits of locations.
const LOCATION: u32 = 4;

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

/// What an integer layer is made of: its name, and what each of its taps reads.
struct Plan {
    name: String,
    sources: Vec<Source>,
    outputs: usize,
}

impl IntegerNetwork {
    /// The network with rounded weights.
    ///
    /// # Errors
    /// [`Error::Model`] for weights that are too large for integers.
    pub fn new(network: &Network) -> Result<Self> {
        let layers = &network.layers;
        let mut arrays = Vec::new();
        for (level, nets) in layers.contexts.iter().enumerate() {
            let guides = layers.planes[level].guides;
            nets.iter()
                .for_each(|net| arrays.extend(round_context(network, net, guides, hidden_bits(level))));
        }
        for (level, net) in layers.synthesis.iter().enumerate() {
            arrays.extend(round_synthesis(network, net, network.steps[level]));
        }
        Self::from_layers(network.config().clone(), arrays)
    }

    /// A network whose layers are returned by `layer` for their name and number of outputs.
    pub(in super::super) fn from_arrays(
        config: Config,
        layer: impl Fn(&str, usize) -> Result<IntegerLayer>,
    ) -> Result<Self> {
        if !config.is_valid() {
            return Err(Error::Model(format!("no network has the sizes {config:?}")));
        }
        let plans = plans(&Layers::new(&config));
        let arrays = plans.iter().map(|plan| layer(&plan.name, plan.outputs)).collect::<Result<_>>()?;
        Self::from_layers(config, arrays)
    }

    /// The layers with their names.
    pub(in super::super) fn arrays(&self) -> impl Iterator<Item = (String, &IntegerLayer)> {
        plans(&self.layers).into_iter().map(|plan| plan.name).zip(&self.arrays)
    }

    /// The network in floating point, with steps that are changed by a factor in units of 2^-12.
    ///
    /// # Errors
    /// [`Error::Model`] for a `lambda` that no network has.
    pub(in super::super) fn to_network(&self, lambda: f32, multiplier: u32) -> Result<Network> {
        let mut parameters = vec![0.0; self.layers.parameters()];
        for (level, nets) in self.layers.contexts.iter().enumerate() {
            let (guides, bits) = (self.layers.planes[level].guides, hidden_bits(level));
            for (net, ready) in nets.iter().zip(&self.contexts[level]) {
                restore_context(net, ready, guides, bits, &mut parameters);
            }
        }
        let factor = multiplier as f32 / UNCHANGED as f32;
        let mut steps = Vec::new();
        for (net, ready) in self.layers.synthesis.iter().zip(&self.synthesis) {
            restore_synthesis(net, ready, &mut parameters);
            steps.push(factor * ready.scale.float_weights(&[Source::Latent], PICTURE)[0]);
        }
        Network::with_steps(self.config.clone(), lambda, parameters, steps)
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
        }
        let mut rest = arrays.iter();
        let mut next =
            |parts: &[&[Tap]]| Ready::new(rest.next().cloned().unwrap_or_else(IntegerLayer::empty), parts);
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
        Ok(Self { config, layers, arrays, contexts, synthesis })
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

/// All layers in the order in which they are stored.
fn plans(layers: &Layers) -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut add = |name: String, sources: Vec<Source>, outputs| plans.push(Plan { name, sources, outputs });
    for (level, nets) in layers.contexts.iter().enumerate() {
        for net in nets {
            let name = |part: &str| format!("context.{level}.{}.{}.{part}", net.channel, net.pass);
            let inputs = context_sources(&net.first, layers.planes[level].guides);
            let hidden = vec![Source::Value(hidden_bits(level)); net.first.outputs];
            add(name("first"), inputs.clone(), net.first.outputs);
            add(name("second"), hidden.clone(), net.second.outputs);
            add(name("output"), [hidden, inputs].concat(), 2);
        }
    }
    for (level, net) in layers.synthesis.iter().enumerate() {
        let name = |part: &str| format!("synthesis.{level}.{part}");
        let features = |layer: &Layer| vec![Source::Value(FEATURE); layer.taps.len()];
        let picture = |count: usize| vec![Source::Value(PICTURE); count];
        add(name("scale"), vec![Source::Latent], 1);
        add(name("linear"), picture(net.linear.len() / 3), 3);
        add(name("first"), picture(net.first.taps.len()), net.first.outputs);
        add(name("second"), features(&net.second), net.second.outputs);
        add(name("output"), features(&net.output), 3);
        add(name("carry"), features(&net.carry), net.carry.outputs);
    }
    plans
}

fn context_sources(first: &Layer, guides: usize) -> Vec<Source> {
    let source = |tap: &Tap| if tap.plane < guides { Source::Latent } else { Source::Value(FEATURE) };
    first.taps.iter().map(source).collect()
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

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

fn round_context(network: &Network, net: &ContextNet, guides: usize, bits: u32) -> [IntegerLayer; 3] {
    let parameters = &network.parameters;
    let array = |range: &Range<usize>| wide(&parameters[range.clone()]);
    let inputs = context_sources(&net.first, guides);
    let hidden = vec![Source::Value(bits); net.first.outputs];
    let fractions = vec![bits; net.first.outputs];
    let first = IntegerLayer::round(&array(&net.first.weights), &array(&net.first.bias), &inputs, &fractions);
    let second =
        IntegerLayer::round(&array(&net.second.weights), &array(&net.second.bias), &hidden, &fractions);
    // The second output becomes the number of the scale: see `laplace` and `tables`.
    let mut weights = [array(&net.output.weights), array(&net.bypass.weights)].concat();
    weights.iter_mut().skip(1).step_by(2).for_each(|weight| *weight *= 8.0);
    let bias = array(&net.output.bias);
    let bias = [bias[0], 8.0 * bias[1] + 20.0];
    let output = IntegerLayer::round(&weights, &bias, &[hidden, inputs].concat(), &[LOCATION, 0]);
    [first, second, output]
}

fn round_synthesis(network: &Network, net: &SynthesisNet, initial: f32) -> [IntegerLayer; 6] {
    let parameters = &network.parameters;
    let array = |range: &Range<usize>| wide(&parameters[range.clone()]);
    let step = f64::from(step(net, parameters, initial));
    let layer = |layer: &Layer, from: u32, to: u32| {
        let bias = if layer.bias.is_empty() { vec![0.0; layer.outputs] } else { array(&layer.bias) };
        let sources = vec![Source::Value(from); layer.taps.len()];
        IntegerLayer::round(&array(&layer.weights), &bias, &sources, &vec![to; layer.outputs])
    };
    let colours = vec![Source::Value(PICTURE); net.linear.len() / 3];
    [
        IntegerLayer::round(&[step], &[0.0], &[Source::Latent], &[PICTURE]),
        IntegerLayer::round(&array(&net.linear), &[0.0; 3], &colours, &[PICTURE; 3]),
        layer(&net.first, PICTURE, FEATURE),
        layer(&net.second, FEATURE, FEATURE),
        layer(&net.output, FEATURE, PICTURE),
        layer(&net.carry, FEATURE, FEATURE),
    ]
}

fn write(range: &Range<usize>, values: &[f32], parameters: &mut [f32]) {
    parameters[range.clone()].copy_from_slice(&values[..range.len()]);
}

/// The inverse of [`round_context`].
fn restore_context(
    net: &ContextNet,
    ready: &ContextLayers,
    guides: usize,
    bits: u32,
    parameters: &mut [f32],
) {
    let inputs = context_sources(&net.first, guides);
    let hidden = vec![Source::Value(bits); net.first.outputs];
    for (layer, ready, sources) in
        [(&net.first, &ready.first, &inputs), (&net.second, &ready.second, &hidden)]
    {
        write(&layer.weights, &ready.layer.float_weights(sources, bits), parameters);
        write(&layer.bias, &ready.layer.float_bias(bits), parameters);
    }
    let mut weights = ready.output.layer.float_weights(&[&hidden[..], &inputs].concat(), 0);
    let scale = f32::from(1_u8 << LOCATION);
    for pair in weights.as_chunks_mut::<2>().0 {
        *pair = [pair[0] / scale, pair[1] / 8.0];
    }
    write(&net.output.weights, &weights, parameters);
    write(&net.bypass.weights, &weights[2 * hidden.len()..], parameters);
    let bias = ready.output.layer.float_bias(0);
    write(&net.output.bias, &[bias[0] / scale, (bias[1] - 20.0) / 8.0], parameters);
}

/// The inverse of [`round_synthesis`], but for the steps.
fn restore_synthesis(net: &SynthesisNet, ready: &SynthesisLayers, parameters: &mut [f32]) {
    let colours = vec![Source::Value(PICTURE); net.linear.len() / 3];
    write(&net.linear, &ready.linear.layer.float_weights(&colours, PICTURE), parameters);
    for (layer, ready, from, to) in [
        (&net.first, &ready.first, PICTURE, FEATURE),
        (&net.second, &ready.second, FEATURE, FEATURE),
        (&net.output, &ready.output, FEATURE, PICTURE),
        (&net.carry, &ready.carry, FEATURE, FEATURE),
    ] {
        let sources = vec![Source::Value(from); layer.taps.len()];
        write(&layer.weights, &ready.layer.float_weights(&sources, to), parameters);
        write(&layer.bias, &ready.layer.float_bias(to), parameters);
    }
}
