//! Coefficients to symbols: those of the smallest error that take a given number of bits.

use super::{
    PreviewModel,
    dct::Step,
    prior::{Coded, MAX_MAGNITUDE},
};
use crate::error::Result;

/// Binary logarithms of the smallest and the largest cost of a bit, in squared steps.
const COSTS: (f32, f32) = (-5.0, 1.5);

/// Symbols that fit.
#[derive(Debug, Clone)]
pub struct Fit {
    pub coded: Coded,
    /// The binary logarithm of the cost of a bit at which they were chosen.
    pub cost: f32,
}

/// The symbols with the smallest cost of a bit for which they take at most `bits` bits. `near` limits the search to half and twice a cost.
pub fn fit(
    model: &PreviewModel,
    gray: bool,
    wanted: &[f32],
    step: Step,
    bits: f32,
    near: Option<f32>,
) -> Result<Option<Fit>> {
    let (mut low, mut high) = near.map_or(COSTS, |cost| (cost - 1.0, cost + 1.0));
    let at = |cost: f32| -> Result<Option<Fit>> {
        let (coded, length) = quantize(model, gray, wanted, step, cost.exp2())?;
        Ok((length <= bits).then_some(Fit { coded, cost }))
    };
    let Some(mut best) = at(high)? else { return Ok(None) };
    for _ in 0..if near.is_some() { 6 } else { 7 } {
        let middle = f32::midpoint(low, high);
        match at(middle)? {
            Some(better) => (best, high) = (better, middle),
            None => low = middle,
        }
    }
    Ok(Some(best))
}

/// Symbols with the smallest sum of squared errors, in steps, and of `cost` for each bit, chosen one after another; and their number of
/// bits.
fn quantize(model: &PreviewModel, gray: bool, wanted: &[f32], step: Step, cost: f32) -> Result<(Coded, f32)> {
    let mut total = 0.0;
    let coded = model.prior.visit(step, |at, scale| {
        if gray && model.channel(at) > 0 {
            return Ok(0);
        }
        let exact = wanted[at] / step.size() as f32;
        let top = (exact.abs().round() as i32).min(MAX_MAGNITUDE);
        let mut best = (f32::INFINITY, 0, 0.0);
        for magnitude in [0, top - 1, top].into_iter().filter(|&magnitude| magnitude >= 0) {
            let bits = model.prior.bits(scale, magnitude);
            let loss = (magnitude as f32 - exact.abs()).powi(2) + cost * bits;
            if loss < best.0 {
                best = (loss, magnitude, bits);
            }
        }
        total += best.2;
        Ok(if exact < 0.0 { -best.1 } else { best.1 })
    })?;
    Ok((coded, total))
}

impl PreviewModel {
    /// Number of bits of symbols, and their scales.
    pub fn measure(&self, gray: bool, step: Step, symbols: &[i32]) -> Result<(Coded, f32)> {
        let mut total = 0.0;
        let coded = self.prior.visit(step, |at, scale| {
            if !gray || self.channel(at) == 0 {
                total += self.prior.bits(scale, symbols[at].abs());
            }
            Ok(symbols[at])
        })?;
        Ok((coded, total))
    }
}
