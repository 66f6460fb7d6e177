//! Draws `docs/sample.png`, the test image of the documentation: a lake at sunset.
//!
//! `cargo run --release --example draw_sample [OUT]`

mod scene;

use std::error::Error;

use image::{ImageEncoder, codecs::png};

const HEIGHT: u32 = 192;
const WIDTH: u32 = 288;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "docs/sample.png".into());
    let pixels = scene::draw(WIDTH, HEIGHT, (0.0, 0.0), HEIGHT as f32);
    let file = std::io::BufWriter::new(std::fs::File::create(path)?);
    png::PngEncoder::new_with_quality(file, png::CompressionType::Best, png::FilterType::Adaptive)
        .write_image(&pixels, WIDTH, HEIGHT, image::ExtendedColorType::Rgb8)?;
    Ok(())
}
