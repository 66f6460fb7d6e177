//! Directions in which files move the weights of a network, and their coefficients.

use super::{
    layer::{IntegerLayer, Source},
    tables::Tables,
};
use crate::{
    entropy::{Frequencies, RangeEncoder},
    error::{Error, Result},
};

/// Bound of the absolute value of a coefficient.
pub(in super::super) const COEFFICIENT_LIMIT: i32 = 127;
/// Coefficients for each whole one.
pub(in super::super) const COEFFICIENT_UNITS: f32 = 16.0;
/// Number of the scale that coefficients are coded with.
const COEFFICIENT_SCALE: usize = 45;
/// Largest exponent of an output.
const MAX_EXPONENT: u8 = 40;
/// Bits before the shift by an exponent.
const FRACTION: u32 = 16;
/// Exponents of each output: those of weights of latents, of other weights, and of the bias, because their units are far apart.
const KINDS: usize = 3;

/// The directions of a layer. A layer without them has empty lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Directions {
    /// `[direction][tap + 1][output]`, the biases at the end.
    pub values: Vec<i8>,
    /// `[kind][output]`.
    pub exponents: Vec<u8>,
}

/// Which of the exponents is that of a tap, or, after the last one, of the bias.
fn kind(sources: &[Source], tap: usize) -> usize {
    match sources.get(tap) {
        Some(Source::Latent) => 0,
        Some(Source::Value(_)) => 1,
        None => 2,
    }
}

/// What a direction's value is worth with an exponent, for a coefficient of one.
fn worth(exponent: u8) -> f64 {
    (f64::from(FRACTION) - f64::from(exponent)).exp2() * f64::from(COEFFICIENT_UNITS)
}

impl Directions {
    /// Rounds directions, each `[tap + 1][output]` in units of `units`, with the largest exponents that 8 bits allow.
    ///
    /// # Errors
    /// [`Error::Model`] for directions that are too large.
    pub fn round(directions: &[Vec<f64>], units: &[f64], sources: &[Source], name: &str) -> Result<Self> {
        if directions.is_empty() {
            return Ok(Self::default());
        }
        let outputs = units.len() / (sources.len() + 1);
        let mut largest = vec![0.0_f64; KINDS * outputs];
        for (place, unit) in units.iter().enumerate() {
            let to = &mut largest[kind(sources, place / outputs) * outputs + place % outputs];
            *to = directions.iter().fold(*to, |largest, values| largest.max((values[place] / unit).abs()));
        }
        let exponent = |largest: &f64| {
            let fits = |&exponent: &u8| (largest / worth(exponent)).round() <= f64::from(i8::MAX);
            (1..=MAX_EXPONENT).rev().find(fits)
        };
        let exponents: Option<Vec<u8>> = largest.iter().map(exponent).collect();
        let exponents =
            exponents.ok_or_else(|| Error::Model(format!("the directions of {name} are too large")))?;
        let rounded = |place: usize, value: f64| {
            let exponent = exponents[kind(sources, place / outputs) * outputs + place % outputs];
            (value / units[place] / worth(exponent)).round() as i8
        };
        let values = directions.iter().flat_map(|values| values.iter().enumerate());
        let values = values.map(|(place, &value)| rounded(place, value)).collect();
        Ok(Self { values, exponents })
    }

    /// The directions in floating point. The inverse of [`Directions::round`].
    pub fn float(&self, units: &[f64], sources: &[Source]) -> Vec<Vec<f64>> {
        let outputs = units.len() / (sources.len() + 1);
        let value = |(place, &value): (usize, &i8)| {
            let exponent = self.exponents[kind(sources, place / outputs) * outputs + place % outputs];
            f64::from(value) * worth(exponent) * units[place]
        };
        let rows = self.values.chunks_exact(units.len().max(1));
        rows.map(|values| values.iter().enumerate().map(value).collect()).collect()
    }

    /// Checks the sizes and the exponents.
    ///
    /// # Errors
    /// [`Error::Model`] for those that are wrong for a layer with `count` directions.
    pub fn check(&self, count: usize, taps: usize, outputs: usize, name: &str) -> Result<()> {
        let exponents = if count > 0 { KINDS * outputs } else { 0 };
        if self.values.len() != count * (taps + 1) * outputs || self.exponents.len() != exponents {
            return Err(Error::Model(format!("the directions of {name} have the wrong size")));
        }
        match self.exponents.iter().all(|exponent| (1..=MAX_EXPONENT).contains(exponent)) {
            true => Ok(()),
            false => Err(Error::Model(format!("the exponents of {name} are out of range"))),
        }
    }

    /// How far coefficients move a weight or bias, `place` among those of a layer with `outputs`.
    fn movement(&self, coefficients: &[i32], place: usize, outputs: usize, kind: usize) -> i64 {
        let row = self.values.len() / coefficients.len();
        let values = self.values[place..].iter().step_by(row);
        let sum: i64 = values.zip(coefficients).map(|(&d, &m)| i64::from(d) * i64::from(m)).sum();
        let exponent = self.exponents[kind * outputs + place % outputs];
        ((sum << FRACTION) + (1 << (exponent - 1))) >> exponent
    }
}

impl IntegerLayer {
    /// The layer, without directions, whose weights coefficients have moved; `None` where a weight or bias has too many bits.
    pub fn moved(&self, coefficients: &[i32], sources: &[Source]) -> Option<Self> {
        let mut moved = self.without_directions();
        if self.directions.values.is_empty() {
            return Some(moved);
        }
        let by = |place: usize| {
            let kind = kind(sources, place / self.outputs);
            self.directions.movement(coefficients, place, self.outputs, kind)
        };
        for (place, weight) in moved.weights.iter_mut().enumerate() {
            *weight = (i64::from(*weight) + by(place)).try_into().ok()?;
        }
        for (place, bias) in (self.weights.len()..).zip(&mut moved.bias) {
            *bias = (i64::from(*bias) + by(place)).try_into().ok()?;
        }
        Some(moved)
    }
}

impl Tables {
    /// Codes the coefficients of a network that has directions: whether there are some that are not 0, and then all of them.
    pub fn put_coefficients(&self, encoder: &mut RangeEncoder, coefficients: &[i32]) {
        let is_moved = coefficients.iter().any(|&coefficient| coefficient != 0);
        encoder.put(is_moved.into(), self.bit());
        if is_moved {
            coefficients.iter().for_each(|&coefficient| self.put(encoder, coefficient, 0, COEFFICIENT_SCALE));
        }
    }

    /// Decodes `count` coefficients by `next`, as [`Tables::take`] does.
    ///
    /// # Errors
    /// [`Error::Damaged`] for coefficients that no encoder writes.
    pub fn take_coefficients(
        &self,
        count: usize,
        mut next: impl FnMut(&Frequencies, i32) -> Result<i32>,
    ) -> Result<Vec<i32>> {
        if next(self.bit(), 0)? == 0 {
            return Ok(vec![0; count]);
        }
        let one = |_| Ok(i32::from(self.take(&mut next, 0, COEFFICIENT_SCALE)?));
        let coefficients = (0..count).map(one).collect::<Result<Vec<i32>>>()?;
        if coefficients.iter().any(|coefficient| coefficient.abs() > COEFFICIENT_LIMIT) {
            return Err(Error::damaged("a coefficient is out of range"));
        }
        match coefficients.iter().all(|&coefficient| coefficient == 0) {
            true => Err(Error::damaged("the coefficients are coded although all are 0")),
            false => Ok(coefficients),
        }
    }
}
