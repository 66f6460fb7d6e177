//! Quantization: latents to symbols, and back.

use std::ops::RangeInclusive;

use crate::{
    entropy::Tables,
    error::Result,
    limits,
    symbols::{Latents, Quality, Symbols},
};

/// The weight of a bit against squared errors in squared quantization steps.
///
/// For small steps, the slope of the error step²/12 against the rate is (ln 2)/6 = 0.116 in theory. Of the values from 0.07 to 0.2, 0.08 is
/// the best or within 0.005 dB of it for files of 25 to 100 bytes: 100 squares of 96x96 pixels, built-in model.
pub const LAMBDA: f32 = 0.08;

/// Chooses the symbol of each latent: among the nearest symbol and its two neighbours the one with the lowest cost,
///
/// cost = ((u - reconstruction) / step)² + lambda · bits
///
/// Latents beyond the range of the tables are clamped to it.
///
/// # Errors
/// None: the shape of the latents is kept.
pub fn quantize(latents: &Latents, tables: &Tables, quality: Quality, lambda: f32) -> Result<Symbols> {
    let step = step(quality);
    let channels = latents.shape().channels as usize;
    let choose = |(index, &u): (usize, &f32)| {
        let channel = index % channels;
        let cost = |symbol: i32| {
            let error = (u - tables.centroid(channel, symbol)) / step;
            error * error + lambda * tables.bits(channel, symbol)
        };
        candidates(u, step, tables.range(channel))
            .min_by(|&a, &b| cost(a).total_cmp(&cost(b)))
            .expect("the nearest symbol is always a candidate")
    };
    Symbols::new(latents.shape(), latents.values().iter().enumerate().map(choose).collect())
}

/// The quantization step of a quality, in base steps.
#[must_use]
pub fn step(quality: Quality) -> f32 {
    quality.step_multiplier() as f32 / (1 << Quality::MULTIPLIER_BITS) as f32
}

/// The symbols that the encoder considers for a latent: the nearest one in `range`, and its neighbours.
pub(crate) fn candidates(u: f32, step: f32, range: RangeInclusive<i32>) -> RangeInclusive<i32> {
    let nearest = ((u / step).round() as i32).clamp(*range.start(), *range.end());
    (nearest - 1).max(*range.start())..=(nearest + 1).min(*range.end())
}

/// Dequantization: maps each symbol to its reconstruction point, the mean of its interval under the prior.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when there is not enough memory.
pub fn reconstruct(symbols: &Symbols, tables: &Tables) -> Result<Latents> {
    let mut values = limits::allocate(symbols.values().len() as u64)?;
    for cell in symbols.cells() {
        values.extend(cell.iter().enumerate().map(|(channel, &symbol)| tables.centroid(channel, symbol)));
    }
    Latents::new(symbols.shape(), values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entropy::Prior, symbols::Shape};
    use proptest::prelude::*;

    const SHAPE: Shape = Shape { rows: 1, columns: 1, channels: 2 };

    /// Two channels around zero with different deviations.
    fn prior() -> Prior {
        let bell =
            |i: u32| (0..4).map(|k| ((i * 7919 + k * 104_729) % 1000) as f32 / 250.0 - 2.0).sum::<f32>();
        let samples: Vec<f32> = (0..2000).flat_map(|i| [bell(i), 20.0 * bell(i + 5000)]).collect();
        Prior::fit(&samples, 2).unwrap()
    }

    fn chosen(u: [f32; 2], quality: u8, lambda: f32) -> Symbols {
        let quality = Quality::new(quality).unwrap();
        quantize(&Latents::new(SHAPE, u.to_vec()).unwrap(), &prior().at(quality), quality, lambda).unwrap()
    }

    proptest! {
        #[test]
        fn any_latent_gets_a_symbol_in_range(a: f32, b: f32, quality in 1u8..=100, lambda in 0f32..1.0) {
            let tables = prior().at(Quality::new(quality).unwrap());
            for (channel, symbol) in chosen([a, b], quality, lambda).values().iter().enumerate() {
                prop_assert!(tables.range(channel).contains(symbol));
            }
        }

        #[test]
        fn without_a_rate_term_the_nearest_symbol_is_chosen(a in -8f32..8.0, b in -100f32..100.0, quality in 40u8..=100) {
            let tables = prior().at(Quality::new(quality).unwrap());
            for (channel, (u, &symbol)) in [a, b].into_iter().zip(chosen([a, b], quality, 0.0).values()).enumerate() {
                let error = |symbol| (u - tables.centroid(channel, symbol)).abs();
                prop_assert!(tables.range(channel).all(|other| error(other) >= error(symbol)));
            }
        }

        #[test]
        fn the_rate_term_saves_bits(a in -8f32..8.0, b in -100f32..100.0, quality in 40u8..=100) {
            let bits = |lambda| prior().at(Quality::new(quality).unwrap()).ideal_bits(&chosen([a, b], quality, lambda));
            prop_assert!(bits(0.2) <= bits(0.0));
        }
    }

    #[test]
    fn reconstruction_lies_in_the_symbols_interval() {
        let quality = Quality::new(63).unwrap();
        let symbols = chosen([1.3, -17.0], 63, 0.0);
        let latents = reconstruct(&symbols, &prior().at(quality)).unwrap();
        for (&symbol, &u) in symbols.values().iter().zip(latents.values()) {
            // The step at this quality is 2.
            assert!((u - 2.0 * symbol as f32).abs() <= 1.0, "{symbol} at {u}");
        }
    }
}
