//! Training runs, from the starting weights to the model file.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use aez_core::{
    Quality,
    photo::{Network, PhotoModel, Target, Trainer, Training, fit, lambda, read_float, render},
    picture::Picture,
};
use aez_image::{PictureFormat, encode, write_atomically};
use rayon::prelude::*;

use super::{
    Crops, Recipe,
    checkpoint::{self, Progress},
    log::{self, Row},
};
use crate::{Error, Result, run::Files};

/// Steps of optimization of the latents of held-out pictures.
const MEASURED_STEPS: usize = 60;

/// The options of a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The quality that the network is trained for.
    pub quality: Quality,
    /// The recipe.
    pub recipe: Recipe,
    /// Number of steps. Default 20,000.
    pub steps: u32,
    /// Duration of the training, including the time before the run was resumed. It replaces the number of steps. Default none.
    pub budget: Option<Duration>,
    /// The model file to write. The log, the curves, pictures and the checkpoint are written beside it; see [`Files`].
    pub out: PathBuf,
    /// Seed of all random numbers. Default 1.
    pub seed: u64,
    /// A model file and its name. The run starts from its network for the quality, and its other networks stay in the new model file.
    /// The file of a network in floating point will do, too, if it is for the same quality. The sizes of the network replace those of
    /// the recipe; a network with fewer directions than the recipe gets random ones in addition. Default none.
    pub init: Option<(String, Vec<u8>)>,
    /// A model file whose other networks are kept in the new one, instead of those of `init`. Default none.
    pub into: Option<Vec<u8>>,
    /// Whether to continue from the checkpoint of an interrupted run. Default false.
    pub resume: bool,
    /// Steps between two rows of the log. Default 5000.
    pub measure_every: u32,
    /// Time between two checkpoints. Default 5 minutes.
    pub checkpoint_every: Duration,
}

impl Options {
    /// Options with default values for the other fields.
    #[must_use]
    pub fn new(quality: Quality, recipe: Recipe, out: impl Into<PathBuf>) -> Self {
        Self {
            quality,
            recipe,
            steps: 20_000,
            budget: None,
            out: out.into(),
            seed: 1,
            init: None,
            into: None,
            resume: false,
            measure_every: 5000,
            checkpoint_every: Duration::from_secs(300),
        }
    }
}

/// A report on the progress of a run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step was taken.
    Step {
        /// Completed fraction of the run, 0 to 1.
        progress: f64,
        /// Number of crops that have been used.
        crops: u64,
        /// Mean loss since the last row of the log.
        loss: f64,
    },
    /// A row was added to the log.
    Measured(&'a Row),
}

/// Trains a network and writes the model file. Calls `report` with the progress.
///
/// The result of a run without a time budget depends only on its options and the pictures. It is the same if the run is interrupted
/// and resumed, and for every number of threads.
///
/// # Errors
/// [`aez_core::Error::Io`] if a file cannot be read or written; [`aez_core::Error::Misuse`] if the checkpoint belongs to another
/// run, or if the loss is not a number; [`aez_core::Error::Model`] for an unusable model to start from.
pub fn train(crops: &Crops, options: &Options, report: &mut dyn FnMut(Event<'_>)) -> Result<()> {
    let mut run = Run::begin(crops, options)?;
    while run.part() < 1.0 {
        run.step(report)?;
    }
    run.finish(report)
}

struct Run<'a> {
    crops: &'a Crops,
    options: &'a Options,
    files: Files,
    trainer: Trainer,
    progress: Progress,
    rows: Vec<Row>,
    started: Instant,
    last_save: Instant,
}

impl<'a> Run<'a> {
    fn begin(crops: &'a Crops, options: &'a Options) -> Result<Self> {
        let (files, now) = (Files::beside(&options.out), Instant::now());
        let (progress, trainer, rows) = if options.resume {
            let (progress, state) = checkpoint::load(&files.checkpoint)?;
            check_same(&progress, crops, options)?;
            let trainer = Trainer::resume(&state, targets(crops, options.seed, &progress.numbers)?)?;
            let rows = log::load(&files.log, trainer.steps())?;
            (progress, trainer, rows)
        } else {
            let (progress, trainer) = start(crops, options)?;
            (progress, trainer, Vec::new())
        };
        Ok(Self { crops, options, files, trainer, progress, rows, started: now, last_save: now })
    }

