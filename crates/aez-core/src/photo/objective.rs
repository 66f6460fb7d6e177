//! What training and encoding minimize: bits, plus the squared error divided by lambda.

use std::ops::Range;

use super::{
    context::Context,
    fit::{PART, nearest},
    network::Network,
    rows::Rows,
    scratch::{Lent, Scratch},
    synthesis::{self, Forward, Grid},
    target::Target,
};
use crate::{nn::taps::LANES, parallel::*};

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
    scratch: &Scratch,
) -> (Cost, Vec<Vec<f32>>) {
    let grids = target.grids(latents);
    let (rates, (squares, mut gradients)) = if is_guided(network) {
        let forward = synthesis::forward(network, &grids, scratch);
        let mut rates = rates(network, &grids, Some(&forward), weights.as_deref_mut(), scratch);
        let features = std::mem::take(&mut rates.features);
        let distortion = distortion(network, target, &grids, &forward, features, weights, scratch);
        (rates, distortion)
    } else {
        // Neither part needs the other, and each has weights of its own.
        let mut own = weights.as_ref().map(|weights| vec![0.0; weights.len()]);
        let parts = join(
            || rates(network, &grids, None, weights.as_deref_mut(), scratch),
            || {
                let forward = synthesis::forward(network, &grids, scratch);
                distortion(network, target, &grids, &forward, Vec::new(), own.as_deref_mut(), scratch)
            },
        );
        if let (Some(weights), Some(own)) = (weights, own) {
            weights.iter_mut().zip(own).for_each(|(to, from)| *to += from);
        }
        parts
    };
    for (gradients, rates) in gradients.iter_mut().zip(&rates.latents) {
        let parts = gradients.par_chunks_mut(PART).zip(rates.par_chunks(PART));
        parts.for_each(|(gradients, rates)| {
            gradients.iter_mut().zip(rates).for_each(|(gradient, rate)| *gradient += rate);
        });
    }
    let error = squares / (3 * target.pixels()) as f64;
    (Cost { bits: rates.bits, error, pixels: target.pixels() }, gradients)
}

/// Whether context models read features.
fn is_guided(network: &Network) -> bool {
    network.config().levels.iter().any(|level| level.guides > 0)
}

/// The bits of each level, and their derivatives with respect to the latents and the features of each level.
struct Rates<'s> {
    bits: Vec<f64>,
    latents: Vec<Vec<f32>>,
    features: Vec<Lent<'s>>,
}

/// The bits of latents with derivatives. `forward` is needed where context models read features.
fn rates<'s>(
    network: &Network,
    grids: &[Grid<'_>],
    forward: Option<&Forward<'_>>,
    mut weights: Option<&mut [f32]>,
    scratch: &'s Scratch,
) -> Rates<'s> {
    let mut latents = zeros(grids);
    let mut features = forward.map(|forward| zero_features(forward, scratch)).unwrap_or_default();
    let mut bits = Vec::with_capacity(grids.len());
    for level in 0..grids.len() {
        let context = context(network, grids, forward, level, scratch);
        let rate = context.rate(weights.as_deref_mut());
        bits.push(rate.bits);
        let (fine, coarse) = latents.split_at_mut(level + 1);
        let coarser = coarse.first_mut().map(Vec::as_mut_slice);
        context.spread(
            &rate.inputs,
            &mut fine[level],
            coarser,
            features.get_mut(level + 1).map(|features| &mut **features),
        );
    }
    Rates { bits, latents, features }
}

/// The squared error of the picture, and the derivatives of the weighted error with respect to the latents. `features` are derivatives
/// of the bits.
fn distortion<'s>(
    network: &Network,
    target: &Target,
    grids: &[Grid<'_>],
    forward: &Forward<'s>,
    features: Vec<Lent<'s>>,
    weights: Option<&mut [f32]>,
    scratch: &'s Scratch,
) -> (f64, Vec<Vec<f32>>) {
    let mut gradients = zeros(grids);
    let (squares, picture) = target.error(&forward.picture, 2.0 / (3.0 * network.lambda()), scratch);
    synthesis::backward(network, forward, picture, features, &mut gradients, weights, scratch);
    (squares, gradients)
}

