//! What the fuzz targets share. Run one with `cargo +nightly fuzz run TARGET corpus/TARGET seeds/TARGET`;
//! `cargo run --example write_seeds` in this folder writes `seeds/` anew.

use aez::{
    Limits, Quality, Shape,
    entropy::{Prior, Tables},
};

/// Only memory is capped: caps on dimensions would keep overflows from being reached.
pub const LIMITS: Limits = Limits { max_memory: 1 << 20, ..Limits::NONE };

/// Latents of a cell in a [`Case`].
pub const CHANNELS: u32 = 3;
/// Bytes of fuzzer input that become the settings of a [`Case`].
pub const SETTINGS_LEN: usize = 8;

/// A decoder's valid settings and its arbitrary input.
pub struct Case<'a> {
    pub shape: Shape,
    pub tables: Tables,
    pub coded: &'a [u8],
}

impl<'a> Case<'a> {
    /// Makes settings of the first bytes: quality, number of cells, and two samples a channel for the prior.
    pub fn new(data: &'a [u8]) -> Option<Self> {
        let (&[quality, cells, samples @ ..], coded) = data.split_first_chunk::<SETTINGS_LEN>()?;
        let quality = Quality::new(1 + quality % 100).expect("1 to 100");
        let samples = samples.map(|sample| f32::from(sample as i8).powi(3) / 2e4);
        let tables = Prior::fit(&samples, CHANNELS as usize).expect("two finite rows").at(quality);
        Some(Self { shape: Shape { rows: 1, columns: cells.into(), channels: CHANNELS }, tables, coded })
    }
}
