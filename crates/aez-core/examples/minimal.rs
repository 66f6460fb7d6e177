//! Encodes a pixel buffer and decodes it again, without threads, C code or files other than the model:
//!
//! `cargo run --release -p aez-core --no-default-features --example minimal -- models/tile.safetensors`

use aez_core::{Decoder, Encoder, Limits, Model, Picture};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: minimal MODEL")?;
    let model = Model::from_bytes(std::fs::read(path)?)?;
    // Rows from the top, pixels from the left, red, green, blue.
    let pixels = (0..64 * 48).flat_map(|i| [(i % 64 * 4) as u8, (i / 64 * 5) as u8, 99]).collect();
    let bytes = Encoder::new(&model).encode(&Picture::from_rgb(64, 48, pixels))?;
    let picture = Decoder::new(&model).limits(Limits::default().with_max_pixels(1 << 20)).decode(&bytes)?;
    println!("{} bytes for {}x{} pixels", bytes.len(), picture.width, picture.height);
    Ok(())
}
