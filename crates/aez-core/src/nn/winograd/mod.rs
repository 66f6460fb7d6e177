//! Winograd's minimal filtering F(4x4, 3x3): convolutions of stride 1 with a quarter of the multiplications.
//!
//! The output is divided into tiles of 4x4 pixels, each of which depends on a window of 6x6 input pixels.
//! Window and filter are transformed to 36 coefficients each. The coefficients of the tile are their
//! products, summed over the input channels, and an inverse transform computes the output pixels from them. A
//! layer thus consists of 36 matrix products, `[tiles][inputs]` by `[inputs][outputs]`. The gradient of the
//! weights consists of 36 products `[inputs][tiles]` by `[tiles][outputs]`.
//!
//! The pixels of a tile depend only on its window, not on the tiles that are computed with it. Rounding
//! errors are a few times those of the direct sum.
//!
//! Source: A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.

mod gradient;
mod tiles;
mod transform;

use self::{
    tiles::{Grid, Layout, Side},
    transform::{Pixels, Source, Span, Square, TILE, WINDOW},
};
use super::{
    conv::{ConvShape, Direction, Epilogue, Extent},
    direct::{pack_weights, taps},
    kernel::{self, Row},
    scratch::with_scratch,
    simd::InstructionSet,
};
use crate::parallel::*;

pub(super) use gradient::weight_gradient;

/// Coefficients of a tile, in each channel.
const COEFFICIENTS: usize = WINDOW * WINDOW;

/// Number of channels that are stored side by side: a multiple of [`kernel::ROWS`] and of the block of every
/// instruction set.
const CHUNK: usize = 48;

/// Number of tiles whose coefficients, inputs and outputs together, take as much memory as those of the
/// filters. With fewer tiles reading the filters takes most of the time, with more the coefficients of the
/// tiles do not fit in the cache.
fn balanced_tiles(high: usize, low: usize) -> usize {
    high * low / (high + low)
}

/// Whether a layer can be computed in this way.
pub(super) fn supports(shape: ConvShape) -> bool {
    shape.stride == 1 && shape.high.is_multiple_of(CHUNK) && shape.low.is_multiple_of(CHUNK)
}

/// Memory that several threads write to, at different offsets.
#[derive(Clone, Copy)]
struct SharedMut(*mut f32);

// SAFETY: `at` only computes addresses. Code that writes to one guarantees that no other thread accesses it.
unsafe impl Send for SharedMut {}
unsafe impl Sync for SharedMut {}

impl SharedMut {
    /// # Safety
    /// The offset, in floats, must be inside the memory.
    unsafe fn at(&self, offset: usize) -> *mut f32 {
        unsafe { self.0.add(offset) }
    }
}

/// A layer for which [`supports`] is true.
pub(super) struct WinogradConv {
    set: InstructionSet,
    inputs: usize,
    outputs: usize,
    /// Coefficients of the filters: `[block of outputs][coefficient][input][output of the block]`.
    filters: Vec<f32>,
    epilogue: Epilogue,
}

impl WinogradConv {
    pub fn new(
        shape: ConvShape,
        direction: Direction,
        weights: &[f32],
        epilogue: Epilogue,
        set: InstructionSet,
    ) -> Self {
        let (inputs, outputs) = shape.channels(direction);
        let panels = pack_weights(shape, direction, weights, &taps(direction, 1, 0, 0), set.block());
        let length = inputs * set.block();
        let mut filters = vec![0.0; COEFFICIENTS * inputs * outputs];
        let pairs =
            filters.par_chunks_exact_mut(COEFFICIENTS * length).zip(panels.par_chunks_exact(9 * length));
        pairs.for_each(|(filters, panel)| {
            let source = Source::all(panel.as_ptr(), 3 * length, length);
            let sink = Square { to: filters.as_mut_ptr(), row_step: WINDOW * length, column_step: length };
            let span = Span { chunks: 1, length, source_step: 0, sink_step: 0 };
            // SAFETY: the panel has 9 runs of `length` floats and the filters have 36. The caller checked the
            // instruction set.
            unsafe { transform::filter(set, &source, &sink, &span) };
        });
        Self { set, inputs, outputs, filters, epilogue }
    }

