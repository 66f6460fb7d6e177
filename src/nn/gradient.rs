//! Gradients of the weights of 3x3 convolutions.

use rayon::prelude::*;

use super::{
    conv::{ConvShape, Extent},
    kernel::{self, Outer, ROWS},
    simd::Path,
    winograd,
};

/// The gradient of the weights, `[3][3][high][low]`: the sum over all pixels of the outer product of what lies on the
/// high side under each tap, and what lies on the low side.
///
/// For a convolution `high` is its input and `low` the gradient of its output; for a transposed convolution `low`
/// is its input and `high` the gradient of its output.
///
/// # Panics
/// When a slice does not have the length that the extent and the shape give.
#[must_use]
pub fn weight_gradient(shape: ConvShape, high: &[f32], low: &[f32], extent: Extent, path: Path) -> Vec<f32> {
    let Extent { batch, rows, columns } = extent;
    let (low_rows, low_columns) = (shape.low_edge(rows), shape.low_edge(columns));
    assert_eq!(high.len(), extent.pixels() * shape.high, "high side of {extent:?}");
    assert_eq!(low.len(), batch * low_rows * low_columns * shape.low, "low side of {extent:?}");
    let mut gradient = vec![0.0; shape.weights()];
    if extent.pixels() == 0 {
        return gradient;
    }
    if winograd::suits(shape) {
        return winograd::weight_gradient(shape, high, low, extent, path);
    }
    // Several small pictures at a time, so that the sums are loaded and stored less often.
    let group = (2048 / (low_rows * low_columns)).clamp(1, batch);
    let (high_picture, low_picture) = (rows * columns * shape.high, low_rows * low_columns * shape.low);
    let mut left = Panels::default();
    let mut right = Panels::default();
    for (high, low) in high.chunks(group * high_picture).zip(low.chunks(group * low_picture)) {
        let batch = high.len() / high_picture;
        left.fill(high, Extent { batch, rows, columns }, shape.high, ROWS, 1);
        right.fill(low, Extent { batch, rows: low_rows, columns: low_columns }, shape.low, path.block(), 0);
        accumulate(shape, &left, &right, batch, (low_rows, low_columns), path, &mut gradient);
    }
    gradient
}

fn accumulate(
    shape: ConvShape,
    left: &Panels,
    right: &Panels,
    batch: usize,
    (rows, columns): (usize, usize),
    path: Path,
    gradient: &mut [f32],
) {
    let ConvShape { high, low, stride } = shape;
    gradient.par_chunks_mut(high * low).enumerate().for_each(|(tap, gradient)| {
        gradient.par_chunks_mut(ROWS * low).enumerate().for_each(|(index, gradient)| {
            let start = (tap / 3 * left.columns + tap % 3) * ROWS;
            for (block, sums) in (0..low).step_by(path.block()).enumerate() {
                let outer = Outer {
                    left: left.panel(index)[start..].as_ptr(),
                    left_step: stride * ROWS,
                    left_row: stride * left.columns * ROWS,
                    left_picture: left.picture,
                    right: right.panel(block).as_ptr(),
                    right_step: path.block(),
                    right_row: columns * path.block(),
                    right_picture: right.picture,
                    pictures: batch,
                    rows,
                    columns,
                    sums: gradient[sums..].as_mut_ptr(),
                    sums_stride: low,
                    valid_left: gradient.len() / low,
                    valid_right: path.block().min(low - sums),
                };
                // SAFETY: the panels hold every pixel of the group with a border of one on the left side, so each
                // tap of each pixel is inside; the sums are this chunk's.
                unsafe { kernel::outer(path, &outer) };
            }
        });
    });
}

/// Pictures split into blocks of channels: `[block][picture][row][column][channel of the block]`.
#[derive(Default)]
struct Panels {
    values: Vec<f32>,
    columns: usize,
    /// Floats a picture, and a panel, take.
    picture: usize,
    panel: usize,
}

impl Panels {
    fn fill(&mut self, from: &[f32], extent: Extent, channels: usize, block: usize, border: usize) {
        let Extent { batch, rows, columns } = extent;
        self.columns = columns + 2 * border;
        self.picture = (rows + 2 * border) * self.columns * block;
        self.panel = batch * self.picture;
        // The border and the missing channels of the last block stay zero while the size stays the same.
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
