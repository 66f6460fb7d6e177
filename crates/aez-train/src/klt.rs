//! The Karhunen-Loève transform (KLT) of training tiles, that is, their principal components, as the starting weights of a
//! network.

use crate::{Error, Result};
use aez_core::tiled::{
    Config, Parameters,
    init::{self, Components},
};
use candle_core::{Device, Tensor};
use nalgebra::{DMatrix, SymmetricEigen};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Iterations of the subspace method. After this number, the last components are not exact, but the variance that all
/// components explain together is, to less than 0.01 dB.
const ITERATIONS: usize = 6;
/// Additional components that are computed so that the last requested ones converge.
const SPARE: usize = 24;

/// Starting weights for a network that computes the Karhunen-Loève transform of `tiles`, see
/// [`init::from_components`]. `tiles` holds whole tiles with values in [0, 1], channels last.
///
/// # Errors
/// [`aez_core::Error::Misuse`] if there are fewer tiles than latents, or if the network has too few channels to pass the
/// picture through; [`aez_core::Error::Model`] if the configuration is not valid.
pub fn klt(config: Config, mut tiles: Vec<f32>, seed: u64) -> Result<Parameters> {
    config.check()?;
    let needed = init::channels_for_components(&config);
    if needed > config.channels {
        return Err(Error::misuse(format!(
            "starting weights from the KLT need {needed} channels, but the network has {}: start from random weights",
            config.channels
        )));
    }
    // The linear layers see values in [0, 2] if the network maps its input to [-1, 1]: the first layer adds 1.
    if config.normalize {
        tiles.iter_mut().for_each(|x| *x *= 2.0);
    }
    let Klt { mean, components, peaks, .. } = Klt::fit(tiles, config.tile_len(), config.latents, seed)?;
    Ok(init::from_components(config, seed, &Components { mean, components, peaks })?)
}

/// The leading principal components of a set of vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Klt {
    /// The mean vector.
    pub mean: Vec<f32>,
    /// Orthonormal components, concatenated, in the order of decreasing variance.
    pub components: Vec<f32>,
    /// Standard deviation along each component.
    pub deviations: Vec<f32>,
    /// Largest magnitude along each component.
    pub peaks: Vec<f32>,
}

