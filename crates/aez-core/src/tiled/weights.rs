//! Storage of parameter arrays: 32-bit floats, 8 bits with a scale per column, or the packed form of [`packed`](super::packed).
//!
//! In 8 bits a value is an integer from -127 to 127 times the scale of its column (the last dimension). The largest values of a
//! column, its *outliers*, are stored separately as floats, so that they do not increase the scale. A network that was initialized
//! as a linear transform has such values: the ones of its identity maps.

use crate::parallel::*;

/// How a model file stores the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// 32-bit floats, exact.
    Float32,
    /// 8-bit integers for large arrays, which takes a quarter of the space; biases and small arrays are exact.
    Int8,
    /// Transformed, rounded and entropy-coded arrays, which take about 3 bits for each value; small arrays are exact. The file is
    /// at most [`Storage::PACKED_BYTES`] long, unless the network is so large that this would need rounding coarser than 16 times the
    /// usual.
    Packed,
}

impl Storage {
    /// Maximum length of a packed model file in bytes: a crate that contains the file fits into the 10 MiB of registries.
    pub const PACKED_BYTES: usize = 19 << 19;

    /// The name in `aez info`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Float32 => "f32",
            Self::Int8 => "i8",
            Self::Packed => "packed",
        }
    }
}

/// An array in 8 bits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Int8 {
    /// Row-major.
    pub values: Vec<i8>,
    /// Scale of each column.
    pub scales: Vec<f32>,
    /// Positions and values of the outliers, in ascending order of the positions.
    pub outliers: Vec<(u32, f32)>,
}

impl Int8 {
    /// Quantizes an array of `columns` columns. The largest values of a column, one in 200, are its outliers.
    pub fn round(values: &[f32], columns: usize) -> Self {
        let rows = values.len() / columns;
        let cuts: Vec<f32> =
            (0..columns).into_par_iter().map(|column| cut(values, columns, rows, column)).collect();
        let scales: Vec<f32> = cuts.iter().map(|cut| cut / 127.0).collect();
        let mut outliers = Vec::new();
        let mut rounded = Vec::with_capacity(values.len());
        for (place, &value) in values.iter().enumerate() {
            let column = place % columns;
            let outlier = value.abs() > cuts[column];
            if outlier {
                outliers.push((place as u32, value));
            }
            let scale = if scales[column] > 0.0 { scales[column] } else { 1.0 };
            rounded.push(if outlier { 0 } else { (value / scale).round().clamp(-127.0, 127.0) as i8 });
        }
        Self { values: rounded, scales, outliers }
    }
}

/// The largest magnitude in a column that is not an outlier.
fn cut(values: &[f32], columns: usize, rows: usize, column: usize) -> f32 {
    let mut sizes: Vec<f32> = values[column..].iter().step_by(columns).map(|x| x.abs()).collect();
    let outliers = rows / 200;
    *sizes.select_nth_unstable_by(rows - 1 - outliers, f32::total_cmp).1
}

/// Dequantizes an array; `values` are its bytes.
pub(super) fn restore(
    values: &[u8],
    scales: &[f32],
    outliers: impl Iterator<Item = (usize, f32)>,
) -> Vec<f32> {
    let row = |row: &[u8]| -> Vec<f32> {
        row.iter().zip(scales).map(|(&value, scale)| f32::from(value.cast_signed()) * scale).collect()
    };
    let mut restored: Vec<f32> = values.par_chunks(scales.len()).flat_map_iter(row).collect();
    outliers.for_each(|(place, value)| restored[place] = value);
    restored
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn outliers_do_not_increase_the_rounding_error() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let (rows, columns) = (400, 5);
        let mut values: Vec<f32> = (0..rows * columns).map(|_| rng.random_range(-0.01..0.01)).collect();
        values[7] = 1.0;
        values[1203] = -3.0;
        values[3..].iter_mut().step_by(columns).for_each(|x| *x = 0.0);
        let int8 = Int8::round(&values, columns);
        let bytes: Vec<u8> = int8.values.iter().map(|v| v.cast_unsigned()).collect();
        let outliers = int8.outliers.iter().map(|&(place, value)| (place as usize, value));
        let restored = restore(&bytes, &int8.scales, outliers);
        assert_eq!((restored[7], restored[1203 - 1203 % 5 + 3]), (1.0, values[1203 - 1203 % 5 + 3]));
        for (a, b) in values.iter().zip(&restored) {
            assert!((a - b).abs() <= 0.01 / 127.0 * 0.51, "{a} became {b}");
        }
    }
}
