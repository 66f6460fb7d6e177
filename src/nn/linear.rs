//! A fully connected layer, ready to run.

use super::{
    kernel::{self, Row},
    simd::Path,
};
use rayon::prelude::*;

/// `output = input * weights + bias`, then ReLU: weights in the order in which the kernel reads them.
pub struct Linear {
    path: Path,
    inputs: usize,
    outputs: usize,
    /// `[block of outputs][input][output of the block]`.
    panels: Vec<f32>,
    bias: Vec<f32>,
}

impl Linear {
    /// A layer of `weights` `[inputs][outputs]` and as many biases as outputs.
    ///
    /// # Panics
    /// When the number of weights is not a multiple of the number of biases.
    #[must_use]
    pub fn new(weights: &[f32], bias: &[f32], path: Path) -> Self {
        let outputs = bias.len();
        assert!(weights.len().is_multiple_of(outputs), "{} weights for {outputs} outputs", weights.len());
        let inputs = weights.len() / outputs;
        let block = path.block();
        let mut padded = bias.to_vec();
        padded.resize(outputs.next_multiple_of(block), 0.0);
        let mut panels = vec![0.0; padded.len() * inputs];
        panels.par_chunks_mut(inputs * block).enumerate().for_each(|(index, panel)| {
            let first = index * block;
            let valid = block.min(outputs - first);
            for (to, from) in panel.chunks_exact_mut(block).zip(weights.chunks_exact(outputs)) {
                to[..valid].copy_from_slice(&from[first..first + valid]);
            }
        });
        Self { path, inputs, outputs, panels, bias: padded }
    }

    /// Runs the layer on rows of `inputs` numbers, on the threads of rayon's current pool. A row's result does
    /// not depend on the other rows.
    ///
    /// # Panics
    /// When the slices do not hold the same number of rows.
    pub fn run(&self, input: &[f32], output: &mut [f32]) {
        let rows = input.len() / self.inputs;
        assert!(
            input.len() == rows * self.inputs && output.len() == rows * self.outputs,
            "rows of a linear layer"
        );
        let block = self.path.block();
        let columns: Vec<Vec<f32>> = self
            .panels
            .par_chunks_exact(self.inputs * block)
            .zip(self.bias.par_chunks_exact(block))
            .map(|(weights, bias)| {
                let mut sums = vec![0.0; rows * block];
                let row = Row {
                    input: input.as_ptr(),
                    input_stride: self.inputs,
                    taps: &[0],
                    channels: self.inputs,
                    weights: weights.as_ptr(),
                    bias: bias.as_ptr(),
                    output: sums.as_mut_ptr(),
                    output_stride: block,
                    pixels: rows,
                    valid: block,
                    relu: true,
                };
                // SAFETY: `rows` rows of `inputs` numbers lie in `input`, and as many blocks in `sums`.
                unsafe { kernel::row(self.path, &row) };
                sums
            })
            .collect();
        for (index, column) in columns.iter().enumerate() {
            let first = index * block;
            let valid = block.min(self.outputs - first);
            for (to, from) in output.chunks_exact_mut(self.outputs).zip(column.chunks_exact(block)) {
                to[first..first + valid].copy_from_slice(&from[..valid]);
            }
        }
    }
}