impl Klt {
    /// Computes the `count` leading components of `vectors`, which holds vectors of `dimension` values each, by subspace
    /// iteration from random directions.
    ///
    /// # Errors
    /// [`aez_core::Error::Misuse`] if there are fewer vectors or dimensions than components.
    pub fn fit(mut vectors: Vec<f32>, dimension: usize, count: usize, seed: u64) -> Result<Self> {
        let rows = vectors.len() / dimension;
        if rows < count || dimension < count {
            return Err(Error::misuse(format!(
                "{rows} tiles of {dimension} values do not suffice for {count} components: more pictures are needed"
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
        // Rotates the basis of the subspace to the principal axes.
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

/// Decomposes a tall matrix `A` into `Q * diag(scales) * rotation^T`, where the columns of `Q` are orthonormal and the scales
/// decrease, by the eigenvectors of `A^T A`.
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
        .map(|index| eigen.eigenvectors[index] as f32)
        .collect();
    let rotation = Tensor::from_vec(rotation, (width, width), &Device::Cpu)?;
    let inverse: Vec<f32> = scales.iter().map(|scale| 1.0 / scale).collect();
    let q = tall.matmul(&rotation)?.broadcast_mul(&Tensor::from_vec(inverse, (1, width), &Device::Cpu)?)?;
    Ok((q, scales, rotation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aez_core::{
        nn::InstructionSet,
        tiled::network::{Analysis, Synthesis},
    };

    #[test]
    fn the_axes_and_deviations_of_a_known_distribution_are_found() {
        let (rows, dimension, spreads) = (4000, 40, [9.0f32, 4.0, 1.0]);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        // Each axis has two equal coordinates, the second with the given sign.
        let axes = [(3, 10, 1.0f32), (7, 30, -1.0), (15, 20, 1.0)];
        let mut vectors = vec![0.5; rows * dimension];
        for vector in vectors.chunks_exact_mut(dimension) {
            for (&(a, b, sign), spread) in axes.iter().zip(spreads) {
                let amount = rng.random_range(-1.0..1.0f32) * 3f32.sqrt() * spread / 2f32.sqrt();
                vector[a] += amount;
                vector[b] += amount * sign;
            }
        }
        let klt = Klt::fit(vectors, dimension, 3, 1).unwrap();
        for (index, (&(a, b, sign), spread)) in axes.iter().zip(spreads).enumerate() {
            let component = &klt.components[index * dimension..][..dimension];
            let cosine = (component[a] + component[b] * sign) / 2f32.sqrt();
            assert!(cosine.abs() > 0.999, "component {index}: {cosine}");
            assert!((klt.deviations[index] / spread - 1.0).abs() < 0.05, "deviation {index}");
            assert!((klt.peaks[index] / (spread * 3f32.sqrt()) - 1.0).abs() < 0.05, "peak {index}");
        }
        assert!((klt.mean[3] - 0.5).abs() < 0.5 && (klt.mean[0] - 0.5).abs() < 1e-6);
        assert!(Klt::fit(vec![0.0; 10], 5, 3, 1).is_err());
    }

    /// Smooth random tiles, whose variance is concentrated in few components.
    fn smooth_tiles(config: &Config, count: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut tiles = Vec::new();
        for _ in 0..count {
            let mut random = || rng.random_range(-0.3..0.3f32);
            let slopes: Vec<[f32; 4]> = (0..3).map(|_| [random(), random(), random(), random()]).collect();
            for pixel in 0..config.tile * config.tile {
                let (y, x) = (pixel / config.tile, pixel % config.tile);
                let (y, x) = (y as f32 / config.tile as f32, x as f32 / config.tile as f32);
                tiles.extend(slopes.iter().map(|s| {
                    (0.5 + s[0] + s[1] * (y - 0.5) + s[2] * (x * 6.0).sin() + s[3] * (y * 9.0).cos() * x)
                        .clamp(0.0, 1.0)
                }));
            }
        }
        tiles
    }

    fn mse(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / a.len() as f64
    }

    /// Mean squared error of the tiles when only their leading components are kept.
    fn truncation_error(transform: &Klt, tiles: &[f32]) -> f64 {
        let dimension = transform.mean.len();
        let mut errors = Vec::new();
        for tile in tiles.chunks_exact(dimension) {
            let centred: Vec<f32> = tile.iter().zip(&transform.mean).map(|(x, mean)| x - mean).collect();
            let mut rest = centred.clone();
            for component in transform.components.chunks_exact(dimension) {
                let amount: f32 = component.iter().zip(&centred).map(|(a, b)| a * b).sum();
                rest.iter_mut().zip(component).for_each(|(rest, value)| *rest -= amount * value);
            }
            errors.push(mse(&rest, &vec![0.0; dimension]));
        }
        errors.iter().sum::<f64>() / errors.len() as f64
    }

    #[test]
    fn the_starting_weights_compute_the_transform_of_their_tiles() {
        for normalize in [false, true] {
            let config =
                Config { tile: 16, channels: 12, reductions: 2, latents: 6, normalize, ..Config::default() };
            let tiles = smooth_tiles(&config, 200);
            let transform = Klt::fit(tiles.clone(), config.tile_len(), config.latents, 9).unwrap();
            let parameters = klt(config, tiles.clone(), 9).unwrap();
            let set = InstructionSet::best();
            let latents = Analysis::new(config, &parameters, set).unwrap().run(&tiles);
            assert!(latents.iter().all(|z| *z > 0.0));
            let decoded = Synthesis::new(config, &parameters, set).unwrap().run(&latents);
            let loss = 10.0 * (mse(&tiles, &decoded) / truncation_error(&transform, &tiles)).log10();
            assert!(loss.abs() < 0.05, "normalize {normalize}: {loss} dB from the transform");
        }
    }

    #[test]
    fn too_few_channels_or_tiles_are_rejected() {
        let config = Config { tile: 16, channels: 8, reductions: 2, latents: 6, ..Config::default() };
        let reject = |config: Config, count: usize| {
            let error = klt(config, smooth_tiles(&config, count), 1).unwrap_err();
            assert!(matches!(error, Error::Codec(aez_core::Error::Misuse(_))), "{error}");
            error.to_string()
        };
        assert!(reject(config, 20).contains("need 12 channels"));
        assert!(reject(Config { channels: 12, ..config }, 5).contains("more pictures"));
    }
}
