//! A container with a correct checksum is either rejected or survives a round trip.
#![no_main]

use aez_core::container::{Container, seal};
use aez_fuzz::LIMITS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    if seal(&mut bytes).is_err() {
        assert!(Container::parse(data, &LIMITS).is_err());
        return;
    }
    let Ok(container) = Container::parse(&bytes, &LIMITS) else { return };
    let again = container.to_bytes().expect("a parsed container can be written");
    assert_eq!(Container::parse(&again, &LIMITS).expect("a written container can be parsed"), container);
    let Container { alpha, icc, exif, xmp, .. } = &container;
    let is_plain = alpha.is_none() && [icc, exif, xmp].into_iter().all(Option::is_none);
    // Sections of unknown kinds are skipped.
    assert!(!is_plain || again.len() < bytes.len() || again == bytes);
});
