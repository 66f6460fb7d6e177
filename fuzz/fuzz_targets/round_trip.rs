//! An arbitrary small picture becomes a file, in either code, that holds exactly the symbols that were chosen, and all
//! else of the picture as it was.
#![no_main]

use std::sync::LazyLock;

use aez::{
    Limits, Quality,
    codec::{Decoder, Encoder, quantize::quantize},
    container::Container,
    entropy::{Coder, decode, encode_with},
    model::{Model, tiny},
    picture::Picture,
};
use libfuzzer_sys::fuzz_target;

static MODEL: LazyLock<Model> = LazyLock::new(tiny);

/// Size, quality, kind of picture, and opacity come first; pixels follow, over and over.
const SETTINGS_LEN: usize = 5;

fn picture(data: &[u8]) -> Option<(Picture, Quality)> {
    let (&[width, height, quality, kind, opacity], pixels) = data.split_first_chunk::<SETTINGS_LEN>()?;
    let (width, height) = (u32::from(width % 24) + 1, u32::from(height % 24) + 1);
    let count = (width * height) as usize;
    let level = |at: usize| pixels.get(at % pixels.len().max(1)).copied().unwrap_or(opacity);
    let gray = kind & 1 == 1;
    let rgb = (0..3 * count).map(|at| level(if gray { at / 3 } else { at })).collect();
    let alpha = (kind & 2 == 2).then(|| (0..count).map(|at| level(at + 1) ^ opacity).collect());
    let exif = (kind & 4 == 4).then(|| pixels.to_vec());
    let picture = Picture { gray, alpha, exif, ..Picture::from_rgb(width, height, rgb) };
    Some((picture, Quality::new(1 + quality % 100).expect("1 to 100")))
}

fuzz_target!(|data: &[u8]| {
    let Some((picture, quality)) = picture(data) else { return };
    let encoder = Encoder { quality, ..Encoder::new(&MODEL) };
    let latents = encoder.analyse(&picture).expect("a picture");
    let tables = MODEL.prior().at(quality);
    let chosen = quantize(&latents, &tables, quality, encoder.lambda).expect("latents");
    let file = encoder.encode_latents(&picture, &latents).expect("a small picture");
    let container = Container::parse(&file, &Limits::default()).expect("what was written");
    for coder in [Coder::Range, Coder::Zstd] {
        let coded = encode_with(coder, &chosen, &tables).expect("symbols in range");
        if coder == container.header.coder {
            assert_eq!(coded, container.latents);
        }
        let found =
            decode(coder, &coded, chosen.shape(), &tables, &Limits::default()).expect("what was coded");
        assert_eq!(found, chosen);
    }
    let decoded = Decoder::new(&MODEL).decode(&file).expect("what was written");
    assert_eq!((decoded.width, decoded.height, decoded.gray), (picture.width, picture.height, picture.gray));
    assert_eq!((decoded.alpha, decoded.exif), (picture.alpha, picture.exif));
});
