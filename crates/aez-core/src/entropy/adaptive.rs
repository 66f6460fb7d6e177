//! Range coding with a table for each symbol that depends on the symbols before it.

use std::borrow::Borrow;

use super::{Frequencies, RangeDecoder, RangeEncoder};
use crate::{
    error::{Error, Result},
    limits::{self, Limits},
};

/// Codes symbols, each with the frequencies that `table` returns for the symbols before it.
///
/// # Errors
/// [`Error::Misuse`] when a symbol has no frequency in its table; errors of `table`.
pub fn encode_adaptive<T: Borrow<Frequencies>>(
    symbols: &[i32],
    mut table: impl FnMut(&[i32]) -> Result<T>,
) -> Result<Vec<u8>> {
    let mut encoder = RangeEncoder::new();
    for (place, &symbol) in symbols.iter().enumerate() {
        let table = table(&symbols[..place])?;
        let range = table.borrow().symbols();
        if !range.contains(&symbol) {
            return Err(Error::Misuse(format!("symbol {symbol} at place {place} is not in {range:?}")));
        }
        encoder.put(symbol, table.borrow());
    }
    Ok(encoder.finish())
}

/// Decodes exactly `count` symbols, which must take up all of `bytes`. `table` returns the frequencies of the next symbol for the
/// symbols decoded before it.
///
/// # Errors
/// [`Error::Damaged`] for bytes that [`encode_adaptive`] does not write, [`Error::Limit`] before an allocation above the limits;
/// errors of `table`.
pub fn decode_adaptive<T: Borrow<Frequencies>>(
    bytes: &[u8],
    count: u64,
    limits: &Limits,
    mut table: impl FnMut(&[i32]) -> Result<T>,
) -> Result<Vec<i32>> {
    limits.check_memory(count.saturating_mul(size_of::<i32>() as u64))?;
    let mut symbols = limits::allocate(count)?;
    let mut decoder = RangeDecoder::new(bytes);
    for _ in 0..count {
        let table = table(&symbols)?;
        symbols.push(decoder.take(table.borrow())?);
    }
    decoder.finish()?;
    Ok(symbols)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A symbol from 0 to 3 is likely to be near the one before it.
    fn near_the_last(before: &[i32]) -> Result<Frequencies> {
        let last = before.last().copied().unwrap_or(0);
        let weights: Vec<u32> =
            (0..4).map(|symbol: i32| [20, 4, 2, 1][symbol.abs_diff(last) as usize]).collect();
        Frequencies::from_weights(0, &weights)
    }

    proptest! {
        #[test]
        fn symbols_survive_a_round_trip(symbols in prop::collection::vec(0..4, 0..200)) {
            let bytes = encode_adaptive(&symbols, near_the_last).unwrap();
            let decode = |bytes: &[u8], count| decode_adaptive(bytes, count, &Limits::default(), near_the_last);
            prop_assert_eq!(decode(&bytes, symbols.len() as u64).unwrap(), &symbols[..]);
            let longer = decode(&[&bytes[..], &[1]].concat(), symbols.len() as u64).ok();
            prop_assert_ne!(longer.as_ref(), Some(&symbols));
        }

        #[test]
        fn what_decodes_is_what_the_encoder_writes(bytes in prop::collection::vec(any::<u8>(), 0..20), count in 0_u64..40) {
            if let Ok(symbols) = decode_adaptive(&bytes, count, &Limits::default(), near_the_last) {
                prop_assert_eq!(encode_adaptive(&symbols, near_the_last).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn a_context_saves_bits() {
        let runs: Vec<i32> = (0..400).map(|i| i / 100).collect();
        let flat = |_: &[i32]| Frequencies::from_weights(0, &[1; 4]);
        let (with, without) =
            (encode_adaptive(&runs, near_the_last).unwrap(), encode_adaptive(&runs, flat).unwrap());
        assert!(with.len() < 35 && without.len() >= 100, "{} and {} bytes", with.len(), without.len());
    }

    #[test]
    fn errors_are_reported() {
        assert!(matches!(encode_adaptive(&[1, 4], near_the_last), Err(Error::Misuse(_))));
        assert!(matches!(encode_adaptive(&[-1], near_the_last), Err(Error::Misuse(_))));
        let few = Limits::NONE.with_max_memory(7);
        assert!(matches!(decode_adaptive(&[], 2, &few, near_the_last), Err(Error::Limit { .. })));
        let refuse = |_: &[i32]| Frequencies::from_weights(0, &[0]);
        assert!(matches!(decode_adaptive(&[], 1, &Limits::default(), refuse), Err(Error::Misuse(_))));
        for weights in [&[][..], &[1, 0], &[1 << 20, 1]] {
            assert!(Frequencies::from_weights(0, weights).is_err());
        }
    }
}
