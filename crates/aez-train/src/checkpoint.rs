//! Checkpoints: files from which an interrupted run continues exactly where it was saved.

use crate::{Error, Result, loss::Rounding, optimizer::OptimizerState, recipe::Recipe};
use aez_core::tiled::{Config, Parameters};
use aez_image::write_atomically;
use byteorder::{ByteOrder, LittleEndian};
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fs, path::Path};

/// The key of the checkpoint's entry in the metadata of its file.
const METADATA_KEY: &str = "aez-checkpoint";

/// Options and progress of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Configuration of the network.
    pub config: Config,
    /// The recipe.
    pub recipe: Recipe,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Name and number of training pictures of each source.
    pub data: Vec<(String, usize)>,
    /// Epoch of the next tile, from 0.
    pub epoch: u64,
    /// Position of the next tile in its epoch, from 0.
    pub position: u64,
    /// Number of tiles trained on.
    pub tiles: u64,
    /// Duration of the training in seconds.
    pub seconds: f64,
    /// Sum of the training losses since the last row of the log.
    pub loss_sum: f64,
    /// Number of training losses since the last row of the log.
    pub loss_count: u64,
}

/// The state of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Options and progress.
    pub progress: Progress,
    /// The current weights, not averaged.
    pub parameters: Parameters,
    /// The state of the optimizer.
    pub optimizer: OptimizerState,
    /// The quantizer as of the last measurement, if there was one.
    pub rounding: Option<Rounding>,
}

/// The entry in the metadata.
#[derive(Serialize, Deserialize)]
struct Entry {
    progress: Progress,
    steps: u64,
}

impl Checkpoint {
    /// Writes a checkpoint atomically: on failure, an existing file remains unchanged.
    ///
    /// # Errors
    /// [`aez_core::Error::Io`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let OptimizerState { steps, means, squares, averages } = &self.optimizer;
        let mut tensors: Vec<(String, &[usize], Vec<u8>)> = Vec::new();
        for (index, array) in self.parameters.arrays.iter().enumerate() {
            let parts =
                [("value", &array.values), ("mean", &means[index]), ("square", &squares[index])].into_iter();
            for (part, values) in parts.chain(averages.iter().map(|averages| ("average", &averages[index]))) {
                tensors.push((format!("{part}:{}", array.name), &array.shape, to_bytes(values)));
            }
        }
        let rounding: Vec<_> = self.rounding.iter().flat_map(Rounding::arrays).collect();
        let lengths: Vec<[usize; 1]> = rounding.iter().map(|(_, values)| [values.len()]).collect();
        for ((name, values), shape) in rounding.iter().zip(&lengths) {
            tensors.push(((*name).to_owned(), shape, to_bytes(values)));
        }
        let views: Result<Vec<_>, safetensors::SafeTensorError> = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?)))
            .collect();
        let entry = Entry { progress: self.progress.clone(), steps: *steps };
        let entry = serde_json::to_string(&entry).map_err(|e| Error::misuse(e.to_string()))?;
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), entry)]);
        let failed =
            |e: safetensors::SafeTensorError| Error::misuse(format!("cannot make the checkpoint: {e}"));
        let bytes = serialize(views.map_err(failed)?, Some(metadata)).map_err(failed)?;
        Ok(write_atomically(path, &bytes)?)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`aez_core::Error::Io`] if the file cannot be read, [`aez_core::Error::Model`] if it is not a valid checkpoint.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|e| Error::io("cannot read the checkpoint", path, e))?;
        let reader = Reader::new(&bytes).and_then(|reader| reader.ok_or("this is not a checkpoint".into()));
        let checkpoint = reader.and_then(|reader| reader.checkpoint());
        checkpoint.map_err(|reason| Error::model(format!("{}: {reason}", path.display())))
    }

    /// Reads only the weights of a checkpoint: their average if the run keeps one. `None` if the bytes are not a checkpoint.
    ///
    /// # Errors
    /// The reason why a checkpoint is not valid.
    pub(crate) fn weights_from_bytes(bytes: &[u8]) -> Result<Option<Parameters>, String> {
        let Some(reader) = Reader::new(bytes)? else { return Ok(None) };
        reader.parameters(if reader.has_averages() { "average" } else { "value" }).map(Some)
    }
}

/// The contents of a checkpoint's file.
struct Reader<'a> {
    tensors: SafeTensors<'a>,
    entry: Entry,
}

