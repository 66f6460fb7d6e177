//! Compares previews with BlurHash at the same text length, on the pictures of a folder.
//!
//! `cargo run --release --example preview_vs_blurhash -- FOLDER [BYTES]`
//!
//! The centre square of each picture is scaled to 96x96 pixels. BlurHash with 4x3 components gives a text of 28 characters,
//! and so does a preview of 21 bytes, the default. Both are decoded to 96x96 pixels. The program prints the peak
//! signal-to-noise ratios (PSNR), averaged over the pictures.

use std::error::Error;

use aez::{Limits, Picture, preview};
use aez_core::picture::{psnr, resample::centre_square};

const EDGE: u32 = 96;
const COMPONENTS: (u32, u32) = (4, 3);
const BYTES: usize = 21;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: preview_vs_blurhash FOLDER [BYTES]")?;
    let bytes = arguments.next().map_or(Ok(BYTES), |bytes| bytes.parse())?;
    let model = aez::models::preview();
    let limits = Limits::default();
    let (mut preview_psnr, mut blurhash_psnr, mut characters) = (Vec::new(), Vec::new(), (0, 0));
    for path in aez_image::pictures_under(folder.as_ref())? {
        let square = centre_square(&aez_image::read(&path, &limits)?, EDGE);
        let text = preview::encode(model, &square, bytes)?;
        let hash = blurhash::encode(COMPONENTS.0, COMPONENTS.1, EDGE, EDGE, &rgba(&square))?;
        characters = (characters.0.max(text.len()), characters.1.max(hash.len()));
        let decoded = preview::decode(model, &text, Some((EDGE, EDGE)), &limits)?;
        preview_psnr.push(psnr(&square, &decoded)?);
        blurhash_psnr.push(psnr(&square, &from_blurhash(&hash)?)?);
    }
    let (ours, theirs, count) = (mean(&preview_psnr), mean(&blurhash_psnr), preview_psnr.len());
    println!("{count} pictures           characters  PSNR");
    println!("aez preview               {:3}  {ours:8.2} dB", characters.0);
    println!("BlurHash, {}x{} components  {:3}  {theirs:8.2} dB", COMPONENTS.0, COMPONENTS.1, characters.1);
    println!("difference                    {:+9.2} dB", ours - theirs);
    Ok(())
}

fn rgba(picture: &Picture) -> Vec<u8> {
    picture.rgb.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect()
}

fn from_blurhash(hash: &str) -> Result<Picture, Box<dyn Error>> {
    let rgba = blurhash::decode(hash, EDGE, EDGE, 1.0)?;
    let rgb = rgba.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
    Ok(Picture::from_rgb(EDGE, EDGE, rgb))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
