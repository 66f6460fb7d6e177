//! Planes of numbers, interleaved row by row, with margins.

use crate::nn::taps::LANES;

/// Rows above the first and below the last.
pub(super) const MARGIN: usize = 2;
/// Columns before the first. There are at least as many after the last.
const SIDE: usize = 8;

/// Planes of the same size: `[row][plane][column]`, with margins of zeros around each plane.
#[derive(Debug, Clone)]
pub(super) struct Rows<T = f32> {
    pub values: Vec<T>,
    pub planes: usize,
    pub rows: usize,
    pub columns: usize,
    /// From a plane to the next.
    pub step: usize,
}

impl<T: Copy + Default> Rows<T> {
    pub fn new(planes: usize, rows: usize, columns: usize) -> Self {
        Self::with_values(vec![T::default(); Self::length(planes, rows, columns)], planes, rows, columns)
    }

    /// Number of values of an array of this size.
    pub fn length(planes: usize, rows: usize, columns: usize) -> usize {
        (rows + 2 * MARGIN) * planes * Self::plane_step(columns)
    }

    /// From a plane to the next. Kernels compute whole groups of columns, and begin one column before the first.
    fn plane_step(columns: usize) -> usize {
        SIDE + (columns + 2).next_multiple_of(LANES) + SIDE
    }

    /// An array of [`Rows::length`] values.
    pub fn with_values(values: Vec<T>, planes: usize, rows: usize, columns: usize) -> Self {
        debug_assert_eq!(values.len(), Self::length(planes, rows, columns));
        Self { values, planes, rows, columns, step: Self::plane_step(columns) }
    }

    /// From a row to the next.
    pub fn row_step(&self) -> usize {
        self.planes * self.step
    }

    /// Place of a value. Rows and columns count from the first inside of the margins.
    pub fn place(&self, plane: usize, row: isize, column: isize) -> usize {
        self.offset(plane, row + MARGIN as isize, column + SIDE as isize) as usize
    }

    /// Distance between places.
    pub fn offset(&self, plane: usize, row: isize, column: isize) -> isize {
        (row * self.planes as isize + plane as isize) * self.step as isize + column
    }

    pub fn row(&self, plane: usize, row: usize) -> &[T] {
        &self.values[self.place(plane, row as isize, 0)..][..self.columns]
    }

    pub fn row_mut(&mut self, plane: usize, row: usize) -> &mut [T] {
        let place = self.place(plane, row as isize, 0);
        &mut self.values[place..][..self.columns]
    }

    /// The rows without the margins above and below, as the unit of parallel work.
    pub fn inner_mut(&mut self) -> &mut [T] {
        let step = self.row_step();
        let end = (MARGIN + self.rows) * step;
        &mut self.values[MARGIN * step..end]
    }

    /// Place of the first column of a plane in a part of [`Rows::inner_mut`].
    pub fn in_row(&self, plane: usize) -> usize {
        plane * self.step + SIDE
    }

    /// Number of bytes of an array of this size.
    pub fn bytes(planes: usize, rows: usize, columns: usize) -> u64 {
        let step = 2 * SIDE as u64 + (columns as u64 + 2).next_multiple_of(LANES as u64);
        let values = (rows as u64 + 2 * MARGIN as u64).saturating_mul(step);
        values.saturating_mul((planes * size_of::<T>()) as u64)
    }

    /// Repeats the outer columns of a row in the margins, two in each direction.
    pub fn extend_sides(&mut self, row: usize) {
        let (columns, length) = (self.columns, self.row_step());
        let step = self.step;
        extend_row(&mut self.inner_mut()[row * length..(row + 1) * length], step, columns);
    }

    /// Repeats the outer rows and columns in the margins, two in each direction.
    pub fn extend_edges(&mut self) {
        (0..self.rows).for_each(|row| self.extend_sides(row));
        self.extend_ends();
    }

    /// Repeats the outer rows in the margins, with their sides.
    pub fn extend_ends(&mut self) {
        if self.rows == 0 {
            return;
        }
        let length = self.row_step();
        for margin in 0..MARGIN {
            self.values.copy_within(MARGIN * length..(MARGIN + 1) * length, margin * length);
            let last = MARGIN + self.rows - 1;
            self.values.copy_within(last * length..(last + 1) * length, (last + 1 + margin) * length);
        }
    }
}

