//! The distribution of each latent, fixed when the model is trained, in integers.
//!
//! The coordinate of a channel is `u = (latent - centre) / base_step`. Its distribution function is linear between evenly spaced
//! knots, so that one distribution serves every quality: see [`Prior::at`].

use crate::error::{Error, Result};

/// Fractional bits of the probabilities in a model file.
pub(super) const PROBABILITY_BITS: u32 = 16;
/// Units of [`ChannelPrior::spacing`] per base step.
pub(super) const UNITS_PER_STEP: u32 = 256;
const MAX_CELLS: u32 = 1024;
/// Maximum of `cells * spacing`: ±512 base steps, which makes fewer than 4,400 symbols at quality 100.
const MAX_SPAN: u32 = 1 << 18;

/// The distribution of one channel: `masses.len()` cells of equal width, centred on `u = 0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChannelPrior {
    /// Width of a cell in 1/256 of the base step, at least 1.
    pub spacing: u32,
    /// Probability of each cell in 1/65,536: an even number of values of at least 1, whose sum is 65,536.
    pub masses: Vec<u16>,
}

/// The distributions of all latents of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prior {
    pub(super) channels: Vec<ChannelPrior>,
}

impl Prior {
    /// Estimates the distributions from coordinates `u`, row-major, with `channels` values per row.
    ///
    /// # Errors
    /// [`Error::Misuse`] unless there is at least one complete row and every value is finite.
    pub fn fit(samples: &[f32], channels: usize) -> Result<Self> {
        if channels == 0 || samples.is_empty() || !samples.len().is_multiple_of(channels) {
            let count = samples.len();
            return Err(Error::Misuse(format!("{count} samples are not rows of {channels} channels")));
        }
        if let Some(at) = samples.iter().position(|u| !u.is_finite()) {
            let (row, channel) = (at / channels, at % channels);
            return Err(Error::Misuse(format!("sample {row} of channel {channel} is {}", samples[at])));
        }
        let column = |c: usize| samples[c..].iter().step_by(channels).map(|&u| f64::from(u)).collect();
        Ok(Self { channels: (0..channels).map(|c| ChannelPrior::fit(column(c))).collect() })
    }

    /// Number of channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// The standard deviation of each channel around its centre, in base steps.
    pub(crate) fn deviations(&self) -> impl Iterator<Item = f32> {
        self.channels.iter().map(ChannelPrior::deviation)
    }

    /// The bytes in a model file, little-endian: for each channel the number of cells (16 bits), the spacing (32 bits), and the mass
    /// of each cell (16 bits).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for channel in &self.channels {
            bytes.extend((channel.masses.len() as u16).to_le_bytes());
            bytes.extend(channel.spacing.to_le_bytes());
            bytes.extend(channel.masses.iter().flat_map(|mass| mass.to_le_bytes()));
        }
        bytes
    }

    /// Reads the bytes that [`Self::to_bytes`] writes.
    ///
    /// # Errors
    /// [`Error::Model`] unless `bytes` hold `channels` valid distributions, at least one, and nothing else.
    pub fn from_bytes(mut bytes: &[u8], channels: usize) -> Result<Self> {
        if channels == 0 {
            return Err(Error::Model("it has no channels".to_owned()));
        }
        let mut prior = Self { channels: Vec::new() };
        for index in 0..channels {
            let channel = ChannelPrior::read(&mut bytes)
                .map_err(|reason| Error::Model(format!("the prior of channel {index} {reason}")))?;
            prior.channels.push(channel);
        }
        if !bytes.is_empty() {
            let surplus = bytes.len();
            return Err(Error::Model(format!("{surplus} bytes follow the priors of {channels} channels")));
        }
        Ok(prior)
    }
}

