//! What training and encoding minimize: bits, plus the squared error divided by lambda.

use super::{
    context::Context,
    network::Network,
    rows::Rows,
    synthesis::{self, Forward, Grid},
    target::Target,
};

/// A measurement of one picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Cost {
    /// Bits of each level, the finest first.
    pub bits: Vec<f64>,
    /// Mean squared error of red, green and blue in [0, 1].
    pub error: f64,
    pub pixels: usize,
}

impl Cost {
    pub fn bits_per_pixel(&self) -> f64 {
        self.bits.iter().sum::<f64>() / self.pixels as f64
    }

    pub fn loss(&self, lambda: f32) -> f64 {
        self.bits_per_pixel() + self.error / f64::from(lambda)
    }
}

/// The loss of latents, times the number of pixels, and its derivatives with respect to the latents. Those of the weights are
/// added to `weights`.
pub(super) fn gradient(
    network: &Network,
    target: &Target,
    latents: &[Vec<f32>],
    mut weights: Option<&mut [f32]>,
) -> (Cost, Vec<Vec<f32>>) {
    let grids = target.grids(latents);
    let forward = synthesis::forward(network, &grids);
    let mut gradients: Vec<Vec<f32>> = latents.iter().map(|level| vec![0.0; level.len()]).collect();
    let mut features: Vec<Rows> = forward.levels.iter().map(|level| level.features.zeros_like()).collect();
    let mut bits = Vec::with_capacity(latents.len());
    for level in 0..latents.len() {
        let context = context(network, &grids, &forward, level);
        let rate = context.rate(weights.as_deref_mut());
        bits.push(rate.bits);
        let (fine, coarse) = gradients.split_at_mut(level + 1);
        let own = &mut fine[level];
        context.spread(
            &rate.inputs,
            own,
            coarse.first_mut().map(Vec::as_mut_slice),
            features.get_mut(level + 1),
        );
    }
    let weight = 2.0 / (3.0 * network.lambda());
    let (squares, picture) = target.error(&forward.picture, weight);
    synthesis::backward(network, &forward, picture, features, &mut gradients, weights);
    (Cost { bits, error: squares / (3 * target.pixels()) as f64, pixels: target.pixels() }, gradients)
}

/// The cost of latents as the decoder sees them: rounded, and the picture in 8 bits. Also returns the picture.
pub(super) fn measure(network: &Network, target: &Target, latents: &[Vec<f32>]) -> (Cost, Rows) {
    let rounded: Vec<Vec<f32>> =
        latents.iter().map(|level| level.iter().map(|latent| latent.round()).collect()).collect();
    let grids = target.grids(&rounded);
    let forward = synthesis::forward(network, &grids);
    let bits = (0..latents.len()).map(|level| context(network, &grids, &forward, level).bits()).collect();
    let error = target.shown_error(&forward.picture);
    (Cost { bits, error, pixels: target.pixels() }, forward.picture)
}

fn context<'a>(network: &'a Network, grids: &[Grid<'_>], forward: &Forward, level: usize) -> Context<'a> {
    let grid = grids[level];
    let latents = (grid.latents, grids.get(level + 1).map(|grid| grid.latents));
    let features = forward.levels.get(level + 1).map(|level| &level.features);
    let size = (grid.rows, grid.columns);
    Context::new(&network.layers, &network.parameters, level, size, latents, features)
}
