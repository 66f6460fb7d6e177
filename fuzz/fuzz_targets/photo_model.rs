//! A model file of the photo family is either rejected, or is a model whose sums never overflow.
#![no_main]

use aez_core::{Error, Quality, photo::PhotoModel};
use aez_fuzz::{LIMITS, photo_model};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else { return };
    // Arbitrary files seldom have a valid structure, so that half of the inputs are weights only.
    let file = if kind & 1 == 0 { rest.to_vec() } else { photo_model(kind >> 1, rest) };
    let model = match PhotoModel::from_bytes(&file) {
        Ok(model) => model,
        Err(Error::Model(_)) => return,
        Err(other) => panic!("{other:?} is no documented error of a model file"),
    };
    for quality in [1, 100] {
        let (network, multiplier) = model.network(Quality::new(quality).expect("1 to 100"));
        let payload = &rest[..rest.len().min(64)];
        match network.decode(6, 9, multiplier, payload, &LIMITS.with_max_memory(1 << 26)) {
            Ok(pixels) => assert_eq!(pixels.len(), 3 * 6 * 9),
            Err(Error::Damaged(_)) => {}
            Err(other) => panic!("{other:?} is no documented error of a payload"),
        }
        let levels = network.config().levels.iter().enumerate();
        let count = |level: usize| 6_usize.div_ceil(1 << level) * 9_usize.div_ceil(1 << level);
        let largest =
            |index: usize| if rest.get(index).is_some_and(|byte| byte & 1 == 0) { -4095 } else { 4095 };
        let latents: Vec<Vec<i32>> =
            levels.map(|(level, sizes)| (0..count(level) * sizes.channels).map(largest).collect()).collect();
        let (payload, shown) = network.encode(6, 9, multiplier, &latents, &[]).expect("latents in range");
        let decoded = network.decode(6, 9, multiplier, &payload, &LIMITS.with_max_memory(1 << 26));
        assert_eq!(decoded.expect("encoded latents"), shown);
    }
});
