//! How to train: everything that is decided before the first step.

use super::{data::Augment, optimizer::Step};
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
    /// Those of another run's checkpoint, or of a model.
    Weights,
}

/// What training makes small, besides the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distortion {
    /// The mean squared error over all tiles.
    Mse,
    /// The mean over tiles of the logarithm of their mean squared error, which makes the mean PSNR large. Of squared
    /// errors, the few tiles with much texture have most of the sum.
    Psnr,
}

/// The learning rate over the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// The same from beginning to end.
    Constant,
    /// Rising over the first steps, then falling to zero by a half cosine.
    Cosine,
    /// Rising over the first steps, then constant, then falling to zero in a straight line over the last part of the run
    /// ([`COOLDOWN`]; Hu et al., 2024; Hägele et al., 2024).
    Trapezoid,
}

/// The part of the run in which [`Schedule::Trapezoid`] falls.
const COOLDOWN: f64 = 0.3;

/// A way to train. [`Recipe::paper`] is the paper's; [`Recipe::tuned`] is better and the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipe {
    pub name: String,
    pub init: Init,
    pub distortion: Distortion,
    /// Extra weight of the errors near a tile's border, where larger pictures show their seams.
    pub border: f32,
    /// Round the latents of most tiles as the codec does, at random qualities, and add their rate to the loss.
    pub quantize: bool,
    /// Steps of the convolutions by Muon in the place of Adam.
    pub muon: bool,
    /// Decay of the moving average of the weights, which is what is measured and kept; 0 for the weights themselves.
    pub average: f64,
    pub schedule: Schedule,
    /// Steps over which the learning rate rises, unless it is constant.
    pub warm_up: u64,
    /// Learning rate of the convolutions.
    pub rate: f64,
    /// Learning rate of the linear layers.
    pub linear_rate: f64,
    /// Gradients longer than this are shortened to it.
    pub clip: Option<f64>,
    pub batch_size: usize,
    pub epochs: f64,
    pub flip: bool,
    pub crop: bool,
    /// Part of the crops that show nearly all of their picture.
    pub thumbnails: f32,
    pub colour: f32,
}

impl Default for Recipe {
    fn default() -> Self {
        Self::paper()
    }
}

impl Recipe {
    /// The paper's recipe: Adam at 1e-3, batches of 64, 121 epochs, mean squared error.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            name: "paper".into(),
            init: Init::Xavier,
            distortion: Distortion::Mse,
            border: 0.0,
            quantize: false,
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
        }
    }

    /// From the Karhunen-Loève transform, towards a high mean PSNR, by Muon. The linear layers' weights are small, and so is their
    /// learning rate. Latents are not rounded, for which files of 48 bytes and more are better and smaller ones worse. See
    /// `docs/training.md` for what each part is worth.
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
            ..Self::paper()
        }
    }

    /// Changes one field, by a text `FIELD=VALUE`.
    ///
    /// # Errors
    /// A message for the user when there is no such field, or the value is none for it.
    pub fn with(&self, change: &str) -> Result<Self, String> {
        let (field, text) = change.split_once('=').ok_or(format!("{change:?} is not FIELD=VALUE"))?;
        let refuse = |e: serde_json::Error| format!("{change}: {e}");
        let mut fields = serde_json::to_value(self).map_err(refuse)?;
        let Some(value) = fields.get_mut(field).filter(|_| field != "name" && field != "init") else {
            return Err(format!("a recipe has no {field:?} to set"));
        };
        *value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
        let recipe: Self = serde_json::from_value(fields).map_err(refuse)?;
        Ok(Self { name: format!("{} {change}", self.name), ..recipe })
    }

    /// How tiles are made from the training pictures.
    #[must_use]
    pub fn augment(&self) -> Augment {
        Augment { flip: self.flip, crop: self.crop, thumbnails: self.thumbnails, colour: self.colour }
    }

    /// How to take a step, when `progress` (0 to 1) of the run is over and the gradient's norm is `norm`.
    #[must_use]
    pub fn step(&self, step: u64, progress: f64, norm: f64) -> Step {
        let factor = self.rate_factor(step, progress);
        Step {
            scale: self.clip.map_or(1.0, |clip| (clip / norm.max(1e-12)).min(1.0)) as f32,
            rate: factor * self.rate,
            linear_rate: factor * self.linear_rate,
            muon: self.muon,
            // At the beginning an average over all steps so far would be better than one that still knows the first.
            average: self.average.min((step + 1) as f64 / (step + 10) as f64) as f32,
        }
    }

    /// The factor on both learning rates at a step, when `progress` (0 to 1) of the run is over.
    #[must_use]
    pub fn rate_factor(&self, step: u64, progress: f64) -> f64 {
        let progress = progress.clamp(0.0, 1.0);
        let rise = ((step + 1) as f64 / (self.warm_up + 1) as f64).min(1.0);
        match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine => rise * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Schedule::Trapezoid => rise * ((1.0 - progress) / COOLDOWN).min(1.0),
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
    fn the_rate_rises_then_falls_to_zero() {
        let recipe = Recipe::tuned();
        assert!(recipe.rate_factor(0, 0.0) < 0.05);
        assert!((recipe.rate_factor(50, 0.0) - 1.0).abs() < 1e-9);
        assert!((recipe.rate_factor(500, 0.5) - 0.5).abs() < 1e-9);
        assert!(recipe.rate_factor(1000, 1.0).abs() < 1e-9);
        assert_eq!(Recipe::paper().rate_factor(0, 0.7), 1.0);

        let trapezoid = recipe.with("schedule=trapezoid").unwrap();
        assert!(trapezoid.rate_factor(0, 0.0) < 0.05);
        assert!((trapezoid.rate_factor(50, 0.0) - 1.0).abs() < 1e-9);
        assert!((trapezoid.rate_factor(500, 0.7) - 1.0).abs() < 1e-9, "until the cooldown");
        assert!((trapezoid.rate_factor(500, 0.85) - 0.5).abs() < 1e-9, "half of the way down");
        assert!(trapezoid.rate_factor(1000, 1.0).abs() < 1e-9);
    }
}
