//! Muon (Jordan et al., 2024): steps along the orthogonalized moving average of the gradients.
//!
//! With starting weights from the Karhunen-Loève transform, the activations of a layer are large in the few directions that
//! hold the picture, and a step of Adam changes the weights mostly in these. A step with equal singular values changes them
//! equally in all directions.

use crate::optimizer::Step;
use candle_core::{DType, Result, Tensor, Var};

/// Decay of the moving average of the gradients.
const MOMENTUM: f64 = 0.95;
/// Coefficients of the quintic iteration that maps singular values in (0, 1] to values near 1.
const QUINTIC: [f64; 3] = [3.4445, -4.775, 2.0315];
const ITERATIONS: usize = 5;
/// Factor on a step, together with the root of the longer side, that makes its elements about as large as those of a step of
/// Adam (Liu et al., "Muon is scalable for LLM training", 2025), so that both can use the same learning rate.
const ADAM_SCALE: f64 = 0.2;
/// Minimum length of the shorter side of a matrix. Smaller matrices are updated by Adam.
const MIN_SIDE: usize = 16;

/// Whether Muon updates an array: the weights of a convolution with many input and output channels.
pub(crate) fn applies(step: &Step, name: &str, shape: &[usize]) -> bool {
    let wide = matches!(shape, [_, _, inputs, outputs] if *inputs.min(outputs) >= MIN_SIDE);
    step.muon && wide && !name.contains("linear")
}

/// Updates the weights of a convolution `[3, 3, inputs, outputs]` and the moving average of their gradient along `gradient`,
/// which is first multiplied by `scale`.
pub(crate) fn update(value: &Var, gradient: &Tensor, mean: &mut Tensor, rate: f64, scale: f32) -> Result<()> {
    let gradient = (gradient * f64::from(scale))?;
    *mean = ((&*mean * MOMENTUM)? + &gradient)?;
    // Nesterov momentum: an estimate of the next average.
    let next = ((&*mean * MOMENTUM)? + gradient)?;
    let matrix = next.flatten_to(next.rank() - 2)?;
    let (rows, columns) = matrix.dims2()?;
    let length = ADAM_SCALE * (rows.max(columns) as f64).sqrt();
    let change = (orthogonalize(&matrix)? * (rate * length))?.reshape(next.shape())?;
    value.set(&(value.as_detached_tensor() - change)?)
}

/// A matrix with approximately the same singular vectors, and singular values between 0.7 and 1.2. Singular values below a
/// thousandth of the norm remain smaller.
///
/// Each iteration multiplies the matrix from its shorter side by a polynomial of its Gram matrix. These polynomials commute,
/// so that their product can be computed from the Gram matrix, which is small.
fn orthogonalize(matrix: &Tensor) -> Result<Tensor> {
    let (rows, columns) = matrix.dims2()?;
    // By rows first: a GPU computes many short sums much faster than a long one.
    let norm = matrix.sqr()?.sum(1)?.sum_all()?.sqrt()?.affine(1.0, 1e-12)?;
    let matrix = matrix.broadcast_div(&norm)?;
    let transposed = matrix.t()?;
    let mut gram = if rows < columns { matrix.matmul(&transposed)? } else { transposed.matmul(&matrix)? };
    let identity = (Tensor::eye(rows.min(columns), DType::F32, gram.device())? * QUINTIC[0])?;
    let mut product: Option<Tensor> = None;
    for _ in 0..ITERATIONS {
        let even = ((&gram * QUINTIC[1])? + (gram.matmul(&gram)? * QUINTIC[2])?)?;
        let factor = (&identity + even)?;
        gram = factor.matmul(&gram)?.matmul(&factor)?;
        product = Some(match product {
            Some(product) => product.matmul(&factor)?,
            None => factor,
        });
    }
    let product = product.expect("at least one iteration");
    if rows < columns { product.matmul(&matrix) } else { matrix.matmul(&product) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use nalgebra::DMatrix;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn singular_values_become_equal_and_singular_vectors_stay() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (rows, columns) in [(60, 16), (16, 60), (40, 20)] {
            // Columns of very different lengths.
            let value = |i: usize| rng.random_range(-1.0..1.0f32) * 0.9f32.powi((i % columns) as i32);
            let values: Vec<f32> = (0..rows * columns).map(value).collect();
            let tensor = Tensor::from_slice(&values, (rows, columns), &Device::Cpu).unwrap();
            let result: Vec<f32> = orthogonalize(&tensor).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let svd = |values: &[f32]| {
                let values = values.iter().map(|&x| f64::from(x));
                DMatrix::from_row_iterator(rows, columns, values).svd(true, true)
            };
            let (before, after) = (svd(&values), svd(&result));
            let largest = before.singular_values.max();
            assert!(largest / before.singular_values.min() > 3.0);
            assert!(after.singular_values.iter().all(|value| (0.6..1.3).contains(value)));
            // The result differs from the nearest orthogonal matrix only by singular values near 1.
            let nearest = before.u.unwrap() * before.v_t.unwrap();
            let result = DMatrix::from_row_iterator(rows, columns, result.iter().map(|&x| f64::from(x)));
            let cosine = nearest.dot(&result) / (nearest.norm() * result.norm());
            assert!(cosine > 0.97, "{cosine}");
        }
    }

    #[test]
    fn a_step_has_the_length_of_a_step_of_adam() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let gradient: Vec<f32> = (0..9 * 16 * 32).map(|_| rng.random_range(-1.0..1.0)).collect();
        let gradient = Tensor::from_vec(gradient, (3, 3, 16, 32), &Device::Cpu).unwrap();
        let value = Var::from_tensor(&gradient.zeros_like().unwrap()).unwrap();
        let mut mean = gradient.zeros_like().unwrap();
        update(&value, &gradient, &mut mean, 0.1, 2.0).unwrap();
        let root_mean_square = |tensor: &Tensor| {
            tensor.sqr().unwrap().mean_all().unwrap().sqrt().unwrap().to_scalar::<f32>().unwrap()
        };
        assert!((root_mean_square(&mean) / root_mean_square(&gradient) - 2.0).abs() < 1e-5);
        // All singular values of the 144x32 matrix are about 0.1 * 0.2 * sqrt(144).
        assert!((0.014..0.026).contains(&root_mean_square(&value)), "{}", root_mean_square(&value));
        assert!(
            (value.as_tensor() * &gradient).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap() < 0.0
        );
    }
}
