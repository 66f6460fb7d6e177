//! 3x3 convolutions with padding 1, their adjoints, and the gradients of their weights.
//!
//! One linear map does for the entire network. [`ConvShape`] maps a picture of `high` channels to one of `low`
//! channels, at the same resolution or at half of it; its adjoint maps back. A convolution layer is the map, a
//! transposed convolution is the adjoint, and the gradient of either with respect to its input is the other.
//! Weights are stored `[3][3][high][low]` for both, pictures are channels-last: `[batch][rows][columns][channels]`.
//!
//! Nothing is multiplied by a zero that is known in advance: the adjoint of a stride of 2 is computed as four small
//! convolutions, one for each parity of the output's row and column (1, 2, 2 and 4 taps).

use std::cell::RefCell;

use rayon::prelude::*;

use super::{
    kernel::{self, Outer, ROWS, Row},
    simd::Path,
};

/// Channels on both sides of a convolution, and its stride (1 or 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    pub high: usize,
    pub low: usize,
    pub stride: usize,
}

impl ConvShape {
    /// Number of weights, `3 * 3 * high * low`.
    #[must_use]
    pub fn weights(&self) -> usize {
        9 * self.high * self.low
    }

    /// Rows or columns on the low side for `high` of them on the high side.
    #[must_use]
    pub fn low_edge(&self, high: usize) -> usize {
        high.div_ceil(self.stride)
    }
}

/// Which way a [`Packed`] layer maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// High to low: a convolution.
    Forward,
    /// Low to high: a transposed convolution.
    Adjoint,
}

/// Batch and resolution of a picture tensor; the channels are the layer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub batch: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Extent {
    /// Number of pixels.
    #[must_use]
    pub fn pixels(&self) -> usize {
        self.batch * self.rows * self.columns
    }
}

/// A layer ready to run: weights in the order in which the kernel reads them.
pub struct Packed {
    path: Path,
    phases: Vec<Phase>,
    bias: Vec<f32>,
    relu: bool,
    input_channels: usize,
    output_channels: usize,
    input_stride: usize,
    output_stride: usize,
}

/// The taps that make the output pixels of one parity.
struct Phase {
    row: usize,
    column: usize,
    /// Row and column in the input's 3x3 window.
    taps: Vec<(usize, usize)>,
    /// `[block of output channels][tap][input channel][channel of the block]`.
    panels: Vec<f32>,
}

impl Packed {
    /// # Panics
    /// When the number of weights or biases is not that of the shape.
    #[must_use]
    pub fn new(
        shape: ConvShape,
        direction: Direction,
        weights: &[f32],
        bias: Option<&[f32]>,
        relu: bool,
        path: Path,
    ) -> Self {
        assert_eq!(weights.len(), shape.weights(), "weights of {shape:?}");
        let forward = direction == Direction::Forward;
        let (input_channels, output_channels) =
            if forward { (shape.high, shape.low) } else { (shape.low, shape.high) };
        let block = path.block();
        let mut padded = vec![0.0; output_channels.next_multiple_of(block)];
        if let Some(bias) = bias {
            padded[..output_channels].copy_from_slice(bias);
        }
        let phases = if forward { vec![(0, 0)] } else { phases_of(shape.stride) };
        let phases = phases
            .into_iter()
            .map(|(row, column)| {
                let taps = taps(direction, shape.stride, row, column);
                let panels = pack(shape, direction, weights, &taps, block);
                let taps = taps.into_iter().map(|tap| tap.window).collect();
                Phase { row, column, taps, panels }
            })
            .collect();
        let (input_stride, output_stride) = if forward { (shape.stride, 1) } else { (1, shape.stride) };
        Self {
            path,
            phases,
            bias: padded,
            relu,
            input_channels,
            output_channels,
            input_stride,
            output_stride,
        }
    }

