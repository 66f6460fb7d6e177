//! Compression ratio and PSNR for the range of qualities, and encoding and decoding times at some of them, with the
//! built-in model.
//!
//! `AEZ_BENCH_PICTURES=FOLDER cargo bench --bench rate_distortion` measures the centre squares of the folder's pictures,
//! scaled to one tile. Without a folder, it measures parts of the test image of `examples/draw_sample`.

#[path = "../examples/draw_sample/scene.rs"]
mod scene;

use std::{hint::black_box, path::PathBuf};

use aez::{Decoder, Encoder, Limits, Picture, Quality};
use aez_core::{Tune, picture::resample};
use aez_eval::{CODEC, Results, Sweep};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const QUALITIES: [u8; 10] = [10, 20, 30, 40, 50, 60, 70, 80, 90, 100];
/// Maximum number of pictures of a folder.
const MAX_PICTURES: usize = 200;
/// The measured parts of the test image: upper left corner and height, in units of the height of the image.
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
    let paths = aez_image::pictures_under(folder.as_ref()).expect("a folder of pictures");
    let square = |path: &PathBuf| {
        let picture = aez_image::read(path, &Limits::default()).expect("a valid picture");
        resample::centre_square(&picture, edge)
    };
    paths.iter().take(MAX_PICTURES).map(square).collect()
}

fn rate_distortion(criterion: &mut Criterion) {
    let model = aez::models::tile().expect("a built-in model");
    let pictures = pictures(model.block_edge().expect("tiles"));
    let qualities = QUALITIES.map(|quality| Quality::new(quality).expect("1 to 100"));
    let sweep = Sweep { model, qualities: qualities.into(), effort: None, tune: Tune::Psnr };
    let measure = |(index, picture): (usize, &Picture)| sweep.measure(&index.to_string(), picture);
    let measured = pictures.iter().enumerate().map(measure).collect::<Result<_, _>>();
    report(&pictures, &Results::new(measured.expect("valid pictures")));

    let (encoder, decoder) = (Encoder::new(model), Decoder::new(model));
    let analysed = encoder.analyse(&pictures[0]).expect("a valid picture");
    let mut group = criterion.benchmark_group("one tile by quality");
    group.sample_size(20);
    for quality in qualities.into_iter().step_by(3) {
        let file = analysed.encode_at(quality).expect("a valid picture");
        group.bench_function(BenchmarkId::new("encode the latents", quality.get()), |b| {
            b.iter(|| black_box(&analysed).encode_at(quality));
        });
        group.bench_function(BenchmarkId::new("decompress", quality.get()), |b| {
            b.iter(|| decoder.decode(black_box(&file)));
        });
    }
}

/// Prints the table. Compression ratios are relative to three bytes per pixel.
fn report(pictures: &[Picture], results: &Results) {
    let raw = pictures.iter().map(|picture| picture.rgb.len()).sum::<usize>() as f64 / pictures.len() as f64;
    println!("averages over {} pictures of {raw:.0} bytes; sizes are those of whole files", pictures.len());
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
