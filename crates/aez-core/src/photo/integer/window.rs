//! The latest rows of planes.

use super::{super::rows::Rows, layer::Planes};

/// Rows that are kept: one more than those of a window, for layers that follow each other.
const DEPTH: usize = 4;

/// The last four rows that were written of planes whose edges are extended. Rows are written in order.
pub(super) struct Window {
    rows: Rows<i16>,
    /// The last row of the planes.
    last: usize,
}

impl Window {
    /// Planes with this number of rows, at least 1.
    pub fn new(planes: usize, rows: usize, columns: usize) -> Self {
        Self { rows: Rows::new(planes, DEPTH, columns), last: rows.saturating_sub(1) }
    }

    /// Number of bytes of a window on planes of this size.
    pub fn bytes(planes: usize, columns: usize) -> u64 {
        Rows::<i16>::bytes(planes, DEPTH, columns)
    }

    /// Writes a row. The arguments of `write` are the values from the first column of the first plane on, and the distance from a plane
    /// to the next.
    pub fn write(&mut self, row: usize, write: impl FnOnce(&mut [i16], usize)) {
        let row = row % DEPTH;
        let (start, step) = (self.rows.place(0, row as isize, 0), self.rows.step);
        write(&mut self.rows.values[start..], step);
        self.rows.extend_sides(row);
    }

    /// One of the rows that are kept.
    pub fn row(&self, plane: usize, row: usize) -> &[i16] {
        self.rows.row(plane, row % DEPTH)
    }
}

impl Planes for Window {
    fn values(&self, plane: usize, row: isize, column: isize) -> &[i16] {
        let row = row.clamp(0, self.last as isize) % DEPTH as isize;
        self.rows.values(plane, row, column)
    }
}
