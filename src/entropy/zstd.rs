//! Symbols as bytes, channel after channel, in a zstd frame.
//!
//! A symbol is mapped to a natural number, `0, -1, 1, -2, 2, ...` to `0, 1, 2, 3, 4, ...`. A channel whose
//! numbers all fit takes a byte for each cell; any other one takes the low bytes of all its cells, then the
//! high bytes. So the length of the content follows from the tables, and is known before decompression.

use super::{
    frame,
    tables::{Table, Tables},
};
use crate::{
    error::{Error, Result},
    symbols::{Shape, Symbols},
};

/// Codes symbols that are known to be in the range of the tables.
pub fn encode(symbols: &Symbols, tables: &Tables, dictionary: Option<&[u8]>) -> Result<Vec<u8>> {
    let (values, stride) = (symbols.values(), tables.channels().len());
    let mut content = Vec::new();
    for (channel, table) in tables.channels().iter().enumerate() {
        for plane in 0..bytes_per_symbol(table) {
            let column = values.iter().skip(channel).step_by(stride);
            content.extend(column.map(|&symbol| to_natural(symbol).to_le_bytes()[plane]));
        }
    }
    frame::compress(&content, dictionary)
}

/// Decodes exactly the symbols of `shape`. The caller has checked the shape against tables and limits.
pub fn decode(bytes: &[u8], shape: Shape, tables: &Tables, dictionary: Option<&[u8]>) -> Result<Symbols> {
    let too_large = || Error::Misuse(format!("{shape:?} is too large"));
    let length = raw_len(shape, tables).ok_or_else(too_large)?;
    let mut content = &frame::decompress(bytes, length, dictionary)?[..];
    let cells = shape.cells() as usize;
    let stride = tables.channels().len();
    let mut values = vec![0; cells * stride];
    for (channel, table) in tables.channels().iter().enumerate() {
        let planes;
        (planes, content) = content.split_at(cells * bytes_per_symbol(table));
        for (cell, &low) in planes[..cells].iter().enumerate() {
            let high = planes.get(cells + cell).copied().unwrap_or(0);
            let symbol = from_natural(u16::from_le_bytes([low, high]));
            if symbol.abs() > table.max {
                return Err(Error::damaged(format_args!(
                    "symbol {symbol} of channel {channel} is not within ±{}",
                    table.max
                )));
            }
            values[cell * stride + channel] = symbol;
        }
    }
    Symbols::new(shape, values)
}

/// Length of the content before compression.
pub fn raw_len(shape: Shape, tables: &Tables) -> Option<u64> {
    let bytes_per_cell: usize = tables.channels().iter().map(bytes_per_symbol).sum();
    shape.cells().checked_mul(bytes_per_cell as u64)
}

fn bytes_per_symbol(table: &Table) -> usize {
    if to_natural(table.max) <= 0xFF { 1 } else { 2 }
}

fn to_natural(symbol: i32) -> u16 {
    (symbol << 1 ^ symbol >> 31) as u16
}

fn from_natural(natural: u16) -> i32 {
    i32::from(natural >> 1) ^ -i32::from(natural & 1)
}
