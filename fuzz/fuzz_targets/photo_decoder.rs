//! A file of a photo with a correct checksum is either rejected or decodes to a picture of its size.
#![no_main]

use std::sync::LazyLock;

use aez_core::{Decoder, Model, container::seal};
use aez_fuzz::{LIMITS, PHOTO_MODEL};
use libfuzzer_sys::fuzz_target;

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::from_static(PHOTO_MODEL).expect("a valid model"));

fuzz_target!(|data: &[u8]| {
    let decoder = Decoder::new(&MODEL).limits(LIMITS);
    let mut bytes = data.to_vec();
    if seal(&mut bytes).is_err() {
        assert!(decoder.decode(data).is_err());
        return;
    }
    let Ok(picture) = decoder.decode(&bytes) else { return };
    let pixels = u64::from(picture.width) * u64::from(picture.height);
    assert_eq!(picture.rgb.len() as u64, 3 * pixels);
    let is_gray = picture.rgb.chunks_exact(3).all(|pixel| pixel.iter().all(|level| *level == pixel[0]));
    assert!(is_gray || !picture.gray);
    assert_eq!(decoder.decode(&bytes).expect("the same file"), picture);
});
