//! Convolution layers as candle operations with gradients, on any device.
//!
//! The gradient of a layer is put together from the four operations of [`super::parts`], in tensors alone: each of them
//! has a side for the processor and one for CUDA, and candle takes the one of the device where the tensors lie.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::{
    conv::{ConvShape, Direction, Extent},
    parts::{ActiveOnly, Map, PixelSums, WeightGradient, floats},
};

/// A convolution or transposed convolution with bias and, if asked for, ReLU, as one differentiable operation on
/// `(input [batch, rows, columns, channels], weights [3, 3, high, low], bias [channels out])`, all 32-bit floats.
#[derive(Debug, Clone, Copy)]
pub struct ConvOp {
    pub shape: ConvShape,
    pub direction: Direction,
    pub relu: bool,
    /// Whether the gradient of the input is wanted: not in a network's first layer.
    pub input_gradient: bool,
}

impl ConvOp {
    /// Runs the layer on tensors that candle differentiates.
    ///
    /// # Errors
    /// When the shapes do not belong together, or a tensor is not of 32-bit floats.
    pub fn apply(self, input: &Tensor, weights: &Tensor, bias: &Tensor) -> Result<Tensor> {
        input.apply_op3(weights, bias, self)
    }

    /// The layer without bias and ReLU, for an input of that shape.
    fn map(&self, input: &Shape) -> Result<Map> {
        let Self { shape, direction, .. } = *self;
        let (batch, rows, columns, _) = input.dims4()?;
        let from = Extent { batch, rows, columns };
        Ok(Map { shape, direction, from, to: shape.output(direction, from) })
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
        let map = self.map(input_layout.shape())?;
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
        let map = self.map(input_layout.shape())?;
        map.check(input_layout, weights_layout, Some(bias_layout))?;
        let (input, weights) = ((input, input_layout), (weights, weights_layout));
        let output = super::cuda::map(&map, input, weights, Some((bias, bias_layout)), self.relu)?;
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
        let map = self.map(input.shape())?;
        let gradient = gradient.contiguous()?;
        let gradient = if self.relu { gradient.apply_op2_no_bwd(output, &ActiveOnly)? } else { gradient };
        // A frozen layer passes its input's gradient on and has none of its own.
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
