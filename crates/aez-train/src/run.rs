//! Training runs, from the starting weights to the model file.

pub use crate::options::{Event, Files, Options};
use crate::{
    Error, GraphBackend, Result,
    checkpoint::{Checkpoint, Progress},
    data::{Dataset, HeldOut, Key},
    graph::Graph,
    learner::{Gradients, Learner},
    log::{Log, Row},
    loss::{Rounding, loss},
    measure::{MEASURED_TILES, encode_tiles, reconstruct},
    recipe::Init,
    samples,
    start::{check_same, start},
};
use aez_core::{
    Model,
    tiled::{Backend, Calibration, Parameters, Provenance, TiledModel, calibrate, processor},
};
use aez_image::write_atomically;
use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::{thread, time::Instant};

/// Maximum number of tiles from which the quantizer and the prior of the model are computed, and maximum number of tiles for the
/// sensitivity of each latent.
const CALIBRATION_TILES: (usize, usize) = (4096, 256);
/// The same for a row of the log.
const QUICK_CALIBRATION_TILES: (usize, usize) = (512, 96);
/// Maximum number of these tiles per training picture. With few pictures, more tiles take long and say little.
const CALIBRATION_TILES_PER_PICTURE: usize = 8;
/// Average number of bytes of a tile at quality 75, without the header.
const REFERENCE_BYTES: f64 = 88.0;
/// A run has diverged if the loss exceeds this many times the first loss for [`DIVERGED_STEPS`] steps in a row. The first steps
/// of Adam from random weights can temporarily exceed it.
const DIVERGED: f64 = 100.0;
/// See [`DIVERGED`].
const DIVERGED_STEPS: u32 = 50;

/// Trains a model and writes it to [`Options::out`]. Calls `report` with the progress.
///
/// The result of a run without a time budget depends only on its options and the data. It is the same if the run is interrupted
/// and resumed: the generators of random tiles and dropout masks are seeded by the position in the run. On CPUs, it is also the
/// same for every number of threads.
///
/// # Errors
/// [`aez_core::Error::Io`] if a file cannot be read or written; [`aez_core::Error::Misuse`] if the checkpoint belongs to another
/// run, or if the loss diverges, where the last checkpoint remains; [`Error::Tensor`] if the device fails.
pub fn train(data: &Dataset, options: &Options, report: &mut dyn FnMut(Event<'_>)) -> Result<()> {
    let mut run = Run::begin(data, options, report)?;
    while !run.is_over() {
        run.step(report)?;
    }
    run.finish(report)
}

struct Run<'a> {
    data: &'a Dataset,
    options: &'a Options,
    files: Files,
    progress: Progress,
    learner: Learner,
    /// The quantizer as of the last measurement.
    rounding: Option<Rounding>,
    log: Log,
    /// The order of the current epoch.
    order: Vec<u32>,
    /// The tiles of the next step, which are made during the step before.
    next_tiles: Option<Vec<f32>>,
    /// The first loss since the run was started or resumed.
    first_loss: Option<f64>,
    /// Number of consecutive steps with a loss far above the first one.
    diverged_steps: u32,
    /// Norm of the last gradient, if it was computed, on the device.
    gradient_norm: Option<Tensor>,
    /// Last learning rate of the convolutions.
    rate: f64,
    last_save: Instant,
    /// When the run was started or resumed, and the seconds and tiles before.
    started: Instant,
    seconds_before: f64,
    tiles_before: u64,
}

