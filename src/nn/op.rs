//! Convolution layers as candle operations with gradients.

use candle_core::{CpuStorage, CustomOp3, Error, Layout, Result, Shape, Storage, Tensor};
use rayon::prelude::*;

use super::{
    conv::{ConvShape, Direction, Extent, Packed, weight_gradient},
    simd::Path,
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

    fn channels(&self) -> (usize, usize) {
        match self.direction {
            Direction::Forward => (self.shape.high, self.shape.low),
            Direction::Adjoint => (self.shape.low, self.shape.high),
        }
    }

    fn extents(&self, input: &Shape) -> Result<(Extent, Extent)> {
        let (batch, rows, columns, channels) = input.dims4()?;
        if channels != self.channels().0 {
            candle_core::bail!("{} channels where {} belong", channels, self.channels().0);
        }
        let to = |edge: usize| match self.direction {
            Direction::Forward => self.shape.low_edge(edge),
            Direction::Adjoint => edge * self.shape.stride,
        };
        let from = Extent { batch, rows, columns };
        Ok((from, Extent { batch, rows: to(rows), columns: to(columns) }))
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
        let (from, to) = self.extents(input_layout.shape())?;
        let (input, weights) = (floats(input, input_layout)?, floats(weights, weights_layout)?);
        let bias = floats(bias, bias_layout)?;
        let channels = self.channels().1;
        if weights.len() != self.shape.weights() || bias.len() != channels {
            candle_core::bail!("{} weights and {} biases for {:?}", weights.len(), bias.len(), self.shape);
        }
        let layer = Packed::new(self.shape, self.direction, weights, Some(bias), self.relu, Path::best());
        let mut output = vec![0.0; to.pixels() * channels];
        layer.run(input, from, &mut output, to);
        Ok((CpuStorage::F32(output), (to.batch, to.rows, to.columns, channels).into()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        weights: &Tensor,
        bias: &Tensor,
        output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (from, to) = self.extents(input.shape())?;
        let path = Path::best();
        let channels = self.channels().1;
        let gradient = gradient.contiguous()?;
        let mut masked = with_floats(&gradient, |g| Ok(g.to_vec()))?;
        if self.relu {
            with_floats(output, |output| {
                masked.par_iter_mut().zip(output).with_min_len(1 << 14).for_each(|(g, &y)| {
                    *g = if y > 0.0 { *g } else { 0.0 };
                });
                Ok(())
            })?;
        }
        let bias_gradient = Tensor::from_vec(sum_pixels(&masked, channels), bias.shape(), bias.device())?;
        let weight_gradient = with_floats(input, |input| {
            Ok(match self.direction {
                Direction::Forward => weight_gradient(self.shape, input, &masked, from, path),
                Direction::Adjoint => weight_gradient(self.shape, &masked, input, to, path),
            })
        })?;
        let weight_gradient = Tensor::from_vec(weight_gradient, weights.shape(), weights.device())?;
        let input_gradient = if self.input_gradient {
            let back = match self.direction {
                Direction::Forward => Direction::Adjoint,
                Direction::Adjoint => Direction::Forward,
            };
            let layer = with_floats(weights, |w| Ok(Packed::new(self.shape, back, w, None, false, path)))?;
            let mut into = vec![0.0; from.pixels() * self.channels().0];
            layer.run(&masked, to, &mut into, from);
            Some(Tensor::from_vec(into, input.shape(), input.device())?)
        } else {
            None
        };
        Ok((input_gradient, Some(weight_gradient), Some(bias_gradient)))
    }
}

/// The sum over all pixels, channel by channel, in an order that depends on the size alone.
fn sum_pixels(values: &[f32], channels: usize) -> Vec<f32> {
    const PIXELS: usize = 1024;
    let partial: Vec<Vec<f32>> = values
        .par_chunks(PIXELS * channels)
        .map(|chunk| {
            let mut sums = vec![0.0; channels];
            chunk.chunks_exact(channels).for_each(|pixel| add(&mut sums, pixel));
            sums
        })
        .collect();
    partial.into_iter().fold(vec![0.0; channels], |mut sums, part| {
        add(&mut sums, &part);
        sums
    })
}

fn add(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => Err(Error::RequiresContiguous { op: "conv3x3" }.bt()),
    }
}

/// Lends the numbers of a tensor in this computer's memory.
fn with_floats<T>(tensor: &Tensor, run: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => run(floats(storage, layout)?),
        _ => candle_core::bail!("conv3x3 expects tensors in main memory"),
    }
}
