//! What runs the network of a tiled model.

use std::sync::{Arc, OnceLock};

use super::{
    backward::Backward,
    config::Config,
    network::{Analysis, Source, Synthesis},
    parameters::Parameters,
};
use crate::{
    error::{Error, Result},
    nn::InstructionSet,
};

/// A device that runs the network: the processor, or another one for [`TiledModel::with_backend`](super::TiledModel::with_backend).
///
/// Tiles are `tile * tile * 3` values in [0, 1] each, channels last. Lengths are checked by the caller.
pub trait Backend: Send + Sync {
    /// Maps tiles to their latents.
    ///
    /// # Errors
    /// [`Error::Backend`](crate::Error::Backend) when the device fails; on the processor, those of reading packed weights.
    fn analyse(&self, tiles: &[f32]) -> Result<Vec<f32>>;

    /// Maps latents to tiles, near [0, 1] but not clamped to it.
    ///
    /// # Errors
    /// [`Error::Backend`](crate::Error::Backend) when the device fails; on the processor, those of reading packed weights.
    fn synthesize(&self, latents: &[f32]) -> Result<Vec<f32>>;

    /// Maps latents to tiles, calls `gradient` with them for the derivative of a loss with respect to the tiles, and returns the
    /// derivative of the loss with respect to the latents.
    ///
    /// # Errors
    /// [`Error::Backend`](crate::Error::Backend) when the device fails; on the processor, those of reading packed weights.
    fn synthesis_gradient(
        &self,
        latents: &[f32],
        gradient: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<Vec<f32>>;
}

/// The kernels of this library, for a network with these parameters.
#[must_use]
pub fn processor(parameters: &Parameters) -> Box<dyn Backend> {
    Box::new(Processor::new(parameters.config, Arc::new(parameters.clone()), InstructionSet::best()))
}

/// The kernels of this library. Weights are packed when they are first used.
pub(super) struct Processor {
    config: Config,
    source: Arc<dyn Source + Send + Sync>,
    set: InstructionSet,
    analysis: OnceLock<Analysis>,
    synthesis: OnceLock<Synthesis>,
    backward: OnceLock<Backward>,
}

impl Processor {
    pub fn new(config: Config, source: Arc<dyn Source + Send + Sync>, set: InstructionSet) -> Self {
        let (analysis, synthesis, backward) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self { config, source, set, analysis, synthesis, backward }
    }

    fn synthesis(&self) -> Result<&Synthesis> {
        get_or_make(&self.synthesis, || Synthesis::new(self.config, &self.source, self.set))
    }
}

impl Backend for Processor {
    fn analyse(&self, tiles: &[f32]) -> Result<Vec<f32>> {
        Error::check_encode()?;
        Ok(get_or_make(&self.analysis, || Analysis::new(self.config, &self.source, self.set))?.run(tiles))
    }

    fn synthesize(&self, latents: &[f32]) -> Result<Vec<f32>> {
        Ok(self.synthesis()?.run(latents))
    }

    fn synthesis_gradient(
        &self,
        latents: &[f32],
        gradient: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<Vec<f32>> {
        Error::check_encode()?;
        let backward = get_or_make(&self.backward, || Backward::new(self.config, &self.source, self.set))?;
        Ok(backward.run(self.synthesis()?, latents, gradient))
    }
}

/// The content of the cell, which is made if it is empty. Making it uses several threads, and a thread that waits may start other
/// work that needs the same content. So it is made outside of the cell's lock, in rare cases twice.
fn get_or_make<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}
