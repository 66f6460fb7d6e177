//! The network with its weights.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    config::Config,
    layers::{ContextNet, Layer, Layers, SynthesisNet},
    quality::OCTAVE,
    synthesis::step,
};
use crate::error::{Error, Result};

/// A network of the photo family in floating point.
#[derive(Debug, Clone)]
pub struct Network {
    config: Config,
    pub(super) layers: Layers,
    pub(super) parameters: Vec<f32>,
    /// `[direction][parameter]`; 0 where there are none, see `layers::has_directions`.
    pub(super) directions: Vec<f32>,
    lambda: f32,
    pub(super) steps: Vec<f32>,
}

/// Initial steps of the latents at the finest level, in units of the root of the Lagrange multiplier.
const FIRST_STEP: f32 = 2.94;
/// Bound of random directions.
const FIRST_DIRECTION: f32 = 3e-3;
/// Initial steps of a level relative to the finer one.
const STEP_RATIO: f32 = 0.55;

impl Network {
    /// A network with random weights, which decodes a Laplacian pyramid. `lambda` is the squared error, of pixels in [0, 1], that is
    /// worth as much as a bit for each pixel.
    ///
    /// # Errors
    /// [`Error::Misuse`] for sizes or a `lambda` that no network has.
    pub fn new(config: Config, lambda: f32, seed: u64) -> Result<Self> {
        if !is_possible(&config, lambda) {
            return Err(Error::Misuse(format!("no network has lambda {lambda} and the sizes {config:?}")));
        }
        let layers = Layers::new(&config);
        let mut parameters = vec![0.0; layers.parameters()];
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for net in layers.contexts.iter().flatten() {
            initialize_context(net, &mut parameters, &mut rng);
        }
        for net in &layers.synthesis {
            initialize_synthesis(net, &mut parameters, &mut rng);
        }
        let mut network = Self::assemble(config, layers, parameters, lambda);
        network.draw_directions(&mut rng);
        Ok(network)
    }

    /// A network with given weights, in the order of [`Network::parameters`].
    ///
    /// # Errors
    /// [`Error::Model`] for sizes, weights or a `lambda` that no network has.
    pub fn from_parameters(config: Config, lambda: f32, parameters: Vec<f32>) -> Result<Self> {
        let layers = is_possible(&config, lambda).then(|| Layers::new(&config));
        match layers {
            Some(layers)
                if layers.parameters() == parameters.len() && parameters.iter().all(|x| x.is_finite()) =>
            {
                Ok(Self::assemble(config, layers, parameters, lambda))
            }
            _ => Err(Error::Model(format!("{} weights are no network of {config:?}", parameters.len()))),
        }
    }

    /// As [`Network::from_parameters`], with the steps of each level, whose changes among the parameters are 0.
    pub(super) fn with_steps(
        config: Config,
        lambda: f32,
        parameters: Vec<f32>,
        steps: Vec<f32>,
    ) -> Result<Self> {
        Ok(Self { steps, ..Self::from_parameters(config, lambda, parameters)? })
    }

    /// Without directions, as those of [`Network::with_directions`] that are all 0.
    fn assemble(config: Config, layers: Layers, parameters: Vec<f32>, lambda: f32) -> Self {
        let steps = initial_steps(lambda, config.levels.len());
        let directions = vec![0.0; config.directions * parameters.len()];
        Self { config, layers, parameters, directions, lambda, steps }
    }

    /// The network with other directions: for each, a change of each of [`Network::parameters`].
    ///
    /// # Errors
    /// [`Error::Model`] for directions that the network cannot have.
    pub fn with_directions(self, directions: Vec<f32>) -> Result<Self> {
        let is_complete = directions.len() == self.directions.len();
        let is_finite = directions.iter().all(|value| value.is_finite());
        let mut rows = directions.chunks_exact(self.parameters.len());
        let is_still = rows.all(|row| self.layers.still_arrays().flatten().all(|place| row[place] == 0.0));
        if is_complete && is_finite && is_still {
            return Ok(Self { directions, ..self });
        }
        Err(Error::Model(format!("{} numbers are no directions of {:?}", directions.len(), self.config)))
    }

    /// The network with `count` directions: its own, as far as it has them, and random ones.
    ///
    /// # Errors
    /// [`Error::Model`] for more directions than a network can have.
    pub fn with_random_directions(self, count: usize, seed: u64) -> Result<Self> {
        let own = self.directions;
        let config = Config { directions: count, ..self.config };
        let mut network = Self::with_steps(config, self.lambda, self.parameters, self.steps)?;
        network.draw_directions(&mut ChaCha8Rng::seed_from_u64(seed));
        network.directions.iter_mut().zip(own).for_each(|(to, own)| *to = own);
        Ok(network)
    }

