//! Entropy coding of the symbols of a packed array.
//!
//! A symbol is coded as a *token*, signed, and raw bits. Tokens below 8 are magnitudes; each further one stands for the magnitudes
//! with the same length in bits and the same bit after the highest one, and the raw bits are the lower ones. The frequencies of
//! the tokens depend on a *context*, the magnitudes of symbols that were coded before.

use super::grid::Grid;
use crate::{
    entropy::{Frequencies, Indexed, RangeDecoder, RangeEncoder},
    error::Result,
    limits,
};

/// Tokens without a sign.
pub const TOKENS: usize = 42;
/// Contexts of an array that has several.
pub const CONTEXTS: usize = 16;
/// Magnitude of the largest symbol.
pub const MAX_MAGNITUDE: u32 = (1 << 20) - 1;
/// Larger magnitudes count like this one in a context.
const MAX_SIZE: u32 = 15;

/// Relative frequencies of the tokens 0, 1, ... in a context; a negative token has that of its magnitude.
pub type Weights = [u16; TOKENS];

/// The frequencies of the signed tokens in each context.
///
/// # Errors
/// [`Error::Misuse`](crate::Error::Misuse) for a weight of 0, or too large a sum.
pub fn tables(weights: &[Weights]) -> Result<Vec<Indexed>> {
    let table = |weights: &Weights| {
        let negative = weights[1..].iter().rev();
        let signed: Vec<u32> = negative.chain(weights).map(|&weight| u32::from(weight)).collect();
        Frequencies::from_weights(1 - TOKENS as i32, &signed).map(Indexed::new)
    };
    weights.iter().map(table).collect()
}

/// Encodes the symbols of some rows.
///
/// # Errors
/// None.
pub fn encode(symbols: &[i32], grid: Grid, tables: &[Indexed]) -> Result<Vec<u8>> {
    let mut encoder = RangeEncoder::new();
    walk(symbols.len() / grid.row_len(), grid, |context, index| {
        let symbol = symbols[index];
        let (token, rest, bits) = split(symbol.unsigned_abs());
        let table = tables[context.min(tables.len() - 1)].frequencies();
        encoder.put(symbol.signum() * token as i32, table);
        if bits > 0 {
            encoder.put_bits(rest, bits);
        }
        Ok(symbol)
    })?;
    Ok(encoder.finish())
}

/// Decodes the symbols of some rows, which must take up all of `bytes`.
///
/// # Errors
/// [`Error::Damaged`](crate::Error::Damaged) for bytes that [`encode`] does not write, [`Error::Io`](crate::Error::Io) when there is
/// not enough memory.
pub fn decode(bytes: &[u8], rows: usize, grid: Grid, tables: &[Indexed]) -> Result<Vec<i32>> {
    let mut decoder = RangeDecoder::new(bytes);
    let symbols = walk(rows, grid, |context, _| {
        let token = decoder.take_indexed(&tables[context.min(tables.len() - 1)])?;
        let (least, bits) = lowest(token.unsigned_abs());
        let rest = if bits > 0 { decoder.take_bits(bits)? } else { 0 };
        Ok(token.signum() * (least + rest) as i32)
    })?;
    decoder.finish()?;
    Ok(symbols)
}

/// The weights of the tokens of some symbols in each of `contexts` contexts.
pub fn count(symbols: &[i32], grid: Grid, contexts: usize) -> Result<Vec<Weights>> {
    let mut counts = vec![[0_u64; TOKENS]; contexts];
    walk(symbols.len() / grid.row_len(), grid, |context, index| {
        let (token, ..) = split(symbols[index].unsigned_abs());
        // Both signs of a magnitude have the same frequency, so that a zero counts twice.
        counts[context.min(contexts - 1)][token as usize] += if token == 0 { 2 } else { 1 };
        Ok(symbols[index])
    })?;
    Ok(counts.iter().map(to_weights).collect())
}

fn to_weights(counts: &[u64; TOKENS]) -> Weights {
    let total = (2 * counts.iter().sum::<u64>() - counts[0]).max(1);
    counts.map(|count| ((count << 16) / total).clamp(1, u16::MAX.into()) as u16)
}

