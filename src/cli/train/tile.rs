//! `aez train` for the tiled family.

use std::path::Path;

use aez_core::{Error, Limits, tiled::Config};
use aez_train::{
    data::{Dataset, HeldOut},
    recipe::{Init, Recipe},
    run::{self, Options},
    start::{Weights, load_weights},
};
use candle_core::Device;

use super::super::{
    common::{Common, WeightFormat, is_builtin},
    failure::{Failure, log},
    progress,
};
use super::{Shared, minutes};

/// Options that only the tiled family has.
#[derive(clap::Args)]
#[command(next_help_heading = "Options of the tiled family")]
pub struct TileArgs {
    /// Use at most this many pictures for training, evenly spaced in the data [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Recipe: tuned, or paper (Adam at 1e-3 from random weights, no augmentation, losses of the whole validation and test set)
    /// [default: tuned]
    #[arg(long)]
    recipe: Option<Recipe>,
    /// Number of passes over the data, such as 0.5 [default: the recipe's, 121]
    #[arg(long, value_name = "N", value_parser = not_negative, conflicts_with = "minutes")]
    epochs: Option<f64>,
    /// Number of tiles per step, 1 to 4096 [default: the recipe's, 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch_size: Option<u32>,
    /// Learning rate of the convolutions [default: the recipe's]; that of the linear layers is scaled by the same factor
    #[arg(long, value_name = "X", value_parser = positive)]
    lr: Option<f64>,
    /// Number of channels at full resolution, 1 to 256: fewer are faster and less accurate [default: 48]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    channels: Option<u32>,
    /// Scale the input of the network from 0..1 to -1..1
    #[arg(long)]
    normalize: bool,
    /// Probability of dropping a channel in training, from 0 to less than 1 [default: 0]
    #[arg(long, value_name = "P", value_parser = probability)]
    dropout: Option<f32>,
    /// Also drop channels while measuring validation and test loss, as the paper's training loop did by leaving dropout on
    #[arg(long)]
    test_dropout: bool,
    /// Number format of the weights in the model file [default: i8]
    #[arg(long, value_enum)]
    weights: Option<WeightFormat>,
}

/// What a run starts from.
enum Start<'a> {
    Klt,
    Paper,
    Xavier,
    /// The weights of a model or of a checkpoint.
    Weights(&'a Path),
}

impl<'a> Start<'a> {
    /// The meaning of a value of `--init`.
    fn of(text: &'a Path) -> Self {
        match text.to_str() {
            Some("klt") => Self::Klt,
            Some("paper") => Self::Paper,
            Some("xavier") => Self::Xavier,
            _ => Self::Weights(text),
        }
    }
}

/// Whether a value of `--init` is the name of a method.
pub fn is_method(text: &Path) -> bool {
    !matches!(Start::of(text), Start::Weights(_))
}

impl TileArgs {
    /// The name of an option that is given.
    pub fn given(&self) -> Option<&'static str> {
        let Self {
            limit,
            recipe,
            epochs,
            batch_size,
            lr,
            channels,
            normalize,
            dropout,
            test_dropout,
            weights,
        } = self;
        let given = [
            (limit.is_some(), "--limit"),
            (recipe.is_some(), "--recipe"),
            (epochs.is_some(), "--epochs"),
            (batch_size.is_some(), "--batch-size"),
            (lr.is_some(), "--lr"),
            (channels.is_some(), "--channels"),
            (*normalize, "--normalize"),
            (dropout.is_some(), "--dropout"),
            (*test_dropout, "--test-dropout"),
            (weights.is_some(), "--weights"),
        ];
        given.into_iter().find_map(|(given, name)| given.then_some(name))
    }

    pub fn run(self, shared: &Shared, common: &Common) -> Result<(), Failure> {
        let options = self.options(shared, common.open_device()?)?;
        let bar = progress::run(common.quiet);
        bar.set_message("reading pictures");
        let open = if options.recipe.whole_sets { Dataset::open_whole } else { Dataset::open };
        let mut data = open(&shared.data, options.config.tile, &Limits::default())?;
        if let Some(limit) = self.limit {
            data = data.keep(limit as usize)?;
        }
        data.skipped().iter().for_each(|skipped| log(skipped));
        if !common.quiet {
            let set = |set: &HeldOut| match set.origins() {
                [] => "0".into(),
                origins => format!("{} ({})", set.len(), origins.join(", ")),
            };
            let (validation, test) = (set(data.validation()), set(data.test()));
            log(&format!(
                "{} pictures for training, {validation} for validation, {test} for test",
                data.len()
            ));
        }
        run::train(&data, &options, &mut |event| progress::show(&bar, event, common.quiet))?;
        bar.finish_and_clear();
        if !common.quiet {
            log(&format!("wrote {}", shared.out.display()));
        }
        Ok(())
    }

    fn options(&self, shared: &Shared, device: Device) -> Result<Options, Failure> {
        let default = Config::default();
        let config = Config {
            normalize: self.normalize,
            dropout: self.dropout.unwrap_or(0.0),
            channels: self.channels.map_or(default.channels, |channels| channels as usize),
            ..default
        };
        let init = shared.init.as_deref().map(Start::of);
        let options = Options::new(config, self.recipe(shared, init.as_ref())?, &shared.out)
            .with_seed(shared.seed)
            .with_resume(shared.resume)
            .with_budget(shared.minutes.map(minutes).transpose()?)
            .with_device(device)
            .with_measure_every(shared.log_every)
            .with_checkpoint_every(minutes(shared.checkpoint_every)?)
            .with_storage(self.weights.unwrap_or(WeightFormat::I8).into());
        match &init {
            // A resumed run has its weights in the checkpoint.
            Some(Start::Weights(name)) if !shared.resume => Ok(options.with_weights(weights(name)?)),
            _ => Ok(options),
        }
    }

    /// The recipe with all changes.
    fn recipe(&self, shared: &Shared, init: Option<&Start>) -> Result<Recipe, Failure> {
        let mut recipe = self.recipe.clone().unwrap_or_else(Recipe::tuned);
        for change in &shared.set {
            recipe = recipe.with(change).map_err(Failure::Usage)?;
        }
        if let Some(rate) = self.lr {
            recipe.linear_rate *= rate / recipe.rate;
            recipe.rate = rate;
        }
        recipe.batch_size = self.batch_size.map_or(recipe.batch_size, |size| size as usize);
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        recipe.test_dropout |= self.test_dropout;
        recipe.init = match init {
            Some(Start::Klt) => Init::Klt,
            Some(Start::Paper) => Init::Paper,
            Some(Start::Xavier) => Init::Xavier,
            Some(Start::Weights(_)) => Init::Weights,
            None => recipe.init,
        };
        Ok(recipe)
    }
}

/// The weights of a built-in model, of a model file, or of a checkpoint.
fn weights(name: &Path) -> Result<Weights, Failure> {
    let parameters = if is_builtin(name) {
        let model = aez::models::open(name)?;
        let tiled = model.tiled();
        tiled.ok_or_else(|| not_tiled(name))?.parameters()?
    } else {
        load_weights(name)?
    };
    Ok(Weights { name: name.display().to_string(), parameters })
}

fn not_tiled(name: &Path) -> Error {
    Error::Misuse(format!(
        "training starts from models of the tiled family, and {} is not one",
        name.display()
    ))
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("expected a number, 0 or greater".into()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("expected a number greater than 0".into()),
    }
}

fn probability(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to less than 1".into()),
    }
}
