//! Adam (Kingma and Ba, "Adam: a method for stochastic optimization", 2015) and moving averages, on tensors.

use crate::host::{modify, read};
use candle_core::{D, Result, Tensor, Var};
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

    /// Updates a variable and its moving averages along `gradient`.
    pub fn update(
        self,
        value: &Var,
        gradient: &Tensor,
        mean: &mut Tensor,
        square: &mut Tensor,
    ) -> Result<()> {
        if value.device().is_cpu() {
            self.update_in_place(value, gradient, mean, square)
        } else {
            self.update_by_tensors(value, gradient, mean, square)
        }
    }

    /// The update in host memory, in one pass over all arrays.
    fn update_in_place(
        self,
        value: &Tensor,
        gradient: &Tensor,
        mean: &Tensor,
        square: &Tensor,
    ) -> Result<()> {
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

    /// The update by candle's operations.
    fn update_by_tensors(
        self,
        value: &Var,
        gradient: &Tensor,
        mean: &mut Tensor,
        square: &mut Tensor,
    ) -> Result<()> {
        let gradient = (gradient * f64::from(self.scale))?;
        *mean = ((&*mean * f64::from(BETA1))? + (&gradient * f64::from(1.0 - BETA1))?)?;
        *square = ((&*square * f64::from(BETA2))? + (gradient.sqr()? * f64::from(1.0 - BETA2))?)?;
        let divisor = square.sqrt()?.affine(f64::from(self.root), f64::from(EPSILON))?;
        let change = (mean.div(&divisor)? * f64::from(self.rate))?;
        value.set(&(value.as_detached_tensor() - change)?)
    }
}

/// Updates a moving average: `decay * average + (1 - decay) * value`.
pub(crate) fn update_average(average: &mut Tensor, value: &Tensor, decay: f32) -> Result<()> {
    if !average.device().is_cpu() {
        *average = ((&*average * f64::from(decay))? + (value.detach() * f64::from(1.0 - decay))?)?;
        return Ok(());
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

/// The Euclidean norm of all values of `tensors`, which share a device. In host memory, it does not depend on the number of
/// threads.
pub(crate) fn norm(tensors: &[Tensor]) -> Result<f64> {
    if tensors.iter().all(|tensor| tensor.device().is_cpu()) {
        let square = |chunk: &[f32]| chunk.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        let sum = |tensor: &Tensor| {
            let sums: Vec<f64> =
                read(&tensor.contiguous()?, |values| Ok(values.par_chunks(CHUNK).map(square).collect()))?;
            Ok(sums.into_iter().sum::<f64>())
        };
        let sums = tensors.iter().map(sum).collect::<Result<Vec<_>>>()?;
        return Ok(sums.into_iter().sum::<f64>().sqrt());
    }
    // By rows first: a GPU computes many short sums much faster than a long one.
    let sum = |tensor: &Tensor| tensor.sqr()?.sum(D::Minus1)?.sum_all();
    let sums = tensors.iter().map(sum).collect::<Result<Vec<_>>>()?;
    Ok(f64::from(Tensor::stack(&sums, 0)?.sum_all()?.to_scalar::<f32>()?).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.to_vec1().unwrap()
    }

    /// Algorithm 1 of the paper in 64-bit floats.
    #[test]
    fn both_updates_take_the_steps_of_the_paper() {
        let start = [0.3f32, -0.2, 0.0];
        let [fused, by_tensors] = [(); 2].map(|()| Var::from_tensor(&tensor(&start)).unwrap());
        let [mut fused_mean, mut fused_square, mut mean, mut square] = [(); 4].map(|()| tensor(&[0.0; 3]));
        let mut expected: Vec<[f64; 3]> = start.iter().map(|&x| [f64::from(x), 0.0, 0.0]).collect();
        for step in 1..=5 {
            let gradient = [0.3 * step as f32 - 0.8, 0.01, -20.0];
            let adam = Adam::new(step, 0.01, 0.5);
            adam.update(&fused, &tensor(&gradient), &mut fused_mean, &mut fused_square).unwrap();
            adam.update_by_tensors(&by_tensors, &tensor(&gradient), &mut mean, &mut square).unwrap();
            for ([value, mean, square], gradient) in expected.iter_mut().zip(gradient) {
                let gradient = 0.5 * f64::from(gradient);
                *mean = 0.9 * *mean + 0.1 * gradient;
                *square = 0.999 * *square + 0.001 * gradient * gradient;
                let corrected =
                    [*mean / (1.0 - 0.9f64.powi(step as i32)), *square / (1.0 - 0.999f64.powi(step as i32))];
                *value -= 0.01 * corrected[0] / (corrected[1].sqrt() + 1e-8);
            }
        }
        let found =
            [(fused.as_tensor(), &fused_mean, &fused_square), (by_tensors.as_tensor(), &mean, &square)];
        for (value, mean, square) in found {
            for (index, tensor) in [value, mean, square].into_iter().enumerate() {
                for (found, expected) in values(tensor).into_iter().zip(&expected) {
                    let expected = expected[index];
                    let error = (f64::from(found) - expected).abs();
                    assert!(error <= 1e-6 + 1e-4 * expected.abs(), "{found} instead of {expected}");
                }
            }
        }
    }

    #[test]
    fn averages_move_towards_the_value() {
        let mut average = tensor(&[1.0, 2.0]);
        update_average(&mut average, &tensor(&[5.0, 2.0]), 0.75).unwrap();
        assert_eq!(values(&average), [2.0, 2.0]);
    }

    #[test]
    fn the_norm_covers_tensors_of_any_layout() {
        let matrix = Tensor::new(&[[1f32, 2.0], [4.0, 2.0]], &Device::Cpu).unwrap();
        assert_eq!(norm(&[matrix.t().unwrap(), tensor(&[0.0, 12.0])]).unwrap(), 13.0);
    }
}
