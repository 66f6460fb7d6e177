//! Compression ratio against PSNR over the range of qualities, and what the quality costs in time, with the built-in
//! model.
//!
//! `AEZ_BENCH_PICTURES=FOLDER cargo bench --bench rate_distortion` measures the centre squares of the folder's pictures,
//! scaled to one tile; without a folder, windows of a drawn scene.

#[path = "../examples/draw_sample/scene.rs"]
mod scene;

use std::{hint::black_box, path::PathBuf};

use aez::{
    Limits, Quality,
    codec::{Decoder, Encoder},
    eval::{CODEC, Results, Sweep},
    model::Model,
    picture::{self, Picture},
};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const QUALITIES: [u8; 10] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];
/// Most pictures of a folder that are measured.
const MAX_PICTURES: usize = 200;
/// Upper left corner and height of each window of the scene, in units of the scene's height.
const WINDOWS: [(scene::Point, f32); 8] = [
    ((0.0, 0.0), 1.0),
    ((0.5, 0.0), 1.0),
    ((0.05, 0.35), 0.4),
    ((0.4, 0.45), 0.45),
    ((0.8, 0.15), 0.4),
    ((1.05, 0.55), 0.45),
    ((0.1, 0.0), 0.5),
    ((0.3, 0.6), 0.4),
];

fn pictures(edge: u32) -> Vec<Picture> {
    let Some(folder) = std::env::var_os("AEZ_BENCH_PICTURES") else {
        let draw = |&(corner, height): &(scene::Point, f32)| {
            Picture::from_rgb(edge, edge, scene::draw(edge, edge, corner, edge as f32 / height))
        };
        return WINDOWS.iter().map(draw).collect();
    };
    let paths = picture::pictures_under(folder.as_ref()).expect("a folder of pictures");
    let square = |path: &PathBuf| {
        picture::centre_square(&picture::read(path, &Limits::default()).expect("a sound picture"), edge)
    };
    paths.iter().take(MAX_PICTURES).map(square).collect()
}

fn rate_distortion(criterion: &mut Criterion) {
    let model = Model::builtin().expect("a built-in model");
    let pictures = pictures(model.tile() as u32);
    let qualities = QUALITIES.map(|quality| Quality::new(quality).expect("1 to 100"));
    let sweep = Sweep { model, qualities: qualities.into(), refiner: None };
    let measure = |(index, picture): (usize, &Picture)| sweep.measure(&index.to_string(), picture);
    let measured = pictures.iter().enumerate().map(measure).collect::<Result<_, _>>();
    report(&pictures, &Results::new(measured.expect("sound pictures")));

    let (encoder, decoder, picture) = (Encoder::new(model), Decoder::new(model), &pictures[0]);
    let latents = encoder.analyse(picture).expect("a sound picture");
    let mut group = criterion.benchmark_group("one tile by quality");
    group.sample_size(20);
    for quality in qualities.into_iter().step_by(3) {
        let encoder = Encoder { quality, ..encoder };
        let file = encoder.encode_latents(picture, &latents).expect("a sound picture");
        group.bench_function(BenchmarkId::new("code the latents", quality.get()), |b| {
            b.iter(|| encoder.encode_latents(picture, black_box(&latents)));
        });
        group.bench_function(BenchmarkId::new("decompress", quality.get()), |b| {
            b.iter(|| decoder.decode(black_box(&file)));
        });
    }
}

/// The table: the size that is compared is that of the pixels, three bytes each.
fn report(pictures: &[Picture], results: &Results) {
    let raw = pictures.iter().map(|picture| picture.rgb.len()).sum::<usize>() as f64 / pictures.len() as f64;
    println!("means over {} pictures of {raw:.0} bytes, whole files counted", pictures.len());
    println!("{:>7} {:>8} {:>8} {:>9} {:>8}", "quality", "bytes", "ratio", "PSNR, dB", "MS-SSIM");
    for point in &results.curves[CODEC] {
        let (ratio, distortion) = (raw / point.bytes, point.distortion);
        println!(
            "{:>7} {:>8.1} {ratio:>6.0}:1 {:>9.2} {:>8.4}",
            point.quality, point.bytes, distortion.psnr, distortion.ms_ssim
        );
    }
    if let Some(network) = results.unquantized {
        println!("the network without quantization: {:.2} dB, MS-SSIM {:.4}", network.psnr, network.ms_ssim);
    }
}

criterion_group!(benches, rate_distortion);
criterion_main!(benches);