impl<'a> Run<'a> {
    fn begin(data: &'a Dataset, options: &'a Options, report: &mut dyn FnMut(Event<'_>)) -> Result<Self> {
        let files = Files::beside(&options.out);
        let started = Instant::now();
        let (checkpoint, log) = if options.resume {
            let checkpoint = Checkpoint::load(&files.checkpoint)?;
            check_same(&checkpoint.progress, data, options)?;
            let log = Log::load(&files.log, checkpoint.progress.tiles)?;
            (checkpoint, log)
        } else {
            (start(data, options, report)?, Log::default())
        };
        let Checkpoint { progress, parameters, optimizer, rounding } = checkpoint;
        let mut run = Self {
            data,
            options,
            files,
            learner: Learner::new(&parameters, &optimizer, &options.device)?,
            rounding,
            log,
            order: data.epoch(options.seed, progress.epoch),
            next_tiles: None,
            first_loss: None,
            diverged_steps: 0,
            gradient_norm: None,
            rate: 0.0,
            last_save: Instant::now(),
            started,
            seconds_before: progress.seconds,
            tiles_before: progress.tiles,
            progress,
        };
        if run.log.rows().is_empty() {
            run.measure(report)?;
            run.save()?;
        }
        Ok(run)
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    /// Number of passes over the data.
    fn epoch(&self) -> f64 {
        self.epoch_at(self.progress.position as usize)
    }

    /// Number of passes over the data when `position` tiles of the current epoch are completed.
    fn epoch_at(&self, position: usize) -> f64 {
        self.progress.epoch as f64 + position as f64 / self.order.len() as f64
    }

    /// Completed fraction of the run.
    fn completed(&self) -> f64 {
        match self.options.budget {
            Some(budget) => self.seconds() / budget.as_secs_f64().max(1e-9),
            None => self.epoch() / self.options.recipe.epochs.max(f64::MIN_POSITIVE),
        }
    }

    fn is_over(&self) -> bool {
        self.completed() >= 1.0 || self.options.budget.is_none() && self.options.recipe.epochs <= 0.0
    }

    /// Whether a row of the log is due after the step that ends at `position` in the current epoch.
    fn row_is_due(&self, position: usize) -> bool {
        let measured = self.log.rows().last().map_or(0, |row| row.tiles);
        let tiles = self.progress.tiles + (position as u64 - self.progress.position);
        position == self.order.len() || tiles - measured >= self.options.measure_every
    }

    /// Whether the norm of the gradient is needed in the step that ends at `position`: for clipping, or for a row of the log. The
    /// last step of a run with a time budget is not known in advance.
    fn norm_is_needed(&self, position: usize) -> bool {
        let Options { recipe, budget, .. } = self.options;
        let may_be_last = budget.is_some() || self.epoch_at(position) >= recipe.epochs;
        recipe.clip.is_some() || may_be_last || self.row_is_due(position)
    }

    /// Takes a step. Meanwhile, another thread makes the tiles of the next one, so that a GPU does not wait for them.
    fn step(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let Progress { epoch, position, .. } = self.progress;
        let (data, options) = (self.data, self.options);
        let batch = self.batch(&self.order, position as usize);
        let (indices, end) = (batch.to_vec(), position as usize + batch.len());
        let (next_epoch, next_position) =
            if end == self.order.len() { (epoch + 1, 0) } else { (epoch, end as u64) };
        let next_indices = match next_position {
            0 => self.batch(&data.epoch(options.seed, next_epoch), 0).to_vec(),
            position => self.batch(&self.order, position as usize).to_vec(),
        };
        let make = |indices: &[u32], epoch, position| {
            data.train_batch(indices, Key { seed: options.seed, epoch, position }, &options.recipe.augment())
        };
        let tiles = self.next_tiles.take().unwrap_or_else(|| make(&indices, epoch, position));
        thread::scope(|scope| {
            let next = scope.spawn(|| make(&next_indices, next_epoch, next_position));
            let result = self.learn(tiles, end, report);
            self.next_tiles = Some(next.join().expect("making tiles does not panic"));
            result
        })
    }

    /// The pictures of the step that begins at `position` of an epoch.
    fn batch<'b>(&self, order: &'b [u32], position: usize) -> &'b [u32] {
        &order[position..order.len().min(position + self.options.recipe.batch_size)]
    }

