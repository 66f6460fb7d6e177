//! The state that a run begins with, and whether a checkpoint is of the same run.

use super::{
    checkpoint::{Checkpoint, Progress},
    data::Dataset,
    optimizer::Optimizer,
    recipe::{Init, Recipe},
    run::{Event, Options},
};
use crate::{
    error::{Error, Result},
    model::{Model, Parameters, init},
};
use std::{fmt, path::PathBuf};

/// Where the weights to begin with are.
#[derive(Debug, Clone)]
pub enum Weights {
    /// In the built-in model.
    Builtin,
    /// In a checkpoint, whose averaged weights are taken, or in a model file.
    File(PathBuf),
}

impl Weights {
    fn load(&self) -> Result<Parameters> {
        match self {
            Self::Builtin => Model::builtin()?.parameters(),
            Self::File(path) => match Checkpoint::load_weights(path) {
                // No checkpoint; a model then.
                Err(Error::Model(_)) => Model::load(path)?.parameters(),
                other => other,
            },
        }
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("the built-in model"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Tiles from which the Karhunen-Loève transform is computed.
const KLT_TILES: usize = 8192;

/// The state before the first step.
pub(super) fn start(
    data: &Dataset,
    options: &Options,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Checkpoint> {
    let Options { config, recipe, seed, .. } = options;
    let parameters = match recipe.init {
        Init::Xavier => init::xavier(*config, *seed)?,
        Init::Klt => {
            tell(Event::Busy("computing the Karhunen-Loève transform"));
            init::klt(*config, data.sample(KLT_TILES, *seed, &recipe.augment()), *seed)?
        }
        Init::Weights => {
            let weights = options.weights.as_ref();
            let weights =
                weights.ok_or_else(|| Error::Misuse("no weights to begin with are named".into()))?;
            let mut parameters = weights.load()?;
            // Dropout changes nothing in the weights.
            parameters.config.dropout = config.dropout;
            if parameters.config != *config {
                return Err(Error::Misuse(format!("{weights} is of another network")));
            }
            parameters
        }
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
    Ok(Checkpoint { optimizer: Optimizer::new(&parameters), parameters, progress, rounding: None })
}

/// Refuses to go on with other data or another recipe. The number of epochs and the learning rates may change: a run
/// that diverged goes on at lower ones.
pub(super) fn check_same(progress: &Progress, data: &Dataset, options: &Options) -> Result<()> {
    let Recipe { ref name, epochs, rate, linear_rate, .. } = progress.recipe;
    let recipe = Recipe { name: name.clone(), epochs, rate, linear_rate, ..options.recipe.clone() };
    let differs = [
        (progress.config != options.config, "network"),
        (progress.recipe != recipe, "recipe"),
        (progress.seed != options.seed, "seed"),
        (progress.data != data.summary(), "data"),
    ];
    match differs.iter().find(|(differs, _)| *differs) {
        Some((_, what)) => Err(Error::Misuse(format!(
            "the checkpoint is of a run with another {what}: resume with the options that the run began with"
        ))),
        None => Ok(()),
    }
}
