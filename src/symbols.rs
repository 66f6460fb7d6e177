//! Quantized latents: the integers that cross the file's border, and nothing else does.

use crate::error::{Error, Result};

/// A grid of latent vectors: `rows` x `columns` cells of `channels` integers each. In the model family at
/// hand a cell is a tile of the picture and a channel is one of its latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub rows: u32,
    pub columns: u32,
    pub channels: u32,
}

impl Shape {
    /// Number of cells, `rows * columns`.
    #[must_use]
    pub fn cells(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.columns)
    }

    /// Number of symbols, `rows * columns * channels`, or `None` where that exceeds 64 bits.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.cells().checked_mul(self.channels.into())
    }
}

/// Integers in row-major order of the cells, the channels of a cell together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbols {
    shape: Shape,
    values: Vec<i32>,
}

impl Symbols {
    /// # Errors
    /// [`Error::Misuse`] when the number of values is not that of the shape.
    pub fn new(shape: Shape, values: Vec<i32>) -> Result<Self> {
        if shape.count() != Some(values.len() as u64) {
            return Err(Error::Misuse(format!("{} symbols do not fill {shape:?}", values.len())));
        }
        Ok(Self { shape, values })
    }

    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// All values, cell after cell.
    #[must_use]
    pub fn values(&self) -> &[i32] {
        &self.values
    }

    /// The cells in row-major order, each a slice of `channels` integers.
    pub fn cells(&self) -> impl Iterator<Item = &[i32]> {
        self.values.chunks_exact(self.shape.channels.max(1) as usize)
    }
}

/// What the user trades: 1 is the smallest file, 100 the best picture.
///
/// Each 12 steps up halve the quantization step of every latent. At [`Quality::REFERENCE`] the steps are the
/// model's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quality(u8);

impl Quality {
    /// The quality at which the quantization steps are the base steps of the model.
    pub const REFERENCE: Self = Self(75);
    /// Fractional bits of [`Quality::step_multiplier`].
    pub const MULTIPLIER_BITS: u32 = 8;

    /// # Errors
    /// [`Error::Misuse`] outside 1..=100.
    pub fn new(value: u8) -> Result<Self> {
        if (1..=100).contains(&value) {
            Ok(Self(value))
        } else {
            Err(Error::Misuse(format!("quality {value} is not between 1 and 100")))
        }
    }

    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// The factor on the model's base steps in units of 1/256, `round(256 * 2^((75 - quality) / 12))`, in
    /// integer arithmetic so that every machine agrees: 60 at quality 100, 256 at 75, 18,390 at 1.
    #[must_use]
    pub fn step_multiplier(self) -> u32 {
        // round(2^24 * 2^(k / 12)), the twelve fractional powers of two.
        const TWELFTHS: [u64; 12] = [
            16_777_216, 17_774_841, 18_831_788, 19_951_585, 21_137_968, 22_394_897, 23_726_566, 25_137_421,
            26_632_170, 28_215_802, 29_893_600, 31_671_166,
        ];
        let exponent = 75 - i32::from(self.0);
        let mantissa = TWELFTHS[exponent.rem_euclid(12) as usize];
        let shift = 24 - Self::MULTIPLIER_BITS as i32 - exponent.div_euclid(12);
        ((mantissa + (1 << (shift - 1))) >> shift) as u32
    }
}

impl Default for Quality {
    fn default() -> Self {
        Self::REFERENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_must_fill_their_shape() {
        let shape = Shape { rows: 2, columns: 3, channels: 4 };
        assert!(Symbols::new(shape, vec![0; 23]).is_err());
        let symbols = Symbols::new(shape, (0..24).collect()).unwrap();
        assert_eq!(symbols.cells().nth(1).unwrap(), [4, 5, 6, 7]);
        assert_eq!(Shape { rows: u32::MAX, columns: u32::MAX, channels: 9 }.count(), None);
    }

    #[test]
    fn step_multipliers_follow_the_power_law() {
        for q in 1..=100 {
            let exact = 256.0 * 2f64.powf((75.0 - f64::from(q)) / 12.0);
            let found = f64::from(Quality::new(q).unwrap().step_multiplier());
            assert!((found - exact).abs() <= 0.5001, "quality {q}: {found} against {exact}");
        }
        assert!(Quality::new(0).is_err() && Quality::new(101).is_err());
    }
}
