//! Fully connected layers.

use super::{
    kernel::{self, Row},
    simd::InstructionSet,
};
use crate::parallel::*;

/// A fully connected layer, `output = input * weights + bias`, with or without ReLU. Its weights are packed
/// in the order in which the kernels read them.
pub struct Linear {
    set: InstructionSet,
    inputs: usize,
    outputs: usize,
    /// `[block of outputs][input][output of the block]`, padded with zeros to whole blocks.
    panels: Vec<f32>,
    /// Padded with zeros to whole blocks.
    bias: Vec<f32>,
    relu: bool,
}

impl Linear {
    /// A layer with `weights` of shape `[inputs][outputs]`. It adds `bias`, one value for each output, and
    /// applies ReLU if `relu` is set.
    ///
    /// # Panics
    /// If `outputs` is 0, if the number of weights is not a positive multiple of it, if the number of biases
    /// differs from it, or if the CPU does not support `set`.
    #[must_use]
    pub fn new(
        weights: &[f32],
        outputs: usize,
        bias: Option<&[f32]>,
        relu: bool,
        set: InstructionSet,
    ) -> Self {
        let inputs = other_edge(weights, outputs);
        let mut layer = Self::zeros(inputs, outputs, relu, set);
        if let Some(bias) = bias {
            assert_eq!(bias.len(), outputs, "number of biases of a linear layer");
            layer.bias[..outputs].copy_from_slice(bias);
        }
        layer.fill(|first, width, panel| {
            for (to, from) in panel.zip(weights.chunks_exact(outputs)) {
                to[..width].copy_from_slice(&from[first..first + width]);
            }
        });
        layer
    }

    /// The layer that multiplies by the transposed matrix, without bias and ReLU: it maps the gradient of a
    /// layer's output, before bias and ReLU, to the gradient of its input.
    ///
    /// `weights` has shape `[inputs][outputs]` and `outputs` is a number of outputs as in [`new`](Self::new),
    /// so the transposed layer has `outputs` inputs and `inputs` outputs.
    ///
    /// # Panics
    /// If `outputs` is 0, if the number of weights is not a positive multiple of it, or if the CPU does not
    /// support `set`.
    #[must_use]
    pub fn transposed(weights: &[f32], outputs: usize, set: InstructionSet) -> Self {
        let inputs = other_edge(weights, outputs);
        let mut layer = Self::zeros(outputs, inputs, false, set);
        layer.fill(|first, width, panel| {
            let rows = &weights[first * outputs..][..width * outputs];
            for (index, to) in panel.enumerate() {
                to.iter_mut().zip(rows[index..].iter().step_by(outputs)).for_each(|(to, from)| *to = *from);
            }
        });
        layer
    }

    /// A layer whose weights and biases are all 0.
    fn zeros(inputs: usize, outputs: usize, relu: bool, set: InstructionSet) -> Self {
        set.check();
        let padded = outputs.next_multiple_of(set.block());
        Self { set, inputs, outputs, panels: vec![0.0; padded * inputs], bias: vec![0.0; padded], relu }
    }

