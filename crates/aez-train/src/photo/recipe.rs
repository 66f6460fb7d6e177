//! How networks of the photo family are trained.

use aez_core::photo::{Config, Level, Recipe as Steps};
use serde::{Deserialize, Serialize};

/// How a network is trained. As text, each field is changed by `FIELD=VALUE`, those of a level by `LEVEL.FIELD=VALUE`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Sizes of the network.
    pub config: Config,
    /// Batch size, learning rate, and updates of each crop.
    pub steps: Steps,
    /// Number of crops that are trained on in turn.
    pub pool: usize,
    /// Width and height of a crop in pixels.
    pub edge: u32,
    /// Part of the crops that show most of their picture, as thumbnails do, 0 to 1.
    #[serde(default)]
    pub thumbnails: f32,
}

impl Default for Recipe {
    fn default() -> Self {
        Self { config: Config::default(), steps: Steps::default(), pool: 48, edge: 192, thumbnails: 0.0 }
    }
}

impl Recipe {
    /// The recipe with one field changed.
    ///
    /// # Errors
    /// A message if there is no such field, or if the value is not valid for it.
    pub fn with(&self, change: &str) -> Result<Self, String> {
        let (field, text) = change.split_once('=').ok_or(format!("{change:?} is not FIELD=VALUE"))?;
        let mut recipe = self.clone();
        let invalid = |e: serde_json::Error| format!("{change}: {e}");
        match field.split_once('.') {
            Some((level, field)) => {
                let level = level.parse().ok().and_then(|level: usize| recipe.config.levels.get_mut(level));
                let level: &mut Level = level.ok_or(format!("{change}: there is no such level"))?;
                *level = set(level, field, text)?;
            }
            None if field == "directions" => {
                recipe.config.directions = serde_json::from_str(text).map_err(invalid)?;
            }
            None if field == "pool" => recipe.pool = serde_json::from_str(text).map_err(invalid)?,
            None if field == "thumbnails" => {
                recipe.thumbnails = serde_json::from_str(text).map_err(invalid)?
            }
            None if field == "edge" => recipe.edge = serde_json::from_str(text).map_err(invalid)?,
            None if field == "levels" => {
                let count: usize = serde_json::from_str(text).map_err(invalid)?;
                let coarsest = recipe.config.levels[recipe.config.levels.len() - 1];
                recipe.config.levels.resize(count.clamp(1, 16), coarsest);
            }
            None => recipe.steps = set(&recipe.steps, field, text)?,
        }
        recipe.check()?;
        Ok(recipe)
    }

    fn check(&self) -> Result<(), String> {
        let Steps { batch, rate, updates, .. } = self.steps;
        if !self.config.is_valid() {
            return Err("no network has these sizes".into());
        }
        if !(1..=4096).contains(&self.pool) || !(1..=self.pool).contains(&batch) {
            return Err(format!("a pool of {} crops with steps of {batch} is not possible", self.pool));
        }
        if !(0.0..=50.0).contains(&self.steps.jitter) || !(0.0..=1.0).contains(&self.thumbnails) {
            return Err("jitter is from 0 to 50, and thumbnails from 0 to 1".into());
        }
        if !(8..=1024).contains(&self.edge) || updates == 0 || !rate.is_finite() || rate <= 0.0 {
            return Err("edge is from 8 to 1024, updates at least 1, and rate more than 0".into());
        }
        Ok(())
    }
}

/// A value with one field changed, which `text` gives in JSON.
fn set<T: Serialize + for<'a> Deserialize<'a>>(value: &T, field: &str, text: &str) -> Result<T, String> {
    let invalid = |e: serde_json::Error| format!("{field}={text}: {e}");
    let mut fields = serde_json::to_value(value).map_err(invalid)?;
    let place = fields.get_mut(field).ok_or(format!("there is no field {field:?} that can be set"))?;
    *place = serde_json::from_str(text).map_err(invalid)?;
    serde_json::from_value(fields).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_set_by_name() {
        let recipe = Recipe::default();
        let changed =
            ["batch=1", "rate=1e-3", "pool=9", "0.wide=false", "6.features=3", "levels=5", "directions=4"]
                .iter()
                .fold(recipe, |recipe, change| recipe.with(change).unwrap());
        assert_eq!((changed.steps.batch, changed.steps.rate, changed.pool), (1, 1e-3, 9));
        assert!(!changed.config.levels[0].wide && changed.config.levels.len() == 5);
        assert_eq!(changed.config.directions, 4);
        for wrong in [
            "batch",
            "batch=0",
            "batch=x",
            "9.wide=true",
            "0.width=1",
            "0.features=0",
            "rate=0",
            "x=1",
            "directions=17",
            "thumbnails=1.5",
            "only_directions=1",
        ] {
            assert!(changed.with(wrong).is_err(), "{wrong}");
        }
    }
}
