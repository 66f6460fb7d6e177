//! Enlargement of planes to twice the rows and columns, and its adjoint.

use super::rows::{MARGIN, Rows};
use crate::{nn::taps::vectorized, parallel::*};

/// An interpolation filter: values a quarter of a position before and after a position, from it and its neighbours.
pub(super) trait Filter {
    /// Weights of the positions from two before to one after, for the value before. The value after has the mirrored weights.
    const WEIGHTS: [f32; 4];
    /// Whether the outer weights are not 0.
    const IS_WIDE: bool;
}

/// The cubic filter of Catmull and Rom, in units of 1/128: -3, 29, 111, -9.
pub(super) struct Cubic;

impl Filter for Cubic {
    const WEIGHTS: [f32; 4] = [-3.0 / 128.0, 29.0 / 128.0, 111.0 / 128.0, -9.0 / 128.0];
    const IS_WIDE: bool = true;
}

/// Linear interpolation.
pub(super) struct Linear;

impl Filter for Linear {
    const WEIGHTS: [f32; 4] = [0.0, 0.25, 0.75, 0.0];
    const IS_WIDE: bool = false;
}

#[inline(always)]
fn blend<F: Filter>(far: f32, near: f32, same: f32, behind: f32) -> f32 {
    let inner = F::WEIGHTS[1] * near + F::WEIGHTS[2] * same;
    if F::IS_WIDE { inner + F::WEIGHTS[0] * far + F::WEIGHTS[3] * behind } else { inner }
}

/// Writes the enlarged planes of `from`, whose edges are extended, plus a value for each plane, to planes `first..` of `to`. What lies
/// beyond the rows and columns of `to` is dropped.
pub(super) fn enlarge<F: Filter>(from: &Rows, plus: Option<&[f32]>, to: &mut Rows, first: usize) {
    let (row_step, columns) = (to.row_step(), to.columns);
    let places: Vec<usize> = (0..from.planes).map(|plane| to.in_row(first + plane)).collect();
    to.inner_mut().par_chunks_mut(row_step).enumerate().for_each(|(y, row)| {
        let mut blended = vec![0.0; from.step];
        for (plane, &place) in places.iter().enumerate() {
            let toward = if y % 2 == 0 { -1 } else { 1 };
            let source = |distance: isize| {
                let start = from.place(plane, (y / 2) as isize + distance * toward, -2);
                &from.values[start..start + from.columns + 4]
            };
            let rows = [source(2), source(1), source(0), source(-1)];
            let blended = &mut blended[..from.columns + 4];
            let plus = plus.map_or(0.0, |plus| plus[plane]);
            let output = &mut row[place..place + columns];
            enlarge_row::<F>(rows, plus, blended, output);
        }
    });
}

vectorized! {
    fn enlarge_row<F: Filter>(rows: [&[f32]; 4], plus: f32, blended: &mut [f32], output: &mut [f32]) {
        vertical::<F>(rows, plus, blended);
        horizontal::<F>(blended, output);
    }

    /// `output[j] = sum over d of weight[d] * (even[j - d] + odd[j + d])`; the inputs begin two columns before the output.
    fn gather<F: Filter>(even: &[f32], odd: &[f32], output: &mut [f32]) {
        let count = output.len();
        let [w0, w1, w2, w3] = F::WEIGHTS;
        let (even, odd) = (&even[..count + 4], &odd[..count + 4]);
        for j in 0..count {
            // Distances d = -2, -1, 0, 1.
            output[j] = w0 * (even[j + 4] + odd[j])
                + w1 * (even[j + 3] + odd[j + 1])
                + w2 * (even[j + 2] + odd[j + 2])
                + w3 * (even[j + 1] + odd[j + 3]);
        }
    }

    /// `output = sum over d of weight[d] * (even[d] + odd[d])`, for distances d = -2, -1, 0, 1.
    fn gather_rows<F: Filter>(even: [&[f32]; 4], odd: [&[f32]; 4], output: &mut [f32]) {
        let count = output.len();
        let [w0, w1, w2, w3] = F::WEIGHTS;
        let (even, odd) = (even.map(|row| &row[..count]), odd.map(|row| &row[..count]));
        for x in 0..count {
            let inner = w1 * (even[1][x] + odd[1][x]) + w2 * (even[2][x] + odd[2][x]);
            output[x] = if F::IS_WIDE {
                inner + w0 * (even[0][x] + odd[0][x]) + w3 * (even[3][x] + odd[3][x])
            } else {
                inner
            };
        }
    }

    /// Divides a row into its even and its odd columns.
    fn split(row: &[f32], even: &mut [f32], odd: &mut [f32]) {
        let (pairs, last) = row.as_chunks::<2>();
        for ((pair, even), odd) in pairs.iter().zip(&mut *even).zip(&mut *odd) {
            (*even, *odd) = (pair[0], pair[1]);
        }
        if let [last] = last {
            (even[pairs.len()], odd[pairs.len()]) = (*last, 0.0);
        }
    }

    /// Adds a row times a weight to another, as far as the shorter one goes.
    pub(super) fn add_scaled(from: &[f32], weight: f32, to: &mut [f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += weight * from;
        }
    }
}