    /// Runs the layer. Work is split over the threads of rayon's current pool by picture and by band of rows.
    ///
    /// # Panics
    /// When a slice does not have the length that its extent and the layer's channels give, or the two extents do
    /// not belong together.
    pub fn run(&self, input: &[f32], from: Extent, output: &mut [f32], to: Extent) {
        assert_eq!(input.len(), from.pixels() * self.input_channels, "input of {from:?}");
        assert_eq!(output.len(), to.pixels() * self.output_channels, "output of {to:?}");
        let (i, o) = (self.input_stride, self.output_stride);
        assert!(
            from.batch == to.batch
                && to.rows.div_ceil(o) == from.rows.div_ceil(i)
                && to.columns.div_ceil(o) == from.columns.div_ceil(i),
            "{from:?} does not map to {to:?}"
        );
        if to.pixels() == 0 {
            return;
        }
        let row = to.columns * self.output_channels;
        let band = self.band_rows(to) * o;
        let input_picture = from.rows * from.columns * self.input_channels;
        output.par_chunks_mut(to.rows * row).zip(input.par_chunks(input_picture)).for_each(
            |(output, input)| {
                output.par_chunks_mut(band * row).enumerate().for_each(|(index, output)| {
                    self.run_band(input, from, output, to.columns, index * band / o);
                });
            },
        );
    }

    /// Rows of the sampling grid that a thread computes at a time: all of them where the weights weigh more than
    /// the picture, few where the picture does, and fewer when there are less pictures than threads.
    fn band_rows(&self, to: Extent) -> usize {
        let rows = to.rows.div_ceil(self.output_stride);
        let columns = to.columns.div_ceil(self.output_stride);
        let cached = (1024 / columns).max(1);
        let threads = rayon::current_num_threads();
        cached.min(rows.div_ceil(threads.div_ceil(to.batch)))
    }

    /// Computes the output rows of one band, which begins at row `first` of the sampling grid.
    fn run_band(&self, input: &[f32], from: Extent, output: &mut [f32], columns: usize, first: usize) {
        let channels = self.input_channels;
        let output_row = columns * self.output_channels;
        let rows = output.len() / output_row;
        let steps = rows.div_ceil(self.output_stride);
        let window_rows = (steps - 1) * self.input_stride + 3;
        let window_columns = (columns.div_ceil(self.output_stride) - 1) * self.input_stride + 3;
        SCRATCH.with_borrow_mut(|window| {
            let top = (first * self.input_stride) as isize - 1;
            copy_window(input, from, channels, top, window_rows, window_columns, window);
            for phase in &self.phases {
                self.run_phase(phase, window, window_columns, output, rows, columns);
            }
        });
    }

    fn run_phase(
        &self,
        phase: &Phase,
        window: &[f32],
        window_columns: usize,
        output: &mut [f32],
        rows: usize,
        columns: usize,
    ) {
        let (channels, stride, block) = (self.input_channels, self.output_stride, self.path.block());
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
                    bias: self.bias[first_channel..].as_ptr(),
                    output: output[start..].as_mut_ptr(),
                    output_stride: stride * self.output_channels,
                    pixels,
                    valid: block.min(self.output_channels - first_channel),
                    relu: self.relu,
                };
                // SAFETY: `copy_window` made the window large enough for every tap of every pixel, the panel holds
                // a block for each tap and channel, and the pixels lie in the output rows of this band.
                unsafe { kernel::row(self.path, &row) };
            }
        }
    }
}

thread_local! {
    /// The band's input with its border, kept from call to call.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Copies `rows x columns` pixels, beginning at row `top` and column -1, with zeros outside the picture.
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

fn phases_of(stride: usize) -> Vec<(usize, usize)> {
    (0..stride).flat_map(|row| (0..stride).map(move |column| (row, column))).collect()
}

/// A tap of the filter, and where its input lies in the 3x3 window around the pixel.
struct Tap {
    filter: (usize, usize),
    window: (usize, usize),
}

fn taps(direction: Direction, stride: usize, row: usize, column: usize) -> Vec<Tap> {
    let line = |parity: usize| -> &[(usize, usize)] {
        match (direction, stride, parity) {
            (Direction::Forward, ..) => &[(0, 0), (1, 1), (2, 2)],
            (Direction::Adjoint, 1, _) => &[(2, 0), (1, 1), (0, 2)],
            (Direction::Adjoint, _, 0) => &[(1, 1)],
            (Direction::Adjoint, ..) => &[(2, 1), (0, 2)],
        }
    };
    let pairs = line(row).iter().flat_map(|&y| line(column).iter().map(move |&x| (y, x)));
    pairs.map(|(y, x)| Tap { filter: (y.0, x.0), window: (y.1, x.1) }).collect()
}

fn pack(shape: ConvShape, direction: Direction, weights: &[f32], taps: &[Tap], block: usize) -> Vec<f32> {
    let ConvShape { high, low, .. } = shape;
    let (inputs, outputs) = if direction == Direction::Forward { (high, low) } else { (low, high) };
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
