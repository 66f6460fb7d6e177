//! `aez train`.

use std::{convert::Infallible, path::PathBuf, str::FromStr, time::Duration};

use aez::{
    Limits,
    model::{Config, Storage},
    train::{
        data::Dataset,
        log::Row,
        recipe::{Init, Recipe},
        run::{self, Event, Files, Options},
        spec::Spec,
        start::Weights as StartingWeights,
    },
};
use candle_core::Device;
use clap::{Args as ClapArgs, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    common::Common,
    failure::{Failure, complain},
    files::write_stdout,
};

/// Train a model on pictures
///
/// The run's log, loss curves, checkpoint, and a picture of some tiles before and after the network lie beside the model, as
/// MODEL.csv, MODEL.svg, MODEL.checkpoint and MODEL.png.
#[derive(ClapArgs)]
pub struct Args {
    /// Training data: a folder of pictures, or stl10:DIR. With @N after it, each picture is visited N times an epoch
    #[arg(long, required = true, num_args = 1.., value_name = "SPEC")]
    data: Vec<Spec>,
    /// Model file to write
    #[arg(long, value_name = "MODEL")]
    out: PathBuf,
    /// Way to train: tuned, or paper (Adam at 1e-3 from random weights, no augmentation)
    #[arg(long, default_value = "tuned")]
    recipe: Recipe,
    /// Passes over the data, such as 0.5 [default: the recipe's, 121]
    #[arg(long, value_name = "N", value_parser = not_negative)]
    epochs: Option<f64>,
    /// Train for this long in all, resumed runs counted, in the place of a number of epochs
    #[arg(long, value_name = "M", conflicts_with = "epochs")]
    minutes: Option<f64>,
    /// Change the recipe: distortion=mse|psnr, border=X, quantize=BOOL, muon=BOOL, average=X, thumbnails=X, colour=X, flip=BOOL,
    /// crop=BOOL, clip=X, warm_up=N, rate=X, linear_rate=X, schedule=constant|cosine|trapezoid
    #[arg(long, value_name = "FIELD=VALUE", num_args = 1..)]
    set: Vec<String>,
    /// Tiles of a step [default: the recipe's, 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch_size: Option<u32>,
    /// Learning rate of the convolutions [default: the recipe's]; the linear layers' keeps its proportion
    #[arg(long, value_name = "X", value_parser = positive)]
    lr: Option<f64>,
    /// Starting weights: klt, xavier, those of a model file or of another run's checkpoint, or those of the built-in model
    /// (`default`) [default: the recipe's]
    #[arg(long, value_name = "klt|xavier|default|FILE")]
    init: Option<Start>,
    /// Channels at full resolution: fewer make a faster, worse network
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    channels: Option<u32>,
    /// Map the input to -1..1 before the network
    #[arg(long)]
    normalize: bool,
    /// Drop channels with this probability while training
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = probability)]
    dropout: f32,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Go on from the checkpoint of an earlier run with the same options
    #[arg(long)]
    resume: bool,
    /// Most tiles between two rows of the log
    #[arg(long, value_name = "TILES", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    log_every: u64,
    /// Minutes between two checkpoints
    #[arg(long, value_name = "M", default_value_t = 5.0)]
    checkpoint_every: f64,
    /// How the model file holds the weights
    #[arg(long, value_enum, default_value_t = Weights::I8)]
    weights: Weights,
}

#[derive(Clone)]
enum Start {
    Klt,
    Xavier,
    Weights(StartingWeights),
}

impl FromStr for Start {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "klt" => Self::Klt,
            "xavier" => Self::Xavier,
            "default" => Self::Weights(StartingWeights::Builtin),
            path => Self::Weights(StartingWeights::File(path.into())),
        })
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Weights {
    /// 8 bits with scales, small layers exact: 29 MiB
    I8,
    /// Exact: 105 MiB
    F32,
}