    /// Takes a step along the gradient for `tiles`. The step ends at `position` in the current epoch.
    fn learn(&mut self, tiles: Vec<f32>, position: usize, report: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let Options { recipe, config, device, .. } = self.options;
        let row_is_due = self.row_is_due(position);
        let shape = (tiles.len() / config.tile_len(), config.tile, config.tile, 3);
        let (loss, mut gradients) = self.differentiate(Tensor::from_vec(tiles, shape, device)?)?;
        if self.norm_is_needed(position) {
            let norm = gradients.norm()?;
            if let Some(clip) = recipe.clip {
                gradients.clip(&norm, clip)?;
            }
            self.gradient_norm = Some(norm);
        }
        let step = recipe.step(self.learner.steps(), self.completed());
        self.rate = step.rate;
        self.learner.update(&gradients, &step)?;
        drop(gradients);

        // This waits for a GPU, which has all its work by now.
        let loss = f64::from(loss.to_scalar::<f32>()?);
        self.check_loss(loss)?;
        self.count(position, loss);
        report(self.step_event());
        if row_is_due {
            self.measure(report)?;
        }
        // The last checkpoint of a diverging run must be from before the divergence.
        if self.diverged_steps == 0 && self.last_save.elapsed() >= self.options.checkpoint_every {
            self.save()?;
        }
        Ok(())
    }

    /// Records a step that ends at `position` in the current epoch.
    fn count(&mut self, position: usize, loss: f64) {
        let progress = &mut self.progress;
        let tiles = position as u64 - progress.position;
        progress.position += tiles;
        progress.tiles += tiles;
        progress.loss_sum += loss;
        progress.loss_count += 1;
        if position == self.order.len() {
            progress.epoch += 1;
            progress.position = 0;
            self.order = self.data.epoch(self.options.seed, progress.epoch);
        }
    }

