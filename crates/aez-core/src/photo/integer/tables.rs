//! Frequencies of latents under quantized Laplace distributions, in integer arithmetic.

use std::sync::OnceLock;

use super::layer::LATENT_LIMIT;
use crate::{
    entropy::{Frequencies, RangeEncoder},
    error::{Error, Result},
};

/// Number of scales: scale `k` is `exp(k / 8 - 3.5)`.
pub(in super::super) const SCALES: usize = 64;
/// Locations between two integers.
const PARTS: i32 = 16;
/// `2^32 exp(-1 / (16 scale))` of each scale: by how much the density falls in a sixteenth.
const DECAYS: [u32; SCALES] = [
    542_117_882,
    691_374_388,
    856_884_361,
    1_035_568_444,
    1_223_967_808,
    1_418_507_033,
    1_615_718_013,
    1_812_411_093,
    2_005_790_141,
    2_193_515_739,
    2_373_725_000,
    2_545_018_319,
    2_706_423_265,
    2_857_344_640,
    2_997_507_991,
    3_126_902_041,
    3_245_723_793,
    3_354_328_649,
    3_453_186_770,
    3_542_846_103,
    3_623_901_930,
    3_696_972_476,
    3_762_679_889,
    3_821_635_868,
    3_874_431_187,
    3_921_628_407,
    3_963_757_157,
    4_001_311_421,
    4_034_748_382,
    4_064_488_418,
    4_090_915_943,
    4_114_380_850,
    4_135_200_330,
    4_153_660_949,
    4_170_020_832,
    4_184_511_893,
    4_197_342_034,
    4_208_697_266,
    4_218_743_737,
    4_227_629_636,
    4_235_486_959,
    4_242_433_152,
    4_248_572_608,
    4_253_998_038,
    4_258_791_718,
    4_263_026_613,
    4_266_767_392,
    4_270_071_344,
    4_272_989_197,
    4_275_565_850,
    4_277_841_028,
    4_279_849_872,
    4_281_623_453,
    4_283_189_244,
    4_284_571_525,
    4_285_791_755,
    4_286_868_892,
    4_287_819_687,
    4_288_658_937,
    4_289_399_708,
    4_290_053_542,
    4_290_630_632,
    4_291_139_976,
    4_291_589_521,
];
const TOTAL_BITS: u32 = 20;
/// Frequency that is given to each symbol before the rest is shared.
const FLOOR: u64 = 8;
/// Bits of the numbers that code a latent far from its location.
const MAX_ESCAPE_BITS: usize = 14;

/// The tables of all scales and locations.
pub(super) struct Tables {
    /// `[scale][part]`: the symbols are distances from the rounded location; the outermost two stand for all distances beyond.
    tables: Vec<Frequencies>,
    /// For [`MAX_ESCAPE_BITS`] lengths.
    lengths: Frequencies,
    bit: Frequencies,
}

impl Tables {
    /// The tables, which are the same for all models.
    pub fn get() -> &'static Self {
        static TABLES: OnceLock<Tables> = OnceLock::new();
        TABLES.get_or_init(|| {
            let parts = -PARTS / 2..PARTS / 2;
            let tables = (0..SCALES).flat_map(|scale| parts.clone().map(move |part| table(scale, part)));
            Tables {
                tables: tables.collect(),
                lengths: Frequencies::of(1, &[1; MAX_ESCAPE_BITS]),
                bit: Frequencies::of(0, &[1, 1]),
            }
        })
    }

    /// Two alternatives of equal weight, 0 and 1.
    pub(super) fn bit(&self) -> &Frequencies {
        &self.bit
    }

    /// The nearest integer to a location in sixteenths, and the table around it.
    fn at(&self, location: i32, scale: usize) -> (i32, &Frequencies) {
        let center = (location + PARTS / 2).div_euclid(PARTS);
        let part = (location + PARTS / 2).rem_euclid(PARTS);
        (center, &self.tables[scale * PARTS as usize + part as usize])
    }

    /// Codes a latent with a location in sixteenths and one of [`SCALES`].
    pub fn put(&self, encoder: &mut RangeEncoder, latent: i32, location: i32, scale: usize) {
        let (center, table) = self.at(location, scale);
        let (distance, limit) = (latent - center, *table.symbols().end());
        encoder.put(distance.clamp(-limit, limit), table);
        if distance.abs() >= limit {
            let beyond = (distance.abs() - limit + 1) as u32;
            let bits = beyond.ilog2() as i32;
            encoder.put(bits + 1, &self.lengths);
            (0..bits).rev().for_each(|bit| encoder.put(((beyond >> bit) & 1) as i32, &self.bit));
        }
    }

    /// Decodes a latent by `next`, which decodes a symbol. Its second argument is one of the most likely symbols.
    #[inline]
    pub fn take(
        &self,
        mut next: impl FnMut(&Frequencies, i32) -> Result<i32>,
        location: i32,
        scale: usize,
    ) -> Result<i16> {
        let (center, table) = self.at(location, scale);
        let (distance, limit) = (next(table, 0)?, *table.symbols().end());
        let latent = if distance.abs() < limit {
            center + distance
        } else {
            let mut beyond = 1;
            for _ in 1..next(&self.lengths, 1)? {
                beyond = beyond << 1 | next(&self.bit, 0)?;
            }
            center + distance.signum() * (limit + beyond - 1)
        };
        if latent.abs() > LATENT_LIMIT {
            return Err(Error::damaged("a latent is out of range"));
        }
        Ok(latent as i16)
    }

    /// The cost of a latent in bits.
    #[cfg(test)]
    fn bits(&self, latent: i32, location: i32, scale: usize) -> f32 {
        let (center, table) = self.at(location, scale);
        let (distance, limit) = (latent - center, *table.symbols().end());
        let escape = || {
            let bits = ((distance.abs() - limit + 1) as f32).log2().floor();
            bits + (MAX_ESCAPE_BITS as f32).log2()
        };
        table.bits(distance.clamp(-limit, limit)) + if distance.abs() >= limit { escape() } else { 0.0 }
    }
}

