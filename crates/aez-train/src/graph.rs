//! The network as candle operations on variables: on any device, with gradients.

use crate::{Result, layers::ConvOp};
use aez_core::tiled::{Config, ConvLayer, Parameters};
use candle_core::{Device, Tensor, Var, backprop::GradStore};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The tiled network with its parameters as variables on a device, in the order of [`Config::parameters`].
pub struct Graph {
    config: Config,
    names: Vec<String>,
    variables: Vec<Var>,
    frozen: bool,
}

impl Graph {
    /// Copies `parameters` to `device`.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device has too little memory.
    pub fn new(parameters: &Parameters, device: &Device) -> Result<Self> {
        let Parameters { config, arrays } = parameters;
        let variables =
            arrays.iter().map(|array| Var::from_slice(&array.values, array.shape.as_slice(), device));
        let variables = variables.collect::<candle_core::Result<_>>()?;
        let names = arrays.iter().map(|array| array.name.clone()).collect();
        Ok(Self { config: *config, names, variables, frozen: false })
    }

    /// The same network without gradients of the parameters.
    pub(crate) fn frozen(self) -> Self {
        Self { frozen: true, ..self }
    }

    /// The configuration of the network.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The device that holds the variables.
    ///
    /// # Panics
    /// Never: every network has parameters.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.variables[0].device()
    }

    /// Name and variable of each parameter array.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.names.iter().map(String::as_str).zip(&self.variables)
    }

    /// Maps tiles `[batch, tile, tile, 3]` with values in [0, 1] to latents `[batch, latents]`. If `dropout` is given,
    /// channels are dropped in the layers and with the probability that the configuration specifies.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) for tensors of another shape, or if the device has too little memory.
    pub fn analyse(&self, tiles: &Tensor, mut dropout: Option<&mut ChaCha8Rng>) -> Result<Tensor> {
        let mut x = if self.config.normalize { tiles.affine(2.0, -1.0)? } else { tiles.clone() };
        for (index, layer) in self.config.encoder().iter().enumerate() {
            x = self.convolve(layer, x, index != 0, dropout.as_deref_mut())?;
        }
        self.linear("encoder.linear", &x.flatten_from(1)?)
    }

    /// Maps latents `[batch, latents]` to tiles `[batch, tile, tile, 3]`. Their values are near [0, 1], but not clamped to
    /// it.
    ///
    /// # Errors
    /// As for [`Graph::analyse`].
    pub fn synthesize(&self, latents: &Tensor, mut dropout: Option<&mut ChaCha8Rng>) -> Result<Tensor> {
        let edge = self.config.bottom_edge();
        let x = self.linear("decoder.linear", latents)?;
        let mut x = x.reshape((latents.dim(0)?, edge, edge, ()))?;
        for layer in self.config.decoder() {
            x = self.convolve(&layer, x, true, dropout.as_deref_mut())?;
        }
        Ok(if self.config.normalize { x.affine(0.5, 0.5)? } else { x })
    }

    /// The gradient of each parameter array, in the order of the variables. They are detached: candle would keep the tensors that each
    /// was computed from in memory, as long as a moving average of the gradients exists.
    pub(crate) fn gradients(&self, store: &GradStore) -> Result<Vec<Tensor>> {
        let gradient = |variable: &Var| match store.get(variable) {
            Some(gradient) => Ok(gradient.detach()),
            None => Ok(variable.zeros_like()?),
        };
        self.variables.iter().map(gradient).collect()
    }

    fn parameter(&self, name: &str) -> Tensor {
        let index =
            self.names.iter().position(|n| n == name).expect("a parameter array of the configuration");
        let variable = &self.variables[index];
        if self.frozen { variable.as_detached_tensor() } else { variable.as_tensor().clone() }
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
        let weights = self.parameter(&format!("{}.weight", layer.name));
        Ok(op.apply(&input, &weights, &self.parameter(&format!("{}.bias", layer.name)))?)
    }

    fn linear(&self, name: &str, input: &Tensor) -> Result<Tensor> {
        let product = input.matmul(&self.parameter(&format!("{name}.weight")))?;
        Ok(product.broadcast_add(&self.parameter(&format!("{name}.bias")))?.relu()?)
    }
}

/// Two-dimensional dropout: sets each channel of each tile to zero with the given probability, and scales the others so that
/// the expected values do not change.
fn drop_channels(input: &Tensor, probability: f32, rng: &mut ChaCha8Rng) -> Result<Tensor> {
    let (batch, _, _, channels) = input.dims4()?;
    let factor = |_| if rng.random::<f32>() < probability { 0.0 } else { 1.0 / (1.0 - probability) };
    let mask: Vec<f32> = (0..batch * channels).map(factor).collect();
    Ok(input.broadcast_mul(&Tensor::from_vec(mask, (batch, 1, 1, channels), input.device())?)?)
}