impl ChannelPrior {
    /// A histogram, smoothed by a Gaussian kernel. Each cell has at least the smallest mass, so that any value can be coded, with about
    /// 16 bits.
    fn fit(mut values: Vec<f64>) -> Self {
        /// Extent of the table in multiples of the largest sample, and at least, in base steps.
        const MARGIN: f64 = 1.5;
        const MIN_REACH: f64 = 1.0;
        /// Cells of a sixteenth of the base step are fine enough for quality 100.
        const MIN_SPACING: f64 = 16.0;
        const MAX_FITTED_CELLS: f64 = 256.0;

        values.sort_by(f64::total_cmp);
        let largest = values[0].abs().max(values[values.len() - 1].abs());
        let reach = (largest * MARGIN).max(MIN_REACH) * f64::from(UNITS_PER_STEP);
        let span = (2.0 * reach).min(f64::from(MAX_SPAN));
        let cells = 2 * ((span / MIN_SPACING).min(MAX_FITTED_CELLS) / 2.0).ceil() as usize;
        let spacing = ((span / cells as f64).ceil() as u32).min(MAX_SPAN / cells as u32);

        let width = f64::from(spacing) / f64::from(UNITS_PER_STEP);
        let mut histogram = vec![0.0; cells];
        for u in &values {
            let cell = (u / width).floor() + cells as f64 / 2.0;
            histogram[(cell.max(0.0) as usize).min(cells - 1)] += 1.0;
        }
        let deviation = (bandwidth(&values) / width).min(cells as f64 / 8.0);
        Self { spacing, masses: to_masses(&smooth(&histogram, deviation)) }
    }

    fn deviation(&self) -> f32 {
        let middle = 0.5 * (self.masses.len() as f64 - 1.0);
        let square = |(cell, &mass): (usize, &u16)| f64::from(mass) * (cell as f64 - middle).powi(2);
        let variance =
            self.masses.iter().enumerate().map(square).sum::<f64>() / f64::from(1 << PROBABILITY_BITS);
        (variance.sqrt() * f64::from(self.spacing) / f64::from(UNITS_PER_STEP)) as f32
    }

