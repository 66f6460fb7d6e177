//! Layers of stride 1 with a few output channels, such as the network's last.
//!
//! Their outputs would fill a small part of a block. So the taps go side by side instead: each input pixel is multiplied
//! by the weights of all nine taps at once, and an output pixel is the sum of what its neighbours have for it.

use rayon::prelude::*;

use super::{
    conv::{ConvShape, Direction, Extent, Finish},
    direct::{Tap, taps},
    kernel::{self, Row},
    scratch::with_scratch,
    simd::Path,
};

/// Whether a layer is computed in this way: the taps' outputs fit a small number of blocks.
pub(super) fn suits(shape: ConvShape, direction: Direction) -> bool {
    let (inputs, outputs) = shape.channels(direction);
    shape.stride == 1 && inputs >= 16 && 9 * outputs <= 48
}

/// A layer that [`suits`].
pub(super) struct Narrow {
    path: Path,
    inputs: usize,
    outputs: usize,
    /// `[block][input][channel of the block]`, where the channels are those of the first tap, the second, and so on.
    panels: Vec<f32>,
    finish: Finish,
}

impl Narrow {
    pub fn new(shape: ConvShape, direction: Direction, weights: &[f32], finish: Finish, path: Path) -> Self {
        let (inputs, outputs) = shape.channels(direction);
        let block = path.block();
        let mut panels = vec![0.0; (9 * outputs).next_multiple_of(block) * inputs];
        for (index, Tap { filter: (y, x), .. }) in taps(direction, 1, 0, 0).into_iter().enumerate() {
            let filter = &weights[(y * 3 + x) * inputs * outputs..];
            for output in 0..outputs {
                let channel = index * outputs + output;
                for input in 0..inputs {
                    panels[(channel / block * inputs + input) * block + channel % block] = match direction {
                        Direction::Forward => filter[input * outputs + output],
                        Direction::Adjoint => filter[output * inputs + input],
                    };
                }
            }
        }
        Self { path, inputs, outputs, panels, finish }
    }

    /// Runs the layer on pictures that are not empty.
    pub fn run(&self, input: &[f32], extent: Extent, output: &mut [f32]) {
        let row = extent.columns * self.outputs;
        let band = (2048 / extent.columns).clamp(1, extent.rows);
        let pictures = input.par_chunks(extent.rows * extent.columns * self.inputs);
        output.par_chunks_mut(extent.rows * row).zip(pictures).for_each(|(output, input)| {
            output.par_chunks_mut(band * row).enumerate().for_each(|(index, output)| {
                self.run_band(input, extent, output, index * band);
            });
        });
    }

    /// Computes the rows of a band, which begins at row `first`, of one picture.
    fn run_band(&self, input: &[f32], extent: Extent, output: &mut [f32], first: usize) {
        let columns = extent.columns;
        let row = columns * self.outputs;
        let above = first.saturating_sub(1);
        let below = extent.rows.min(first + output.len() / row + 1);
        let width = self.panels.len() / self.inputs;
        with_scratch((below - above) * columns * width, |products| {
            self.multiply(
                &input[above * columns * self.inputs..below * columns * self.inputs],
                products,
                width,
            );
            for (y, output) in (first..).zip(output.chunks_exact_mut(row)) {
                output
                    .chunks_exact_mut(self.outputs)
                    .for_each(|to| to.copy_from_slice(&self.finish.bias[..self.outputs]));
                for tap_row in 0..3 {
                    if (above + 1..=below).contains(&(y + tap_row)) {
                        let products =
                            &products[(y + tap_row - 1 - above) * columns * width..][..columns * width];
                        self.add_row(products, width, tap_row, output);
                    }
                }
                if self.finish.relu {
                    output.iter_mut().for_each(|value| *value = value.max(0.0));
                }
            }
        });
    }

    /// Multiplies pixels by the weights of all taps: `[pixel][width]`.
    fn multiply(&self, input: &[f32], products: &mut [f32], width: usize) {
        let block = self.path.block();
        let pixels = input.len() / self.inputs;
        assert_eq!(products.len(), pixels * width, "products of {pixels} pixels");
        for (index, panel) in self.panels.chunks_exact(self.inputs * block).enumerate() {
            let row = Row {
                input: input.as_ptr(),
                input_stride: self.inputs,
                taps: &[0],
                channels: self.inputs,
                weights: panel.as_ptr(),
                bias: std::ptr::null(),
                output: products[index * block..].as_mut_ptr(),
                output_stride: width,
                pixels,
                valid: block,
                relu: false,
            };
            // SAFETY: there are `inputs` channels and `width` products for each pixel, and whole blocks in both.
            unsafe { kernel::row(self.path, &row) };
        }
    }

    /// Adds what a row of pixels has for a row of outputs by the three taps of a row of the filter.
    fn add_row(&self, products: &[f32], width: usize, tap_row: usize, output: &mut [f32]) {
        let columns = output.len() / self.outputs;
        for tap in 0..3 {
            // The output at column `x` takes from the pixel at column `x + tap - 1`.
            let (skip_outputs, skip_pixels) = if tap == 0 { (1, 0) } else { (0, tap - 1) };
            let channel = (tap_row * 3 + tap) * self.outputs;
            let pixels = products.chunks_exact(width).skip(skip_pixels);
            let outputs = output.chunks_exact_mut(self.outputs).take(columns).skip(skip_outputs);
            for (to, from) in outputs.zip(pixels) {
                to.iter_mut().zip(&from[channel..]).for_each(|(to, from)| *to += from);
            }
        }
    }
}
