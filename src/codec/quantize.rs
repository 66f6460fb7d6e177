//! Latents to symbols and back.

use super::Latents;
use crate::{
    entropy::Tables,
    error::Result,
    symbols::{Quality, Symbols},
};

/// What a bit is worth in squared quantization steps.
///
/// Theory's value is 1/6 of the natural logarithm of 2, or 0.116, the slope of the error step²/12 against the rate
/// where steps are small.
pub const LAMBDA: f32 = 0.1;

/// Chooses the symbol of each latent: of the nearest one and its two neighbours that which costs least, where
///
/// cost = ((u - reconstruction) / step)² + lambda · bits
///
/// Symbols beyond the range of the tables cannot be written: the nearest within is taken.
///
/// # Errors
/// None but a fault of the library: the shape of the latents is kept.
pub fn quantize(latents: &Latents, tables: &Tables, quality: Quality, lambda: f32) -> Result<Symbols> {
    let step = quality.step_multiplier() as f32 / (1 << Quality::MULTIPLIER_BITS) as f32;
    let channels = latents.shape().channels as usize;
    let choose = |(index, &u): (usize, &f32)| {
        let channel = index % channels;
        let cost = |symbol: i32| {
            let error = (u - tables.centroid(channel, symbol)) / step;
            error * error + lambda * tables.bits(channel, symbol)
        };
        let range = tables.range(channel);
        let nearest = ((u / step).round() as i32).clamp(*range.start(), *range.end());
        let candidates = nearest.saturating_sub(1)..=nearest.saturating_add(1);
        candidates.filter(|k| range.contains(k)).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(nearest)
    };
    Symbols::new(latents.shape(), latents.values().iter().enumerate().map(choose).collect())
}

/// The value that each symbol stands for: the mean of the latents that it may have come from, under the prior.
///
/// # Errors
/// None but a fault of the library: the shape of the symbols is kept.
pub fn reconstruct(symbols: &Symbols, tables: &Tables) -> Result<Latents> {
    let values = symbols
        .cells()
        .flat_map(|cell| cell.iter().enumerate().map(|(channel, &symbol)| tables.centroid(channel, symbol)));
    Latents::new(symbols.shape(), values.collect())
}
