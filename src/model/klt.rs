//! The Karhunen-Loève transform of training tiles: their principal components.

use crate::error::{Error, Result};
use candle_core::{Device, Tensor};
use nalgebra::{DMatrix, SymmetricEigen};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Passes over the tiles. The trailing components are not exact after so few, but the part of the variance that all of
/// them hold together is, to less than 0.01 dB.
const ITERATIONS: usize = 6;
/// Components that are computed beside those asked for, so that the last of these converge.
const SPARE: usize = 24;

/// The leading principal components of a set of vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Klt {
    /// The mean vector.
    pub mean: Vec<f32>,
    /// Orthonormal components, the one of the largest variance first, one after the other.
    pub components: Vec<f32>,
    /// Standard deviation along each component.
    pub deviations: Vec<f32>,
    /// Largest magnitude along each component among the vectors.
    pub peaks: Vec<f32>,
}

impl Klt {
    /// Finds the `count` leading components of `vectors`, `dimension` values each, by subspace iteration. The vectors
    /// are centred in place.
    ///
    /// # Errors
    /// [`Error::Misuse`] when there are fewer vectors or dimensions than components.
    pub fn fit(mut vectors: Vec<f32>, dimension: usize, count: usize, seed: u64) -> Result<Self> {
        let rows = vectors.len() / dimension;
        if rows < count || dimension < count {
            return Err(Error::Misuse(format!(
                "{count} components cannot be found from {rows} tiles of {dimension} values: more pictures are needed"
            )));
        }
        let mean = centre(&mut vectors, dimension);
        let width = (count + SPARE).min(rows).min(dimension);
        let vectors = Tensor::from_vec(vectors, (rows, dimension), &Device::Cpu)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let start = (0..dimension * width).map(|_| rng.random_range(-1.0..1.0f32)).collect();
        let mut basis = orthonormal(&Tensor::from_vec(start, (dimension, width), &Device::Cpu)?)?.0;
        for _ in 0..ITERATIONS {
            let projected = vectors.matmul(&basis)?;
            basis = orthonormal(&vectors.t()?.matmul(&projected)?)?.0;
        }
        // Within the subspace: rotate to the principal axes.
        let projected = vectors.matmul(&basis)?;
        let (rotated, scales, rotation) = orthonormal(&projected)?;
        let components = basis.matmul(&rotation)?.narrow(1, 0, count)?.t()?.contiguous()?;
        let rotated = rotated.abs()?.max(0)?.to_vec1::<f32>()?;
        let peaks = rotated.iter().zip(&scales).take(count).map(|(peak, scale)| peak * scale).collect();
        let deviations = scales.iter().take(count).map(|scale| scale / (rows as f32).sqrt()).collect();
        Ok(Self { mean, components: components.flatten_all()?.to_vec1()?, deviations, peaks })
    }
}

/// Subtracts the mean vector, and returns it.
fn centre(vectors: &mut [f32], dimension: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; dimension];
    for vector in vectors.chunks_exact(dimension) {
        sums.iter_mut().zip(vector).for_each(|(sum, &x)| *sum += f64::from(x));
    }
    let rows = (vectors.len() / dimension) as f64;
    let mean: Vec<f32> = sums.into_iter().map(|sum| (sum / rows) as f32).collect();
    for vector in vectors.chunks_exact_mut(dimension) {
        vector.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean);
    }
    mean
}

/// Splits a tall matrix `A` into `Q * diag(scales) * rotation^T` with orthonormal columns in `Q`, the largest scale
/// first, by way of the eigenvectors of `A^T A`.
fn orthonormal(tall: &Tensor) -> Result<(Tensor, Vec<f32>, Tensor)> {
    let width = tall.dim(1)?;
    let gram: Vec<f32> = tall.t()?.matmul(tall)?.flatten_all()?.to_vec1()?;
    let gram = DMatrix::from_iterator(width, width, gram.into_iter().map(f64::from));
    let eigen = SymmetricEigen::new(gram);
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let largest = eigen.eigenvalues[order[0]];
    let scales: Vec<f32> =
        order.iter().map(|&i| eigen.eigenvalues[i].max(largest * 1e-12).max(1e-30).sqrt() as f32).collect();
    let rotation: Vec<f32> = (0..width)
        .flat_map(|row| order.iter().map(move |&i| (row, i)))
        .map(|at| eigen.eigenvectors[at] as f32)
        .collect();
    let rotation = Tensor::from_vec(rotation, (width, width), &Device::Cpu)?;
    let inverse: Vec<f32> = scales.iter().map(|scale| 1.0 / scale).collect();
    let q = tall.matmul(&rotation)?.broadcast_mul(&Tensor::from_vec(inverse, (1, width), &Device::Cpu)?)?;
    Ok((q, scales, rotation))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors with known principal axes and spreads.
    #[test]
    fn finds_the_axes_and_deviations_of_a_known_distribution() {
        let (rows, dimension, spreads) = (4000, 40, [9.0f32, 4.0, 1.0]);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let axes = [[3, 10, 1.0f32 as i32], [7, 30, -1], [15, 20, 1]];
        let mut vectors = vec![0.5; rows * dimension];
        for vector in vectors.chunks_exact_mut(dimension) {
            for ([a, b, sign], spread) in axes.iter().zip(spreads) {
                let amount = rng.random_range(-1.0..1.0f32) * 3f32.sqrt() * spread / 2f32.sqrt();
                vector[*a as usize] += amount;
                vector[*b as usize] += amount * *sign as f32;
            }
        }
        let klt = Klt::fit(vectors, dimension, 3, 1).unwrap();
        for (index, ([a, b, sign], spread)) in axes.iter().zip(spreads).enumerate() {
            let component = &klt.components[index * dimension..][..dimension];
            let along = (component[*a as usize] + component[*b as usize] * *sign as f32) / 2f32.sqrt();
            assert!(along.abs() > 0.999, "component {index}: {along}");
            assert!((klt.deviations[index] / spread - 1.0).abs() < 0.05, "deviation {index}");
            assert!((klt.peaks[index] / (spread * 3f32.sqrt()) - 1.0).abs() < 0.05, "peak {index}");
        }
        assert!((klt.mean[3] - 0.5).abs() < 0.5 && (klt.mean[0] - 0.5).abs() < 1e-6);
        assert!(Klt::fit(vec![0.0; 10], 5, 3, 1).is_err());
    }
}
