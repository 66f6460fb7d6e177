//! Convolutions in integers.

use super::{
    dct::Step,
    file::Tensors,
    planes::{Grid, Planes},
};
use crate::{
    error::{Error, Result},
    nn::integer::{self, IntegerMap},
};

/// The largest number of bits that sums are shifted by.
const MAX_SHIFT: u8 = 24;
/// The largest difference of a step's index to [`MIDDLE_STEP`].
const MAX_STEP_DISTANCE: i64 = 20;
/// The index of the step for which the bias is that of the file.
const MIDDLE_STEP: i32 = 8;

/// What a layer computes, beside its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub inputs: usize,
    pub outputs: usize,
    /// Width and height of the window: 1, 2 or 3. A window of 2 moves by 2, the others by 1.
    pub window: usize,
    /// Distance of the values in a window.
    pub dilation: usize,
    /// Fractional bits of the inputs and the outputs.
    pub bits: (u8, u8),
    /// Whether the step changes the bias.
    pub by_step: bool,
}

/// A layer: output `o` is `sum of weights * inputs + bias + by_step * (step - 8)`, shifted right, rounded, and limited to 16 bits.
pub struct Layer {
    pub plan: Plan,
    /// `[output][input][row][column]`.
    pub weights: Vec<i8>,
    pub bias: Vec<i32>,
    pub by_step: Vec<i32>,
    /// What each sum is shifted by.
    pub shifts: Vec<u8>,
    /// For each pair of taps and each output the two weights.
    pairs: Vec<[i16; 2]>,
}

impl Layer {
    /// Reads a layer of a model file. Its sums fit in 32 bits for all inputs.
    pub fn read(tensors: &mut Tensors<'_>, name: &str, plan: Plan) -> Result<Self> {
        let Plan { inputs, outputs, window, .. } = plan;
        let weights = tensors.i8(&format!("{name}.weight"), &[outputs, inputs, window, window])?;
        let bias = tensors.i32(&format!("{name}.bias"), &[outputs])?;
        let by_step = match plan.by_step {
            true => tensors.i32(&format!("{name}.by_step"), &[outputs])?,
            false => vec![0; outputs],
        };
        let shifts = tensors.u8(&format!("{name}.shift"), &[outputs])?;
        let shift = |shift: u8| {
            let shift = shift.checked_add(plan.bits.0).and_then(|sum| sum.checked_sub(plan.bits.1));
            shift.filter(|&shift| shift <= MAX_SHIFT)
        };
        let shifts: Option<Vec<u8>> = shifts.into_iter().map(shift).collect();
        let shifts = shifts.ok_or_else(|| Error::Model(format!("a shift of {name} is out of range")))?;
        for (o, weights) in weights.chunks_exact(inputs * window * window).enumerate() {
            let sum: i64 = weights.iter().map(|&weight| i64::from(weight.unsigned_abs())).sum();
            let constant = i64::from(bias[o]).abs() + MAX_STEP_DISTANCE * i64::from(by_step[o]).abs();
            if sum * (1 << 15) + constant + half(shifts[o]) > i64::from(i32::MAX) {
                return Err(Error::Model(format!("sums of {name} exceed 32 bits")));
            }
        }
        let pairs = pairs(&weights, outputs);
        Ok(Self { plan, weights, bias, by_step, shifts, pairs })
    }

    /// Computes the outputs, which are at least `low`. The inputs of a window of 2 are those of [`Planes::unshuffled`].
    pub fn run(&self, input: &Planes, step: Step, low: i16) -> Planes {
        let (grid, outputs) = (input.grid, self.plan.outputs);
        let offsets = self.offsets(grid);
        let planes = input.values.chunks_exact(grid.step());
        let mut taps: Vec<&[i16]> =
            planes.flat_map(|plane| offsets.iter().map(|&offset| &plane[offset..][..grid.len()])).collect();
        if taps.len() % 2 == 1 {
            taps.push(taps[0]);
        }
        let distance = step.index() - MIDDLE_STEP;
        let constant = |o: usize| self.bias[o] + self.by_step[o] * distance + half(self.shifts[o]) as i32;
        let bias: Vec<i32> = (0..outputs).map(constant).collect();
        let mut output = Planes::zeros(grid, outputs);
        let map = IntegerMap {
            taps: &taps,
            weights: &self.pairs,
            bias: &bias,
            shifts: &self.shifts,
            plus: &[],
            low,
            columns: grid.len(),
        };
        integer::run(&map, &mut output.values[grid.margin()..], grid.step());
        output.clear_gaps();
        output
    }

    /// For each place of the window the first value in a plane that it is multiplied by. A window of 2 is one of 1 of planes that were
    /// unshuffled.
    pub fn offsets(&self, grid: Grid) -> Vec<usize> {
        let Plan { window, dilation, .. } = self.plan;
        let edge = if window == 3 { 3 } else { 1 };
        let first = grid.margin() - edge / 2 * dilation * (grid.stride() + 1);
        (0..edge * edge).map(|at| first + dilation * (at / edge * grid.stride() + at % edge)).collect()
    }
}

/// Half of the unit of a shift.
fn half(shift: u8) -> i64 {
    1 << shift >> 1
}

/// The weights by pairs of taps and outputs; a last tap without another has a second weight of 0.
fn pairs(weights: &[i8], outputs: usize) -> Vec<[i16; 2]> {
    let taps = weights.len() / outputs;
    let weight = |o: usize, tap: usize| if tap < taps { weights[o * taps + tap].into() } else { 0 };
    let places = (0..taps).step_by(2).flat_map(|tap| (0..outputs).map(move |o| (o, tap)));
    places.map(|(o, tap)| [weight(o, tap), weight(o, tap + 1)]).collect()
}

/// The plan of a layer in a network of two grids.
pub const fn plan(inputs: usize, outputs: usize, window: usize) -> Plan {
    Plan { inputs, outputs, window, dilation: 1, bits: (10, 10), by_step: false }
}

/// The constant channels: the step, and the place in the picture.
pub fn constants(grid: Grid, step: Step) -> [impl Fn(usize, usize) -> i16; 3] {
    let last = grid.edge as i32 - 1;
    let ramp = move |at: i32| (8192 * at + last).div_euclid(2 * last) as i16;
    let of = move |kind: usize| {
        move |y: usize, x: usize| match kind {
            0 => ((step.index() - MIDDLE_STEP) * 512) as i16,
            1 => ramp(2 * y as i32 - last),
            _ => ramp((2 * x as i32 - last).abs()),
        }
    };
    [of(0), of(1), of(2)]
}
