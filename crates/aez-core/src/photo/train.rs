//! Training: the weights and directions, and the latents and coefficients of all training pictures, are optimized together.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{
    adam::{Adam, Decay},
    coefficients::Coefficients,
    fit::{Point, initial, round, through},
    network::Network,
    objective::{self, Cost},
    schedule::{Schedule, half_cosine},
    scratch::Scratch,
    target::Target,
};
use crate::parallel::*;

const WEIGHT_DECAY: Decay = Decay { mean: 0.9, square: 0.99 };
/// Steps during which the learning rate of the weights rises.
const WARM_UP: f32 = 50.0;
/// Bound of the length of the gradient of the weights.
const MAX_GRADIENT: f32 = 2.0;

/// The learning rate of directions relative to that of the weights.
const DIRECTION_RATE: f32 = 0.1;

/// How a network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Pictures of a step.
    pub batch: usize,
    /// Highest learning rate of the weights.
    pub rate: f32,
    /// How often the latents of a picture are updated. Then its optimization is over, and the picture should be replaced.
    pub updates: u32,
    /// How many of these updates come before the picture has an influence on the weights.
    pub preparation: u32,
    /// Each picture has a quality of its own, up to this far from that of the network.
    pub jitter: f32,
    /// Whether the weights stay as they are, so that only directions are trained.
    #[serde(default)]
    pub only_directions: bool,
    /// Seed of the order of the pictures, of their qualities and of the noise.
    pub seed: u64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            batch: 2,
            rate: 3e-3,
            updates: 80,
            preparation: 12,
            jitter: 11.0,
            only_directions: false,
            seed: 0,
        }
    }
}

/// Means over the pictures of a step, or over pictures that were measured.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Bits for each pixel plus squared error divided by lambda.
    pub loss: f64,
    /// Bits for each pixel.
    pub bits_per_pixel: f64,
    /// Mean squared error of red, green and blue in [0, 1].
    pub error: f64,
}

/// A training picture with its latents and coefficients.
pub(super) struct Example {
    pub target: Target,
    pub latents: Vec<Vec<f32>>,
    pub adams: Vec<Adam>,
    pub coefficients: Coefficients,
    /// How far its quality is above that of the network.
    pub offset: f32,
    pub updates: u32,
    /// How many of the updates of its optimization are done, as if it had begun earlier: the first pictures of a training do not end
    /// at the same time.
    pub age: u32,
}

/// The cost of a picture, and the lambda of its quality.
struct Weighted {
    cost: Cost,
    lambda: f32,
}

impl Weighted {
    fn loss(&self) -> f64 {
        self.cost.loss(self.lambda)
    }
}

/// The cost of a picture and its derivatives.
struct Gradients {
    cost: Weighted,
    latents: Vec<Vec<f32>>,
    /// `None` where neither the weights nor coefficients need them.
    weights: Option<Vec<f32>>,
}

/// A network in training, with the latents of all training pictures.
pub struct Trainer {
    pub(super) network: Network,
    pub(super) recipe: Recipe,
    pub(super) examples: Vec<Example>,
    pub(super) adam: Adam,
    pub(super) direction_adam: Adam,
    pub(super) steps: u32,
    order: Vec<usize>,
    scratch: Scratch,
}

impl Trainer {
    /// Begins to train a network on pictures.
    #[must_use]
    pub fn new(network: Network, targets: Vec<Target>, recipe: Recipe) -> Self {
        let example = |(index, target)| Example::new(&network, target, offset(&recipe, 0, index));
        let mut examples: Vec<Example> = targets.into_iter().enumerate().map(example).collect();
        let count = examples.len() as u32;
        for (index, example) in (0..).zip(&mut examples) {
            example.age = index * recipe.updates / count;
        }
        let adam = Adam::new(network.parameters.len());
        let direction_adam = Adam::new(network.directions.len());
        let scratch = Scratch::default();
        Self { network, recipe, examples, adam, direction_adam, steps: 0, order: Vec::new(), scratch }
    }

    /// The network as it is now.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Number of steps so far.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// A picture whose optimization is over.
    #[must_use]
    pub fn done(&self) -> Option<usize> {
        self.examples.iter().position(|example| example.age >= self.recipe.updates)
    }

