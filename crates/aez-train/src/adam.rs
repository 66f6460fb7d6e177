//! Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015) and moving averages, on tensors.

use crate::host::{modify, read};
#[cfg(feature = "cuda")]
use crate::layers::kernels::{self, AdamStep};
use candle_core::{D, DType, Device, Result, Tensor};
use rayon::prelude::*;

/// Decay of the moving average of the gradients.
const BETA1: f32 = 0.9;
/// Decay of the moving average of the squared gradients.
const BETA2: f32 = 0.999;
/// Added to the root of the squared gradients.
const EPSILON: f32 = 1e-8;
/// Number of values that a thread updates at once.
const CHUNK: usize = 1 << 14;

/// The coefficients of one step of Adam.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Adam {
    /// Learning rate, divided by the bias correction of the mean.
    rate: f32,
    /// Bias correction of the root of the squared gradients.
    root: f32,
    /// Factor on the gradient.
    scale: f32,
}

impl Adam {
    /// The coefficients for step number `step`, from 1.
    pub fn new(step: u64, rate: f64, scale: f32) -> Self {
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
        Self { rate: (rate / correction(BETA1)) as f32, root: (1.0 / correction(BETA2)).sqrt() as f32, scale }
    }

    /// Updates a variable and its moving averages along `gradient` in place, in one pass over all arrays. The tensors share a device.
    pub fn update(self, value: &Tensor, gradient: &Tensor, mean: &Tensor, square: &Tensor) -> Result<()> {
        #[cfg(feature = "cuda")]
        if value.device().is_cuda() {
            let Self { rate, root, scale } = self;
            let step = AdamStep { scale, betas: [BETA1, BETA2], rate, root, epsilon: EPSILON };
            return kernels::adam(value, gradient, mean, square, &step);
        }
        read(&gradient.contiguous()?, |gradients| {
            modify(value, |values| {
                modify(mean, |means| {
                    modify(square, |squares| {
                        let chunks = values.par_chunks_mut(CHUNK).zip(gradients.par_chunks(CHUNK));
                        let chunks =
                            chunks.zip(means.par_chunks_mut(CHUNK).zip(squares.par_chunks_mut(CHUNK)));
                        chunks.for_each(|((values, gradients), (means, squares))| {
                            self.update_chunk(values, gradients, means, squares);
                        });
                        Ok(())
                    })
                })
            })
        })
    }

    fn update_chunk(self, values: &mut [f32], gradients: &[f32], means: &mut [f32], squares: &mut [f32]) {
        let averages = means.iter_mut().zip(squares);
        for ((value, gradient), (mean, square)) in values.iter_mut().zip(gradients).zip(averages) {
            let gradient = gradient * self.scale;
            *mean = BETA1 * *mean + (1.0 - BETA1) * gradient;
            *square = BETA2 * *square + (1.0 - BETA2) * gradient * gradient;
            *value -= self.rate * *mean / (square.sqrt() * self.root + EPSILON);
        }
    }
}

/// Updates a moving average in place: `decay * average + (1 - decay) * value`.
pub(crate) fn update_average(average: &Tensor, value: &Tensor, decay: f32) -> Result<()> {
    #[cfg(feature = "cuda")]
    if average.device().is_cuda() {
        return kernels::move_average(average, value, decay);
    }
    read(value, |values| {
        modify(average, |averages| {
            let chunks = averages.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK));
            chunks.for_each(|(averages, values)| {
                for (average, value) in averages.iter_mut().zip(values) {
                    *average = decay * *average + (1.0 - decay) * value;
                }
            });
            Ok(())
        })
    })
}

