//! Any payload of a photo of any small size is either rejected or decodes to its pixels, and can always be decoded as a cut one.
#![no_main]

use aez_core::Error;
use aez_fuzz::{LIMITS, PhotoCase};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(PhotoCase { height, width, network, multiplier, rest }) = PhotoCase::new(data) else { return };
    let count = 3 * (height * width) as usize;
    match network.decode(height, width, multiplier, rest, &LIMITS) {
        Ok(pixels) => {
            assert_eq!(pixels.len(), count);
            // It is the same number with a zero at its end, but not its shortest string.
            let longer = [rest, &[0]].concat();
            assert!(network.decode(height, width, multiplier, &longer, &LIMITS).is_err());
            let levels =
                network.level_bytes(height, width, multiplier, rest, &LIMITS).expect("a valid payload");
            assert_eq!(levels.len(), network.config().levels.len());
            assert_eq!(levels.iter().sum::<usize>(), rest.len());
        }
        Err(Error::Damaged(_)) => {}
        Err(other) => panic!("{other:?} is no documented error of a payload"),
    }
    let (pixels, levels) = network.decode_cut(height, width, multiplier, rest, &LIMITS).expect("any bytes");
    assert_eq!(pixels.len(), count);
    assert!(levels <= network.config().levels.len());
});