/// Calls `code` with the context and the index of each symbol of some rows, in the order in which they are coded. It returns the
/// symbol, from which further contexts are computed.
fn walk(rows: usize, grid: Grid, mut code: impl FnMut(usize, usize) -> Result<i32>) -> Result<Vec<i32>> {
    let Grid { edge, channels, .. } = grid;
    let places = edge * edge;
    let count = rows * grid.row_len();
    let mut symbols = limits::allocate(count as u64)?;
    let mut sizes: Vec<u8> = limits::allocate(count as u64)?;
    let mut sums = vec![0_u8; channels];
    for at in 0..rows * places {
        sums.fill(0);
        let place = at % places;
        for (exists, back) in [(at >= places, places), (place >= edge, edge), (place % edge > 0, 1)] {
            if exists {
                let neighbour = &sizes[(at - back) * channels..][..channels];
                sums.iter_mut().zip(neighbour).for_each(|(sum, size)| *sum += 2 * size);
            }
        }
        let (mut last, mut before) = (0, 0);
        for &sum in &sums {
            let (context, ..) = split(u32::from(sum + last + before));
            let symbol = code(context as usize, symbols.len())?;
            (before, last) = (last, symbol.unsigned_abs().min(MAX_SIZE) as u8);
            symbols.push(symbol);
            sizes.push(last);
        }
    }
    Ok(symbols)
}

/// The token of a magnitude, its raw bits, and their number.
fn split(magnitude: u32) -> (u32, u32, u32) {
    if magnitude < 8 {
        return (magnitude, 0, 0);
    }
    let bits = magnitude.ilog2() - 1;
    (2 * bits + (magnitude >> bits) + 2, magnitude & ((1 << bits) - 1), bits)
}

/// The lowest magnitude of a token, and its number of raw bits.
fn lowest(token: u32) -> (u32, u32) {
    if token < 8 {
        return (token, 0);
    }
    let bits = (token - 4) / 2;
    ((2 + token % 2) << bits, bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiled::Config;

    #[test]
    fn tokens_and_raw_bits_make_up_every_magnitude() {
        let largest = (0..20).map(|bit| (1 << bit) - 1);
        for magnitude in (0..5000).chain(largest).chain([MAX_MAGNITUDE]) {
            let (token, rest, bits) = split(magnitude);
            assert!((token as usize) < TOKENS && rest < 1 << bits);
            assert_eq!((magnitude - rest, bits), lowest(token));
        }
        assert_eq!(split(8).0, 8);
        assert_eq!(split(MAX_MAGNITUDE).0 as usize, TOKENS - 1);
        // The largest sum of a context.
        assert_eq!(split(8 * MAX_SIZE).0 as usize, CONTEXTS - 1);
    }

    fn grid() -> Grid {
        let config = Config { tile: 8, channels: 3, reductions: 1, latents: 7, ..Config::default() };
        Grid::of(&config, "decoder.linear.weight", &[]).unwrap()
    }

    /// Symbols of all sizes, large ones beside each other.
    fn symbols() -> Vec<i32> {
        let symbol = |i: i32| ((i * 7919 % 31 - 15) as f32 * (i as f32 * 0.05).sin().powi(8)) as i32;
        let mut symbols: Vec<i32> = (0..grid().len() as i32).map(symbol).collect();
        symbols[40..46].copy_from_slice(&[MAX_MAGNITUDE as i32, -(MAX_MAGNITUDE as i32), 8, -9, 130, 70_000]);
        symbols
    }

    #[test]
    fn symbols_survive_a_round_trip_and_contexts_save_bytes() {
        let symbols = symbols();
        let [with, without] = [CONTEXTS, 1].map(|contexts| {
            let weights = count(&symbols, grid(), contexts).unwrap();
            let tables = tables(&weights).unwrap();
            let bytes = encode(&symbols, grid(), &tables).unwrap();
            assert_eq!(decode(&bytes, 7, grid(), &tables).unwrap(), symbols);
            for length in 0..bytes.len() {
                assert_ne!(decode(&bytes[..length], 7, grid(), &tables).ok().as_ref(), Some(&symbols));
            }
            assert!(decode(&[&bytes[..], &[0]].concat(), 7, grid(), &tables).is_err());
            bytes.len()
        });
        assert!(with < without, "{with} and {without} bytes");
    }

    #[test]
    fn weights_are_positive_and_all_bytes_end() {
        let weights = count(&vec![0; grid().len()], grid(), 1).unwrap();
        assert!(weights[0].iter().all(|&weight| weight > 0));
        let table = tables(&weights).unwrap();
        for byte in 0..=255 {
            let _ = decode(&[byte; 50], 7, grid(), &table);
        }
        assert!(tables(&[[0; TOKENS]]).is_err() && tables(&[[u16::MAX; TOKENS]]).is_err());
    }
}
