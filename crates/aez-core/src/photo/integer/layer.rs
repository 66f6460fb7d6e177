//! Layers with integer weights.

use super::{
    super::{
        layers::Tap,
        rows::{MARGIN, Rows},
    },
    directions::Directions,
};
use crate::{
    error::{Error, Result},
    nn::integer::{self, IntegerMap},
};

/// Bound of the absolute value of a latent.
pub(in super::super) const LATENT_LIMIT: i32 = 4095;
/// Bound of the absolute value of everything else that a layer reads.
const VALUE_LIMIT: i64 = 1 << 15;
/// Bound of the absolute value of a sum. What is added after the shift is below 2^17.
const MAX_SUM: i64 = i32::MAX as i64 - (1 << 17);
/// Largest shift of a sum.
pub(super) const MAX_SHIFT: u8 = 24;

/// Bound of the absolute value of a rounded weight. More bits would fit, and make model files that compress less: 13 bits instead of 16
/// lose less than 0.3 %. Where a layer reads both latents and other values, it is the bound for those with the smaller weights: their
/// units may be far apart, and both need some bits.
const LARGEST_ROUNDED: f64 = 4095.0;

/// A layer: for each output `(bias + sum of weight * tap) >> shift`, limited to 16 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct IntegerLayer {
    pub outputs: usize,
    /// `[tap][output]`.
    pub weights: Vec<i16>,
    pub bias: Vec<i32>,
    pub shifts: Vec<u8>,
    pub directions: Directions,
}

/// What a tap of a layer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Source {
    Latent,
    /// A value with this number of fractional bits.
    Value(u32),
}

impl IntegerLayer {
    /// A layer without outputs.
    pub fn empty() -> Self {
        let (weights, bias, shifts) = (Vec::new(), Vec::new(), Vec::new());
        Self { outputs: 0, weights, bias, shifts, directions: Directions::default() }
    }

    pub fn without_directions(&self) -> Self {
        let Self { outputs, weights, bias, shifts, .. } = self;
        let (weights, bias, shifts) = (weights.clone(), bias.clone(), shifts.clone());
        Self { outputs: *outputs, weights, bias, shifts, directions: Directions::default() }
    }

    /// Checks that no sum exceeds 32 bits. `sources` are those of the taps.
    ///
    /// # Errors
    /// [`Error::Model`] if one might.
    pub fn check(&self, sources: &[Source], name: &str) -> Result<()> {
        let Self { outputs, weights, bias, shifts, .. } = self;
        let is_complete = bias.len() == *outputs && shifts.len() == *outputs;
        if !is_complete || weights.len() != sources.len() * outputs {
            return Err(Error::Model(format!("layer {name} has the wrong size")));
        }
        for output in 0..*outputs {
            let sum: i64 = sources
                .iter()
                .enumerate()
                .map(|(tap, &source)| i64::from(weights[tap * outputs + output]).abs() * bound(source))
                .sum();
            if sum + i64::from(bias[output]).abs() > MAX_SUM || shifts[output] > MAX_SHIFT {
                return Err(Error::Model(format!("the sums of layer {name} may exceed 32 bits")));
            }
        }
        Ok(())
    }

    /// Rounds a layer in floating point, `[tap][output]`, to integers. Output `o` gets `fraction[o]` fractional bits, and as many bits
    /// of precision as the weights and their sums allow, where each weight and, after them, each bias may move by its `reach`. An empty
    /// `reach` is 0.
    pub fn round(
        weights: &[f64],
        bias: &[f64],
        sources: &[Source],
        fractions: &[u32],
        reach: &[f64],
    ) -> Self {
        let outputs = bias.len();
        let mut layer = Self {
            outputs,
            weights: vec![0; weights.len()],
            bias: vec![0; outputs],
            shifts: vec![0; outputs],
            directions: Directions::default(),
        };
        for output in 0..outputs {
            let room = |scale: f64| -> Vec<f64> {
                let units = sources.iter().map(|source| source.unit()).chain([1.0]);
                let reach = reach[output..].iter().step_by(outputs);
                reach.zip(units).map(|(reach, unit)| reach * scale / unit).collect()
            };
            for shift in (0..=MAX_SHIFT).rev() {
                let scale = f64::from(fractions[output] + u32::from(shift)).exp2();
                let rounded: Vec<f64> = sources
                    .iter()
                    .enumerate()
                    .map(|(tap, &source)| (weights[tap * outputs + output] * scale / source.unit()).round())
                    .collect();
                let half = if shift > 0 { 1_i64 << (shift - 1) } else { 0 };
                let start = (bias[output] * scale).round() + half as f64;
                let sum: f64 = rounded.iter().zip(sources).map(|(w, &s)| w.abs() * bound(s) as f64).sum();
                let fits = is_short(&rounded, sources)
                    && sum + start.abs() <= MAX_SUM as f64
                    && (reach.is_empty() || has_room(&rounded, start, sources, &room(scale)));
                if fits || shift == 0 {
                    for (tap, weight) in rounded.into_iter().enumerate() {
                        layer.weights[tap * outputs + output] = weight as i16;
                    }
                    layer.bias[output] = start as i32;
                    layer.shifts[output] = shift;
                    break;
                }
            }
        }
        layer
    }

