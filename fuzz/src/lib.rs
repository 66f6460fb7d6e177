//! Code that the fuzz targets share. `cargo +nightly fuzz run TARGET corpus/TARGET seeds/TARGET` runs one of them;
//! `cargo run --example write_seeds` in this folder writes `seeds/`.

use aez_core::{
    Limits, Quality, Result,
    entropy::{Frequencies, Prior, Tables},
    symbols::Shape,
};

/// Limits only on memory: limits on dimensions would hide overflows.
pub const LIMITS: Limits = Limits::NONE.with_max_memory(1 << 20);

/// Latents per cell in a [`Case`].
pub const CHANNELS: u32 = 3;
/// Bytes of fuzzer input that determine the settings of a [`Case`].
pub const SETTINGS_LEN: usize = 8;

/// Valid settings of an entropy decoder, and its arbitrary input.
pub struct Case<'a> {
    pub shape: Shape,
    pub tables: Tables,
    pub coded: &'a [u8],
}

impl<'a> Case<'a> {
    /// Derives the settings from the first bytes: quality, number of cells, and two samples per channel for the prior.
    pub fn new(data: &'a [u8]) -> Option<Self> {
        let (&[quality, cells, samples @ ..], coded) = data.split_first_chunk::<SETTINGS_LEN>()?;
        let quality = Quality::new(1 + quality % 100).expect("1 to 100");
        let samples = samples.map(|sample| f32::from(sample as i8).powi(3) / 2e4);
        let tables = Prior::fit(&samples, CHANNELS as usize).expect("two finite rows").at(quality);
        Some(Self { shape: Shape { rows: 1, columns: cells.into(), channels: CHANNELS }, tables, coded })
    }
}

/// Valid settings of the adaptive entropy decoder, and its arbitrary input.
pub struct AdaptiveCase<'a> {
    /// Number of symbols.
    pub count: u64,
    /// The smallest symbol.
    pub first: i32,
    /// Weights of the tables.
    pub weights: [u8; 4],
    pub coded: &'a [u8],
}

impl<'a> AdaptiveCase<'a> {
    /// Derives the settings from the first bytes: number of symbols, smallest symbol, and four weights.
    pub fn new(data: &'a [u8]) -> Option<Self> {
        let (&[count, first, weights @ ..], coded) = data.split_first_chunk::<6>()?;
        Some(Self { count: count.into(), first: i32::from(first as i8), weights, coded })
    }

    /// The frequencies of the next symbol. The weights are rotated by the last symbol, and the first one grows with the number
    /// of times that this symbol was repeated.
    pub fn table(&self, before: &[i32]) -> Result<Frequencies> {
        let last = before.last().copied().unwrap_or(self.first);
        let repeated = before.iter().rev().take_while(|&&symbol| symbol == last).count();
        let mut weights = self.weights.map(|weight| 1 + u32::from(weight));
        weights.rotate_left(last.abs_diff(self.first) as usize % 4);
        weights[0] <<= repeated.min(10);
        Frequencies::from_weights(self.first, &weights)
    }
}