/// Repeats the outer columns of a row of planes, which begin `step` apart, in their margins, and sets what is further out to 0. Kernels
/// compute there, too: what one left there would be multiplied by the weights of the next, until it is too large for any number, and not
/// even the product with 0 is 0.
pub(super) fn extend_row<T: Copy + Default>(row: &mut [T], step: usize, columns: usize) {
    if columns == 0 {
        return;
    }
    for plane in row.chunks_exact_mut(step) {
        let (first, last) = (plane[SIDE], plane[SIDE + columns - 1]);
        let (before, after) = plane.split_at_mut(SIDE + columns);
        before[..SIDE - 2].fill(T::default());
        before[SIDE - 2..SIDE].fill(first);
        after[..2].fill(last);
        after[2..].fill(T::default());
    }
}

/// Adds the margins of a row of planes to the outer columns, as far as `reach`, and clears all margins. With a reach of two, it is the
/// adjoint of [`extend_row`].
pub(super) fn fold_row(row: &mut [f32], step: usize, columns: usize, reach: usize) {
    if columns == 0 {
        return;
    }
    for plane in row.chunks_exact_mut(step) {
        let sum = |margin: &[f32]| margin.iter().sum::<f32>();
        let (before, after) = (sum(&plane[SIDE - reach..SIDE]), sum(&plane[SIDE + columns..][..reach]));
        plane[SIDE] += before;
        plane[SIDE + columns - 1] += after;
    }
    clear_row(row, step, columns);
}

/// Sets the margins of a row of planes to 0.
pub(super) fn clear_row(row: &mut [f32], step: usize, columns: usize) {
    for plane in row.chunks_exact_mut(step) {
        plane[..SIDE].fill(0.0);
        plane[SIDE + columns..].fill(0.0);
    }
}

impl Rows {
    /// The adjoint of [`Rows::extend_edges`]: adds the margins to the outer rows and columns, and clears them. Values further out than
    /// two are cleared, too.
    pub fn fold_edges(&mut self) {
        let (step, columns) = (self.step, self.columns);
        if columns > 0 && self.rows > 0 {
            self.fold_ends();
            fold_row(self.inner_mut(), step, columns, 2);
        }
    }

    /// The adjoint of [`Rows::extend_ends`]: adds the margins above and below to the outer rows, and clears them.
    pub fn fold_ends(&mut self) {
        let length = self.row_step();
        for (from, to) in [(0, MARGIN), (1, MARGIN)]
            .into_iter()
            .chain((0..MARGIN).map(|margin| (MARGIN + self.rows + margin, MARGIN + self.rows - 1)))
        {
            for place in 0..length {
                self.values[to * length + place] += std::mem::take(&mut self.values[from * length + place]);
            }
        }
    }

    /// Sets the margins above and below to 0.
    pub fn clear_ends(&mut self) {
        let length = MARGIN * self.row_step();
        let end = self.values.len() - length;
        self.values[..length].fill(0.0);
        self.values[end..].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_is_the_adjoint_of_extending() {
        let mut rows: Rows = Rows::new(2, 3, 5);
        let mut other: Rows = Rows::new(2, 3, 5);
        for (plane, row) in [(0, 0), (0, 1), (1, 2), (1, 0)] {
            let value = |x: usize| ((plane * 31 + row * 7 + x * 3) % 11) as f32 - 5.0;
            rows.row_mut(plane, row).iter_mut().enumerate().for_each(|(x, to)| *to = value(x));
        }
        let original = rows.clone();
        rows.extend_edges();
        for row in -2..5 {
            for column in -2..7 {
                for plane in 0..2 {
                    let place = other.place(plane, row, column);
                    other.values[place] = ((place * 5) % 13) as f32;
                }
            }
        }
        let dot = |a: &Rows, b: &Rows| a.values.iter().zip(&b.values).map(|(a, b)| a * b).sum::<f32>();
        let before = dot(&rows, &other);
        other.fold_edges();
        assert_eq!(before, dot(&original, &other));
    }
}
