//! A training run from the first tile to the model file.

use super::{
    checkpoint::{Checkpoint, Progress},
    data::{Dataset, Key},
    grid,
    learner::{Gradients, Learner},
    log::{Log, Row},
    loss::{Rounding, loss},
    measure::{Network, code, reconstruct},
    recipe::{Init, Recipe},
    start::{Weights, check_same, start},
};
use crate::{
    error::{Error, Result},
    model::{Calibration, Config, Model, Parameters, Provenance, Storage, calibrate},
    picture::write_atomically,
};
use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Tiles from which the quantizer and the prior of the model are computed, and those from which the effect of each latent is.
const CALIBRATION_TILES: (usize, usize) = (4096, 256);
/// The same for a row of the log, and for rounding in training.
const QUICK_CALIBRATION_TILES: (usize, usize) = (512, 96);
/// Coded bytes of an average tile at quality 75.
const REFERENCE_BYTES: f64 = 88.0;
/// A loss this many times the first one, for so many steps in a row, means that the run has diverged. Adam's first steps
/// from random weights may overshoot as far, and come back.
const DIVERGED: f64 = 100.0;
const DIVERGED_STEPS: u32 = 50;

/// What to train, and how far.
#[derive(Debug, Clone)]
pub struct Options {
    pub config: Config,
    pub recipe: Recipe,
    pub seed: u64,
    /// The model file. The run's log, curves, examples and checkpoint lie beside it, as `MODEL.csv`, `MODEL.svg`,
    /// `MODEL.png` and `MODEL.checkpoint`.
    pub out: PathBuf,
    /// Where the weights to begin with are, for [`Init::Weights`].
    pub weights: Option<Weights>,
    /// Go on from the checkpoint.
    pub resume: bool,
    /// Train for this long in all, over every part of the run, in the place of the recipe's number of epochs.
    pub budget: Option<Duration>,
    /// Where the steps are taken.
    pub device: Device,
    /// Most tiles between two rows of the log. There is one after each epoch in any case.
    pub measure_every: u64,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    pub storage: Storage,
}

