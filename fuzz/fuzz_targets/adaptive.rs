//! The adaptive range decoder accepts exactly the bytes that the encoder writes for the decoded symbols.
#![no_main]

use aez_core::entropy::{decode_adaptive, encode_adaptive};
use aez_fuzz::{AdaptiveCase, LIMITS};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(case) = AdaptiveCase::new(data) else { return };
    let table = |before: &[i32]| case.table(before);
    let Ok(symbols) = decode_adaptive(case.coded, case.count, &LIMITS, table) else { return };
    assert_eq!(symbols.len() as u64, case.count);
    assert_eq!(encode_adaptive(&symbols, table).expect("decoded symbols have frequencies"), case.coded);
    let cost = |place: usize| case.table(&symbols[..place]).expect("valid weights").bits(symbols[place]);
    let ideal: f64 = (0..symbols.len()).map(|place| f64::from(cost(place))).sum();
    assert!((case.coded.len() * 8) as f64 <= ideal + 9.0);
});
