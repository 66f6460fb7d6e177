//! The two inner loops in which the network spends its time.
//!
//! Both keep [`ROWS`] blocks of sums in registers. [`row`] walks over input channels and filter taps and makes
//! outputs; [`outer`] walks over pixels and makes gradients of weights. The order of the additions depends on
//! the sizes alone, never on the thread or the batch, so results are reproducible.

use super::simd::{Simd, dispatch};

/// Pixels (in [`row`]) or input channels (in [`outer`]) computed side by side: six times two AVX2 registers
/// of sums leave four for the operands, and six divides every width of the network.
pub(super) const ROWS: usize = 6;

/// A run of output pixels of one block of channels: `output[p][..] = bias + sum over taps t and channels c of
/// input[p][t][c] * weights[t][c][..]`.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// The first pixel's window, in floats; pixel `p`'s begins `p * input_stride` later.
    pub input: *const f32,
    pub input_stride: usize,
    /// Where each tap's channels begin, relative to the window.
    pub taps: &'a [usize],
    /// Input channels a tap.
    pub channels: usize,
    /// `taps x channels x block`.
    pub weights: *const f32,
    /// A block of floats, or null for zeros.
    pub bias: *const f32,
    pub output: *mut f32,
    pub output_stride: usize,
    pub pixels: usize,
    /// Channels to store, at most a block.
    pub valid: usize,
    pub relu: bool,
}

dispatch! {
    /// Computes a [`Row`].
    ///
    /// # Safety
    /// Every address that the fields describe must be valid, and the path available.
    pub(super) fn row = row_body(row: &Row<'_>)
}

#[inline(always)]
unsafe fn row_body<S: Simd>(row: &Row<'_>) {
    let mut pixel = 0;
    while pixel + ROWS <= row.pixels {
        unsafe { row_tile::<S, ROWS>(row, pixel) };
        pixel += ROWS;
    }
    while pixel + 2 <= row.pixels {
        unsafe { row_tile::<S, 2>(row, pixel) };
        pixel += 2;
    }
    if pixel < row.pixels {
        unsafe { row_tile::<S, 1>(row, pixel) };
    }
}

#[inline(always)]
unsafe fn row_tile<S: Simd, const N: usize>(row: &Row<'_>, pixel: usize) {
    unsafe {
        let bias = if row.bias.is_null() { S::splat(0.0) } else { S::load(row.bias) };
        let mut sums = [bias; N];
        let mut weights = row.weights;
        let input = row.input.add(pixel * row.input_stride);
        for &tap in row.taps {
            let tap = input.add(tap);
            for channel in 0..row.channels {
                let block = S::load(weights);
                weights = weights.add(S::WIDTH);
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = S::scale_add(*sum, tap.add(p * row.input_stride + channel), block);
                }
            }
        }
        for (p, mut sum) in sums.into_iter().enumerate() {
            if row.relu {
                sum = S::relu(sum);
            }
            store_first::<S>(sum, row.output.add((pixel + p) * row.output_stride), row.valid);
        }
    }
}

/// Stores the first `valid` channels of a block.
#[inline(always)]
unsafe fn store_first<S: Simd>(block: S::Block, to: *mut f32, valid: usize) {
    unsafe {
        if valid == S::WIDTH {
            S::store(block, to);
        } else {
            let mut spare = [0f32; 64];
            S::store(block, spare.as_mut_ptr());
            to.copy_from_nonoverlapping(spare.as_ptr(), valid);
        }
    }
}

/// Sums of outer products over the pixels of a picture, for [`ROWS`] channels on the left and a block on the right:
/// `sums[i][..] += sum over pictures, y, x of left[y][x][i] * right[y][x][..]`.
#[derive(Clone, Copy)]
pub(super) struct Outer {
    /// Pixels of `ROWS` floats each.
    pub left: *const f32,
    /// Floats from a pixel to the next, from a row to the next, and from a picture to the next.
    pub left_step: usize,
    pub left_row: usize,
    pub left_picture: usize,
    /// Pixels of a block each.
    pub right: *const f32,
    pub right_step: usize,
    pub right_row: usize,
    pub right_picture: usize,
    pub pictures: usize,
    pub rows: usize,
    pub columns: usize,
    /// Where the sums are read and written: `ROWS` rows, this many floats apart.
    pub sums: *mut f32,
    pub sums_stride: usize,
    /// Left channels and right channels to store.
    pub valid_left: usize,
    pub valid_right: usize,
}

dispatch! {
    /// Computes an [`Outer`].
    ///
    /// # Safety
    /// Every address that the fields describe must be valid, and the path available.
    pub(super) fn outer = outer_body(outer: &Outer)
}

#[inline(always)]
unsafe fn outer_body<S: Simd>(outer: &Outer) {
    unsafe {
        let mut sums = [S::splat(0.0); ROWS];
        for picture in 0..outer.pictures {
            for y in 0..outer.rows {
                let mut left = outer.left.add(picture * outer.left_picture + y * outer.left_row);
                let mut right = outer.right.add(picture * outer.right_picture + y * outer.right_row);
                for _ in 0..outer.columns {
                    let block = S::load(right);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = S::scale_add(*sum, left.add(i), block);
                    }
                    left = left.wrapping_add(outer.left_step);
                    right = right.wrapping_add(outer.right_step);
                }
            }
        }
        for (i, sum) in sums.into_iter().enumerate().take(outer.valid_left) {
            let to = outer.sums.add(i * outer.sums_stride);
            if outer.valid_right == S::WIDTH {
                S::store(S::add(S::load(to), sum), to);
            } else {
                let mut spare = [0f32; 64];
                S::store(sum, spare.as_mut_ptr());
                for (j, value) in spare.iter().enumerate().take(outer.valid_right) {
                    *to.add(j) += value;
                }
            }
        }
    }
}
