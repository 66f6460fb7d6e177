//! Options, events and files of a training run.

use crate::{log::Row, recipe::Recipe, start::Weights};
use aez_core::tiled::{Config, Storage};
use candle_core::Device;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The options of a training run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Configuration of the network.
    pub config: Config,
    /// The recipe.
    pub recipe: Recipe,
    /// The model file to write. The log, the loss curves, sample tiles and the checkpoint are written beside it; see [`Files`].
    pub out: PathBuf,
    /// Seed of all random numbers. Default 1.
    pub seed: u64,
    /// Starting weights, which [`Init::Weights`](crate::recipe::Init::Weights) requires. Default none.
    pub weights: Option<Weights>,
    /// Whether to continue from the checkpoint of an interrupted run. Default false.
    pub resume: bool,
    /// Duration of the training, including the time before the run was resumed. It replaces the recipe's number of epochs.
    /// Default none.
    pub budget: Option<Duration>,
    /// The device that trains. Default the CPU.
    pub device: Device,
    /// Maximum number of tiles between two rows of the log. Each epoch ends with a row in any case. Default 5000.
    pub measure_every: u64,
    /// Time between two checkpoints. Default 5 minutes.
    pub checkpoint_every: Duration,
    /// How the model file stores the weights. Default [`Storage::Int8`].
    pub storage: Storage,
}

impl Options {
    /// Options with default values for the other fields.
    #[must_use]
    pub fn new(config: Config, recipe: Recipe, out: impl Into<PathBuf>) -> Self {
        Self {
            config,
            recipe,
            out: out.into(),
            seed: 1,
            weights: None,
            resume: false,
            budget: None,
            device: Device::Cpu,
            measure_every: 5000,
            checkpoint_every: Duration::from_secs(300),
            storage: Storage::Int8,
        }
    }

    /// Sets the seed of all random numbers.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Sets the starting weights.
    #[must_use]
    pub fn with_weights(self, weights: Weights) -> Self {
        Self { weights: Some(weights), ..self }
    }

    /// Sets whether to continue from a checkpoint.
    #[must_use]
    pub fn with_resume(self, resume: bool) -> Self {
        Self { resume, ..self }
    }

    /// Sets the duration of the training.
    #[must_use]
    pub fn with_budget(self, budget: Option<Duration>) -> Self {
        Self { budget, ..self }
    }

    /// Sets the device that trains.
    #[must_use]
    pub fn with_device(self, device: Device) -> Self {
        Self { device, ..self }
    }

    /// Sets the maximum number of tiles between two rows of the log.
    #[must_use]
    pub fn with_measure_every(self, tiles: u64) -> Self {
        Self { measure_every: tiles, ..self }
    }

    /// Sets the time between two checkpoints.
    #[must_use]
    pub fn with_checkpoint_every(self, time: Duration) -> Self {
        Self { checkpoint_every: time, ..self }
    }

    /// Sets how the model file stores the weights.
    #[must_use]
    pub fn with_storage(self, storage: Storage) -> Self {
        Self { storage, ..self }
    }
}

/// A report on the progress of a run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The start of an operation that takes a while, with a description.
    Busy(&'a str),
    /// A step was taken.
    Step {
        /// Completed fraction of the run, 0 to 1.
        progress: f64,
        /// Number of tiles trained on.
        tiles: u64,
        /// Mean loss since the last row of the log.
        loss: f64,
        /// Tiles per second.
        speed: f64,
    },
    /// A row was added to the log.
    Measured(&'a Row),
}

/// Paths of the files of a run beside its model file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Files {
    /// The checkpoint: `MODEL.checkpoint`.
    pub checkpoint: PathBuf,
    /// The log: `MODEL.csv`.
    pub log: PathBuf,
    /// A chart of the losses: `MODEL.svg`.
    pub curves: PathBuf,
    /// Tiles of the validation set and their reconstructions: `MODEL.png`.
    pub samples: PathBuf,
}

impl Files {
    /// The paths for a model file.
    #[must_use]
    pub fn beside(model: &Path) -> Self {
        let with = |extension: &str| {
            let mut name = model.as_os_str().to_owned();
            name.push(extension);
            PathBuf::from(name)
        };
        Self {
            checkpoint: with(".checkpoint"),
            log: with(".csv"),
            curves: with(".svg"),
            samples: with(".png"),
        }
    }

    /// All files that a training run writes: the model, and the files beside it.
    #[must_use]
    pub fn of_run(model: &Path) -> [PathBuf; 5] {
        let Self { checkpoint, log, curves, samples } = Self::beside(model);
        [model.to_owned(), checkpoint, log, curves, samples]
    }
}
