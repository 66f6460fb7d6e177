//! Arbitrary latents of a photo survive a round trip: decoding shows the pixels that encoding returned.
#![no_main]

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
    let (payload, shown) = network.encode(height, width, multiplier, &latents, &[]).expect("latents in range");
    let decoded = network.decode(height, width, multiplier, &payload, &LIMITS);
    assert_eq!(decoded.expect("encoded latents"), shown);
});
