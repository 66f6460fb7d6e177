//! A container with a right checksum either is refused or can be written and read back.
#![no_main]

use aez::container::{Container, seal};
use aez_fuzz::LIMITS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    if seal(&mut bytes).is_err() {
        assert!(Container::parse(data, &LIMITS).is_err());
        return;
    }
    let Ok(container) = Container::parse(&bytes, &LIMITS) else { return };
    let again = container.to_bytes().expect("what was read can be written");
    assert_eq!(Container::parse(&again, &LIMITS).expect("what was written can be read"), container);
    let is_plain = container.alpha.is_none() && container.icc.is_none() && container.exif.is_none();
    // Sections of unknown kinds are dropped.
    assert!(!is_plain || again.len() < bytes.len() || again == bytes);
});
