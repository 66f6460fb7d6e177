//! Gradients of weights by Winograd's minimal filtering.

use super::{
    CHUNK, COEFFICIENTS, SharedMut, balanced_tiles,
    tiles::{Grid, Layout, Side},
    transform::{self, Source, Span, Square, WINDOW},
};
use crate::{
    nn::{
        conv::{ConvShape, Extent},
        kernel::{self, OuterProducts, ROWS},
        scratch::with_scratch,
        simd::InstructionSet,
    },
    parallel::*,
};

/// The gradient of the weights, `[3][3][high][low]`, of a layer for which [`supports`](super::supports) is
/// true. The pictures must not be empty.
pub fn weight_gradient(
    shape: ConvShape,
    high: &[f32],
    low: &[f32],
    extent: Extent,
    set: InstructionSet,
) -> Vec<f32> {
    let grid = Grid::new(extent);
    let rows = extent.batch * grid.rows;
    // Number of tiles whose products are summed in registers before they are added to the sums in memory.
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
            left.fill(inputs, grid, rows.clone(), high, Side::Input, set);
            right.fill(gradients, grid, rows, low, Side::Gradient, set);
            accumulate(shape, (left, inputs), (right, gradients), set, sums);
        }
        transform_sums(shape, sums, set)
    })
}

/// Adds the products of the tiles to the sums, `[coefficient][high][low]`.
fn accumulate(
    shape: ConvShape,
    (left, inputs): (Layout, &[f32]),
    (right, gradients): (Layout, &[f32]),
    set: InstructionSet,
    sums: &mut [f32],
) {
    sums.par_chunks_exact_mut(CHUNK * shape.low).enumerate().for_each(|(index, sums)| {
        let (coefficient, chunk) = (index / left.chunks, index % left.chunks);
        let inputs = &inputs[coefficient * left.coefficient_step() + chunk * left.chunk_step()..];
        let gradients = &gradients[coefficient * right.coefficient_step()..];
        for low in (0..shape.low).step_by(set.block()) {
            for high in (0..CHUNK).step_by(ROWS) {
                let products = OuterProducts {
                    left: inputs[high..].as_ptr(),
                    left_step: CHUNK,
                    left_row: 0,
                    left_picture: 0,
                    right: gradients[low / CHUNK * right.chunk_step() + low % CHUNK..].as_ptr(),
                    right_step: CHUNK,
                    right_row: 0,
                    right_picture: 0,
                    pictures: 1,
                    rows: 1,
                    columns: left.tiles,
                    sums: sums[high * shape.low + low..].as_mut_ptr(),
                    sums_stride: shape.low,
                    valid_left: ROWS,
                    valid_right: set.block(),
                };
                // SAFETY: both layouts have a chunk of channels for each tile. The sums are in a slice that
                // only this closure accesses. The caller checked the instruction set.
                unsafe { kernel::outer_products(set, &products) };
            }
        }
    });
}

/// Transforms the sums, `[coefficient][high][low]`, to the gradient of the weights.
fn transform_sums(shape: ConvShape, sums: &[f32], set: InstructionSet) -> Vec<f32> {
    let ConvShape { high, low, .. } = shape;
    let mut gradient = vec![0.0; shape.weights()];
    let to = SharedMut(gradient.as_mut_ptr());
    let step = high * low;
    let span = Span { chunks: 1, length: low, source_step: 0, sink_step: 0 };
    (0..high).into_par_iter().for_each(|channel| {
        let source = Source::all(sums[channel * low..].as_ptr(), WINDOW * step, step);
        // SAFETY: there are 36 sums and 9 weights for each pair of channels, and each high channel is written
        // by one thread. The caller checked the instruction set.
        unsafe {
            let sink = Square { to: to.at(channel * low), row_step: 3 * step, column_step: step };
            transform::filter_gradient(set, &source, &sink, &span);
        }
    });
    gradient
}
