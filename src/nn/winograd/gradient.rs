//! Gradients of weights by Winograd's transforms.

use rayon::prelude::*;

use super::{
    CHUNK, COEFFICIENTS, Shared, balanced_tiles,
    tiles::{Grid, Layout, Side},
    transform::{self, Source, Span, Square, WINDOW},
};
use crate::nn::{
    conv::{ConvShape, Extent},
    kernel::{self, Outer, ROWS},
    scratch::with_scratch,
    simd::Path,
};

/// The gradient of the weights, `[3][3][high][low]`, of a layer that [`suits`](super::suits), for pictures that are not
/// empty.
pub fn weight_gradient(shape: ConvShape, high: &[f32], low: &[f32], extent: Extent, path: Path) -> Vec<f32> {
    let grid = Grid::new(extent);
    let rows = extent.batch * grid.rows;
    // So many tiles are summed before they are added to the sums in memory.
    let tiles = balanced_tiles(shape.high, shape.low).clamp(96, 192);
    let group = (tiles / grid.columns).clamp(1, rows);
    let largest = group * grid.columns;
    let (left, right) = (Layout::new(largest, shape.high), Layout::new(largest, shape.low));
    let sums = COEFFICIENTS * shape.high * shape.low;
    with_scratch(sums + left.len() + right.len(), |scratch| {
        let (sums, tiles) = scratch.split_at_mut(sums);
        sums.par_chunks_mut(1 << 16).for_each(|sums| sums.fill(0.0));
        for first in (0..rows).step_by(group) {
            let rows = first..rows.min(first + group);
            let tile_count = rows.len() * grid.columns;
            let (left, right) = (Layout::new(tile_count, shape.high), Layout::new(tile_count, shape.low));
            let (inputs, rest) = tiles.split_at_mut(left.len());
            let gradients = &mut rest[..right.len()];
            left.fill(inputs, grid, rows.clone(), high, Side::Input, path);
            right.fill(gradients, grid, rows, low, Side::Gradient, path);
            accumulate(shape, (left, inputs), (right, gradients), path, sums);
        }
        finish(shape, sums, path)
    })
}

/// Adds the products of the tiles to the sums, `[coefficient][high][low]`.
fn accumulate(
    shape: ConvShape,
    (left, inputs): (Layout, &[f32]),
    (right, gradients): (Layout, &[f32]),
    path: Path,
    sums: &mut [f32],
) {
    sums.par_chunks_exact_mut(CHUNK * shape.low).enumerate().for_each(|(index, sums)| {
        let (coefficient, chunk) = (index / left.chunks, index % left.chunks);
        let inputs = &inputs[coefficient * left.coefficient() + chunk * left.chunk()..];
        let gradients = &gradients[coefficient * right.coefficient()..];
        for low in (0..shape.low).step_by(path.block()) {
            for high in (0..CHUNK).step_by(ROWS) {
                let outer = Outer {
                    left: inputs[high..].as_ptr(),
                    left_step: CHUNK,
                    left_row: 0,
                    left_picture: 0,
                    right: gradients[low / CHUNK * right.chunk() + low % CHUNK..].as_ptr(),
                    right_step: CHUNK,
                    right_row: 0,
                    right_picture: 0,
                    pictures: 1,
                    rows: 1,
                    columns: left.tiles,
                    sums: sums[high * shape.low + low..].as_mut_ptr(),
                    sums_stride: shape.low,
                    valid_left: ROWS,
                    valid_right: path.block(),
                };
                // SAFETY: both layouts hold a chunk of channels for each tile; the sums are this chunk's.
                unsafe { kernel::outer(path, &outer) };
            }
        }
    });
}

/// Transforms the sums to the gradient of the weights.
fn finish(shape: ConvShape, sums: &[f32], path: Path) -> Vec<f32> {
    let ConvShape { high, low, .. } = shape;
    let mut gradient = vec![0.0; shape.weights()];
    let to = Shared(gradient.as_mut_ptr());
    let step = high * low;
    let span = Span { chunks: 1, length: low, source_step: 0, sink_step: 0 };
    (0..high).into_par_iter().for_each(|channel| {
        let source = Source::all(sums[channel * low..].as_ptr(), WINDOW * step, step);
        // SAFETY: there are 36 sums and nine weights for each pair of channels; no two threads have the same channel.
        unsafe {
            let sink = Square { to: to.at(channel * low), row_step: 3 * step, column_step: step };
            transform::filter_gradient(path, &source, &sink, &span);
        }
    });
    gradient
}
