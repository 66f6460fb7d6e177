//! What each integer layer is made of, and how the parameters in floating point are rounded to it.

use std::ops::Range;

use super::{
    super::{
        layers::{ContextNet, Layer, Layers, SynthesisNet, Tap, has_directions},
        network::Network,
    },
    directions::Directions,
    layer::{IntegerLayer, Source},
};
use crate::error::Result;

/// Fractional bits of the features of the synthesis network.
const FEATURE: u32 = 13;
/// Fractional bits of luma and chroma, whose full range is 1.
pub(super) const PICTURE: u32 = 13;
/// Fractional bits of locations.
const LOCATION: u32 = 4;
/// Fractional bits of what becomes the number of a scale, and its offset: see `laplace` and `tables`.
const SCALE: (u32, f32) = (3, 2.5);

/// Fractional bits of the hidden values of a level's context model: latents of coarse levels are large.
fn hidden_bits(level: usize) -> u32 {
    9 - level.min(4) as u32
}

/// Weights and sums leave room for any coefficients of up to this length. Most that are longer fit, too; more room takes precision from
/// all pictures.
const REACH: f64 = 4.0;

/// A layer: its name, what each of its taps reads, and the parameters that it is rounded from.
pub(super) struct Plan {
    pub name: String,
    pub sources: Vec<Source>,
    pub outputs: usize,
    /// Whether a network with directions has some of this layer.
    pub has_directions: bool,
    /// Places of the weights, and of the biases, among the parameters. The step of latents has none.
    weights: Vec<Range<usize>>,
    bias: Range<usize>,
    /// Fractional bits of each output.
    bits: Vec<u32>,
    /// What the bias of each output has besides the parameter.
    offsets: Vec<f32>,
}

impl Plan {
    fn new(name: String, sources: Vec<Source>, weights: Vec<Range<usize>>, bits: Vec<u32>) -> Self {
        let (outputs, has_directions) = (bits.len(), has_directions(&name));
        Self {
            name,
            sources,
            outputs,
            has_directions,
            weights,
            bias: 0..0,
            bits,
            offsets: vec![0.0; outputs],
        }
    }

    fn with_bias(self, bias: &Range<usize>) -> Self {
        Self { bias: bias.clone(), ..self }
    }

    /// Whether this is the step of a level's latents.
    fn is_step(&self) -> bool {
        self.weights.is_empty()
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        self.weights.iter().cloned().flatten()
    }

    /// The rounded layer of a network. `step` is that of the next level whose step is rounded.
    pub fn round(&self, network: &Network, steps: &mut impl Iterator<Item = f32>) -> Result<IntegerLayer> {
        let parameters = &network.parameters;
        if self.is_step() {
            let step = steps.next().unwrap_or(0.0).into();
            return Ok(IntegerLayer::round(&[step], &[0.0], &self.sources, &self.bits, &[]));
        }
        let weights: Vec<f64> = self.places().map(|place| parameters[place].into()).collect();
        let mut bias: Vec<f64> = self.offsets.iter().map(|&offset| offset.into()).collect();
        bias.iter_mut().zip(&parameters[self.bias.clone()]).for_each(|(to, &from)| *to += f64::from(from));
        let directions = self.directions_of(network);
        let reach = reach(&directions);
        let layer = IntegerLayer::round(&weights, &bias, &self.sources, &self.bits, &reach);
        let directions = Directions::round(&directions, &self.units(&layer), &self.sources, &self.name)?;
        Ok(IntegerLayer { directions, ..layer })
    }

    /// Each direction of a network in this layer, `[tap + 1][output]`, with the biases at the end.
    fn directions_of(&self, network: &Network) -> Vec<Vec<f64>> {
        let directions = if self.has_directions { network.config().directions } else { 0 };
        let count = network.parameters.len();
        let of = |index: usize| {
            let values = &network.directions[index * count..][..count];
            let weights = self.places().chain(self.bias.clone()).map(|place| values[place].into());
            let mut row: Vec<f64> = weights.collect();
            row.resize((self.sources.len() + 1) * self.outputs, 0.0);
            row
        };
        (0..directions).map(of).collect()
    }

    /// What a unit of each integer of a layer is worth, `[tap + 1][output]`.
    fn units(&self, layer: &IntegerLayer) -> Vec<f64> {
        let sources = self.sources.iter().map(|source| source.unit()).chain([1.0]);
        let scale = |output: usize| f64::from(self.bits[output] + u32::from(layer.shifts[output])).exp2();
        sources.flat_map(|unit| (0..self.outputs).map(move |output| unit / scale(output))).collect()
    }