    /// Runs the layer. The pictures must not be empty.
    pub fn run(&self, input: &[f32], extent: Extent, output: &mut [f32]) {
        let grid = Grid::new(extent);
        let row = extent.columns * self.outputs;
        let picture = extent.rows * row;
        // A group of tiles is several small pictures or a band of a large one.
        let tiles = balanced_tiles(self.inputs, self.outputs).min(96);
        let pictures = (tiles / (grid.rows * grid.columns)).max(1);
        let band = if pictures > 1 { grid.rows } else { (tiles / grid.columns).clamp(1, grid.rows) };
        let group = if band == grid.rows { pictures * picture } else { band * TILE * row };
        output.par_chunks_mut(pictures * picture).enumerate().for_each(|(index, output)| {
            let first = index * pictures * grid.rows;
            output.par_chunks_mut(group).enumerate().for_each(|(index, output)| {
                self.run_group(input, grid, first + index * band, output);
            });
        });
    }

    /// Computes a group of tiles, whole pictures or a band of one, which begins at row `first` of the grid.
    fn run_group(&self, input: &[f32], grid: Grid, first: usize, output: &mut [f32]) {
        let row = grid.extent.columns * self.outputs;
        let picture = grid.extent.rows * row;
        let rows = output.len() / picture * grid.rows + (output.len() % picture).div_ceil(TILE * row);
        let from = Layout::new(rows * grid.columns, self.inputs);
        let to = Layout::new(rows * grid.columns, self.outputs);
        with_scratch(from.len() + to.len(), |scratch| {
            let (inputs, products) = scratch.split_at_mut(from.len());
            from.fill(inputs, grid, first..first + rows, input, Side::Input, self.set);
            products.par_chunks_exact_mut(to.coefficient_step()).enumerate().for_each(
                |(coefficient, products)| {
                    self.multiply(coefficient, from, inputs, to, products);
                },
            );
            output.par_chunks_mut(picture).enumerate().for_each(|(picture, output)| {
                output.par_chunks_mut(TILE * row).enumerate().for_each(|(index, output)| {
                    let first = (picture * grid.rows + index) * grid.columns;
                    self.inverse_transform(to, products, first, output, grid.extent.columns);
                });
            });
        });
    }

    /// Computes the matrix product of one coefficient.
    fn multiply(&self, coefficient: usize, from: Layout, inputs: &[f32], to: Layout, products: &mut [f32]) {
        let block = self.set.block();
        let taps: Vec<usize> = (0..from.chunks).map(|chunk| chunk * from.chunk_step()).collect();
        for (index, filter) in self.filters.chunks_exact(COEFFICIENTS * self.inputs * block).enumerate() {
            let channel = index * block;
            let row = Row {
                input: inputs[coefficient * from.coefficient_step()..].as_ptr(),
                input_stride: CHUNK,
                taps: &taps,
                channels: CHUNK,
                weights: filter[coefficient * self.inputs * block..].as_ptr(),
                bias: std::ptr::null(),
                output: products[channel / CHUNK * to.chunk_step() + channel % CHUNK..].as_mut_ptr(),
                output_stride: CHUNK,
                pixels: from.tiles,
                valid: block,
                relu: false,
            };
            // SAFETY: both layouts have a chunk of channels for each tile and the filter has a block for each
            // input. The constructor's caller checked the instruction set.
            unsafe { kernel::row(self.set, &row) };
        }
    }

    /// Computes the output pixels of a row of tiles, whose first tile is `first`, from their coefficients.
    fn inverse_transform(
        &self,
        layout: Layout,
        products: &[f32],
        first: usize,
        output: &mut [f32],
        columns: usize,
    ) {
        let Epilogue { bias, relu } = &self.epilogue;
        let step = layout.coefficient_step();
        let span =
            Span { chunks: layout.chunks, length: CHUNK, source_step: layout.chunk_step(), sink_step: CHUNK };
        let row_step = columns * self.outputs;
        let rows = output.len() / row_step;
        for (tile, x) in (0..columns).step_by(TILE).enumerate() {
            let source = Source::all(products[(first + tile) * CHUNK..].as_ptr(), WINDOW * step, step);
            let to = output[x * self.outputs..].as_mut_ptr();
            let square = Square { to, row_step, column_step: self.outputs };
            let sink = Pixels { square, rows, columns: columns - x, bias: bias.as_ptr(), relu: *relu };
            // SAFETY: the layout has 36 coefficients for each tile. The sink only stores pixels inside
            // `output`. The constructor's caller checked the instruction set.
            unsafe { transform::output(self.set, &source, &sink, &span) };
        }
    }
}
