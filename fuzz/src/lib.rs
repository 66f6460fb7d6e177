//! Code that the fuzz targets share. `cargo +nightly fuzz run TARGET corpus/TARGET seeds/TARGET` runs one of them;
//! `cargo run --example write_seeds` in this folder writes `seeds/`.

use std::sync::LazyLock;

use aez_core::{
    Limits, Quality, Result,
    entropy::{Frequencies, Prior, Tables},
    photo::{IntegerNetwork, PhotoModel},
    symbols::Shape,
};
use safetensors::{Dtype, SafeTensors};

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

/// A small model of the photo family.
pub static PHOTO_MODEL: &[u8] = include_bytes!("../../tests/vectors/photo.safetensors");

/// The same with directions.
pub static MOVED_MODEL: &[u8] = include_bytes!("../../tests/vectors/moved.safetensors");

/// Settings of a photo, and arbitrary bytes.
pub struct PhotoCase<'a> {
    pub height: u32,
    pub width: u32,
    pub network: &'a IntegerNetwork,
    pub multiplier: u32,
    pub rest: &'a [u8],
}

impl<'a> PhotoCase<'a> {
    /// Derives the settings from the first bytes: height and width up to 24, quality, and whether the network has directions.
    pub fn new(data: &'a [u8]) -> Option<Self> {
        static MODELS: LazyLock<[PhotoModel; 2]> = LazyLock::new(|| {
            [PHOTO_MODEL, MOVED_MODEL].map(|bytes| PhotoModel::from_bytes(bytes).expect("a valid model"))
        });
        let (&[height, width, quality], rest) = data.split_first_chunk::<3>()?;
        let model = &MODELS[usize::from(quality >= 128)];
        let quality = Quality::new(1 + quality % 100).expect("1 to 100");
        let (network, multiplier) = model.network(quality);
        Some(Self {
            height: u32::from(height % 24) + 1,
            width: u32::from(width % 24) + 1,
            network,
            multiplier,
            rest,
        })
    }
}

/// One of the small models of the photo family with other weights, biases, shifts and directions. They are taken from the bytes, which are repeated as
/// needed; the larger `scale`, the larger are weights and biases.
pub fn photo_model(scale: u8, values: &[u8]) -> Vec<u8> {
    let model = if scale & 64 == 0 { PHOTO_MODEL } else { MOVED_MODEL };
    let mut file = model.to_vec();
    let tensors = SafeTensors::deserialize(model).expect("a valid file");
    let mut values = values.iter().copied().cycle();
    for (name, view) in tensors.iter() {
        let start = view.data().as_ptr() as usize - model.as_ptr() as usize;
        let to = &mut file[start..start + view.data().len()];
        let mut next = || values.next().unwrap_or(0);
        match view.dtype() {
            Dtype::I16 => to.as_chunks_mut::<2>().0.iter_mut().for_each(|to| {
                *to = (i16::from(next() as i8) << (scale % 9)).to_le_bytes();
            }),
            Dtype::I32 => to.as_chunks_mut::<4>().0.iter_mut().for_each(|to| {
                *to = (i32::from(next() as i8) << (scale % 25)).to_le_bytes();
            }),
            Dtype::I8 => to.iter_mut().for_each(|to| *to = next()),
            _ if name.ends_with("exponent") => to.iter_mut().for_each(|to| *to = 1 + next() % 40),
            _ => to.iter_mut().for_each(|to| *to = next() % 25),
        }
    }
    file
}