    /// The biases without what rounds the shifted sums.
    pub fn float_bias(&self) -> impl Iterator<Item = f64> {
        let bias = |(&bias, &shift): (&i32, &u8)| {
            let half = if shift > 0 { 1_i64 << (shift - 1) } else { 0 };
            (i64::from(bias) - half) as f64
        };
        self.bias.iter().zip(&self.shifts).map(bias)
    }
}

/// Whether the weights and the bias of one output may move by `room`.
fn has_room(weights: &[f64], bias: f64, sources: &[Source], room: &[f64]) -> bool {
    let farthest = weights.iter().zip(room).map(|(weight, room)| weight.abs() + room);
    let is_short = farthest.clone().all(|weight| weight <= f64::from(i16::MAX));
    let sum: f64 = farthest.zip(sources).map(|(weight, &source)| weight * bound(source) as f64).sum();
    is_short && sum + bias.abs() + room[weights.len()] <= MAX_SUM as f64
}

/// Whether the weights of one output have few bits; see [`LARGEST_ROUNDED`].
fn is_short(weights: &[f64], sources: &[Source]) -> bool {
    let largest = |of_latents: bool| {
        let pairs =
            weights.iter().zip(sources).filter(|(_, source)| (**source == Source::Latent) == of_latents);
        pairs.map(|(weight, _)| weight.abs()).filter(|&weight| weight > 0.0).reduce(f64::max)
    };
    let [latents, values] = [true, false].map(largest);
    let smaller = latents.into_iter().chain(values).reduce(f64::min);
    smaller.is_none_or(|weight| weight <= LARGEST_ROUNDED)
        && weights.iter().all(|weight| weight.abs() <= f64::from(i16::MAX))
}

fn bound(source: Source) -> i64 {
    match source {
        Source::Latent => LATENT_LIMIT.into(),
        Source::Value(_) => VALUE_LIMIT,
    }
}

impl Source {
    /// What the whole number 1 is read as.
    pub fn unit(self) -> f64 {
        match self {
            Self::Latent => 1.0,
            Self::Value(fraction) => f64::from(fraction).exp2(),
        }
    }
}

/// Planes that layers read.
pub(super) trait Planes: Sync {
    /// The values from a position of a plane to the end of the array. A row has margins for whole groups of columns.
    fn values(&self, plane: usize, row: isize, column: isize) -> &[i16];
}

impl Planes for Rows<i16> {
    fn values(&self, plane: usize, row: isize, column: isize) -> &[i16] {
        &self.values[self.place(plane, row, column)..]
    }
}

/// The smallest output of a layer with ReLU, and of one without.
pub(super) const RELU: i16 = 0;
pub(super) const SIGNED: i16 = i16::MIN;

/// A layer in the order in which kernels read it.
#[derive(Debug, Clone)]
pub(super) struct Ready {
    pub layer: IntegerLayer,
    /// The number of the array that each tap reads, and the tap. Their number is even.
    taps: Vec<(usize, Tap)>,
    /// For each pair of taps and each output.
    weights: Vec<[i16; 2]>,
}

impl Ready {
    /// A layer whose taps read several arrays, one after another.
    pub fn new(layer: IntegerLayer, arrays: &[&[Tap]]) -> Self {
        let numbered = arrays.iter().enumerate();
        let mut taps: Vec<(usize, Tap)> =
            numbered.flat_map(|(array, taps)| taps.iter().map(move |&tap| (array, tap))).collect();
        let (count, outputs) = (taps.len(), layer.outputs);
        let weight = |tap: usize, output: usize| {
            if tap < count { layer.weights[tap * outputs + output] } else { 0 }
        };
        let pairs = (0..count).step_by(2).flat_map(|tap| (0..outputs).map(move |output| (tap, output)));
        let weights = pairs.map(|(tap, output)| [weight(tap, output), weight(tap + 1, output)]).collect();
        if let (1, Some(&last)) = (count % 2, taps.last()) {
            taps.push(last);
        }
        Self { layer, taps, weights }
    }

    /// Computes the outputs at a row of positions. `arrays` are those that the taps read, each with its row. `plus` is added, in whole
    /// groups of columns for each output, if it is not empty. The rows of the outputs begin `step` apart.
    pub fn run(
        &self,
        arrays: &[(&dyn Planes, usize)],
        plus: &[i32],
        low: i16,
        columns: usize,
        output: &mut [i16],
        step: usize,
    ) {
        let values = |&(array, tap): &(usize, Tap)| {
            let (planes, row) = arrays[array];
            planes.values(tap.plane, row as isize + tap.row, tap.column)
        };
        let taps: Vec<&[i16]> = self.taps.iter().map(values).collect();
        let IntegerLayer { bias, shifts, .. } = &self.layer;
        let map = IntegerMap { taps: &taps, weights: &self.weights, bias, shifts, plus, low, columns };
        integer::run(&map, output, step);
    }
}

const _: () = assert!(MARGIN >= 2);
