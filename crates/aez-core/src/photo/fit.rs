//! The latents and coefficients of one picture, found by the gradient of the decoder.

use super::{
    adam::Adam,
    coefficients::{self, Coefficients},
    integer::LATENT_LIMIT,
    network::{Network, initial_steps},
    objective,
    quantize::Rounding,
    schedule::Schedule,
    scratch::Scratch,
    target::{Target, to_rgb},
};
use crate::{parallel::*, picture::Picture};

/// Steps for each update of the coefficients, whose derivatives take time.
const STEPS_OF_COEFFICIENTS: usize = 4;
/// Latents whose gradients are changed by one thread at a time.
pub(super) const PART: usize = 1 << 15;

/// Latents of a picture, and what they cost.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// For each level, the finest first: integers, `[channel][row][column]`.
    pub latents: Vec<Vec<i32>>,
    /// For each direction of the network, in sixteenths.
    pub coefficients: Vec<i32>,
    /// Bits for each pixel under the context model.
    pub bits_per_pixel: f64,
    /// Mean squared error of the pixels, red, green and blue in [0, 1].
    pub error: f64,
}

/// What is optimized for a picture.
#[derive(Debug, Clone)]
pub(super) struct Point {
    /// For each level, the finest first: `[channel][row][column]`.
    pub latents: Vec<Vec<f32>>,
    /// For each direction of the network.
    pub coefficients: Vec<f32>,
}

/// Latents of a picture after `steps` steps of optimization, from those of a Laplacian pyramid.
#[must_use]
pub fn fit(network: &Network, target: &Target, steps: usize) -> Fitted {
    let Point { latents, coefficients } = optimize(
        network,
        target,
        initial(network, target, network.lambda()),
        Schedule::new(steps),
        steps,
        &|_| true,
        &Scratch::default(),
    );
    let coefficients = coefficients::coded(&coefficients);
    let (cost, _) = objective::measure(&coefficients::moved(network, &coefficients), target, &latents);
    let latents = rounded(&latents);
    Fitted { latents, coefficients, bits_per_pixel: cost.bits_per_pixel(), error: cost.error }
}

/// Optimizes latents and coefficients. Coefficients stop where `can_move` does not allow more, as weights of integers do.
pub(super) fn optimize(
    network: &Network,
    target: &Target,
    start: Point,
    schedule: Schedule,
    steps: usize,
    can_move: &dyn Fn(&[i32]) -> bool,
    scratch: &Scratch,
) -> Point {
    let Point { mut latents, coefficients } = start;
    let mut coefficients = Coefficients::new(coefficients);
    let is_moved = !coefficients.values.is_empty();
    let mut weights = vec![0.0; if is_moved { network.parameters.len() } else { 0 }];
    let mut moved = is_moved.then(|| network.moved(&coefficients.values));
    let mut adams: Vec<Adam> = latents.iter().map(|level| Adam::new(level.len())).collect();
    for step in 0..steps {
        let part = step as f32 / steps as f32;
        let (rounded, slopes) = round(&latents, schedule.rounding(part), step as u32);
        let now = moved.as_ref().unwrap_or(network);
        let is_update = is_moved && step % STEPS_OF_COEFFICIENTS == 0;
        weights.fill(0.0);
        let (_, mut gradients) =
            objective::gradient(now, target, &rounded, is_update.then_some(&mut weights[..]), scratch);
        for (level, adam) in adams.iter_mut().enumerate() {
            through(&mut gradients[level], &slopes[level]);
            schedule.update(adam, &mut latents[level], &gradients[level], part, step as u32);
        }
        if is_update {
            let before = coefficients.values.clone();
            coefficients.update(network, &weights, part, (step / STEPS_OF_COEFFICIENTS) as u32);
            if !can_move(&coefficients::coded(&coefficients.values)) {
                coefficients.values = before;
            }
            moved = Some(network.moved(&coefficients.values));
        }
    }
    Point { latents, coefficients: coefficients.values }
}

/// The nearest integers.
pub(super) fn nearest(latents: &[Vec<f32>]) -> Vec<Vec<f32>> {
    latents.iter().map(|level| level.iter().map(|latent| latent.round()).collect()).collect()
}

/// Latents as they are coded.
pub(super) fn rounded(latents: &[Vec<f32>]) -> Vec<Vec<i32>> {
    let integer = |x: &f32| (x.round() as i32).clamp(-LATENT_LIMIT, LATENT_LIMIT);
    latents.iter().map(|level| level.iter().map(integer).collect()).collect()
}

/// The picture that the network shows for latents and coefficients of a target.
#[must_use]
pub fn render(network: &Network, target: &Target, fitted: &Fitted) -> Picture {
    let latents: Vec<Vec<f32>> =
        fitted.latents.iter().map(|level| level.iter().map(|&latent| latent as f32).collect()).collect();
    let moved = coefficients::moved(network, &fitted.coefficients);
    let (_, planes) = objective::measure(&moved, target, &latents);
    Picture::from_rgb(target.columns() as u32, target.rows() as u32, to_rgb(&planes))
}

/// What the optimization begins with: the latents of a pyramid for a lambda. That is the one of the latents' steps, whatever the rate
/// weighs: with other steps, the network would not show the picture that the pyramid stands for.
pub(super) fn initial(network: &Network, target: &Target, lambda: f32) -> Point {
    let channels: Vec<usize> = network.config().levels.iter().map(|level| level.channels).collect();
    let latents = target.pyramid(&channels, &initial_steps(lambda, channels.len()));
    Point { latents, coefficients: vec![0.0; network.config().directions] }
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
    let parts = gradients.par_chunks_mut(PART).zip(slopes.par_chunks(PART));
    parts.for_each(|(gradients, slopes)| {
        gradients.iter_mut().zip(slopes).for_each(|(gradient, slope)| *gradient *= slope);
    });
}
