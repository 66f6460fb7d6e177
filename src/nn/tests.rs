//! The fast layers against a slow reference, on every instruction set that this processor has.

use super::{
    conv::{ConvShape, Direction, Extent, Packed, weight_gradient},
    simd::Path,
};
use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(super) fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Calls `visit(filter index, high pixel, low pixel)` for every tap of a convolution that lies in the picture.
pub(super) fn each_tap(stride: usize, extent: Extent, mut visit: impl FnMut(usize, usize, usize)) {
    let (low_rows, low_columns) = (extent.rows.div_ceil(stride), extent.columns.div_ceil(stride));
    for picture in 0..extent.batch {
        for y in 0..low_rows {
            for x in 0..low_columns {
                for tap in 0..9 {
                    let (row, column) =
                        ((y * stride + tap / 3).wrapping_sub(1), (x * stride + tap % 3).wrapping_sub(1));
                    if row < extent.rows && column < extent.columns {
                        let high = (picture * extent.rows + row) * extent.columns + column;
                        visit(tap, high, (picture * low_rows + y) * low_columns + x);
                    }
                }
            }
        }
    }
}

/// A layer in 64-bit arithmetic: `(shape, direction, weights, input)` to output without bias.
fn slow_map(
    shape: ConvShape,
    direction: Direction,
    weights: &[f32],
    input: &[f32],
    extent: Extent,
) -> Vec<f64> {
    let ConvShape { high, low, stride } = shape;
    let low_pixels = extent.batch * extent.rows.div_ceil(stride) * extent.columns.div_ceil(stride);
    let forward = direction == Direction::Forward;
    let mut output = vec![0.0; if forward { low_pixels * low } else { extent.pixels() * high }];
    each_tap(stride, extent, |tap, h, l| {
        for i in 0..high {
            for j in 0..low {
                let weight = f64::from(weights[(tap * high + i) * low + j]);
                if forward {
                    output[l * low + j] += weight * f64::from(input[h * high + i]);
                } else {
                    output[h * high + i] += weight * f64::from(input[l * low + j]);
                }
            }
        }
    });
    output
}

fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0f64, |m, x| m.max(x.abs())).max(1e-9);
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(f) - e).abs() <= 2e-5 * scale, "{what}: {f} against {e} at {i} (scale {scale})");
    }
}

const SHAPES: [(usize, usize); 6] = [(3, 48), (48, 3), (16, 16), (7, 50), (48, 96), (1, 1)];
const EXTENTS: [Extent; 6] = [
    Extent { batch: 1, rows: 12, columns: 12 },
    Extent { batch: 3, rows: 9, columns: 7 },
    Extent { batch: 1, rows: 1, columns: 1 },
    Extent { batch: 2, rows: 24, columns: 13 },
    Extent { batch: 1, rows: 2, columns: 31 },
    Extent { batch: 1, rows: 50, columns: 45 },
];

fn each_case(mut check: impl FnMut(ConvShape, Extent, Path, u64)) {
    let mut seed = 0;
    for (high, low) in SHAPES {
        for stride in [1, 2] {
            for extent in EXTENTS {
                for path in Path::available() {
                    seed += 1;
                    check(ConvShape { high, low, stride }, extent, path, seed);
                }
            }
        }
    }
}

pub(super) fn low_extent(shape: ConvShape, extent: Extent) -> Extent {
    let Extent { batch, rows, columns } = extent;
    Extent { batch, rows: shape.low_edge(rows), columns: shape.low_edge(columns) }
}

#[test]
fn convolution_and_adjoint_equal_the_slow_ones() {
    each_case(|shape, extent, path, seed| {
        let weights = random(shape.weights(), seed);
        for direction in [Direction::Forward, Direction::Adjoint] {
            let (from, to, inputs, outputs) = match direction {
                Direction::Forward => (extent, low_extent(shape, extent), shape.high, shape.low),
                Direction::Adjoint => (low_extent(shape, extent), extent, shape.low, shape.high),
            };
            let input = random(from.pixels() * inputs, seed + 1000);
            let bias = random(outputs, seed + 2000);
            let mut expected = slow_map(shape, direction, &weights, &input, extent);
            expected.iter_mut().enumerate().for_each(|(i, y)| *y += f64::from(bias[i % outputs]));
            for relu in [false, true] {
                if relu {
                    expected.iter_mut().for_each(|y| *y = y.max(0.0));
                }
                let layer = Packed::new(shape, direction, &weights, Some(&bias), relu, path);
                let mut output = vec![f32::NAN; to.pixels() * outputs];
                layer.run(&input, from, &mut output, to);
                assert_close(&output, &expected, &format!("{direction:?} {shape:?} {extent:?} {path:?}"));
            }
        }
    });
}

