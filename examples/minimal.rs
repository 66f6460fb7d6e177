//! Encodes a picture with the built-in model, and decodes it again: `cargo run --release --example minimal`

use aez::{Decoder, Encoder, Limits, Quality, picture};

fn main() -> aez::Result<()> {
    let model = aez::models::tile()?;
    let original = picture::read("docs/sample.png".as_ref(), &Limits::default())?;
    let bytes = Encoder::new(model).quality(Quality::new(60)?).encode(&original)?;
    let decoded = Decoder::new(model).decode(&bytes)?;
    println!("{} bytes, {:.2} dB", bytes.len(), picture::psnr(&original, &decoded)?);
    let png = picture::encode(&decoded, picture::PictureFormat::Png)?;
    picture::write_atomically("sample-aez.png".as_ref(), &png)
}