    fn draw_directions(&mut self, rng: &mut ChaCha8Rng) {
        for row in self.directions.chunks_exact_mut(self.parameters.len()) {
            row.iter_mut().for_each(|to| *to = rng.random_range(-FIRST_DIRECTION..=FIRST_DIRECTION));
            self.layers.still_arrays().for_each(|range| row[range].fill(0.0));
        }
    }

    /// The network whose weights coefficients, one for each direction, have moved. It has no directions of its own.
    #[must_use]
    pub fn moved(&self, coefficients: &[f32]) -> Self {
        let mut parameters = self.parameters.clone();
        let rows = self.directions.chunks_exact(parameters.len());
        for (row, coefficient) in rows.zip(coefficients) {
            parameters.iter_mut().zip(row).for_each(|(to, from)| *to += coefficient * from);
        }
        let Self { layers, steps, lambda, .. } = self;
        let config = Config { levels: self.config.levels.clone(), directions: 0 };
        let (layers, steps) = (layers.clone(), steps.clone());
        Self { config, layers, parameters, directions: Vec::new(), lambda: *lambda, steps }
    }

    /// The network for a quality that is higher by some places of the scale of qualities, as files of other qualities use it: with other
    /// steps and another lambda.
    pub(super) fn shifted(mut self, places: f32) -> Self {
        let factor = (-places / OCTAVE as f32).exp2();
        self.lambda *= factor * factor;
        self.steps.iter_mut().for_each(|step| *step *= factor);
        self
    }

    /// The sizes.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The squared error that is worth as much as a bit for each pixel.
    #[must_use]
    pub fn lambda(&self) -> f32 {
        self.lambda
    }

    /// The steps of the latents of each level.
    pub(super) fn level_steps(&self) -> Vec<f32> {
        let nets = self.layers.synthesis.iter().zip(&self.steps);
        nets.map(|(net, &initial)| step(net, &self.parameters, initial)).collect()
    }

    /// All weights.
    #[must_use]
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// What each direction adds to each of [`Network::parameters`], for a coefficient of 1.
    #[must_use]
    pub fn directions(&self) -> &[f32] {
        &self.directions
    }

    /// The name of each array of [`Network::parameters`], and its values.
    pub fn arrays(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.layers.arrays.iter().map(|(name, range)| (name.as_str(), &self.parameters[range.clone()]))
    }
}

/// The steps of the levels of an untrained network. The latents of a pyramid with these steps are where optimization begins for trained
/// networks, too: their own steps are smaller, and a pyramid with those would take many more bits.
pub(super) fn initial_steps(lambda: f32, levels: usize) -> Vec<f32> {
    (0..levels).map(|level| FIRST_STEP * lambda.sqrt() * STEP_RATIO.powi(level as i32)).collect()
}

fn is_possible(config: &Config, lambda: f32) -> bool {
    config.is_valid() && lambda > 0.0 && lambda.is_finite()
}

/// Uniform weights and biases with the usual bound, one over the root of the number of inputs.
fn initialize(layer: &Layer, parameters: &mut [f32], rng: &mut ChaCha8Rng) {
    let bound = (layer.taps.len().max(1) as f32).sqrt().recip();
    for range in [&layer.weights, &layer.bias] {
        parameters[range.clone()].iter_mut().for_each(|to| *to = rng.random_range(-bound..=bound));
    }
}

/// Adds the identity to a layer from values to the same values, which thus begins as a residual layer.
fn add_identity(layer: &Layer, parameters: &mut [f32]) {
    for (index, tap) in layer.taps.iter().enumerate() {
        if (tap.row, tap.column) == (0, 0) {
            parameters[layer.weights.start + index * layer.outputs + tap.plane] += 1.0;
        }
    }
}

/// The last layers begin with 0: all latents have the same distribution.
fn initialize_context(net: &ContextNet, parameters: &mut [f32], rng: &mut ChaCha8Rng) {
    initialize(&net.first, parameters, rng);
    initialize(&net.second, parameters, rng);
    add_identity(&net.second, parameters);
}

/// The last layers begin with 0, and the first three latents are changes of luma and chroma.
fn initialize_synthesis(net: &SynthesisNet, parameters: &mut [f32], rng: &mut ChaCha8Rng) {
    initialize(&net.first, parameters, rng);
    initialize(&net.second, parameters, rng);
    add_identity(&net.second, parameters);
    let bound = (net.carry.taps.len() as f32).sqrt().recip();
    parameters[net.carry.weights.clone()].iter_mut().for_each(|to| *to = rng.random_range(-bound..=bound));
    for channel in 0..(net.linear.len() / 3).min(3) {
        parameters[net.linear.start + 4 * channel] = 1.0;
    }
}
