//! Winograd's minimal filtering F(4x4, 3x3): convolutions of stride 1 with a quarter of the multiplications.
//!
//! A tile of 4x4 outputs depends on a window of 6x6 inputs. Window and filter are each transformed to 36
//! coefficients; the coefficients of the tile are their products, summed over the input channels; a last transform
//! makes outputs of them. So a layer becomes 36 products of matrices, `[tiles][inputs]` by `[inputs][outputs]`.
//! The gradient of the weights goes the same way back: 36 products `[inputs][tiles]` by `[tiles][outputs]`.
//!
//! A tile's outputs depend on its window alone, whatever is computed beside it. Rounding errors are a few times those
//! of the direct sum.

mod gradient;
mod tiles;
mod transform;

use rayon::prelude::*;

use self::{
    tiles::{Grid, Layout, Side},
    transform::{Pixels, Source, Span, Square, TILE, WINDOW},
};
use super::{
    conv::{ConvShape, Direction, Extent, Finish},
    direct::{pack, taps},
    kernel::{self, Row},
    scratch::with_scratch,
    simd::Path,
};

pub(super) use gradient::weight_gradient;

const COEFFICIENTS: usize = WINDOW * WINDOW;

/// Channels that lie side by side: a multiple of [`kernel::ROWS`] and of every path's block.
const CHUNK: usize = 48;

/// Tiles for which the coefficients of the pictures weigh as much as those of the filters: with less, reading the
/// filters dominates, and with more the pictures' coefficients leave the cache.
fn balanced_tiles(high: usize, low: usize) -> usize {
    high * low / (high + low)
}

/// Whether a layer can be computed in this way.
pub(super) fn suits(shape: ConvShape) -> bool {
    shape.stride == 1 && shape.high.is_multiple_of(CHUNK) && shape.low.is_multiple_of(CHUNK)
}

/// Memory that threads write to, each in its own places.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: whoever dereferences what `at` gives answers for no two threads writing to the same place.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    /// The offset must lie in the memory.
    unsafe fn at(&self, offset: usize) -> *mut f32 {
        unsafe { self.0.add(offset) }
    }
}

/// A layer that [`suits`].
pub(super) struct Winograd {
    path: Path,
    inputs: usize,
    outputs: usize,
    /// The filters' coefficients: `[block of outputs][coefficient][input][output of the block]`.
    filters: Vec<f32>,
    finish: Finish,
}

impl Winograd {
    pub fn new(shape: ConvShape, direction: Direction, weights: &[f32], finish: Finish, path: Path) -> Self {
        let (inputs, outputs) = shape.channels(direction);
        let panels = pack(shape, direction, weights, &taps(direction, 1, 0, 0), path.block());
        let length = inputs * path.block();
        let mut filters = vec![0.0; COEFFICIENTS * inputs * outputs];
        let pairs =
            filters.par_chunks_exact_mut(COEFFICIENTS * length).zip(panels.par_chunks_exact(9 * length));
        pairs.for_each(|(filters, panel)| {
            let source = Source::all(panel.as_ptr(), 3 * length, length);
            let sink = Square { to: filters.as_mut_ptr(), row_step: WINDOW * length, column_step: length };
            let span = Span { chunks: 1, length, source_step: 0, sink_step: 0 };
            // SAFETY: the panel has nine and the filters have 36 runs of `length` floats.
            unsafe { transform::filter(path, &source, &sink, &span) };
        });
        Self { path, inputs, outputs, filters, finish }
    }

    /// Runs the layer on pictures that are not empty.
    pub fn run(&self, input: &[f32], extent: Extent, output: &mut [f32]) {
        let grid = Grid::new(extent);
        let row = extent.columns * self.outputs;
        let picture = extent.rows * row;
        // Several small pictures at a time, or a band of a large one.
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

    /// Computes a group of tiles, whole pictures or a band of one, from row `first` of tiles on.
    fn run_group(&self, input: &[f32], grid: Grid, first: usize, output: &mut [f32]) {
        let row = grid.extent.columns * self.outputs;
        let picture = grid.extent.rows * row;
        let rows = output.len() / picture * grid.rows + (output.len() % picture).div_ceil(TILE * row);
        let from = Layout::new(rows * grid.columns, self.inputs);
        let to = Layout::new(rows * grid.columns, self.outputs);
        with_scratch(from.len() + to.len(), |scratch| {
            let (inputs, products) = scratch.split_at_mut(from.len());
            from.fill(inputs, grid, first..first + rows, input, Side::Input, self.path);
            products.par_chunks_exact_mut(to.coefficient()).enumerate().for_each(
                |(coefficient, products)| {
                    self.multiply(coefficient, from, inputs, to, products);
                },
            );
            output.par_chunks_mut(picture).enumerate().for_each(|(picture, output)| {
                output.par_chunks_mut(TILE * row).enumerate().for_each(|(index, output)| {
                    let first = (picture * grid.rows + index) * grid.columns;
                    self.finish(to, products, first, output, grid.extent.columns);
                });
            });
        });
    }

    /// The product of matrices for one coefficient.
    fn multiply(&self, coefficient: usize, from: Layout, inputs: &[f32], to: Layout, products: &mut [f32]) {
        let block = self.path.block();
        let taps: Vec<usize> = (0..from.chunks).map(|chunk| chunk * from.chunk()).collect();
        for (index, filter) in self.filters.chunks_exact(COEFFICIENTS * self.inputs * block).enumerate() {
            let channel = index * block;
            let row = Row {
                input: inputs[coefficient * from.coefficient()..].as_ptr(),
                input_stride: CHUNK,
                taps: &taps,
                channels: CHUNK,
                weights: filter[coefficient * self.inputs * block..].as_ptr(),
                bias: std::ptr::null(),
                output: products[channel / CHUNK * to.chunk() + channel % CHUNK..].as_mut_ptr(),
                output_stride: CHUNK,
                pixels: from.tiles,
                valid: block,
                relu: false,
            };
            // SAFETY: both layouts hold a chunk of channels for each tile, the filter a block for each input.
            unsafe { kernel::row(self.path, &row) };
        }
    }

    /// Makes the outputs of a row of tiles, the first of which is given, of the products.
    fn finish(&self, layout: Layout, products: &[f32], first: usize, output: &mut [f32], columns: usize) {
        let Finish { bias, relu } = &self.finish;
        let step = layout.coefficient();
        let span =
            Span { chunks: layout.chunks, length: CHUNK, source_step: layout.chunk(), sink_step: CHUNK };
        let row_step = columns * self.outputs;
        let rows = output.len() / row_step;
        for (tile, x) in (0..columns).step_by(TILE).enumerate() {
            let source = Source::all(products[(first + tile) * CHUNK..].as_ptr(), WINDOW * step, step);
            let to = output[x * self.outputs..].as_mut_ptr();
            let square = Square { to, row_step, column_step: self.outputs };
            let sink = Pixels { square, rows, columns: columns - x, bias: bias.as_ptr(), relu: *relu };
            // SAFETY: the layout holds 36 coefficients of each tile, and the pixels lie in the output's rows.
            unsafe { transform::output(self.path, &source, &sink, &span) };
        }
    }
}
