//! The latents of one picture, found by the gradient of the decoder.

use super::{
    adam::{Adam, Decay},
    integer::LATENT_LIMIT,
    network::{Network, initial_steps},
    objective,
    quantize::Rounding,
    target::{Target, to_rgb},
};
use crate::{parallel::*, picture::Picture};

/// How fast the averages of the latents' optimizer forget. With few steps, a short memory of the mean is better than the usual 0.9.
pub(super) const DECAY: Decay = Decay { mean: 0.6, square: 0.99 };

/// Latents of a picture, and what they cost.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// For each level, the finest first: integers, `[channel][row][column]`.
    pub latents: Vec<Vec<i32>>,
    /// Bits for each pixel under the context model.
    pub bits_per_pixel: f64,
    /// Mean squared error of the pixels, red, green and blue in [0, 1].
    pub error: f64,
}

/// Latents of a picture after `steps` steps of optimization, from those of a Laplacian pyramid.
#[must_use]
pub fn fit(network: &Network, target: &Target, steps: usize) -> Fitted {
    let latents = optimize(network, target, initial(network, target), 0.0, steps);
    let (cost, _) = objective::measure(network, target, &latents);
    Fitted { latents: rounded(&latents), bits_per_pixel: cost.bits_per_pixel(), error: cost.error }
}

/// Optimizes latents, for each level `[channel][row][column]`. The learning rate and the noise are those after a part of an
/// optimization: from `done`, 0 to 1, to the end.
pub(super) fn optimize(
    network: &Network,
    target: &Target,
    mut latents: Vec<Vec<f32>>,
    done: f32,
    steps: usize,
) -> Vec<Vec<f32>> {
    let mut adams: Vec<Adam> = latents.iter().map(|level| Adam::new(level.len())).collect();
    for step in 0..steps {
        let part = done + (1.0 - done) * step as f32 / steps as f32;
        let (rounded, slopes) = round(&latents, Rounding::at(part), step as u32);
        let (_, mut gradients) = objective::gradient(network, target, &rounded, None);
        for (level, adam) in adams.iter_mut().enumerate() {
            through(&mut gradients[level], &slopes[level]);
            adam.update(&mut latents[level], &gradients[level], rate(part), DECAY, step as u32);
        }
    }
    latents
}

/// Latents as they are coded.
pub(super) fn rounded(latents: &[Vec<f32>]) -> Vec<Vec<i32>> {
    let integer = |x: &f32| (x.round() as i32).clamp(-LATENT_LIMIT, LATENT_LIMIT);
    latents.iter().map(|level| level.iter().map(integer).collect()).collect()
}

/// The picture that the network shows for latents of a target.
#[must_use]
pub fn render(network: &Network, target: &Target, fitted: &Fitted) -> Picture {
    let latents: Vec<Vec<f32>> =
        fitted.latents.iter().map(|level| level.iter().map(|&latent| latent as f32).collect()).collect();
    let (_, planes) = objective::measure(network, target, &latents);
    Picture::from_rgb(target.columns() as u32, target.rows() as u32, to_rgb(&planes))
}

/// The latents that the optimization begins with.
pub(super) fn initial(network: &Network, target: &Target) -> Vec<Vec<f32>> {
    let channels: Vec<usize> = network.config().levels.iter().map(|level| level.channels).collect();
    target.pyramid(&channels, &initial_steps(network.lambda(), channels.len()))
}

/// The learning rate of latents after a part of the optimization, 0 to 1, in steps of the latents.
pub(super) fn rate(part: f32) -> f32 {
    0.16 * half_cosine(part) + 0.002
}

/// Falls from 1 to 0.
pub(super) fn half_cosine(part: f32) -> f32 {
    0.5 + 0.5 * (std::f32::consts::PI * part).cos()
}

/// Rounds the latents of all levels softly; see [`Rounding::soft`].
pub(super) fn round(latents: &[Vec<f32>], rounding: Rounding, seed: u32) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let one = |(level, latents): (usize, &Vec<f32>)| {
        rounding.soft(latents, seed.wrapping_mul(0x9E37_79B1).wrapping_add(level as u32) << 3)
    };
    (0..latents.len())
        .into_par_iter()
        .map(|level| one((level, &latents[level])))
        .collect::<Vec<_>>()
        .into_iter()
        .unzip()
}

/// Multiplies gradients of rounded latents by the derivatives of the rounding.
pub(super) fn through(gradients: &mut [f32], slopes: &[f32]) {
    gradients.iter_mut().zip(slopes).for_each(|(gradient, slope)| *gradient *= slope);
}
