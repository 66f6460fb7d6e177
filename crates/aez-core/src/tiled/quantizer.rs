//! Latents to the coordinates that are quantized, and back.

use crate::error::{Error, Result};

/// Centre and base step of each latent. Its coordinate is `u = (latent - centre) / step`; at quality 75 a symbol is `u` rounded.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantizer {
    centres: Vec<f32>,
    steps: Vec<f32>,
}

impl Quantizer {
    /// A quantizer with as many centres as steps.
    ///
    /// # Errors
    /// [`Error::Model`] unless all centres are finite and all steps finite and positive.
    pub fn new(centres: Vec<f32>, steps: Vec<f32>) -> Result<Self> {
        if centres.len() != steps.len() {
            return Err(Error::Model(format!("{} centres for {} steps", centres.len(), steps.len())));
        }
        if let Some(bad) = centres.iter().position(|centre| !centre.is_finite()) {
            return Err(Error::Model(format!("the centre of latent {bad} is {}", centres[bad])));
        }
        if let Some(bad) = steps.iter().position(|step| !(step.is_normal() && *step > 0.0)) {
            return Err(Error::Model(format!("the step of latent {bad} is {}", steps[bad])));
        }
        Ok(Self { centres, steps })
    }

    /// Number of latents.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.centres.len()
    }

    /// The mean of each latent over the training data.
    #[must_use]
    pub fn centres(&self) -> &[f32] {
        &self.centres
    }

    /// The quantization step of each latent at quality 75, in units of the latent.
    #[must_use]
    pub fn steps(&self) -> &[f32] {
        &self.steps
    }

    /// Latents, row after row, to coordinates in base steps.
    pub fn normalize(&self, latents: &mut [f32]) {
        self.each(latents, |value, centre, step| (value - centre) / step);
    }

    /// Coordinates in base steps, row after row, to latents.
    pub fn denormalize(&self, coordinates: &mut [f32]) {
        self.each(coordinates, |value, centre, step| value * step + centre);
    }

    fn each(&self, values: &mut [f32], map: impl Fn(f32, f32, f32) -> f32) {
        for row in values.chunks_mut(self.channels().max(1)) {
            for ((value, &centre), &step) in row.iter_mut().zip(&self.centres).zip(&self.steps) {
                *value = map(*value, centre, step);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_invert_and_invalid_values_are_errors() {
        let quantizer = Quantizer::new(vec![1.0, -2.0], vec![0.5, 4.0]).unwrap();
        let mut values = vec![2.0, 2.0, 1.0, -2.0];
        quantizer.normalize(&mut values);
        assert_eq!(values, [2.0, 1.0, 0.0, 0.0]);
        quantizer.denormalize(&mut values);
        assert_eq!(values, [2.0, 2.0, 1.0, -2.0]);
        for (centres, steps) in [
            (vec![0.0], vec![]),
            (vec![f32::NAN], vec![1.0]),
            (vec![0.0], vec![0.0]),
            (vec![0.0], vec![f32::INFINITY]),
        ] {
            assert!(Quantizer::new(centres, steps).is_err());
        }
    }
}