#[test]
fn weight_gradient_equals_the_slow_one() {
    each_case(|shape, extent, path, seed| {
        let high = random(extent.pixels() * shape.high, seed);
        let low = random(low_extent(shape, extent).pixels() * shape.low, seed + 1000);
        let mut expected = vec![0.0f64; shape.weights()];
        each_tap(shape.stride, extent, |tap, h, l| {
            for i in 0..shape.high {
                for j in 0..shape.low {
                    expected[(tap * shape.high + i) * shape.low + j] +=
                        f64::from(high[h * shape.high + i]) * f64::from(low[l * shape.low + j]);
                }
            }
        });
        let found = weight_gradient(shape, &high, &low, extent, path);
        assert_close(&found, &expected, &format!("{shape:?} {extent:?} {path:?}"));
    });
}

/// Runs on a pool of so many threads.
fn on_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

#[test]
fn a_picture_gives_the_same_bits_alone_and_in_a_batch() {
    for (high, low, stride, edge) in
        [(48, 96, 1, 12), (48, 48, 1, 27), (96, 48, 2, 12), (48, 3, 1, 50), (5, 16, 1, 12)]
    {
        let shape = ConvShape { high, low, stride };
        let weights = random(shape.weights(), 1);
        let batch = Extent { batch: 7, rows: edge, columns: edge };
        let one = Extent { batch: 1, ..batch };
        for path in Path::available() {
            let layer = Packed::new(shape, Direction::Forward, &weights, None, false, path);
            let run = |input: &[f32], extent| {
                let to = low_extent(shape, extent);
                let mut output = vec![0.0; to.pixels() * low];
                layer.run(input, extent, &mut output, to);
                output
            };
            let input = random(batch.pixels() * high, 2);
            let alone: Vec<f32> = input
                .chunks(one.pixels() * high)
                .flat_map(|picture| on_threads(3, || run(picture, one)))
                .collect();
            assert!(alone == on_threads(1, || run(&input, batch)), "{shape:?} {path:?}, one thread");
            assert!(alone == on_threads(5, || run(&input, batch)), "{shape:?} {path:?}, five threads");
        }
    }
}

#[test]
fn weight_gradient_has_the_same_bits_on_any_number_of_threads() {
    let extent = Extent { batch: 5, rows: 24, columns: 20 };
    for (high, low, stride) in [(48, 96, 1), (48, 16, 2), (3, 48, 1)] {
        let shape = ConvShape { high, low, stride };
        let (left, right) =
            (random(extent.pixels() * high, 1), random(low_extent(shape, extent).pixels() * low, 2));
        let run =
            |threads| on_threads(threads, || weight_gradient(shape, &left, &right, extent, Path::best()));
        assert!(run(1) == run(5), "{shape:?}");
    }
}

#[test]
fn layers_agree_with_candles_own() {
    let nchw = |values: Vec<f32>, extent: Extent, channels: usize| {
        let Extent { batch, rows, columns } = extent;
        let tensor = Tensor::from_vec(values, (batch, rows, columns, channels), &Device::Cpu);
        tensor.and_then(|t| t.permute((0, 3, 1, 2))?.contiguous()).unwrap()
    };
    for (high, low, stride) in [(48, 48, 1), (48, 96, 2), (3, 48, 1), (16, 7, 2)] {
        let shape = ConvShape { high, low, stride };
        let extent = Extent { batch: 2, rows: 12, columns: 16 };
        let weights = random(shape.weights(), 1);
        let kernel = Tensor::from_slice(&weights, (3, 3, high, low), &Device::Cpu);
        let kernel = kernel.and_then(|t| t.permute((3, 2, 0, 1))?.contiguous()).unwrap();
        for direction in [Direction::Forward, Direction::Adjoint] {
            let (from, to, inputs, outputs) = match direction {
                Direction::Forward => (extent, low_extent(shape, extent), high, low),
                Direction::Adjoint => (low_extent(shape, extent), extent, low, high),
            };
            let input = random(from.pixels() * inputs, 2);
            let tensor = nchw(input.clone(), from, inputs);
            let expected = match direction {
                Direction::Forward => tensor.conv2d(&kernel, 1, stride, 1, 1),
                Direction::Adjoint => tensor.conv_transpose2d(&kernel, 1, stride - 1, stride, 1),
            };
            let expected = expected.and_then(|t| t.permute((0, 2, 3, 1))?.flatten_all()?.to_vec1::<f32>());
            let expected: Vec<f64> = expected.unwrap().into_iter().map(f64::from).collect();
            let layer = Packed::new(shape, direction, &weights, None, false, Path::best());
            let mut output = vec![f32::NAN; to.pixels() * outputs];
            layer.run(&input, from, &mut output, to);
            assert_close(&output, &expected, &format!("{direction:?} {shape:?} against candle"));
        }
    }
}
