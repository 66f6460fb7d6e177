//! The network of a model on a candle device, for encoding and decoding.

use crate::{Error, graph::Graph};
use aez_core::{
    Result,
    tiled::{Backend, Config, Parameters, TiledModel},
};
use candle_core::{Device, Tensor, Var};

/// Runs the network of a model on a candle device, such as a GPU.
///
/// On a GPU, the result for a tile may differ from the result of the CPU in the last digits, and it may depend on the number
/// of tiles in a call. A decoded pixel then differs by one level, or a symbol of a file by one. The symbols that a decoder
/// reads from a file are the same on every device.
///
/// ```no_run
/// # fn main() -> aez_train::Result<()> {
/// # let bytes = vec![];
/// use aez_core::tiled::TiledModel;
///
/// let model = TiledModel::from_bytes(bytes)?;
/// let backend = aez_train::GraphBackend::new(&model, &aez_train::cuda_device(0)?)?;
/// let model = model.with_backend(Box::new(backend));
/// # Ok(())
/// # }
/// ```
pub struct GraphBackend {
    graph: Graph,
}

impl GraphBackend {
    /// Copies the weights of `model` to `device`.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device has too little memory.
    pub fn new(model: &TiledModel, device: &Device) -> crate::Result<Self> {
        Self::with_parameters(&model.parameters()?, device)
    }

    /// Copies the weights to `device`.
    pub(crate) fn with_parameters(parameters: &Parameters, device: &Device) -> crate::Result<Self> {
        let graph = Graph::new(parameters, device)?.frozen();
        // Other threads may run the network, each with its own order of operations.
        device.synchronize()?;
        Ok(Self { graph })
    }

    fn config(&self) -> &Config {
        self.graph.config()
    }

    /// A tensor `[tiles, tile, tile, 3]` of the values.
    fn tiles(&self, values: &[f32]) -> crate::Result<Tensor> {
        let &Config { tile, .. } = self.config();
        let count = rows(values, self.config().tile_len())?;
        Ok(Tensor::from_slice(values, (count, tile, tile, 3), self.graph.device())?)
    }

    /// A variable `[tiles, latents]` of the values.
    fn latents(&self, values: &[f32]) -> crate::Result<Var> {
        let &Config { latents, .. } = self.config();
        Ok(Var::from_slice(values, (rows(values, latents)?, latents), self.graph.device())?)
    }

    fn run_analysis(&self, tiles: &[f32]) -> crate::Result<Vec<f32>> {
        Ok(self.graph.analyse(&self.tiles(tiles)?, None)?.flatten_all()?.to_vec1()?)
    }

    fn run_synthesis(&self, latents: &[f32]) -> crate::Result<Vec<f32>> {
        let latents = self.latents(latents)?.as_detached_tensor();
        Ok(self.graph.synthesize(&latents, None)?.flatten_all()?.to_vec1()?)
    }

    fn differentiate(
        &self,
        latents: &[f32],
        gradient: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> crate::Result<Vec<f32>> {
        let latents = self.latents(latents)?;
        let tiles = self.graph.synthesize(&latents, None)?;
        let tile_gradient = self.tiles(&gradient(&tiles.flatten_all()?.to_vec1::<f32>()?))?;
        // The derivative of this sum with respect to the tiles is `tile_gradient`.
        let gradients = tiles.mul(&tile_gradient)?.sum_all()?.backward()?;
        match gradients.get(&latents) {
            Some(gradient) => Ok(gradient.flatten_all()?.to_vec1()?),
            None => Ok(vec![0.0; latents.elem_count()]),
        }
    }
}

impl Backend for GraphBackend {
    fn analyse(&self, tiles: &[f32]) -> Result<Vec<f32>> {
        if tiles.is_empty() { Ok(Vec::new()) } else { Ok(self.run_analysis(tiles)?) }
    }

    fn synthesize(&self, latents: &[f32]) -> Result<Vec<f32>> {
        if latents.is_empty() { Ok(Vec::new()) } else { Ok(self.run_synthesis(latents)?) }
    }

    fn synthesis_gradient(
        &self,
        latents: &[f32],
        gradient: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<Vec<f32>> {
        if latents.is_empty() { Ok(Vec::new()) } else { Ok(self.differentiate(latents, gradient)?) }
    }
}

/// Number of rows of `length` values.
fn rows(values: &[f32], length: usize) -> crate::Result<usize> {
    if values.len().is_multiple_of(length) {
        Ok(values.len() / length)
    } else {
        Err(Error::misuse(format!("{} values are not a multiple of {length}", values.len())))
    }
}
