//! Speed of each stage of the two roads, and of both roads as a whole, with the built-in model.
//!
//! `cargo bench --bench stages`; the throughput is in bytes of uncompressed pixels, but for the stages that see none.

#[path = "../examples/draw_sample/scene.rs"]
mod scene;

use std::hint::black_box;

use aez::{
    Limits, Quality, Shape,
    codec::{
        Decoder, Encoder,
        quantize::{LAMBDA, quantize, reconstruct},
    },
    container::Container,
    entropy::{self, Coder},
    model::Model,
    picture::Picture,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Tiles along each edge of the larger picture.
const TILES: u32 = 4;

fn model() -> &'static Model {
    Model::builtin().expect("a built-in model")
}

/// A square of the drawn scene that `tiles` by `tiles` tiles cover.
fn picture(tiles: u32) -> Picture {
    let edge = tiles * model().tile() as u32;
    Picture::from_rgb(edge, edge, scene::draw(edge, edge, (0.0, 0.0), edge as f32))
}

fn network(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("network");
    group.sample_size(20);
    for tiles in [1, TILES] {
        let (encoder, decoder, picture) = (Encoder::new(model()), Decoder::new(model()), picture(tiles));
        let latents = encoder.analyse(&picture).expect("a sound picture");
        group.throughput(Throughput::Bytes(picture.rgb.len() as u64));
        let count = tiles * tiles;
        group.bench_function(format!("analyse {count}"), |b| b.iter(|| encoder.analyse(black_box(&picture))));
        group.bench_function(format!("synthesize {count}"), |b| {
            b.iter(|| decoder.synthesize(black_box(&latents), picture.width, picture.height, false));
        });
    }
}

/// The stages between latents and bytes, on the latents of the larger picture.
fn coding(criterion: &mut Criterion) {
    let latents = Encoder::new(model()).analyse(&picture(TILES)).expect("a sound picture");
    let shape = latents.shape();
    let quality = Quality::REFERENCE;
    let tables = model().prior().at(quality);
    let symbols = quantize(&latents, &tables, quality, LAMBDA).expect("as many latents");
    let mut group = criterion.benchmark_group("coding");
    group.throughput(Throughput::Elements(count(shape)));
    group.bench_function("tables of a quality", |b| b.iter(|| model().prior().at(black_box(quality))));
    group.bench_function("quantize", |b| {
        b.iter(|| quantize(black_box(&latents), &tables, quality, LAMBDA));
    });
    group.bench_function("reconstruct", |b| b.iter(|| reconstruct(black_box(&symbols), &tables)));
    for coder in [Coder::Range, Coder::Zstd] {
        let name = coder.name();
        let bytes = entropy::encode_with(coder, &symbols, &tables).expect("symbols in range");
        group.bench_function(format!("{name} encode"), |b| {
            b.iter(|| entropy::encode_with(coder, black_box(&symbols), &tables));
        });
        group.bench_function(format!("{name} decode"), |b| {
            b.iter(|| entropy::decode(coder, black_box(&bytes), shape, &tables, &Limits::default()));
        });
    }
}

fn count(shape: Shape) -> u64 {
    shape.count().expect("a small shape")
}

fn container(criterion: &mut Criterion) {
    let mut picture = picture(TILES);
    picture.alpha = Some(picture.rgb.iter().step_by(3).copied().collect());
    let file = Encoder::new(model()).encode(&picture).expect("a sound picture");
    let container = Container::parse(&file, &Limits::default()).expect("what was written");
    let mut group = criterion.benchmark_group("container with alpha");
    group.throughput(Throughput::Bytes(u64::from(picture.width) * u64::from(picture.height)));
    group.bench_function("write", |b| b.iter(|| black_box(&container).to_bytes()));
    group.bench_function("parse", |b| b.iter(|| Container::parse(black_box(&file), &Limits::default())));
}

fn roads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("road");
    group.sample_size(20);
    for tiles in [1, TILES] {
        let (encoder, decoder, picture) = (Encoder::new(model()), Decoder::new(model()), picture(tiles));
        let file = encoder.encode(&picture).expect("a sound picture");
        group.throughput(Throughput::Bytes(picture.rgb.len() as u64));
        let count = tiles * tiles;
        group.bench_function(format!("compress {count}"), |b| b.iter(|| encoder.encode(black_box(&picture))));
        group.bench_function(format!("decompress {count}"), |b| b.iter(|| decoder.decode(black_box(&file))));
    }
}

criterion_group!(benches, network, coding, container, roads);
criterion_main!(benches);