/// The Euclidean norm of all values of `tensors`, which share a device: a 64-bit float on this device. In host memory, it does not
/// depend on the number of threads.
pub(crate) fn norm(tensors: &[Tensor]) -> Result<Tensor> {
    if tensors.iter().all(|tensor| tensor.device().is_cpu()) {
        let square = |chunk: &[f32]| chunk.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        let sum = |tensor: &Tensor| {
            let sums: Vec<f64> =
                read(&tensor.contiguous()?, |values| Ok(values.par_chunks(CHUNK).map(square).collect()))?;
            Ok(sums.into_iter().sum::<f64>())
        };
        let sums = tensors.iter().map(sum).collect::<Result<Vec<_>>>()?;
        return Tensor::new(sums.into_iter().sum::<f64>().sqrt(), &Device::Cpu);
    }
    // By rows first: a GPU computes many short sums much faster than a long one.
    let sum = |tensor: &Tensor| tensor.sqr()?.sum(D::Minus1)?.sum_all();
    let sums = tensors.iter().map(sum).collect::<Result<Vec<_>>>()?;
    Tensor::stack(&sums, 0)?.to_dtype(DType::F64)?.sum_all()?.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    fn tensor(values: &[f32], device: &Device) -> Tensor {
        Tensor::new(values, device).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.to_vec1().unwrap()
    }

    /// The CPU, and a GPU if there is one.
    fn devices() -> Vec<Device> {
        let mut devices = vec![Device::Cpu];
        if cfg!(feature = "cuda") {
            match crate::cuda_device(0) {
                Ok(device) => devices.push(device),
                Err(error) => eprintln!("skipped on a GPU: {error}"),
            }
        }
        devices
    }

    /// Algorithm 1 of the paper in 64-bit floats.
    #[test]
    fn updates_take_the_steps_of_the_paper() {
        // More values than a GPU has threads.
        const COUNT: usize = 300_000;
        for device in devices() {
            let start: Vec<f32> = (0..COUNT).map(|i| [0.3, -0.2, 0.0][i % 3]).collect();
            let value = tensor(&start, &device);
            let [mean, square] = [(); 2].map(|()| tensor(&[0.0; COUNT], &device));
            let mut expected = [0.3f32, -0.2, 0.0].map(|x| [f64::from(x), 0.0, 0.0]);
            for step in 1..=5 {
                let gradient = [0.3 * step as f32 - 0.8, 0.01, -20.0];
                let gradients: Vec<f32> = (0..COUNT).map(|i| gradient[i % 3]).collect();
                let adam = Adam::new(step, 0.01, 0.5);
                adam.update(&value, &tensor(&gradients, &device), &mean, &square).unwrap();
                for ([value, mean, square], gradient) in expected.iter_mut().zip(gradient) {
                    let gradient = 0.5 * f64::from(gradient);
                    *mean = 0.9 * *mean + 0.1 * gradient;
                    *square = 0.999 * *square + 0.001 * gradient * gradient;
                    let mean = *mean / (1.0 - 0.9f64.powi(step as i32));
                    let square = *square / (1.0 - 0.999f64.powi(step as i32));
                    *value -= 0.01 * mean / (square.sqrt() + 1e-8);
                }
            }
            for (index, tensor) in [&value, &mean, &square].into_iter().enumerate() {
                for (i, found) in values(tensor).into_iter().enumerate() {
                    let expected = expected[i % 3][index];
                    let error = (f64::from(found) - expected).abs();
                    assert!(error <= 1e-6 + 1e-4 * expected.abs(), "{found} instead of {expected}");
                }
            }
        }
    }

    #[test]
    fn averages_move_towards_the_value() {
        for device in devices() {
            let average = tensor(&[1.0, 2.0], &device);
            update_average(&average, &tensor(&[5.0, 2.0], &device), 0.75).unwrap();
            assert_eq!(values(&average), [2.0, 2.0]);
        }
    }

    #[test]
    fn the_norm_covers_tensors_of_any_layout() {
        for device in devices() {
            let matrix = Tensor::new(&[[1f32, 2.0], [4.0, 2.0]], &device).unwrap();
            let norm = norm(&[matrix.t().unwrap(), tensor(&[0.0, 12.0], &device)]).unwrap();
            assert_eq!(norm.to_scalar::<f64>().unwrap(), 13.0);
        }
    }
}