    /// Replaces a picture by another one, so that a training sees more pictures than it holds.
    ///
    /// # Panics
    /// When there are fewer pictures.
    pub fn replace(&mut self, picture: usize, target: Target) {
        let offset = offset(&self.recipe, self.steps, picture);
        self.examples[picture] = Example::new(&self.network, target, offset);
    }

    /// Updates the weights and directions, and the latents and coefficients of the next pictures. `part` is how much of the training is
    /// done, 0 to 1, which decides the learning rate of the weights.
    pub fn step(&mut self, part: f32) -> Progress {
        let batch = self.next_batch();
        let seed = self.recipe.seed as u32 ^ self.steps.wrapping_mul(0x85EB_CA77);
        let (network, examples, recipe) = (&self.network, &self.examples, &self.recipe);
        let results: Vec<Gradients> = batch
            .clone()
            .into_par_iter()
            .map(|index| {
                examples[index].gradients(network, recipe, seed.wrapping_add(index as u32), &self.scratch)
            })
            .collect();
        let mut total = vec![0.0; self.adam.mean.len()];
        let mut directions = vec![0.0; self.direction_adam.mean.len()];
        let mean = self.mean_coefficients();
        let mut has_influence = false;
        for (&index, Gradients { cost, weights, .. }) in batch.iter().zip(&results) {
            let (example, scale) = (&self.examples[index], influence(cost));
            let Some(weights) = weights.as_ref().filter(|_| example.is_prepared(&self.recipe)) else {
                continue;
            };
            has_influence = true;
            add(&mut total, weights, scale);
            let rows = directions.chunks_exact_mut(total.len());
            for ((row, coefficient), mean) in rows.zip(&example.coefficients.values).zip(&mean) {
                add(row, weights, scale * (coefficient - mean));
            }
        }
        for (&index, gradients) in batch.iter().zip(&results) {
            self.examples[index].update(&self.network, gradients, self.recipe.updates);
        }
        if has_influence {
            self.update_weights(&mut total, &mut directions, part);
        }
        self.steps += 1;
        progress(results.iter().map(|gradients| &gradients.cost))
    }

    /// The means of the coefficients of pictures that have an influence on the weights. Directions follow the differences from them only:
    /// what all pictures have in common belongs to the weights. Otherwise directions grow without bound, and training diverges.
    fn mean_coefficients(&self) -> Vec<f32> {
        let prepared = self.examples.iter().filter(|example| example.is_prepared(&self.recipe));
        let (mut mean, mut count) = (vec![0.0; self.network.config().directions], 0.0_f32);
        for example in prepared {
            add(&mut mean, &example.coefficients.values, 1.0);
            count += 1.0;
        }
        mean.iter_mut().for_each(|value| *value /= count.max(1.0));
        mean
    }

    /// Measures the first pictures as a decoder shows them.
    #[must_use]
    pub fn measure(&self, count: usize) -> Progress {
        let examples = &self.examples[..count.min(self.examples.len())];
        let measure = |example: &Example| {
            let network = example.network(&self.network);
            let (cost, _) = objective::measure(&network, &example.target, &example.latents);
            Weighted { lambda: network.lambda(), cost }
        };
        let costs: Vec<Weighted> =
            (0..examples.len()).into_par_iter().map(|index| measure(&examples[index])).collect();
        progress(costs.iter())
    }

    fn update_weights(&mut self, gradient: &mut [f32], directions: &mut [f32], part: f32) {
        let length = gradient.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt() as f32;
        if length > MAX_GRADIENT {
            gradient.iter_mut().chain(&mut *directions).for_each(|x| *x *= MAX_GRADIENT / length);
        }
        let rate = self.recipe.rate * (self.steps as f32 / WARM_UP).min(1.0) * half_cosine(part) + 1e-5;
        let Network { parameters, directions: values, layers, .. } = &mut self.network;
        for row in directions.chunks_exact_mut(parameters.len()) {
            layers.still_arrays().for_each(|range| row[range].fill(0.0));
        }
        if !self.recipe.only_directions {
            self.adam.update(parameters, gradient, rate, WEIGHT_DECAY, self.steps);
        }
        self.direction_adam.update(values, directions, DIRECTION_RATE * rate, WEIGHT_DECAY, self.steps);
    }

