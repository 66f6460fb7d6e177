//! The coefficients of one picture, which move the weights along the directions of a network.

use super::{
    adam::{Adam, Decay},
    integer::{COEFFICIENT_LIMIT, COEFFICIENT_UNITS},
    network::Network,
    schedule::half_cosine,
};

/// How fast the averages of the coefficients' optimizer forget.
const DECAY: Decay = Decay { mean: 0.8, square: 0.99 };

/// Coefficients, one for each direction, with their optimizer.
#[derive(Debug, Clone)]
pub(super) struct Coefficients {
    pub values: Vec<f32>,
    pub adam: Adam,
}

impl Coefficients {
    pub fn new(values: Vec<f32>) -> Self {
        Self { adam: Adam::new(values.len()), values }
    }

    /// Moves the coefficients against their gradient, which follows from that of the weights. `part` is the part of the optimization
    /// that is done, `updates` the number of earlier calls.
    pub fn update(&mut self, network: &Network, weights: &[f32], part: f32, updates: u32) {
        let gradient = gradient(network, weights);
        let rate = 0.3 * (half_cosine(part) + 0.01);
        self.adam.update(&mut self.values, &gradient, rate, DECAY, updates);
    }
}

/// The derivatives with respect to the coefficients, from those of the weights.
pub(super) fn gradient(network: &Network, weights: &[f32]) -> Vec<f32> {
    let rows = network.directions.chunks_exact(weights.len());
    rows.map(|row| row.iter().zip(weights).map(|(a, b)| a * b).sum()).collect()
}

/// Coefficients as they are coded.
pub(super) fn coded(values: &[f32]) -> Vec<i32> {
    let coded = |value: &f32| {
        ((COEFFICIENT_UNITS * value).round() as i32).clamp(-COEFFICIENT_LIMIT, COEFFICIENT_LIMIT)
    };
    values.iter().map(coded).collect()
}

/// The network that coded coefficients make.
pub(super) fn moved(network: &Network, coded: &[i32]) -> Network {
    let values: Vec<f32> = coded.iter().map(|&value| value as f32 / COEFFICIENT_UNITS).collect();
    network.moved(&values)
}
