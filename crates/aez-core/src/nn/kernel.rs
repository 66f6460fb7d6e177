//! The two inner loops that take most of the time of the network.
//!
//! Both keep [`ROWS`] blocks of sums in registers. [`row`] sums over input channels and filter taps and
//! computes outputs; [`outer_products`] sums over pixels and computes gradients of weights. The order of the
//! additions depends only on the sizes, not on the thread or the batch, so results are reproducible.

use super::simd::{Simd, dispatch};

/// Number of pixels (in [`row`]) or input channels (in [`outer_products`]) computed together. Six blocks of
/// two AVX2 registers leave four of the 16 registers for the operands, and six divides all channel counts of
/// the network but that of the image.
pub(super) const ROWS: usize = 6;

/// Arguments of [`row`]: a run of output pixels of one block of channels, with
/// `output[p][..] = bias + sum over taps t and channels c of input[p][t][c] * weights[t][c][..]`.
///
/// All offsets and strides count floats.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    /// Window of the first pixel. That of pixel `p` begins `p * input_stride` after it.
    pub input: *const f32,
    pub input_stride: usize,
    /// Offset of the first channel of each tap in the window.
    pub taps: &'a [usize],
    /// Number of input channels of each tap.
    pub channels: usize,
    /// `[tap][channel][output channel of the block]`.
    pub weights: *const f32,
    /// A block of floats, or null for zeros.
    pub bias: *const f32,
    /// First pixel of the output. Pixel `p` is `p * output_stride` after it.
    pub output: *mut f32,
    pub output_stride: usize,
    pub pixels: usize,
    /// Number of output channels to store, at most a block.
    pub valid: usize,
    pub relu: bool,
}

dispatch! {
    /// Computes a run of output pixels, see [`Row`].
    ///
    /// # Safety
    /// All memory that the fields describe must be valid, and the CPU must support the instruction set.
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

/// Stores the first `valid` floats of a block.
#[inline(always)]
unsafe fn store_first<S: Simd>(block: S::Block, to: *mut f32, valid: usize) {
    unsafe {
        if valid == S::WIDTH {
            S::store(block, to);
        } else {
            let mut copy = [0f32; 64];
            S::store(block, copy.as_mut_ptr());
            to.copy_from_nonoverlapping(copy.as_ptr(), valid);
        }
    }
}

/// Arguments of [`outer_products`]: sums of outer products over pixels, of [`ROWS`] channels of the left
/// tensor and a block of channels of the right tensor, with
/// `sums[i][..] += sum over pictures, y, x of left[y][x][i] * right[y][x][..]`.
///
/// All steps count floats.
#[derive(Clone, Copy)]
pub(super) struct OuterProducts {
    /// First pixel on the left; `ROWS` floats for each pixel.
    pub left: *const f32,
    /// From a pixel to the next, from a row to the next, and from a picture to the next.
    pub left_step: usize,
    pub left_row: usize,
    pub left_picture: usize,
    /// First pixel on the right; a block for each pixel.
    pub right: *const f32,
    pub right_step: usize,
    pub right_row: usize,
    pub right_picture: usize,
    pub pictures: usize,
    pub rows: usize,
    pub columns: usize,
    /// Sums that are read and written: `valid_left` rows of `valid_right` floats, `sums_stride` apart.
    pub sums: *mut f32,
    pub sums_stride: usize,
    /// Number of left channels to store, at most `ROWS`.
    pub valid_left: usize,
    /// Number of right channels to store, at most a block.
    pub valid_right: usize,
}

dispatch! {
    /// Adds sums of outer products, see [`OuterProducts`].
    ///
    /// # Safety
    /// All memory that the fields describe must be valid, and the CPU must support the instruction set.
    pub(super) fn outer_products = outer_products_body(products: &OuterProducts)
}

#[inline(always)]
unsafe fn outer_products_body<S: Simd>(products: &OuterProducts) {
    unsafe {
        let mut sums = [S::splat(0.0); ROWS];
        for picture in 0..products.pictures {
            for y in 0..products.rows {
                let mut left = products.left.add(picture * products.left_picture + y * products.left_row);
                let mut right = products.right.add(picture * products.right_picture + y * products.right_row);
                for _ in 0..products.columns {
                    let block = S::load(right);
                    for (i, sum) in sums.iter_mut().enumerate() {
                        *sum = S::scale_add(*sum, left.add(i), block);
                    }
                    left = left.wrapping_add(products.left_step);
                    right = right.wrapping_add(products.right_step);
                }
            }
        }
        for (i, sum) in sums.into_iter().enumerate().take(products.valid_left) {
            let to = products.sums.add(i * products.sums_stride);
            if products.valid_right == S::WIDTH {
                S::store(S::add(S::load(to), sum), to);
            } else {
                let mut copy = [0f32; 64];
                S::store(sum, copy.as_mut_ptr());
                for (j, value) in copy.iter().enumerate().take(products.valid_right) {
                    *to.add(j) += value;
                }
            }
        }
    }
}
