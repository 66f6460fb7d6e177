//! The values between the network and the entropy coder: latents, symbols, and the quality that connects them.

use crate::error::{Error, Result};

/// Size of a grid of cells with a fixed number of values each. In the tiled family a cell is a tile of the picture, and its
/// values are the tile's latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rows of cells.
    pub rows: u32,
    /// Cells per row.
    pub columns: u32,
    /// Values per cell.
    pub channels: u32,
}

impl Shape {
    /// Number of cells, `rows * columns`.
    #[must_use]
    pub fn cells(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.columns)
    }

    /// Number of values, `rows * columns * channels`, or `None` where that exceeds 64 bits.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.cells().checked_mul(self.channels.into())
    }
}

/// A grid of cells in row-major order, the values of a cell together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells<T> {
    shape: Shape,
    values: Vec<T>,
}

/// Quantized latents: the integers that a file stores.
pub type Symbols = Cells<i32>;

/// Latents before quantization or after dequantization, in units of the model's base steps around its centres: the coordinate
/// `u` of the format specification.
pub type Latents = Cells<f32>;

impl<T> Cells<T> {
    /// A grid with the given values.
    ///
    /// # Errors
    /// [`Error::Misuse`] when the number of values differs from that of the shape.
    pub fn new(shape: Shape, values: Vec<T>) -> Result<Self> {
        if shape.count() != Some(values.len() as u64) {
            return Err(Error::Misuse(format!("{} values do not fill {shape:?}", values.len())));
        }
        Ok(Self { shape, values })
    }

    /// The size of the grid.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// All values, cell after cell.
    #[must_use]
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The cells in row-major order, each a slice of `channels` values.
    pub fn cells(&self) -> impl Iterator<Item = &[T]> {
        self.values.chunks_exact(self.shape.channels.max(1) as usize)
    }
}

/// Quality of an encoded picture, from 1 (smallest file) to 100 (best picture).
///
/// In the tiled family, an increase by 12 halves the quantization step of every latent. At [`Quality::REFERENCE`] the steps are
/// the model's base steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quality(u8);

impl Quality {
    /// The default, 75: the quantization steps are the base steps of the model.
    pub const REFERENCE: Self = Self(75);
    /// Fractional bits of [`Quality::step_multiplier`].
    pub const MULTIPLIER_BITS: u32 = 8;

    /// A quality from 1 to 100.
    ///
    /// # Errors
    /// [`Error::Misuse`] for other values.
    pub fn new(value: u8) -> Result<Self> {
        if (1..=100).contains(&value) {
            Ok(Self(value))
        } else {
            Err(Error::Misuse(format!("quality {value} is not between 1 and 100")))
        }
    }

    /// The number, from 1 to 100.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// The factor on the model's base steps in units of 1/256, `round(256 * 2^((75 - quality) / 12))`: 60 at quality 100, 256 at
    /// 75, 18,390 at 1. Computed in integers, so that every machine gets the same value.
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