    fn read(bytes: &mut &[u8]) -> Result<Self, String> {
        let truncated = || "is cut short".to_owned();
        let (cells, rest) = bytes.split_first_chunk().ok_or_else(truncated)?;
        let (spacing, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
        let (cells, spacing) = (u16::from_le_bytes(*cells).into(), u32::from_le_bytes(*spacing));
        if !(2..=MAX_CELLS).contains(&cells) || cells % 2 == 1 {
            return Err(format!("has {cells} cells: an even number of 2 to {MAX_CELLS} was expected"));
        }
        if spacing == 0 || spacing > MAX_SPAN / cells {
            return Err(format!("has spacing {spacing}: 1 to {} was expected", MAX_SPAN / cells));
        }
        let (masses, rest) = rest.split_at_checked(2 * cells as usize).ok_or_else(truncated)?;
        let masses: Vec<u16> =
            masses.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let total: u32 = masses.iter().map(|&mass| u32::from(mass)).sum();
        if masses.contains(&0) || total != 1 << PROBABILITY_BITS {
            return Err(format!("has total {total} or an empty cell: 65536 and no empty cell was expected"));
        }
        *bytes = rest;
        Ok(Self { spacing, masses })
    }
}

/// The standard deviation of a Gaussian kernel by Silverman's rule of thumb.
fn bandwidth(sorted: &[f64]) -> f64 {
    let count = sorted.len() as f64;
    let mean = sorted.iter().sum::<f64>() / count;
    let deviation = (sorted.iter().map(|u| (u - mean).powi(2)).sum::<f64>() / count).sqrt();
    let quartiles = sorted[sorted.len() * 3 / 4] - sorted[sorted.len() / 4];
    0.9 * deviation.min(quartiles / 1.34) * count.powf(-0.2)
}

/// Convolves with a Gaussian of the given standard deviation in cells. Mass beyond the table is put into its outermost cells.
fn smooth(histogram: &[f64], deviation: f64) -> Vec<f64> {
    let radius = (4.0 * deviation).ceil() as i64;
    let kernel: Vec<f64> =
        (-radius..=radius).map(|x| (-0.5 * (x as f64 / deviation.max(1e-3)).powi(2)).exp()).collect();
    let total: f64 = kernel.iter().sum();
    let last = histogram.len() as i64 - 1;
    let mut smoothed = vec![0.0; histogram.len()];
    for (at, &weight) in (0..).zip(histogram).filter(|&(_, &weight)| weight > 0.0) {
        for (offset, factor) in (-radius..).zip(&kernel) {
            smoothed[(at + offset).clamp(0, last) as usize] += weight * factor / total;
        }
    }
    smoothed
}

/// Rounds non-negative weights to integers of at least 1 with the sum 65,536.
fn to_masses(weights: &[f64]) -> Vec<u16> {
    let spare = f64::from((1 << PROBABILITY_BITS) - weights.len() as u32);
    let total: f64 = weights.iter().sum();
    let (mut sum, mut before) = (0.0, 0);
    let mut masses: Vec<u16> = Vec::with_capacity(weights.len());
    for weight in weights {
        sum += weight;
        let after = (sum / total * spare).round().min(spare) as u32;
        masses.push((after - before + 1) as u16);
        before = after;
    }
    masses
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fitted_priors_are_valid_and_survive_a_round_trip(
            samples in prop::collection::vec(prop_oneof![-3.0_f32..3.0, -600.0_f32..600.0, Just(0.0), any::<f32>()
                .prop_filter("finite", |u| u.is_finite())], 1..60),
        ) {
            let prior = Prior::fit(&samples, 1).unwrap();
            prop_assert_eq!(Prior::from_bytes(&prior.to_bytes(), 1).unwrap(), prior);
        }

        #[test]
        fn bytes_of_a_prior_have_one_form(
            mut bytes in Just(Prior::fit(&[0.5, -3.0, 0.1, 9.0], 2).unwrap().to_bytes()),
            (at, byte) in (any::<prop::sample::Index>(), any::<u8>()),
        ) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(prior) = Prior::from_bytes(&bytes, 2) {
                prop_assert_eq!(prior.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn a_prior_has_the_deviation_of_its_samples() {
        let samples: Vec<f32> =
            (0..2000).flat_map(|i| [(i as f32).sin() * 30.0, (i as f32).cos() * 2.0]).collect();
        let prior = Prior::fit(&samples, 2).unwrap();
        for (found, amplitude) in prior.deviations().zip([30.0_f32, 2.0]) {
            let expected = amplitude / 2.0_f32.sqrt();
            assert!((found / expected - 1.0).abs() < 0.05, "{found} instead of {expected}");
        }
    }

    #[test]
    fn malformed_priors_are_refused_with_the_reason() {
        let form = |cells: u16, spacing: u32, masses: &[u16]| {
            let masses = masses.iter().flat_map(|mass| mass.to_le_bytes()).collect();
            [cells.to_le_bytes().to_vec(), spacing.to_le_bytes().to_vec(), masses].concat()
        };
        let half = 1 << 15;
        assert!(Prior::from_bytes(&form(2, 1, &[half, half]), 1).is_ok());
        assert!(Prior::from_bytes(&form(2, 1 << 17, &[half, half]), 1).is_ok());
        for (reason, bytes) in [
            ("cells", form(0, 1, &[])),
            ("cells", form(3, 1, &[half, half / 2, half / 2])),
            ("cells", form(1026, 1, &[])),
            ("spacing", form(2, 0, &[half, half])),
            ("spacing", form(2, (1 << 17) + 1, &[half, half])),
            ("spacing", form(1024, 257, &[])),
            ("cut short", form(2, 1, &[half])),
            ("total 65535", form(2, 1, &[half, half - 1])),
            ("empty cell", form(4, 1, &[half, 0, half / 2, half / 2])),
            ("follow", form(2, 1, &[half, half, 1])),
        ] {
            let error = Prior::from_bytes(&bytes, 1).unwrap_err().to_string();
            assert!(error.contains(reason), "{error:?} does not say {reason:?}");
        }
        assert!(Prior::from_bytes(&[], 0).is_err());
    }

    #[test]
    fn only_whole_rows_of_finite_samples_can_be_fitted() {
        for (samples, channels) in [(&[][..], 1), (&[1.0], 0), (&[1.0, 2.0, 3.0], 2), (&[1.0, f32::NAN], 1)] {
            assert!(matches!(Prior::fit(samples, channels), Err(Error::Misuse(_))));
        }
    }
}
