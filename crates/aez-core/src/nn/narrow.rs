//! Convolutions of stride 1 with few output channels, such as the last layer of the decoder.
//!
//! Their output channels would fill only a small part of a block. Instead, the output channels of all nine
//! taps are placed side by side: each input pixel is multiplied by the weights of all taps at once, and an
//! output pixel is the sum of nine of the products of its neighbours.

use super::{
    conv::{ConvShape, Direction, Epilogue, Extent},
    direct::{Tap, taps},
    kernel::{self, Row},
    scratch::with_scratch,
    simd::InstructionSet,
};
use crate::parallel::*;

/// Whether a layer is computed in this way: if the products of a pixel fit into a small number of blocks.
pub(super) fn supports(shape: ConvShape, direction: Direction) -> bool {
    let (inputs, outputs) = shape.channels(direction);
    shape.stride == 1 && inputs >= 16 && 9 * outputs <= 48
}

/// A layer for which [`supports`] is true.
pub(super) struct NarrowConv {
    set: InstructionSet,
    inputs: usize,
    outputs: usize,
    /// `[block][input][channel of the block]`, where the channels are `[tap][output]`, padded with zeros to
    /// whole blocks.
    panels: Vec<f32>,
    epilogue: Epilogue,
}

impl NarrowConv {
    pub fn new(
        shape: ConvShape,
        direction: Direction,
        weights: &[f32],
        epilogue: Epilogue,
        set: InstructionSet,
    ) -> Self {
        let (inputs, outputs) = shape.channels(direction);
        let block = set.block();
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
        Self { set, inputs, outputs, panels, epilogue }
    }

    /// Runs the layer. The pictures must not be empty.
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

    /// Computes a band of rows of one picture, which begins at row `first`.
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
                    .for_each(|to| to.copy_from_slice(&self.epilogue.bias[..self.outputs]));
                for tap_row in 0..3 {
                    if (above + 1..=below).contains(&(y + tap_row)) {
                        let products =
                            &products[(y + tap_row - 1 - above) * columns * width..][..columns * width];
                        self.add_row(products, width, tap_row, output);
                    }
                }
                if self.epilogue.relu {
                    output.iter_mut().for_each(|value| *value = value.max(0.0));
                }
            }
        });
    }

    /// Multiplies pixels by the weights of all taps: `[pixel][tap][output]`, where a pixel takes `width`
    /// floats.
    fn multiply(&self, input: &[f32], products: &mut [f32], width: usize) {
        let block = self.set.block();
        let pixels = input.len() / self.inputs;
        assert_eq!(products.len(), pixels * width, "length of the products of {pixels} pixels");
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
            // SAFETY: `input` has `inputs` floats for each pixel, `products` has `width` floats for each
            // pixel, `width` is a multiple of the block, and the panel has a block for each
            // input. `PackedConv::new` checked the instruction set.
            unsafe { kernel::row(self.set, &row) };
        }
    }

    /// Adds the products of a row of pixels with one row of the filter to a row of outputs.
    fn add_row(&self, products: &[f32], width: usize, tap_row: usize, output: &mut [f32]) {
        let columns = output.len() / self.outputs;
        for tap in 0..3 {
            // The output at column `x` depends on the pixel at column `x + tap - 1`.
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
