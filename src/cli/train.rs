//! `aez train`

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use aez_core::{Error, Limits, tiled::Config};
use aez_train::{
    data::{Dataset, HeldOut},
    recipe::{Init, Recipe},
    run::{self, Files, Options},
    spec::{Source, Spec},
    start::{Weights, load_weights},
    stl10,
};
use candle_core::Device;

use super::{
    common::{Common, WeightFormat, is_builtin},
    failure::{Failure, log},
    jobs::check_overwritten,
    progress,
};

/// Train a model on pictures
///
/// Besides the model file, training writes its log (MODEL.csv), a chart of the loss curves (MODEL.svg), some validation tiles
/// before and after the network (MODEL.png) and a checkpoint (MODEL.checkpoint).
#[derive(clap::Args)]
pub struct Args {
    /// Training data: a folder of pictures, or stl10:DIR; with the suffix @N, each picture is used N times per epoch
    #[arg(long, required = true, num_args = 1.., value_name = "SPEC")]
    data: Vec<Spec>,
    /// Model file to write
    #[arg(long, value_name = "MODEL")]
    out: PathBuf,
    /// Use at most this many pictures for training, evenly spaced in the data [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Recipe: tuned, or paper (Adam at 1e-3 from random weights, no augmentation, losses of the whole validation and test set)
    #[arg(long, default_value = "tuned")]
    recipe: Recipe,
    /// Number of passes over the data, such as 0.5 [default: the recipe's, 121]
    #[arg(long, value_name = "N", value_parser = not_negative)]
    epochs: Option<f64>,
    /// Training time in minutes instead of a number of epochs, including the time before --resume
    #[arg(long, value_name = "M", conflicts_with = "epochs")]
    minutes: Option<f64>,
    /// Change the recipe: distortion=mse|psnr, border=X, quantize=BOOL, muon=BOOL, average=X, thumbnails=X, colour=X, flip=BOOL,
    /// crop=BOOL, clip=X, warm_up=N, rate=X, linear_rate=X, schedule=constant|cosine|trapezoid, whole_sets=BOOL
    #[arg(long, value_name = "FIELD=VALUE", num_args = 1..)]
    set: Vec<String>,
    /// Number of tiles per step, 1 to 4096 [default: the recipe's, 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch_size: Option<u32>,
    /// Learning rate of the convolutions [default: the recipe's]; that of the linear layers is scaled by the same factor
    #[arg(long, value_name = "X", value_parser = positive)]
    lr: Option<f64>,
    /// Initial weights: klt (Karhunen-Loève transform), paper or xavier (random; the paper's transposed convolutions start at the
    /// default of PyTorch), a built-in model (tile), a model file, or the checkpoint of another run [default: the recipe's]
    #[arg(long, value_name = "klt|paper|xavier|tile|FILE")]
    init: Option<Start>,
    /// Number of channels at full resolution, 1 to 256: fewer are faster and less accurate [default: 48]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    channels: Option<u32>,
    /// Scale the input of the network from 0..1 to -1..1
    #[arg(long)]
    normalize: bool,
    /// Probability of dropping a channel in training, from 0 to less than 1
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = probability)]
    dropout: f32,
    /// Also drop channels while measuring validation and test loss, as the paper's training loop did by leaving dropout on
    #[arg(long)]
    test_dropout: bool,
    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Continue an earlier run with the same options from its checkpoint
    #[arg(long)]
    resume: bool,
    /// Maximum number of tiles between two rows of the log
    #[arg(long, value_name = "TILES", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    log_every: u64,
    /// Time between two checkpoints in minutes
    #[arg(long, value_name = "M", default_value_t = 5.0)]
    checkpoint_every: f64,
    /// Number format of the weights in the model file
    #[arg(long, value_enum, default_value_t = WeightFormat::I8)]
    weights: WeightFormat,
}

/// A value of `--init`.
#[derive(Clone)]
enum Start {
    Klt,
    Paper,
    Xavier,
    /// The weights of a model or of a checkpoint.
    Weights(PathBuf),
}

impl FromStr for Start {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "klt" => Self::Klt,
            "paper" => Self::Paper,
            "xavier" => Self::Xavier,
            name => Self::Weights(name.into()),
        })
    }
}

impl Args {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        if !self.resume && !common.force {
            self.check_files()?;
        }
        self.check_inputs()?;
        let options = self.options(common.open_device()?)?;
        let bar = progress::run(common.quiet);
        bar.set_message("reading pictures");
        let open = if options.recipe.whole_sets { Dataset::open_whole } else { Dataset::open };
        let mut data = open(&self.data, options.config.tile, &Limits::default())?;
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
            log(&format!("wrote {}", self.out.display()));
        }
        Ok(())
    }

    /// The files that the run writes.
    fn files(&self) -> [PathBuf; 5] {
        let Files { checkpoint, log, curves, samples, .. } = Files::beside(&self.out);
        [self.out.clone(), checkpoint, log, curves, samples]
    }

    /// Checks that none of the files of the run exists.
    fn check_files(&self) -> Result<(), Error> {
        match self.files().iter().find(|file| file.exists()) {
            Some(file) => Err(Error::Misuse(format!(
                "{} exists; --resume continues an earlier run, --force starts again and overwrites it",
                file.display()
            ))),
            None => Ok(()),
        }
    }

    /// Checks that none of the files of the run is read as training data or as initial weights.
    fn check_inputs(&self) -> Result<(), Failure> {
        let files = self.files();
        if !files.iter().any(|file| file.exists()) {
            return Ok(());
        }
        let mut read: Vec<PathBuf> = Vec::new();
        for spec in &self.data {
            match &spec.source {
                Source::Stl10(folder) => read.extend(stl10::FILES.map(|name| folder.join(name))),
                Source::Folder(folder) => read.extend(aez_image::pictures_under(folder)?),
            }
        }
        match &self.init {
            Some(Start::Weights(name)) if !self.resume && !is_builtin(name) => read.push(name.clone()),
            _ => {}
        }
        check_overwritten(read.iter().map(PathBuf::as_path), files.iter().map(PathBuf::as_path))
    }

    fn options(&self, device: Device) -> Result<Options, Failure> {
        let default = Config::default();
        let config = Config {
            normalize: self.normalize,
            dropout: self.dropout,
            channels: self.channels.map_or(default.channels, |channels| channels as usize),
            ..default
        };
        let options = Options::new(config, self.recipe()?, &self.out)
            .with_seed(self.seed)
            .with_resume(self.resume)
            .with_budget(self.minutes.map(minutes).transpose()?)
            .with_device(device)
            .with_measure_every(self.log_every)
            .with_checkpoint_every(minutes(self.checkpoint_every)?)
            .with_storage(self.weights.into());
        match &self.init {
            // A resumed run has its weights in the checkpoint.
            Some(Start::Weights(name)) if !self.resume => Ok(options.with_weights(weights(name)?)),
            _ => Ok(options),
        }
    }

    /// The recipe with all changes.
    fn recipe(&self) -> Result<Recipe, Failure> {
        let mut recipe = self.recipe.clone();
        for change in &self.set {
            recipe = recipe.with(change).map_err(Failure::Usage)?;
        }
        if let Some(rate) = self.lr {
            recipe.linear_rate *= rate / recipe.rate;
            recipe.rate = rate;
        }
        recipe.batch_size = self.batch_size.map_or(recipe.batch_size, |size| size as usize);
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        recipe.test_dropout |= self.test_dropout;
        recipe.init = match &self.init {
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

fn minutes(minutes: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(minutes * 60.0)
        .map_err(|_| Failure::Usage(format!("{minutes} is not a valid number of minutes")))
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
