//! The state at the start of a run, and whether a checkpoint belongs to it.

use crate::{
    Error, Result,
    checkpoint::{Checkpoint, Progress},
    data::Dataset,
    klt,
    optimizer::OptimizerState,
    options::{Event, Options},
    recipe::{Init, Recipe},
};
use aez_core::tiled::{Parameters, TiledModel, init};
use std::{fs, path::Path};

/// Maximum number of tiles from which the Karhunen-Loève transform is computed, and number of tiles per picture.
const KLT_TILES: usize = 8192;
const KLT_TILES_PER_PICTURE: usize = 16;

/// Starting weights of a run.
#[derive(Debug, Clone)]
pub struct Weights {
    /// Where they come from, for messages.
    pub name: String,
    /// The weights.
    pub parameters: Parameters,
}

/// Reads weights from a checkpoint, of which the averaged weights are taken, or from a model file.
///
/// # Errors
/// [`aez_core::Error::Io`] if the file cannot be read, [`aez_core::Error::Model`] if it is neither a valid checkpoint nor a valid
/// model.
pub fn load_weights(path: &Path) -> Result<Parameters> {
    let bytes = fs::read(path).map_err(|e| Error::io("cannot read", path, e))?;
    let invalid = |reason: String| Error::model(format!("{}: {reason}", path.display()));
    if let Some(parameters) = Checkpoint::weights_from_bytes(&bytes).map_err(invalid)? {
        return Ok(parameters);
    }
    let parameters = TiledModel::from_bytes(bytes).and_then(|model| model.parameters());
    parameters.map_err(|error| match error {
        aez_core::Error::Model(reason) => invalid(reason),
        other => other.into(),
    })
}

/// The state before the first step.
pub(crate) fn start(
    data: &Dataset,
    options: &Options,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<Checkpoint> {
    let Options { config, recipe, seed, .. } = options;
    let parameters = match recipe.init {
        Init::Paper => init::paper(*config, *seed)?,
        Init::Xavier => init::xavier(*config, *seed)?,
        Init::Klt => {
            report(Event::Busy("computing the Karhunen-Loève transform"));
            // With few pictures, more tiles take long and say little. The transform needs as many tiles as latents.
            let tiles = (KLT_TILES_PER_PICTURE * data.len()).clamp(2 * config.latents, KLT_TILES);
            klt::klt(*config, data.sample(tiles, *seed, &recipe.augment()), *seed)?
        }
        Init::Weights => given_weights(options)?,
    };
    let progress = Progress {
        config: *config,
        recipe: recipe.clone(),
        seed: *seed,
        data: data.summary().to_vec(),
        epoch: 0,
        position: 0,
        tiles: 0,
        seconds: 0.0,
        loss_sum: 0.0,
        loss_count: 0,
    };
    let optimizer = OptimizerState::new(&parameters, recipe.average > 0.0);
    Ok(Checkpoint { optimizer, parameters, progress, rounding: None })
}

/// The starting weights of the options, if they are for the configured network.
fn given_weights(options: &Options) -> Result<Parameters> {
    let config = options.config;
    let Some(Weights { name, parameters }) = &options.weights else {
        return Err(Error::misuse("the recipe starts from given weights, but there are none"));
    };
    // Networks that differ only in dropout have the same weights.
    let parameters = Parameters {
        config: aez_core::tiled::Config { dropout: config.dropout, ..parameters.config },
        arrays: parameters.arrays.clone(),
    };
    if parameters.config != config {
        return Err(Error::misuse(format!("the weights of {name} are for another network")));
    }
    Ok(parameters)
}

/// Checks that a checkpoint was written by a run with the same options. Only the name of the recipe, the number of epochs and the
/// learning rates may differ, so that a diverged run can be resumed with lower rates.
pub(crate) fn check_same(progress: &Progress, data: &Dataset, options: &Options) -> Result<()> {
    let Recipe { ref name, epochs, rate, linear_rate, .. } = progress.recipe;
    let recipe = Recipe { name: name.clone(), epochs, rate, linear_rate, ..options.recipe.clone() };
    let differs = [
        (progress.config != options.config, "network"),
        (progress.recipe != recipe, "recipe"),
        (progress.seed != options.seed, "seed"),
        (progress.data != data.summary(), "data"),
    ];
    match differs.iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(Error::misuse(format!(
            "the checkpoint belongs to a run with another {what}: resume with the options of that run"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_hold_no_weights_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        let error = load_weights(&path).unwrap_err().to_string();
        assert!(error.starts_with("cannot read ") && error.contains("weights"), "{error}");
        fs::write(&path, "text").unwrap();
        let error = load_weights(&path).unwrap_err();
        assert!(matches!(error, Error::Codec(aez_core::Error::Model(_))), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }

    #[test]
    fn weights_are_read_from_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        fs::write(&path, aez_core::testing::tiny_bytes()).unwrap();
        let expected = aez_core::testing::tiny_tiled().parameters().unwrap();
        assert_eq!(load_weights(&path).unwrap(), expected);
    }
}