impl Args {
    pub fn run(self, common: &Common) -> Result<(), Failure> {
        let files = Files::beside(&self.out);
        if !self.resume && !common.force {
            for file in [&self.out, &files.checkpoint] {
                if file.exists() {
                    return Err(Failure::Usage(format!(
                        "{} exists: go on with --resume, or begin anew with --force",
                        file.display()
                    )));
                }
            }
        }
        let options = self.options(common.open_device()?)?;
        let bar = progress_bar(common);
        bar.set_message("reading pictures");
        let data = Dataset::open(&self.data, options.config.tile, &Limits::default())?;
        for skipped in data.skipped() {
            bar.suspend(|| complain(skipped));
        }
        bar.suspend(|| {
            if !common.quiet {
                let tiles = data.tile_len();
                let (validation, test) = (data.validation().len() / tiles, data.test().len() / tiles);
                complain(&format!(
                    "{} pictures to train on, {validation} to validate, {test} to test",
                    data.len()
                ));
            }
        });
        run::train(&data, &options, &mut |event| show(&bar, event, common.quiet))?;
        bar.finish_and_clear();
        if !common.quiet {
            complain(&format!("wrote {}", self.out.display()));
        }
        Ok(())
    }

    fn options(&self, device: Device) -> Result<Options, Failure> {
        let mut recipe = self.recipe.clone();
        for change in &self.set {
            recipe = recipe.with(change).map_err(Failure::Usage)?;
        }
        if let Some(rate) = self.lr {
            recipe.linear_rate *= rate / recipe.rate;
            recipe.rate = rate;
        }
        let mut weights = None;
        match &self.init {
            Some(Start::Klt) => recipe.init = Init::Klt,
            Some(Start::Xavier) => recipe.init = Init::Xavier,
            Some(Start::Weights(start)) => {
                recipe.init = Init::Weights;
                weights = Some(start.clone());
            }
            None => {}
        }
        recipe.batch_size = self.batch_size.map_or(recipe.batch_size, |size| size as usize);
        recipe.epochs = self.epochs.unwrap_or(recipe.epochs);
        let minutes = |minutes: f64| {
            Duration::try_from_secs_f64(minutes * 60.0)
                .map_err(|_| Failure::Usage(format!("{minutes} is no number of minutes")))
        };
        Ok(Options {
            config: Config {
                normalize: self.normalize,
                dropout: self.dropout,
                channels: self.channels.map_or(Config::default().channels, |channels| channels as usize),
                ..Config::default()
            },
            recipe,
            seed: self.seed,
            out: self.out.clone(),
            weights,
            resume: self.resume,
            budget: self.minutes.map(minutes).transpose()?,
            device,
            measure_every: self.log_every,
            checkpoint_every: minutes(self.checkpoint_every)?,
            storage: match self.weights {
                Weights::I8 => Storage::Int8,
                Weights::F32 => Storage::Float32,
            },
        })
    }
}

/// A bar for the progress of a run, to be moved by [`show`].
pub fn progress_bar(common: &Common) -> ProgressBar {
    if common.quiet {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{bar:30} {percent}%  {msg}  {eta} left").expect("a valid template");
    let bar = ProgressBar::new(10_000).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Tells what goes on in a run.
pub fn show(bar: &ProgressBar, event: Event<'_>, quiet: bool) {
    match event {
        Event::Busy(what) => bar.set_message(what.to_owned()),
        Event::Step { progress, tiles, loss, speed } => {
            bar.set_position((progress * 10_000.0) as u64);
            bar.set_message(format!("{tiles} tiles  loss {loss:.5}  {speed:.1} tiles/s"));
        }
        Event::Measured(row) if !quiet => bar.suspend(|| print_row(row)),
        Event::Measured(_) => {}
    }
}

/// Whether somebody reads it or not, training goes on.
fn print_row(row: &Row) {
    let text = format!(
        "epoch {:7.3}  {:8} tiles  loss: train {:.5}  validation {:.5}  test {:.5}  PSNR {:.3} dB  coded {:.1} bytes {:.3} dB  {:.0} s\n",
        row.epoch,
        row.tiles,
        row.train_loss,
        row.validation_loss,
        row.test_loss,
        row.validation_psnr,
        row.coded_bytes,
        row.coded_psnr,
        row.seconds
    );
    let _ = write_stdout(text.as_bytes());
}

fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("expected a number, 0 or above".into()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("expected a number above 0".into()),
    }
}

fn probability(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to less than 1".into()),
    }
}
