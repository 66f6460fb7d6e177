//! How to train: everything that is decided before the first step.

use super::data::Augment;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The starting weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// The Karhunen-Loève transform of the training tiles.
    Klt,
    /// The paper's: uniform after Glorot and Bengio, biases 0.01.
    Xavier,
}

/// The learning rate over the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// The same from beginning to end.
    Constant,
    /// Rising over the first steps, then falling to zero by a half cosine.
    Cosine,
}

/// A way to train. [`Recipe::paper`] is the paper's; [`Recipe::tuned`] is better and the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    pub name: String,
    pub init: Init,
    pub schedule: Schedule,
    /// Steps over which the learning rate rises, for [`Schedule::Cosine`].
    pub warm_up: u64,
    /// Learning rate of the convolutions.
    pub rate: f64,
    /// Learning rate of the linear layers.
    pub linear_rate: f64,
    /// Gradients longer than this are shortened to it.
    pub clip: Option<f64>,
    pub batch_size: usize,
    pub epochs: u64,
    pub flip: bool,
    pub crop: bool,
    pub colour: f32,
}

impl Recipe {
    /// The paper's recipe: Adam at 1e-3, batches of 64, 121 epochs, mean squared error.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            name: "paper".into(),
            init: Init::Xavier,
            schedule: Schedule::Constant,
            warm_up: 0,
            rate: 1e-3,
            linear_rate: 1e-3,
            clip: None,
            batch_size: 64,
            epochs: 121,
            flip: false,
            crop: false,
            colour: 0.0,
        }
    }

    /// From the Karhunen-Loève transform, with random crops and flips. The linear layers' weights are small, and so is their
    /// learning rate.
    #[must_use]
    pub fn tuned() -> Self {
        Self {
            name: "tuned".into(),
            init: Init::Klt,
            schedule: Schedule::Cosine,
            warm_up: 50,
            rate: 2e-4,
            linear_rate: 1e-5,
            clip: Some(1.0),
            flip: true,
            crop: true,
            ..Self::paper()
        }
    }

    /// How tiles are made from the training pictures.
    #[must_use]
    pub fn augment(&self) -> Augment {
        Augment { flip: self.flip, crop: self.crop, colour: self.colour }
    }

    /// The factor on both learning rates at a step, when `progress` (0 to 1) of the run is over.
    #[must_use]
    pub fn rate_factor(&self, step: u64, progress: f64) -> f64 {
        match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let rise = ((step + 1) as f64 / (self.warm_up + 1) as f64).min(1.0);
                rise * 0.5 * (1.0 + (std::f64::consts::PI * progress.clamp(0.0, 1.0)).cos())
            }
        }
    }
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "paper" => Ok(Self::paper()),
            "tuned" => Ok(Self::tuned()),
            _ => Err(format!("there is no recipe {name}: there are `tuned` and `paper`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_then_falls_to_zero() {
        let recipe = Recipe::tuned();
        assert!(recipe.rate_factor(0, 0.0) < 0.05);
        assert!((recipe.rate_factor(50, 0.0) - 1.0).abs() < 1e-9);
        assert!((recipe.rate_factor(500, 0.5) - 0.5).abs() < 1e-9);
        assert!(recipe.rate_factor(1000, 1.0).abs() < 1e-9);
        assert_eq!(Recipe::paper().rate_factor(0, 0.7), 1.0);
    }
}