    /// Calls `fill` for each panel with its first output, its number of outputs and one slice for each input.
    fn fill(&mut self, fill: impl Fn(usize, usize, std::slice::ChunksExactMut<'_, f32>) + Sync) {
        let (block, outputs) = (self.set.block(), self.outputs);
        self.panels.par_chunks_exact_mut(self.inputs * block).enumerate().for_each(|(index, panel)| {
            let first = index * block;
            fill(first, block.min(outputs - first), panel.chunks_exact_mut(block));
        });
    }

    /// Computes `output`, of shape `[rows][outputs]`, from `input`, of shape `[rows][inputs]`. The work is
    /// divided among the threads by output. The result for a row does not depend on the other rows.
    ///
    /// # Panics
    /// If the lengths of the slices do not match.
    pub fn run(&self, input: &[f32], output: &mut [f32]) {
        let rows = input.len() / self.inputs;
        assert!(
            input.len() == rows * self.inputs && rows.checked_mul(self.outputs) == Some(output.len()),
            "a linear layer with {} inputs and {} outputs does not map {} values to {}",
            self.inputs,
            self.outputs,
            input.len(),
            output.len()
        );
        let block = self.set.block();
        let length = rows.checked_mul(block).expect("the sums of a block fit in memory");
        let columns: Vec<Vec<f32>> = self
            .panels
            .par_chunks_exact(self.inputs * block)
            .zip(self.bias.par_chunks_exact(block))
            .map(|(weights, bias)| {
                let mut sums = vec![0.0; length];
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
                    relu: self.relu,
                };
                // SAFETY: `input` has `rows * inputs` floats, `weights` has a block for each input, `bias`
                // has one block and `sums` has a block for each row. The constructor checked
                // the instruction set.
                unsafe { kernel::row(self.set, &row) };
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

/// The other dimension of a matrix of which one is `edge`.
fn other_edge(weights: &[f32], edge: usize) -> usize {
    assert!(
        edge > 0 && !weights.is_empty() && weights.len().is_multiple_of(edge),
        "a linear layer with {edge} outputs cannot have {} weights",
        weights.len()
    );
    weights.len() / edge
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{assert_close, assert_same_product, dot, on_threads, random},
        *,
    };

    const SIZES: [(usize, usize); 5] = [(1, 1), (7, 50), (200, 97), (96, 48), (33, 16)];
    const ROWS: usize = 7;

    /// Calls `check` with all numbers of inputs and outputs and all instruction sets.
    fn each_case(mut check: impl FnMut(usize, usize, InstructionSet)) {
        for (inputs, outputs) in SIZES {
            for set in InstructionSet::available() {
                check(inputs, outputs, set);
            }
        }
    }

    fn run(layer: &Linear, input: &[f32]) -> Vec<f32> {
        let mut output = vec![f32::NAN; input.len() / layer.inputs * layer.outputs];
        layer.run(input, &mut output);
        output
    }

    /// The product of rows with a matrix whose element at a given input and output is `weight(input,
    /// output)`.
    fn reference(
        rows: &[f32],
        inputs: usize,
        outputs: usize,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Vec<f64> {
        let row = |row: &[f32], output| -> f64 {
            (0..inputs).map(|input| f64::from(row[input]) * f64::from(weight(input, output))).sum()
        };
        rows.chunks(inputs).flat_map(|values| (0..outputs).map(move |output| row(values, output))).collect()
    }

    #[test]
    fn layers_equal_the_reference() {
        each_case(|inputs, outputs, set| {
            let (weights, input) = (random(inputs * outputs, 1), random(ROWS * inputs, 2));
            let bias = random(outputs, 3);
            let product = reference(&input, inputs, outputs, |i, j| weights[i * outputs + j]);
            for with_bias in [false, true] {
                for relu in [false, true] {
                    let mut expected = product.clone();
                    for (i, y) in expected.iter_mut().enumerate() {
                        *y += if with_bias { f64::from(bias[i % outputs]) } else { 0.0 };
                        *y = if relu { y.max(0.0) } else { *y };
                    }
                    let bias = with_bias.then_some(&bias[..]);
                    let found = run(&Linear::new(&weights, outputs, bias, relu, set), &input);
                    let what = format!("{inputs} to {outputs}, bias {with_bias}, ReLU {relu}, {set:?}");
                    assert_close(&found, &expected, &what);
                }
            }
        });
    }

    #[test]
    fn transposed_layers_equal_the_reference() {
        each_case(|inputs, outputs, set| {
            let (weights, input) = (random(inputs * outputs, 1), random(ROWS * outputs, 2));
            let expected = reference(&input, outputs, inputs, |j, i| weights[i * outputs + j]);
            let found = run(&Linear::transposed(&weights, outputs, set), &input);
            assert_close(&found, &expected, &format!("{inputs} to {outputs}, {set:?}"));
        });
    }

    #[test]
    fn transposed_layers_satisfy_the_adjoint_identity() {
        each_case(|inputs, outputs, set| {
            let weights = random(inputs * outputs, 1);
            let (x, y) = (random(ROWS * inputs, 2), random(ROWS * outputs, 3));
            let forward = run(&Linear::new(&weights, outputs, None, false, set), &x);
            let adjoint = run(&Linear::transposed(&weights, outputs, set), &y);
            let what = format!("{inputs} to {outputs}, {set:?}");
            assert_same_product(dot(&forward, &y), dot(&x, &adjoint), ROWS * inputs * outputs, &what);
        });
    }

    #[test]
    fn rows_have_the_same_bits_alone_and_together() {
        each_case(|inputs, outputs, set| {
            let (weights, input) = (random(inputs * outputs, 1), random(ROWS * inputs, 2));
            for layer in [
                Linear::new(&weights, outputs, Some(&random(outputs, 3)), true, set),
                Linear::transposed(&random(inputs * outputs, 4), inputs, set),
            ] {
                let alone: Vec<f32> = input.chunks(inputs).flat_map(|row| run(&layer, row)).collect();
                for threads in [1, 5] {
                    let together = on_threads(threads, || run(&layer, &input));
                    assert!(alone == together, "{inputs} to {outputs}, {set:?}, {threads} threads");
                }
            }
        });
    }

    #[test]
    fn no_rows_have_no_outputs() {
        assert!(run(&Linear::new(&[1.0; 6], 3, None, false, InstructionSet::best()), &[]).is_empty());
    }

    #[test]
    #[should_panic(expected = "cannot have 7 weights")]
    fn weights_must_fill_whole_rows() {
        let _ = Linear::new(&[1.0; 7], 3, None, false, InstructionSet::best());
    }
}
