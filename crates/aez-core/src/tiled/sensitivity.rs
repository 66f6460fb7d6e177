//! How strongly the decoded pixels depend on each latent.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::error::Result;

/// An estimate of the squared length of the derivative of a decoded tile with respect to each latent, one row per tile.
///
/// By Hutchinson's estimator: the expected square of the derivative of a random combination of values, with signs that are
/// independent and equally likely, is that squared length. `len` is the number of decoded values. `gradient` gets the signs, and returns
/// the derivative of the sum of the decoded values times their signs with respect to the latents.
pub(super) fn squared_lengths(
    len: usize,
    rng: &mut ChaCha8Rng,
    gradient: impl FnOnce(Vec<f32>) -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    let signs = (0..len).map(|_| if rng.random() { 1.0 } else { -1.0 }).collect();
    Ok(gradient(signs)?.into_iter().map(|x| x * x).collect())
}
