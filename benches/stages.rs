//! Speed of each stage of encoding and decoding, and of the complete pipelines, with the built-in model.
//!
//! `cargo bench --bench stages`; the throughput is in bytes of uncompressed pixels, or in symbols for the entropy coders.

#[path = "../examples/draw_sample/scene.rs"]
mod scene;

use std::hint::black_box;

use aez::{Decoder, Encoder, Limits, Model, Picture, Quality};
use aez_core::{
    container::Container,
    entropy::{self, Coder},
    photo::{Config, Network, PhotoModel, Recipe, Target, Trainer, lambda},
    symbols::Shape,
    tiled::{
        TiledModel,
        quantize::{LAMBDA, quantize, reconstruct},
    },
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Tiles along each edge of the larger picture.
const TILES: u32 = 4;

fn model() -> &'static Model {
    aez::models::tile().expect("a built-in model")
}

fn tiled() -> &'static TiledModel {
    model().tiled().expect("a tiled model")
}

/// A square part of the test image of `examples/draw_sample` with the size of `tiles` by `tiles` tiles.
fn picture(tiles: u32) -> Picture {
    let edge = tiles * tiled().tile() as u32;
    Picture::from_rgb(edge, edge, scene::draw(edge, edge, (0.0, 0.0), edge as f32))
}

fn network(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("network");
    group.sample_size(20);
    for tiles in [1, TILES] {
        let picture = picture(tiles);
        let latents = tiled().latents_of(&picture).expect("a valid picture");
        group.throughput(Throughput::Bytes(picture.rgb.len() as u64));
        let count = tiles * tiles;
        group.bench_function(format!("analyse {count}"), |b| {
            b.iter(|| tiled().latents_of(black_box(&picture)))
        });
        group.bench_function(format!("synthesize {count}"), |b| {
            let (width, height) = (picture.width, picture.height);
            b.iter(|| tiled().synthesize_picture(black_box(&latents), width, height, false));
        });
    }
}

/// The stages between latents and bytes, for the larger picture.
fn coding(criterion: &mut Criterion) {
    let latents = tiled().latents_of(&picture(TILES)).expect("a valid picture");
    let shape = latents.shape();
    let quality = Quality::REFERENCE;
    let tables = tiled().prior().at(quality);
    let symbols = quantize(&latents, &tables, quality, LAMBDA).expect("latents of the model");
    let mut group = criterion.benchmark_group("coding");
    group.throughput(Throughput::Elements(count(shape)));
    group.bench_function("tables", |b| b.iter(|| tiled().prior().at(black_box(quality))));
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
    let picture = picture(TILES);
    let alpha = picture.rgb.iter().step_by(3).copied().collect();
    let picture = picture.with_alpha(Some(alpha));
    let file = Encoder::new(model()).encode(&picture).expect("a valid picture");
    let container = Container::parse(&file, &Limits::default()).expect("a valid file");
    let mut group = criterion.benchmark_group("container with alpha");
    group.throughput(Throughput::Bytes(u64::from(picture.width) * u64::from(picture.height)));
    group.bench_function("write", |b| b.iter(|| black_box(&container).to_bytes()));
    group.bench_function("parse", |b| b.iter(|| Container::parse(black_box(&file), &Limits::default())));
}

fn pipeline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipeline");
    group.sample_size(20);
    for tiles in [1, TILES] {
        let (encoder, decoder, picture) = (Encoder::new(model()), Decoder::new(model()), picture(tiles));
        let file = encoder.encode(&picture).expect("a valid picture");
        group.throughput(Throughput::Bytes(picture.rgb.len() as u64));
        let count = tiles * tiles;
        group.bench_function(format!("compress {count}"), |b| b.iter(|| encoder.encode(black_box(&picture))));
        group.bench_function(format!("decompress {count}"), |b| b.iter(|| decoder.decode(black_box(&file))));
    }
}

/// A model of the photo family after seconds of training on a part of the test image.
fn photo_model() -> Model {
    const STEPS: u32 = 100;
    let quality = Quality::REFERENCE;
    let network = Network::new(Config::default(), lambda(quality), 1).expect("valid sizes");
    let edge = 96;
    let picture = Picture::from_rgb(edge, edge, scene::draw(edge, edge, (0.0, 0.0), edge as f32));
    let target = Target::new(&picture).expect("a valid picture");
    let mut trainer = Trainer::new(network, vec![target], Recipe::default());
    for step in 0..STEPS {
        trainer.step(step as f32 / STEPS as f32);
    }
    let bytes = PhotoModel::to_bytes(&[(quality, trainer.network())]).expect("small weights");
    Model::from_bytes(bytes).expect("a valid model")
}

/// Decoding of a photograph, and of its first half.
fn photo(criterion: &mut Criterion) {
    let (model, picture) = (photo_model(), picture(TILES));
    let file = Encoder::new(&model).encode(&picture).expect("a valid picture");
    let decoder = Decoder::new(&model);
    let mut group = criterion.benchmark_group("photo");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(picture.rgb.len() as u64));
    group.bench_function("decompress", |b| b.iter(|| decoder.decode(black_box(&file))));
    group.bench_function("decompress half", |b| {
        b.iter(|| decoder.decode_partial(black_box(&file[..file.len() / 2])));
    });
}

criterion_group!(benches, network, coding, container, pipeline, photo);
criterion_main!(benches);
