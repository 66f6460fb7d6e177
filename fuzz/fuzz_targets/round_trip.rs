//! The file of an arbitrary small picture contains exactly the quantized symbols, for both entropy coders, and the alpha plane
//! and the metadata of the picture.
#![no_main]

use std::sync::LazyLock;

use aez_core::{
    Decoder, Encoder, Limits, Model, Picture, Quality,
    container::Container,
    entropy::{Coder, decode, encode_with},
    testing::tiny,
    tiled::quantize::{LAMBDA, quantize},
};
use libfuzzer_sys::fuzz_target;

static MODEL: LazyLock<Model> = LazyLock::new(tiny);

/// Bytes before the pixels: width, height, quality, kind of picture, and opacity. Pixels are repeated as needed.
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
    let xmp = (kind & 8 == 8).then(|| pixels.to_vec());
    let picture = Picture::from_rgb(width, height, rgb).with_gray(gray).with_alpha(alpha);
    let picture = picture.with_exif(exif).with_xmp(xmp);
    Some((picture, Quality::new(1 + quality % 100).expect("1 to 100")))
}

fuzz_target!(|data: &[u8]| {
    let Some((picture, quality)) = picture(data) else { return };
    let model = MODEL.tiled().expect("a tiled model");
    // All pixels count, the hidden ones too.
    let latents = model.latents_of(&picture.clone().with_alpha(None)).expect("a picture");
    let tables = model.prior().at(quality);
    let symbols = quantize(&latents, &tables, quality, LAMBDA).expect("latents");
    let file = Encoder::new(&MODEL).quality(quality).exact(true).encode(&picture).expect("a small picture");
    let container = Container::parse(&file, &Limits::default()).expect("a valid file");
    for coder in [Coder::Range, Coder::Zstd] {
        let coded = encode_with(coder, &symbols, &tables).expect("symbols in range");
        if coder == container.header.coder {
            assert_eq!(coded, container.payload);
        }
        let decoded = decode(coder, &coded, symbols.shape(), &tables, &Limits::default());
        assert_eq!(decoded.expect("encoded symbols"), symbols);
    }
    let decoded = Decoder::new(&MODEL).decode(&file).expect("a valid file");
    assert_eq!((decoded.width, decoded.height, decoded.gray), (picture.width, picture.height, picture.gray));
    assert_eq!((decoded.alpha, decoded.exif), (picture.alpha, picture.exif));
    assert_eq!(decoded.xmp, picture.xmp);
});
