//! A file with a correct checksum is either rejected, or gives a picture that can be encoded and decoded.
#![no_main]

use std::sync::LazyLock;

use aez_core::{Decoder, Encoder, Model, container::seal, testing::tiny};
use aez_fuzz::LIMITS;
use libfuzzer_sys::fuzz_target;

static MODEL: LazyLock<Model> = LazyLock::new(tiny);

fuzz_target!(|data: &[u8]| {
    // Large enough for several rows of tiles, small enough for many runs per second.
    let decoder = Decoder::new(&MODEL).limits(LIMITS.with_max_memory(1 << 16));
    let mut bytes = data.to_vec();
    if seal(&mut bytes).is_err() {
        assert!(decoder.decode(data).is_err());
        return;
    }
    let Ok(picture) = decoder.decode(&bytes) else { return };
    assert_eq!(picture.rgb.len() as u64, u64::from(picture.width) * u64::from(picture.height) * 3);
    let again = Encoder::new(&MODEL).encode(&picture).expect("a decoded picture can be encoded");
    let decoded = Decoder::new(&MODEL).decode(&again).expect("an encoded picture can be decoded");
    assert_eq!((decoded.width, decoded.height, decoded.gray), (picture.width, picture.height, picture.gray));
    assert_eq!((decoded.alpha, decoded.icc), (picture.alpha, picture.icc));
    assert_eq!((decoded.exif, decoded.xmp), (picture.exif, picture.xmp));
});