    fn step_event(&self) -> Event<'static> {
        let Progress { tiles, loss_sum, loss_count, .. } = self.progress;
        let speed = (tiles - self.tiles_before) as f64 / self.started.elapsed().as_secs_f64();
        Event::Step { progress: self.completed().min(1.0), tiles, loss: loss_sum / loss_count as f64, speed }
    }

    /// The mean squared error of a batch, a scalar on the device, and the gradient of the recipe's objective.
    fn differentiate(&self, tiles: Tensor) -> Result<(Tensor, Gradients)> {
        let recipe = &self.options.recipe;
        // The random numbers depend only on the step, so that a resumed run uses the same ones.
        let mut rng = ChaCha8Rng::seed_from_u64(self.options.seed);
        rng.set_stream(self.learner.steps());
        let rounding = self.rounding.as_ref().filter(|_| recipe.quantize);
        self.learner.differentiate(|graph| loss(graph, &tiles, recipe, rounding, &mut rng))
    }

    fn check_loss(&mut self, loss: f64) -> Result<()> {
        let first = *self.first_loss.get_or_insert(loss);
        self.diverged_steps = if loss <= DIVERGED * first { 0 } else { self.diverged_steps + 1 };
        if loss.is_finite() && self.diverged_steps < DIVERGED_STEPS {
            return Ok(());
        }
        Err(Error::misuse(format!(
            "training diverged: the loss is {loss} after {} tiles. The last checkpoint is {}: resume with a lower learning rate",
            self.progress.tiles,
            self.files.checkpoint.display()
        )))
    }

    /// Measures the weights and adds a row to the log. The figures are those of the weights as they are; a model file with
    /// 8-bit weights differs slightly.
    fn measure(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        report(Event::Busy("measuring"));
        let parameters = self.learner.download_weights()?;
        let backend = self.backend(&parameters)?;
        let calibration = self.calibrate(&*backend, QUICK_CALIBRATION_TILES)?;
        let Calibration { quantizer, prior, .. } = calibration.clone();
        let model = TiledModel::from_parts(&parameters, quantizer, prior)?.with_backend(backend);
        let graph = Graph::new(&parameters, &self.options.device)?.frozen();
        let (validation_loss, validation_psnr) = self.measure_set(&graph, self.data.validation())?;
        let (test_loss, _) = self.measure_set(&graph, self.data.test())?;
        let coded = encode_tiles(&Model::from(model), &self.data.validation().first(MEASURED_TILES))?;
        let row = Row {
            epoch: self.epoch(),
            seconds: self.seconds(),
            tiles: self.progress.tiles,
            train_loss: self.progress.loss_sum / self.progress.loss_count as f64,
            validation_loss,
            test_loss,
            validation_psnr,
            estimated_bytes: coded.estimated_bytes,
            coded_bytes: coded.bytes,
            coded_psnr: coded.psnr,
            learning_rate: self.rate,
            gradient_norm: self.gradient_norm.as_ref().map_or(Ok(0.0), Tensor::to_scalar::<f64>)?,
        };
        (self.progress.loss_sum, self.progress.loss_count) = (0.0, 0);
        self.rounding = Some(calibration.into());
        self.log.push(row);
        self.log.save(&self.files.log, self.options.config.normalize)?;
        self.log.draw(&self.files.curves)?;
        report(Event::Measured(&row));
        Ok(())
    }

    /// The loss and the PSNR of a set.
    fn measure_set(&self, graph: &Graph, set: &HeldOut) -> Result<(f64, f64)> {
        let recipe = &self.options.recipe;
        let count = if recipe.whole_sets { set.len() } else { MEASURED_TILES };
        let measured = reconstruct(graph, set, count, recipe.batch_size, None)?;
        if !recipe.test_dropout {
            return Ok((measured.loss, measured.psnr));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.options.seed);
        rng.set_stream(self.learner.steps());
        let dropped = reconstruct(graph, set, count, recipe.batch_size, Some(&mut rng))?;
        Ok((dropped.loss, measured.psnr))
    }

    /// Writes the checkpoint and the picture of sample tiles.
    fn save(&mut self) -> Result<()> {
        self.progress.seconds = self.seconds();
        let (parameters, optimizer) = self.learner.download()?;
        let (progress, rounding) = (self.progress.clone(), self.rounding.clone());
        let checkpoint = Checkpoint { progress, parameters, optimizer, rounding };
        checkpoint.save(&self.files.checkpoint)?;
        let averaged = checkpoint.optimizer.averaged(checkpoint.parameters);
        samples::write(&self.files.samples, &averaged, &self.data.validation().first(samples::MAX_TILES))?;
        self.last_save = Instant::now();
        Ok(())
    }

    fn finish(mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        if self.log.rows().last().is_none_or(|row| row.tiles < self.progress.tiles) {
            self.measure(report)?;
        }
        self.save()?;
        report(Event::Busy("calibrating the quantizer"));
        let parameters = self.learner.download_weights()?;
        let Calibration { quantizer, prior, .. } =
            self.calibrate(&*self.backend(&parameters)?, CALIBRATION_TILES)?;
        let storage = self.options.storage;
        let bytes = TiledModel::to_bytes(&parameters, &quantizer, &prior, &self.provenance(), storage)?;
        Ok(write_atomically(&self.options.out, &bytes)?)
    }

    /// What runs the network with these weights, on the device of the run.
    fn backend(&self, parameters: &Parameters) -> Result<Box<dyn Backend>> {
        Ok(match &self.options.device {
            Device::Cpu => processor(parameters),
            device => Box::new(GraphBackend::with_parameters(parameters, device)?),
        })
    }

    /// Computes a quantizer and a prior from training tiles.
    fn calibrate(&self, backend: &dyn Backend, (tiles, gain_tiles): (usize, usize)) -> Result<Calibration> {
        let Options { seed, recipe, config, .. } = self.options;
        let most = CALIBRATION_TILES_PER_PICTURE * self.data.len();
        let tiles = self.data.sample(tiles.min(most), *seed, &recipe.augment());
        Ok(calibrate(backend, config, &tiles, gain_tiles, REFERENCE_BYTES, *seed)?)
    }

    fn provenance(&self) -> Provenance {
        let Options { seed, recipe, .. } = self.options;
        Provenance {
            program: format!("aez {}", env!("CARGO_PKG_VERSION")),
            trained_on: self.data.summary().to_vec(),
            recipe: recipe.name.clone(),
            init: match recipe.init {
                Init::Klt => "klt".into(),
                Init::Paper => "paper".into(),
                Init::Xavier => "xavier".into(),
                Init::Weights => "weights".into(),
            },
            seed: *seed,
            epochs: self.epoch(),
            tiles: self.progress.tiles,
            minutes: (self.seconds() / 6.0).round() / 10.0,
        }
    }
}
