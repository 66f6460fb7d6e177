//! Recipes: the settings of a training run.

use crate::{data::Augment, optimizer::Step};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The starting weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// Weights that compute the Karhunen-Loève transform of the training tiles.
    Klt,
    /// Random weights as in the paper: those of [`Init::Xavier`], except for the transposed convolutions.
    Paper,
    /// Random weights, uniform after Glorot and Bengio (2010), with biases of 0.01.
    Xavier,
    /// The weights of a model or of the checkpoint of another run.
    Weights,
}

/// The distortion that training minimizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distortion {
    /// The mean squared error of all tiles.
    Mse,
    /// The mean over tiles of the logarithm of their mean squared error, which maximizes the mean PSNR. With the mean squared
    /// error, few tiles with much texture have most of the weight.
    Psnr,
}

/// The learning rate over the course of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Constant.
    Constant,
    /// A linear warm-up, then half a cosine down to zero.
    Cosine,
    /// A linear warm-up, then constant, then linear down to zero over the last 30 % of the run (Hu et al., 2024; Hägele et
    /// al., 2024).
    Trapezoid,
}

/// Fraction of the run over which [`Schedule::Trapezoid`] falls.
const COOLDOWN: f64 = 0.3;

/// The settings of a training run. [`Recipe::paper`] is the recipe of the paper; [`Recipe::tuned`] gives better models and is
/// the default of the command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipe {
    /// Name of the recipe, with the changes that were made to it.
    pub name: String,
    /// The starting weights.
    pub init: Init,
    /// The distortion to minimize.
    pub distortion: Distortion,
    /// Additional weight of the errors of pixels near the edge of a tile, to reduce visible block boundaries.
    pub border: f32,
    /// Whether the latents of most tiles are rounded as by the encoder, at random qualities.
    pub quantize: bool,
    /// Whether the encoder is trained. If not, its weights stay as they are.
    pub encoder: bool,
    /// Weight of the rate of rounded latents in the objective: 1 is that of the encoder, and with 0 the network learns to decode rounded
    /// latents, but not to avoid their bits.
    pub rate_weight: f32,
    /// Whether the convolutions are updated by Muon instead of Adam.
    pub muon: bool,
    /// Decay of the moving average of the weights, 0 to less than 1. The average is measured and saved in the model; with 0,
    /// these are the current weights.
    pub average: f64,
    /// The course of the learning rate.
    pub schedule: Schedule,
    /// Number of steps of the warm-up.
    pub warm_up: u64,
    /// Learning rate of the convolutions.
    pub rate: f64,
    /// Learning rate of the linear layers.
    pub linear_rate: f64,
    /// Maximum Euclidean norm of the gradients. Longer gradients are scaled to this norm.
    pub clip: Option<f64>,
    /// Number of tiles of a step.
    pub batch_size: usize,
    /// Number of passes over the training data; may be a fraction.
    pub epochs: f64,
    /// Whether tiles are mirrored with a probability of one half.
    pub flip: bool,
    /// Whether tiles are random crops instead of centre squares.
    pub crop: bool,
    /// Fraction of the crops that show nearly the whole picture, 0 to 1.
    pub thumbnails: f32,
    /// Strength of the random changes of colours, 0 to 1.
    pub colour: f32,
    /// Whether validation and test losses are measured on all tiles of a [`Dataset`](crate::data::Dataset) instead of at most 128 of
    /// each set.
    #[serde(default)]
    pub whole_sets: bool,
    /// Whether channels are dropped while validation and test losses are measured, as in the training loop of the paper. The PSNR
    /// and files are always measured without dropout.
    #[serde(default)]
    pub test_dropout: bool,
}

impl Default for Recipe {
    fn default() -> Self {
        Self::paper()
    }
}