#[inline(always)]
fn vertical<F: Filter>(rows: [&[f32]; 4], plus: f32, output: &mut [f32]) {
    let count = output.len();
    let [far, near, same, behind] = rows.map(|row| &row[..count]);
    for x in 0..count {
        output[x] = plus + blend::<F>(far[x], near[x], same[x], behind[x]);
    }
}

/// The first column of `input` is two before that of the output.
#[inline(always)]
fn horizontal<F: Filter>(input: &[f32], output: &mut [f32]) {
    let pairs = output.len() / 2;
    let input = &input[..pairs + 4 + output.len() % 2];
    let (whole, last) = output.as_chunks_mut::<2>();
    for (x, pair) in whole.iter_mut().enumerate() {
        pair[0] = blend::<F>(input[x], input[x + 1], input[x + 2], input[x + 3]);
        pair[1] = blend::<F>(input[x + 4], input[x + 3], input[x + 2], input[x + 1]);
    }
    if let [last] = last {
        *last = blend::<F>(input[pairs], input[pairs + 1], input[pairs + 2], input[pairs + 3]);
    }
}

/// The adjoint of [`enlarge`]: writes the gradient of `from`, without margins, from that of `to`, planes `first..`, whose margins are 0.
pub(super) fn enlarge_adjoint<F: Filter>(to: &Rows, first: usize, from: &mut Rows) {
    let (row_step, columns, step, place) = (from.row_step(), from.columns, from.step, from.in_row(0) - 2);
    let (planes, nothing) = (from.planes, vec![0.0; to.columns]);
    from.values.par_chunks_mut(row_step).enumerate().for_each(|(index, row)| {
        let y = index as isize - MARGIN as isize;
        let [mut sum, mut even, mut odd] =
            [to.columns, columns + 8, columns + 8].map(|length| vec![0.0; length]);
        for plane in 0..planes {
            let source = |y: isize| match usize::try_from(y) {
                Ok(y) if y < to.rows => to.row(first + plane, y),
                _ => &nothing,
            };
            // Distances d = -2, -1, 0, 1.
            let pairs = [y + 2, y + 1, y, y - 1].map(|even| source(2 * even));
            let others = [y - 2, y - 1, y, y + 1].map(|odd| source(2 * odd + 1));
            gather_rows::<F>(pairs, others, &mut sum);
            split(&sum, &mut even[4..], &mut odd[4..]);
            gather::<F>(&even, &odd, &mut row[plane * step + place..][..columns + 4]);
        }
    });
    from.fold_edges();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(planes: usize, rows: usize, columns: usize, seed: usize) -> Rows {
        let mut filled = Rows::new(planes, rows, columns);
        for plane in 0..planes {
            for row in 0..rows {
                let value =
                    |x: usize| (((plane * 7 + row * 13 + x * 5 + seed) * 37 % 101) as f32) / 50.0 - 1.0;
                filled.row_mut(plane, row).iter_mut().enumerate().for_each(|(x, to)| *to = value(x));
            }
        }
        filled
    }

    fn dot(a: &Rows, b: &Rows, first: usize) -> f32 {
        let rows = (0..a.planes).flat_map(|plane| (0..a.rows).map(move |row| (plane, row)));
        rows.map(|(plane, row)| {
            a.row(plane, row).iter().zip(b.row(first + plane, row)).map(|(a, b)| a * b).sum::<f32>()
        })
        .sum()
    }

    fn check_adjoint<F: Filter>() {
        for (rows, columns) in [(1, 1), (1, 4), (5, 3), (9, 20), (8, 33)] {
            let source = filled(2, usize::div_ceil(rows, 2), usize::div_ceil(columns, 2), 1);
            let gradient = filled(3, rows, columns, 5);
            let mut extended = source.clone();
            extended.extend_edges();
            let mut enlarged = Rows::new(3, rows, columns);
            enlarge::<F>(&extended, None, &mut enlarged, 1);
            let mut adjoint = Rows::new(source.planes, source.rows, source.columns);
            enlarge_adjoint::<F>(&gradient, 1, &mut adjoint);
            let (a, b) = (dot(&gradient, &enlarged, 0), dot(&source, &adjoint, 0));
            assert!((a - b).abs() < 1e-3 * (1.0 + a.abs()), "{rows}x{columns}: {a} and {b}");
        }
    }

    #[test]
    fn adjoints_are_adjoint() {
        check_adjoint::<Cubic>();
        check_adjoint::<Linear>();
    }

    #[test]
    fn constants_stay_constant() {
        let mut flat = Rows::new(1, 3, 4);
        (0..3).for_each(|row| flat.row_mut(0, row).fill(2.0));
        flat.extend_edges();
        let mut enlarged = Rows::new(1, 5, 8);
        enlarge::<Cubic>(&flat, Some(&[1.0]), &mut enlarged, 0);
        for row in 0..5 {
            assert!(enlarged.row(0, row).iter().all(|value| (value - 3.0).abs() < 1e-6));
        }
    }
}