    fn seconds(&self) -> f64 {
        self.progress.seconds + self.started.elapsed().as_secs_f64()
    }

    /// Completed fraction of the run.
    fn part(&self) -> f64 {
        match self.options.budget {
            Some(budget) => self.seconds() / budget.as_secs_f64().max(1e-9),
            None if self.options.steps == 0 => 1.0,
            None => f64::from(self.trainer.steps()) / f64::from(self.options.steps),
        }
    }

    fn step(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let loss = self.trainer.step(self.part() as f32).loss;
        if !loss.is_finite() {
            return Err(Error::misuse(format!(
                "training diverged after {} steps: resume from {} with a lower learning rate",
                self.trainer.steps(),
                self.files.checkpoint.display()
            )));
        }
        while let Some(place) = self.trainer.done() {
            let number = self.progress.next;
            self.trainer.replace(place, Target::new(&self.crops.crop(self.options.seed, number))?);
            self.progress.numbers[place] = number;
            self.progress.next += 1;
        }
        self.progress.losses.0 += loss;
        self.progress.losses.1 += 1;
        let (sum, count) = self.progress.losses;
        let (progress, crops) = (self.part().min(1.0), self.progress.next);
        report(Event::Step { progress, crops, loss: sum / f64::from(count) });
        if self.trainer.steps().is_multiple_of(self.options.measure_every.max(1)) {
            self.measure(report)?;
        }
        if self.last_save.elapsed() >= self.options.checkpoint_every {
            self.save()?;
        }
        Ok(())
    }

    /// Adds a row to the log, and shows the held-out pictures.
    fn measure(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let network = self.trainer.network();
        let measured: Vec<(f64, f64, Picture)> = self
            .crops
            .validation()
            .par_iter()
            .map(|picture| {
                let target = Target::new(picture)?;
                let fitted = fit(network, &target, MEASURED_STEPS);
                let shown = render(network, &target, &fitted);
                Ok((fitted.bits_per_pixel, fitted.error, shown))
            })
            .collect::<Result<_>>()?;
        let count = measured.len() as f64;
        let mean =
            |value: &dyn Fn(&(f64, f64, Picture)) -> f64| measured.iter().map(value).sum::<f64>() / count;
        let (bits, error) = (mean(&|one| one.0), mean(&|one| one.1));
        let (sum, losses) = std::mem::take(&mut self.progress.losses);
        let row = Row {
            steps: self.trainer.steps(),
            crops: self.progress.next,
            seconds: self.seconds(),
            train_loss: sum / f64::from(losses),
            validation_loss: bits + error / f64::from(network.lambda()),
            validation_bits: bits,
            validation_psnr: -10.0 * error.log10(),
        };
        if !measured.is_empty() {
            let shown = measured.into_iter().map(|one| one.2);
            let sheet = sheet(self.crops.validation().iter().cloned().zip(shown));
            write_atomically(&self.files.samples, &encode(&sheet, PictureFormat::Png)?)?;
        }
        self.rows.push(row);
        log::save(&self.rows, &self.files.log, &self.files.curves)?;
        report(Event::Measured(&row));
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        let progress = Progress { seconds: self.seconds(), ..self.progress.clone() };
        checkpoint::save(&self.files.checkpoint, &progress, &self.trainer.state())?;
        if self.rows.is_empty() {
            log::save(&[], &self.files.log, &self.files.curves)?;
        }
        self.last_save = Instant::now();
        Ok(())
    }

    fn finish(mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        if self.rows.last().is_none_or(|row| row.steps < self.trainer.steps()) {
            self.measure(report)?;
        }
        self.save()?;
        let Options { quality, seed, .. } = self.options;
        let training = Training {
            program: format!("aez {}", env!("CARGO_PKG_VERSION")),
            trained_on: self.crops.summary().to_vec(),
            steps: self.trainer.steps(),
            crops: self.progress.next,
            seed: *seed,
            minutes: (self.seconds() / 6.0).round() / 10.0,
            init: self.progress.init.clone(),
        };
        let network = self.trainer.network();
        let bytes = match base(self.options)? {
            Some(model) => model.with(*quality, network, training)?,
            None => PhotoModel::of(*quality, network, training)?,
        };
        Ok(write_atomically(&self.options.out, &bytes)?)
    }
}