impl Recipe {
    /// The recipe of the paper: Adam with a learning rate of 1e-3, batches of 64 tiles, 121 epochs, mean squared error. Unlike the
    /// paper's loop, it measures without dropout unless [`Recipe::test_dropout`] is set.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            name: "paper".into(),
            init: Init::Paper,
            distortion: Distortion::Mse,
            border: 0.0,
            quantize: false,
            encoder: true,
            rate_weight: 1.0,
            muon: false,
            average: 0.0,
            schedule: Schedule::Constant,
            warm_up: 0,
            rate: 1e-3,
            linear_rate: 1e-3,
            clip: None,
            batch_size: 64,
            epochs: 121.0,
            flip: false,
            crop: false,
            thumbnails: 0.0,
            colour: 0.0,
            whole_sets: true,
            test_dropout: false,
        }
    }

    /// A recipe for a high mean PSNR: Muon, starting from the Karhunen-Loève transform, without rounding. The weights of the
    /// linear layers are small, and their learning rate is too. `docs/training.md` has measurements of each part.
    #[must_use]
    pub fn tuned() -> Self {
        Self {
            name: "tuned".into(),
            init: Init::Klt,
            distortion: Distortion::Psnr,
            border: 0.25,
            muon: true,
            average: 0.998,
            schedule: Schedule::Cosine,
            warm_up: 50,
            rate: 8e-4,
            linear_rate: 1e-5,
            clip: Some(1.0),
            flip: true,
            crop: true,
            thumbnails: 0.5,
            whole_sets: false,
            ..Self::paper()
        }
    }

    /// The recipe with one field changed by a text `FIELD=VALUE`, where the value is in JSON or a plain string. The fields
    /// `name` and `init` cannot be changed.
    ///
    /// # Errors
    /// A message if there is no such field, or if the value is not valid for it.
    pub fn with(&self, change: &str) -> Result<Self, String> {
        let (field, text) = change.split_once('=').ok_or(format!("{change:?} is not FIELD=VALUE"))?;
        let invalid = |e: serde_json::Error| format!("{change}: {e}");
        let mut fields = serde_json::to_value(self).map_err(invalid)?;
        let Some(value) = fields.get_mut(field).filter(|_| field != "name" && field != "init") else {
            return Err(format!("a recipe has no field {field:?} that can be set"));
        };
        *value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
        let recipe: Self = serde_json::from_value(fields).map_err(invalid)?;
        Ok(Self { name: format!("{} {change}", self.name), ..recipe })
    }

    /// How training tiles are made from pictures.
    #[must_use]
    pub fn augment(&self) -> Augment {
        Augment { flip: self.flip, crop: self.crop, thumbnails: self.thumbnails, colour: self.colour }
    }

    /// How to take a step. `steps` is the number of steps before it, and `progress` the fraction of the run that is completed.
    #[must_use]
    pub fn step(&self, steps: u64, progress: f64) -> Step {
        let factor = self.rate_factor(steps, progress);
        Step {
            rate: factor * self.rate,
            linear_rate: factor * self.linear_rate,
            muon: self.muon,
            // At first, the decay is smaller, so that the average forgets the starting weights.
            average: self.average.min((steps + 1) as f64 / (steps + 10) as f64) as f32,
        }
    }

    /// The factor on both learning rates after `steps` steps, when the fraction `progress` of the run is completed.
    #[must_use]
    pub fn rate_factor(&self, steps: u64, progress: f64) -> f64 {
        let progress = progress.clamp(0.0, 1.0);
        let warm_up = ((steps + 1) as f64 / (self.warm_up + 1) as f64).min(1.0);
        match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine => warm_up * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Schedule::Trapezoid => warm_up * ((1.0 - progress) / COOLDOWN).min(1.0),
        }
    }
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "paper" => Ok(Self::paper()),
            "tuned" => Ok(Self::tuned()),
            _ => Err(format!("unknown recipe {name:?}: expected `tuned` or `paper`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_set_by_name() {
        let recipe = Recipe::tuned().with("muon=false").unwrap().with("distortion=mse").unwrap();
        assert_eq!((recipe.muon, recipe.distortion), (false, Distortion::Mse));
        assert_eq!(recipe.name, "tuned muon=false distortion=mse");
        assert_eq!(recipe.with("clip=null").unwrap().clip, None);
        for wrong in ["muon", "muon=3", "mono=true", "rate=fast", "distortion=l1", "name=x"] {
            assert!(recipe.with(wrong).unwrap_err().contains(wrong.split('=').next().unwrap()));
        }
    }

    #[test]
    fn recipes_are_found_by_name() {
        for recipe in [Recipe::paper(), Recipe::tuned()] {
            assert_eq!(recipe.name.parse(), Ok(recipe));
        }
        assert!("best".parse::<Recipe>().unwrap_err().contains("`tuned`"));
    }

    #[test]
    fn the_learning_rate_rises_then_falls_to_zero() {
        let recipe = Recipe::tuned();
        assert!(recipe.rate_factor(0, 0.0) < 0.05);
        assert!((recipe.rate_factor(50, 0.0) - 1.0).abs() < 1e-9);
        assert!((recipe.rate_factor(500, 0.5) - 0.5).abs() < 1e-9);
        assert!(recipe.rate_factor(1000, 1.0).abs() < 1e-9);
        assert_eq!(Recipe::paper().rate_factor(0, 0.7), 1.0);

        let trapezoid = recipe.with("schedule=trapezoid").unwrap();
        assert!(trapezoid.rate_factor(0, 0.0) < 0.05);
        assert!((trapezoid.rate_factor(50, 0.0) - 1.0).abs() < 1e-9);
        assert!((trapezoid.rate_factor(500, 0.7) - 1.0).abs() < 1e-9, "before the cooldown");
        assert!((trapezoid.rate_factor(500, 0.85) - 0.5).abs() < 1e-9, "halfway through the cooldown");
        assert!(trapezoid.rate_factor(1000, 1.0).abs() < 1e-9);
    }

    #[test]
    fn only_recipes_with_an_average_keep_one() {
        assert!(Recipe::tuned().step(0, 0.0).average > 0.0);
        assert_eq!(Recipe::paper().step(100, 0.0).average, 0.0);
    }
}
