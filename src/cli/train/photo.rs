//! `aez train` for the photo family.

use std::path::{Path, PathBuf};

use aez_core::{Limits, Quality};
use aez_train::photo::{Crops, Event, Options, Recipe, Row, train};

use super::super::{
    common::{Common, Device},
    failure::{Failure, log},
    output::write_stdout,
    progress,
};
use super::{Shared, minutes};

/// The quality that is trained without `--quality`.
const DEFAULT_QUALITY: u8 = 41;
/// Steps of a run without `--steps` and `--minutes`.
const DEFAULT_STEPS: u32 = 100_000;

/// Options that only the photo family has.
#[derive(clap::Args)]
#[command(next_help_heading = "Options of the photo family")]
pub struct PhotoArgs {
    /// Quality that the network is trained for, 1 to 100 [default: 41]. A model has a network for each of some qualities: --init with
    /// an existing model adds one, which starts from that of the nearest quality, or continues to train it. --init with a network in
    /// floating point (see docs/photo.md) starts from that
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,
    /// Number of steps [default: 100000]. 0 only writes the network that the run starts from
    #[arg(long, value_name = "N", conflicts_with = "minutes")]
    steps: Option<u32>,
    /// Existing model that the network is added to, instead of that of --init. Its network of the same quality is replaced
    #[arg(long, value_name = "MODEL")]
    into: Option<PathBuf>,
}

impl PhotoArgs {
    /// The name of an option that is given.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            (self.quality.is_some(), "--quality"),
            (self.steps.is_some(), "--steps"),
            (self.into.is_some(), "--into"),
        ];
        given.into_iter().find_map(|(given, name)| given.then_some(name))
    }

    pub fn run(self, shared: &Shared, common: &Common) -> Result<(), Failure> {
        if common.device != Device::Cpu {
            return Err(Failure::Usage("the photo family is trained on the CPU only".into()));
        }
        let options = self.options(shared)?;
        let bar = progress::run(common.quiet);
        bar.set_message("reading pictures");
        let crops = Crops::open(&shared.data, options.recipe.edge, &Limits::default())?
            .with_thumbnails(options.recipe.thumbnails);
        crops.skipped().iter().for_each(|skipped| log(skipped));
        if !common.quiet {
            let (count, measured) = (crops.len(), crops.validation().len());
            log(&format!("{count} pictures for training, {measured} for validation"));
        }
        train(&crops, &options, &mut |event| match event {
            Event::Step { progress, crops, loss } => {
                progress::show_part(&bar, progress, format!("{crops} crops  loss {loss:.4}"));
            }
            // Errors are ignored: training continues when the standard output is closed.
            Event::Measured(row) if !common.quiet => {
                bar.suspend(|| drop(write_stdout(row_text(row).as_bytes())));
            }
            _ => {}
        })?;
        bar.finish_and_clear();
        if !common.quiet {
            log(&format!("wrote {}", shared.out.display()));
        }
        Ok(())
    }

    fn options(&self, shared: &Shared) -> Result<Options, Failure> {
        let quality = Quality::new(self.quality.unwrap_or(DEFAULT_QUALITY))?;
        let mut recipe = Recipe::default();
        for change in &shared.set {
            recipe = recipe.with(change).map_err(Failure::Usage)?;
        }
        let mut options = Options::new(quality, recipe, &shared.out);
        options.steps = self.steps.unwrap_or(DEFAULT_STEPS);
        options.budget = shared.minutes.map(minutes).transpose()?;
        options.seed = shared.seed;
        options.resume = shared.resume;
        options.measure_every = u32::try_from(shared.log_every).unwrap_or(u32::MAX);
        options.checkpoint_every = minutes(shared.checkpoint_every)?;
        if let Some(name) = &shared.init {
            options.init = Some((name.display().to_string(), aez::models::read(name)?));
        }
        options.into = self.base().map(aez::models::read).transpose()?;
        Ok(options)
    }

    /// The model that the network is added to.
    pub fn base(&self) -> Option<&Path> {
        self.into.as_deref()
    }
}

fn row_text(row: &Row) -> String {
    let Row { steps, crops, train_loss, validation_loss, validation_bits, validation_psnr, seconds } = row;
    // What was not measured is not a number.
    let or_dash = |loss: &f64, text: String| if loss.is_nan() { "-".into() } else { text };
    let train = or_dash(train_loss, format!("{train_loss:.4}"));
    let validation = or_dash(
        validation_loss,
        format!("{validation_loss:.4} ({validation_bits:.4} bits a pixel, {validation_psnr:.2} dB)"),
    );
    format!(
        "{steps:8} steps  {crops:7} crops  loss: train {train}  validation {validation}  {seconds:.0} s\n"
    )
}
