//! Gradients of the weights of 3x3 convolutions.

use super::{
    conv::{ConvShape, Extent},
    kernel::{self, OuterProducts, ROWS},
    simd::InstructionSet,
    winograd,
};
use crate::parallel::*;

/// Computes the gradient of the weights of a convolution or transposed convolution, `[3][3][high][low]`: for
/// each tap, the sum over all pixels of the low side of the outer product of the pixel under the tap on the
/// high side and the pixel on the low side.
///
/// For a convolution `high` is its input and `low` the gradient of its output. For a transposed convolution
/// `low` is its input and `high` the gradient of its output. `extent` is the extent of the high side; the low
/// side has [`ConvShape::low_edge`] rows and columns.
///
/// # Panics
/// If the length of a slice does not match the extent and the shape, if the shape has no channels or a stride
/// other than 1 and 2, or if the CPU does not support `set`.
#[must_use]
pub fn weight_gradient(
    shape: ConvShape,
    high: &[f32],
    low: &[f32],
    extent: Extent,
    set: InstructionSet,
) -> Vec<f32> {
    set.check();
    shape.check();
    let Extent { batch, rows, columns } = extent;
    let (low_rows, low_columns) = (shape.low_edge(rows), shape.low_edge(columns));
    let low_extent = Extent { batch, rows: low_rows, columns: low_columns };
    assert_eq!(high.len(), extent.values(shape.high), "length of the high side, {extent:?}");
    assert_eq!(low.len(), low_extent.values(shape.low), "length of the low side, {low_extent:?}");
    let mut gradient = vec![0.0; shape.weights()];
    if high.is_empty() {
        return gradient;
    }
    if winograd::supports(shape) {
        return winograd::weight_gradient(shape, high, low, extent, set);
    }
    // Small pictures are processed in groups, so that the sums are loaded and stored less often.
    let group = (2048 / (low_rows * low_columns)).clamp(1, batch);
    let (high_picture, low_picture) = (rows * columns * shape.high, low_rows * low_columns * shape.low);
    let mut left = Panels::default();
    let mut right = Panels::default();
    for (high, low) in high.chunks(group * high_picture).zip(low.chunks(group * low_picture)) {
        let batch = high.len() / high_picture;
        left.fill(high, Extent { batch, rows, columns }, shape.high, ROWS, 1);
        right.fill(low, Extent { batch, rows: low_rows, columns: low_columns }, shape.low, set.block(), 0);
        accumulate(shape, &left, &right, batch, (low_rows, low_columns), set, &mut gradient);
    }
    gradient
}

/// Adds the contribution of a group of pictures, whose low side has the given rows and columns, to the
/// gradient.
fn accumulate(
    shape: ConvShape,
    left: &Panels,
    right: &Panels,
    batch: usize,
    (rows, columns): (usize, usize),
    set: InstructionSet,
    gradient: &mut [f32],
) {
    let ConvShape { high, low, stride } = shape;
    gradient.par_chunks_mut(high * low).enumerate().for_each(|(tap, gradient)| {
        gradient.par_chunks_mut(ROWS * low).enumerate().for_each(|(index, gradient)| {
            let start = (tap / 3 * left.columns + tap % 3) * ROWS;
            for (block, sums) in (0..low).step_by(set.block()).enumerate() {
                let products = OuterProducts {
                    left: left.panel(index)[start..].as_ptr(),
                    left_step: stride * ROWS,
                    left_row: stride * left.columns * ROWS,
                    left_picture: left.picture,
                    right: right.panel(block).as_ptr(),
                    right_step: set.block(),
                    right_row: columns * set.block(),
                    right_picture: right.picture,
                    pictures: batch,
                    rows,
                    columns,
                    sums: gradient[sums..].as_mut_ptr(),
                    sums_stride: low,
                    valid_left: gradient.len() / low,
                    valid_right: set.block().min(low - sums),
                };
                // SAFETY: the panels hold every pixel of the group. Those of the left side have a border of
                // one pixel, so that they hold the pixel under every tap. The sums are in
                // `gradient`, which only this closure accesses. The caller checked the
                // instruction set.
                unsafe { kernel::outer_products(set, &products) };
            }
        });
    });
}

/// Pictures split into blocks of channels, with a border of zeros:
/// `[block][picture][row][column][channel of the block]`.
#[derive(Default)]
struct Panels {
    values: Vec<f32>,
    /// Columns of a picture with its border.
    columns: usize,
    /// Floats of a picture in a panel.
    picture: usize,
    /// Floats of a panel: one block of channels of all pictures.
    panel: usize,
}

impl Panels {
    /// Copies pictures of `channels` channels into panels of `block` channels with a border of `border`
    /// pixels.
    fn fill(&mut self, from: &[f32], extent: Extent, channels: usize, block: usize, border: usize) {
        let Extent { batch, rows, columns } = extent;
        self.columns = columns + 2 * border;
        self.picture = (rows + 2 * border) * self.columns * block;
        self.panel = batch * self.picture;
        // Only pixels inside the border are written below, so the border and the missing channels of the last
        // block remain zero if the memory is used again with the same size.
        let size = channels.div_ceil(block) * self.panel;
        if self.values.len() != size {
            self.values.clear();
            self.values.resize(size, 0.0);
        }
        let line = self.columns * block;
        self.values.par_chunks_mut(self.panel).enumerate().for_each(|(index, panel)| {
            let first = index * block;
            let width = block.min(channels - first);
            for (panel, from) in
                panel.chunks_exact_mut(self.picture).zip(from.chunks_exact(rows * columns * channels))
            {
                let inside =
                    panel[border * line..].chunks_exact_mut(line).zip(from.chunks_exact(columns * channels));
                for (panel, from) in inside {
                    let pixels =
                        panel[border * block..].chunks_exact_mut(block).zip(from.chunks_exact(channels));
                    for (to, from) in pixels {
                        to[..width].copy_from_slice(&from[first..first + width]);
                    }
                }
            }
        });
    }

    fn panel(&self, index: usize) -> &[f32] {
        &self.values[index * self.panel..][..self.panel]
    }
}
