//! Speed of the convolutions of the network: forward, input gradient and weight gradient.
//!
//! `cargo bench --bench layers`; the throughput is in multiply-adds per second.

use aez_core::nn::{
    InstructionSet,
    conv::{ConvShape, Direction, Extent, PackedConv, weight_gradient},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use std::hint::black_box;

/// For each convolution of the network: channels at the high and at the low resolution, stride, edge in pixels.
const LAYERS: [(usize, usize, usize, usize); 8] = [
    (3, 48, 1, 96),
    (48, 48, 1, 96),
    (48, 96, 2, 96),
    (96, 96, 1, 48),
    (96, 192, 2, 48),
    (192, 192, 1, 24),
    (192, 384, 2, 24),
    (384, 384, 1, 12),
];
const BATCH: usize = 8;

fn random(count: usize) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn layers(criterion: &mut Criterion) {
    for (high, low, stride, edge) in LAYERS {
        let shape = ConvShape { high, low, stride };
        let mut group = criterion.benchmark_group(format!("{high}-{low} stride {stride} at {edge}"));
        let high_side = Extent { batch: BATCH, rows: edge, columns: edge };
        let low_side = Extent { batch: BATCH, rows: edge / stride, columns: edge / stride };
        group.throughput(Throughput::Elements((low_side.pixels() * shape.weights()) as u64));
        group.sample_size(10);
        let weights = random(shape.weights());
        let (high_values, low_values) = (random(high_side.pixels() * high), random(low_side.pixels() * low));
        let cases = [
            ("convolution", Direction::Forward, &high_values, high_side, low_side, low),
            ("adjoint", Direction::Adjoint, &low_values, low_side, high_side, high),
        ];
        for (name, direction, input, from, to, channels) in cases {
            let layer = PackedConv::new(shape, direction, &weights, None, true, InstructionSet::best());
            let mut output = vec![0.0; to.pixels() * channels];
            group.bench_function(name, |b| b.iter(|| layer.run(black_box(input), from, &mut output, to)));
        }
        group.bench_function("weight gradient", |b| {
            let set = InstructionSet::best();
            b.iter(|| weight_gradient(shape, black_box(&high_values), &low_values, high_side, set));
        });
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
