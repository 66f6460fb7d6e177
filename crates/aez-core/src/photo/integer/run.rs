//! Layers on rows of integers.

use super::{
    super::rows::Rows,
    layer::{narrow, start},
    network::Ready,
};
use crate::{
    nn::taps::{LANES, vectorized},
    parallel::*,
};

/// What is added to the outputs of a layer, after the shift.
#[derive(Clone, Copy)]
pub(super) enum Plus<'a> {
    Nothing,
    /// Planes of the same size.
    Planes(&'a Rows<i16>),
    /// Planes of half the size, whose edges are extended, enlarged by the cubic filter.
    Cubic(&'a Rows<i16>),
    /// The same by the linear filter.
    Linear(&'a Rows<i16>),
}

/// Enlarges a row.
type Enlarge = fn([&[i16]; 4], &mut [i32], &mut [i32]);

/// The smallest output of a layer with ReLU, and of one without.
pub(super) const RELU: i32 = 0;
pub(super) const SIGNED: i32 = -32_768;

/// A layer, and where its parts read.
pub(super) struct Reader<'a> {
    layer: &'a Ready,
    inputs: Vec<(&'a Rows<i16>, Vec<isize>)>,
}

impl<'a> Reader<'a> {
    /// A layer whose parts read one array each.
    pub fn new(layer: &'a Ready, inputs: &[&'a Rows<i16>]) -> Self {
        let pairs = layer.parts.iter().zip(inputs);
        Self { layer, inputs: pairs.map(|(part, &input)| (input, part.offsets(input))).collect() }
    }

    /// Adds up one row: the sums of each output, rounded up to whole groups of columns. Part `k` is at row `rows(k)`.
    pub fn sums(&self, rows: impl Fn(usize) -> usize, columns: usize, sums: &mut Vec<i32>) {
        start(&self.layer.layer, columns, sums);
        for (index, (part, (input, offsets))) in self.layer.parts.iter().zip(&self.inputs).enumerate() {
            let position = input.place(0, rows(index) as isize, 0);
            part.add(&input.values, offsets, position, columns, sums);
        }
    }
}

/// Applies a layer to all positions of planes with the size of its first input. The edges of the result are extended.
pub(super) fn apply(layer: &Ready, inputs: &[&Rows<i16>], plus: Plus<'_>, low: i32) -> Rows<i16> {
    let (rows, columns) = (inputs[0].rows, inputs[0].columns);
    let mut output = Rows::<i16>::new(layer.layer.outputs, rows, columns);
    let reader = Reader::new(layer, inputs);
    let (row_step, step, first) = (output.row_step(), output.step, output.in_row(0));
    let group = columns.next_multiple_of(LANES);
    if row_step > 0 {
        output.inner_mut().par_chunks_mut(row_step).enumerate().for_each(|(y, row)| {
            let (mut sums, mut added) = (Vec::new(), Vec::new());
            reader.sums(|_| y, columns, &mut sums);
            for (plane, sums) in sums.chunks_exact(group).enumerate() {
                plus.row(plane, y, columns, &mut added);
                let to = &mut row[plane * step + first..][..columns];
                narrow(sums, layer.layer.shifts[plane], &added, low, to);
            }
        });
    }
    output.extend_edges();
    output
}

impl Plus<'_> {
    fn row(self, plane: usize, y: usize, columns: usize, row: &mut Vec<i32>) {
        row.clear();
        let (from, enlarge): (_, Enlarge) = match self {
            Self::Nothing => return,
            Self::Planes(from) => {
                return row.extend(from.row(plane, y).iter().map(|&value| i32::from(value)));
            }
            Self::Cubic(from) => (from, cubic),
            Self::Linear(from) => (from, linear),
        };
        let toward = if y.is_multiple_of(2) { -1 } else { 1 };
        let source = |distance: isize| {
            let start = from.place(plane, (y / 2) as isize + distance * toward, -2);
            &from.values[start..start + from.columns + 4]
        };
        let mut blended = vec![0; from.columns + 4];
        row.resize(columns, 0);
        enlarge([source(2), source(1), source(0), source(-1)], &mut blended, row);
    }
}

vectorized! {
    /// Enlarges a row by the filter -3, 29, 111, -9 in each direction. The rows are those at distances 2, 1, 0 and -1.
    fn cubic(rows: [&[i16]; 4], blended: &mut [i32], output: &mut [i32]) {
        let count = blended.len();
        let [far, near, same, behind] = rows.map(|row| &row[..count]);
        for x in 0..count {
            let [far, near, same, behind] = [far[x], near[x], same[x], behind[x]].map(i32::from);
            blended[x] = -3 * far + 29 * near + 111 * same - 9 * behind;
        }
        let blend = |far: i32, near: i32, same: i32, behind: i32| {
            (-3 * far + 29 * near + 111 * same - 9 * behind + (1 << 13)) >> 14
        };
        for (x, pair) in output.chunks_mut(2).enumerate() {
            let window = &blended[x..x + 4];
            pair[0] = blend(window[0], window[1], window[2], window[3]);
            if let Some(second) = pair.get_mut(1) {
                *second = blend(blended[x + 4], window[3], window[2], window[1]);
            }
        }
    }

    /// Enlarges a row by the filter 1, 3 in each direction. The rows are as those of `cubic`.
    fn linear(rows: [&[i16]; 4], blended: &mut [i32], output: &mut [i32]) {
        let count = blended.len();
        let [_, near, same, _] = rows.map(|row| &row[..count]);
        for x in 0..count {
            blended[x] = i32::from(near[x]) + 3 * i32::from(same[x]);
        }
        for (x, pair) in output.chunks_mut(2).enumerate() {
            let same = 3 * blended[x + 2] + 8;
            pair[0] = (blended[x + 1] + same) >> 4;
            if let Some(second) = pair.get_mut(1) {
                *second = (blended[x + 3] + same) >> 4;
            }
        }
    }
}
