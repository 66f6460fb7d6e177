//! Channels of a picture or of hidden values, with zeros around them.

use crate::nn::taps::LANES;

/// The size of the planes, whose numbers of rows and columns are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Number of rows and of columns.
    pub edge: usize,
    /// Number of zeros after each row, which are those before the next one, too. At least the padding of layers.
    pub gap: usize,
}

impl Grid {
    /// 24x24 cells of 2x2 pixels.
    pub const FINE: Self = Self { edge: 24, gap: 1 };
    /// 12x12 cells of 4x4 pixels.
    pub const COARSE: Self = Self { edge: 12, gap: 4 };

    /// Distance of two rows.
    pub const fn stride(self) -> usize {
        self.edge + self.gap
    }

    /// Number of values from the first row on, with the zeros after the last one, in whole groups.
    pub const fn len(self) -> usize {
        (self.edge * self.stride()).next_multiple_of(LANES)
    }

    /// Number of zeros before the first row and after the last one.
    pub const fn margin(self) -> usize {
        self.gap * (self.stride() + 1)
    }

    /// Distance of two planes.
    pub const fn step(self) -> usize {
        self.len() + 2 * self.margin()
    }
}

/// Planes of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planes<T = i16> {
    pub grid: Grid,
    pub channels: usize,
    pub values: Vec<T>,
}

impl<T: Copy + Default> Planes<T> {
    pub fn zeros(grid: Grid, channels: usize) -> Self {
        Self { grid, channels, values: vec![T::default(); channels * grid.step()] }
    }

    /// Planes with the value `value(channel, row, column)`.
    pub fn from_fn(grid: Grid, channels: usize, value: impl Fn(usize, usize, usize) -> T) -> Self {
        let mut planes = Self::zeros(grid, channels);
        for channel in 0..channels {
            for y in 0..grid.edge {
                let from = planes.place(channel, y, 0);
                for (x, to) in planes.values[from..from + grid.edge].iter_mut().enumerate() {
                    *to = value(channel, y, x);
                }
            }
        }
        planes
    }

    fn place(&self, channel: usize, y: usize, x: usize) -> usize {
        channel * self.grid.step() + self.grid.margin() + y * self.grid.stride() + x
    }

    pub fn at(&self, channel: usize, y: usize, x: usize) -> T {
        self.values[self.place(channel, y, x)]
    }

    /// Sets what is outside of the rows to zero.
    pub fn clear_gaps(&mut self) {
        let grid = self.grid;
        for plane in self.values.chunks_exact_mut(grid.step()) {
            let (margin, rows) = plane.split_at_mut(grid.margin());
            let (rows, rest) = rows.split_at_mut(grid.edge * grid.stride());
            rows.chunks_exact_mut(grid.stride()).for_each(|row| row[grid.edge..].fill(T::default()));
            margin.fill(T::default());
            rest.fill(T::default());
        }
    }

    /// Each 2x2 values become one of four channels of planes half as large: channel `4 c + 2 (y mod 2) + x mod 2`.
    pub fn unshuffled(&self, grid: Grid) -> Self {
        Self::from_fn(grid, 4 * self.channels, |c, y, x| self.at(c / 4, 2 * y + c / 2 % 2, 2 * x + c % 2))
    }

    /// The inverse of [`Planes::unshuffled`].
    pub fn shuffled(&self, grid: Grid) -> Self {
        Self::from_fn(grid, self.channels / 4, |c, y, x| self.at(4 * c + 2 * (y % 2) + x % 2, y / 2, x / 2))
    }
}

impl Planes {
    /// Adds other planes; sums are limited to 16 bits, and to `low`.
    pub fn add(&mut self, other: &Self, low: i16) {
        for (value, other) in self.values.iter_mut().zip(&other.values) {
            *value = value.saturating_add(*other).max(low);
        }
    }
}