    /// Writes the parameters that a layer stands for. The inverse of [`Plan::round`], but for steps.
    pub fn restore(&self, layer: &IntegerLayer, parameters: &mut [f32], directions: &mut [f32]) {
        let units = self.units(layer);
        for (place, (&weight, unit)) in self.places().zip(layer.weights.iter().zip(&units)) {
            parameters[place] = (f64::from(weight) * unit) as f32;
        }
        let biases = layer.float_bias().zip(&units[layer.weights.len()..]);
        for (place, ((bias, unit), offset)) in self.bias.clone().zip(biases.zip(&self.offsets)) {
            parameters[place] = (bias * unit) as f32 - offset;
        }
        let places: Vec<usize> = self.places().chain(self.bias.clone()).collect();
        let count = parameters.len();
        for (index, values) in layer.directions.float(&units, &self.sources).iter().enumerate() {
            for (&place, &value) in places.iter().zip(values) {
                directions[index * count + place] = value as f32;
            }
        }
    }

    /// The step that a layer stands for, if it is one.
    pub fn step(&self, layer: &IntegerLayer) -> Option<f32> {
        self.is_step().then(|| (f64::from(layer.weights[0]) * self.units(layer)[0]) as f32)
    }
}

/// How far coefficients of the length [`REACH`] move each weight and bias at most.
fn reach(directions: &[Vec<f64>]) -> Vec<f64> {
    let length = |place: usize| directions.iter().map(|values| values[place].powi(2)).sum::<f64>().sqrt();
    let count = directions.first().map_or(0, Vec::len);
    (0..count).map(|place| REACH * length(place)).collect()
}

/// All layers in the order in which they are stored.
pub(super) fn plans(layers: &Layers) -> Vec<Plan> {
    let contexts = layers.contexts.iter().enumerate().flat_map(|(level, nets)| {
        nets.iter().flat_map(move |net| context_plans(level, net, layers.planes[level].guides))
    });
    let synthesis = layers.synthesis.iter().enumerate().flat_map(|(level, net)| synthesis_plans(level, net));
    contexts.chain(synthesis).collect()
}

fn context_plans(level: usize, net: &ContextNet, guides: usize) -> [Plan; 3] {
    let name = |part: &str| format!("context.{level}.{}.{}.{part}", net.channel, net.pass);
    let bits = hidden_bits(level);
    let source = |tap: &Tap| if tap.plane < guides { Source::Latent } else { Source::Value(FEATURE) };
    let inputs: Vec<Source> = net.first.taps.iter().map(source).collect();
    let hidden = vec![Source::Value(bits); net.first.outputs];
    let plan = |part: &str, sources: &[Source], layer: &Layer| {
        let bits = vec![bits; layer.outputs];
        Plan::new(name(part), sources.to_vec(), vec![layer.weights.clone()], bits).with_bias(&layer.bias)
    };
    let weights = vec![net.output.weights.clone(), net.bypass.weights.clone()];
    let output = [&hidden[..], &inputs].concat();
    let output = Plan::new(name("output"), output, weights, vec![LOCATION, SCALE.0]);
    [
        plan("first", &inputs, &net.first),
        plan("second", &hidden, &net.second),
        Plan { offsets: vec![0.0, SCALE.1], ..output.with_bias(&net.output.bias) },
    ]
}

fn synthesis_plans(level: usize, net: &SynthesisNet) -> [Plan; 6] {
    let name = |part: &str| format!("synthesis.{level}.{part}");
    let plan = |part: &str, layer: &Layer, from: u32, to: u32| {
        let sources = vec![Source::Value(from); layer.taps.len()];
        let weights = vec![layer.weights.clone()];
        Plan::new(name(part), sources, weights, vec![to; layer.outputs]).with_bias(&layer.bias)
    };
    let colours = vec![Source::Value(PICTURE); net.linear.len() / 3];
    [
        Plan::new(name("scale"), vec![Source::Latent], Vec::new(), vec![PICTURE]),
        Plan::new(name("linear"), colours, vec![net.linear.clone()], vec![PICTURE; 3]),
        plan("first", &net.first, PICTURE, FEATURE),
        plan("second", &net.second, FEATURE, FEATURE),
        plan("output", &net.output, FEATURE, PICTURE),
        plan("carry", &net.carry, FEATURE, FEATURE),
    ]
}
