//! A text is either rejected, or can be decoded at its default size and at another.
#![no_main]

use std::sync::LazyLock;

use aez_core::{Error, Model, preview, testing::tiny};
use aez_fuzz::LIMITS;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;

static MODEL: LazyLock<Model> = LazyLock::new(tiny);

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        decode(text);
    }
    // For any bytes, some value of one further byte makes the check correct.
    let mut coded = data[..data.len().min(preview::MAX_BYTES - 1)].to_vec();
    coded.push(0);
    for last in 0..=255 {
        *coded.last_mut().expect("a byte") = last;
        if decode(&BASE64_URL_SAFE_NO_PAD.encode(&coded)) {
            break;
        }
    }
});

/// Decodes a text. Returns whether its check is correct.
fn decode(text: &str) -> bool {
    let decoded = preview::decode(&MODEL, text, Some((7, 3)), &LIMITS);
    match (decoded, preview::symbols(&MODEL, text)) {
        (Ok(picture), Ok((_, symbols))) => {
            assert_eq!((picture.width, picture.height, picture.rgb.len()), (7, 3, 63));
            assert_eq!(symbols.values().len(), MODEL.tiled().expect("a tiled model").latents());
            let default = preview::decode(&MODEL, text, None, &LIMITS).expect("a valid preview");
            let edge = MODEL.block_edge().expect("a tiled model");
            assert!(default.width.max(default.height) == edge && default.shortest_side() > 0);
            true
        }
        (Err(Error::Preview(reason)), Err(Error::Preview(_))) => !reason.contains("check fails"),
        (decoded, symbols) => panic!("{decoded:?} and {symbols:?} for {text:?}"),
    }
}
