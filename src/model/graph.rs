//! The autoencoder as a graph of candle operations: on any device, and with gradients.

use super::{
    config::{Config, ConvLayer},
    network::Source,
};
use crate::{Result, nn::op::ConvOp};
use candle_core::{Device, Tensor, Var, backprop::GradStore};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The network's parameters as variables, in the order of [`Config::parameters`].
pub struct Graph {
    config: Config,
    names: Vec<String>,
    variables: Vec<Var>,
    frozen: bool,
}

impl Graph {
    /// Copies the parameters to the device.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when there is no memory for them.
    pub fn new(config: Config, source: &impl Source, device: &Device) -> Result<Self> {
        let (names, shapes): (Vec<_>, Vec<_>) = config.parameters().into_iter().unzip();
        let variable =
            |(name, shape): (&String, Vec<usize>)| Var::from_slice(&source.values(name), shape, device);
        let variables = names.iter().zip(shapes).map(variable).collect::<candle_core::Result<_>>()?;
        Ok(Self { config, names, variables, frozen: false })
    }

    /// The same network, whose parameters get no gradients.
    #[must_use]
    pub fn frozen(self) -> Self {
        Self { frozen: true, ..self }
    }

    /// The parameters' names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The parameters, in the order of the names.
    #[must_use]
    pub fn variables(&self) -> &[Var] {
        &self.variables
    }

    /// Where it runs.
    ///
    /// # Panics
    /// Never: every network has parameters.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.variables[0].device()
    }

    fn get(&self, name: &str) -> Tensor {
        let place = self.names.iter().position(|n| n == name).expect("an array of the configuration");
        let variable = &self.variables[place];
        if self.frozen { variable.as_detached_tensor() } else { variable.as_tensor().clone() }
    }

    /// Maps tiles `[batch, tile, tile, 3]` with values in [0, 1] to latents `[batch, latents]`. Channels are dropped where
    /// the configuration says so and `dropout` is given.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when the shape is another.
    pub fn analyse(&self, tiles: &Tensor, mut dropout: Option<&mut ChaCha8Rng>) -> Result<Tensor> {
        let mut x = if self.config.normalize { tiles.affine(2.0, -1.0)? } else { tiles.clone() };
        for (index, layer) in self.config.encoder().iter().enumerate() {
            x = self.convolve(layer, x, index != 0, dropout.as_deref_mut())?;
        }
        self.linear("encoder.linear", &x.flatten_from(1)?)
    }

    /// Maps latents back to tiles, near [0, 1] but not clamped to it.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when the shape is another.
    pub fn synthesize(&self, latents: &Tensor, mut dropout: Option<&mut ChaCha8Rng>) -> Result<Tensor> {
        let edge = self.config.bottom_edge();
        let x = self.linear("decoder.linear", latents)?;
        let mut x = x.reshape((latents.dim(0)?, edge, edge, ()))?;
        for layer in self.config.decoder() {
            x = self.convolve(&layer, x, true, dropout.as_deref_mut())?;
        }
        Ok(if self.config.normalize { x.affine(0.5, 0.5)? } else { x })
    }

    /// The gradient of each parameter array, in order.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when there is no memory.
    pub fn gradients(&self, store: &GradStore) -> Result<Vec<Tensor>> {
        let gradient = |variable: &Var| match store.get(variable) {
            Some(gradient) => Ok(gradient.clone()),
            None => Ok(variable.zeros_like()?),
        };
        self.variables.iter().map(gradient).collect()
    }

    fn convolve(
        &self,
        layer: &ConvLayer,
        mut input: Tensor,
        input_gradient: bool,
        dropout: Option<&mut ChaCha8Rng>,
    ) -> Result<Tensor> {
        if let (true, Some(rng)) = (layer.dropout && self.config.dropout > 0.0, dropout) {
            input = drop_channels(&input, self.config.dropout, rng)?;
        }
        let op = ConvOp { shape: layer.shape, direction: layer.direction, relu: layer.relu, input_gradient };
        let weights = self.get(&format!("{}.weight", layer.name));
        Ok(op.apply(&input, &weights, &self.get(&format!("{}.bias", layer.name)))?)
    }

    fn linear(&self, name: &str, input: &Tensor) -> Result<Tensor> {
        let product = input.matmul(&self.get(&format!("{name}.weight")))?;
        Ok(product.broadcast_add(&self.get(&format!("{name}.bias")))?.relu()?)
    }
}

/// Two-dimensional dropout: whole channels of a tile to zero, the others scaled to keep the mean.
fn drop_channels(input: &Tensor, probability: f32, rng: &mut ChaCha8Rng) -> Result<Tensor> {
    let (batch, _, _, channels) = input.dims4()?;
    let keep = |_| if rng.random::<f32>() < probability { 0.0 } else { 1.0 / (1.0 - probability) };
    let mask: Vec<f32> = (0..batch * channels).map(keep).collect();
    Ok(input.broadcast_mul(&Tensor::from_vec(mask, (batch, 1, 1, channels), input.device())?)?)
}
