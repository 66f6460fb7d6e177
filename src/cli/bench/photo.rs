//! The speed of the photo family, with entropy coding.

use aez_core::{Decoder, Encoder, Model, Picture, Quality};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{super::failure::Failure, Speeds, median_seconds, simd};

/// Columns and rows of the picture: those of the photographs of Kodak.
const SIZE: (usize, usize) = (768, 512);
const QUALITY: u8 = 50;
/// Number of measured runs of the encoder, which takes seconds, and of the decoder.
const RUNS: (usize, usize) = (3, 21);

#[derive(Serialize)]
pub(super) struct PhotoSpeeds {
    encode_s: f64,
    decode_s: f64,
    encode_megapixels_per_s: f64,
    decode_megapixels_per_s: f64,
    bytes: usize,
    width: usize,
    height: usize,
    quality: u8,
    /// Nothing for the default.
    effort: Option<u8>,
    threads: usize,
    simd: String,
}

pub(super) fn measure(model: &Model, effort: Option<u8>) -> Result<PhotoSpeeds, Failure> {
    let original = picture();
    let encoder = Encoder::new(model).quality(Quality::new(QUALITY)?);
    // The first file also prepares what a process prepares once.
    let file = encoder.effort(0).encode(&original)?;
    let encoder = effort.into_iter().fold(encoder, Encoder::effort);
    let encode = median_seconds(RUNS.0, || encoder.encode(&original).map(drop))?;
    let decoder = Decoder::new(model);
    let decode = median_seconds(RUNS.1, || decoder.decode(&file).map(drop))?;
    let (width, height) = SIZE;
    let megapixels = 1e-6 * (width * height) as f64;
    Ok(PhotoSpeeds {
        encode_s: encode,
        decode_s: decode,
        encode_megapixels_per_s: megapixels / encode,
        decode_megapixels_per_s: megapixels / decode,
        bytes: file.len(),
        width,
        height,
        quality: QUALITY,
        effort,
        threads: rayon::current_num_threads(),
        simd: simd(),
    })
}

impl Speeds for PhotoSpeeds {
    fn text(&self) -> String {
        let effort = self.effort.map_or_else(|| "default effort".into(), |effort| format!("effort {effort}"));
        format!(
            "{} threads, {}, {}x{} pixels, quality {}, {} bytes\n\
             encode {:8.3} s {:8.2} megapixels/s, {effort}\n\
             decode {:8.3} s {:8.2} megapixels/s\n",
            self.threads,
            self.simd,
            self.width,
            self.height,
            self.quality,
            self.bytes,
            self.encode_s,
            self.encode_megapixels_per_s,
            self.decode_s,
            self.decode_megapixels_per_s,
        )
    }
}

/// A picture with structure of all sizes, as photographs have: random colours on grids of cells of 2 to 128 pixels, interpolated and
/// added. It takes nearly as many bytes as a photograph.
fn picture() -> Picture {
    let (columns, rows) = SIZE;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut values = vec![128.0; 3 * columns * rows];
    for cell in (1..8).map(|octave| 1 << octave) {
        let across = columns / cell + 2;
        let grid: Vec<[f32; 3]> = (0..across * (rows / cell + 2))
            .map(|_| {
                let luma: f32 = rng.random_range(-20.0..20.0);
                [0, 1, 2].map(|_| luma + rng.random_range(-4.0..4.0))
            })
            .collect();
        for (index, value) in values.iter_mut().enumerate() {
            let (colour, x, y) = (index % 3, index / 3 % columns, index / 3 / columns);
            let corner = |dy: usize, dx: usize| grid[(y / cell + dy) * across + x / cell + dx][colour];
            let [right, down] = [x, y].map(|at| (at % cell) as f32 / cell as f32);
            let line = |dy| (1.0 - right) * corner(dy, 0) + right * corner(dy, 1);
            *value += (1.0 - down) * line(0) + down * line(1);
        }
    }
    Picture::from_rgb(columns as u32, rows as u32, values.into_iter().map(|value: f32| value as u8).collect())
}
