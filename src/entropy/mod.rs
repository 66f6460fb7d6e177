//! Symbols ↔ bytes: a range coder that knows the model's [`Prior`], and zstd, which finds repetition.
//!
//! The range coder is the rule: a tile has some two hundred symbols, too few to learn their statistics from.
//! zstd wins where tiles repeat (a plain background). The encoder writes the smaller, and the file names it.
//! Decoding uses integers alone, so that every machine reads the same symbols.

pub(crate) mod frame;
mod prior;
pub(crate) mod range;
mod tables;
mod zstd;

pub use prior::Prior;
pub use tables::Tables;

use crate::{
    error::Result,
    limits::Limits,
    symbols::{Shape, Symbols},
};

/// The way in which a file's symbols are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coder {
    Zstd,
    Range,
}

impl Coder {
    /// The name that `aez info` prints.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Range => "range",
        }
    }
}

/// Codes the symbols both ways and returns the smaller result.
///
/// # Errors
/// [`Error::Misuse`](crate::Error::Misuse) when the tables are made for another number of channels, or a symbol lies outside of
/// [`Tables::range`].
pub fn encode(symbols: &Symbols, tables: &Tables) -> Result<(Coder, Vec<u8>)> {
    let range = encode_with(Coder::Range, symbols, tables)?;
    let zstd = encode_with(Coder::Zstd, symbols, tables)?;
    Ok(if zstd.len() < range.len() { (Coder::Zstd, zstd) } else { (Coder::Range, range) })
}

/// Codes the symbols in the given way.
///
/// # Errors
/// As [`encode`].
pub fn encode_with(coder: Coder, symbols: &Symbols, tables: &Tables) -> Result<Vec<u8>> {
    tables.check(symbols)?;
    match coder {
        Coder::Range => Ok(range::encode(symbols, tables)),
        Coder::Zstd => zstd::encode(symbols, tables, None),
    }
}

/// Decodes exactly the symbols of `shape`, which must take up all of `bytes`.
///
/// # Errors
/// [`Error::Damaged`](crate::Error::Damaged) for bytes that no encoder writes, [`Error::Limit`](crate::Error::Limit) before an allocation beyond the
/// limits, [`Error::Misuse`](crate::Error::Misuse) when the tables are made for another number of channels.
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
        Coder::Range => range::decode(bytes, shape, tables),
        Coder::Zstd => zstd::decode(bytes, shape, tables, None),
    }
}

#[cfg(test)]
mod tests;
