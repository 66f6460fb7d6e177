//! Entropy coding: symbols to bytes and back.
//!
//! Symbols with static tables (the tiled family) are coded by a range coder with the model's [`Prior`], or by zstd, which is smaller
//! where tiles repeat. The encoder writes the smaller of the two, and the header names it. [`encode_adaptive`] and
//! [`decode_adaptive`] code symbols whose tables depend on the symbols before them; [`RangeEncoder`] and [`RangeDecoder`] code one
//! symbol at a time. Decoding uses integers only, so that every machine decodes the same symbols.

mod adaptive;
pub(crate) mod frame;
mod frequencies;
mod prior;
mod range;
mod tables;
mod zstd;

pub use adaptive::{decode_adaptive, encode_adaptive};
pub use frequencies::Frequencies;
pub(crate) use frequencies::Indexed;
pub use prior::Prior;
pub use range::{RangeDecoder, RangeEncoder};
pub use tables::Tables;

use crate::{
    error::Result,
    limits::Limits,
    symbols::{Shape, Symbols},
};

/// The entropy coder of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coder {
    /// A zstd frame.
    Zstd,
    /// The range coder.
    Range,
}

impl Coder {
    /// The name, `zstd` or `range`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Range => "range",
        }
    }
}

/// Encodes symbols with both coders, and returns the smaller result.
///
/// # Errors
/// [`Error::Misuse`](crate::Error::Misuse) when the tables are for another number of channels, or a symbol is outside of
/// [`Tables::range`].
pub fn encode(symbols: &Symbols, tables: &Tables) -> Result<(Coder, Vec<u8>)> {
    let range = encode_with(Coder::Range, symbols, tables)?;
    let zstd = encode_with(Coder::Zstd, symbols, tables)?;
    Ok(if zstd.len() < range.len() { (Coder::Zstd, zstd) } else { (Coder::Range, range) })
}

/// Encodes symbols with the given coder.
///
/// # Errors
/// As [`encode`].
pub fn encode_with(coder: Coder, symbols: &Symbols, tables: &Tables) -> Result<Vec<u8>> {
    tables.check(symbols)?;
    match coder {
        Coder::Range => {
            let mut encoder = RangeEncoder::new();
            encoder.put_symbols(symbols, tables);
            Ok(encoder.finish())
        }
        Coder::Zstd => zstd::encode(symbols, tables),
    }
}

/// Decodes exactly the symbols of `shape`, which must take up all of `bytes`.
///
/// # Errors
/// [`Error::Damaged`](crate::Error::Damaged) for bytes that no encoder writes, [`Error::Limit`](crate::Error::Limit) before an
/// allocation above the limits, [`Error::Misuse`](crate::Error::Misuse) when the tables are for another number of channels.
pub fn decode(coder: Coder, bytes: &[u8], shape: Shape, tables: &Tables, limits: &Limits) -> Result<Symbols> {
    tables.check_channels(shape)?;
    let symbol_bytes = shape.count().and_then(|count| count.checked_mul(size_of::<i32>() as u64));
    let buffer_bytes = match coder {
        Coder::Range => Some(0),
        Coder::Zstd => zstd::raw_len(shape, tables).and_then(|raw| raw.checked_add(bytes.len() as u64)),
    };
    let memory = symbol_bytes.zip(buffer_bytes).and_then(|(a, b)| a.checked_add(b)).unwrap_or(u64::MAX);
    limits.check_memory(memory)?;
    match coder {
        Coder::Range => {
            let mut decoder = RangeDecoder::new(bytes);
            let symbols = decoder.take_symbols(shape, tables)?;
            decoder.finish()?;
            Ok(symbols)
        }
        Coder::Zstd => zstd::decode(bytes, shape, tables),
    }
}

#[cfg(test)]
mod tests;
