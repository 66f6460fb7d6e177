//! Speed of every kind of layer of the network: forward, input gradient and weight gradient of the convolutions.
//!
//! `cargo bench --bench layers`; the throughput is in multiply-adds a second.

use aez::nn::{
    Path,
    conv::{ConvShape, Direction, Extent, Packed, weight_gradient},
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::{RngExt, SeedableRng};
use std::hint::black_box;

/// Channels on both sides, stride and resolution of the network's convolutions.
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
            let layer = Packed::new(shape, direction, &weights, None, true, Path::best());
            let mut output = vec![0.0; to.pixels() * channels];
            group.bench_function(name, |b| b.iter(|| layer.run(black_box(input), from, &mut output, to)));
        }
        group.bench_function("weight gradient", |b| {
            b.iter(|| weight_gradient(shape, black_box(&high_values), &low_values, high_side, Path::best()));
        });
    }
}

criterion_group!(benches, layers);
criterion_main!(benches);
