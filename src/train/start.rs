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
    model::init,
};

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
        Init::Checkpoint => {
            let path = options.weights.as_deref();
            let path = path.ok_or_else(|| Error::Misuse("no checkpoint to begin with is named".into()))?;
            let parameters = Checkpoint::load_weights(path)?;
            if parameters.config != *config {
                return Err(Error::Misuse(format!("{} is of another network", path.display())));
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
