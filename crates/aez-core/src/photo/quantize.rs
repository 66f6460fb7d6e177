//! Rounding that has a gradient.

use super::laplace::exp;
use crate::{nn::taps::vectorized, parallel::*};

/// Latents that are rounded by one thread at a time.
const PART: usize = 1 << 14;

/// How latents are rounded in an optimization step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rounding {
    /// The lower, the closer to a step function.
    pub temperature: f32,
    /// Standard deviation of the noise between two roundings.
    pub noise: f32,
}

impl Rounding {
    /// Rounds latents softly, adds noise that depends on `seed` and the place, and rounds again. Returns the result and its derivative
    /// with respect to each latent.
    pub fn soft(self, latents: &[f32], seed: u32) -> (Vec<f32>, Vec<f32>) {
        let (mut rounded, mut slopes) = (vec![0.0; latents.len()], vec![0.0; latents.len()]);
        let parts =
            rounded.par_chunks_mut(PART).zip(slopes.par_chunks_mut(PART)).zip(latents.par_chunks(PART));
        parts.enumerate().for_each(|(part, ((rounded, slopes), latents))| {
            round_all(self, seed, (part * PART) as u32, latents, rounded, slopes);
        });
        (rounded, slopes)
    }
}

vectorized! {
    fn round_all(rounding: Rounding, seed: u32, first: u32, latents: &[f32], rounded: &mut [f32], slopes: &mut [f32]) {
        let inverse = rounding.temperature.recip();
        let amplitude = 0.5 / tanh(0.5 * inverse);
        let count = latents.len();
        let (rounded, slopes) = (&mut rounded[..count], &mut slopes[..count]);
        for index in 0..count {
            let (once, slope) = soft_round(latents[index], inverse, amplitude);
            let noisy = once + rounding.noise * gaussian(seed, first + index as u32);
            let (twice, slope_twice) = soft_round(noisy, inverse, amplitude);
            rounded[index] = twice;
            slopes[index] = slope * slope_twice;
        }
    }
}

/// A step function made of hyperbolic tangents, and its derivative.
#[inline(always)]
fn soft_round(x: f32, inverse: f32, amplitude: f32) -> (f32, f32) {
    let center = floor(x) + 0.5;
    let curve = tanh((x - center) * inverse);
    (center + amplitude * curve, amplitude * inverse * (1.0 - curve * curve))
}

/// The next lower integer. The compiler can vectorize it, unlike the method, which is a call on some CPUs.
#[inline(always)]
fn floor(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it rounds to an integer
    let nearest = (x + ROUND) - ROUND;
    if nearest > x { nearest - 1.0 } else { nearest }
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    let e = exp(2.0 * x);
    (e - 1.0) / (e + 1.0)
}

/// A number of about the normal distribution: the sum of four uniform ones.
#[inline(always)]
fn gaussian(seed: u32, index: u32) -> f32 {
    let first = mixed(index ^ seed);
    let second = mixed(first ^ 0x9E37_79B9);
    let parts = [first & 0xFFFF, first >> 16, second & 0xFFFF, second >> 16];
    let sum = (parts[0] + parts[1] + parts[2] + parts[3]) as i32 as f32;
    (sum * (1.0 / 65536.0) - 2.0) * 1.732
}

/// Mixes the bits of an integer.
#[inline(always)]
fn mixed(x: u32) -> u32 {
    let x = (x ^ x >> 16).wrapping_mul(0x9E37_79B1);
    let x = (x ^ x >> 15).wrapping_mul(0x85EB_CA77);
    x ^ x >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_rounding_approaches_rounding() {
        let latents: Vec<f32> = (-40..40).map(|i| i as f32 * 0.23 + 0.01).collect();
        let (rounded, _) = Rounding { temperature: 0.02, noise: 0.0 }.soft(&latents, 1);
        for (rounded, latent) in rounded.iter().zip(&latents) {
            assert!((rounded - latent.round()).abs() < 0.51 && (rounded - latent).abs() < 0.51);
        }
        let (_, slopes) = Rounding { temperature: 0.3, noise: 0.0 }.soft(&latents, 1);
        let up: Vec<f32> = latents.iter().map(|x| x + 1e-3).collect();
        let (a, _) = Rounding { temperature: 0.3, noise: 0.0 }.soft(&latents, 1);
        let (b, _) = Rounding { temperature: 0.3, noise: 0.0 }.soft(&up, 1);
        for ((a, b), slope) in a.iter().zip(&b).zip(&slopes) {
            assert!(((b - a) / 1e-3 - slope).abs() < 0.05, "{} and {slope}", (b - a) / 1e-3);
        }
    }

    #[test]
    fn noise_has_the_variance_of_a_normal_distribution() {
        let values: Vec<f64> = (0..100_000).map(|i| f64::from(gaussian(7, i))).collect();
        let mean = values.iter().sum::<f64>() / 1e5;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
