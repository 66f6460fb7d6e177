//! Enlarging planes to twice their size.

use super::super::rows::Rows;
use crate::nn::taps::vectorized;

/// Enlarges rows of planes whose edges are extended.
#[derive(Default)]
pub(super) struct Enlarger {
    /// A row of the finer planes, with the columns of the coarser ones.
    blended: Vec<i32>,
    /// The even and the odd columns.
    halves: [Vec<i32>; 2],
}

impl Enlarger {
    /// A row by the filter -3, 29, 111, -9 in each direction.
    pub fn cubic(&mut self, from: &Rows<i16>, plane: usize, y: usize, row: &mut [i32]) {
        let sources = [2, 1, 0, -1].map(|distance| source(from, plane, y, distance));
        self.resize(from.columns);
        let [even, odd] = &mut self.halves;
        blend_cubic(sources, &mut self.blended);
        cubic(&self.blended, even, odd);
        interleave(even, odd, row);
    }

    /// A row by the filter 1, 3 in each direction.
    pub fn linear(&mut self, from: &Rows<i16>, plane: usize, y: usize, row: &mut [i32]) {
        let [near, same] = [1, 0].map(|distance| source(from, plane, y, distance));
        self.resize(from.columns);
        let [even, odd] = &mut self.halves;
        blend_linear(near, same, &mut self.blended);
        linear(&self.blended, even, odd);
        interleave(even, odd, row);
    }

    fn resize(&mut self, columns: usize) {
        self.blended.resize(columns + 4, 0);
        self.halves.iter_mut().for_each(|half| half.resize(columns, 0));
    }
}

/// The coarser row at a distance from the nearest one to row `y`, in the direction of the second nearest, with two columns more on
/// both sides.
fn source(from: &Rows<i16>, plane: usize, y: usize, distance: isize) -> &[i16] {
    let toward = if y.is_multiple_of(2) { -1 } else { 1 };
    let start = from.place(plane, (y / 2) as isize + distance * toward, -2);
    &from.values[start..start + from.columns + 4]
}

vectorized! {
    fn blend_cubic(rows: [&[i16]; 4], blended: &mut [i32]) {
        let count = blended.len();
        let [far, near, same, behind] = rows.map(|row| &row[..count]);
        for x in 0..count {
            let [far, near, same, behind] = [far[x], near[x], same[x], behind[x]].map(i32::from);
            blended[x] = -3 * far + 29 * near + 111 * same - 9 * behind;
        }
    }

    /// Even and odd columns from rows with two more columns on both sides.
    fn cubic(blended: &[i32], even: &mut [i32], odd: &mut [i32]) {
        let count = even.len();
        let (odd, [a, b, c, d, e]) = (&mut odd[..count], [0, 1, 2, 3, 4].map(|x| &blended[x..x + count]));
        for x in 0..count {
            even[x] = (-3 * a[x] + 29 * b[x] + 111 * c[x] - 9 * d[x] + (1 << 13)) >> 14;
            odd[x] = (-9 * b[x] + 111 * c[x] + 29 * d[x] - 3 * e[x] + (1 << 13)) >> 14;
        }
    }

    fn blend_linear(near: &[i16], same: &[i16], blended: &mut [i32]) {
        let count = blended.len();
        let (near, same) = (&near[..count], &same[..count]);
        for x in 0..count {
            blended[x] = i32::from(near[x]) + 3 * i32::from(same[x]);
        }
    }

    fn linear(blended: &[i32], even: &mut [i32], odd: &mut [i32]) {
        let count = even.len();
        let (odd, [a, b, c]) = (&mut odd[..count], [1, 2, 3].map(|x| &blended[x..x + count]));
        for x in 0..count {
            even[x] = (a[x] + 3 * b[x] + 8) >> 4;
            odd[x] = (3 * b[x] + c[x] + 8) >> 4;
        }
    }

    /// `row` may have one column less.
    fn interleave(even: &[i32], odd: &[i32], row: &mut [i32]) {
        let (pairs, rest) = row.as_chunks_mut::<2>();
        for ((pair, &even), &odd) in pairs.iter_mut().zip(even).zip(odd) {
            *pair = [even, odd];
        }
        if let (Some(to), Some(&last)) = (rest.first_mut(), even.last()) {
            *to = last;
        }
    }
}
