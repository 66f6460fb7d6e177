//! Symbols from the zstd decoder survive a round trip through both coders.
#![no_main]

use aez_core::entropy::{Coder, decode, encode_with};
use aez_fuzz::{Case, LIMITS};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(Case { shape, tables, coded }) = Case::new(data) else { return };
    let Ok(symbols) = decode(Coder::Zstd, coded, shape, &tables, &LIMITS) else { return };
    for coder in [Coder::Zstd, Coder::Range] {
        let again = encode_with(coder, &symbols, &tables).expect("decoded symbols are in range");
        assert_eq!(
            decode(coder, &again, shape, &tables, &LIMITS).expect("encoded symbols can be decoded"),
            symbols
        );
    }
});
