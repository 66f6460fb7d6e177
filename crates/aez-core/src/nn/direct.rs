//! Convolutions as direct sums over taps and input channels.
//!
//! An adjoint of stride 2 does not multiply by the zeros between its input pixels: it is computed as four
//! convolutions, one for each parity of the output's row and column, with 1, 2, 2 and 4 taps.

use std::cell::RefCell;

use super::{
    conv::{ConvShape, Direction, Epilogue, Extent},
    kernel::{self, Row},
    simd::InstructionSet,
};
use crate::parallel::*;

/// A layer of any shape that [`ConvShape`] allows.
pub(super) struct DirectConv {
    set: InstructionSet,
    phases: Vec<Phase>,
    epilogue: Epilogue,
    input_channels: usize,
    output_channels: usize,
    input_stride: usize,
    output_stride: usize,
}

/// The output pixels whose row and column have a given remainder modulo the output's stride, and the taps
/// that they depend on.
struct Phase {
    /// Remainders of the row and column.
    row: usize,
    column: usize,
    /// Row and column of each tap in the 3x3 window of the input.
    taps: Vec<(usize, usize)>,
    /// Weights, see [`pack_weights`].
    panels: Vec<f32>,
}

impl DirectConv {
    pub fn new(
        shape: ConvShape,
        direction: Direction,
        weights: &[f32],
        epilogue: Epilogue,
        set: InstructionSet,
    ) -> Self {
        let (input_channels, output_channels) = shape.channels(direction);
        let (input_stride, output_stride, phases) = match direction {
            Direction::Forward => (shape.stride, 1, vec![(0, 0)]),
            Direction::Adjoint => (1, shape.stride, phase_offsets(shape.stride)),
        };
        let phases = phases
            .into_iter()
            .map(|(row, column)| {
                let taps = taps(direction, shape.stride, row, column);
                let panels = pack_weights(shape, direction, weights, &taps, set.block());
                let taps = taps.into_iter().map(|tap| tap.window).collect();
                Phase { row, column, taps, panels }
            })
            .collect();
        Self { set, phases, epilogue, input_channels, output_channels, input_stride, output_stride }
    }

    /// Runs the layer. The pictures must not be empty.
    pub fn run(&self, input: &[f32], from: Extent, output: &mut [f32], to: Extent) {
        let row = to.columns * self.output_channels;
        let band = self.band_rows(to) * self.output_stride;
        let input_picture = from.rows * from.columns * self.input_channels;
        output.par_chunks_mut(to.rows * row).zip(input.par_chunks(input_picture)).for_each(
            |(output, input)| {
                output.par_chunks_mut(band * row).enumerate().for_each(|(index, output)| {
                    let first = index * band / self.output_stride;
                    self.run_band(input, from, output, to.columns, first);
                });
            },
        );
    }

    /// Number of grid rows in a band, which one thread computes. A grid row is one row of output pixels of
    /// each phase.
    ///
    /// A band has up to about 1024 grid pixels, so that its input stays in the cache. If there are fewer pictures
    /// than threads, bands are small enough to give every thread one.
    fn band_rows(&self, to: Extent) -> usize {
        let rows = to.rows.div_ceil(self.output_stride);
        let columns = to.columns.div_ceil(self.output_stride);
        let cached = (1024 / columns).max(1);
        let bands = threads().div_ceil(to.batch);
        cached.min(rows.div_ceil(bands))
    }

    /// Computes the output rows of a band, which begins at grid row `first`.
    fn run_band(&self, input: &[f32], from: Extent, output: &mut [f32], columns: usize, first: usize) {
        let channels = self.input_channels;
        let output_row = columns * self.output_channels;
        let rows = output.len() / output_row;
        let steps = rows.div_ceil(self.output_stride);
        let window_rows = (steps - 1) * self.input_stride + 3;
        let window_columns = (columns.div_ceil(self.output_stride) - 1) * self.input_stride + 3;
        WINDOW.with_borrow_mut(|window| {
            let top = (first * self.input_stride) as isize - 1;
            copy_window(input, from, channels, top, window_rows, window_columns, window);
            for phase in &self.phases {
                self.run_phase(phase, window, window_columns, output, rows, columns);
            }
        });
    }