/// What is told while the run goes on.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Work that takes a while and is no step: what it is.
    Busy(&'a str),
    /// A step: the part of the run that is over (0 to 1), tiles seen, mean loss since the last row, tiles a second.
    Step { progress: f64, tiles: u64, loss: f64, speed: f64 },
    /// A row of the log.
    Measured(&'a Row),
}

/// Where the files of a run lie.
#[derive(Debug, Clone)]
pub struct Files {
    pub checkpoint: PathBuf,
    pub log: PathBuf,
    pub curves: PathBuf,
    /// Validation tiles and what the network makes of them.
    pub grid: PathBuf,
}

impl Files {
    /// Beside the model file.
    #[must_use]
    pub fn beside(model: &Path) -> Self {
        let with = |ending: &str| {
            let mut name = model.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        Self { checkpoint: with(".checkpoint"), log: with(".csv"), curves: with(".svg"), grid: with(".png") }
    }
}

/// Trains a model and writes it to `options.out`. `tell` hears how it goes.
///
/// A run without a time budget is a function of its options and the data alone, also when it was interrupted and resumed:
/// tiles and dropped channels come from generators seeded by their place in the run.
///
/// # Errors
/// [`Error::Io`] when a file cannot be read or written; [`Error::Misuse`] when the checkpoint belongs to another run, or the
/// loss diverges (the last checkpoint stays, to be resumed with a lower learning rate).
pub fn train(data: &Dataset, options: &Options, tell: &mut dyn FnMut(Event<'_>)) -> Result<()> {
    let mut run = Run::begin(data, options, tell)?;
    while !run.is_over() {
        run.step(tell)?;
    }
    run.finish(tell)
}

struct Run<'a> {
    data: &'a Dataset,
    options: &'a Options,
    files: Files,
    state: Checkpoint,
    learner: Learner,
    log: Log,
    order: Vec<u32>,
    first_loss: Option<f64>,
    /// Steps in a row with a loss far above that.
    exploded: u32,
    gradient_norm: f64,
    rate: f64,
    saved: Instant,
    /// The step after which the learner's state was brought home last.
    home_at: Option<u64>,
    /// When this part of the run began, and the seconds and tiles spent before.
    began: Instant,
    seconds_before: f64,
    tiles_before: u64,
}

impl<'a> Run<'a> {
    fn begin(data: &'a Dataset, options: &'a Options, tell: &mut dyn FnMut(Event<'_>)) -> Result<Self> {
        let files = Files::beside(&options.out);
        let began = Instant::now();
        let (state, log) = if options.resume {
            let state = Checkpoint::load(&files.checkpoint)?;
            check_same(&state.progress, data, options)?;
            let log = Log::load(&files.log, state.progress.tiles)?;
            (state, log)
        } else {
            (start(data, options, tell)?, Log::default())
        };
        let learner = Learner::new(&state.parameters, &state.optimizer, &options.device)?;
        let progress = &state.progress;
        let mut run = Self {
            data,
            options,
            order: data.epoch(options.seed, progress.epoch),
            first_loss: None,
            exploded: 0,
            gradient_norm: 0.0,
            rate: 0.0,
            saved: Instant::now(),
            home_at: None,
            began,
            seconds_before: progress.seconds,
            tiles_before: progress.tiles,
            files,
            state,
            learner,
            log,
        };
        if run.log.rows().is_empty() {
            run.measure(tell)?;
            run.save()?;
        }
        Ok(run)
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }

    /// The part of the run that is over, 0 to 1.
    fn progress(&self) -> f64 {
        match self.options.budget {
            Some(budget) => self.seconds() / budget.as_secs_f64().max(1e-9),
            None => self.epoch() / self.options.recipe.epochs.max(f64::MIN_POSITIVE),
        }
    }

    fn epoch(&self) -> f64 {
        let Progress { epoch, position, .. } = self.state.progress;
        epoch as f64 + position as f64 / self.order.len() as f64
    }

    fn is_over(&self) -> bool {
        self.progress() >= 1.0 || self.options.budget.is_none() && self.options.recipe.epochs <= 0.0
    }

    fn step(&mut self, tell: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let Options { recipe, seed, config, .. } = self.options;
        let Progress { epoch, position, .. } = self.state.progress;
        let end = self.order.len().min(position as usize + recipe.batch_size);
        let indices = &self.order[position as usize..end];
        let tiles = self.data.train_batch(indices, Key { seed: *seed, epoch, position }, &recipe.augment());
        let shape = (indices.len(), config.tile, config.tile, 3);
        let (loss, gradients) = self.differentiate(Tensor::from_vec(tiles, shape, &self.options.device)?)?;
        self.check_loss(loss)?;

        self.gradient_norm = gradients.norm()?;
        let step = recipe.step(self.state.optimizer.step, self.progress(), self.gradient_norm);
        self.rate = step.rate;
        let Checkpoint { parameters, optimizer, .. } = &mut self.state;
        self.learner.update(parameters, optimizer, &gradients, &step)?;

        let count = (end - position as usize) as u64;
        let progress = &mut self.state.progress;
        progress.position += count;
        progress.tiles += count;
        progress.loss_sum += loss * count as f64;
        progress.loss_count += count;
        let (loss, tiles) = (progress.loss_sum / progress.loss_count as f64, progress.tiles);
        let speed = (tiles - self.tiles_before) as f64 / self.began.elapsed().as_secs_f64();
        tell(Event::Step { progress: self.progress().min(1.0), tiles, loss, speed });
        self.after_step(end == self.order.len(), tell)
    }

    /// Measures at the end of an epoch at the latest, and saves whenever the time has come.
    fn after_step(&mut self, epoch_over: bool, tell: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        if epoch_over {
            self.state.progress.epoch += 1;
            self.state.progress.position = 0;
            self.order = self.data.epoch(self.options.seed, self.state.progress.epoch);
        }
        let measured = self.log.rows().last().map_or(0, |row| row.tiles);
        if epoch_over || self.state.progress.tiles - measured >= self.options.measure_every {
            self.measure(tell)?;
        }
        // The last checkpoint of a run that diverges is to be a sound one.
        if self.exploded == 0 && self.saved.elapsed() >= self.options.checkpoint_every {
            self.save()?;
        }
        Ok(())
    }

    /// The mean squared error of a batch, and the gradient of the recipe's loss.
    fn differentiate(&self, tiles: Tensor) -> Result<(f64, Gradients)> {
        let recipe = &self.options.recipe;
        // What is random depends on the step alone, so that a resumed run does the same.
        let mut rng = ChaCha8Rng::seed_from_u64(self.options.seed);
        rng.set_stream(self.state.optimizer.step);
        let rounding = self.state.rounding.as_ref().filter(|_| recipe.quantize);
        self.learner
            .differentiate(&self.state.parameters, |graph| loss(graph, &tiles, recipe, rounding, &mut rng))
    }

    fn check_loss(&mut self, loss: f64) -> Result<()> {
        let first = *self.first_loss.get_or_insert(loss);
        self.exploded = if loss <= DIVERGED * first { 0 } else { self.exploded + 1 };
        if loss.is_finite() && self.exploded < DIVERGED_STEPS {
            return Ok(());
        }
        Err(Error::Misuse(format!(
            "training diverged: the loss is {loss} after {} tiles. The last saved state is in {}: resume with a lower learning rate",
            self.state.progress.tiles,
            self.files.checkpoint.display()
        )))
    }

    /// The state after the last step, on the processor, and its averaged weights.
    fn bring_home(&mut self) -> Result<Parameters> {
        let Checkpoint { parameters, optimizer, .. } = &mut self.state;
        if self.home_at != Some(optimizer.step) {
            self.learner.fetch(parameters, optimizer)?;
            self.home_at = Some(optimizer.step);
        }
        Ok(optimizer.averaged(parameters))
    }

    fn measure(&mut self, tell: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        tell(Event::Busy("measuring"));
        let parameters = self.bring_home()?;
        let (calibration, model) = self.calibrate(&parameters, QUICK_CALIBRATION_TILES)?;
        let model = Model::from_bytes(model)?;
        let network = Network::new(&parameters);
        let validation = reconstruct(&network, self.data.validation());
        let test = reconstruct(&network, self.data.test());
        let coded = code(&model, self.data.validation())?;
        let (epoch, seconds) = (self.epoch(), self.seconds());
        let progress = &mut self.state.progress;
        let row = Row {
            epoch,
            seconds,
            tiles: progress.tiles,
            train_loss: progress.loss_sum / progress.loss_count as f64,
            validation_loss: validation.mse,
            test_loss: test.mse,
            validation_psnr: validation.psnr,
            estimated_bytes: coded.estimated_bytes,
            coded_bytes: coded.bytes,
            coded_psnr: coded.psnr,
            learning_rate: self.rate,
            gradient_norm: self.gradient_norm,
        };
        (progress.loss_sum, progress.loss_count) = (0.0, 0);
        self.state.rounding = Some(Rounding {
            centres: calibration.quantizer.centres().to_vec(),
            steps: calibration.quantizer.steps().to_vec(),
            deviations: calibration.deviations,
            step_error: calibration.step_error,
        });
        self.log.push(row);
        self.log.save(&self.files.log)?;
        self.log.draw(&self.files.curves)?;
        tell(Event::Measured(&row));
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        let parameters = self.bring_home()?;
        self.state.progress.seconds = self.seconds();
        self.state.save(&self.files.checkpoint)?;
        grid::write(&self.files.grid, &parameters, self.data.validation())?;
        self.saved = Instant::now();
        Ok(())
    }

    fn finish(mut self, tell: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        if self.log.rows().last().is_none_or(|row| row.tiles < self.state.progress.tiles) {
            self.measure(tell)?;
        }
        self.save()?;
        tell(Event::Busy("calibrating the quantizer"));
        let parameters = self.bring_home()?;
        let (_, bytes) = self.calibrate(&parameters, CALIBRATION_TILES)?;
        write_atomically(&self.options.out, &bytes)
    }

    /// Makes a codec of the weights: what it knows of the latents, and the model file.
    fn calibrate(
        &self,
        parameters: &Parameters,
        (tiles, gain_tiles): (usize, usize),
    ) -> Result<(Calibration, Vec<u8>)> {
        let Options { seed, recipe, storage, .. } = self.options;
        let tiles = self.data.sample(tiles, *seed, &recipe.augment());
        let calibration = calibrate(parameters, &tiles, gain_tiles, REFERENCE_BYTES, *seed)?;
        let provenance = Provenance {
            program: format!("aez {}", env!("CARGO_PKG_VERSION")),
            trained_on: self.data.summary().to_vec(),
            recipe: recipe.name.clone(),
            init: match recipe.init {
                Init::Klt => "klt".into(),
                Init::Xavier => "xavier".into(),
                Init::Weights => "weights".into(),
            },
            seed: *seed,
            epochs: self.epoch(),
            tiles: self.state.progress.tiles,
            minutes: (self.seconds() / 6.0).round() / 10.0,
        };
        let Calibration { quantizer, prior, .. } = &calibration;
        let bytes = Model::to_bytes(parameters, quantizer, prior, &provenance, *storage)?;
        Ok((calibration, bytes))
    }
}
