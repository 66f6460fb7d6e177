//! Symbols as bytes, cell after cell, in a zstd frame.
//!
//! A symbol is mapped to a natural number, `0, -1, 1, -2, 2, ...` to `0, 1, 2, 3, 4, ...`. The content is the low byte of each
//! number, followed by the high bytes of the *wide* channels, whose tables have numbers of more than eight bits. So the length of the
//! content follows from the tables and is known before decompression. The order by cells makes a repeated tile a single match.

use super::{
    frame,
    tables::{Table, Tables},
};
use crate::{
    error::{Error, Result},
    symbols::{Shape, Symbols},
};

/// Codes symbols that are known to be in the range of the tables.
pub fn encode(symbols: &Symbols, tables: &Tables) -> Result<Vec<u8>> {
    let wide = wide_channels(tables);
    let low = symbols.values().iter().map(|&symbol| to_natural(symbol).to_le_bytes()[0]);
    let high = symbols.cells().flat_map(|cell| wide.iter().map(|&c| to_natural(cell[c]).to_le_bytes()[1]));
    let content: Vec<u8> = low.chain(high).collect();
    frame::compress(&content)
}

/// Decodes exactly the symbols of `shape`. The caller has checked the shape against tables and limits.
pub fn decode(bytes: &[u8], shape: Shape, tables: &Tables) -> Result<Symbols> {
    let too_large = || Error::Misuse(format!("{shape:?} is too large"));
    let length = raw_len(shape, tables).ok_or_else(too_large)?;
    let content = frame::decompress(bytes, length)?;
    let channels = tables.channels();
    let (low, high) = content.split_at(content.len() - shape.cells() as usize * wide_channels(tables).len());
    let mut high = high.iter();
    let mut values = Vec::with_capacity(low.len());
    for cell in low.chunks_exact(channels.len()) {
        for ((channel, table), &low) in channels.iter().enumerate().zip(cell) {
            let high = if is_wide(table) { high.next().copied().unwrap_or(0) } else { 0 };
            let symbol = from_natural(u16::from_le_bytes([low, high]));
            if symbol.abs() > table.max {
                let max = table.max;
                return Err(Error::damaged(format_args!(
                    "symbol {symbol} of channel {channel} is not within ±{max}"
                )));
            }
            values.push(symbol);
        }
    }
    Symbols::new(shape, values)
}

/// Length of the content before compression.
pub fn raw_len(shape: Shape, tables: &Tables) -> Option<u64> {
    shape.cells().checked_mul((tables.channels().len() + wide_channels(tables).len()) as u64)
}

fn wide_channels(tables: &Tables) -> Vec<usize> {
    (0..).zip(tables.channels()).filter(|(_, table)| is_wide(table)).map(|(channel, _)| channel).collect()
}

fn is_wide(table: &Table) -> bool {
    to_natural(table.max) > 0xFF
}

fn to_natural(symbol: i32) -> u16 {
    (symbol << 1 ^ symbol >> 31) as u16
}

fn from_natural(natural: u16) -> i32 {
    i32::from(natural >> 1) ^ -i32::from(natural & 1)
}