    /// Computes the output pixels of one phase in a band. `window` is the band's input with its border.
    fn run_phase(
        &self,
        phase: &Phase,
        window: &[f32],
        window_columns: usize,
        output: &mut [f32],
        rows: usize,
        columns: usize,
    ) {
        let (channels, stride, block) = (self.input_channels, self.output_stride, self.set.block());
        let taps: Vec<usize> = phase.taps.iter().map(|&(y, x)| (y * window_columns + x) * channels).collect();
        let panel = taps.len() * channels * block;
        let pixels = columns.saturating_sub(phase.column).div_ceil(stride);
        for (index, weights) in phase.panels.chunks_exact(panel).enumerate() {
            let first_channel = index * block;
            for (step, y) in (phase.row..rows).step_by(stride).enumerate() {
                let start = (y * columns + phase.column) * self.output_channels + first_channel;
                let window_start = step * self.input_stride * window_columns * channels;
                if pixels == 0 {
                    continue;
                }
                let row = Row {
                    input: window[window_start..].as_ptr(),
                    input_stride: self.input_stride * channels,
                    taps: &taps,
                    channels,
                    weights: weights.as_ptr(),
                    bias: self.epilogue.bias[first_channel..].as_ptr(),
                    output: output[start..].as_mut_ptr(),
                    output_stride: stride * self.output_channels,
                    pixels,
                    valid: block.min(self.output_channels - first_channel),
                    relu: self.epilogue.relu,
                };
                // SAFETY: `run_band` made the window large enough for every tap of every pixel, the panel has
                // a block for each tap and channel, and the pixels are in the output rows of
                // this band. `PackedConv::new` checked the instruction set.
                unsafe { kernel::row(self.set, &row) };
            }
        }
    }
}

thread_local! {
    /// Memory for the input of a band with its border, which each thread keeps between calls.
    static WINDOW: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Copies `rows x columns` pixels of a picture to `window`, from row `top` and column -1 on. Pixels outside
/// of the picture are zero.
fn copy_window(
    input: &[f32],
    from: Extent,
    channels: usize,
    top: isize,
    rows: usize,
    columns: usize,
    window: &mut Vec<f32>,
) {
    window.clear();
    window.reserve(rows * columns * channels);
    let row = columns * channels;
    let inside = from.columns.min(columns - 1) * channels;
    for y in top..top + rows as isize {
        let start = window.len();
        if (0..from.rows as isize).contains(&y) {
            let line = y as usize * from.columns * channels;
            window.resize(start + channels, 0.0);
            window.extend_from_slice(&input[line..line + inside]);
        }
        window.resize(start + row, 0.0);
    }
}

/// Row and column of each phase.
fn phase_offsets(stride: usize) -> Vec<(usize, usize)> {
    (0..stride).flat_map(|row| (0..stride).map(move |column| (row, column))).collect()
}

/// A tap of a filter.
pub(super) struct Tap {
    /// Row and column in the filter.
    pub filter: (usize, usize),
    /// Row and column of its input pixel in the 3x3 window of the input.
    window: (usize, usize),
}

/// The taps that the output pixels of a phase depend on, in the order of the window. `row` and `column` are
/// the remainders of the phase.
pub(super) fn taps(direction: Direction, stride: usize, row: usize, column: usize) -> Vec<Tap> {
    let line = |remainder: usize| -> &[(usize, usize)] {
        match (direction, stride, remainder) {
            (Direction::Forward, ..) => &[(0, 0), (1, 1), (2, 2)],
            (Direction::Adjoint, 1, _) => &[(2, 0), (1, 1), (0, 2)],
            (Direction::Adjoint, _, 0) => &[(1, 1)],
            (Direction::Adjoint, ..) => &[(2, 1), (0, 2)],
        }
    };
    let pairs = line(row).iter().flat_map(|&y| line(column).iter().map(move |&x| (y, x)));
    pairs.map(|(y, x)| Tap { filter: (y.0, x.0), window: (y.1, x.1) }).collect()
}

/// Packs the weights of the taps into panels, one for each block of output channels:
/// `[block][tap][input channel][channel of the block]`. The last block is padded with zeros.
pub(super) fn pack_weights(
    shape: ConvShape,
    direction: Direction,
    weights: &[f32],
    taps: &[Tap],
    block: usize,
) -> Vec<f32> {
    let ConvShape { high, low, .. } = shape;
    let (inputs, outputs) = shape.channels(direction);
    let blocks = outputs.div_ceil(block);
    let mut panels = vec![0.0; blocks * taps.len() * inputs * block];
    panels.par_chunks_mut(taps.len() * inputs * block).enumerate().for_each(|(index, panel)| {
        for (tap, panel) in taps.iter().zip(panel.chunks_exact_mut(inputs * block)) {
            let filter = &weights[(tap.filter.0 * 3 + tap.filter.1) * high * low..][..high * low];
            let first = index * block;
            for output in first..outputs.min(first + block) {
                for input in 0..inputs {
                    panel[input * block + output - first] = match direction {
                        Direction::Forward => filter[input * low + output],
                        Direction::Adjoint => filter[output * low + input],
                    };
                }
            }
        }
    });
    panels
}
