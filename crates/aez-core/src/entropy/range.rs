//! A range coder. The symbols become one number inside an interval, which each symbol narrows in proportion to its frequency.
//! The number is written with the fewest bytes that denote a point of the last interval.

use super::{
    frequencies::{Frequencies, Indexed, TOTAL_BITS},
    tables::Tables,
};
use crate::{
    error::{Error, Result},
    limits,
    symbols::{Shape, Symbols},
};

/// The minimum size of the interval. Below it, the window moves by one byte.
const MIN_RANGE: u64 = 1 << 56;
const WINDOW_BYTES: usize = size_of::<u64>();

/// Encodes symbols one after another.
#[derive(Debug, Clone)]
pub struct RangeEncoder {
    // The interval is from `low` to `low + range`, both relative to the bytes already written.
    bytes: Vec<u8>,
    low: u64,
    range: u64,
}

impl Default for RangeEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl RangeEncoder {
    /// An encoder without symbols.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: Vec::new(), low: 0, range: u64::MAX }
    }

    /// Codes a symbol.
    ///
    /// # Panics
    /// When the symbol is not one of [`Frequencies::symbols`].
    pub fn put(&mut self, symbol: i32, frequencies: &Frequencies) {
        let (index, cumulative) = (frequencies.index(symbol), frequencies.cumulative());
        self.narrow(cumulative[index], cumulative[index + 1] - cumulative[index]);
    }

    /// Codes the `count` low bits of a number, which are equally likely; `count` is at most 20.
    ///
    /// # Panics
    /// When the number has more bits.
    pub fn put_bits(&mut self, bits: u32, count: u32) {
        assert!(count <= TOTAL_BITS && bits >> count == 0, "{bits} has more than {count} bits");
        self.narrow(bits << (TOTAL_BITS - count), 1 << (TOTAL_BITS - count));
    }

    /// Codes symbols that are known to be in the range of the tables.
    pub(crate) fn put_symbols(&mut self, symbols: &Symbols, tables: &Tables) {
        for cell in symbols.cells() {
            for (table, &symbol) in tables.channels().iter().zip(cell) {
                self.put(symbol, &table.frequencies);
            }
        }
    }

    fn narrow(&mut self, below: u32, frequency: u32) {
        let unit = self.range >> TOTAL_BITS;
        self.raise(unit * u64::from(below));
        self.range = unit * u64::from(frequency);
        while self.range < MIN_RANGE {
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

    /// Number of bits that the coded symbols take.
    pub(crate) fn bits(&self) -> f32 {
        (8 * self.bytes.len() + 64) as f32 - (self.range as f32).log2()
    }

    /// The coded bytes: the shortest string that denotes a point of the interval.
    #[must_use]
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

/// Decodes symbols one after another, each with frequencies that the caller chooses.
#[derive(Debug, Clone)]
pub struct RangeDecoder<'a> {
    bytes: &'a [u8],
    /// Number of bytes in the window and before it, including zeros past the end.
    taken: usize,
    /// Distance of the number from the lower end of the interval.
    offset: u64,
    /// Size of the interval.
    range: u64,
}

impl<'a> RangeDecoder<'a> {
    /// A decoder at the first symbol.
    #[must_use]
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

    /// Decodes the symbols of `shape`. The caller has checked its size against the limits.
    pub(crate) fn take_symbols(&mut self, shape: Shape, tables: &Tables) -> Result<Symbols> {
        let count = shape.count().ok_or_else(|| Error::Misuse(format!("{shape:?} is too large")))?;
        let mut values = limits::allocate(count)?;
        for _ in 0..shape.cells() {
            for table in tables.channels() {
                values.push(self.take(&table.frequencies)?);
            }
        }
        Symbols::new(shape, values)
    }

    /// Decodes the next symbol.
    ///
    /// # Errors
    /// [`Error::Damaged`] for bytes that no encoder writes.
    pub fn take(&mut self, frequencies: &Frequencies) -> Result<i32> {
        let target = self.target()?;
        let index = frequencies.search(target, 0..=frequencies.last());
        Ok(self.take_index(index, frequencies))
    }

    /// As [`RangeDecoder::take`], faster if the symbol is `likely`, which is one of the symbols.
    #[inline]
    pub(crate) fn take_near(&mut self, frequencies: &Frequencies, likely: i32) -> Result<i32> {
        let (index, cumulative) = (frequencies.index(likely), frequencies.cumulative());
        let unit = self.range >> TOTAL_BITS;
        let [below, above] = [index, index + 1].map(|index| unit * u64::from(cumulative[index]));
        if (below..above).contains(&self.offset) {
            self.offset -= below;
            self.range = above - below;
            self.refill();
            return Ok(likely);
        }
        let target = self.target()?;
        let is_lower = target < cumulative[index];
        let positions = if is_lower { 0..=index - 1 } else { index + 1..=frequencies.last() };
        let index = frequencies.search(target, positions);
        Ok(self.take_index(index, frequencies))
    }

    /// Decodes the next symbol of bytes that may be cut at their end. A symbol that depends on missing bytes is an error.
    ///
    /// # Errors
    /// [`Error::Damaged`] for such a symbol, and for bytes that no encoder writes.
    pub(crate) fn take_certain(&mut self, frequencies: &Frequencies) -> Result<i32> {
        let index = frequencies.search(self.target()?, 0..=frequencies.last());
        let missing = 8 * self.taken.saturating_sub(self.bytes.len()) as u32;
        // The largest number that begins with the known bytes and lies within the interval.
        let distance = 1_u64.checked_shl(missing).map_or(u64::MAX, |grain| grain - 1);
        let highest = self.offset.saturating_add(distance) / (self.range >> TOTAL_BITS);
        if highest.min((1 << TOTAL_BITS) - 1) >= frequencies.cumulative()[index + 1].into() {
            return Err(Error::damaged("the range coder's bytes end too early"));
        }
        Ok(self.take_index(index, frequencies))
    }

    /// Number of bits that the decoded symbols take, rounded up.
    pub(crate) fn bits(&self) -> u64 {
        8 * (self.taken - WINDOW_BYTES) as u64 + u64::from(self.range.leading_zeros())
    }

    /// As [`RangeDecoder::take`].
    pub(crate) fn take_indexed(&mut self, indexed: &Indexed) -> Result<i32> {
        let target = self.target()?;
        Ok(self.take_index(indexed.find(target), indexed.frequencies()))
    }

    fn take_index(&mut self, index: usize, frequencies: &Frequencies) -> i32 {
        let (below, above) = (frequencies.cumulative()[index], frequencies.cumulative()[index + 1]);
        self.narrow(below, above - below);
        frequencies.symbol(index)
    }

    /// Decodes what [`RangeEncoder::put_bits`] codes.
    ///
    /// # Errors
    /// [`Error::Damaged`] for bytes that no encoder writes.
    ///
    /// # Panics
    /// When `count` is more than 20.
    pub fn take_bits(&mut self, count: u32) -> Result<u32> {
        let bits = self.target()? >> (TOTAL_BITS - count);
        self.narrow(bits << (TOTAL_BITS - count), 1 << (TOTAL_BITS - count));
        Ok(bits)
    }

    /// Position of the number within the interval, in units of 2^-20.
    fn target(&self) -> Result<u32> {
        let target = self.offset / (self.range >> TOTAL_BITS);
        if target >> TOTAL_BITS != 0 {
            return Err(Error::damaged("the range coder's number lies outside of its interval"));
        }
        Ok(target as u32)
    }

    fn narrow(&mut self, below: u32, frequency: u32) {
        let unit = self.range >> TOTAL_BITS;
        self.offset -= unit * u64::from(below);
        self.range = unit * u64::from(frequency);
        self.refill();
    }

    /// Moves the window until the interval has its minimum size.
    #[inline]
    fn refill(&mut self) {
        while self.range < MIN_RANGE {
            self.take_byte();
            self.range <<= 8;
        }
    }

    /// Checks that the bytes are exactly those that [`RangeEncoder::finish`] writes for the decoded symbols.
    ///
    /// # Errors
    /// [`Error::Damaged`] for other bytes.
    pub fn finish(self) -> Result<()> {
        let Some(&last) = self.bytes.last() else { return Ok(()) };
        let zeros = self.taken.checked_sub(self.bytes.len());
        let is_shortest = last != 0
            && zeros.is_some_and(|zeros| {
                // The distance between numbers with as many trailing zeros.
                let grain = u32::try_from(8 * zeros).ok().and_then(|bits| 1_u64.checked_shl(bits));
                grain.is_none_or(|grain| {
                    let to_shorter = (256 - u128::from(last)) * u128::from(grain);
                    self.offset < grain && u128::from(self.offset) + to_shorter >= self.range.into()
                })
            });
        if is_shortest { Ok(()) } else { Err(Error::damaged("the range coder's bytes are not the shortest")) }
    }
}
