//! The experiment of the paper: the network trained with and without normalized input, and with and without dropout.
//!
//! The four variants have the same training tiles in the same order, the same initial weights and the same number of steps. Their
//! models, logs and loss curves are written to one folder, together with a report: `README.md` and `losses.svg`.

mod curves;
mod outcome;
mod report;

pub use outcome::{ClassLoss, Coded, Outcome};

use crate::{
    data::Dataset,
    error::{Error, Result},
    graph::Graph,
    measure::{MEASURED_TILES, reconstruct},
    recipe::Recipe,
    run::{self, Event, Files, Options},
};
use aez_core::{
    Quality,
    tiled::{Config, Parameters, TiledModel},
};
use aez_image::write_atomically;
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Probability with which a channel is dropped in the variants with dropout.
pub const DROPOUT: f32 = 0.2;

/// One of the four variants of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Whether pixel values are mapped to [-1, 1] at the input.
    pub normalize: bool,
    /// Whether channels are dropped during training.
    pub dropout: bool,
}

impl Variant {
    /// All variants.
    pub const ALL: [Self; 4] = [
        Self { normalize: false, dropout: false },
        Self { normalize: false, dropout: true },
        Self { normalize: true, dropout: false },
        Self { normalize: true, dropout: true },
    ];

    /// Name of the variant, which is also the stem of its files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.normalize, self.dropout) {
            (false, false) => "plain",
            (false, true) => "dropout",
            (true, false) => "normalize",
            (true, true) => "normalize-dropout",
        }
    }

    fn config(self, config: Config) -> Config {
        Config { normalize: self.normalize, dropout: if self.dropout { DROPOUT } else { 0.0 }, ..config }
    }
}

/// The file that tells one experiment from another.
const SETTINGS: &str = "settings.json";
/// The file with the results.
const REPORT: &str = "README.md";

/// Settings of an experiment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Experiment {
    /// What the variants have in common. `out` is the folder, which is created if it does not exist. The variants set `normalize`
    /// and `dropout` of the configuration. `budget` and `resume` are ignored: all variants are trained on the same number of tiles,
    /// and interrupted ones are always resumed.
    pub options: Options,
    /// The qualities of the files to compare.
    pub qualities: Vec<Quality>,
    /// Whether to remove another experiment in the folder, and overwrite files of other origin. If not, that is an error.
    pub overwrite: bool,
    /// The command line that repeats the experiment, for the report.
    pub command: String,
}

/// The settings that determine the trained weights. An interrupted experiment is continued only with equal settings.
#[derive(Serialize)]
struct Settings<'a> {
    config: Config,
    recipe: &'a Recipe,
    seed: u64,
    data: &'a [(String, usize)],
    /// Number of tiles of an epoch, which depends on the weights of the sources.
    visits: usize,
    /// Where the validation and the test tiles come from.
    held_out: [&'a [String]; 2],
}

impl Experiment {
    /// An experiment that does not overwrite others. `command` is the command line that repeats it, for the report.
    #[must_use]
    pub fn new(options: Options, qualities: Vec<Quality>, command: String) -> Self {
        Self { options, qualities, overwrite: false, command }
    }

    /// Sets whether to remove another experiment in the folder.
    #[must_use]
    pub fn with_overwrite(self, overwrite: bool) -> Self {
        Self { overwrite, ..self }
    }

