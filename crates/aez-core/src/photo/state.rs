//! The state of training as bytes, from which it continues exactly.

use serde::{Deserialize, Serialize};

use super::{
    adam::Adam,
    coefficients::Coefficients,
    config::Config,
    network::Network,
    target::Target,
    train::{Example, Recipe, Trainer},
};
use crate::error::{Error, Result};

/// What stands before the numbers of a state.
#[derive(Serialize, Deserialize)]
struct Opening {
    version: u32,
    config: Config,
    lambda: f32,
    recipe: Recipe,
    steps: u32,
    /// For each picture, how often its latents have been updated, and how many updates of its optimization are done.
    updates: Vec<(u32, u32)>,
}

const VERSION: u32 = 3;

impl Trainer {
    /// The state: weights, directions, latents, coefficients and the optimizer's averages of all, without the pictures.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        let opening = Opening {
            version: VERSION,
            config: self.network.config().clone(),
            lambda: self.network.lambda(),
            recipe: self.recipe,
            steps: self.steps,
            updates: self.examples.iter().map(|example| (example.updates, example.age)).collect(),
        };
        let opening = serde_json::to_vec(&opening).expect("numbers are valid JSON");
        let mut bytes = (opening.len() as u32).to_le_bytes().to_vec();
        bytes.extend(opening);
        for array in self.arrays() {
            bytes.extend(array.iter().flat_map(|value| value.to_le_bytes()));
        }
        bytes
    }

    /// Continues from a state. `targets` are the pictures that the training began with.
    ///
    /// # Errors
    /// [`Error::Misuse`] for bytes that are no state of training on pictures of these sizes.
    pub fn resume(state: &[u8], targets: Vec<Target>) -> Result<Self> {
        let wrong = || Error::Misuse("not the state of a training on these pictures".into());
        let (length, rest) = state.split_first_chunk::<4>().ok_or_else(wrong)?;
        let (opening, rest) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(wrong)?;
        let opening: Opening = serde_json::from_slice(opening).map_err(|_| wrong())?;
        if opening.version != VERSION || opening.updates.len() != targets.len() {
            return Err(wrong());
        }
        let network = Network::new(opening.config, opening.lambda, 0)?;
        let mut trainer = Self::new(network, targets, opening.recipe);
        trainer.steps = opening.steps;
        let mut values = rest.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        for array in trainer.arrays_mut() {
            for to in array {
                *to = values.next().filter(|value| value.is_finite()).ok_or_else(wrong)?;
            }
        }
        if values.next().is_some() || rest.len() % 4 != 0 {
            return Err(wrong());
        }
        for (example, updates) in trainer.examples.iter_mut().zip(opening.updates) {
            (example.updates, example.age) = updates;
        }
        Ok(trainer)
    }

    fn arrays(&self) -> Vec<&[f32]> {
        let Network { steps, parameters, directions, .. } = &self.network;
        let mut arrays = vec![&steps[..], parameters, directions];
        for Adam { mean, square } in [&self.adam, &self.direction_adam] {
            arrays.extend([&mean[..], square]);
        }
        for Example { latents, adams, coefficients, offset, .. } in &self.examples {
            let Coefficients { values, adam: Adam { mean, square } } = coefficients;
            arrays.extend([std::slice::from_ref(offset), values, mean, square]);
            for (latents, Adam { mean, square }) in latents.iter().zip(adams) {
                arrays.extend([&latents[..], mean, square]);
            }
        }
        arrays
    }

    fn arrays_mut(&mut self) -> Vec<&mut [f32]> {
        let Network { steps, parameters, directions, .. } = &mut self.network;
        let mut arrays = vec![&mut steps[..], parameters, directions];
        for Adam { mean, square } in [&mut self.adam, &mut self.direction_adam] {
            arrays.extend([&mut mean[..], square]);
        }
        for Example { latents, adams, coefficients, offset, .. } in &mut self.examples {
            let Coefficients { values, adam: Adam { mean, square } } = coefficients;
            arrays.extend([std::slice::from_mut(offset), values, mean, square]);
            for (latents, Adam { mean, square }) in latents.iter_mut().zip(adams) {
                arrays.extend([&mut latents[..], mean, square]);
            }
        }
        arrays
    }
}
