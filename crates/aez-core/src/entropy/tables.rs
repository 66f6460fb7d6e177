//! The prior at one quality: the frequency of each symbol of each channel, in integer arithmetic.

use std::ops::RangeInclusive;

use super::{
    frequencies::{Frequencies, TOTAL_BITS},
    prior::{ChannelPrior, PROBABILITY_BITS, Prior, UNITS_PER_STEP},
};
use crate::{
    error::{Error, Result},
    symbols::{Quality, Shape, Symbols},
};

const TOTAL: u32 = 1 << TOTAL_BITS;
/// Boundaries between symbols fall on half quality steps, so positions are counted in half units.
const HALVES_PER_STEP: f64 = (2 * UNITS_PER_STEP) as f64;

/// Symbol `k` of a channel represents coordinates `u` from `(k - 1/2) m` to `(k + 1/2) m`, where `m` is the quality's step
/// multiplier. The symbols of a channel are `-max..=max`, enough to cover its prior.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub max: i32,
    pub frequencies: Frequencies,
    centroids: Vec<f32>,
}

/// Frequencies and reconstruction points of the symbols of all channels at one quality.
#[derive(Debug, Clone)]
pub struct Tables {
    channels: Vec<Table>,
}

impl Prior {
    /// The tables at a quality. The frequencies are computed in integers, and so are the same on every machine.
    #[must_use]
    pub fn at(&self, quality: Quality) -> Tables {
        let step = quality.step_multiplier().into();
        Tables { channels: self.channels.iter().map(|channel| Table::new(channel, step)).collect() }
    }
}

impl Table {
    /// Positions are in half units and count from the lower end of the prior.
    fn new(prior: &ChannelPrior, step: u64) -> Self {
        let cell = 2 * u64::from(prior.spacing);
        let half_span = prior.masses.len() as u64 / 2 * cell;
        let max = (half_span + step - 1) / (2 * step);
        let count = 2 * max + 1;
        // Boundary i lies at (2 (i - max) - 1) * step from the centre.
        let boundary = |i: u64| (half_span + 2 * i * step).saturating_sub(count * step).min(2 * half_span);
        let mut below = vec![0_u64];
        below.extend(prior.masses.iter().scan(0, |sum, &mass| {
            *sum += u64::from(mass);
            Some(*sum)
        }));
        let probability_below = |position: u64| {
            let (index, rest) = ((position / cell) as usize, position % cell);
            let mass = prior.masses.get(index).map_or(0, |&mass| u64::from(mass));
            (below[index] << PROBABILITY_BITS) + (mass << PROBABILITY_BITS) * rest / cell
        };
        let spare = u64::from(TOTAL) - count;
        let cumulative: Vec<u32> = (0..=count)
            .map(|i| {
                let granted = (probability_below(boundary(i)) * spare) >> (2 * PROBABILITY_BITS);
                // One unit for each lower symbol, so that every symbol can be coded.
                (granted + i) as u32
            })
            .collect();
        let centroid = |i| (mean_between(prior, boundary(i), boundary(i + 1)) / HALVES_PER_STEP) as f32;
        let frequencies = Frequencies::from_cumulative(-(max as i32), cumulative);
        Self { max: max as i32, frequencies, centroids: (0..count).map(centroid).collect() }
    }
}

/// The mean of the prior between two positions, as a distance from the centre.
fn mean_between(prior: &ChannelPrior, low: u64, high: u64) -> f64 {
    let cell = 2 * u64::from(prior.spacing);
    let (mut mass, mut moment) = (0.0, 0.0);
    for index in low / cell..high.div_ceil(cell) {
        let (from, to) = (low.max(index * cell), high.min((index + 1) * cell));
        let part = f64::from(prior.masses[index as usize]) * (to - from) as f64;
        mass += part;
        moment += part * (from + to) as f64 / 2.0;
    }
    moment / mass - (prior.masses.len() as u64 / 2 * cell) as f64
}

impl Tables {
    pub(super) fn channels(&self) -> &[Table] {
        &self.channels
    }

    /// The symbols that can be coded in a channel. An encoder clamps to this range.
    ///
    /// # Panics
    /// When there is no such channel.
    #[must_use]
    pub fn range(&self, channel: usize) -> RangeInclusive<i32> {
        let max = self.channels[channel].max;
        -max..=max
    }

    /// Cost of a symbol in bits: what the range coder spends on it, to within 1/1000.
    ///
    /// # Panics
    /// When there is no such channel, or the symbol is outside of its range.
    #[must_use]
    pub fn bits(&self, channel: usize, symbol: i32) -> f32 {
        self.channels[channel].frequencies.bits(symbol)
    }

    /// Cost of all symbols in bits.
    #[must_use]
    pub fn ideal_bits(&self, symbols: &Symbols) -> f64 {
        symbols
            .cells()
            .flat_map(|cell| (0..).zip(cell))
            .map(|(c, &symbol)| f64::from(self.bits(c, symbol)))
            .sum()
    }

    /// The reconstruction point of a symbol in the coordinate `u`: the mean of its interval under the prior.
    ///
    /// # Panics
    /// When there is no such channel, or the symbol is outside of its range.
    #[must_use]
    pub fn centroid(&self, channel: usize, symbol: i32) -> f32 {
        let table = &self.channels[channel];
        table.centroids[table.frequencies.index(symbol)]
    }

    pub(super) fn check_channels(&self, shape: Shape) -> Result<()> {
        let channels = self.channels.len();
        if shape.channels as usize != channels {
            return Err(Error::Misuse(format!("the prior has {channels} channels, unlike {shape:?}")));
        }
        Ok(())
    }

    pub(super) fn check(&self, symbols: &Symbols) -> Result<()> {
        self.check_channels(symbols.shape())?;
        for (channel, &symbol) in symbols.cells().flat_map(|cell| (0..).zip(cell)) {
            let range = self.range(channel);
            if !range.contains(&symbol) {
                return Err(Error::Misuse(format!(
                    "symbol {symbol} of channel {channel} is not in {range:?}"
                )));
            }
        }
        Ok(())
    }
}
