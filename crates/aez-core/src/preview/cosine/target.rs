//! What the encoder aims at: the coefficients and pixels of the picture.

use super::{
    COUNT, EDGE, PreviewModel,
    dct::{AREA, COEFFICIENT_BITS, COLOURS, PIXEL_BITS},
};
use crate::picture::Picture;

/// Number of values of a coefficient's unit.
const COEFFICIENT: f32 = (1 << COEFFICIENT_BITS) as f32;
/// Number of values of a pixel's unit.
const PIXEL: f32 = (1 << PIXEL_BITS) as f32;

/// A picture to encode.
pub struct Target<'a> {
    /// The picture at 96x96 pixels.
    pub picture: &'a Picture,
    /// The coefficients that are coded, in 1/256.
    pub coefficients: Vec<f32>,
    /// The picture at 48x48 pixels, in 1/4096.
    pub pixels: Vec<f32>,
}

impl<'a> Target<'a> {
    pub fn new(model: &PreviewModel, picture: &'a Picture) -> Self {
        let edge = picture.width as usize;
        let mut channels = vec![0f32; 3 * edge * edge];
        for (place, pixel) in picture.rgb.as_chunks::<3>().0.iter().enumerate() {
            for (channel, colour) in COLOURS.iter().enumerate() {
                // The colours are those of 255 times 256, and orthonormal.
                let sum: f32 =
                    pixel.iter().zip(colour).map(|(&x, &c)| (f32::from(x) / 255.0 - 0.5) * c as f32).sum();
                channels[channel * edge * edge + place] = sum / (255.0 * 256.0);
            }
        }
        let unit = COEFFICIENT * EDGE as f32 / edge as f32;
        let all: Vec<f32> = channels
            .chunks_exact(edge * edge)
            .flat_map(|channel| forward(channel, edge))
            .map(|x| x * unit)
            .collect();
        let pixels = all.chunks_exact(AREA).flat_map(inverse).map(|x| x * (PIXEL / COEFFICIENT)).collect();
        Self { picture, coefficients: model.coded_of(&all), pixels }
    }
}

impl PreviewModel {
    /// The values of the coefficients that are coded.
    fn coded_of(&self, all: &[f32]) -> Vec<f32> {
        (0..COUNT).map(|at| all[usize::from(self.order[at])]).collect()
    }

    /// The gradient with respect to the coded coefficients of an error, from that with respect to the pixels. Both errors are half of the
    /// sum of squares, in 1/4096 and in 1/256.
    pub fn of_coefficients(&self, pixels: &[f32]) -> Vec<f32> {
        let all: Vec<f32> = pixels.chunks_exact(AREA).flat_map(|channel| forward(channel, EDGE)).collect();
        self.coded_of(&all).into_iter().map(|x| x * (COEFFICIENT / PIXEL)).collect()
    }
}

/// The orthonormal cosine functions of the lowest 48 frequencies, `[frequency][place]`.
fn functions(edge: usize) -> Vec<f32> {
    let value = |at: usize| {
        let (k, x) = (at / edge, at % edge);
        let scale = if k == 0 { 1.0 } else { 2.0 };
        let angle = std::f64::consts::PI * (k * (2 * x + 1)) as f64 / (2 * edge) as f64;
        ((scale / edge as f64).sqrt() * angle.cos()) as f32
    };
    (0..EDGE * edge).map(value).collect()
}

/// The lowest 48x48 frequencies of `edge` x `edge` values.
fn forward(values: &[f32], edge: usize) -> Vec<f32> {
    let functions = functions(edge);
    // By vertical frequency and column.
    let mut columns = vec![0f32; EDGE * edge];
    for (sums, function) in columns.chunks_exact_mut(edge).zip(functions.chunks_exact(edge)) {
        for (row, &f) in values.chunks_exact(edge).zip(function) {
            sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f * x);
        }
    }
    let dot = |line: &[f32], function: &[f32]| line.iter().zip(function).map(|(a, b)| a * b).sum();
    columns
        .chunks_exact(edge)
        .flat_map(|line| functions.chunks_exact(edge).map(move |function| dot(line, function)))
        .collect()
}

/// The 48x48 values of as many frequencies.
fn inverse(values: &[f32]) -> Vec<f32> {
    let functions = functions(EDGE);
    let mut columns = vec![0f32; AREA];
    for (row, function) in values.chunks_exact(EDGE).zip(functions.chunks_exact(EDGE)) {
        for (sums, &f) in columns.chunks_exact_mut(EDGE).zip(function) {
            sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f * x);
        }
    }
    let mut result = vec![0f32; AREA];
    for (sums, line) in result.chunks_exact_mut(EDGE).zip(columns.chunks_exact(EDGE)) {
        for (&x, function) in line.iter().zip(functions.chunks_exact(EDGE)) {
            sums.iter_mut().zip(function).for_each(|(sum, &f)| *sum += f * x);
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_transform_restores_the_values() {
        let values: Vec<f32> = (0..AREA).map(|i| ((i * 7919) % 101) as f32).collect();
        for (found, value) in inverse(&forward(&values, EDGE)).iter().zip(&values) {
            assert!((found - value).abs() < 0.01);
        }
    }
}
