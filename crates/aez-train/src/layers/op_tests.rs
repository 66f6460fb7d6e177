//! The differentiable layers compared with sums in 64-bit floats, on every device.

use candle_core::{Device, Tensor, Var};

use super::ConvOp;
use aez_core::nn::conv::{ConvShape, Direction, Extent};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Calls `visit(filter index, high pixel, low pixel)` for every filter tap that lies inside the picture.
fn each_tap(stride: usize, extent: Extent, mut visit: impl FnMut(usize, usize, usize)) {
    let (low_rows, low_columns) = (extent.rows.div_ceil(stride), extent.columns.div_ceil(stride));
    for picture in 0..extent.batch {
        for (y, x, tap) in
            (0..low_rows * low_columns * 9).map(|i| (i / 9 / low_columns, i / 9 % low_columns, i % 9))
        {
            let row = (y * stride + tap / 3).wrapping_sub(1);
            let column = (x * stride + tap % 3).wrapping_sub(1);
            if row < extent.rows && column < extent.columns {
                let high = (picture * extent.rows + row) * extent.columns + column;
                visit(tap, high, (picture * low_rows + y) * low_columns + x);
            }
        }
    }
}

fn low_extent(shape: ConvShape, extent: Extent) -> Extent {
    shape.output(Direction::Forward, extent)
}

/// A layer and its inputs.
struct Case {
    op: ConvOp,
    /// Extent of the high side.
    extent: Extent,
    weights: Vec<f32>,
    bias: Vec<f32>,
    input: Vec<f32>,
    /// The gradient of the output.
    output_gradient: Vec<f32>,
}

/// Output, and gradients of input, weights and bias.
type Results = [Vec<f64>; 4];

impl Case {
    fn new(shape: ConvShape, direction: Direction, relu: bool, extent: Extent) -> Self {
        let op = ConvOp { shape, direction, relu, input_gradient: true };
        let (inputs, outputs) = shape.channels(direction);
        let (from, to) = match direction {
            Direction::Forward => (extent, low_extent(shape, extent)),
            Direction::Adjoint => (low_extent(shape, extent), extent),
        };
        Self {
            op,
            extent,
            weights: random(shape.weights(), 1),
            bias: random(outputs, 2),
            input: random(from.pixels() * inputs, 3),
            output_gradient: random(to.pixels() * outputs, 4),
        }
    }

    /// Calls `visit(input, weight, output)` with the indices of the factors and of the sum of each product.
    fn each_product(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let ConvShape { high, low, stride } = self.op.shape;
        each_tap(stride, self.extent, |tap, h, l| {
            for i in 0..high {
                for j in 0..low {
                    let (weight, high, low) = ((tap * high + i) * low + j, h * high + i, l * low + j);
                    match self.op.direction {
                        Direction::Forward => visit(high, weight, low),
                        Direction::Adjoint => visit(low, weight, high),
                    }
                }
            }
        });
    }

