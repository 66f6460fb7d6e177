//! A prior is either rejected or has exactly one encoding and gives valid tables at every quality.
#![no_main]

use aez_core::{Quality, entropy::Prior};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&settings, bytes)) = data.split_first() else { return };
    let channels = usize::from(settings % 4);
    let Ok(prior) = Prior::from_bytes(bytes, channels) else { return };
    assert_eq!(prior.to_bytes(), bytes);
    for quality in [1, 1 + settings % 100, 100] {
        let tables = prior.at(Quality::new(quality).expect("1 to 100"));
        for channel in 0..channels {
            let probability: f64 =
                tables.range(channel).map(|symbol| (-f64::from(tables.bits(channel, symbol))).exp2()).sum();
            assert!((probability - 1.0).abs() < 1e-3, "{probability}");
            let centroids: Vec<f32> =
                tables.range(channel).map(|symbol| tables.centroid(channel, symbol)).collect();
            assert!(centroids.is_sorted(), "{centroids:?}");
        }
    }
});
