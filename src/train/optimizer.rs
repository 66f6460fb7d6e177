//! Adam (Kingma and Ba, 2015), with its state in the open so that a run can be resumed exactly.

use crate::model::Parameters;
use rayon::prelude::*;

pub(super) const BETA1: f32 = 0.9;
pub(super) const BETA2: f32 = 0.999;
pub(super) const EPSILON: f32 = 1e-8;
/// Numbers that a thread updates at a time.
const CHUNK: usize = 1 << 14;

/// Running means of each parameter's gradient and of its square.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam {
    /// Steps taken.
    pub step: u64,
    /// For each parameter array.
    pub means: Vec<Vec<f32>>,
    pub squares: Vec<Vec<f32>>,
}

impl Adam {
    /// A state without history.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        let zeros = || parameters.arrays.iter().map(|array| vec![0.0; array.values.len()]).collect();
        Self { step: 0, means: zeros(), squares: zeros() }
    }

    /// What the running means lack of those over all time: the divisor of the first, and the factor on the root of the
    /// second.
    pub(super) fn corrections(&self) -> (f64, f32) {
        let correct = |beta: f32| 1.0 - f64::from(beta).powf(self.step as f64);
        (correct(BETA1), (1.0 / correct(BETA2)).sqrt() as f32)
    }

    /// Takes one step along `gradients`, each multiplied by `scale` first, at the learning rate that `rate` gives for an
    /// array's name.
    pub fn update(
        &mut self,
        parameters: &mut Parameters,
        gradients: &[Vec<f32>],
        scale: f32,
        rate: impl Fn(&str) -> f64,
    ) {
        self.step += 1;
        let (first, root) = self.corrections();
        let state = self.means.iter_mut().zip(&mut self.squares);
        for ((array, gradient), (means, squares)) in parameters.arrays.iter_mut().zip(gradients).zip(state) {
            let step = (rate(&array.name) / first) as f32;
            let chunks = array.values.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
            let chunks = chunks.zip(means.par_chunks_mut(CHUNK).zip(squares.par_chunks_mut(CHUNK)));
            chunks.for_each(|((values, gradient), (means, squares))| {
                let state = means.iter_mut().zip(squares);
                for ((value, &gradient), (mean, square)) in values.iter_mut().zip(gradient).zip(state) {
                    let gradient = gradient * scale;
                    *mean = BETA1 * *mean + (1.0 - BETA1) * gradient;
                    *square = BETA2 * *square + (1.0 - BETA2) * gradient * gradient;
                    *value -= step * *mean / (square.sqrt() * root + EPSILON);
                }
            });
        }
    }
}

/// The Euclidean norm of all gradients together, summed in an order that does not depend on the threads.
#[must_use]
pub fn norm(gradients: &[Vec<f32>]) -> f64 {
    let square = |chunk: &[f32]| chunk.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let sums = |gradient: &Vec<f32>| gradient.par_chunks(CHUNK).map(square).collect::<Vec<f64>>();
    gradients.iter().flat_map(sums).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, init};

    /// Adam in 64-bit arithmetic, as the paper's algorithm 1 has it.
    #[test]
    fn steps_are_those_of_the_paper() {
        let config = Config { tile: 8, channels: 2, reductions: 1, latents: 2, ..Config::default() };
        let mut parameters = init::xavier(config, 1).unwrap();
        let mut adam = Adam::new(&parameters);
        let start = f64::from(parameters.arrays[0].values[0]);
        let (mut value, mut mean, mut square) = (start, 0.0, 0.0);
        for step in 1..=5 {
            let raw = 0.3 * step as f32 - 0.8;
            let gradients: Vec<Vec<f32>> =
                parameters.arrays.iter().map(|a| vec![raw; a.values.len()]).collect();
            adam.update(&mut parameters, &gradients, 0.5, |_| 0.01);
            let gradient = f64::from(raw) * 0.5;
            mean = 0.9 * mean + 0.1 * gradient;
            square = 0.999 * square + 0.001 * gradient * gradient;
            let (mean, square) = (mean / (1.0 - 0.9f64.powi(step)), square / (1.0 - 0.999f64.powi(step)));
            value -= 0.01 * mean / (square.sqrt() + 1e-8);
        }
        assert!((f64::from(parameters.arrays[0].values[0]) - value).abs() < 1e-6);
        assert!((norm(&[vec![3.0], vec![0.0, 4.0]]) - 5.0).abs() < 1e-12);
    }
}
