//! A range coder: the symbols become one number inside an interval that each symbol narrows in proportion to
//! its frequency. The number is written as the fewest bytes that denote a point of the last interval.

use super::tables::{TOTAL_BITS, Tables};
use crate::{
    error::{Error, Result},
    limits,
    symbols::{Shape, Symbols},
};

/// The interval's size is kept at least this large, by moving the window a byte further.
const LEAST_RANGE: u64 = 1 << 56;
const WINDOW_BYTES: usize = size_of::<u64>();

/// Codes symbols that are known to be in the range of the tables.
pub fn encode(symbols: &Symbols, tables: &Tables) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.put_symbols(symbols, tables);
    encoder.finish()
}

/// Cumulative frequencies in proportion to `weights`: positive numbers, at most 2^20 together. As in a table of
/// the prior, there is one more of them than weights.
pub fn cumulative(weights: &[u32]) -> Vec<u32> {
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let mut below = 0;
    let mut cumulative = vec![0];
    cumulative.extend(weights.iter().map(|&weight| {
        below += u64::from(weight);
        ((below << TOTAL_BITS) / total) as u32
    }));
    cumulative
}

/// The interval from `low` to `low + range`, both relative to the bytes already written.
pub struct Encoder {
    bytes: Vec<u8>,
    low: u64,
    range: u64,
}

impl Encoder {
    pub fn new() -> Self {
        Self { bytes: Vec::new(), low: 0, range: u64::MAX }
    }

    /// Codes one of the alternatives of [`cumulative`].
    pub fn put(&mut self, index: usize, cumulative: &[u32]) {
        self.narrow(cumulative[index], cumulative[index + 1] - cumulative[index]);
    }

    /// Codes symbols that are known to be in the range of the tables.
    pub fn put_symbols(&mut self, symbols: &Symbols, tables: &Tables) {
        for cell in symbols.cells() {
            for (table, &symbol) in tables.channels().iter().zip(cell) {
                self.put(table.index(symbol), &table.cumulative);
            }
        }
    }

    fn narrow(&mut self, below: u32, frequency: u32) {
        let unit = self.range >> TOTAL_BITS;
        self.raise(unit * u64::from(below));
        self.range = unit * u64::from(frequency);
        while self.range < LEAST_RANGE {
            self.bytes.push(self.low.to_be_bytes()[0]);
            self.low <<= 8;
            self.range <<= 8;
        }
    }

    /// Adds to `low`; a carry runs into the bytes already written.
    fn raise(&mut self, amount: u64) {
        let (low, carry) = self.low.overflowing_add(amount);
        self.low = low;
        if carry {
            // The whole never exceeds the first interval, so some byte stops the carry.
            for byte in self.bytes.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
    }

    /// Moves to the point of the interval with the most trailing zero bytes, and leaves those out.
    pub fn finish(mut self) -> Vec<u8> {
        let distance = (0..=WINDOW_BYTES as u32)
            .rev()
            .map(|zeros| self.low.wrapping_neg() & 1_u64.checked_shl(8 * zeros).unwrap_or(0).wrapping_sub(1))
            .find(|&distance| distance < self.range)
            .expect("without zeros the distance is 0");
        self.raise(distance);
        self.bytes.extend(self.low.to_be_bytes());
        let used = self.bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        self.bytes.truncate(used);
        self.bytes
    }
}

/// Decodes exactly the symbols of `shape`. The caller has checked the shape against tables and limits.
pub fn decode(bytes: &[u8], shape: Shape, tables: &Tables) -> Result<Symbols> {
    let mut decoder = Decoder::new(bytes);
    let symbols = decoder.take_symbols(shape, tables)?;
    decoder.finish()?;
    Ok(symbols)
}

/// Where the number lies in the interval: `offset` from its lower end, of `range`.
pub struct Decoder<'a> {
    bytes: &'a [u8],
    /// Bytes in the window and before it, among them zeros past the end.
    taken: usize,
    offset: u64,
    range: u64,
}

impl<'a> Decoder<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let mut decoder = Self { bytes, taken: 0, offset: 0, range: u64::MAX };
        for _ in 0..WINDOW_BYTES {
            decoder.take_byte();
        }
        decoder
    }

    fn take_byte(&mut self) {
        self.offset = self.offset << 8 | u64::from(self.bytes.get(self.taken).copied().unwrap_or(0));
        self.taken += 1;
    }

    /// Decodes exactly the symbols of `shape`, of which the caller knows that there is memory for them.
    pub fn take_symbols(&mut self, shape: Shape, tables: &Tables) -> Result<Symbols> {
        let count = shape.count().ok_or_else(|| Error::Misuse(format!("{shape:?} is too large")))?;
        let mut values = limits::allocate(count)?;
        for _ in 0..shape.cells() {
            for table in tables.channels() {
                values.push(self.take(&table.cumulative)? as i32 - table.max);
            }
        }
        Symbols::new(shape, values)
    }

    /// Index of the next symbol in its table of cumulative frequencies.
    pub fn take(&mut self, cumulative: &[u32]) -> Result<usize> {
        let unit = self.range >> TOTAL_BITS;
        let target = self.offset / unit;
        if target >> TOTAL_BITS != 0 {
            return Err(Error::damaged("the range coder's number lies outside of its interval"));
        }
        let index = cumulative.partition_point(|&below| u64::from(below) <= target) - 1;
        let (below, above) = (u64::from(cumulative[index]), u64::from(cumulative[index + 1]));
        self.offset -= unit * below;
        self.range = unit * (above - below);
        while self.range < LEAST_RANGE {
            self.take_byte();
            self.range <<= 8;
        }
        Ok(index)
    }

    /// Refuses bytes other than the ones that [`Encoder::finish`] writes for the symbols decoded.
    pub fn finish(self) -> Result<()> {
        let Some(&last) = self.bytes.last() else { return Ok(()) };
        let zeros = self.taken.checked_sub(self.bytes.len());
        let is_shortest = last != 0
            && zeros.is_some_and(|zeros| {
                // The distance to a neighbouring number with as many trailing zeros; none has more.
                let grain = u32::try_from(8 * zeros).ok().and_then(|bits| 1_u64.checked_shl(bits));
                grain.is_none_or(|grain| {
                    let to_shorter = (256 - u128::from(last)) * u128::from(grain);
                    self.offset < grain && u128::from(self.offset) + to_shorter >= self.range.into()
                })
            });
        if is_shortest { Ok(()) } else { Err(Error::damaged("the range coder's bytes are not the shortest")) }
    }
}
