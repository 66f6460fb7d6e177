//! Muon (Jordan et al., 2024): steps along the orthogonalized mean of the gradients.
//!
//! A matrix of weights starts with a few directions in which the activations are large, those of the picture that the
//! Karhunen-Loève transform passes on; Adam's steps have most of their length in these. Steps with equal singular values move
//! all directions alike.

use super::optimizer::Step;
use candle_core::{DType, Result, Tensor};

/// Decay of the running mean of the gradients.
const MOMENTUM: f64 = 0.95;
/// Coefficients of the quintic iteration that brings singular values near 1, from any start in (0, 1].
const QUINTIC: [f64; 3] = [3.4445, -4.775, 2.0315];
const ITERATIONS: usize = 5;
/// With this factor and the root of the longer side, the elements of a step are about as large as Adam's (Liu et al., "Muon
/// is scalable for LLM training", 2025), so that one learning rate serves both.
const LIKE_ADAM: f64 = 0.2;
/// A matrix with a shorter side is left to Adam.
const LEAST_SIDE: usize = 16;

/// Whether an array is one for Muon: the weights of a convolution between wide layers.
pub(super) fn applies(step: &Step, name: &str, shape: &[usize]) -> bool {
    let wide = matches!(shape, [_, _, inputs, outputs] if *inputs.min(outputs) >= LEAST_SIDE);
    step.muon && wide && !name.contains("linear")
}

/// Brings the running mean up to date with a gradient, and returns it with what to subtract from the weights. All have the shape of the
/// weights.
pub(super) fn step(step: &Step, rate: f64, mean: &Tensor, gradient: &Tensor) -> Result<(Tensor, Tensor)> {
    let gradient = (gradient * f64::from(step.scale))?;
    let mean = ((mean * MOMENTUM)? + &gradient)?;
    // Nesterov's: where the mean will be.
    let ahead = ((&mean * MOMENTUM)? + gradient)?;
    let matrix = ahead.flatten_to(ahead.rank() - 2)?;
    let (rows, columns) = matrix.dims2()?;
    let length = LIKE_ADAM * (rows.max(columns) as f64).sqrt();
    let step = (orthogonalize(&matrix)? * (rate * length))?.reshape(ahead.shape())?;
    Ok((mean, step))
}

/// The matrix with about the same singular vectors and singular values between 0.7 and 1.2; values below a thousandth of the
/// norm stay smaller.
///
/// The iteration multiplies by a polynomial of the Gram matrix from the shorter side. All these polynomials commute, so they
/// can be formed from the small Gram matrix alone.
fn orthogonalize(matrix: &Tensor) -> Result<Tensor> {
    let (rows, columns) = matrix.dims2()?;
    let norm = matrix.sqr()?.sum_all()?.sqrt()?.affine(1.0, 1e-12)?;
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
    let product = product.expect("there are iterations");
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
    fn singular_values_become_equal_and_vectors_stay() {
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
            // Between the nearest orthogonal matrix and the result lie only singular values near 1.
            let nearest = before.u.unwrap() * before.v_t.unwrap();
            let result = DMatrix::from_row_iterator(rows, columns, result.iter().map(|&x| f64::from(x)));
            let along = nearest.dot(&result) / (nearest.norm() * result.norm());
            assert!(along > 0.97, "{along}");
        }
    }
}