/// Largest distance of a scale that does not need an escape, plus 1: about ten times the scale.
fn limit(scale: usize) -> i32 {
    // exp(k / 8) is about 2^(185 k / 1024).
    let power = 185 * scale as u32;
    let (whole, part) = (power >> 10, power & 1023);
    // 10 exp(-3.5) = 309 / 1024, and 2^x is about 1 + x from 0 to 1.
    (((309 * (1024 + part)) << whole) >> 20) as i32 + 3
}

/// The table of a scale, for a location at `part` sixteenths after an integer.
fn table(scale: usize, part: i32) -> Frequencies {
    let limit = limit(scale);
    // exp(-n / (16 scale)) in units of 2^-32.
    let count = (PARTS * (limit + 1)) as usize;
    let mut powers = vec![1_u64 << 32; count + 1];
    for n in 1..=count {
        powers[n] = (powers[n - 1] * u64::from(DECAYS[scale])) >> 32;
    }
    // The probability below the upper boundary of each distance.
    let below = |distance: i32| {
        let sixteenths = PARTS * distance + PARTS / 2 - part;
        let tail = powers[sixteenths.unsigned_abs() as usize] / 2;
        if sixteenths < 0 { tail } else { (1 << 32) - tail }
    };
    let symbols = 2 * limit + 1;
    let shared = (1_u64 << TOTAL_BITS) - FLOOR * symbols as u64;
    let mut cumulative = vec![0_u32];
    for (index, distance) in (1..).zip(-limit..limit) {
        cumulative.push((((below(distance) * shared) >> 32) + FLOOR * index) as u32);
    }
    cumulative.push(1 << TOTAL_BITS);
    Frequencies::from_cumulative(-limit, cumulative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::RangeDecoder;

    #[test]
    fn tables_are_those_of_laplace_distributions() {
        let tables = Tables::get();
        for scale in 0..SCALES {
            let spread = (scale as f64 / 8.0 - 3.5).exp();
            for location in [-41, -8, 0, 3, 7, 8, 100] {
                let cdf =
                    |x: f64| if x < 0.0 { 0.5 * (x / spread).exp() } else { 1.0 - 0.5 * (-x / spread).exp() };
                let center = f64::from(location) / 16.0;
                for latent in -12..12 {
                    let x = f64::from(latent) - center;
                    let probability = cdf(x + 0.5) - cdf(x - 0.5);
                    let found = (-f64::from(tables.bits(latent, location, scale))).exp2();
                    if probability > 1e-3 && x.abs() < f64::from(limit(scale) - 1) {
                        assert!(
                            (found / probability - 1.0).abs() < 0.02,
                            "{scale} {x} {probability} {found}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn latents_survive_a_round_trip() {
        let tables = Tables::get();
        let latents = [0, 1, -1, 5, -40, 300, -4095, 4095, 17, -2];
        for scale in [0, 5, 20, 40, 63] {
            for location in [0, -7, 8, 1000, -65_520, 65_520] {
                let mut encoder = RangeEncoder::new();
                latents.iter().for_each(|&latent| tables.put(&mut encoder, latent, location, scale));
                let bytes = encoder.finish();
                let mut decoder = RangeDecoder::new(&bytes);
                for latent in latents {
                    let found = tables.take(|table, _| decoder.take(table), location, scale).unwrap();
                    assert_eq!(i32::from(found), latent);
                }
                decoder.finish().unwrap();
            }
        }
    }
}
