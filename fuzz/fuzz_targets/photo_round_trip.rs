//! Arbitrary latents and coefficients of a photo survive a round trip: decoding shows the pixels that encoding returned.
#![no_main]

use aez_core::Error;
use aez_fuzz::{LIMITS, PhotoCase};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(PhotoCase { height, width, network, multiplier, rest }) = PhotoCase::new(data) else { return };
    // Latents of two bytes, which are repeated as needed.
    let values: Vec<i32> =
        rest.as_chunks::<2>().0.iter().map(|&bytes| i32::from(i16::from_le_bytes(bytes)) % 4096).collect();
    let mut values = values.iter().copied().cycle();
    let mut level = |(level, sizes): (usize, &aez_core::photo::Level)| -> Vec<i32> {
        let count = height.div_ceil(1 << level) * width.div_ceil(1 << level) * sizes.channels as u32;
        (0..count).map(|_| values.next().unwrap_or(0)).collect()
    };
    let latents: Vec<Vec<i32>> = network.config().levels.iter().enumerate().map(&mut level).collect();
    let coefficients: Vec<i32> = (0..network.config().directions)
        .map(|index| rest.get(index).map_or(0, |&byte| i32::from(byte as i8).max(-127)))
        .collect();
    let (payload, shown) = match network.encode(height, width, multiplier, &latents, &coefficients) {
        Ok(encoded) => encoded,
        Err(Error::Damaged(_)) if coefficients.iter().any(|&coefficient| coefficient != 0) => return,
        Err(other) => panic!("{other:?} for latents and coefficients in range"),
    };
    let decoded = network.decode(height, width, multiplier, &payload, &LIMITS);
    assert_eq!(decoded.expect("encoded latents"), shown);
});
