//! The layers against slow references in 64-bit arithmetic, with every instruction set that the CPU supports.

use super::{
    InstructionSet,
    conv::{ConvShape, Direction, Extent, PackedConv, weight_gradient},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers in [-1, 1).
pub(super) fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Panics if `found` differs from `expected` by more than rounding errors.
pub(super) fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0f64, |m, x| m.max(x.abs())).max(1e-9);
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f64::from(f) - e).abs() <= 2e-5 * scale,
            "{what}: {f} instead of {e} at {i} (scale {scale})"
        );
    }
}

/// The inner product.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Panics if two inner products of random vectors differ by more than rounding errors. `terms` is the number
/// of random products that they sum.
pub(super) fn assert_same_product(a: f64, b: f64, terms: usize, what: &str) {
    assert!((a - b).abs() <= 1e-5 * (terms as f64).sqrt(), "{what}: {a} and {b}");
}

/// Runs a closure in a thread pool of the given size.
#[cfg(feature = "rayon")]
pub(super) fn on_threads<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

/// Runs a closure on the calling thread.
#[cfg(not(feature = "rayon"))]
pub(super) fn on_threads<T>(_: usize, run: impl FnOnce() -> T) -> T {
    run()
}

/// Calls `visit(filter index, high pixel, low pixel)` for every tap of a convolution whose high pixel is
/// inside the picture.
fn each_tap(stride: usize, extent: Extent, mut visit: impl FnMut(usize, usize, usize)) {
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

/// The output of a convolution without bias and ReLU. `extent` is that of the high side.
fn reference_conv(
    shape: ConvShape,
    direction: Direction,
    weights: &[f32],
    input: &[f32],
    extent: Extent,
) -> Vec<f64> {
    let ConvShape { high, low, stride } = shape;
    let forward = direction == Direction::Forward;
    let mut output =
        vec![0.0; if forward { low_extent(shape, extent).values(low) } else { extent.values(high) }];
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

const CHANNELS: [(usize, usize); 6] = [(3, 48), (48, 3), (16, 16), (7, 50), (48, 96), (1, 1)];
const EXTENTS: [Extent; 6] = [
    Extent { batch: 1, rows: 12, columns: 12 },
    Extent { batch: 3, rows: 9, columns: 7 },
    Extent { batch: 1, rows: 1, columns: 1 },
    Extent { batch: 2, rows: 24, columns: 13 },
    Extent { batch: 1, rows: 2, columns: 31 },
    Extent { batch: 1, rows: 50, columns: 45 },
];

/// Calls `check` with all shapes, extents of the high side and instruction sets, and a seed for each.
fn each_case(mut check: impl FnMut(ConvShape, Extent, InstructionSet, u64)) {
    let mut seed = 0;
    for (high, low) in CHANNELS {
        for stride in [1, 2] {
            for extent in EXTENTS {
                for set in InstructionSet::available() {
                    seed += 1;
                    check(ConvShape { high, low, stride }, extent, set, seed);
                }
            }
        }
    }
}

fn low_extent(shape: ConvShape, high: Extent) -> Extent {
    shape.output(Direction::Forward, high)
}

/// Extents of a layer's input and output, where `high` is that of the high side.
fn sides(shape: ConvShape, direction: Direction, high: Extent) -> (Extent, Extent) {
    let low = low_extent(shape, high);
    match direction {
        Direction::Forward => (high, low),
        Direction::Adjoint => (low, high),
    }
}

/// The output of a layer without bias and ReLU.
fn run(
    shape: ConvShape,
    direction: Direction,
    weights: &[f32],
    input: &[f32],
    extent: Extent,
    set: InstructionSet,
) -> Vec<f32> {
    let (from, to) = sides(shape, direction, extent);
    let mut output = vec![f32::NAN; to.values(shape.channels(direction).1)];
    PackedConv::new(shape, direction, weights, None, false, set).run(input, from, &mut output, to);
    output
}

#[test]
fn convolutions_and_adjoints_equal_the_reference() {
    each_case(|shape, extent, set, seed| {
        let weights = random(shape.weights(), seed);
        for direction in [Direction::Forward, Direction::Adjoint] {
            let (from, to) = sides(shape, direction, extent);
            let (inputs, outputs) = shape.channels(direction);
            let input = random(from.values(inputs), seed + 1000);
            let bias = random(outputs, seed + 2000);
            let mut expected = reference_conv(shape, direction, &weights, &input, extent);
            expected.iter_mut().enumerate().for_each(|(i, y)| *y += f64::from(bias[i % outputs]));
            for relu in [false, true] {
                if relu {
                    expected.iter_mut().for_each(|y| *y = y.max(0.0));
                }
                let layer = PackedConv::new(shape, direction, &weights, Some(&bias), relu, set);
                let mut output = vec![f32::NAN; to.values(outputs)];
                layer.run(&input, from, &mut output, to);
                assert_close(&output, &expected, &format!("{direction:?} {shape:?} {extent:?} {set:?}"));
            }
        }
    });
}

#[test]
fn weight_gradients_equal_the_reference() {
    each_case(|shape, extent, set, seed| {
        let high = random(extent.values(shape.high), seed);
        let low = random(low_extent(shape, extent).values(shape.low), seed + 1000);
        let mut expected = vec![0.0f64; shape.weights()];
        each_tap(shape.stride, extent, |tap, h, l| {
            for i in 0..shape.high {
                for j in 0..shape.low {
                    expected[(tap * shape.high + i) * shape.low + j] +=
                        f64::from(high[h * shape.high + i]) * f64::from(low[l * shape.low + j]);
                }
            }
        });
        let found = weight_gradient(shape, &high, &low, extent, set);
        assert_close(&found, &expected, &format!("{shape:?} {extent:?} {set:?}"));
    });
}

/// `<forward(x), y> = <x, adjoint(y)>`, and both are `<weights, weight_gradient(x, y)>`, since `<forward(x),
/// y>` is linear in `x` and in the weights.
#[test]
fn layers_and_gradients_satisfy_the_adjoint_identity() {
    each_case(|shape, extent, set, seed| {
        let weights = random(shape.weights(), seed);
        let x = random(extent.values(shape.high), seed + 1000);
        let y = random(low_extent(shape, extent).values(shape.low), seed + 2000);
        let forward = dot(&run(shape, Direction::Forward, &weights, &x, extent, set), &y);
        let adjoint = dot(&x, &run(shape, Direction::Adjoint, &weights, &y, extent, set));
        let gradient = dot(&weights, &weight_gradient(shape, &x, &y, extent, set));
        let terms = y.len() * shape.high * 9;
        let what = format!("{shape:?} {extent:?} {set:?}");
        assert_same_product(forward, adjoint, terms, &what);
        assert_same_product(forward, gradient, terms, &what);
    });
}

/// The layers follow the definitions of `Conv2d(3, stride, padding=1)` and
/// `ConvTranspose2d(3, stride, padding=1, output_padding=stride - 1)` in PyTorch, with one picture and one
/// channel.
#[test]
fn layers_follow_the_conventions_of_pytorch() {
    let weights: Vec<f32> = (1..=9).map(|x| x as f32).collect();
    let ones = [1.0; 16];
    let cases: [(usize, Direction, usize, &[f32]); 4] = [
        (1, Direction::Forward, 3, &[28.0, 39.0, 24.0, 33.0, 45.0, 27.0, 16.0, 21.0, 12.0]),
        (1, Direction::Adjoint, 3, &[12.0, 21.0, 16.0, 27.0, 45.0, 33.0, 24.0, 39.0, 28.0]),
        (2, Direction::Forward, 4, &[28.0, 39.0, 33.0, 45.0]),
        (
            2,
            Direction::Adjoint,
            2,
            &[5.0, 10.0, 5.0, 6.0, 10.0, 20.0, 10.0, 12.0, 5.0, 10.0, 5.0, 6.0, 8.0, 16.0, 8.0, 9.0],
        ),
    ];
    for (stride, direction, edge, expected) in cases {
        let shape = ConvShape { high: 1, low: 1, stride };
        let from = Extent { batch: 1, rows: edge, columns: edge };
        let to = shape.output(direction, from);
        for set in InstructionSet::available() {
            let mut output = vec![f32::NAN; to.pixels()];
            let layer = PackedConv::new(shape, direction, &weights, None, false, set);
            layer.run(&ones[..from.pixels()], from, &mut output, to);
            assert_eq!(output, expected, "{direction:?} {shape:?} {set:?}");
        }
    }
}

#[test]
fn pictures_have_the_same_bits_alone_and_in_a_batch() {
    for (high, low, stride, edge) in
        [(48, 96, 1, 12), (48, 48, 1, 27), (96, 48, 2, 12), (48, 3, 1, 50), (5, 16, 1, 12)]
    {
        let shape = ConvShape { high, low, stride };
        let weights = random(shape.weights(), 1);
        let batch = Extent { batch: 7, rows: edge, columns: edge };
        let one = Extent { batch: 1, ..batch };
        for direction in [Direction::Forward, Direction::Adjoint] {
            let ((one_from, _), (from, _)) = (sides(shape, direction, one), sides(shape, direction, batch));
            let (inputs, _) = shape.channels(direction);
            for set in InstructionSet::available() {
                let run = |input: &[f32], extent| run(shape, direction, &weights, input, extent, set);
                let input = random(from.values(inputs), 2);
                let alone: Vec<f32> = input
                    .chunks(one_from.values(inputs))
                    .flat_map(|picture| on_threads(3, || run(picture, one)))
                    .collect();
                for threads in [1, 5] {
                    let together = on_threads(threads, || run(&input, batch));
                    assert!(alone == together, "{shape:?} {direction:?} {set:?}, {threads} threads");
                }
            }
        }
    }
}

#[cfg(feature = "rayon")]
#[test]
fn weight_gradients_have_the_same_bits_for_every_number_of_threads() {
    let extent = Extent { batch: 5, rows: 24, columns: 20 };
    for (high, low, stride) in [(48, 96, 1), (48, 16, 2), (3, 48, 1)] {
        let shape = ConvShape { high, low, stride };
        let (left, right) =
            (random(extent.values(high), 1), random(low_extent(shape, extent).values(low), 2));
        for set in InstructionSet::available() {
            let run = |threads| on_threads(threads, || weight_gradient(shape, &left, &right, extent, set));
            assert!(run(1) == run(5), "{shape:?} {set:?}");
        }
    }
}

#[test]
fn empty_batches_have_empty_outputs_and_zero_gradients() {
    let shape = ConvShape { high: 48, low: 3, stride: 1 };
    let extent = Extent { batch: 0, rows: 5, columns: 5 };
    let weights = random(shape.weights(), 1);
    let set = InstructionSet::best();
    assert!(run(shape, Direction::Forward, &weights, &[], extent, set).is_empty());
    assert_eq!(weight_gradient(shape, &[], &[], extent, set), vec![0.0; shape.weights()]);
}

#[test]
#[should_panic(expected = "too many values")]
fn extents_whose_number_of_values_overflows_panic() {
    let shape = ConvShape { high: 1, low: 1, stride: 1 };
    let extent = Extent { batch: 1, rows: 1 << (usize::BITS - 1), columns: 2 };
    run(shape, Direction::Forward, &[0.0; 9], &[], extent, InstructionSet::Scalar);
}

#[test]
#[should_panic(expected = "unsupported")]
fn other_strides_panic() {
    let shape = ConvShape { high: 1, low: 1, stride: 3 };
    let _ = PackedConv::new(shape, Direction::Adjoint, &[0.0; 9], None, false, InstructionSet::Scalar);
}

#[test]
fn the_best_instruction_set_is_available() {
    let available = InstructionSet::available();
    assert_eq!(available[0], InstructionSet::Scalar);
    assert!(available.is_sorted());
    assert!(available.contains(&InstructionSet::best()));
}
