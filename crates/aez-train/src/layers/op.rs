//! Convolution layers as differentiable candle operations, on any device.
//!
//! The gradient of a layer is composed of the operations of [`super::parts`]. Each of them is implemented for the CPU and
//! for CUDA; candle calls the implementation for the device that holds the tensors.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::parts::{LinearMap, PixelSums, ReluGradient, WeightGradient, floats};
use aez_core::nn::conv::{ConvShape, Direction, Extent};

/// A convolution or transposed convolution with bias and optional ReLU, as one differentiable operation on
/// `(input [batch, rows, columns, channels], weights [3, 3, high, low], bias [output channels])`, all 32-bit floats.
#[derive(Debug, Clone, Copy)]
pub struct ConvOp {
    /// Channels and stride.
    pub shape: ConvShape,
    /// Convolution or transposed convolution.
    pub direction: Direction,
    /// Whether ReLU is applied to the output.
    pub relu: bool,
    /// Whether the gradient of the input is computed. The first layer of a network does not need it.
    pub input_gradient: bool,
}

impl ConvOp {
    /// Applies the layer to tensors that candle differentiates.
    ///
    /// # Errors
    /// If the shapes do not match the layer, or a tensor does not hold contiguous 32-bit floats.
    pub fn apply(self, input: &Tensor, weights: &Tensor, bias: &Tensor) -> Result<Tensor> {
        input.apply_op3(weights, bias, self)
    }

    /// The layer without bias and ReLU, for an input of this shape.
    fn linear_map(&self, input: &Shape) -> Result<LinearMap> {
        let Self { shape, direction, .. } = *self;
        let (batch, rows, columns, _) = input.dims4()?;
        let from = Extent { batch, rows, columns };
        Ok(LinearMap { shape, direction, from, to: shape.output(direction, from) })
    }
}

impl CustomOp3 for ConvOp {
    fn name(&self) -> &'static str {
        match self.direction {
            Direction::Forward => "conv3x3",
            Direction::Adjoint => "conv3x3-transposed",
        }
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weights: &CpuStorage,
        weights_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let map = self.linear_map(input_layout.shape())?;
        map.check(input_layout, weights_layout, Some(bias_layout))?;
        let (input, weights) = (floats(input, input_layout)?, floats(weights, weights_layout)?);
        let output = map.run(input, weights, Some(floats(bias, bias_layout)?), self.relu);
        Ok((CpuStorage::F32(output), map.output_shape()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        weights: &CudaStorage,
        weights_layout: &Layout,
        bias: &CudaStorage,
        bias_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let map = self.linear_map(input_layout.shape())?;
        map.check(input_layout, weights_layout, Some(bias_layout))?;
        let (input, weights) = ((input, input_layout), (weights, weights_layout));
        let output = super::cuda::linear_map(&map, input, weights, Some((bias, bias_layout)), self.relu)?;
        Ok((output, map.output_shape()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weights: &Tensor,
        bias: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let map = self.linear_map(input.shape())?;
        let gradient = gradient.contiguous()?;
        let gradient = if self.relu { gradient.apply_op2_no_bwd(output, &ReluGradient)? } else { gradient };
        // In a frozen network, weights and biases are not tracked: only the gradient of the input is needed.
        let sums = || gradient.apply_op1_no_bwd(&PixelSums);
        let bias_gradient = bias.track_op().then(sums).transpose()?;
        let (high, low) = match self.direction {
            Direction::Forward => (input, &gradient),
            Direction::Adjoint => (&gradient, input),
        };
        let products = || high.apply_op2_no_bwd(low, &WeightGradient { shape: self.shape });
        let weight_gradient = weights.track_op().then(products).transpose()?;
        let back = || gradient.apply_op2_no_bwd(weights, &map.reversed());
        let input_gradient = self.input_gradient.then(back).transpose()?;
        Ok((input_gradient, weight_gradient, bias_gradient))
    }
}