fn zeros(grids: &[Grid<'_>]) -> Vec<Vec<f32>> {
    grids.iter().map(|grid| vec![0.0; grid.latents.len()]).collect()
}

fn zero_features<'s>(forward: &Forward<'_>, scratch: &'s Scratch) -> Vec<Lent<'s>> {
    let sizes = forward.levels.iter().map(|level| &*level.features);
    sizes.map(|rows| scratch.zeros(rows.planes, rows.rows, rows.columns)).collect()
}

/// One of the maps of [`Costs`].
#[derive(Debug, Clone, Copy)]
pub(super) enum CostMap {
    /// The bits of a level.
    Bits(usize),
    /// The errors of the pixels.
    Errors,
}

impl CostMap {
    /// The level that has as many rows and columns.
    pub fn level(self) -> usize {
        match self {
            Self::Bits(level) => level,
            Self::Errors => 0,
        }
    }
}

/// Where the costs of rounded latents arise.
#[derive(Clone)]
pub(super) struct Costs {
    /// Rows and columns of each level.
    pub sizes: Vec<(usize, usize)>,
    /// For each level, the bits of all latents at a position.
    bits: Vec<Vec<f32>>,
    /// For each pixel, the weighted squared error, in bits.
    errors: Vec<f32>,
}

impl Costs {
    pub fn new(network: &Network, target: &Target, latents: &[Vec<f32>], scratch: &Scratch) -> Self {
        let sizes: Vec<(usize, usize)> =
            target.grids(latents).iter().map(|grid| (grid.rows, grid.columns)).collect();
        let bits = sizes.iter().map(|(rows, columns)| vec![0.0; rows * columns]).collect();
        let mut costs = Self { sizes, bits, errors: vec![0.0; target.pixels()] };
        costs.compute(network, target, latents, 0..latents.len(), scratch);
        costs
    }

    /// The levels whose bits change with the latents of a level.
    pub fn changed(network: &Network, level: usize) -> Range<usize> {
        // Context models read latents of their own and of the next coarser level, and features, which depend on all coarser levels.
        if is_guided(network) { 0..level + 1 } else { level.saturating_sub(1)..level + 1 }
    }

    /// Computes the bits of some levels' latents, and the errors.
    pub fn compute(
        &mut self,
        network: &Network,
        target: &Target,
        latents: &[Vec<f32>],
        levels: Range<usize>,
        scratch: &Scratch,
    ) {
        let grids = target.grids(latents);
        let forward = synthesis::forward(network, &grids, scratch);
        for level in levels {
            context(network, &grids, Some(&forward), level, scratch).bit_map(&mut self.bits[level]);
        }
        target.error_map(&forward.picture, 1.0 / (3.0 * network.lambda()), &mut self.errors);
    }

    /// Exchanges the bits of some levels, and the errors.
    pub fn exchange(&mut self, other: &mut Self, levels: Range<usize>) {
        self.bits[levels.clone()].swap_with_slice(&mut other.bits[levels]);
        std::mem::swap(&mut self.errors, &mut other.errors);
    }

    pub fn map(&self, map: CostMap) -> &[f32] {
        match map {
            CostMap::Bits(level) => &self.bits[level],
            CostMap::Errors => &self.errors,
        }
    }

    pub fn map_mut(&mut self, map: CostMap) -> &mut [f32] {
        match map {
            CostMap::Bits(level) => &mut self.bits[level],
            CostMap::Errors => &mut self.errors,
        }
    }

    /// Bits, plus the weighted squared error.
    pub fn total(&self) -> f64 {
        let maps = self.bits.iter().chain([&self.errors]);
        maps.flat_map(|map| map.chunks(SUMMED)).map(|part| f64::from(sum(part))).sum()
    }
}

/// Values that are summed in single precision, which the compiler can do with vectors.
const SUMMED: usize = 1 << 10;

fn sum(values: &[f32]) -> f32 {
    let (groups, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for group in groups {
        sums.iter_mut().zip(group).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().chain(rest).sum()
}

/// The cost of latents as the decoder sees them: rounded, and the picture in 8 bits. Also returns the picture.
pub(super) fn measure(network: &Network, target: &Target, latents: &[Vec<f32>]) -> (Cost, Rows) {
    let rounded = nearest(latents);
    let grids = target.grids(&rounded);
    let scratch = Scratch::default();
    let forward = synthesis::forward(network, &grids, &scratch);
    let bits = (0..latents.len())
        .map(|level| context(network, &grids, Some(&forward), level, &scratch).bits())
        .collect();
    let error = target.shown_error(&forward.picture);
    (Cost { bits, error, pixels: target.pixels() }, forward.picture.clone())
}

fn context<'a>(
    network: &'a Network,
    grids: &[Grid<'_>],
    forward: Option<&Forward<'_>>,
    level: usize,
    scratch: &'a Scratch,
) -> Context<'a> {
    let grid = grids[level];
    let latents = (grid.latents, grids.get(level + 1).map(|grid| grid.latents));
    let features = forward.and_then(|forward| forward.levels.get(level + 1)).map(|level| &*level.features);
    let size = (grid.rows, grid.columns);
    Context::new(&network.layers, &network.parameters, level, size, latents, features, scratch)
}
