//! The range decoder accepts exactly the bytes that the encoder writes for the decoded symbols.
#![no_main]

use aez_core::entropy::{Coder, decode, encode_with};
use aez_fuzz::{Case, LIMITS};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(Case { shape, tables, coded }) = Case::new(data) else { return };
    let Ok(symbols) = decode(Coder::Range, coded, shape, &tables, &LIMITS) else { return };
    assert_eq!(encode_with(Coder::Range, &symbols, &tables).expect("decoded symbols are in range"), coded);
    assert!((coded.len() * 8) as f64 <= tables.ideal_bits(&symbols) + 9.0);
});
