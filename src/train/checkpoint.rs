//! Everything that a killed run needs to go on exactly where it was.

use super::{loss::Rounding, optimizer::Optimizer, recipe::Recipe};
use crate::{
    error::{Error, Result},
    model::{Config, Parameters},
    picture::write_atomically,
};
use byteorder::{ByteOrder, LittleEndian};
use safetensors::{
    Dtype, SafeTensors,
    tensor::{TensorView, serialize},
};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fs, path::Path};

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    pub config: Config,
    pub recipe: Recipe,
    pub seed: u64,
    /// Name and number of pictures of each source.
    pub data: Vec<(String, usize)>,
    /// Place of the next tile: epoch, and position in it.
    pub epoch: u64,
    pub position: u64,
    /// Tiles seen in all, and seconds spent.
    pub tiles: u64,
    pub seconds: f64,
    /// Sum of the training losses since the last row of the log, and their number.
    pub loss_sum: f64,
    pub loss_count: u64,
}

/// A run in the middle.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub progress: Progress,
    pub parameters: Parameters,
    pub optimizer: Optimizer,
    /// What the codec would do at the last measurement, once there was one.
    pub rounding: Option<Rounding>,
}

/// The entry of the file's metadata.
#[derive(Serialize, Deserialize)]
struct Entry {
    progress: Progress,
    steps: u64,
}

impl Checkpoint {
    /// Writes a checkpoint, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for (index, array) in self.parameters.arrays.iter().enumerate() {
            let parts = [
                ("value", &array.values),
                ("mean", &self.optimizer.means[index]),
                ("square", &self.optimizer.squares[index]),
                ("average", &self.optimizer.averages[index]),
            ];
            for (part, values) in parts {
                tensors.push((format!("{part}:{}", array.name), array.shape.clone(), to_bytes(values)));
            }
        }
        for (name, values) in self.rounding.iter().flat_map(Rounding::arrays) {
            tensors.push((name.to_owned(), vec![values.len()], to_bytes(&values)));
        }
        let views: Result<Vec<_>, safetensors::SafeTensorError> = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
            .collect();
        let entry = Entry { progress: self.progress.clone(), steps: self.optimizer.step };
        let entry = serde_json::to_string(&entry).map_err(|e| Error::Misuse(e.to_string()))?;
        let metadata = HashMap::from([("aez-checkpoint".to_owned(), entry)]);
        let failed =
            |e: safetensors::SafeTensorError| Error::Misuse(format!("cannot form the checkpoint: {e}"));
        write_atomically(path, &serialize(views.map_err(failed)?, Some(metadata)).map_err(failed)?)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read, [`Error::Model`] when it is no checkpoint.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|e| Error::io("cannot read the checkpoint", path, e))?;
        Self::from_bytes(&bytes).map_err(|reason| Error::Model(format!("{}: {reason}", path.display())))
    }

    /// Reads the averaged weights of a checkpoint alone, to begin another run with.
    ///
    /// # Errors
    /// As for [`Checkpoint::load`].
    pub fn load_weights(path: &Path) -> Result<Parameters> {
        let checkpoint = Self::load(path)?;
        Ok(checkpoint.optimizer.averaged(&checkpoint.parameters))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let foreign = |e: safetensors::SafeTensorError| format!("this is no whole safetensors file ({e})");
        let (_, index) = SafeTensors::read_metadata(bytes).map_err(foreign)?;
        let entry = index.metadata().as_ref().and_then(|entries| entries.get("aez-checkpoint"));
        let entry = entry.ok_or("this is no checkpoint of a training run")?;
        let Entry { progress, steps } =
            serde_json::from_str(entry).map_err(|e| format!("its metadata are damaged ({e})"))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(foreign)?;
        let read = |name: &str| -> Option<Vec<f32>> {
            let tensor = tensors.tensor(name).ok()?;
            Some(tensor.data().chunks_exact(4).map(LittleEndian::read_f32).collect())
        };
        let part = |part: &str| {
            let array = |name: &str, _: &[usize]| {
                let missing = || Error::Model(format!("it has no {part} of {name}"));
                read(&format!("{part}:{name}")).ok_or_else(missing)
            };
            Parameters::from_fn(progress.config, array).map_err(|e| e.to_string())
        };
        let values =
            |parameters: Parameters| parameters.arrays.into_iter().map(|array| array.values).collect();
        let optimizer = Optimizer {
            step: steps,
            means: values(part("mean")?),
            squares: values(part("square")?),
            averages: values(part("average")?),
        };
        let rounding = Rounding::NAMES.map(|name| read(name).unwrap_or_default());
        let rounding = Rounding::from_arrays(rounding).filter(|r| r.steps.len() == progress.config.latents);
        Ok(Self { parameters: part("value")?, optimizer, rounding, progress })
    }
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::init;

    #[test]
    fn a_checkpoint_comes_back_whole_and_foreign_files_are_named() {
        let config = Config { tile: 8, channels: 2, reductions: 1, latents: 2, ..Config::default() };
        let parameters = init::xavier(config, 1).unwrap();
        let mut optimizer = Optimizer::new(&parameters);
        optimizer.step = 7;
        optimizer.means[0][1] = 0.25;
        optimizer.averages[0][1] = 0.5;
        let rounding = Some(Rounding {
            centres: vec![1.0, 2.0],
            steps: vec![0.5, 0.25],
            deviations: vec![3.0, 4.0],
            step_error: 0.125,
        });
        let progress = Progress {
            config,
            recipe: Recipe::tuned(),
            seed: 3,
            data: vec![("photos".into(), 5)],
            epoch: 2,
            position: 64,
            tiles: 1000,
            seconds: 1.5,
            loss_sum: 0.125,
            loss_count: 3,
        };
        let checkpoint = Checkpoint { progress, parameters, optimizer, rounding };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.checkpoint");
        checkpoint.save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
        assert_eq!(Checkpoint::load_weights(&path).unwrap().arrays[0].values[1], 0.5);
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 1);
        fs::write(&path, &bytes).unwrap();
        assert!(Checkpoint::load(&path).unwrap_err().to_string().contains("safetensors"));
    }
}