    fn expected(&self) -> Results {
        let [weights, input] =
            [&self.weights, &self.input].map(|v| v.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        let channels = self.bias.len();
        let mut output: Vec<f64> =
            (0..self.output_gradient.len()).map(|i| f64::from(self.bias[i % channels])).collect();
        self.each_product(|i, w, o| output[o] += input[i] * weights[w]);
        let active = |&y: &f64| !self.op.relu || y > 0.0;
        let gradient: Vec<f64> = output
            .iter()
            .zip(&self.output_gradient)
            .map(|(y, &g)| if active(y) { f64::from(g) } else { 0.0 })
            .collect();
        let mut gradients = [vec![0.0; input.len()], vec![0.0; weights.len()], vec![0.0; channels]];
        self.each_product(|i, w, o| {
            gradients[0][i] += gradient[o] * weights[w];
            gradients[1][w] += gradient[o] * input[i];
        });
        gradient.iter().enumerate().for_each(|(o, g)| gradients[2][o % channels] += g);
        let [of_input, of_weights, of_bias] = gradients;
        let output = output.into_iter().map(|y| if self.op.relu { y.max(0.0) } else { y }).collect();
        [output, of_input, of_weights, of_bias]
    }

    fn computed(&self, device: &Device) -> candle_core::Result<Results> {
        let ConvShape { high, low, .. } = self.op.shape;
        let (inputs, outputs) = self.op.shape.channels(self.op.direction);
        let small = low_extent(self.op.shape, self.extent);
        let (from, to) = match self.op.direction {
            Direction::Forward => (self.extent, small),
            Direction::Adjoint => (small, self.extent),
        };
        let input = Var::from_slice(&self.input, (from.batch, from.rows, from.columns, inputs), device)?;
        let weights = Var::from_slice(&self.weights, (3, 3, high, low), device)?;
        let bias = Var::from_slice(&self.bias, outputs, device)?;
        let output_gradient =
            Tensor::from_slice(&self.output_gradient, (to.batch, to.rows, to.columns, outputs), device)?;
        let output = self.op.apply(&input, &weights, &bias)?;
        let gradients = (&output * &output_gradient)?.sum_all()?.backward()?;
        let of = |variable: &Var| gradients.get(variable).expect("a gradient").clone();
        let results = [output, of(&input), of(&weights), of(&bias)];
        let doubles = |t: Tensor| t.flatten_all()?.to_dtype(candle_core::DType::F64)?.to_vec1();
        let [a, b, c, d] = results.map(doubles);
        Ok([a?, b?, c?, d?])
    }
}

fn check(device: &Device) {
    let sizes = [(1, 8, 8), (2, 9, 7), (1, 1, 1), (3, 2, 13)];
    for (high, low, stride) in [(3, 8, 1), (8, 3, 1), (6, 10, 2), (16, 16, 1), (5, 16, 2)] {
        for (batch, rows, columns) in sizes {
            for direction in [Direction::Forward, Direction::Adjoint] {
                let whole = |edge: usize| edge.is_multiple_of(stride);
                // The size of a transposed convolution's output is a multiple of its input's.
                if direction == Direction::Adjoint && !(whole(rows) && whole(columns)) {
                    continue;
                }
                for relu in [false, true] {
                    let case = Case::new(
                        ConvShape { high, low, stride },
                        direction,
                        relu,
                        Extent { batch, rows, columns },
                    );
                    let (found, expected) = (case.computed(device).unwrap(), case.expected());
                    for (what, (found, expected)) in
                        ["output", "input", "weights", "bias"].iter().zip(found.iter().zip(&expected))
                    {
                        assert_eq!(found.len(), expected.len());
                        let scale = expected.iter().fold(1e-9f64, |m, x| m.max(x.abs()));
                        for (f, e) in found.iter().zip(expected) {
                            assert!(
                                (f - e).abs() <= 1e-4 * scale,
                                "{what} of {:?}, {:?}: {f}, not {e}",
                                case.op,
                                case.extent
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn gradients_are_correct_on_the_cpu() {
    check(&Device::Cpu);
}

#[cfg(feature = "cuda")]
#[test]
fn gradients_are_correct_on_a_gpu() {
    match super::cuda_device(0) {
        Ok(device) => check(&device),
        Err(error) => eprintln!("skipped: {error}"),
    }
}

#[test]
fn tensors_of_the_wrong_shape_are_rejected() {
    let op = ConvOp {
        shape: ConvShape { high: 3, low: 4, stride: 1 },
        direction: Direction::Forward,
        relu: true,
        input_gradient: true,
    };
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let apply = |input: &[usize], weights: &[usize], bias: &[usize]| {
        op.apply(&zeros(input), &zeros(weights), &zeros(bias)).map_err(|e| e.to_string())
    };
    assert!(apply(&[1, 5, 5, 3], &[3, 3, 3, 4], &[4]).is_ok());
    assert!(apply(&[1, 5, 5, 4], &[3, 3, 3, 4], &[4]).unwrap_err().contains("input"));
    assert!(apply(&[1, 5, 5, 3], &[3, 3, 4, 3], &[4]).unwrap_err().contains("weights"));
    assert!(apply(&[1, 5, 5, 3], &[3, 3, 3, 4], &[3]).unwrap_err().contains("biases"));
}
