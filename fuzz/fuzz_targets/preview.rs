//! A text either is refused as no preview, or is shown: at its own size and at another, always as the same symbols.
#![no_main]

use std::sync::LazyLock;

use aez::{
    Error,
    codec::preview,
    model::{Model, tiny},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;

static MODEL: LazyLock<Model> = LazyLock::new(tiny);

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        show(text);
    }
    // One byte behind any bytes makes the check right.
    let mut coded = data[..data.len().min(preview::MAX_BYTES - 1)].to_vec();
    coded.push(0);
    for last in 0..=255 {
        *coded.last_mut().expect("a byte") = last;
        if show(&BASE64_URL_SAFE_NO_PAD.encode(&coded)) {
            break;
        }
    }
});

/// Whether the check of the text is right.
fn show(text: &str) -> bool {
    let shown = preview::decode(&MODEL, text, Some((7, 3)));
    match (shown, preview::symbols(&MODEL, text)) {
        (Ok(picture), Ok((_, symbols))) => {
            assert_eq!((picture.width, picture.height, picture.rgb.len()), (7, 3, 63));
            assert_eq!(symbols.values().len(), MODEL.latents());
            let own = preview::decode(&MODEL, text, None).expect("what was shown before");
            assert!(own.width.max(own.height) as usize == MODEL.tile() && own.width.min(own.height) > 0);
            true
        }
        (Err(Error::Preview(why)), Err(Error::Preview(_))) => !why.contains("check fails"),
        (shown, symbols) => panic!("{shown:?} and {symbols:?} are no answers to {text:?}"),
    }
}