    /// The next pictures of a random order, which is drawn again when all have been used.
    fn next_batch(&mut self) -> Vec<usize> {
        let batch = self.recipe.batch.clamp(1, self.examples.len().max(1));
        let rounds = (self.examples.len() / batch).max(1);
        let (round, place) = (self.steps as usize / rounds, self.steps as usize % rounds);
        if place == 0 || self.order.is_empty() {
            let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed ^ (round as u64) << 32);
            self.order = (0..self.examples.len()).collect();
            for index in (1..self.order.len()).rev() {
                self.order.swap(index, rng.random_range(0..=index));
            }
        }
        self.order.iter().skip(place * batch).take(batch).copied().collect()
    }
}

impl Example {
    fn new(network: &Network, target: Target, offset: f32) -> Self {
        let network = network.clone().shifted(offset);
        let Point { latents, coefficients } = initial(&network, &target, network.lambda());
        let adams = latents.iter().map(|level| Adam::new(level.len())).collect();
        let coefficients = Coefficients::new(coefficients);
        Self { target, latents, adams, coefficients, offset, updates: 0, age: 0 }
    }

    /// The part of the optimization that is done, 0 to 1.
    fn part(&self, updates: u32) -> f32 {
        (self.age as f32 / updates.max(1) as f32).min(1.0)
    }

    /// Whether the picture has an influence on the weights.
    fn is_prepared(&self, recipe: &Recipe) -> bool {
        self.updates >= recipe.preparation
    }

    /// The network for the picture.
    fn network(&self, network: &Network) -> Network {
        network.moved(&self.coefficients.values).shifted(self.offset)
    }

    fn gradients(&self, network: &Network, recipe: &Recipe, seed: u32, scratch: &Scratch) -> Gradients {
        let (rounded, slopes) =
            round(&self.latents, Schedule::LONG.rounding(self.part(recipe.updates)), seed);
        let has_directions = !network.directions.is_empty();
        let mut weights =
            (has_directions || self.is_prepared(recipe)).then(|| vec![0.0; network.parameters.len()]);
        let network = self.network(network);
        let (cost, mut latents) =
            objective::gradient(&network, &self.target, &rounded, weights.as_deref_mut(), scratch);
        latents.iter_mut().zip(&slopes).for_each(|(gradient, slopes)| through(gradient, slopes));
        Gradients { cost: Weighted { cost, lambda: network.lambda() }, latents, weights }
    }

    fn update(&mut self, network: &Network, gradients: &Gradients, updates: u32) {
        let part = self.part(updates);
        let pairs = self.latents.iter_mut().zip(&gradients.latents);
        for (adam, (latents, gradient)) in self.adams.iter_mut().zip(pairs) {
            Schedule::LONG.update(adam, latents, gradient, part, self.updates);
        }
        if let (Some(weights), false) = (&gradients.weights, network.directions.is_empty()) {
            self.coefficients.update(network, weights, part, self.updates);
        }
        self.updates += 1;
        self.age += 1;
    }
}

fn add(to: &mut [f32], from: &[f32], scale: f32) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += scale * from);
}

/// The factor of the derivatives of a picture's weights. Those of pictures with much texture are large; the root of the loss lets smooth
/// pictures count more.
fn influence(picture: &Weighted) -> f32 {
    (picture.loss().max(0.01).sqrt() * picture.cost.pixels as f64).recip() as f32
}

/// How far the quality of a new picture is above that of the network.
fn offset(recipe: &Recipe, steps: u32, picture: usize) -> f32 {
    let seed = recipe.seed ^ u64::from(steps) << 32 ^ (picture as u64) << 16 ^ 0x9E37;
    recipe.jitter * ChaCha8Rng::seed_from_u64(seed).random_range(-1.0..=1.0)
}

fn progress<'a>(pictures: impl Iterator<Item = &'a Weighted> + Clone) -> Progress {
    let count = pictures.clone().count().max(1) as f64;
    let mean = |value: &dyn Fn(&Weighted) -> f64| pictures.clone().map(value).sum::<f64>() / count;
    Progress {
        loss: mean(&Weighted::loss),
        bits_per_pixel: mean(&|picture| picture.cost.bits_per_pixel()),
        error: mean(&|picture| picture.cost.error),
    }
}