impl<'a> Reader<'a> {
    /// `None` if the file is valid, but not a checkpoint.
    fn new(bytes: &'a [u8]) -> Result<Option<Self>, String> {
        let invalid = |e: safetensors::SafeTensorError| format!("this is not a valid safetensors file ({e})");
        let (_, index) = SafeTensors::read_metadata(bytes).map_err(invalid)?;
        let Some(entry) = index.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY)) else {
            return Ok(None);
        };
        let entry = serde_json::from_str(entry)
            .map_err(|e| format!("the metadata of the checkpoint are not valid ({e})"))?;
        Ok(Some(Self { tensors: SafeTensors::deserialize(bytes).map_err(invalid)?, entry }))
    }

    fn checkpoint(self) -> Result<Checkpoint, String> {
        let vectors = |part| -> Result<Vec<_>, String> {
            Ok(self.parameters(part)?.arrays.into_iter().map(|array| array.values).collect())
        };
        let optimizer = OptimizerState {
            steps: self.entry.steps,
            means: vectors("mean")?,
            squares: vectors("square")?,
            averages: self.has_averages().then(|| vectors("average")).transpose()?,
        };
        let rounding = Rounding::NAMES.map(|name| self.values(name).unwrap_or_default());
        let latents = self.entry.progress.config.latents;
        let rounding = Rounding::from_arrays(rounding).filter(|rounding| rounding.steps.len() == latents);
        let parameters = self.parameters("value")?;
        Ok(Checkpoint { parameters, optimizer, rounding, progress: self.entry.progress })
    }

    /// Whether the run keeps a moving average of the weights.
    fn has_averages(&self) -> bool {
        self.entry.progress.recipe.average > 0.0
    }

    /// One of the vectors that are saved for each parameter array.
    fn parameters(&self, part: &str) -> Result<Parameters, String> {
        let array = |name: &str, _: &[usize]| {
            let name = format!("{part}:{name}");
            self.values(&name)
                .ok_or_else(|| aez_core::Error::Model(format!("the checkpoint lacks the array `{name}`")))
        };
        Parameters::from_fn(self.entry.progress.config, array).map_err(|error| match error {
            aez_core::Error::Model(reason) => reason,
            other => other.to_string(),
        })
    }

    fn values(&self, name: &str) -> Option<Vec<f32>> {
        let tensor = self.tensors.tensor(name).ok().filter(|tensor| tensor.dtype() == Dtype::F32)?;
        Some(tensor.data().chunks_exact(4).map(LittleEndian::read_f32).collect())
    }
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aez_core::tiled::init;

    fn checkpoint(recipe: Recipe) -> Checkpoint {
        let config = Config { tile: 8, channels: 2, reductions: 1, latents: 2, ..Config::default() };
        let parameters = init::xavier(config, 1).unwrap();
        let mut optimizer = OptimizerState::new(&parameters, recipe.average > 0.0);
        optimizer.steps = 7;
        optimizer.means[0][1] = 0.25;
        if let Some(averages) = &mut optimizer.averages {
            averages[0][1] = 0.5;
        }
        let rounding = Some(Rounding {
            centres: vec![1.0, 2.0],
            steps: vec![0.5, 0.25],
            deviations: vec![3.0, 4.0],
            step_error: 0.125,
        });
        let progress = Progress {
            config,
            recipe,
            seed: 3,
            data: vec![("photos".into(), 5)],
            epoch: 2,
            position: 64,
            tiles: 1000,
            seconds: 1.5,
            loss_sum: 0.125,
            loss_count: 3,
        };
        Checkpoint { progress, parameters, optimizer, rounding }
    }

    fn weights(path: &Path) -> Result<Option<Parameters>, String> {
        Checkpoint::weights_from_bytes(&fs::read(path).unwrap())
    }

    #[test]
    fn a_checkpoint_survives_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        for recipe in [Recipe::tuned(), Recipe::paper()] {
            let checkpoint = checkpoint(recipe);
            checkpoint.save(&path).unwrap();
            assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
            let expected = checkpoint.optimizer.averaged(checkpoint.parameters);
            assert_eq!(weights(&path).unwrap(), Some(expected));
        }
    }

    #[test]
    fn invalid_checkpoints_are_rejected_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        let rejected = || Checkpoint::load(&path).unwrap_err().to_string();
        assert!(rejected().contains("cannot read"));
        let mut checkpoint = checkpoint(Recipe::tuned());
        checkpoint.save(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 1);
        fs::write(&path, &bytes).unwrap();
        assert!(rejected().contains("safetensors") && weights(&path).is_err());

        let name = std::mem::replace(&mut checkpoint.parameters.arrays[3].name, "other".into());
        checkpoint.save(&path).unwrap();
        assert!(rejected().contains(&format!("lacks the array `mean:{name}`")), "{}", rejected());
        assert!(weights(&path).unwrap_err().contains(&format!("lacks the array `average:{name}`")));

        fs::write(&path, serialize(std::iter::empty::<(String, TensorView<'_>)>(), None).unwrap()).unwrap();
        assert!(rejected().contains("not a checkpoint"));
        assert_eq!(weights(&path), Ok(None));
    }
}
