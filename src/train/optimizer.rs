//! The state of the optimizer, in the open so that a run can be resumed exactly: Adam (Kingma and Ba, 2015), Muon for the
//! convolutions where the recipe wants it, and a moving average of the weights.

use super::muon;
use crate::{error::Result, model::Parameters};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

pub(super) const BETA1: f32 = 0.9;
pub(super) const BETA2: f32 = 0.999;
pub(super) const EPSILON: f32 = 1e-8;
/// Numbers that a thread updates at a time.
const CHUNK: usize = 1 << 14;

/// How one step is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Factor on the gradients.
    pub scale: f32,
    /// Learning rates of the convolutions, and of the linear layers.
    pub rate: f64,
    pub linear_rate: f64,
    /// Whether the convolutions' weights move by Muon.
    pub muon: bool,
    /// Decay of the weights' moving average.
    pub average: f32,
}

impl Step {
    /// A step of Adam along the gradients as they are, without an average.
    #[must_use]
    pub fn adam(rate: f64) -> Self {
        Self { scale: 1.0, rate, linear_rate: rate, muon: false, average: 0.0 }
    }

    /// The learning rate of an array.
    pub(super) fn rate(&self, name: &str) -> f64 {
        if name.contains("linear") { self.linear_rate } else { self.rate }
    }
}

/// Running means over the steps, for each parameter array.
#[derive(Debug, Clone, PartialEq)]
pub struct Optimizer {
    /// Steps taken.
    pub step: u64,
    /// Of the gradient.
    pub means: Vec<Vec<f32>>,
    /// Of its square; zero for arrays that move by Muon.
    pub squares: Vec<Vec<f32>>,
    /// Of the weights.
    pub averages: Vec<Vec<f32>>,
}

impl Optimizer {
    /// A state without history.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        let zeros = || parameters.arrays.iter().map(|array| vec![0.0; array.values.len()]).collect();
        let averages = parameters.arrays.iter().map(|array| array.values.clone()).collect();
        Self { step: 0, means: zeros(), squares: zeros(), averages }
    }

    /// The averaged weights.
    ///
    /// # Panics
    /// When `parameters` are of another network.
    #[must_use]
    pub fn averaged(&self, parameters: &Parameters) -> Parameters {
        let mut averaged = parameters.clone();
        for (array, average) in averaged.arrays.iter_mut().zip(&self.averages) {
            array.values.copy_from_slice(average);
        }
        averaged
    }

    /// What Adam's running means lack of those over all time: the divisor of the first, and the factor on the root of the
    /// second.
    pub(super) fn corrections(&self) -> (f64, f32) {
        let correct = |beta: f32| 1.0 - f64::from(beta).powf(self.step as f64);
        (correct(BETA1), (1.0 / correct(BETA2)).sqrt() as f32)
    }

    /// Takes one step along `gradients`.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when there is no memory.
    pub fn update(&mut self, parameters: &mut Parameters, gradients: &[Vec<f32>], step: &Step) -> Result<()> {
        self.step += 1;
        let (first, root) = self.corrections();
        for (index, (array, gradient)) in parameters.arrays.iter_mut().zip(gradients).enumerate() {
            let (means, squares) = (&mut self.means[index], &mut self.squares[index]);
            let rate = step.rate(&array.name);
            if muon::applies(step, &array.name, &array.shape) {
                let tensor =
                    |values: &[f32]| Tensor::from_slice(values, array.shape.as_slice(), &Device::Cpu);
                let (mean, change) = muon::step(step, rate, &tensor(means)?, &tensor(gradient)?)?;
                *means = mean.flatten_all()?.to_vec1()?;
                let change: Vec<f32> = change.flatten_all()?.to_vec1()?;
                array.values.iter_mut().zip(change).for_each(|(value, change)| *value -= change);
            } else {
                let step = ((rate / first) as f32, root, step.scale);
                adam(step, &mut array.values, gradient, means, squares);
            }
            let parts = self.averages[index].par_chunks_mut(CHUNK).zip(array.values.par_chunks(CHUNK));
            parts.for_each(|(averages, values)| {
                for (average, value) in averages.iter_mut().zip(values) {
                    *average = step.average * *average + (1.0 - step.average) * value;
                }
            });
        }
        Ok(())
    }
}

/// A step of Adam: learning rate, correction of the root, and factor on the gradient.
fn adam(
    (rate, root, scale): (f32, f32, f32),
    values: &mut [f32],
    gradient: &[f32],
    means: &mut [f32],
    squares: &mut [f32],
) {
    let chunks = values.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
    let chunks = chunks.zip(means.par_chunks_mut(CHUNK).zip(squares.par_chunks_mut(CHUNK)));
    chunks.for_each(|((values, gradient), (means, squares))| {
        let state = means.iter_mut().zip(squares);
        for ((value, &gradient), (mean, square)) in values.iter_mut().zip(gradient).zip(state) {
            let gradient = gradient * scale;
            *mean = BETA1 * *mean + (1.0 - BETA1) * gradient;
            *square = BETA2 * *square + (1.0 - BETA2) * gradient * gradient;
            *value -= rate * *mean / (square.sqrt() * root + EPSILON);
        }
    });
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

    /// Adam in 64-bit arithmetic, as the paper's algorithm 1 has it, and the average of its weights.
    #[test]
    fn steps_are_those_of_the_paper() {
        let config = Config { tile: 8, channels: 2, reductions: 1, latents: 2, ..Config::default() };
        let mut parameters = init::xavier(config, 1).unwrap();
        let mut optimizer = Optimizer::new(&parameters);
        let start = f64::from(parameters.arrays[0].values[0]);
        let (mut value, mut mean, mut square, mut average) = (start, 0.0, 0.0, start);
        for step in 1..=5 {
            let raw = 0.3 * step as f32 - 0.8;
            let gradients: Vec<Vec<f32>> =
                parameters.arrays.iter().map(|a| vec![raw; a.values.len()]).collect();
            let how = Step { scale: 0.5, average: 0.75, ..Step::adam(0.01) };
            optimizer.update(&mut parameters, &gradients, &how).unwrap();
            let gradient = f64::from(raw) * 0.5;
            mean = 0.9 * mean + 0.1 * gradient;
            square = 0.999 * square + 0.001 * gradient * gradient;
            let (mean, square) = (mean / (1.0 - 0.9f64.powi(step)), square / (1.0 - 0.999f64.powi(step)));
            value -= 0.01 * mean / (square.sqrt() + 1e-8);
            average = 0.75 * average + 0.25 * value;
        }
        assert!((f64::from(parameters.arrays[0].values[0]) - value).abs() < 1e-6);
        let averaged = optimizer.averaged(&parameters);
        assert!((f64::from(averaged.arrays[0].values[0]) - average).abs() < 1e-6);
        assert!((norm(&[vec![3.0], vec![0.0, 4.0]]) - 5.0).abs() < 1e-12);
    }
}
