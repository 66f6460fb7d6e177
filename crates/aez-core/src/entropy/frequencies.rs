//! Frequencies of symbols for the range coder.

use std::ops::RangeInclusive;

use crate::error::{Error, Result};

/// The frequencies of a table sum to 2 to this power.
pub(super) const TOTAL_BITS: u32 = 20;

/// The frequencies of consecutive symbols, `first` and those above it, in units of 2^-20. Every symbol has at least one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frequencies {
    first: i32,
    /// For each symbol the sum of the frequencies of all lower ones, then the total: strictly increasing from 0 to 2^20.
    cumulative: Vec<u32>,
}

/// Frequencies that are decoded faster, because the search for a symbol begins near it.
pub(crate) struct Indexed {
    frequencies: Frequencies,
    /// For each of `2^INDEX_BITS` equal parts of the range, the position of the symbol at its beginning; then that of the last symbol.
    starts: Vec<u16>,
}

const INDEX_BITS: u32 = 8;

impl Indexed {
    /// An index for frequencies of at most 2^16 symbols.
    pub fn new(frequencies: Frequencies) -> Self {
        let last = frequencies.last();
        let start = |part: u32| frequencies.search(part << (TOTAL_BITS - INDEX_BITS), 0..=last) as u16;
        let starts = (0..1 << INDEX_BITS).map(start).chain([last as u16]).collect();
        Self { frequencies, starts }
    }

    pub fn frequencies(&self) -> &Frequencies {
        &self.frequencies
    }

    /// Position of the symbol whose interval contains `target`.
    pub(super) fn find(&self, target: u32) -> usize {
        let part = (target >> (TOTAL_BITS - INDEX_BITS)) as usize;
        self.frequencies.search(target, self.starts[part].into()..=self.starts[part + 1].into())
    }
}

impl Frequencies {
    /// Frequencies in proportion to positive weights, whose sum is at most 2^20. The symbols are `first`, `first + 1`, ...
    ///
    /// # Errors
    /// [`Error::Misuse`] for no weights, a weight of 0, or a larger sum.
    pub fn from_weights(first: i32, weights: &[u32]) -> Result<Self> {
        let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        if weights.is_empty() || weights.contains(&0) || total > 1 << TOTAL_BITS {
            return Err(Error::Misuse(format!(
                "{} weights with the sum {total} are no frequencies",
                weights.len()
            )));
        }
        Ok(Self::scaled(first, weights, total))
    }

    /// As [`Frequencies::from_weights`], for weights that are known to be valid.
    pub(crate) fn of(first: i32, weights: &[u32]) -> Self {
        Self::scaled(first, weights, weights.iter().map(|&weight| u64::from(weight)).sum())
    }

    fn scaled(first: i32, weights: &[u32], total: u64) -> Self {
        let mut below = 0;
        let mut cumulative = vec![0];
        cumulative.extend(weights.iter().map(|&weight| {
            below += u64::from(weight);
            ((below << TOTAL_BITS) / total) as u32
        }));
        Self { first, cumulative }
    }

    /// From cumulative frequencies, which are known to be valid.
    pub(crate) fn from_cumulative(first: i32, cumulative: Vec<u32>) -> Self {
        Self { first, cumulative }
    }

    pub(super) fn cumulative(&self) -> &[u32] {
        &self.cumulative
    }

    /// The symbols that have frequencies.
    #[must_use]
    pub fn symbols(&self) -> RangeInclusive<i32> {
        self.first..=self.first + self.cumulative.len() as i32 - 2
    }

    /// Cost of a symbol in bits: what the range coder spends on it, to within 1/1000.
    ///
    /// # Panics
    /// When the symbol is not one of [`Frequencies::symbols`].
    #[must_use]
    pub fn bits(&self, symbol: i32) -> f32 {
        let index = self.index(symbol);
        TOTAL_BITS as f32 - ((self.cumulative[index + 1] - self.cumulative[index]) as f32).log2()
    }

    /// Position of the symbol whose interval contains `target`, which is one of `positions`.
    pub(super) fn search(&self, target: u32, positions: RangeInclusive<usize>) -> usize {
        let first = *positions.start();
        let above = &self.cumulative[first + 1..=*positions.end()];
        first + above.partition_point(|&below| below <= target)
    }

    pub(super) fn last(&self) -> usize {
        self.cumulative.len() - 2
    }

    /// Position of a symbol in the table.
    pub(super) fn index(&self, symbol: i32) -> usize {
        (symbol - self.first) as usize
    }

    pub(super) fn symbol(&self, index: usize) -> i32 {
        self.first + index as i32
    }
}
