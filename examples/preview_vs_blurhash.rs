//! Compares previews with BlurHash on one's own pictures, at equal length of the text.
//!
//! `cargo run --release --example preview_vs_blurhash -- FOLDER [BYTES]`
//!
//! Of each picture, the centre square is scaled to 96 x 96 pixels. BlurHash has 4 x 3 components, whose text is 28
//! characters long; so is that of a preview of 21 bytes, unless told otherwise. Either is decoded to 96 x 96 pixels,
//! whose peak signal-to-noise ratio against the square is averaged over the pictures.

use std::error::Error;

use aez::{
    Limits,
    codec::preview,
    model::Model,
    picture::{self, Picture, centre_square, psnr},
};

const EDGE: u32 = 96;
const COMPONENTS: (u32, u32) = (4, 3);
const BYTES: usize = 21;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name a folder of pictures")?;
    let bytes = arguments.next().map_or(Ok(BYTES), |bytes| bytes.parse())?;
    let model = Model::builtin()?;
    let (mut ours, mut theirs, mut characters) = (Vec::new(), Vec::new(), (0, 0));
    for path in picture::pictures_under(folder.as_ref())? {
        let square = centre_square(&picture::read(&path, &Limits::default())?, EDGE);
        let text = preview::encode(model, &square, bytes)?;
        let hash = blurhash::encode(COMPONENTS.0, COMPONENTS.1, EDGE, EDGE, &rgba(&square))?;
        characters = (characters.0.max(text.len()), characters.1.max(hash.len()));
        ours.push(psnr(&square, &preview::decode(model, &text, Some((EDGE, EDGE)))?)?);
        theirs.push(psnr(&square, &from_blurhash(&hash)?)?);
    }
    let (ours, theirs, count) = (mean(&ours), mean(&theirs), ours.len());
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