/// The state of a run before its first step.
fn start(crops: &Crops, options: &Options) -> Result<(Progress, Trainer)> {
    let Options { quality, recipe, seed, .. } = options;
    // A model that cannot be added to should be noticed before the training.
    base(options)?;
    let (network, init) = match &options.init {
        Some((name, bytes)) => (initial(bytes, options)?, name.clone()),
        None => (Network::new(recipe.config.clone(), lambda(*quality), *seed)?, "random".into()),
    };
    let numbers: Vec<u64> = (0..recipe.pool as u64).collect();
    let steps = aez_core::photo::Recipe { seed: *seed, ..recipe.steps };
    let trainer = Trainer::new(network, targets(crops, *seed, &numbers)?, steps);
    let progress = Progress {
        quality: quality.get(),
        recipe: recipe.clone(),
        seed: *seed,
        init,
        data: crops.summary().to_vec(),
        next: numbers.len() as u64,
        numbers,
        seconds: 0.0,
        losses: (0.0, 0),
    };
    Ok((progress, trainer))
}

/// The network of a file that a run starts from.
fn initial(bytes: &[u8], options: &Options) -> Result<Network> {
    let Options { quality, recipe, seed, .. } = options;
    let network = match read_float(bytes)? {
        Some((of, network)) if of == *quality => network,
        Some((of, _)) => {
            return Err(Error::misuse(format!("the network to start from is for quality {}", of.get())));
        }
        None => PhotoModel::from_bytes(bytes)?.float_network(*quality, 1.0)?,
    };
    match recipe.config.directions {
        count if count > network.config().directions => Ok(network.with_random_directions(count, *seed)?),
        _ => Ok(network),
    }
}

/// The model that the network is added to, if there is one.
fn base(options: &Options) -> Result<Option<PhotoModel>> {
    let init = options.init.as_ref().map(|(_, bytes)| bytes);
    match (&options.into, init) {
        (Some(bytes), _) => Ok(Some(PhotoModel::from_bytes(bytes)?)),
        (None, Some(bytes)) if read_float(bytes)?.is_none() => Ok(Some(PhotoModel::from_bytes(bytes)?)),
        _ => Ok(None),
    }
}

fn targets(crops: &Crops, seed: u64, numbers: &[u64]) -> Result<Vec<Target>> {
    numbers.par_iter().map(|&number| Ok(Target::new(&crops.crop(seed, number))?)).collect()
}

/// Checks that a checkpoint belongs to a run with these options.
fn check_same(progress: &Progress, crops: &Crops, options: &Options) -> Result<()> {
    let differs = if progress.quality != options.quality.get() {
        "quality"
    } else if progress.recipe != options.recipe {
        "recipe"
    } else if progress.seed != options.seed {
        "seed"
    } else if progress.data != crops.summary() {
        "training pictures"
    } else {
        return Ok(());
    };
    Err(Error::misuse(format!("the checkpoint is from a run with a different {differs}")))
}

/// Pictures in a row above their versions.
fn sheet(pairs: impl Iterator<Item = (Picture, Picture)>) -> Picture {
    let pairs: Vec<(Picture, Picture)> = pairs.collect();
    let (edge, count) = (pairs[0].0.width, pairs.len() as u32);
    let row = 3 * edge as usize;
    let mut rgb = Vec::with_capacity(2 * row * row / 3 * pairs.len());
    for top in [true, false] {
        for y in 0..edge as usize {
            for (original, shown) in &pairs {
                let picture = if top { original } else { shown };
                rgb.extend(&picture.rgb[y * row..(y + 1) * row]);
            }
        }
    }
    Picture::from_rgb(edge * count, 2 * edge, rgb)
}

#[cfg(test)]
mod tests;