    /// Trains the variants, and compares them. Variants whose model file exists are not trained again. `report` is called with the
    /// progress.
    ///
    /// # Errors
    /// Those of [`run::train`]; [`aez_core::Error::Misuse`] when the folder has an experiment with other settings, or
    /// files of the same names, or the data have no validation or no test tiles.
    pub fn run(&self, data: &Dataset, report: &mut dyn FnMut(Variant, Event<'_>)) -> Result<[Outcome; 4]> {
        if data.validation().is_empty() || data.test().is_empty() {
            return Err(Error::misuse(
                "the data have too few pictures, too few to hold out one each for validation and test: at least three are needed",
            ));
        }
        self.prepare_folder(data)?;
        for variant in Variant::ALL {
            self.train(data, variant, report)?;
        }
        let mut outcomes = Vec::new();
        for variant in Variant::ALL {
            report(variant, Event::Busy("measuring files"));
            outcomes.push(self.measure(data, variant)?);
        }
        let outcomes = outcomes.try_into().expect("one outcome for each variant");
        curves::draw(&outcomes, &self.path(report::CURVES))?;
        write_atomically(&self.path(REPORT), report::markdown(self, data, &outcomes).as_bytes())?;
        Ok(outcomes)
    }

    /// Creates the folder, and makes sure that the files in it belong to this experiment.
    fn prepare_folder(&self, data: &Dataset) -> Result<()> {
        let folder = &self.options.out;
        fs::create_dir_all(folder).map_err(|e| Error::io("cannot create the folder", folder, e))?;
        let Options { config, ref recipe, seed, .. } = self.options;
        let config = Variant::ALL[0].config(config);
        let visits = data.epoch(seed, 0).len();
        let held_out = [data.validation().origins(), data.test().origins()];
        let settings = Settings { config, recipe, seed, data: data.summary(), visits, held_out };
        let settings = serde_json::to_string_pretty(&settings).map_err(|e| Error::misuse(e.to_string()))?;
        let path = self.path(SETTINGS);
        if !self.overwrite && fs::read_to_string(&path).is_ok_and(|found| found == settings) {
            return Ok(());
        }
        if !self.overwrite
            && let Some(old) = self.files().find(|file| file.exists())
        {
            return Err(Error::misuse(format!(
                "{} holds an experiment with other data or options, or files of the same names ({}): \
                 choose another folder or overwrite it",
                folder.display(),
                old.file_name().unwrap_or_default().display()
            )));
        }
        for model in Variant::ALL.map(|variant| self.model_file(variant)) {
            for old in [&model, &Files::beside(&model).checkpoint].into_iter().filter(|file| file.exists()) {
                fs::remove_file(old).map_err(|e| Error::io("cannot remove", old, e))?;
            }
        }
        Ok(write_atomically(&path, settings.as_bytes())?)
    }

    fn train(
        &self,
        data: &Dataset,
        variant: Variant,
        report: &mut dyn FnMut(Variant, Event<'_>),
    ) -> Result<()> {
        let out = self.model_file(variant);
        if out.exists() {
            return Ok(());
        }
        let options = Options {
            config: variant.config(self.options.config),
            resume: Files::beside(&out).checkpoint.exists(),
            budget: None,
            out,
            ..self.options.clone()
        };
        run::train(data, &options, &mut |event| report(variant, event))
    }

    fn measure(&self, data: &Dataset, variant: Variant) -> Result<Outcome> {
        let path = self.model_file(variant);
        let model = fs::read(&path).map_err(|e| Error::io("cannot read", &path, e))?;
        let model = TiledModel::from_bytes(model)?;
        let parameters = model.parameters()?;
        let tiles = data.test().first(MEASURED_TILES);
        let mut outcome =
            Outcome::measure(variant, model, &Files::beside(&path).log, &tiles, &self.qualities)?;
        outcome.classes = self.class_losses(data, &parameters)?;
        Ok(outcome)
    }

    fn class_losses(&self, data: &Dataset, parameters: &Parameters) -> Result<Vec<ClassLoss>> {
        let (test, Options { device, recipe, .. }) = (data.test(), &self.options);
        if test.labels().is_empty() {
            return Ok(Vec::new());
        }
        let graph = Graph::new(parameters, device)?.frozen();
        let errors = reconstruct(&graph, test, test.len(), recipe.batch_size, None)?.errors;
        Ok(outcome::class_losses(&errors, test.labels(), |label| data.class(label)))
    }

    /// All files that the experiment writes.
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let of_variants =
            Variant::ALL.into_iter().flat_map(|variant| Files::of_run(&self.model_file(variant)));
        of_variants.chain([SETTINGS, report::CURVES, REPORT].map(|name| self.path(name)))
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.options.out.join(name)
    }

    fn model_file(&self, variant: Variant) -> PathBuf {
        self.path(format!("{}.safetensors", variant.name()))
    }
}
