//! The paper's experiment: the network trained with and without normalized input, with and without dropout.
//!
//! The four variants differ in nothing else: they have the same data, in the same order, the same starting weights, and
//! as many steps. Their models, logs and curves lie in one folder, with a comparison: `README.md` and `losses.svg`.

mod curves;
mod outcome;
mod report;

pub use outcome::{Coded, Outcome};

use super::{
    data::Dataset,
    recipe::Recipe,
    run::{self, Event, Files, Options},
};
use crate::{
    Error, Quality, Result,
    model::{Config, Model},
    picture::write_atomically,
};
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The probability with which the variants with dropout drop a channel.
pub const DROPOUT: f32 = 0.2;

/// One of the four networks to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    pub normalize: bool,
    pub dropout: bool,
}

impl Variant {
    /// Those with dropout behind those without, those that normalize at the end.
    pub const ALL: [Self; 4] = [
        Self { normalize: false, dropout: false },
        Self { normalize: false, dropout: true },
        Self { normalize: true, dropout: false },
        Self { normalize: true, dropout: true },
    ];

    /// The name of its files, without their extensions.
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

/// What to train four times, and how to compare.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// What the variants share. `out` is the folder, made if need be; the variants decide on normalization and dropout;
    /// `budget` and `resume` are not used: all variants see as many tiles, and go on where they were.
    pub options: Options,
    /// Of the files that are compared.
    pub qualities: Vec<Quality>,
    /// Remove an earlier experiment in the folder, rather than go on with it or refuse another one.
    pub anew: bool,
    /// The command that does this again, for the report.
    pub command: String,
}

/// What decides the trained weights: an experiment goes on where this is the same.
#[derive(Serialize)]
struct Settings<'a> {
    config: Config,
    recipe: &'a Recipe,
    seed: u64,
    data: &'a [(String, usize)],
    /// Tiles of an epoch, which the weights of the sources decide.
    visits: usize,
}

impl Experiment {
    /// Trains what is not trained yet, and compares. Variants whose model file exists are done, interrupted ones are
    /// resumed. `tell` hears how each goes.
    ///
    /// # Errors
    /// Those of [`run::train`]; [`Error::Misuse`] when the folder holds an experiment with other settings, or the data hold
    /// no validation or test tiles.
    pub fn run(&self, data: &Dataset, tell: &mut dyn FnMut(Variant, Event<'_>)) -> Result<[Outcome; 4]> {
        if data.validation().is_empty() || data.test().is_empty() {
            return Err(Error::Misuse(
                "the data are too few to hold out pictures for validation and test: three pictures at least"
                    .into(),
            ));
        }
        self.begin(data)?;
        for variant in Variant::ALL {
            self.train(data, variant, tell)?;
        }
        let mut outcomes = Vec::new();
        for variant in Variant::ALL {
            tell(variant, Event::Busy("measuring files"));
            let path = self.model_file(variant);
            let model = Model::load(&path)?;
            outcomes.push(Outcome::measure(
                variant,
                &model,
                &Files::beside(&path).log,
                data.test(),
                &self.qualities,
            )?);
        }
        let outcomes = outcomes.try_into().expect("one of each variant");
        curves::draw(&outcomes, &self.path(report::CURVES))?;
        write_atomically(&self.path("README.md"), report::markdown(self, data, &outcomes).as_bytes())?;
        Ok(outcomes)
    }

    /// Makes sure that what the folder holds belongs to this experiment.
    fn begin(&self, data: &Dataset) -> Result<()> {
        let folder = &self.options.out;
        fs::create_dir_all(folder).map_err(|e| Error::io("cannot make the folder", folder, e))?;
        let Options { config, ref recipe, seed, .. } = self.options;
        let config = Variant::ALL[0].config(config);
        let visits = data.epoch(seed, 0).len();
        let settings = Settings { config, recipe, seed, data: data.summary(), visits };
        let settings = serde_json::to_string_pretty(&settings).map_err(|e| Error::Misuse(e.to_string()))?;
        let path = self.path("settings.json");
        if !self.anew && fs::read_to_string(&path).is_ok_and(|found| found == settings) {
            return Ok(());
        }
        for model in Variant::ALL.map(|variant| self.model_file(variant)) {
            for old in [&model, &Files::beside(&model).checkpoint].into_iter().filter(|file| file.exists()) {
                if !self.anew {
                    return Err(Error::Misuse(format!(
                        "{} holds an experiment with other data or options ({}): choose another folder, or begin anew with \
                         --force",
                        folder.display(),
                        old.file_name().unwrap_or_default().display()
                    )));
                }
                fs::remove_file(old).map_err(|e| Error::io("cannot remove", old, e))?;
            }
        }
        write_atomically(&path, settings.as_bytes())
    }

    fn train(
        &self,
        data: &Dataset,
        variant: Variant,
        tell: &mut dyn FnMut(Variant, Event<'_>),
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
        run::train(data, &options, &mut |event| tell(variant, event))
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.options.out.join(name)
    }

    fn model_file(&self, variant: Variant) -> PathBuf {
        self.path(format!("{}.safetensors", variant.name()))
    }
}
