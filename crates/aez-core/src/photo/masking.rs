//! Weights of the squared error that follow what people see: errors in busy places are hidden by what is there.
//!
//! The structural similarity of Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
//! similarity" (2004), divides the squared error of a window by its variance. The square root of that is used here, which loses less PSNR.

use super::rows::Rows;
use crate::parallel::*;

/// Windows reach this many pixels to each side.
const REACH: usize = 8;
/// Added to the variance of luma in [0, 1], so that smooth places do not take all bits.
const SMOOTHEST: f32 = 0.002;

/// The weight of each pixel: the inverse of the standard deviation of luma, the first plane, in a square window. The geometric mean of
/// the weights of visible pixels is 1; those of pixels whose `weights` are 0 stay 0.
pub(super) fn mask(planes: &Rows, weights: &mut [f32]) {
    let (rows, columns) = (planes.rows, planes.columns);
    let sums: Vec<Vec<[f32; 2]>> = (0..rows).into_par_iter().map(|y| window_sums(planes.row(0, y))).collect();
    weights.par_chunks_mut(columns).enumerate().for_each(|(y, row)| {
        let window = y.saturating_sub(REACH)..(y + REACH + 1).min(rows);
        let height = window.len();
        for (x, weight) in row.iter_mut().enumerate().filter(|(_, weight)| **weight > 0.0) {
            let count = (height * window_of(x, columns).len()) as f32;
            let [sum, squares] =
                [0, 1].map(|power| sums[window.clone()].iter().map(|row| row[x][power]).sum::<f32>());
            let mean = sum / count;
            let variance = (squares / count - mean * mean).max(0.0);
            *weight = 1.0 / (variance + SMOOTHEST).sqrt();
        }
    });
    let visible = weights.iter().filter(|&&weight| weight > 0.0);
    let (count, logarithms) =
        visible.fold((0, 0.0), |(count, sum), &weight| (count + 1, sum + f64::from(weight).ln()));
    let scale = (-logarithms / f64::from(count.max(1))).exp() as f32;
    weights.iter_mut().for_each(|weight| *weight *= scale);
}

/// The columns of the window around one.
fn window_of(x: usize, columns: usize) -> std::ops::Range<usize> {
    x.saturating_sub(REACH)..(x + REACH + 1).min(columns)
}

/// For each place of a row, the sums of the values and of their squares over its window.
fn window_sums(row: &[f32]) -> Vec<[f32; 2]> {
    let sums = |x: usize| {
        row[window_of(x, row.len())].iter().fold([0.0, 0.0], |[sum, squares], v| [sum + v, squares + v * v])
    };
    (0..row.len()).map(sums).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random values on the left, and a smooth ramp on the right.
    fn half_busy(rows: usize, columns: usize) -> Rows {
        let mut planes = Rows::new(3, rows, columns);
        let mut state = 1u32;
        for y in 0..rows {
            for (x, value) in planes.row_mut(0, y).iter_mut().enumerate() {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
                *value = if x < columns / 2 { 0.5 * noise } else { 0.001 * x as f32 };
            }
        }
        planes
    }

    #[test]
    fn weights_are_the_inverse_of_the_standard_deviation() {
        let (rows, columns) = (23, 41);
        let planes = half_busy(rows, columns);
        let mut weights = vec![1.0; rows * columns];
        mask(&planes, &mut weights);
        let deviation = |y: usize, x: usize| {
            let window = |at: usize, end: usize| at.saturating_sub(REACH)..(at + REACH + 1).min(end);
            let values: Vec<f64> = window(y, rows)
                .flat_map(|y| window(x, columns).map(move |x| (y, x)))
                .map(|(y, x)| f64::from(planes.row(0, y)[x]))
                .collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
            (variance + f64::from(SMOOTHEST)).sqrt()
        };
        let products =
            (0..rows * columns).map(|i| f64::from(weights[i]) * deviation(i / columns, i % columns));
        let first = f64::from(weights[0]) * deviation(0, 0);
        assert!(products.into_iter().all(|product| (product / first - 1.0).abs() < 1e-3));
        assert!(weights[columns - 1] > 4.0 * weights[0]);
        let mean: f64 = weights.iter().map(|&w| f64::from(w).ln()).sum::<f64>() / weights.len() as f64;
        assert!(mean.abs() < 1e-4, "{mean}");
    }

    #[test]
    fn hidden_pixels_stay_without_weight() {
        let (rows, columns) = (9, 14);
        let mut weights: Vec<f32> = (0..rows * columns).map(|i| (i % 3 > 0) as u8 as f32).collect();
        mask(&half_busy(rows, columns), &mut weights);
        assert!(weights.iter().enumerate().all(|(i, &weight)| (i % 3 > 0) == (weight > 0.0)));
        let mut none = vec![0.0; rows * columns];
        mask(&half_busy(rows, columns), &mut none);
        assert!(none.iter().all(|&weight| weight == 0.0));
    }
}
